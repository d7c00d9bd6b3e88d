"""Features: what every encoder returns."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from deepinfomax.devices import in_float64

LEVELS = ("conv", "fc", "y")


class Features(NamedTuple):
    """One batch of representations, from the most local to the most global (paper §3, Figure 1).

    N images, C channels, S any number of spatial axes, H hidden units, D units, M globals.
    """

    local: Float[Tensor, "N C *S"]  #: map whose places are the local features, C_psi(x) in the paper
    conv: (
        Float[Tensor, "N C2 *S2"] | None
    )  #: the last convolutional map, input of the global critic and of `conv` probes
    fc: Float[Tensor, "N H"] | None  #: last hidden fully connected layer; None: the encoder has no such level
    y: Float[Tensor, "N D *M"]  #: E_psi(x), the representation: (N, D), or (N, D, M) for M globals

    def detach(self) -> "Features":
        return Features(*(None if level is None else level.detach() for level in self))  # type: ignore[arg-type]

    def split(self, views: int) -> "list[Features]":
        """Split the features of a batch (V·N, ...), in which views follow each other, into those of each view."""
        if views == 1:
            return [self]
        levels = [[None] * views if level is None else level.chunk(views) for level in self]
        return [Features(*view) for view in zip(*levels, strict=True)]  # type: ignore[arg-type]


class Shapes(NamedTuple):
    """Shapes, without the batch axis, of the images and of an encoder's `Features`."""

    image: tuple[int, ...]
    local: tuple[int, ...]
    conv: tuple[int, ...] | None  #: None: the encoder has no such level
    fc: tuple[int, ...] | None
    y: tuple[int, ...]

    @property
    def globals(self) -> tuple[int, int]:
        """(D, M): units of y, and how many globals it holds."""
        return (self.y[0], self.y[1]) if len(self.y) > 1 else (self.y[0], 1)


def places(feature_map: Float[Tensor, "N C *S"]) -> Float[Tensor, "N L C"]:
    """The places of a map as rows: (N, C, *S) -> (N, L, C) with L the product of S (1 where there is no S)."""
    return feature_map.flatten(2).transpose(1, 2) if feature_map.ndim > 2 else feature_map.unsqueeze(1)


def effective_rank(x: Float[Tensor, "N D"]) -> Float[Tensor, ""]:
    """How many directions a batch of vectors uses: exp of the entropy of its normalised singular values.

    This is RankMe (Garrido et al. 2023) on centred features. Without centring, a mean far from 0 would be one
    dominating singular value, and hide the directions around it. Identical vectors, with singular values of 0, have
    rank 1.

    Returns:
        Scalar in [1, min(N - 1, D)], on the CPU.
    """
    x = in_float64(x)
    singular = torch.linalg.svdvals(x - x.mean(0))
    p = singular / singular.sum().clamp_min(torch.finfo(singular.dtype).tiny)
    return torch.exp(-(p * p.clamp_min(torch.finfo(p.dtype).tiny).log()).sum())
