"""NDM, the neural dependency measure: how dependent the units of y are (paper §4.1, Table 4 and A.6).

The KL divergence between y and y with each unit shuffled over the images on its own, which is the total correlation
KL(p(y) || p(y_1) ... p(y_D)) in nats: 0 if and only if the units are independent. As the authors have it, a network
64 -> 1000 -> 200 -> 1 is trained by the KL f-divergence (NWJ), and the DV value of its scores is reported.

Two things differ from the authors' code: the value is taken on held-out representations, at the step that served a
tenth of the training ones best, since a network of 265,000 weights fits 10,000 vectors; and each unit is standardised,
which changes no KL divergence and keeps e^u in range. A sigmoid on y changes none either: the two figures of the paper
(0.18 and 9.18 for DIM(L)) are one quantity as two critics see it, before and after the squashing.
"""

import copy
import math
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from deepinfomax.data.images import ImageSet
from deepinfomax.errors import UserError
from deepinfomax.evaluation.draws import seeded
from deepinfomax.evaluation.embeddings import EmbeddingsOfY, check_finite
from deepinfomax.evaluation.old import check_counts
from deepinfomax.evaluation.scales import Scale, at_scale
from deepinfomax.evaluation.standardising import Standardiser
from deepinfomax.information import bounds
from deepinfomax.information.critics import Mlp
from deepinfomax.old_progress import Say, after, counted, silent

# "paper": batches of 10000, Adam 1e-4, times 0.1 at 500 and 750. The authors' framework counts epochs, 5 batches each.
SETTINGS: dict[Scale, dict[str, Any]] = {
    "smoke": {"steps": 20, "batch_size": 500, "lr": 1e-3, "repeats": 2},
    "cpu": {"steps": 300, "batch_size": 500, "lr": 1e-3, "repeats": 2},
    "paper": {"steps": 5000, "batch_size": 10_000, "lr": 1e-4, "repeats": 10},
}
SHUFFLES = 10  #: of the held-out representations: a steadier mean than one gives
STOPPING_ROWS = 500


@dataclass(frozen=True)
class Dependence:
    """Total correlation of the units of y as a critic shows it, in nats."""

    nats: float  #: DV on held-out representations, mean over trainings
    standard_error: float  #: of the held-out rows, joined with the spread between trainings
    lower_bound_nats: float  #: DV, its log by the tangent at other shuffles: a lower bound in expectation
    gaussian_nats: float  #: of a Gaussian with the same correlations: a control without a network; nan for few rows
    train_nats: float  #: DV on training representations
    cap: float  #: log of the held-out rows: a caution, DV can exceed it and should not be believed there
    warning: str | None
    n_train: int
    n_test: int


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
    progress: Say = silent,
) -> Dependence:
    """The dependence among the columns of two samples of one distribution.

    Args:
        y, held_out: (N, D), (T, D); the critic sees `held_out` only when it is read out.
        steps, batch_size, lr: Adam's; the learning rate falls to a tenth after half of the steps and again after
            three quarters. A batch is drawn without replacement, or all of `y` where it is smaller.
        repeats: trainings, with seeds seed, seed + 1, ...
        sigmoid: squash y before anything else.

    Raises:
        UserError: fewer than 2 units, fewer than 100 or 50 rows, different units, values that are not finite.
    """
    if y.ndim != 2 or held_out.ndim != 2 or y.shape[1] != held_out.shape[1]:
        raise UserError(f"y {tuple(y.shape)} and held_out {tuple(held_out.shape)} must be (N, D) with the same D")
    if y.shape[1] < 2:
        raise UserError("y has a single unit, which depends on no other: ndm needs at least 2")
    check_counts("ndm", "ndm", len(y), len(held_out))
    check_finite(y, "y")
    check_finite(held_out, "held_out")
    if sigmoid:
        y, held_out = y.sigmoid(), held_out.sigmoid()
    standardise = Standardiser.of(y)
    y, held_out = standardise(y.float()).to(device), standardise(held_out.float()).to(device)
    values, variances, lower, train_values, effective = [], [], [], [], []
    for one_seed in range(seed, seed + repeats):
        generator = torch.Generator().manual_seed(one_seed)
        order = torch.randperm(len(y), generator=generator).to(device)
        stop, rest = (y[part] for part in order.tensor_split([min(STOPPING_ROWS, len(y) // 10)]))
        with seeded(one_seed):
            critic = Mlp(y.shape[1]).to(device)
        saying = after(f"critic {one_seed - seed + 1} of {repeats}", progress)
        _train(critic, rest, stop, steps, batch_size, lr, generator, saying)
        value, error, log_z, negatives = _dv(critic, held_out, generator)
        at = _dv(critic, stop, generator)[2]
        lower.append(value + log_z - at - math.expm1(min(log_z - at, 700.0)))
        values.append(value)
        variances.append(error**2)
        effective.append(negatives)
        train_values.append(_dv(critic, rest[: max(len(held_out), 1000)], generator)[0])
    spread = torch.tensor(values, dtype=torch.float64)
    between = float(spread.var()) / repeats if repeats > 1 else 0.0
    error = math.sqrt(sum(variances) / repeats + between)
    nats, train_nats, cap = float(spread.mean()), sum(train_values) / repeats, math.log(len(held_out))
    return Dependence(
        nats=nats,
        standard_error=error,
        lower_bound_nats=sum(lower) / repeats,
        gaussian_nats=gaussian(held_out),
        train_nats=train_nats,
        cap=cap,
        warning=_warning(nats, error, train_nats, min(effective), cap),
        n_train=len(y),
        n_test=len(held_out),
    )


def gaussian(y: Tensor) -> float:
    """Total correlation of a Gaussian with the correlations of y (N, D), in nats; inf where a unit repeats others.

    -½ log det of a sample's correlations is too high on average, by about D² / 4N, and by the same amount whatever the
    correlations (Bartlett's decomposition of a Wishart matrix), so that amount is taken off. nan for N <= D + 1.
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
    critic: nn.Module,
    y: Tensor,
    stop: Tensor,
    steps: int,
    batch_size: int,
    lr: float,
    generator: torch.Generator,
    progress: Say,
) -> None:
    """Leaves `critic` with the weights that gave the stopping rows the largest KL bound."""
    optimizer = torch.optim.Adam(critic.parameters(), lr)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [steps // 2, 3 * steps // 4], 0.1)
    every = max(1, steps // 20)
    stop_shuffled = torch.cat([shuffled(stop, generator) for _ in range(3)])
    best, best_weights = -math.inf, copy.deepcopy(critic.state_dict())
    for step in counted(steps, "step", progress):
        batch = y[torch.randperm(len(y), generator=generator)[:batch_size].to(y.device)]
        loss = -bounds.kl(critic(batch).T, critic(shuffled(batch, generator)).T)
        optimizer.zero_grad()
        loss.backward()
        if torch.isfinite(nn.utils.clip_grad_norm_(critic.parameters(), 5.0)):  # e^u can overflow
            optimizer.step()
            schedule.step()
        if step % every == 0 or step == steps:
            with torch.no_grad():
                value = float(bounds.kl(critic(stop).T, critic(stop_shuffled).T))
            if value > best:
                best, best_weights = value, copy.deepcopy(critic.state_dict())
    critic.load_state_dict(best_weights)


@torch.no_grad()
def _dv(critic: nn.Module, y: Tensor, generator: torch.Generator) -> tuple[float, float, float, float]:
    """The DV value of rows y (T, D), its standard error, its log-normaliser, and how many rows that rests on.

    The error takes shuffled rows for independent draws of the product of the marginals, which they nearly are: it was
    0 to 15 % below the spread over fresh samples, for Gaussians of 6 to 64 units.
    """
    positive = critic(y).squeeze(1).double()
    negative = torch.cat([critic(shuffled(y, generator)) for _ in range(SHUFFLES)]).squeeze(1).double()
    log_ratio = negative - negative.logsumexp(0) + math.log(len(negative))  # log(e^u / mean e^u)
    value = bounds.dv(positive.unsqueeze(0), negative.unsqueeze(0))
    variance = positive.var() / len(y) + log_ratio.exp().var() / len(negative)
    effective = torch.exp(2 * log_ratio.logsumexp(0) - (2 * log_ratio).logsumexp(0))
    log_z = negative.logsumexp(0) - math.log(len(negative))
    return float(value), float(variance.sqrt()), float(log_z), float(effective)


def _warning(nats: float, error: float, train_nats: float, effective: float, cap: float) -> str | None:
    reasons = []
    if nats > cap:
        reasons.append(f"above log n = {cap:.2f} nats, more than so many held-out rows can vouch for")
    if effective < 30:
        reasons.append(f"the normaliser rests on {effective:.0f} shuffled rows, so its error is larger than it looks")
    if error > 0.1 * max(1.0, abs(nats)):
        reasons.append(f"the standard error of {error:.2g} nats is large: give more images")
    if train_nats - nats > max(0.3, 0.2 * abs(nats)):
        reasons.append(f"{train_nats:.2f} nats on training rows: the critic overfits, and more images would raise it")
    return "; ".join(reasons) or None


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
    """The dependence among the units of an encoder's y, without and with a sigmoid on it.

    Args:
        y_of: what has y of both sets already; None: it is embedded here.

    Returns:
        nats (DV, the paper's figure), standard_error, lower_bound_nats, gaussian_nats, train_nats and warning without
        the sigmoid (see `Dependence`), the same with `_sigmoid` behind the name, cap, n_train, n_test, seeds, seconds,
        protocol.
    """
    started = time.monotonic()
    settings = at_scale(SETTINGS, scale)
    y_of = y_of or EmbeddingsOfY(encoder, device)
    y, held_out = y_of(train), y_of(test)
    results: dict[str, Any] = {}
    for suffix, sigmoid in (("", False), ("_sigmoid", True)):
        saying = after("with a sigmoid" if sigmoid else "without a sigmoid", progress)
        found = ndm(y, held_out, sigmoid=sigmoid, seed=seed, device=device, progress=saying, **settings)
        names = ("nats", "standard_error", "lower_bound_nats", "gaussian_nats", "train_nats", "warning")
        results |= {name + suffix: getattr(found, name) for name in names}
    return results | {
        "cap": found.cap,
        "n_train": found.n_train,
        "n_test": found.n_test,
        "seeds": list(range(seed, seed + settings["repeats"])),
        "seconds": time.monotonic() - started,
        "protocol": f"DV on test images of a critic trained by the KL f-divergence, {settings['steps']} steps of "
        f"{settings['batch_size']}, scale {scale}",
    }
