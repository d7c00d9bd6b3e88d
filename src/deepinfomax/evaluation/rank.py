"""Figures of y without labels: how many directions it uses, and whether it has collapsed."""

import math
import time
from dataclasses import asdict, dataclass

import numpy as np
import torch
from jaxtyping import Float, Num
from torch import Tensor, nn
from torch.nn.functional import normalize

from deepinfomax.data.augmentation import Augmentation
from deepinfomax.data.images import ImageSet, as_tensor
from deepinfomax.errors import UserError
from deepinfomax.evaluation.draws import sample, seeded, stream
from deepinfomax.evaluation.embeddings import EmbeddingsOfY, embed
from deepinfomax.evaluation.measure import Figure, Measure, Remark
from deepinfomax.evaluation.scales import Scale, check_scale
from deepinfomax.evaluation.standardising import Standardiser
from deepinfomax.features import effective_rank
from deepinfomax.progress import say

__all__ = ["alignment", "describe", "effective_rank", "measure", "uniformity"]

#: Images that the figures rest on. Pairs grow with their square, and the effective rank is at most one less.
IMAGES: dict[Scale, int] = {"smoke": 500, "cpu": 2000, "paper": 5000}
LEAST_RANK = 2.0  #: below it, y has collapsed


def uniformity(x: Num[Tensor, "N D"]) -> Float[Tensor, ""]:
    """log of the mean over pairs of exp(-2 ‖u - v‖²), u and v on the unit sphere, of 2 or more; at most 0.

    Wang & Isola 2020 (arXiv 2005.10242). 0: all vectors point the same way; about -4 for directions uniform in many
    dimensions.

    Raises:
        UserError: fewer than 2.
    """
    if len(x) < 2:
        raise UserError(f"uniformity is of pairs: give two vectors or more, not {len(x)}")
    squared = torch.pdist(_direction(x)).square()
    return ((-2 * squared).logsumexp(0) - math.log(len(squared))).to(_kind(x))


def alignment(x: Num[Tensor, "N D"], y: Num[Tensor, "M D"]) -> Float[Tensor, ""]:
    """Mean of ‖u - v‖² over two views of each image, on the unit sphere (ibid.); from 0 to 4.

    Raises:
        UserError: two shapes, or no vectors.
    """
    if x.shape != y.shape or not len(x):
        raise UserError(f"alignment is of two views of each image, not of {tuple(x.shape)} and {tuple(y.shape)}")
    return (_direction(x) - _direction(y)).square().sum(1).mean().to(_kind(x))


def _kind(x: Tensor) -> torch.dtype:
    """That of a figure of x: its own, or float32 of whole numbers."""
    return x.dtype if x.is_floating_point() else torch.float32


def _direction(x: Num[Tensor, "N D"]) -> Float[Tensor, "N D"]:
    """On the unit sphere, in fp64, where no square of an fp32 number overflows or vanishes."""
    return normalize(x.double(), eps=1e-300)


@dataclass(frozen=True, kw_only=True)
class Description:
    """How vectors (N, D) are distributed."""

    effective_rank: float  #: RankMe (Garrido et al. 2023), of at most min(N - 1, D)
    uniformity: float  #: see there
    mean_cosine: float  #: over pairs; 1 where all vectors point the same way, as where their mean is far from 0
    dead_units: int  #: that are the same for every image
    units: int  #: D
    collapsed: bool  #: the effective rank is below 2, where it could be above, or all units are dead


def describe(vectors: Float[Tensor, "N D"]) -> Description:
    """How these vectors are distributed. Raises UserError for fewer than 3.

    A mean far from 0 is no collapse, though it takes the cosines to 1: the differences from it are all there, and
    probes and distances use those.
    """
    MEASURE.check_counts(0, len(vectors))
    unit = _direction(vectors)
    count = len(unit)
    # Σ over pairs of u·v is what the squared length of the sum holds beyond the N squares.
    cosine = float((unit.sum(0).square().sum() - unit.square().sum()) / (count * (count - 1)))
    rank = float(effective_rank(vectors))
    dead = Standardiser.of(vectors).constant_units
    return Description(
        effective_rank=rank,
        uniformity=float(uniformity(vectors)),
        mean_cosine=cosine,
        dead_units=dead,
        units=vectors.shape[1],
        collapsed=(rank < LEAST_RANK < min(count - 1, vectors.shape[1])) or dead == vectors.shape[1],
    )


@dataclass(frozen=True, kw_only=True)
class Result(Description):
    """The figures of `describe`, and how they were measured."""

    alignment: float | None = None  #: None: not measured
    n_test: int
    protocol: str
    seconds: float


def of_vectors(vectors: Float[Tensor, "N D"], *, scale: Scale = "cpu", seed: int = 0) -> Result:
    """`describe` of embeddings whose images are not at hand, on as many of them as `measure` takes of images."""
    began = time.perf_counter()
    drawn = stream(seed, "rank").permutation(len(vectors))[: IMAGES[check_scale(scale)]]
    part = vectors[np.sort(drawn)]
    return Result(
        **asdict(describe(part)),
        n_test=len(part),
        protocol=f"{len(part)} of the test embeddings",
        seconds=time.perf_counter() - began,
    )


def measure(
    encoder: nn.Module,
    train: ImageSet,
    test: ImageSet,
    *,
    scale: Scale = "cpu",
    seed: int = 0,
    device: torch.device | str = "cpu",
    y_of: EmbeddingsOfY | None = None,
) -> Result:
    """`describe` of y on test images, and the alignment of y under augmentation; the training images play no part.

    Alignment is between two views by flip and by crop after a padding of an eighth of the side: the paper's only
    augmentation.

    Args:
        y_of: may have y of the whole of `test` already; None: it is embedded here.
    """
    began = time.perf_counter()
    part = sample(test, IMAGES[check_scale(scale)], stream(seed, "rank"))
    described = describe((y_of or EmbeddingsOfY(encoder, device))(part))
    sides, of_views = part.images.shape[2:], None
    if len(sides) == 2:
        say("alignment of two views")
        size = min(sides)
        views = Augmentation(flip=True, crop=size, padding=size // 8)
        pixels = as_tensor(np.array(part.images))
        with seeded(seed):
            pair = [views(pixels).numpy() for _ in range(2)]
        if pair[0].shape == part.images.shape:  # an encoder for images that are not square takes no square crops
            a, b = (embed(encoder, v, levels=("y",), device=device)["y"] for v in pair)
            of_views = float(alignment(a, b))
    return Result(
        **asdict(described),
        alignment=of_views,
        n_test=len(part),
        protocol=f"y of {len(part)} test images" + ("" if of_views is None else "; alignment under flip and crop"),
        seconds=time.perf_counter() - began,
    )


MEASURE = Measure(
    name="rank",
    title="Shape of y",
    of="encoder",
    labels=None,
    figures=(
        Figure("effective_rank", "effective rank", "dimensions", None, "directions that y uses"),
        Figure("uniformity", "uniformity", "", "lower", "how evenly y covers the sphere"),
        Figure("alignment", "alignment", "", "lower", "how far two views of an image lie apart"),
        Figure(
            "mean_cosine",
            "mean cosine",
            "",
            "lower",
            "mean cosine of y between two images; near 1: all are alike, or their mean is far from 0",
        ),
        Figure("dead_units", "dead units", "", "lower", "units that are the same for every image"),
    ),
    function=measure,
    protocol="y of test images",
    least=(0, 3),
    takes=("y_of",),
    of_vectors=of_vectors,
    remarks=(
        Remark(
            "collapsed",
            "y HAS COLLAPSED: its effective rank is {effective_rank:.1f} of {units}, and {dead_units} units are the "
            "same for every image",
            "effective_rank",
            "y has collapsed: it hardly differs from image to image, or along one direction only",
        ),
    ),
)
