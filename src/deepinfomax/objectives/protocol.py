"""What the game and an objective tell each other."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

import torch
from torch import Tensor, nn

from deepinfomax.encoders import shapes_of
from deepinfomax.features import Features, Shapes

__all__ = [
    "Batch",
    "Decodes",
    "Facts",
    "KnowsItsPrior",
    "Objective",
    "OnePass",
    "Samples",
    "Shapes",
    "Terms",
    "TwoPlayer",
]


@dataclass(frozen=True)
class Batch:
    """One batch as an objective sees it. N images of shape (C, *S)."""

    images: Tensor  #: (N, C, *S) float in [-1, 1]
    labels: Tensor | None = None  #: (N,) int64, or None: only `supervised` asks for them
    index: Tensor | None = None  #: (N,) int64, positions in the data set, or None: only `nat` asks for them


@dataclass(frozen=True)
class Facts:
    """What every objective is told when it is made: the shapes it works on, and the size of the data set."""

    shapes: Shapes  #: of the images and of the encoder's features, without the batch axis
    classes: int | None = None  #: how many classes (or attributes) the labels have; None: there are no labels
    images: int | None = None  #: how many images the training set has; None: not known

    @classmethod
    def of(
        cls, encoder: nn.Module, image_shape: tuple[int, ...], *, classes: int | None = None, images: int | None = None
    ) -> Self:
        """The facts of this encoder for images of (C, *S); it is shown two blank ones to see the shapes."""
        return cls(shapes_of(encoder, image_shape), classes=classes, images=images)


class Terms(dict[str, Tensor]):
    """Losses of one objective by short names, scalars to be minimised, and what was measured on the way.

    The main one is called "loss"; the losses of a second player "critic" and "penalty".
    """

    measured: dict[str, Tensor]  #: detached numbers worth logging: bound in nats, its cap, an accuracy

    def __init__(self, losses: Mapping[str, Tensor], measured: Mapping[str, Tensor] | None = None) -> None:
        super().__init__(losses)
        self.measured = {name: value.detach() for name, value in (measured or {}).items()}


class Objective(Protocol):
    """One term (or a few) of the loss; an `nn.Module` that owns its critic.

    Its constructor takes `Facts`, then keyword-only settings: the fields of its section in a configuration. `forward`
    changes no state; what an algorithm itself must keep (NAT's targets) is the exception, said where it happens.
    """

    def __call__(self, features: Features, batch: Batch) -> Terms:
        """Scalar losses by name, to be minimised, each times the objective's weight."""
        ...


@runtime_checkable
class TwoPlayer(Protocol):
    """An objective with an opponent: min over the encoder, max over the opponent's networks (paper eq. 7)."""

    def players(self) -> list[nn.Module]:
        """The sub-modules that the second optimizer trains, and the first never touches."""
        ...

    def adversary(self, features: Features, batch: Batch) -> Terms:
        """Scalar losses that the second player minimises; `features` carry no gradient."""
        ...


@runtime_checkable
class OnePass(Protocol):
    """An objective that may need y and the local map to come from one pass of the encoder. Occlusion makes two."""

    one_pass: str | None  #: why, and how to do without it, for the user; None: two passes are fine


@runtime_checkable
class Decodes(Protocol):
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
class KnowsItsPrior(Protocol):
    """An objective that makes y follow a known distribution."""

    def draw_y(self, count: int, seed: int) -> Tensor | None:
        """(count, D) samples of that distribution; None where it is not y itself that follows it."""
        ...
