"""Figures of a representation without labels: how many directions it uses, how evenly, how stably.

None of them is an accuracy, and none chose among short runs as an accuracy would: docs/compare.md and
results/choice.json have the rank correlations.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from deepinfomax.data.augmentation import Augmentation
from deepinfomax.data.images import ImageSet, as_tensor
from deepinfomax.errors import UserError, count_of
from deepinfomax.evaluation.draws import sample, seeded, stream
from deepinfomax.evaluation.embeddings import embed
from deepinfomax.evaluation.rank import alignment, uniformity
from deepinfomax.features import effective_rank
from deepinfomax.objectives.slices import random_slices
from deepinfomax.progress import counted, say

LEAST = 4  #: images; three lie in two directions, however good the encoder
IMAGES = 2000  #: that effective rank, uniformity, alpha and normality rest on
LIDAR_IMAGES, LIDAR_VIEWS = 400, 8  #: number of images, and of views of each
RIDGE = 1e-4  #: added to the covariance within images, as in the paper of LiDAR
FIRST, LAST = 5, 50  #: eigenvalues that the exponent is fitted to, without the first ones and the noise of the last
SLICES = 200  #: random directions for the normality gap


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Figures of one level of an encoder; None if the images or the vectors allow no such figure."""

    images: int  #: that the figures are of
    effective_rank: float  #: RankMe (Garrido et al. 2023), on centred vectors
    units: int  #: the most that the rank can be
    uniformity: float  #: Wang & Isola 2020; lower is more even
    alignment: float | None  #: ibid.; lower is more stable
    lidar: float | None  #: Thilak et al. 2023: rank of differences between images, relative to those between views
    alpha: float | None  #: exponent of the eigenvalues' decay (Agrawal et al. 2022); near 1 is considered good
    normality_gap: float  #: mean Kolmogorov-Smirnov distance of random directions to a normal distribution; 0: normal


def measure(
    encoder: nn.Module,
    images: ImageSet,
    *,
    level: str = "y",
    seed: int = 0,
    device: torch.device | str | None = None,
) -> Scores:
    """Every figure of one level, on images that need no labels.

    Views are by flip and by crop after a padding of an eighth of the side: the paper's only augmentation.

    Raises:
        UserError: the encoder has no such level, or fewer than `LEAST` images.
    """
    if len(images) < LEAST:
        raise UserError(
            f"{images.name or 'the data'} has {count_of(len(images), 'image')}, and these figures need {LEAST} or more"
        )
    part = sample(images, IMAGES, stream(seed, "without labels"))
    vectors = embed(encoder, part, levels=(level,), device=device)[level]
    views = views_of(encoder, part, level=level, seed=seed, device=device)
    return Scores(
        images=len(part),
        effective_rank=float(effective_rank(vectors)),
        units=vectors.shape[1],
        uniformity=float(uniformity(vectors)),
        alignment=None if views is None else float(alignment(views[:, 0], views[:, 1])),
        lidar=None if views is None else lidar(views),
        alpha=alpha(vectors),
        normality_gap=normality_gap(vectors, seed=seed),
    )


def views_of(
    encoder: nn.Module, images: ImageSet, *, level: str, seed: int, device: torch.device | str | None
) -> Tensor | None:
    """(N, views, units) of some of the images; None for images without two equal sides, which take no crops."""
    chosen = sample(images, LIDAR_IMAGES, stream(seed, "views"))
    sides = chosen.images.shape[2:]
    if len(sides) != 2 or sides[0] != sides[1]:
        return None
    augment = Augmentation(flip=True, crop=sides[0], padding=max(1, sides[0] // 8))
    pixels = as_tensor(np.array(chosen.images))
    made = []
    with seeded(seed):
        for _ in counted(LIDAR_VIEWS, "view"):
            made.append(embed(encoder, augment(pixels).numpy(), levels=(level,), device=device)[level])
    return torch.stack(made, 1)


def lidar(views: Float[Tensor, "N V units"], ridge: float = RIDGE) -> float:
    """LiDAR of V views of N images: exp of the entropy of the eigenvalues of linear discriminant analysis.

    Each image is a class, and its views are the members. The eigenvalues are those of the covariance of the classes'
    means, in units of the covariance within them; at most min(units, N - 1) of them are above 0.
    """
    from scipy.linalg import eigh  # a slow import, and only needed here

    rows = views.double()
    middle = rows.mean(1)
    inside = (rows - middle[:, None]).flatten(0, 1)
    within = inside.T @ inside / len(inside) + ridge * torch.eye(rows.shape[2], dtype=torch.float64)
    between = torch.cov(middle.T).reshape(within.shape)
    values = np.clip(eigh(between.numpy(), within.numpy(), eigvals_only=True), 0, None)
    share = values / max(float(values.sum()), 1e-300)
    share = share[share > 0]
    return float(np.exp(-(share * np.log(share)).sum()))


def alpha(vectors: Float[Tensor, "N D"]) -> float | None:
    """The exponent a of eigenvalue(i) ~ i^(-a) of the covariance, by least squares of the logarithms.

    From the 5th to the 50th eigenvalue, or as many as there are above 0; None if those are fewer than 5.
    """
    rows = vectors.double()
    values = torch.linalg.svdvals(rows - rows.mean(0)).square()
    values = values[values > values[0].clamp_min(1e-300) * 1e-12][FIRST - 1 : LAST]
    if len(values) < 5:
        return None
    x = np.log(np.arange(FIRST, FIRST + len(values)))
    return -float(np.polyfit(x, values.log().numpy(), 1)[0])


def normality_gap(vectors: Float[Tensor, "N D"], *, seed: int = 0) -> float:
    """The mean, over random directions, of the largest gap between their distribution and the normal one.

    Each direction is standardised, so location and scale have no influence. Many independent units of any kind look
    normal in most directions, so a small gap says little. A large gap means that there are groups, or a collapse.
    """
    say("normality")
    rows = vectors.double()  # first: a mean in float32 is off by as much as vectors far from the origin vary
    rows = rows - rows.mean(0)
    with seeded(seed):
        directions = random_slices(rows.shape[1], SLICES, like=rows)
    along = (rows @ directions).sort(0).values
    along = along / along.std(0).clamp_min(1e-300)
    count = len(along)
    normal = torch.special.ndtr(along)
    above = torch.arange(1, count + 1, dtype=torch.float64)[:, None] / count - normal
    gap = torch.maximum(above, 1 / count - above).amax(0)
    return float(gap.mean()) if math.isfinite(float(gap.sum())) else 0.5
