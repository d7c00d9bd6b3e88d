"""Critics: networks that score pairs (paper A.2), and the network of the prior's critic.

They work on rows: each place of a map is a row (see `features.places`). So a 1×1 convolution is a linear layer, and the
same critic works for maps of any rank. N images, L places, M globals, D units.
"""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn


class EmbedRows(nn.Module):
    """One side of encode-and-dot: (..., inputs) -> (..., units), a two-layer network beside a linear shortcut.

    LayerNorm( Linear(no bias) -> BatchNorm -> ReLU -> Linear + shortcut ), as in the authors' code for both sides. The
    paper's tables have no BatchNorm, and no LayerNorm on the global side. The shortcut starts near the identity.
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
    """Encode-and-dot: local and global features are embedded to D units; the score is their dot product times `scale`.

    The paper has scale 1. With LayerNorm on both sides scores then begin with a standard deviation of sqrt(D), so the
    softmax is nearly one-hot. With D^-1/2 the standard deviation begins near 1.
    """

    def __init__(self, local_channels: int, global_units: int, units: int = 2048, scale: float = 1.0) -> None:
        super().__init__()
        self.local = EmbedRows(local_channels, units)
        self.glob = EmbedRows(global_units, units)
        self.scale = scale

    def forward(
        self, local: Float[Tensor, "*L C"], glob: Float[Tensor, "*M H"]
    ) -> tuple[Float[Tensor, "*L D"], Float[Tensor, "*M D"]]:
        """Embed local (N, L, C) and glob (N, M, H); also takes plain rows, (R, C) and (R', H)."""
        return self.local(local), self.scale * self.glob(glob)


class ConcatAndConvolve(nn.Module):
    """Concat-and-convolve: y is concatenated to every local feature; then 1×1 convolutions to 512, 512, 1 (A.2).

    As in the authors' first release. A linear layer on a concatenation equals the sum of two linear layers, so each
    side passes through its own layer only once.
    """

    def __init__(self, local_channels: int, global_units: int, units: int = 512) -> None:
        super().__init__()
        self.local = nn.Linear(local_channels, units)
        self.glob = nn.Linear(global_units, units, bias=False)
        self.score = nn.Sequential(nn.ReLU(), nn.Linear(units, units), nn.ReLU(), nn.Linear(units, 1))

    def forward(
        self, local: Float[Tensor, "*L C"], glob: Float[Tensor, "*M H"]
    ) -> tuple[Float[Tensor, "*L U"], Float[Tensor, "*M U"]]:
        """The two summands of the first layer; same inputs as `EncodeAndDot`."""
        return self.local(local), self.glob(glob)

    def pair(self, local: Float[Tensor, "R U"], glob: Float[Tensor, "R U"]) -> Float[Tensor, "R"]:
        """The summands of R pairs -> their scores."""
        return self.score(local + glob).squeeze(-1)


class GlobalCritic(ConcatAndConvolve):
    """The paper's global critic: the flattened last convolutional map and y, concatenated -> 512 -> 512 -> 1.

    Source: A.2, Table 6. The authors' code has another one: it runs the rest of the encoder again on the local map.
    """


class Mlp(nn.Sequential):
    """inputs -> hidden, ReLU, ... -> 1: the prior's critic is 64 -> 1000 -> 200 -> 1 without normalisation (A.2)."""

    def __init__(self, inputs: int, hidden: tuple[int, ...] = (1000, 200), outputs: int = 1) -> None:
        widths = (inputs, *hidden)
        layers: list[nn.Module] = []
        for a, b in pairwise(widths):
            layers += [nn.Linear(a, b), nn.ReLU()]
        super().__init__(*layers, nn.Linear(widths[-1], outputs))
