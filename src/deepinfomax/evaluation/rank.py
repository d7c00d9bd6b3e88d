"""Is it learning? What y itself says, without labels: how many directions it uses, and whether it has collapsed."""

import math
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from deepinfomax.data.augmentation import Augmentation
from deepinfomax.data.images import ImageSet
from deepinfomax.evaluation.draws import sample, seeded, stream
from deepinfomax.evaluation.embeddings import EmbeddingsOfY, embed
from deepinfomax.evaluation.old import check_counts
from deepinfomax.evaluation.scales import Scale, check_scale
from deepinfomax.evaluation.standardising import Standardiser
from deepinfomax.features import effective_rank
from deepinfomax.old_progress import Say, silent

__all__ = ["alignment", "describe", "effective_rank", "measure", "uniformity"]

#: Images that the figures rest on. Pairs grow with their square, and the effective rank is at most one less.
IMAGES: dict[Scale, int] = {"smoke": 500, "cpu": 2000, "paper": 5000}
LEAST_RANK, MOST_COSINE = 2.0, 0.999  #: beyond either, y has collapsed


def uniformity(x: Tensor) -> Tensor:
    """log of the mean over pairs of exp(-2 ‖u - v‖²), u and v on the unit sphere; (N, D) -> scalar, at most 0.

    Wang & Isola 2020 (arXiv 2005.10242). 0: all vectors point the same way; about -4 for directions uniform in many
    dimensions.
    """
    squared = torch.pdist(_direction(x)).square()
    return ((-2 * squared).logsumexp(0) - math.log(len(squared))).to(x.dtype)


def alignment(x: Tensor, y: Tensor) -> Tensor:
    """Mean of ‖u - v‖² over two views of each image, on the unit sphere (ibid.); (N, D), (N, D) -> scalar in [0, 4]."""
    return (_direction(x) - _direction(y)).square().sum(1).mean().to(x.dtype)


def _direction(x: Tensor) -> Tensor:
    """(N, D) on the unit sphere, in fp64, where no square of an fp32 number overflows or vanishes."""
    return normalize(x.double(), eps=1e-300)


def describe(vectors: Tensor) -> dict[str, Any]:
    """Figures of vectors (N, D), N at least 3.

    Returns:
        effective_rank: RankMe (Garrido et al. 2023), of at most min(N - 1, D).
        uniformity: see there.
        mean_cosine: over pairs; 1 where all vectors point the same way.
        dead_units: that are the same for every image.
        units: D.
        collapsed: whether the effective rank is below 2, where it could be above, or the mean cosine above 0.999.
    """
    check_counts("rank", "rank", 0, len(vectors))
    unit = _direction(vectors)
    count = len(unit)
    # Σ over pairs of u·v is what the squared length of the sum holds beyond the N squares.
    cosine = float((unit.sum(0).square().sum() - unit.square().sum()) / (count * (count - 1)))
    rank = float(effective_rank(vectors))
    return {
        "effective_rank": rank,
        "uniformity": float(uniformity(vectors)),
        "mean_cosine": cosine,
        "dead_units": Standardiser.of(vectors).constant_units,
        "units": vectors.shape[1],
        "collapsed": (rank < LEAST_RANK < min(count - 1, vectors.shape[1])) or cosine > MOST_COSINE,
    }


def of_vectors(vectors: Tensor, *, scale: Scale = "cpu", seed: int = 0) -> dict[str, Any]:
    """`describe` of embeddings (N, D) whose images are not at hand, on as many of them as `measure` takes of images.

    Returns:
        the figures of `describe`, n_test, protocol, seconds.
    """
    began = time.perf_counter()
    drawn = stream(seed, "rank").permutation(len(vectors))[: IMAGES[check_scale(scale)]]
    part = vectors[np.sort(drawn)]
    return describe(part) | {
        "n_test": len(part),
        "protocol": f"{len(part)} of the test embeddings",
        "seconds": time.perf_counter() - began,
    }


def measure(
    encoder: nn.Module,
    train: ImageSet,
    test: ImageSet,
    *,
    scale: Scale = "cpu",
    seed: int = 0,
    device: torch.device | str = "cpu",
    y_of: EmbeddingsOfY | None = None,
    progress: Say = silent,
) -> dict[str, Any]:
    """`describe` of y on test images, and the alignment of y under augmentation; the training images play no part.

    Alignment is between two views by flip and by crop after a padding of an eighth of the side: the paper's only
    augmentation.

    Args:
        y_of: what may have y of the whole of `test` already; None: it is embedded here.

    Returns:
        the figures of `describe`, alignment, n_test, protocol, seconds.
    """
    began = time.perf_counter()
    part = sample(test, IMAGES[check_scale(scale)], stream(seed, "rank"))
    found = describe((y_of or EmbeddingsOfY(encoder, device))(part))
    sides = part.images.shape[2:]
    if len(sides) == 2:
        progress("alignment of two views")
        size = min(sides)
        views = Augmentation(flip=True, crop=size, padding=size // 8)
        pixels = torch.from_numpy(np.array(part.images))
        with seeded(seed):
            pair = [views(pixels).numpy() for _ in range(2)]
        if pair[0].shape == part.images.shape:  # an encoder for images that are not square takes no square crops
            a, b = (embed(encoder, v, levels=("y",), device=device)["y"] for v in pair)
            found["alignment"] = float(alignment(a, b))
    return found | {
        "n_test": len(part),
        "protocol": f"y of {len(part)} test images; alignment under flip and crop",
        "seconds": time.perf_counter() - began,
    }
