"""How y is distributed over the images, and how far that is from each prior of the paper (§3.3).

An encoder turns the distribution of images into a distribution of y. `encoder_distribution` returns it as an object
that holds a sample: it can be drawn from, it has moments, and a distance to each prior. The measure `distribution`
gives these distances for reports and tables.

The uniform prior is compared with sigmoid(y), as in training; all others with y itself.
"""

import math
import time
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from deepinfomax.data.images import ImageSet
from deepinfomax.data.in_memory import as_images
from deepinfomax.errors import UserError
from deepinfomax.evaluation.draws import sample, seeded, stream
from deepinfomax.evaluation.embeddings import EmbeddingsOfY, check_finite
from deepinfomax.evaluation.measure import Figure, Measure
from deepinfomax.evaluation.scales import Scale, at_scale
from deepinfomax.fitting import Best, ScheduledAdam, accuracy, mini_batches
from deepinfomax.information.critics import Mlp
from deepinfomax.objectives.prior import Prior, sample_prior
from deepinfomax.objectives.slices import random_slices, standardise
from deepinfomax.progress import counted, within

PRIORS: tuple[Prior, ...] = get_args(Prior)
LEAST = 50  #: vectors

KERNEL_ROWS = 1000  #: of each side, for the kernel's distance, whose cost grows with their square
SHUFFLES = 200  #: of the rows of both sides, for its p-value
LEVEL = 0.05  #: of the test of one slice


@dataclass(frozen=True)
class Settings:
    """Numbers of compared vectors, of slices, and of the classifier's steps."""

    vectors: int
    slices: int
    steps: int


SETTINGS: dict[Scale, Settings] = {
    "smoke": Settings(vectors=300, slices=50, steps=60),
    "cpu": Settings(vectors=5000, slices=500, steps=600),
    "paper": Settings(vectors=10_000, slices=1000, steps=3000),
}


@dataclass(frozen=True)
class PriorDistance:
    """Four measures of the distance between vectors and a prior.

    For vectors drawn from the prior itself, about: classifier 1/2, sliced = sliced_of_prior, slices_rejected 0.05,
    kernel 0, and a p-value below 0.05 in one of twenty samples.
    """

    classifier: float  #: accuracy (fraction) of a network that classifies held-out vectors and prior samples
    classifier_p: float  #: p-value for an accuracy above one half
    sliced: float  #: Wasserstein-2 distance in the mean direction, in standard deviations of the prior
    sliced_of_prior: float  #: the same for two samples of the prior: smaller distances cannot be seen
    slices_rejected: float  #: share of random directions in which a Kolmogorov-Smirnov test rejects at 5 %
    kernel: float  #: squared maximum mean discrepancy of a Gaussian kernel, unbiased: 0 in expectation for the prior
    kernel_p: float  #: p-value of it, by shuffling


@dataclass(frozen=True, eq=False)
class EncoderDistribution:
    """The distribution of y over images, represented by a sample.

    Attributes:
        vectors: (N, D), y of N images.
    """

    vectors: Tensor

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or len(self.vectors) < LEAST:
            raise UserError(
                f"a distribution is known by {LEAST} vectors (N, D) or more, not {tuple(self.vectors.shape)}"
            )
        check_finite(self.vectors, "y")

    def sample(self, count: int, *, seed: int = 0) -> Tensor:
        """(count, D): vectors of images drawn at random with replacement."""
        generator = torch.Generator().manual_seed(seed)
        return self.vectors[torch.randint(len(self.vectors), (count,), generator=generator)]

    @cached_property
    def mean(self) -> Tensor:
        """(D,)"""
        return self.vectors.double().mean(0)

    @cached_property
    def covariance(self) -> Tensor:
        """(D, D), with N - 1 in the denominator."""
        return torch.cov(self.vectors.double().T).reshape(self.vectors.shape[1], -1)

    def squashed(self, prior: Prior) -> Tensor:
        """Vectors (N, D) to compare with a prior: sigmoid(y) for the uniform one, else y."""
        return torch.sigmoid(self.vectors) if prior == "uniform" else self.vectors

    def distance(self, prior: Prior, *, seed: int = 0, slices: int = 500, steps: int = 600) -> PriorDistance:
        """How far the distribution is from a prior.

        Args:
            slices: random directions.
            steps: of the classifier's training.

        Raises:
            UserError: an unknown prior.
        """
        if prior not in PRIORS:
            raise UserError(f"unknown prior {prior!r}; choose one of {', '.join(PRIORS)}")
        vectors = self.squashed(prior).float()
        # Not the seed itself: if the user drew the vectors with it, the prior's samples would be the same numbers.
        with seeded(int(stream(seed, "prior").integers(2**63))):
            theirs, others = (sample_prior(prior, vectors.shape, vectors) for _ in range(2))
            directions = random_slices(vectors.shape[1], slices, like=vectors)
            own, prior_own, prior_other = (
                (standardise(rows, prior) @ directions).sort(0).values for rows in (vectors, theirs, others)
            )
            share, p_value = told_apart(vectors, theirs, steps=steps)
        kernel, kernel_p = kernel_distance(vectors, theirs, seed=seed)
        return PriorDistance(
            classifier=share,
            classifier_p=p_value,
            sliced=wasserstein(own, prior_own),
            sliced_of_prior=wasserstein(prior_other, prior_own),
            slices_rejected=rejected(own, prior_own),
            kernel=kernel,
            kernel_p=kernel_p,
        )


def encoder_distribution(
    encoder: nn.Module | str | Path, data: Any, *, device: str | None = None
) -> EncoderDistribution:
    """The distribution of y that an encoder gives for these data.

    Args:
        encoder: images -> Features, or the folder of a run.
        data: an `ImageSet`, or what `data.as_images` takes: arrays, tensors, a data set, a loader.

    Raises:
        UserError: fewer than 50 images, y that is not finite, a folder without an encoder.
    """
    from deepinfomax.encoders.storage import load

    network = encoder if isinstance(encoder, nn.Module) else load(encoder)
    return EncoderDistribution(EmbeddingsOfY(network, device)(as_images(data)))


def wasserstein(first: Float[Tensor, "N S"], second: Float[Tensor, "N S"]) -> float:
    """Wasserstein-2 distance of sorted columns: root of the mean over rows and columns."""
    return float((first - second).double().square().mean().sqrt())


def rejected(first: Float[Tensor, "N S"], second: Float[Tensor, "N S"], level: float = LEVEL) -> float:
    """Share of sorted columns in which a two-sample Kolmogorov-Smirnov test rejects at `level`.

    Uses the limit of Kolmogorov's distribution, which rejects a little too rarely for small N.
    """
    from scipy.stats import kstwobign  # a slow import

    count = len(first)
    first, second = (side.T.contiguous() for side in (first, second))
    # The distributions (S, N) at the values of the first, and just below them, where the second may have values too.
    at, below = (
        torch.searchsorted(first, first, right=right) - torch.searchsorted(second, first, right=right)
        for right in (True, False)
    )
    gap = torch.maximum(at.abs().amax(1), below.abs().amax(1)).double() / count
    return float((gap > kstwobign.isf(level) * math.sqrt(2 / count)).double().mean())


def told_apart(vectors: Float[Tensor, "N D"], prior: Float[Tensor, "N D"], *, steps: int) -> tuple[float, float]:
    """The classifier two-sample test (Lopez-Paz & Oquab 2017, arXiv 1610.06545).

    A network is trained to classify half of the vectors and of the prior's samples. A tenth of that half chooses the
    best step.

    Returns:
        Its accuracy on the other half, and the p-value: if both have the same distribution, the number of right answers
        is binomial with probability 1/2.
    """
    from scipy.stats import binom  # a slow import

    half = len(vectors) // 2
    order = torch.stack([torch.randperm(len(vectors)), torch.randperm(len(prior)) + len(vectors)])
    rows = (torch.cat([vectors, prior]) - prior.mean(0)) / prior.std(0).clamp_min(1e-6)
    labels = (torch.arange(len(rows)) >= len(vectors)).long()
    train, test = order[:, :half].flatten(), order[:, half : 2 * half].flatten()
    stop, train = train[torch.randperm(len(train))].tensor_split([max(1, len(train) // 10)])
    network = Mlp(rows.shape[1], (200, 200), outputs=2)
    adam, best = ScheduledAdam(network, lr=1e-3), Best(network)
    batches, every = mini_batches(len(train), 250), max(1, steps // 20)

    def right(part: Tensor) -> float:
        return accuracy(lambda few: network(rows[part[few]]), labels[part])

    for step in counted(steps, "step"):
        batch = train[next(batches)]
        adam.step(cross_entropy(network(rows[batch]), labels[batch]))
        if step % every == 0 or step == steps:
            best.keep_if_higher(right(stop), step)
    best.restore()
    share = right(test)
    return share, float(binom.sf(round(share * len(test)) - 1, len(test), 0.5))


def kernel_distance(
    vectors: Float[Tensor, "N D"], prior: Float[Tensor, "M D"], *, seed: int = 0, shuffles: int = SHUFFLES
) -> tuple[float, float]:
    """Squared maximum mean discrepancy of a Gaussian kernel, and its p-value (Gretton et al. 2012).

    The kernel's width is the median distance of all rows; at most 1,000 rows of each side are used. The p-value comes
    from random divisions of the same rows into two sides.
    """
    rng = stream(seed, "kernel")
    count = min(len(vectors), len(prior), KERNEL_ROWS)
    chosen = [rows[np.sort(rng.permutation(len(rows))[:count])].double() for rows in (vectors, prior)]
    rows = torch.cat(chosen)
    squared = torch.cdist(rows, rows).square()
    kernel = torch.exp(-squared / squared.median().clamp_min(1e-12)).fill_diagonal_(0)

    def discrepancy(side: Tensor) -> Tensor:
        """side (K, 2n) of +1 and -1 -> (K,); sums over pairs of different rows."""
        within = (kernel.sum() + ((side @ kernel) * side).sum(1)) / 2
        across = kernel.sum() - within
        return within / (count * (count - 1)) - across / count**2

    seen = torch.ones(1, 2 * count, dtype=torch.float64)
    seen[:, count:] = -1
    dealt = torch.from_numpy(rng.permuted(np.repeat(seen.numpy(), shuffles, 0), axis=1))
    value, others = float(discrepancy(seen)), discrepancy(dealt).numpy()
    return value, float((1 + np.count_nonzero(others >= value)) / (1 + shuffles))


@dataclass(frozen=True, kw_only=True)
class Result:
    """The classifier's share for each prior, and all distances of each."""

    uniform: float
    gaussian: float
    ball: float
    sphere: float
    mean_norm: float  #: length of the mean of y
    standard_deviation: float  #: root of the mean variance of a unit
    priors: dict[str, dict[str, float]]  #: prior -> the fields of `PriorDistance`
    n_test: int
    protocol: str
    seconds: float


def of_vectors(vectors: Float[Tensor, "N D"], *, scale: Scale = "cpu", seed: int = 0) -> Result:
    """Compare embeddings with each prior; the scale says how many of them are used."""
    began = time.perf_counter()
    settings = at_scale(SETTINGS, scale)
    drawn = stream(seed, "distribution").permutation(len(vectors))[: settings.vectors]
    of_y = EncoderDistribution(vectors[np.sort(drawn)])
    distances = {}
    for prior in PRIORS:
        with within(prior):
            distances[prior] = of_y.distance(prior, seed=seed, slices=settings.slices, steps=settings.steps)
    return Result(
        **{prior: distance.classifier for prior, distance in distances.items()},
        mean_norm=float(of_y.mean.norm()),
        standard_deviation=float(of_y.covariance.diagonal().mean().sqrt()),
        priors={prior: asdict(distance) for prior, distance in distances.items()},
        n_test=len(of_y.vectors),
        protocol=f"{len(of_y.vectors)} test vectors against as many samples of each prior; classifier of two layers of "
        f"200 units, {settings.steps} steps, half held out; {settings.slices} random directions",
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
    """Compare the distribution of y over test images with each prior; the training images are not used."""
    part = sample(test, at_scale(SETTINGS, scale).vectors, stream(seed, "images of the distribution"))
    return of_vectors((y_of or EmbeddingsOfY(encoder, device))(part), scale=scale, seed=seed)


MEASURE = Measure(
    name="distribution",
    title="Distribution of y",
    of="encoder",
    labels=None,
    figures=(
        Figure("uniform", "told from uniform", "fraction", None, "share of sigmoid(y) told from samples; 1/2: none"),
        Figure("gaussian", "told from Gaussian", "fraction", None, "share of y told from samples; 1/2: none"),
        Figure("ball", "told from ball", "fraction", None, "the same of the unit ball"),
        Figure("sphere", "told from sphere", "fraction", None, "the same of the unit sphere"),
        Figure("standard_deviation", "spread of y", "", None, "root of the mean variance of a unit"),
    ),
    function=measure,
    protocol="y of test images",
    least=(0, LEAST),
    takes=("y_of",),
)
