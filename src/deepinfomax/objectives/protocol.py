"""The interface between the game and its objectives: `Batch`, `Facts`, `Terms`, and the protocols of objectives."""

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
    """One batch of N images of shape (C, *S), with V views of full size and W small views of each image.

    Views are concatenated: the first N rows are the first view of every image. An objective of one view gets V = 1.

    Raises:
        UserError: the number of rows does not fit the number of views.
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
        """The batch with only this view of all images, for an objective of one view."""
        return self if self.views == 1 else Batch(self.images.chunk(self.views)[view], self.labels, self.index)


@dataclass(frozen=True)
class Facts:
    """The first argument of every objective: the shapes it works on, and facts about the data set."""

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
        """The facts for an encoder and images of shape (C, *S). The encoder is run on two blank images."""
        weights = (p.dtype for p in encoder.parameters() if p.is_floating_point())
        shapes = shapes_of(encoder, image_shape, next(weights, torch.float32))
        return cls(shapes, classes=classes, images=images, bounded=bounded)


class Terms(dict[str, Tensor]):
    """The losses of one objective by name: scalars to be minimised. Also the numbers that it measured.

    The main loss is called "loss"; the losses of a second player are called "critic" and "penalty".

    Raises:
        UserError: a loss or a measured number that is not a scalar; a name that contains a slash.
    """

    measured: dict[str, Tensor]  #: detached numbers to be logged: bound in nats, its cap, an accuracy

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
    does not change state, except where an algorithm needs a memory (the targets of NAT, the averages of BYOL).
    """

    def __call__(self, features: Features, batch: Batch) -> Terms:
        """Scalar losses by name, to be minimised, each times the objective's weight."""
        ...


@runtime_checkable
class AcrossViews(Protocol):
    """An objective that compares views of an image. It gets all views at once; other objectives get one at a time."""

    least_views: int  #: how many views it needs; if 1, a batch with one view is passed to `__call__`

    def across(self, views: Sequence[Features], batch: Batch) -> Terms:
        """Losses as from `__call__`. `views` has the features of each view, small views last; row n is image n."""
        ...


@runtime_checkable
class TwoPlayer(Protocol):
    """An objective with an opponent: min over the encoder, max over the opponent's networks (paper eq. 7)."""

    def players(self) -> list[nn.Module]:
        """The submodules that only the second optimizer trains; an empty list: there is no second player."""
        ...

    def adversary(self, features: Features, batch: Batch) -> Terms:
        """Scalar losses that the second player minimises; `features` carry no gradient."""
        ...


@runtime_checkable
class ComparesProcesses(Protocol):
    """An objective that says whether its losses compare images of different processes. The default is yes."""

    compares_processes: bool  #: if True, BatchNorm uses the images of all GPUs that train together


@runtime_checkable
class Compiles(Protocol):
    """An objective that says whether torch.compile can compile it. The default is yes."""

    compiles: bool  #: False: it needs another library, or numbers on the CPU, so it is not compiled


@runtime_checkable
class OnePass(Protocol):
    """An objective that may need y computed from exactly the local map that it gets.

    That is not so with occlusion, which makes two passes, nor with several views, of which it gets one at a time.
    """

    one_pass: str | None  #: why, and how to avoid this, as a message for the user; None: it has no such need


@runtime_checkable
class MeetsEncoder(Protocol):
    """An objective that needs the encoder itself, to copy it."""

    def meet(self, encoder: nn.Module) -> None:
        """Called once, when the game is made."""
        ...


@runtime_checkable
class ShowsY(Protocol):
    """An objective that replaces the y that all objectives get, for example by a normalised y with noise.

    If that depends on its settings, an attribute `changes_y` (bool) says whether it does so.
    """

    def y_shown(self, y: Float[Tensor, "N D *M"]) -> Float[Tensor, "N D *M"]:
        """y of the batch -> the y for all objectives; the same tensor if nothing is changed."""
        ...


@runtime_checkable
class Decodes(Protocol):
    """An objective that can turn y back into an image."""

    def reconstruct(self, features: Features) -> Float[Tensor, "N C *S"]:
        """Decode y to images of the encoder's scale: in [-1, 1], or standardised."""
        ...


@runtime_checkable
class Samples(Protocol):
    """An objective that can draw images from its prior."""

    def sample(self, count: int, generator: torch.Generator | None = None) -> Float[Tensor, "{count} C *S"]:
        """`count` images of the encoder's scale."""
        ...


@runtime_checkable
class KnowsItsPrior(Protocol):
    """An objective that makes y follow a known distribution."""

    def draw_y(self, count: int, seed: int) -> Float[Tensor, "{count} D *M"] | None:
        """`count` samples of that distribution; None if y itself does not follow it."""
        ...
