"""How much y tells about the image, measured by a decoder: I(x; y) >= H(x) - R(x | y) (the paper's related work).

R is what a decoder still has to say of the image once it knows y: E[-log q(x | y)] of a density q. The bound has one
unknown, the entropy H(x) of images. So it is taken of p, the leading principal components of the image, whose entropy a
Gaussian nearly has; q is a Gaussian too, around a network's answer, with the full covariance of its errors.

    I(x; y) >= I(p; y) = h(p) - h(p | y) >= h(p) - R(p | y): the first since p is a function of the image, the second
    since R(p | y) - h(p | y) is the mean KL divergence of the true density to q, and no KL divergence is negative.
    h(p) = h(Gaussian of the covariance of p) - J with J = KL(p || that Gaussian) >= 0.

`nats` is the reduction of these nats, h(Gaussian) - R(p | y), on test images: I(x; y) >= nats - J in expectation. J is
of the images alone and the same for every encoder, so a difference of two encoders is the difference of their bounds;
where components are Gaussian J is 0 and nats itself is a bound, exact for a linear y with Gaussian noise. The squared
error of other decoders is R of a round Gaussian, the absolute error that of a Laplace density with one scale for all;
neither knows that errors of components differ and go together.

`lower_bound_nats` needs neither h(p) nor a Gaussian: the decoder's density as the critic of infoNCE. It cannot pass
the log of the test images in a block.

Bytes and other whole numbers are made continuous by uniform noise of one step: without it a density could grow without
end where it names the number. Noise on x can only lower the information.
"""

import math
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn
from torch.distributions import MultivariateNormal
from torch.nn.functional import mse_loss

from deepinfomax.data.channels import Channels
from deepinfomax.data.images import ImageSet
from deepinfomax.errors import UserError
from deepinfomax.evaluation.controls import pixels, pixels_pca
from deepinfomax.evaluation.draws import seeded, stream
from deepinfomax.evaluation.embeddings import EmbeddingsOfY, check_finite
from deepinfomax.evaluation.measure import Figure, Measure
from deepinfomax.evaluation.scales import Scale, at_scale
from deepinfomax.evaluation.standardising import Standardiser
from deepinfomax.fitting import Best, ScheduledAdam, cosine, mini_batches
from deepinfomax.information.critics import Mlp
from deepinfomax.progress import counted


@dataclass(frozen=True)
class Settings:
    """The number of components, images and steps."""

    components: int
    images: int
    test_images: int
    steps: int


SETTINGS: dict[Scale, Settings] = {
    "smoke": Settings(components=16, images=500, test_images=500, steps=30),
    "cpu": Settings(components=64, images=10_000, test_images=2000, steps=600),
    "paper": Settings(components=256, images=50_000, test_images=10_000, steps=5000),
}
VALUES = 2**28  #: largest number of values of the decoded images together: 1 GiB
BLOCK = 1000  #: test images from which the right one is identified by its y
HIDDEN = (256, 256)
ENOUGH = 10  #: rows per component from which on the sample covariance is used without shrinking
BYTE = 2 / 255  #: one step of a byte in [-1, 1], where it is not standardised


@dataclass(frozen=True)
class Decoded:
    """How much y tells about p, in nats, on held-out rows: means and their standard errors."""

    nats: float  #: entropy_nats - reconstruction_nats: a bound on I(p; y) where p is Gaussian
    standard_error: float
    entropy_nats: float  #: of p under a Gaussian fitted to the training rows: h(p) or more
    reconstruction_nats: float  #: R(p | y): h(p | y) or more
    lower_bound_nats: float  #: infoNCE with the decoder as critic: a bound on I(p; y) whatever p is
    lower_bound_standard_error: float
    cap: float  #: log of the rows in a block, which lower_bound_nats cannot pass


@dataclass(frozen=True, kw_only=True)
class Result:
    """`Decoded` of the principal components of images."""

    nats: float
    standard_error: float
    entropy_nats: float
    reconstruction_nats: float
    lower_bound_nats: float
    lower_bound_standard_error: float
    cap: float
    components: int
    n_train: int
    n_test: int
    protocol: str
    settings: dict[str, Any]
    seconds: float


def decode(
    y: Float[Tensor, "N units"],
    p: Float[Tensor, "N k"],
    y_test: Float[Tensor, "T units"],
    p_test: Float[Tensor, "T k"],
    *,
    steps: int = 600,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Decoded:
    """How much y tells about p, by a decoder that is trained on `y` and `p` and read on `y_test` and `p_test`.

    The decoder begins as the least-squares solution. A network learns the remaining errors, scaled so that the squared
    error is the likelihood. A fifth of the training rows is not trained on: it chooses the best step, and gives the
    covariance of the errors, which would be too small on trained rows.

    Args:
        steps: of the network; 0: the linear solution alone.
    """
    standardiser = Standardiser.of(y)
    units, units_test = standardiser(y), standardiser(y_test)
    order = torch.from_numpy(stream(seed, "rows of the decoder").permutation(len(y)))
    stop, fit = order.tensor_split([len(order) // 5])
    weights = least_squares(units[fit], p[fit])
    root = torch.linalg.cholesky(covariance_of((p[fit] - with_one(units[fit]) @ weights).double()))

    def in_errors(rows: Tensor) -> Tensor:
        return torch.linalg.solve_triangular(root, rows.double().T, upper=False).T

    truth, truth_test = in_errors(p), in_errors(p_test)
    linear, linear_test = (in_errors(with_one(part) @ weights) for part in (units, units_test))
    with seeded(seed, device):
        network = Mlp(units.shape[1], HIDDEN, outputs=p.shape[1]).to(device)
        last = network[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

        @torch.no_grad()
        def answer(part: Tensor, linear_part: Tensor) -> Tensor:
            return linear_part + torch.cat([network(rows.to(device)).cpu().double() for rows in part.split(5000)])

        def likelihood() -> float:
            """Log-likelihood of the stopping rows up to a constant, by a Gaussian with their errors' covariance."""
            return -0.5 * float(torch.logdet(covariance_of(truth[stop] - answer(units[stop], linear[stop]))))

        adam, best = ScheduledAdam(network, lr=1e-3, schedule=cosine(max(1, steps))), Best(network)
        batches, every = mini_batches(len(fit), 250), max(1, steps // 20)
        rest = (truth - linear).float()
        best.keep_if_higher(likelihood(), 0)
        for step in counted(steps, "step"):
            rows = fit[next(batches)]
            adam.step(mse_loss(network(units[rows].to(device)), rest[rows].to(device)))
            if step % every == 0 or step == steps:
                best.keep_if_higher(likelihood(), step)
        best.restore()
        errors = truth[stop] - answer(units[stop], linear[stop])
        answers = answer(units_test, linear_test)
    marginal = MultivariateNormal(truth.mean(0), covariance_of(truth - truth.mean(0)))
    noise = MultivariateNormal(torch.zeros_like(errors[0]), covariance_of(errors))
    without_y, with_y = marginal.log_prob(truth_test), noise.log_prob(truth_test - answers)
    among, volume = told_among(truth_test, answers, noise), float(root.diagonal().log().sum())
    return Decoded(
        nats=float((with_y - without_y).mean()),
        standard_error=standard_error(with_y - without_y),
        entropy_nats=volume - float(without_y.mean()),
        reconstruction_nats=volume - float(with_y.mean()),
        lower_bound_nats=float(among.mean()),
        lower_bound_standard_error=standard_error(among),
        cap=math.log(min(BLOCK, len(p_test))),
    )


def steps_of(images: ImageSet, channels: Channels | None) -> Float[Tensor, "values"]:
    """The size of one step of whole numbers in the output of `pixels`, for each value of an image."""
    step = BYTE if images.images.dtype == np.uint8 else 1.0
    each = torch.full((images.shape[0],), step) if channels is None else step / torch.tensor(channels.sd)
    return each.float().repeat_interleave(math.prod(images.shape[1:]))


def with_one(units: Float[Tensor, "N units"]) -> Float[Tensor, "N more"]:
    """Append a unit that is always 1."""
    return torch.cat([units, torch.ones(len(units), 1)], 1)


def least_squares(units: Float[Tensor, "N units"], p: Float[Tensor, "N k"]) -> Float[Tensor, "more k"]:
    """Least-squares weights for `with_one(units)`, with a small ridge in case units are equal."""
    rows = with_one(units).double()
    ridge = 1e-6 * len(rows) * torch.eye(rows.shape[1], dtype=torch.float64)
    return torch.linalg.solve(rows.T @ rows + ridge, rows.T @ p.double()).float()


def covariance_of(centred: Float64[Tensor, "N k"]) -> Float64[Tensor, "k k"]:
    """Covariance of centred rows; for few rows by Ledoit and Wolf, whose shrinking is too strong for many rows."""
    from sklearn.covariance import ledoit_wolf  # a slow import

    count, k = centred.shape
    if count >= ENOUGH * k:
        return centred.T @ centred / count + 1e-9 * torch.eye(k, dtype=centred.dtype)
    shrunk, _ = ledoit_wolf(centred.numpy(), assume_centered=True)
    return torch.from_numpy(np.atleast_2d(shrunk))


def told_among(
    p: Float64[Tensor, "T k"], answers: Float64[Tensor, "T k"], noise: MultivariateNormal
) -> Float64[Tensor, "T"]:
    """log q(p | own y) - log of the mean of q(p | y) over all y of a block, including its own; at most log(rows)."""
    blocks = []
    for rows, means in zip(p.split(BLOCK), answers.split(BLOCK), strict=True):
        whitened = [torch.linalg.solve_triangular(noise.scale_tril, x.T, upper=False).T for x in (rows, means)]
        scores = -0.5 * torch.cdist(whitened[0], whitened[1]).square()
        blocks.append(scores.diagonal() - scores.logsumexp(1) + math.log(len(rows)))
    return torch.cat(blocks)


def standard_error(values: Float[Tensor, "T"]) -> float:
    return float(values.std() / math.sqrt(len(values)))


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
    """How much y tells about the principal components of images, each scaled to standard deviation 1.

    Args:
        y_of: gives y of both sets; None: they are embedded here.

    Raises:
        UserError: y is not finite, or all training images are the same.
    """
    began = time.perf_counter()
    settings = at_scale(SETTINGS, scale)
    MEASURE.check_counts(len(train), len(test))
    y_of = y_of or EmbeddingsOfY(encoder, device)
    most = max(1000, VALUES // math.prod(train.shape))
    counts = (min(settings.images, most), min(settings.test_images, most))
    channels = Channels.to_compare(train)
    vectors, flat = [], []
    for images, count, which in zip((train, test), counts, ("training", "test"), strict=True):
        rows = np.sort(stream(seed, f"{which} images of the decoder").permutation(len(images))[:count])
        vectors.append(y_of(images)[torch.from_numpy(rows)])
        numbers = pixels(images.take(rows), channels)
        if which == "training" and bool((numbers == numbers[0]).all()):
            raise UserError(f"decoding: all training images of {train.name or 'the data'} are the same")
        if images.images.dtype.kind in "ui":
            with seeded(int(stream(seed, f"{which} noise").integers(2**63))):
                numbers += steps_of(images, channels) * (torch.rand(numbers.shape) - 0.5)
        flat.append(numbers)
        check_finite(vectors[-1], "y")
    p, p_test = pixels_pca(flat[0], flat[1], settings.components, seed)
    deviations = p.std(0)
    varies = deviations > 1e-4 * deviations.max()
    p, p_test = (part[:, varies] / deviations[varies] for part in (p, p_test))
    decoded = decode(vectors[0], p, vectors[1], p_test, steps=settings.steps, seed=seed, device=device)
    return Result(
        **asdict(decoded),
        components=p.shape[1],
        n_train=len(p),
        n_test=len(p_test),
        protocol=f"Gaussian decoder of {p.shape[1]} principal components from y, least squares and a network of two "
        f"layers of {HIDDEN[0]} units, {settings.steps} steps at most",
        settings=asdict(settings) | {"scale": scale},
        seconds=time.perf_counter() - began,
    )


MEASURE = Measure(
    name="decoding",
    title="Decoding",
    of="encoder",
    labels=None,
    figures=(
        Figure(
            "nats",
            "Told of the image",
            "nats",
            "higher",
            "by how much y shortens the description of the image's principal components",
            error="standard_error",
        ),
        Figure(
            "lower_bound_nats",
            "Lower bound",
            "nats",
            "higher",
            "of the information, whatever images are like; at most the cap",
            error="lower_bound_standard_error",
        ),
        Figure("cap", "Cap", "nats", None, "of the lower bound: log of the number of test images in a block"),
        Figure("reconstruction_nats", "Left to say", "nats", "lower", "of the components once y is known"),
        Figure("entropy_nats", "To say without y", "nats", None, "of the components, under a Gaussian"),
    ),
    function=measure,
    least=(100, 50),
    takes=("y_of",),
)
