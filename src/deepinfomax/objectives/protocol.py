"""What the engine and an objective tell each other."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from deepinfomax.features import Features, Shapes

__all__ = ["Batch", "Objective", "Reconstructs", "Samples", "Shapes", "SinglePass", "TwoPlayer"]


@dataclass(frozen=True)
class Batch:
    """One batch as an objective sees it. N images of shape (C, *S)."""

    images: Tensor  #: (N, C, *S) float in [-1, 1]
    labels: Tensor | None  #: (N,) int64, or None: only `supervised` asks for them
    index: Tensor  #: (N,) int64, positions in the data set


class Objective(Protocol):
    """One term (or a few) of the loss; an `nn.Module` that owns its critic.

    The keyword arguments of its constructor, after `shapes`, are the fields of its section in a configuration.
    """

    measured: dict[str, Tensor]  #: detached numbers worth logging, of the last forward: bound in nats, cap, accuracy

    def __call__(self, features: Features, batch: Batch) -> dict[str, Tensor]:
        """Scalar losses by name, to be minimised, each times the objective's weight."""
        ...


@runtime_checkable
class TwoPlayer(Protocol):
    """An objective with an opponent: min over the encoder, max over the players' own networks (paper eq. 7)."""

    def players(self) -> list[nn.Module]:
        """The sub-modules that the second optimizer trains, and the first never touches."""
        ...

    def adversary(self, features: Features, batch: Batch) -> dict[str, Tensor]:
        """Scalar losses that the second player minimises; `features` carry no gradient."""
        ...


@runtime_checkable
class SinglePass(Protocol):
    """An objective that may need y computed from the very map it is given; under occlusion y is of another pass."""

    single_pass: str | None  #: what needs it, and how to do without, for the user; None: nothing does


@runtime_checkable
class Reconstructs(Protocol):
    """An objective that can turn y back into an image."""

    def reconstruct(self, features: Features) -> Tensor:
        """Images (N, C, H, W) in [-1, 1] from y."""
        ...


@runtime_checkable
class Samples(Protocol):
    """An objective that can draw images from its prior."""

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """`count` images (count, C, H, W) in [-1, 1]."""
        ...


@runtime_checkable
class DrawsY(Protocol):
    """An objective that holds y to a known distribution."""

    def draw_y(self, count: int, seed: int) -> Tensor | None:
        """(count, D) of that distribution; None where it is one of something else than y itself."""
        ...
