"""What the game and an objective tell each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from deepinfomax.encoders import shapes_of
from deepinfomax.errors import UserError
from deepinfomax.features import Features, Shapes

__all__ = [
    "AcrossViews",
    "Batch",
    "ComparesProcesses",
    "Compiles",
    "Decodes",
    "Facts",
    "KnowsItsPrior",
    "MeetsEncoder",
    "Objective",
    "OnePass",
    "Samples",
    "Shapes",
    "ShowsY",
    "Terms",
    "TwoPlayer",
]


@dataclass(frozen=True)
class Batch:
    """One batch. N images of shape (C, *S), each seen in V views and W small ones; an objective of one view sees V = 1.

    Views lie one behind the other: the first N rows are the first view of every image.

    Raises:
        UserError: numbers of rows that do not fit the views.
    """

    images: Float[Tensor, "VN C *S"]  #: (V·N, C, *S) in [-1, 1], or standardised
    #: (N,), or (N, K) of K attributes; None: only `supervised` asks for them
    labels: Int[Tensor, "N *K"] | None = None
    index: Int[Tensor, "N"] | None = None  #: positions in the data set, or None: only `nat` asks for them
    views: int = 1  #: V
    #: (W·N, C, *s) further views of a smaller size, or None: there are none
    small: Float[Tensor, "WN C *s"] | None = None

    def __post_init__(self) -> None:
        if self.views < 1 or len(self.images) % self.views:
            raise UserError(f"{len(self.images)} images are no {self.views} views of each of so many images")
        images = len(self.images) // self.views
        for name, rows in (("labels", self.labels), ("index", self.index)):
            if rows is not None and len(rows) != images:
                raise UserError(f"{len(rows)} {name} for {images} images: give one for each, not for each view")
        if self.small is not None and len(self.small) % images:
            raise UserError(f"{len(self.small)} small views of {images} images: give every image as many")

    def of_view(self, view: int) -> "Batch":
        """What an objective of one view is given: that view of all images."""
        return self if self.views == 1 else Batch(self.images.chunk(self.views)[view], self.labels, self.index)


@dataclass(frozen=True)
class Facts:
    """What every objective is told when it is made: the shapes it works on, and what the data set is like."""

    shapes: Shapes  #: of the images and of the encoder's features, without the batch axis
    classes: int | None = None  #: how many classes (or attributes) the labels have; None: there are no labels
    images: int | None = None  #: how many images the training set has; None: not known
    bounded: bool = True  #: whether images lie in [-1, 1]; numbers standardised by channel do not

    @classmethod
    def of(
        cls,
        encoder: nn.Module,
        image_shape: tuple[int, ...],
        *,
        classes: int | None = None,
        images: int | None = None,
        bounded: bool = True,
    ) -> Self:
        """The facts of this encoder for images of (C, *S); to see the shapes it is shown two blank ones of its type."""
        weights = (p.dtype for p in encoder.parameters() if p.is_floating_point())
        shapes = shapes_of(encoder, image_shape, next(weights, torch.float32))
        return cls(shapes, classes=classes, images=images, bounded=bounded)


class Terms(dict[str, Tensor]):
    """Losses of one objective by short names, scalars to be minimised, and what was measured on the way.

    The main one is called "loss"; the losses of a second player "critic" and "penalty".

    Raises:
        UserError: a loss or a number that is no scalar, or a name with a slash, which divides it from the objective's.
    """

    measured: dict[str, Tensor]  #: detached numbers worth logging: bound in nats, its cap, an accuracy

    def __init__(self, losses: Mapping[str, Tensor], measured: Mapping[str, Tensor | float] | None = None) -> None:
        super().__init__(losses)
        numbers = {name: torch.as_tensor(value).detach() for name, value in (measured or {}).items()}
        for name, loss in losses.items():
            if not isinstance(loss, Tensor):
                raise UserError(
                    f"the loss {name!r} is a {type(loss).__name__}: give a tensor, which carries the gradient"
                )
        for name, value in {**losses, **numbers}.items():
            if value.ndim > 0:
                raise UserError(f"{name!r} has shape {tuple(value.shape)}: give one number, such as its mean()")
            if "/" in name:
                raise UserError(f"{name!r} has a slash in its name: metrics are called OBJECTIVE/NAME")
        self.measured = numbers


class Objective(Protocol):
    """One term (or a few) of the loss; an `nn.Module` that owns its critic.

    Its constructor takes `Facts`, then keyword-only settings: the fields of its section in a configuration. `forward`
    changes no state; what an algorithm itself must keep (NAT's targets) is the exception, said where it happens.
    """

    def __call__(self, features: Features, batch: Batch) -> Terms:
        """Scalar losses by name, to be minimised, each times the objective's weight."""
        ...


@runtime_checkable
class AcrossViews(Protocol):
    """An objective that compares views of an image. It is shown all at once; others see one, and are averaged."""

    least_views: int  #: 1: with one view it is called like any other objective

    def across(self, views: Sequence[Features], batch: Batch) -> Terms:
        """As `__call__`; `views` are the features of each view: row n of each is of image n. Small views come last."""
        ...


@runtime_checkable
class TwoPlayer(Protocol):
    """An objective with an opponent: min over the encoder, max over the opponent's networks (paper eq. 7)."""

    def players(self) -> list[nn.Module]:
        """The sub-modules that the second optimizer trains, and the first never touches; none: there is no game."""
        ...

    def adversary(self, features: Features, batch: Batch) -> Terms:
        """Scalar losses that the second player minimises; `features` carry no gradient."""
        ...


@runtime_checkable
class ComparesProcesses(Protocol):
    """An objective that says whether its losses compare images of one process with those of others; without it, yes."""

    compares_processes: bool  #: if so, and several GPUs train, BatchNorm is by the images of all of them


@runtime_checkable
class Compiles(Protocol):
    """An objective that says whether torch.compile can compile it; without it, yes."""

    compiles: bool  #: false: it needs another library, or numbers on the CPU, and is computed as it is


@runtime_checkable
class OnePass(Protocol):
    """An objective that may need y and the local map to come from one pass of the encoder, and of it alone.

    Occlusion makes two passes. Several views of an image make one, but of its map each view is shown a part.
    """

    one_pass: str | None  #: why, and how to do without it, for the user; None: two passes are fine


@runtime_checkable
class MeetsEncoder(Protocol):
    """An objective that needs the encoder itself, to copy it."""

    def meet(self, encoder: nn.Module) -> None:
        """Called once, when the game is made."""
        ...


@runtime_checkable
class ShowsY(Protocol):
    """An objective that shows all objectives another y than the encoder's: normalised, and in training with noise.

    One that does so with some of its settings only says by an attribute `changes_y` whether it does.
    """

    def y_shown(self, y: Float[Tensor, "N D *M"]) -> Float[Tensor, "N D *M"]:
        """y of the batch -> what stands in its place; y itself where nothing is changed."""
        ...


@runtime_checkable
class Decodes(Protocol):
    """An objective that can turn y back into an image."""

    def reconstruct(self, features: Features) -> Float[Tensor, "N C *S"]:
        """Images from y, as the encoder sees them: in [-1, 1], or standardised."""
        ...


@runtime_checkable
class Samples(Protocol):
    """An objective that can draw images from its prior."""

    def sample(self, count: int, generator: torch.Generator | None = None) -> Float[Tensor, "{count} C *S"]:
        """`count` images, as the encoder sees them."""
        ...


@runtime_checkable
class KnowsItsPrior(Protocol):
    """An objective that makes y follow a known distribution."""

    def draw_y(self, count: int, seed: int) -> Float[Tensor, "{count} D *M"] | None:
        """`count` samples of that distribution; None where it is not y itself that follows it."""
        ...
