"""estimate_mi(x, y): mutual information between any two arrays of pairs, in nats, with what is needed to trust it.

The pairs are split in three. A critic is trained on the first part, stopped by the second, and read out on the third,
which nothing has seen. The result says how many nats, how surely, whether that is a lower bound, above which value the
estimator could not go, and a warning wherever the number should not be believed.

| estimator | critic trained by | readout | lower bound of MI | cap |
| --- | --- | --- | --- | --- |
| infonce | infoNCE | infoNCE | yes | log n_test, hard |
| nwj | NWJ | NWJ | yes; its variance grows as e^MI | about log n_test |
| dv | DV | DV, log by its tangent | yes | about log n_test |
| mine | DV, gradient by a moving average | DV, log by its tangent | yes | about log n_test |
| jsd-nwj | JSD | NWJ of u + 1 | yes | about log n_test |
| jsd-dv | JSD | DV, log by its tangent | yes | about log n_test |
| jsd-lb | JSD | least KL at that JSD, by its tangent (arXiv 2510.20644) | yes, low variance | about log n_test |
| smile | JSD | DV with clipped normaliser | no | about log n_test |
| ksg | - | nearest neighbours | no | digamma(n) - digamma(k), hard |

n_test are the held-out pairs, or those of a block where they are read in several (see `BLOCK`).
"Yes" means: in expectation over held-out pairs the number does not exceed the mutual information, whatever the critic.
The plain DV value of a sample lacks that property, because the log of a mean is too low on average; hence the tangent
(see `readouts`). The caps that are not hard are a caution: no distribution-free lower bound from n samples can exceed
the order of log n with confidence (McAllester & Stratos 2020, arXiv 1811.04251). With labels on a side, the cap is at
most their entropy, which no mutual information exceeds. "ksg" of two sets of labels counts them (`label_information`).
"""

import copy
import dataclasses
import math
import time
import tokenize
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from rich.console import Console
from sklearn.preprocessing import FunctionTransformer, QuantileTransformer, StandardScaler
from torch import Tensor, nn

from deepinfomax.devices import choose_device
from deepinfomax.errors import UserError
from deepinfomax.information import bounds, ksg, readouts
from deepinfomax.information import labels as label_information
from deepinfomax.information.readouts import Scores
from deepinfomax.information.vector_critics import JointCritic, SeparableCritic, score_all_pairs
from deepinfomax.old_progress import Say, after, counted, shown, silent
from deepinfomax.seeds import check_seed

Transform = Literal["standard", "rank", "asinh", "none"]
CRITICS: dict[str, type[nn.Module]] = {"separable": SeparableCritic, "joint": JointCritic}

#: Held-out pairs are read in as many equal blocks of at least this many as they give, so of less than twice as many;
#: each with all its n(n - 1) combinations as negatives.
BLOCK = 2048
#: Pairs of the validation part that decide when to stop.
STOPPING_PAIRS = 512
FEWEST_PAIRS = 50
#: Rows per label, on average, below which a column of integers is refused: it is a quantity, or labels too rare to use.
ROWS_PER_LABEL = 5
#: Steps of training below which no critic has learned: Adam moves a weight by about the learning rate in each.
FEWEST_STEPS = 40
#: Standard deviations beyond which a value is no longer one of a distribution that a network can handle as it is.
LONG_TAIL = 20
#: Numbers of one tensor, of one-hot labels or of the scores of a batch, above which nothing is begun: 4 GiB.
MOST_NUMBERS = 2**30
#: The share of pairs that repeat another, exactly, above which they are no coincidence.
REPEATS = 0.01


@dataclass(frozen=True)
class MIEstimate:
    """Mutual information in nats, and how far it can be trusted."""

    nats: float
    standard_error: float  #: of the held-out pairs' choice, and between seeds where there are several; inf: unknown
    lower_bound: bool  #: whether the value's expectation over held-out pairs cannot exceed the mutual information
    cap: float  #: nats above which this estimator cannot go, or should not be believed, with so many pairs and labels
    n_train: int
    n_test: int
    estimator: str
    critic: str | None
    seconds: float
    warning: str | None  #: why the number should not be trusted; None: no reason was found
    seeds: tuple[int, ...]
    train_nats: float | None = None  #: the same readout on as many training pairs: how much is overfitting

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON, which knows no infinity: None for a number that is not finite."""
        values = dataclasses.asdict(self) | {"seeds": list(self.seeds)}
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}


@dataclass(frozen=True)
class Estimator:
    """How a critic is trained, and how its scores become nats."""

    trained_by: str
    read: Callable[..., Tensor]
    lower_bound: bool
    touch: Callable[[Scores], Tensor] | None = None  #: what `read` takes, of other pairs, as `at`
    averaged: bool = False  #: MINE's moving average of the denominator


ESTIMATORS: dict[str, Estimator] = {
    "infonce": Estimator("infonce", readouts.infonce, True),
    "nwj": Estimator("nwj", readouts.nwj, True),
    "dv": Estimator("dv", readouts.dv, True, readouts.log_normaliser),
    "mine": Estimator("dv", readouts.dv, True, readouts.log_normaliser, averaged=True),
    "jsd-nwj": Estimator("jsd", readouts.jsd_nwj, True),
    "jsd-dv": Estimator("jsd", readouts.dv, True, readouts.log_normaliser),
    "jsd-lb": Estimator("jsd", readouts.jsd_lb, True, readouts.cross_entropy),
    "smile": Estimator("jsd", readouts.smile, False),
}
NAMES = (*ESTIMATORS, "ksg")


def estimate_mi(
    x: Any,
    y: Any,
    estimator: str = "infonce",
    critic: str = "separable",
    *,
    steps: int = 2000,
    batch_size: int = 128,
    lr: float = 5e-4,
    hidden: tuple[int, ...] = (256, 256),
    transform: Transform = "standard",
    tau: float = 5.0,
    neighbours: int = 3,
    validation: float = 0.2,
    test: float = 0.2,
    patience: int = 10,
    repeats: int = 1,
    seed: int = 0,
    device: str = "cpu",
    progress: Say = silent,
) -> MIEstimate:
    """Mutual information of x and y from n pairs (x_i, y_i), in nats.

    Args:
        x, y: arrays or tensors of n rows: (n, D) numbers, (n,) numbers, or (n,) integers, booleans or strings, which
            are taken as labels (give integers that are quantities as floats; more labels than a fifth of n are
            refused). Row i of both was drawn together; rows are independent of each other.
        estimator: one of `NAMES`, or "jsd" for "jsd-nwj"; the table at the top of this module compares them.
        critic: "separable", or "joint": slower by about the batch size, and able to tell any dependence.
        steps: training steps at most; the learning rate falls to zero over them by a cosine.
        batch_size: pairs of a batch; all its combinations are negatives.
        lr: Adam's learning rate at the start.
        hidden: widths of the critic's hidden layers.
        transform: of each column, invertible, so that mutual information stays: "standard" (mean 0, sd 1), "rank"
            (to normal scores: best against long tails), "asinh" (about the median), "none". Fitted on training pairs.
        tau: SMILE's clip; inf is "jsd-dv" without the tangent.
        neighbours: KSG's k.
        validation, test: fractions of the pairs that decide when to stop, and that are read out.
        patience: evaluations (40 in all `steps`) without improvement before training stops.
        repeats: trainings, each with its own split and seed: seed, seed + 1, ...
        seed: of the split, the weights and the batches.
        device: where critics are trained.
        progress: is told how far the training is.

    Returns:
        `MIEstimate`. Its standard error is the infinitesimal jackknife over held-out pairs (KSG: the spread over ten
        disjoint subsets; two sets of labels: the jackknife over all pairs), joined with the spread between repeats.

    Raises:
        UserError: different lengths, missing or infinite values, too few pairs, a constant column, labels that are
            nearly all different, a bad name, or a setting out of its range.
    """
    started = time.monotonic()
    name = str(estimator).lower().replace("_", "-")
    name = "jsd-nwj" if name == "jsd" else name  # what the literature calls the JS estimator (Poole et al. 2019)
    if name not in NAMES:
        raise UserError(f"unknown estimator {estimator!r}; choose one of {', '.join(NAMES)}")
    if name != "ksg" and str(critic) not in CRITICS:
        raise UserError(f"unknown critic {critic!r}; choose one of {', '.join(CRITICS)}")
    if transform not in ("standard", "rank", "asinh", "none"):
        raise UserError(f"unknown transform {transform!r}; choose standard, rank, asinh or none")
    _check_whole(steps=steps, batch_size=batch_size, neighbours=neighbours, patience=patience, repeats=repeats)
    _check_numbers(lr=lr, tau=tau, validation=validation, test=test)
    seed, repeats = check_seed(seed), int(repeats)
    on = choose_device(device)
    sides = (_side(x, "x"), _side(y, "y"))
    _check_lengths(len(sides[0]), len(sides[1]))
    for side, letter in zip(sides, "xy", strict=True):
        _check_labels(side, letter)
    if name == "ksg":
        found = _nearest_neighbours(*sides, transform, neighbours, seed, started)
        return _warned(found, _repeated(sides))
    _check_settings(steps, batch_size, validation, test, repeats)
    _check_training(lr, hidden, patience, tau)
    _check_memory(sides, batch_size, hidden[0] if critic == "joint" else 1)
    if transform == "none":
        _check_resolution(sides)
    chosen = ESTIMATORS[name]
    if name == "smile":
        chosen = dataclasses.replace(chosen, read=partial(readouts.smile, tau=tau))
    results, farthest = [], 0.0
    for one_seed in range(seed, seed + repeats):
        generator = torch.Generator().manual_seed(one_seed)
        parts = _split(len(sides[0]), validation, test, generator)
        numbers = [_prepare(side, parts.train, transform, on) for side in sides]
        farthest = max(farthest, *map(_farthest, numbers))
        train, stop, held_out = ([side[part] for side in numbers] for part in parts)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(one_seed)
            network = CRITICS[critic](*(side.shape[1] for side in numbers), hidden=hidden).to(on)
        fit = train_critic(
            network,
            chosen,
            *train,
            *(side[:STOPPING_PAIRS] for side in stop),
            steps=steps,
            batch_size=batch_size,
            lr=lr,
            patience=patience,
            generator=generator,
            progress=after(f"critic {one_seed - seed + 1} of {repeats}", progress),
        )
        results.append((fit, read_critic(network, chosen, held_out, stop, train)))
    seeds = tuple(range(seed, seed + repeats))
    advice = Advice.of(name, transform)
    estimate = summarise(name, critic, chosen, results, seeds, len(train[0]), started, advice, ceiling=_ceiling(sides))
    if transform == "standard" and farthest > LONG_TAIL:
        estimate = _warned(estimate, f"long tails, up to {farthest:.0f} standard deviations: use transform='rank'")
    if repeated := _repeated(sides):  # what is held out has been seen, and nothing bounds the value
        estimate = dataclasses.replace(_warned(estimate, repeated), lower_bound=False)
    return estimate


def _warned(estimate: MIEstimate, reason: str) -> MIEstimate:
    """The estimate with one more reason, before the others; as it is for none."""
    return dataclasses.replace(estimate, warning="; ".join(filter(None, (reason, estimate.warning))) or None)


def estimate_mi_files(x: str | Path, y: str | Path, *, device: str | None = None, **settings: Any) -> dict[str, Any]:
    """`estimate_mi` of two .npy files, as a dictionary; device None: a GPU where there is one.

    Raises:
        UserError: a file that is missing or no plain array, and everything that `estimate_mi` raises.
    """
    arrays = (_read(Path(x)), _read(Path(y)))
    on = device or ("cuda" if torch.cuda.is_available() else "cpu")
    with shown(settings.get("estimator", "infonce"), Console(stderr=True)) as progress:
        return estimate_mi(*arrays, device=on, progress=progress, **settings).to_dict()


def _read(path: Path) -> np.ndarray:
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise UserError(f"{path} {what}; write a file with numpy.save")
    no_array = f"{path} is no array of numbers; write it with numpy.save('{path.stem}.npy', array)"
    # What numpy raises depends on how a file is broken: a garbled header is parsed, an impossible shape allocated.
    broken = (ValueError, EOFError, OSError, SyntaxError, MemoryError, tokenize.TokenError, zipfile.BadZipFile)
    try:
        with path.open("rb") as file:
            found = np.load(file, allow_pickle=False)
            if isinstance(found, np.ndarray):
                return found
            arrays = {name: found[name] for name in found.files}
    except broken:
        raise UserError(no_array) from None
    if not arrays or not all(isinstance(array, np.ndarray) for array in arrays.values()):  # a zip of something else
        raise UserError(no_array)
    if len(arrays) > 1:
        raise UserError(f"{path} holds several arrays ({', '.join(arrays)}); save the one you mean with numpy.save")
    return next(iter(arrays.values()))


# ---------------------------------------------------------------------------------------------- training a critic


@dataclass(frozen=True)
class Fit:
    """How the training of a critic went."""

    steps: int  #: taken
    skipped: int  #: steps not taken, because the loss or its gradient was not finite
    #: at each evaluation: the training bound on all combinations of the stopping pairs, in nats; of JSD, the least
    #: mutual information that the divergence allows
    stopping: tuple[float, ...]
    gave_up: bool  #: stopped for want of improvement, not of steps

    @property
    def rise(self) -> float:
        """Nats by which the best stopping value rose over the second half of the evaluations; 0 where it gave up.

        Half, because the learning rate is nearly zero over the last quarter of the steps, where every value is flat.
        """
        if self.gave_up or len(self.stopping) < 2:
            return 0.0
        best = np.fmax.accumulate(self.stopping).tolist()
        return best[-1] - best[(len(best) - 1) // 2]


def train_critic(
    critic: nn.Module,
    estimator: Estimator,
    x: Tensor,
    y: Tensor,
    x_stop: Tensor,
    y_stop: Tensor,
    *,
    steps: int,
    batch_size: int,
    lr: float,
    patience: int,
    generator: torch.Generator,
    evaluations: int = 40,
    progress: Say = silent,
) -> Fit:
    """Train `critic` in place on pairs (x_i, y_i) and leave it with the weights that served the stopping pairs best.

    The value that decides is the training bound on all combinations of the stopping pairs, not the readout.
    `critic(x, y)` scores all pairs of its rows, (N, ...), (M, ...) -> (N, M).
    """
    batch_size = min(batch_size, len(x))
    bound = bounds.get(estimator.trained_by)
    optimizer = torch.optim.Adam(critic.parameters(), lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    average = MovingAverage() if estimator.averaged else None
    every = max(1, steps // evaluations)
    best, best_step, best_weights = -math.inf, 0, copy.deepcopy(critic.state_dict())
    skipped, step, stopping, gave_up = 0, 0, [], False
    order = torch.empty(0, dtype=torch.long)
    for step in counted(steps, "step", progress):
        if len(order) < batch_size:
            order = torch.randperm(len(x), generator=generator)
        batch, order = order[:batch_size].to(x.device), order[batch_size:]
        scores = critic(x[batch], y[batch]).float()  # a critic under autocast: sums of exponentials need fp32
        positive, negative = scores.diagonal().unsqueeze(1), off_diagonal(scores)
        loss = average.loss(positive, negative) if average else -bound(positive, negative)
        optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(critic.parameters(), 5.0)
        if torch.isfinite(norm):  # NWJ's e^u can overflow; such a step would end the training
            optimizer.step()
            schedule.step()
        else:
            skipped += 1
        if step % every == 0 or step == steps:
            critic.eval()
            scores = score_all_pairs(critic, x_stop, y_stop).float()
            critic.train()
            value = float(bound(scores.diagonal().unsqueeze(1), off_diagonal(scores)))
            in_nats = readouts.least_kl(math.log(2) - value / 2) if estimator.trained_by == "jsd" else value
            stopping.append(in_nats if math.isfinite(value) else value)
            if value > best:
                best, best_step, best_weights = value, step, copy.deepcopy(critic.state_dict())
            elif step - best_step >= patience * every:
                gave_up = True
                break
    critic.load_state_dict(best_weights)
    critic.eval()
    return Fit(step, skipped, tuple(stopping), gave_up)


class MovingAverage:
    """MINE's bias-corrected gradient of DV (Belghazi et al. 2018, §3.2), in log space.

    The gradient of -log E_M e^u on a batch is biased, since the batch is in the denominator too; a moving average of
    the denominator takes its place. Its logarithm is kept, so that no score overflows, and the loss depends on scores
    through exp(log-mean-exp of the batch - log of the average), at most 1 / (1 - decay).
    """

    def __init__(self, decay: float = 0.99) -> None:
        self.decay = decay
        self.log_average: Tensor | None = None

    def loss(self, positive: Tensor, negative: Tensor) -> Tensor:
        """Scores (..., P) and (..., K) -> a scalar whose gradient is the corrected one; its value means nothing."""
        log_mean = negative.flatten().logsumexp(0) - math.log(negative.numel())
        new = log_mean.detach()
        if self.log_average is not None:
            new = torch.logaddexp(self.log_average + math.log(self.decay), new + math.log1p(-self.decay))
        self.log_average = new
        return torch.exp(log_mean - new) - positive.mean()


def off_diagonal(scores: Tensor) -> Tensor:
    """(n, n) -> (n, n - 1): each row without its diagonal element."""
    n = len(scores)
    return scores.flatten()[:-1].view(n - 1, n + 1)[:, 1:].reshape(n, n - 1)


# -------------------------------------------------------------------------------------------------- reading it out


@dataclass(frozen=True)
class Advice:
    """What a warning tells to do; "" where nothing is left to choose."""

    finite: str = ""  #: where the value is not finite
    steady: str = ""  #: where the standard error is large
    longer: str = ""  #: where the critic had not learned all it could

    @classmethod
    def of(cls, estimator: str, transform: Transform) -> "Advice":
        """For `estimate_mi` with that estimator and transform: neither is told again."""
        others = [name for name in ("infonce", "smile", "jsd-lb") if name != estimator]
        others += [] if transform == "rank" else ["transform='rank'"]
        return cls(
            finite=f"use {', '.join(others[:-1])} or {others[-1]}",
            steady="give more pairs" + ("" if estimator in ("infonce", "jsd-lb") else " or use infonce or jsd-lb"),
            longer="give more steps or a larger lr",
        )


@dataclass(frozen=True)
class Reading:
    """One critic's value on held-out pairs."""

    nats: float
    standard_error: float
    plain: float  #: the readout without a tangent; nats itself where the readout needs none
    plain_error: float
    train_nats: float
    cap: float
    n_test: int
    effective_negatives: float


def read_critic(
    critic: nn.Module,
    estimator: Estimator,
    held_out: list[Tensor],
    stop: list[Tensor],
    train: list[Tensor],
) -> Reading:
    """The critic's readout on held-out pairs, the tangent laid at the stopping pairs' value."""
    at = None
    if estimator.touch is not None:
        at = float(estimator.touch(_scores(critic, [side[:BLOCK] for side in stop])))
    blocks = max(1, len(held_out[0]) // BLOCK)
    values, effective = [], []
    for block in zip(*(side.tensor_split(blocks) for side in held_out), strict=True):
        scores = _scores(critic, list(block))
        plain = _value_and_error(estimator, scores, None)
        values.append((*(plain if at is None else _value_and_error(estimator, scores, at)), *plain))
        effective.append(readouts.effective_negatives(scores))
    nats, error, plain_nats, plain_error = np.array(values).T
    n = len(held_out[0])
    on_train = _scores(critic, [side[: n // blocks] for side in train])
    return Reading(
        nats=float(nats.mean()),
        standard_error=float(np.linalg.norm(error)) / blocks,
        plain=float(plain_nats.mean()),
        plain_error=float(np.linalg.norm(plain_error)) / blocks,
        train_nats=float(estimator.read(on_train)),
        cap=math.log(n // blocks),
        n_test=n,
        effective_negatives=float(np.median(effective)),
    )


def _scores(critic: nn.Module, pairs: list[Tensor]) -> Scores:
    x, y = pairs
    return Scores(score_all_pairs(critic, x, y).double())  # e^u of a score far out, and sums of millions of them


def _value_and_error(estimator: Estimator, scores: Scores, at: float | None) -> tuple[float, float]:
    """The readout and its standard error, the norm of its derivative by the pairs' weights."""
    log_weight = torch.zeros_like(scores.pairs, requires_grad=True)
    weighted = Scores(scores.all_pairs, log_weight)
    value = estimator.read(weighted) if at is None else estimator.read(weighted, at=at)
    (influence,) = torch.autograd.grad(value, log_weight)
    return float(value.detach()), float(influence.norm())


def summarise(
    name: str,
    critic: str | None,
    estimator: Estimator,
    results: list[tuple[Fit, Reading]],
    seeds: tuple[int, ...],
    n_train: int,
    started: float,
    advice: Advice,
    *,
    ceiling: float = math.inf,
    plain: bool = False,
) -> MIEstimate:
    """One estimate of all repeats: their mean, the error within and between them, and what speaks against it.

    `ceiling` is what the truth cannot exceed, in nats: the entropy of a side that is labels. `plain`: the readouts
    without a tangent are summed up, which are no lower bound.
    """
    fits, readings = zip(*results, strict=True)
    nats, error = mean_and_error([(r.plain, r.plain_error) if plain else (r.nats, r.standard_error) for r in readings])
    train_nats = float(np.mean([r.train_nats for r in readings]))
    cap = min(r.cap for r in readings)
    effective = min(r.effective_negatives for r in readings)
    drift = max(r.plain - r.nats for r in readings)
    skipped = max(fit.skipped / fit.steps for fit in fits)
    fewest, rise = min(fit.steps for fit in fits), max(fit.rise for fit in fits)
    hard = name == "infonce"
    reasons = []
    if not math.isfinite(nats):
        reasons.append(_with("the value is not finite", advice.finite))
    if hard and nats > 0.7 * cap and cap < ceiling:
        # Beyond a block more pairs make it no larger.
        remedy = "give more pairs" if readings[0].n_test < BLOCK else "see what dv or smile say"
        reasons.append(f"close to its cap of {cap:.2f} nats, so the truth may be far higher: {remedy}")
    if not hard and nats > cap:
        reasons.append(f"above {cap:.2f} nats, the log of the held-out pairs read at once, which vouch for no more")
    if nats > ceiling + 2 * error:
        reasons.append(f"above the labels' entropy of {ceiling:.2f} nats, which no mutual information exceeds")
    if error > 0.1 * max(1.0, abs(nats)):
        reasons.append(_with(f"the standard error of {error:.2g} nats is large", advice.steady))
    if estimator.read in (readouts.dv, readouts.nwj, readouts.jsd_nwj) and effective < 30:
        reasons.append(
            f"the normaliser rests on {effective:.0f} of all combinations, so its error is larger than it looks"
        )
    if drift > max(0.1, 3 * error):
        reasons.append(f"two held-out parts disagree on the normaliser by {drift:.2f} nats")
    if train_nats - nats > max(0.3, 0.2 * abs(nats)):
        reasons.append(f"{train_nats:.2f} nats on training pairs: the critic overfits, and more pairs would raise it")
    if fewest < FEWEST_STEPS:
        reasons.append(_with(f"{fewest} steps are too few for a critic to learn in", advice.longer))
    elif rise > max(0.05, 0.1 * abs(nats)):  # where more steps gave nothing more, it rose by 4% at most
        told = f"the stopping value still rose by {rise:.2f} nats over the second half of training"
        reasons.append(_with(told, advice.longer))
    if skipped > 0.01:
        reasons.append(f"{100 * skipped:.0f}% of the training steps overflowed and were left out")
    return MIEstimate(
        nats=nats,
        standard_error=error,
        lower_bound=estimator.lower_bound and not plain,
        cap=min(cap, ceiling),
        n_train=n_train,
        n_test=readings[0].n_test,
        estimator=name,
        critic=critic,
        seconds=time.monotonic() - started,
        warning="; ".join(reasons) or None,
        seeds=seeds,
        train_nats=train_nats,
    )


def _with(reason: str, advice: str) -> str:
    return f"{reason}: {advice}" if advice else reason


def mean_and_error(values: list[tuple[float, float]]) -> tuple[float, float]:
    """The value and standard error of each repeat -> the mean, and the error within and between them."""
    nats, errors = np.array(values).T
    with np.errstate(invalid="ignore"):  # a value may be infinite, and the error then is nan
        between = float(np.var(nats, ddof=1)) / len(nats) if len(nats) > 1 else 0.0
        return float(nats.mean()), math.sqrt(float(np.mean(errors**2)) + between)


# ---------------------------------------------------------------------------------------------- nearest neighbours


def _nearest_neighbours(
    x: np.ndarray, y: np.ndarray, transform: Transform, k: int, seed: int, started: float
) -> MIEstimate:
    n = len(x)
    subsets = 10
    if not 1 <= k < n // subsets:
        raise UserError(f"{k} neighbours need more than {subsets * k} pairs, and at least 1 neighbour; you gave {n}")
    # A stream of its own: data that a user drew by default_rng(seed) would meet themselves in the noise, and depend.
    rng = np.random.default_rng([seed, n, subsets])
    sides = [side if _is_label(side) else _spread(_transform(side, slice(None), transform), rng) for side in (x, y)]
    counted = _is_label(x) and _is_label(y)

    def value(rows: np.ndarray | slice) -> float:
        one, other = (side[rows] for side in sides)
        if counted:
            return label_information.information(one, other)
        if _is_label(one):
            one, other = other, one
        return ksg.ksg_labels(one, other, k) if _is_label(other) else ksg.ksg(one, other, k)

    if counted:  # a tenth of the pairs has far fewer of many combinations, and tells little of what all of them vary by
        error = label_information.standard_error(*sides)
    else:  # disjoint subsets are independent, and the variance of an estimate falls as 1/n (Holmes & Nemenman 2019)
        values = np.array([value(part) for part in np.array_split(rng.permutation(n), subsets)])
        known = bool(np.isfinite(values).all())  # a subset may hold no rare label twice
        error = float(np.std(values, ddof=1)) / math.sqrt(subsets) if known else math.inf
    nats, cap, ceiling = value(slice(None)), math.inf if counted else ksg.cap(n, k), _ceiling(sides)
    units = sum(1 if _is_label(side) else side.shape[1] for side in sides)
    reasons = []
    if nats > 0.7 * cap and cap < ceiling:
        reasons.append(f"close to its cap of {cap:.2f} nats, so the truth may be far higher: give more pairs")
    if counted:
        chance = label_information.by_chance(sides[0], sides[1], rng)
        if abs(chance) > 0.05 * max(1.0, abs(nats)):
            reasons.append(
                f"labels this rare read {chance:.2f} nats even when shuffled, where the truth is 0: "
                "give more pairs or merge labels"
            )
    elif known and nats - values.mean() > max(0.2, 0.2 * abs(nats)):
        reasons.append(
            f"a tenth of the pairs reads {values.mean():.2f} nats, so the value still rises with their number: give "
            "more pairs or train a critic"
        )
    if units > 6:
        reasons.append(f"{units} dimensions: nearest neighbours fall far below the truth in so many; train a critic")
    if error == math.inf:
        reasons.append("no standard error, since a tenth of the pairs holds no label twice: give more or merge labels")
    elif error > 0.1 * max(1.0, abs(nats)):
        reasons.append(f"the standard error of {error:.2g} nats is large: give more pairs")
    return MIEstimate(
        nats=nats,
        standard_error=error,
        lower_bound=False,
        cap=min(cap, ceiling),
        n_train=0,
        n_test=n,
        estimator="ksg",
        critic=None,
        seconds=time.monotonic() - started,
        warning="; ".join(reasons) or None,
        seeds=(seed,),
    )


def _spread(side: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Ties (rounded measurements) apart, by noise far below any difference that matters, as scikit-learn does."""
    centred = side - np.median(side, axis=0)
    return centred + 1e-10 * np.abs(centred).mean(0) * rng.standard_normal(side.shape)


# --------------------------------------------------------------------------------------------- what the user gives


def _side(values: Any, name: str) -> np.ndarray:
    """(n, D) float64, or (n,) int64 for labels; raises UserError for what cannot be used."""
    if np.ma.isMaskedArray(values) and np.ma.getmaskarray(values).any():
        raise UserError(f"{name} has {np.ma.getmaskarray(values).sum()} masked values: drop those rows")
    try:
        if isinstance(values, Tensor):
            values = values.detach().cpu()
            values = (values.float() if values.dtype == torch.bfloat16 else values).numpy()  # numpy knows no bfloat16
        array = np.asarray(values)
    except ValueError:
        raise UserError(f"{name} is no array: its rows differ in length") from None
    except (TypeError, RuntimeError) as error:  # a sparse tensor, a list of tensors that need gradients
        reason = str(error).partition(". ")[0].splitlines()[0]
        raise UserError(f"{name} cannot be read as an array: {reason}") from None
    if array.ndim == 1 and array.dtype.kind in "US" and isinstance(values, list | tuple):
        array = np.array(values, dtype=object)  # else a missing value would be the word "nan"
    if array.dtype == object and array.ndim == 1:  # a column of a data frame
        words = [isinstance(value, str | bytes) for value in array]
        if any(words) and not all(words):
            row = words.index(False)
            raise UserError(f"{name} holds {array[row]!r} among its words, first in row {row}: drop those rows")
        array = array.astype(str) if any(words) else array
    if array.ndim > 1 and array.dtype.kind in "OUS":
        raise UserError(f"{name} holds {array.dtype} of shape {array.shape}: give words as (n,), numbers as floats")
    if array.ndim == 1 and array.dtype.kind in "iubUS":
        _, labels = np.unique(array, return_inverse=True)
        if labels.size and labels.max() == 0:
            raise UserError(f"{name} has one label only, which carries no information: give at least two")
        return labels.astype(np.int64)
    if array.dtype.kind not in "iubf":
        raise UserError(f"{name} holds {array.dtype}, not numbers: give float or integer arrays")
    array = array.astype(np.float64)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        raise UserError(f"{name} has shape {array.shape}: give (n, dim), for instance {name}.reshape(len({name}), -1)")
    bad = ~np.isfinite(array)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise UserError(
            f"{name} has {bad.sum()} missing or infinite values, the first in row {row}, column {column}: "
            "drop those rows"
        )
    constant = np.flatnonzero(np.ptp(array, axis=0) == 0) if len(array) else np.arange(array.shape[1])
    if array.shape[1] == 0 or (len(array) and len(constant)):
        column = f"column {constant[0]} of {name} is constant" if len(constant) else f"{name} has no columns"
        raise UserError(f"{column} and carries no information: drop it")
    return array


def _is_label(side: np.ndarray) -> bool:
    return side.ndim == 1


def _ceiling(sides: tuple[np.ndarray, ...] | list[np.ndarray]) -> float:
    """Nats that mutual information cannot exceed: the smaller entropy of the sides that are labels; inf without any."""
    return min((label_information.entropy(side) for side in sides if _is_label(side)), default=math.inf)


def _check_lengths(n_x: int, n_y: int) -> None:
    if n_x != n_y:
        raise UserError(f"x has {n_x} rows but y has {n_y}: row i of both must have been drawn together")
    if n_x < FEWEST_PAIRS:
        raise UserError(f"{n_x} pairs are too few: give at least {FEWEST_PAIRS}, and thousands for more than 1 nat")


def _check_labels(side: np.ndarray, name: str) -> None:
    """Refuses quantities: as one-hot rows, hardly two alike, they would tell 0 nats and take n² numbers."""
    if _is_label(side) and (side.max() + 1) * ROWS_PER_LABEL > len(side):
        raise UserError(
            f"{name} has {side.max() + 1} different labels in {len(side)} rows, fewer than {ROWS_PER_LABEL} rows each: "
            f"give quantities as floats, {name}.astype(float), and merge rare labels"
        )


def _check_memory(sides: tuple[np.ndarray, ...], batch_size: int, units: int) -> None:
    """Refuses what no memory holds: one-hot labels, or the scores of a batch with `units` numbers for each pair."""
    for side, name in zip(sides, "xy", strict=True):
        if _is_label(side) and len(side) * (int(side.max()) + 1) > MOST_NUMBERS:
            raise UserError(
                f"{name} has {side.max() + 1:,} different labels in {len(side):,} rows, which as one-hot rows are "
                f"{len(side) * (int(side.max()) + 1) * 4 / 2**30:.0f} GiB: merge rare labels, or use ksg"
            )
    batch = min(batch_size, len(sides[0]))
    if batch**2 * units > MOST_NUMBERS:
        most, gib = math.isqrt(MOST_NUMBERS // units), batch**2 * units * 4 / 2**30
        raise UserError(f"all pairs of a batch of {batch:,} need {gib:.0f} GiB: make batch_size {most:,} at most")


def _check_resolution(sides: tuple[np.ndarray, ...]) -> None:
    """Columns as they are must survive float32, in which critics compute."""
    for side, name in zip(sides, "xy", strict=True):
        if _is_label(side):
            continue
        largest = np.abs(side).max(0)
        with np.errstate(over="ignore"):
            lost = (np.ptp(side, axis=0) < 1e-5 * largest) | (largest > 1e30) | (largest < 1e-30)
        if lost.any():
            column = int(lost.argmax())
            raise UserError(
                f"column {column} of {name}, from {side[:, column].min():.6g} to {side[:, column].max():.6g}, is more "
                "than float32 can tell apart: use transform='standard'"
            )


def _repeated(sides: tuple[np.ndarray, ...]) -> str:
    """A warning where pairs are copies of others; "" where none or only so many are as rounding makes by chance.

    Copies stand on both sides of the split, so that held-out pairs have been seen. Rounded values coincide too, but
    then also when every column is shuffled on its own.
    """
    if all(_is_label(side) for side in sides):
        return ""
    copies = _copies(sides)
    if copies <= REPEATS * len(sides[0]):
        return ""
    rng = np.random.default_rng(0)
    by_chance = _copies(tuple(rng.permuted(side, axis=0) for side in sides))
    if copies <= 10 * by_chance:
        return ""
    return (
        f"{copies:,} of {len(sides[0]):,} pairs repeat another exactly: if they are copies, what is held out has been "
        "seen in training, and the value is far too high: drop them"
    )


def _copies(sides: tuple[np.ndarray, ...]) -> int:
    """How many pairs are equal to an earlier one."""
    rows = zip(*(np.ascontiguousarray(side) for side in sides), strict=True)
    return len(sides[0]) - len({tuple(hash(part.tobytes()) for part in row) for row in rows})


def _farthest(side: Tensor) -> float:
    """The largest absolute value; of columns with two values only, as an indicator's, it says nothing of tails."""
    two = ((side == side.amin(0)) | (side == side.amax(0))).all(0)
    return 0.0 if two.all() else float(side[:, ~two].abs().max())


def _check_whole(**settings: Any) -> None:
    for name, value in settings.items():
        if not isinstance(value, int | np.integer) or isinstance(value, bool):
            raise UserError(f"{name} must be a whole number, such as 3, not {value!r}")


def _check_numbers(**settings: Any) -> None:
    for name, value in settings.items():
        if not isinstance(value, int | float | np.integer | np.floating) or isinstance(value, bool):
            raise UserError(f"{name} must be a number, such as 0.5, not {value!r}")


def _check_settings(steps: int, batch_size: int, validation: float, test: float, repeats: int) -> None:
    if steps < 1 or repeats < 1:
        raise UserError(f"steps ({steps}) and repeats ({repeats}) must be at least 1")
    if batch_size < 2:
        raise UserError(f"batch_size must be at least 2, not {batch_size}: the others of a batch are the negatives")
    if not (validation > 0 and test > 0 and validation + test <= 0.95):  # written so that nan is refused too
        raise UserError(f"validation ({validation}) and test ({test}) must be above 0 and leave 5% to train on")


def _check_training(lr: float, hidden: tuple[int, ...], patience: int, tau: float) -> None:
    if not 0 < lr < math.inf:
        raise UserError(f"lr must be above 0, not {lr}: 5e-4 is usual")
    whole = isinstance(hidden, tuple | list) and all(isinstance(width, int | np.integer) for width in hidden)
    if not whole or not hidden or min(hidden) < 1:
        raise UserError(f"hidden must be the widths of one layer or more, such as (256, 256), not {hidden!r}")
    if patience < 1:
        raise UserError(f"patience must be at least 1 evaluation, not {patience}")
    if not tau > 0:
        raise UserError(f"tau must be above 0, not {tau}: 1 and 5 are usual, inf clips nothing")


class _Parts(NamedTuple):
    """Positions of the pairs that train, that decide when to stop, and that are read out."""

    train: Tensor
    stop: Tensor
    test: Tensor


def _split(n: int, validation: float, test: float, generator: torch.Generator) -> _Parts:
    order = torch.randperm(n, generator=generator)
    n_stop, n_test = max(5, round(validation * n)), max(5, round(test * n))
    return _Parts(order[n_stop + n_test :], order[:n_stop], order[n_stop : n_stop + n_test])


def _prepare(side: np.ndarray, train: Tensor, transform: Transform, device: torch.device) -> Tensor:
    """Numbers transformed by the training pairs' statistics, labels as one-hot rows: (n, D) float32."""
    if _is_label(side):
        rows = torch.zeros(len(side), int(side.max()) + 1)  # one_hot would take int64 first
        return rows.scatter_(1, torch.from_numpy(side).unsqueeze(1), 1.0).to(device)
    return torch.from_numpy(_transform(side, train.numpy(), transform)).float().to(device)


def _transform(side: np.ndarray, rows: np.ndarray | slice, transform: Transform) -> np.ndarray:
    """Each column transformed; what is fitted is fitted on `rows`."""
    if transform == "none":
        return side
    side = _in_range(side)
    fitted = side[rows]
    if transform == "rank":
        quantiles = min(1000, len(fitted))
        # Of all rows: by default scikit-learn draws 10,000, by numpy's global state, which no seed of ours reaches.
        ranks = QuantileTransformer(n_quantiles=quantiles, subsample=None, output_distribution="normal")
        ranked = ranks.fit(fitted).transform(side)
        # Of two values the ranks are the ends of the normal distribution, ten standard deviations apart.
        two = ((side == side.min(0)) | (side == side.max(0))).all(0)
        ranked[:, two] = _transform(side[:, two], rows, "standard") if two.any() else 0
        return ranked
    if transform == "asinh":
        centre = np.median(fitted, axis=0)
        spread = np.median(np.abs(fitted - centre), axis=0)
        squash = FunctionTransformer(lambda z: np.arcsinh((z - centre) / np.where(spread > 0, spread, 1.0)))
        side, fitted = squash.transform(side), squash.transform(fitted)
    return StandardScaler().fit(fitted).transform(side)


def _in_range(side: np.ndarray) -> np.ndarray:
    """Each column about its median, the largest absolute value 1.

    Sums of squares neither overflow nor underflow then, and no column far from zero is taken for a constant.
    """
    side = side / np.abs(side).max(0)
    side = side - np.median(side, axis=0)
    return side / np.abs(side).max(0)
