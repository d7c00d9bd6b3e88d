"""NDM, the neural dependency measure: how dependent the units of y are (paper §4.1, Table 4 and A.6).

NDM is the KL divergence between y and y with each unit shuffled over the images on its own. That is the total
correlation KL(p(y) || p(y_1) ... p(y_D)) in nats: 0 if and only if the units are independent.

The authors train a network 64 -> 1000 -> 200 -> 1 by the KL f-divergence and read its DV value. Such a value cannot
pass log N and its normaliser rests on a few rows where the dependence is large: of a Gaussian of 64 units and 4 nats it
read -4.7, at more the cap. Here the critic is u = log q(z) - Σ log N(z_i), q a density that a network makes
(`information.density`) and z the units' ranks as normal quantiles, which have the total correlation of y. Then E e^u
over independent units is 1, the DV value is the mean of u over held-out rows, and that is below the truth by KL(p || q)
in expectation, whatever the truth is. Since only ranks count, a sigmoid on y changes nothing: the paper's two figures
(0.18 and 9.18 for DIM(L)) are two readings of this one quantity.

Rows that fall into groups are the weak point of a density that goes unit by unit: of ten groups far apart it read 36.1
of 40.8 nats. A mixture of Gaussians, fitted in a second, is another density and as much a lower bound; where it shows
more of the same rows, the warning says so.
"""

import math
import time
from dataclasses import asdict, dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from deepinfomax.data.images import ImageSet
from deepinfomax.errors import UserError
from deepinfomax.evaluation.draws import seeded
from deepinfomax.evaluation.embeddings import EmbeddingsOfY, check_finite
from deepinfomax.evaluation.measure import Figure, Measure, Remark
from deepinfomax.evaluation.scales import Scale, at_scale
from deepinfomax.evaluation.standardising import Standardiser
from deepinfomax.fitting import Best, ScheduledAdam, cosine, mini_batches
from deepinfomax.information.cautions import OF_DEPENDENCE, Advice, Evidence, cautions
from deepinfomax.information.density import AutoregressiveDensity, correlations, mixture_log_ratio, normal_scores
from deepinfomax.progress import counted, within


@dataclass(frozen=True)
class Settings:
    """How the densities are trained; see `ndm`."""

    steps: int
    batch_size: int
    lr: float
    repeats: int


#: "paper": as many trainings as in the paper's A.6
SETTINGS: dict[Scale, Settings] = {
    "smoke": Settings(steps=60, batch_size=250, lr=2e-3, repeats=1),
    "cpu": Settings(steps=600, batch_size=500, lr=2e-3, repeats=2),
    "paper": Settings(steps=5000, batch_size=500, lr=2e-3, repeats=10),
}
STOPPING_ROWS = 1000  #: training representations that choose the step, a tenth of all at most


@dataclass(frozen=True)
class Dependence:
    """Total correlation of the units of y as a density shows it, in nats."""

    nats: float  #: on held-out representations, mean over trainings; below the truth in expectation
    standard_error: float  #: of the held-out rows, together with the spread between trainings
    #: of a Gaussian with the same correlations: a control without a network; nan for few rows. Where units have long
    #: tails a few rows make their correlations, and it can be above the truth; that of the ranks cannot
    gaussian_nats: float
    train_nats: float  #: the same on training representations; the truth is mostly below
    mixture_nats: float  #: on held-out representations by a mixture of Gaussians; below the truth in expectation too
    warning: str | None
    n_train: int
    n_test: int


@dataclass(frozen=True, kw_only=True)
class Result:
    """`Dependence` of the units of an encoder's y."""

    nats: float
    standard_error: float
    gaussian_nats: float
    train_nats: float
    mixture_nats: float
    warning: str | None
    n_train: int
    n_test: int
    seeds: list[int]
    seconds: float
    protocol: str


def ndm(
    y: Float[Tensor, "N D"],
    held_out: Float[Tensor, "T D"],
    *,
    steps: int = 600,
    batch_size: int = 500,
    lr: float = 2e-3,
    repeats: int = 2,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Dependence:
    """The dependence among the columns of two samples of one distribution.

    Args:
        y, held_out: the density is trained on `y` and read on `held_out`. Both give the ranks.
        steps, batch_size, lr: of Adam; the learning rate falls to 0 as a cosine. Where y has fewer rows than a batch,
            it is all of them.
        repeats: trainings, with seeds seed, seed + 1, ...

    Raises:
        UserError: fewer than 2 units, fewer than 100 or 50 rows, different units, values that are not finite.
    """
    if y.ndim != 2 or held_out.ndim != 2 or y.shape[1] != held_out.shape[1]:
        raise UserError(f"y {tuple(y.shape)} and held_out {tuple(held_out.shape)} must be (N, D) with the same D")
    if y.shape[1] < 2:
        raise UserError("y has a single unit, which depends on no other: ndm needs at least 2")
    MEASURE.check_counts(len(y), len(held_out))
    check_finite(y, "y")
    check_finite(held_out, "held_out")
    test_readings, train_readings, errors, of_rows = [], [], [], []
    for one_seed in range(seed, seed + repeats):
        rest, stop, z_held_out, generator = _ranks(y, held_out, one_seed, device)
        with seeded(one_seed), within(f"density {one_seed - seed + 1} of {repeats}"):
            density = AutoregressiveDensity(correlations(rest.cpu(), stop.cpu())).to(device)
            _train(density, rest, stop, steps, batch_size, lr, generator)
        readings = _read(density, z_held_out)
        of_rows.append(readings)
        test_readings.append(float(readings.mean()))
        errors.append(float(readings.var() / len(readings)))
        train_readings.append(float(_read(density, rest[: max(len(held_out), 1000)]).mean()))
    values = torch.tensor(test_readings, dtype=torch.float64)
    between = float(values.var()) / repeats if repeats > 1 else 0.0
    error = math.sqrt(sum(errors) / repeats + between)
    nats, train_nats, of_gaussian = float(values.mean()), sum(train_readings) / repeats, gaussian(held_out)
    of_mixture = by_mixture(y, held_out, seed)
    more_than_density = of_mixture - torch.stack(of_rows).mean(0)
    still = Standardiser.of(y).constant_units
    evidence = Evidence(
        nats=nats,
        standard_error=error,
        train_nats=train_nats,
        gaussian=of_gaussian,
        mixture=float(of_mixture.mean()),
        mixture_error=float(more_than_density.std()) / math.sqrt(len(held_out)),
        advice=Advice(steady="give more images"),
        pairs="rows",
        more="images",
        units=y.shape[1],
        still=still,
    )
    return Dependence(
        nats=nats,
        standard_error=error,
        gaussian_nats=of_gaussian,
        train_nats=train_nats,
        mixture_nats=float(of_mixture.mean()),
        warning=cautions(OF_DEPENDENCE, evidence),
        n_train=len(y),
        n_test=len(held_out),
    )


def gaussian(y: Float[Tensor, "N D"]) -> float:
    """Total correlation of a Gaussian with the correlations of y, in nats.

    inf where a unit is a linear function of others; nan for N <= D + 1. Of a sample, -½ log det of the correlations is
    too high on average, by about D² / 4N. The exact amount does not depend on the correlations (Bartlett's
    decomposition of a Wishart matrix), and is subtracted.
    """
    moving = y[:, y.std(0) > 0].double()
    n, units = moving.shape
    if units < 2:
        return 0.0
    if n <= units + 1:
        return math.nan
    correlations = torch.corrcoef(moving.T)
    if torch.linalg.matrix_rank(correlations, hermitian=True) < units:
        return math.inf
    degrees = torch.arange(n - 1, n - 1 - units, -1, dtype=torch.float64) / 2
    bias = -0.5 * (torch.digamma(degrees) - torch.digamma(degrees[0])).sum()
    return float(-0.5 * torch.logdet(correlations) - bias)


def by_mixture(y: Float[Tensor, "N D"], held_out: Float[Tensor, "T D"], seed: int = 0) -> Float64[Tensor, "T"]:
    """What a mixture of Gaussians shows of each held-out row, in nats; the mean is below the truth in expectation."""
    rest, stop, z_held_out, _ = _ranks(y, held_out, seed, "cpu")
    return mixture_log_ratio(rest, stop, z_held_out, seed)


def _ranks(
    y: Tensor, held_out: Tensor, seed: int, device: torch.device | str
) -> tuple[Tensor, Tensor, Tensor, torch.Generator]:
    """Normal scores of training, stopping and held-out rows, and the generator after the draws that this took."""
    generator = torch.Generator().manual_seed(seed)
    scores = normal_scores(torch.cat([y.float(), held_out.to(y.device).float()]), generator).to(device)
    z, z_held_out = scores.split([len(y), len(held_out)])
    order = torch.randperm(len(z), generator=generator).to(device)
    stop, rest = (z[part] for part in order.tensor_split([min(STOPPING_ROWS, len(z) // 10)]))
    return rest, stop, z_held_out, generator


def _train(
    density: AutoregressiveDensity,
    z: Float[Tensor, "N D"],
    stop: Float[Tensor, "T D"],
    steps: int,
    batch_size: int,
    lr: float,
    generator: torch.Generator,
) -> None:
    """Train `density` on rows z, and leave it with the weights that the stopping rows find likeliest."""
    adam = ScheduledAdam(density, lr=lr, schedule=cosine(steps), clip=5.0)
    batches = mini_batches(len(z), batch_size, generator=generator)
    best, every = Best(density), max(1, steps // 30)
    best.keep_if_higher(float(_read(density, stop).mean()), 0)
    for step in counted(steps, "step"):
        density.train()
        adam.step(-density(z[next(batches).to(z.device)]).mean())
        if step % every == 0 or step == steps:
            best.keep_if_higher(float(_read(density, stop).mean()), step)
    best.restore()


@torch.no_grad()
def _read(density: AutoregressiveDensity, z: Float[Tensor, "T D"]) -> Float64[Tensor, "T"]:
    """The log-ratio of every row, in nats."""
    density.eval()
    return torch.cat([density(rows).cpu().double() for rows in z.split(1000)])


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
    """The dependence among the units of an encoder's y.

    Args:
        y_of: gives y of both sets; None: they are embedded here.

    Raises:
        UserError: as `ndm`.
    """
    started = time.monotonic()
    settings = at_scale(SETTINGS, scale)
    y_of = y_of or EmbeddingsOfY(encoder, device)
    dependence = ndm(y_of(train), y_of(test), seed=seed, device=device, **asdict(settings))
    return Result(
        **asdict(dependence),
        seeds=list(range(seed, seed + settings.repeats)),
        seconds=time.monotonic() - started,
        protocol=f"held-out log-ratio of an autoregressive density of the units' ranks, {settings.steps} steps of "
        f"{settings.batch_size}, scale {scale}",
    )


MEASURE = Measure(
    name="ndm",
    title="NDM",
    of="encoder",
    labels=None,
    figures=(
        Figure(
            "nats",
            "Dependence of units",
            "nats",
            "lower",
            "0: the units of y are independent",
            error="standard_error",
        ),
        Figure("gaussian_nats", "Gaussian control", "nats", "lower", "of a Gaussian with the correlations of y"),
        Figure("mixture_nats", "Mixture control", "nats", "lower", "of a mixture of Gaussians, another lower bound"),
        Figure("train_nats", "On training images", "nats", None, "mostly above the truth"),
    ),
    function=measure,
    least=(100, 50),
    takes=("y_of",),
    remarks=(Remark("warning", "warning: {warning}", "nats", "{warning}"),),
)
