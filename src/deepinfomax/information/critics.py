"""Critics: networks that score pairs (paper A.2), and the one that tells encodings from prior samples.

Rows in, rows out: places are rows (see `features.places`), so a 1×1 convolution is a linear layer, and the same critic
serves maps of any rank. N images, L places, M globals, D units.
"""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn


class EmbedRows(nn.Module):
    """One side of encode-and-dot: (..., inputs) -> (..., units), a two-layer network beside a linear shortcut.

    LayerNorm( Linear(no bias) -> BatchNorm -> ReLU -> Linear + shortcut ), as the authors' code has it on both sides;
    the paper's tables have neither the BatchNorm nor the global side's LayerNorm. The shortcut starts near identity.
    """

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(inputs, units, bias=False)
        self.norm = nn.BatchNorm1d(units)
        self.out = nn.Linear(units, units)
        self.shortcut = nn.Linear(inputs, units, bias=False)
        self.layer_norm = nn.LayerNorm(units)
        with torch.no_grad():
            self.shortcut.weight.uniform_(-0.01, 0.01)
            if units >= inputs:
                self.shortcut.weight.fill_diagonal_(1.0)

    def forward(self, x: Float[Tensor, "*rows inputs"]) -> Float[Tensor, "*rows units"]:
        rows = x.flatten(0, -2)
        hidden = torch.relu(self.norm(self.hidden(rows)))
        return self.layer_norm(self.out(hidden) + self.shortcut(rows)).view(*x.shape[:-1], -1)


class EncodeAndDot(nn.Module):
    """Encode-and-dot: local and global features each embedded to D units, scored by their dot product.

    `scale` multiplies every score. 1 is the paper's: with LayerNorm on both sides scores then begin with a standard
    deviation of sqrt(D), a softmax near one-hot; D^-1/2 makes them begin near 1.
    """

    def __init__(self, local_channels: int, global_units: int, units: int = 2048, scale: float = 1.0) -> None:
        super().__init__()
        self.local = EmbedRows(local_channels, units)
        self.glob = EmbedRows(global_units, units)
        self.scale = scale

    def forward(
        self, local: Float[Tensor, "*L C"], glob: Float[Tensor, "*M H"]
    ) -> tuple[Float[Tensor, "*L D"], Float[Tensor, "*M D"]]:
        """local (N, L, C) and glob (N, M, H), or the rows of several such, (R, C) and (R', H)."""
        return self.local(local), self.scale * self.glob(glob)


class ConcatAndConvolve(nn.Module):
    """Concat-and-convolve: y beside every local feature, then 1×1 convolutions 512, 512, 1 (A.2; first release).

    The first layer of a concatenation is a sum of two layers, so each side passes through its half once.
    """

    def __init__(self, local_channels: int, global_units: int, units: int = 512) -> None:
        super().__init__()
        self.local = nn.Linear(local_channels, units)
        self.glob = nn.Linear(global_units, units, bias=False)
        self.score = nn.Sequential(nn.ReLU(), nn.Linear(units, units), nn.ReLU(), nn.Linear(units, 1))

    def forward(
        self, local: Float[Tensor, "*L C"], glob: Float[Tensor, "*M H"]
    ) -> tuple[Float[Tensor, "*L U"], Float[Tensor, "*M U"]]:
        """The two halves of the first layer, for the same as `EncodeAndDot`."""
        return self.local(local), self.glob(glob)

    def pair(self, local: Float[Tensor, "R U"], glob: Float[Tensor, "R U"]) -> Float[Tensor, "R"]:
        """The halves of R pairs -> their scores."""
        return self.score(local + glob).squeeze(-1)


class GlobalCritic(ConcatAndConvolve):
    """The paper's global critic: the flat last convolutional map beside y -> 512 -> 512 -> 1 (A.2, Table 6).

    The authors' code instead runs the rest of the encoder again on the local map; this is the paper's.
    """


class Mlp(nn.Sequential):
    """inputs -> hidden, ReLU, ... -> 1: the prior's critic is 64 -> 1000 -> 200 -> 1 without normalisation (A.2)."""

    def __init__(self, inputs: int, hidden: tuple[int, ...] = (1000, 200), outputs: int = 1) -> None:
        widths = (inputs, *hidden)
        layers: list[nn.Module] = []
        for a, b in pairwise(widths):
            layers += [nn.Linear(a, b), nn.ReLU()]
        super().__init__(*layers, nn.Linear(widths[-1], outputs))
