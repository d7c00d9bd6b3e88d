"""NDM, the neural dependency measure: how dependent the units of y are (paper §4.1, Table 4 and A.6).

NDM is the KL divergence between y and y with each unit shuffled over the images on its own. That is the total
correlation KL(p(y) || p(y_1) ... p(y_D)) in nats: 0 if and only if the units are independent. As in the authors' code,
a network 64 -> 1000 -> 200 -> 1 is trained by the KL f-divergence (NWJ), and the figure is the DV value of its scores.

Two things differ from the authors' code. The value is taken on held-out representations, at the step with the best
value on a tenth of the training representations, because a network of 265,000 weights can learn 10,000 vectors by
heart. And each unit is standardised, which changes no KL divergence and keeps e^u in range. A sigmoid on y changes no
KL divergence either: the two figures of the paper (0.18 and 9.18 for DIM(L)) are estimates of one quantity by two
critics, one that reads y and one that reads the sigmoid of y.
"""

import math
import time
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from deepinfomax.data.images import ImageSet
from deepinfomax.errors import UserError
from deepinfomax.evaluation.draws import seeded
from deepinfomax.evaluation.embeddings import EmbeddingsOfY, check_finite
from deepinfomax.evaluation.measure import Figure, Measure, Remark
from deepinfomax.evaluation.scales import Scale, at_scale
from deepinfomax.evaluation.standardising import Standardiser
from deepinfomax.fitting import Best, ScheduledAdam, tenth_after
from deepinfomax.information import bounds
from deepinfomax.information.cautions import OF_DEPENDENCE, Advice, Evidence, cautions
from deepinfomax.information.critics import Mlp
from deepinfomax.progress import counted, within


@dataclass(frozen=True)
class Settings:
    """How the critics are trained; see `ndm`."""

    steps: int
    batch_size: int
    lr: float
    repeats: int


#: "paper": batches of 10000, Adam 1e-4, ×0.1 at 500 and 750. The authors' framework counts epochs, 5 batches each.
SETTINGS: dict[Scale, Settings] = {
    "smoke": Settings(steps=20, batch_size=500, lr=1e-3, repeats=2),
    "cpu": Settings(steps=300, batch_size=500, lr=1e-3, repeats=2),
    "paper": Settings(steps=5000, batch_size=10_000, lr=1e-4, repeats=10),
}
SHUFFLES = 10  #: of the held-out representations; the mean over ten is steadier than that over one
STOPPING_ROWS = 500  #: training representations that choose the step, a tenth of all at most


@dataclass(frozen=True)
class Dependence:
    """Total correlation of the units of y as a critic shows it, in nats."""

    nats: float  #: DV on held-out representations, mean over trainings
    standard_error: float  #: of the held-out rows, together with the spread between trainings
    lower_bound_nats: float  #: DV with its log by the tangent at the stopping rows: a lower bound in expectation
    gaussian_nats: float  #: of a Gaussian with the same correlations: a control without a network; nan for few rows
    train_nats: float  #: DV on training representations
    cap: float  #: log of the held-out rows; DV can exceed it, and should not be believed then
    warning: str | None
    n_train: int
    n_test: int


@dataclass(frozen=True, kw_only=True)
class Result:
    """`Dependence` of the units of an encoder's y, without and with a sigmoid on y."""

    nats: float
    standard_error: float
    lower_bound_nats: float
    gaussian_nats: float
    train_nats: float
    warning: str | None
    nats_sigmoid: float
    standard_error_sigmoid: float
    lower_bound_nats_sigmoid: float
    gaussian_nats_sigmoid: float
    train_nats_sigmoid: float
    warning_sigmoid: str | None
    cap: float
    n_train: int
    n_test: int
    seeds: list[int]
    seconds: float
    protocol: str


def shuffled(y: Tensor, generator: torch.Generator) -> Tensor:
    """(N, D) with each column in an order of its own: rows as if the units were independent."""
    order = torch.rand(y.shape, generator=generator).argsort(0).to(y.device)
    return y.gather(0, order)


def ndm(
    y: Tensor,
    held_out: Tensor,
    *,
    steps: int = 300,
    batch_size: int = 500,
    lr: float = 1e-3,
    repeats: int = 2,
    sigmoid: bool = False,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Dependence:
    """The dependence among the columns of two samples of one distribution.

    Args:
        y, held_out: (N, D), (T, D); the critic sees `held_out` only when it is read out.
        steps, batch_size, lr: of Adam. The learning rate falls to a tenth after half of the steps and again after
            three quarters. Each batch is drawn anew, without replacement; where y has fewer rows, it is all of them.
        repeats: trainings, with seeds seed, seed + 1, ...
        sigmoid: squash y before anything else.

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
    if sigmoid:
        y, held_out = y.sigmoid(), held_out.sigmoid()
    standardise = Standardiser.of(y)
    y, held_out = standardise(y.float()).to(device), standardise(held_out.float()).to(device)
    test_readings, train_readings, lower_bounds = [], [], []
    for one_seed in range(seed, seed + repeats):
        generator = torch.Generator().manual_seed(one_seed)
        order = torch.randperm(len(y), generator=generator).to(device)
        stop, rest = (y[part] for part in order.tensor_split([min(STOPPING_ROWS, len(y) // 10)]))
        with seeded(one_seed):
            critic = Mlp(y.shape[1]).to(device)
        with within(f"critic {one_seed - seed + 1} of {repeats}"):
            _train(critic, rest, stop, steps, batch_size, lr, generator)
        reading, at_stop = _read(critic, held_out, generator), _read(critic, stop, generator)
        # log z <= log z' + z / z' - 1, with the normaliser z' of the stopping rows.
        log_z, tangent_at = reading.log_normaliser, at_stop.log_normaliser
        lower_bounds.append(reading.nats + log_z - tangent_at - math.expm1(min(log_z - tangent_at, 700.0)))
        test_readings.append(reading)
        train_readings.append(_read(critic, rest[: max(len(held_out), 1000)], generator))
    values = torch.tensor([reading.nats for reading in test_readings], dtype=torch.float64)
    between = float(values.var()) / repeats if repeats > 1 else 0.0
    error = math.sqrt(sum(reading.standard_error**2 for reading in test_readings) / repeats + between)
    nats, train_nats = float(values.mean()), sum(reading.nats for reading in train_readings) / repeats
    effective, cap = min(reading.effective_rows for reading in test_readings), math.log(len(held_out))
    evidence = Evidence(
        nats=nats,
        standard_error=error,
        cap=cap,
        train_nats=train_nats,
        effective=effective,
        advice=Advice(steady="give more images"),
        pairs="rows",
        combinations="shuffled rows",
        more="images",
    )
    return Dependence(
        nats=nats,
        standard_error=error,
        lower_bound_nats=sum(lower_bounds) / repeats,
        gaussian_nats=gaussian(held_out),
        train_nats=train_nats,
        cap=cap,
        warning=cautions(OF_DEPENDENCE, evidence),
        n_train=len(y),
        n_test=len(held_out),
    )


def gaussian(y: Tensor) -> float:
    """Total correlation of a Gaussian with the correlations of y (N, D), in nats.

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


def _train(
    critic: nn.Module, y: Tensor, stop: Tensor, steps: int, batch_size: int, lr: float, generator: torch.Generator
) -> None:
    """Train `critic` on rows y (N, D), and leave it with the weights of the largest KL bound on the stopping rows."""
    # The gradient can be infinite, since e^u can overflow; such a step is not taken.
    adam = ScheduledAdam(critic, lr=lr, schedule=tenth_after(steps // 2, 3 * steps // 4), clip=5.0)
    every = max(1, steps // 20)
    stop_shuffled = torch.cat([shuffled(stop, generator) for _ in range(3)])
    best = Best(critic)
    for step in counted(steps, "step"):
        batch = y[torch.randperm(len(y), generator=generator)[:batch_size].to(y.device)]
        adam.step(-bounds.kl(critic(batch).T, critic(shuffled(batch, generator)).T))
        if step % every == 0 or step == steps:
            with torch.no_grad():
                best.keep_if_higher(float(bounds.kl(critic(stop).T, critic(stop_shuffled).T)), step)
    best.restore()


@dataclass(frozen=True)
class _Reading:
    """The DV value of a critic on some rows."""

    nats: float
    standard_error: float
    log_normaliser: float  #: log of the mean of e^u over shuffled rows
    effective_rows: float  #: how many rows of equal weight would make the normaliser as certain


@torch.no_grad()
def _read(critic: nn.Module, y: Tensor, generator: torch.Generator) -> _Reading:
    """DV on rows y (T, D).

    The error treats shuffled rows as independent draws from the product of the marginals, which they nearly are: it
    was 0 to 15 % below the standard deviation over fresh samples, for Gaussians of 6 to 64 units.
    """
    positive = critic(y).squeeze(1).double()
    negative = torch.cat([critic(shuffled(y, generator)) for _ in range(SHUFFLES)]).squeeze(1).double()
    log_ratio = negative - negative.logsumexp(0) + math.log(len(negative))  # log(e^u / mean e^u)
    value = bounds.dv(positive.unsqueeze(0), negative.unsqueeze(0))
    variance = positive.var() / len(y) + log_ratio.exp().var() / len(negative)
    effective = torch.exp(2 * log_ratio.logsumexp(0) - (2 * log_ratio).logsumexp(0))
    log_z = negative.logsumexp(0) - math.log(len(negative))
    return _Reading(float(value), float(variance.sqrt()), float(log_z), float(effective))


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
    """The dependence among the units of an encoder's y, without and with a sigmoid on it.

    Args:
        y_of: gives y of both sets; None: they are embedded here.

    Raises:
        UserError: as `ndm`.
    """
    started = time.monotonic()
    settings = at_scale(SETTINGS, scale)
    y_of = y_of or EmbeddingsOfY(encoder, device)
    y, held_out = y_of(train), y_of(test)
    with within("without a sigmoid"):
        plain = ndm(y, held_out, sigmoid=False, seed=seed, device=device, **asdict(settings))
    with within("with a sigmoid"):
        squashed = ndm(y, held_out, sigmoid=True, seed=seed, device=device, **asdict(settings))
    return Result(
        nats=plain.nats,
        standard_error=plain.standard_error,
        lower_bound_nats=plain.lower_bound_nats,
        gaussian_nats=plain.gaussian_nats,
        train_nats=plain.train_nats,
        warning=plain.warning,
        nats_sigmoid=squashed.nats,
        standard_error_sigmoid=squashed.standard_error,
        lower_bound_nats_sigmoid=squashed.lower_bound_nats,
        gaussian_nats_sigmoid=squashed.gaussian_nats,
        train_nats_sigmoid=squashed.train_nats,
        warning_sigmoid=squashed.warning,
        cap=plain.cap,
        n_train=plain.n_train,
        n_test=plain.n_test,
        seeds=list(range(seed, seed + settings.repeats)),
        seconds=time.monotonic() - started,
        protocol=f"DV on test images of a critic trained by the KL f-divergence, {settings.steps} steps of "
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
        Figure("lower_bound_nats", "Lower bound", "nats", "lower", "below the truth in expectation"),
        Figure("gaussian_nats", "Gaussian control", "nats", "lower", "of a Gaussian with the correlations of y"),
        Figure(
            "nats_sigmoid",
            "After a sigmoid",
            "nats",
            "lower",
            "the same quantity, as a critic sees it there",
            error="standard_error_sigmoid",
        ),
        Figure("lower_bound_nats_sigmoid", "Lower bound after a sigmoid", "nats", "lower", ""),
        Figure("gaussian_nats_sigmoid", "Gaussian control after a sigmoid", "nats", "lower", ""),
        Figure("cap", "Cap", "nats", None, "log of the held-out images, which vouch for no more"),
    ),
    function=measure,
    least=(100, 50),
    takes=("y_of",),
    remarks=(
        Remark("warning", "warning: {warning}", "nats", "{warning}"),
        Remark("warning_sigmoid", "warning of the sigmoid: {warning_sigmoid}", "nats_sigmoid", "{warning_sigmoid}"),
    ),
)
