"""estimate_mi(x, y): mutual information between any two arrays of pairs, in nats, with its uncertainty.

The pairs are split into three parts. A critic is trained on the first, stopped by the second, and read on the third,
which has not been used before. The result has the value in nats, its uncertainty, whether it is a lower bound, the
largest value that the estimator can reach, and a warning if the number should not be trusted.

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

n_test is the number of held-out pairs, or of those in a block if they are read in several (see `BLOCK`).

"Yes" means: in expectation over held-out pairs the number does not exceed the mutual information, for any critic. The
plain DV value of a sample does not have that property, because the log of a sample mean is too low on average; hence
the tangent (see `readouts`). Caps that are not hard are a warning: no distribution-free lower bound from n samples can
exceed the order of log n with confidence (McAllester & Stratos 2020, arXiv 1811.04251). If a side is labels, the cap is
at most their entropy, which mutual information cannot exceed. "ksg" of two sets of labels counts them (`labels`).

"auto" takes nearest neighbours of ranks if there are few columns and no warning, and infoNCE otherwise; the other
estimate is in `MIEstimate.beside`. If columns are few, every estimate by a critic has one by nearest neighbours in
`beside`, since they find a sharp dependence that a critic misses.
"""

import dataclasses
import inspect
import math
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from deepinfomax.devices import choose_device
from deepinfomax.errors import UserError
from deepinfomax.information import checks, inputs, readouts
from deepinfomax.information.cautions import (
    FEWEST_STEPS,
    OF_CRITICS,
    Advice,
    Evidence,
    cautions,
    few_pairs_for_both,
    long_tails,
    near_cap,
    repeated_pairs,
)
from deepinfomax.information.critic_reading import BLOCK, Reading, all_folds, mean_and_error, read_critic
from deepinfomax.information.critic_training import Fit, train_critic
from deepinfomax.information.estimate import MIEstimate, Pointwise
from deepinfomax.information.estimators import ESTIMATORS, Estimator, estimator_name, smile_with
from deepinfomax.information.groups import batches_of_groups, group_codes, neighbouring_rows_alike, one_of_each, rows_of
from deepinfomax.information.inputs import Parts, Transform
from deepinfomax.information.neighbour_estimate import beside_a_critic, neighbour_estimate
from deepinfomax.information.shuffling import few_shuffles, joined
from deepinfomax.information.vector_critics import FeaturewiseCritic, JointCritic, SeparableCritic
from deepinfomax.progress import within
from deepinfomax.seeds import check_seed

CRITICS: dict[str, type[nn.Module]] = {
    "separable": SeparableCritic,
    "joint": JointCritic,
    "featurewise": FeaturewiseCritic,
}
HELD_OUT = 0.2  #: default fraction of the pairs that is read out
SHUFFLES, SHUFFLES_OF_NEIGHBOURS = 999, 199  #: default numbers of shuffles for a p-value
STOPPING_PAIRS = 512  #: pairs of the validation part that decide when to stop
#: settings that nearest neighbours do not use, since they train nothing
OF_TRAINING = ("critic", "steps", "batch_size", "lr", "hidden", "tau", "validation", "patience", "repeats", "folds")


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
    test: float | bool = HELD_OUT,
    patience: int = 10,
    repeats: int = 1,
    folds: int | None = None,
    groups: Any = None,
    block: int | None = None,
    shuffles: int = 0,
    seed: int = 0,
    device: str = "cpu",
) -> MIEstimate:
    """Mutual information of x and y from n pairs (x_i, y_i), in nats.

    Args:
        x, y: arrays or tensors of n rows: (n, D) numbers, (n,) numbers, or (n,) integers, booleans or strings, which
            are taken as labels (give integers that are quantities as floats; more labels than a fifth of n are
            refused). Row i of both was drawn together; rows are independent of each other.
        estimator: one of `NAMES`, "auto", or "jsd" for "jsd-nwj"; the table at the top of this module compares them.
        critic: "separable"; "featurewise", for many columns, which also has a small network for each column; or
            "joint", which can represent any dependence and is slower by a factor of about the batch size.
        steps: the largest number of training steps; the learning rate falls to zero over them by a cosine.
        batch_size: pairs in a batch; all other combinations of the batch are negatives.
        lr: Adam's learning rate at the start.
        hidden: widths of the critic's hidden layers.
        transform: of each column. All are invertible, so they do not change the mutual information: "standard" (mean 0,
            sd 1), "rank" (normal scores of ranks: best for long tails), "asinh" (around the median), "none". They are
            fitted on training pairs.
        tau: SMILE's clip; inf is "jsd-dv" without the tangent.
        neighbours: KSG's k.
        validation, test: fractions of the pairs that decide when to stop, and that are read out. `test=True` means 0.2
            and a p-value.
        patience: evaluations (40 in all `steps`) without improvement before training stops.
        repeats: number of trainings, each with its own split and seed: seed, seed + 1, ...
        folds: cross-fitting: each repeat trains this many critics, each of which is read on another part, so that every
            pair is read once (`validation` and `test` are not used). None: one training.
        groups: (n,) the subject, file or other origin of each row, if rows of the same origin are similar. Rows of a
            group stay on one side of every split, one row of each group is read at a time, and the standard error is
            that of independent groups, not rows. None: rows are independent.
        block: the same for a series: this many successive rows belong together. None: rows are independent.
        shuffles: number of shuffles for `MIEstimate.p_value`; 0: no p-value or, with `test=True`, 999 (KSG: 199).
        seed: for the split, the weights and the batches.
        device: where critics are trained.

    Returns:
        `MIEstimate`. Its standard error is the infinitesimal jackknife over held-out pairs (KSG: the spread over ten
        disjoint subsets, or of fewer than 100 pairs a neighbour between halves of them; two sets of labels: the
        jackknife over all pairs), joined with the spread between repeats.

    Raises:
        UserError: different lengths, missing or infinite values, too few pairs, a constant column, labels that are
            nearly all different, a bad name, or a setting out of its range.
    """
    started, given = time.monotonic(), dict(locals())
    asked = estimator_name(estimator)
    name = "infonce" if asked == "auto" else asked
    if name != "ksg" and str(critic) not in CRITICS:
        raise UserError(f"unknown critic {critic!r}; choose one of {', '.join(CRITICS)}")
    checks.check_transform(transform)
    if isinstance(test, bool):
        shuffles = (shuffles or (SHUFFLES_OF_NEIGHBOURS if name == "ksg" else SHUFFLES)) if test else shuffles
        test = HELD_OUT
    checks.check_whole(steps=steps, batch_size=batch_size, neighbours=neighbours, patience=patience, repeats=repeats)
    checks.check_shuffles(shuffles)
    checks.check_numbers(lr=lr, tau=tau, validation=validation, test=test)
    checks.check_folds(folds)
    seed, repeats = check_seed(seed), int(repeats)
    on = choose_device(device)
    sides, codes = _sides_and_groups(x, y, groups, block)
    notes = _notes(estimator, name, x, y, sides) + _unused(name, given)
    if name == "ksg":
        estimate = neighbour_estimate(*sides, transform, neighbours, seed, started, codes=codes, shuffles=int(shuffles))
        estimate = dataclasses.replace(estimate, notes=notes + few_shuffles(int(shuffles)))
        if transform == "standard":
            estimate = estimate.cautioned(long_tails(_farthest(sides)))
        return _warned_of_rows(estimate, sides, codes)

    if repeats < 1:
        raise UserError(f"repeats ({repeats}) must be at least 1")
    checks.check_split(validation, test)
    checks.check_training(steps, batch_size, lr, hidden, patience)
    if not tau > 0:
        raise UserError(f"tau must be above 0, not {tau}: 1 and 5 are usual, inf clips nothing")
    inputs.check_memory(sides, batch_size, hidden[0] if critic == "joint" else 1)
    if transform == "none":
        inputs.check_resolution(sides)
    chosen = smile_with(tau) if name == "smile" else ESTIMATORS[name]
    training = {"steps": steps, "batch_size": batch_size, "lr": lr, "patience": patience}
    task = _Task(chosen, sides, codes, transform, training, int(shuffles))
    results, every = [], []
    for number, one_seed in enumerate(range(seed, seed + repeats)):
        generator = torch.Generator().manual_seed(one_seed)
        splits, of_seed = _splits(len(sides[0]), codes, validation, test, folds, generator), []
        for fold, parts in enumerate(splits, 1):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(one_seed)
                network = CRITICS[critic](*map(inputs.width, sides), hidden=hidden).to(on)
            with within(f"critic {number * len(splits) + fold} of {repeats * len(splits)}"):
                of_seed.append(_trained_and_read(task, network, parts, generator, one_seed))
        every += of_seed
        readings = [(one.fit, one.reading) for one in of_seed]
        results += readings if folds is None else _all_folds(readings)
    n_train, farthest = len(every[-1].parts.train), max(one.farthest for one in every)
    seeds, advice = tuple(range(seed, seed + repeats)), Advice.of(name, transform)
    entropy, entropy_error = inputs.labels_entropy(sides, codes)
    beside = beside_a_critic(*sides, int(neighbours), seed, codes)
    estimate = summarise(name, critic, chosen, results, seeds, n_train, started, advice, entropy=entropy, beside=beside)
    estimate = dataclasses.replace(
        estimate,
        p_value=joined([r.p_value for _, r in results if r.p_value is not None]) if shuffles else None,
        shuffles=int(shuffles),
        notes=notes + few_shuffles(int(shuffles), (1 if folds is None else 2) * (1 if repeats == 1 else 2)),
        groups=None if codes is None else int(codes.max()) + 1,
        entropy_error=entropy_error,
        pointwise=_pointwise([(one.parts.test.numpy(), one.reading.pointwise) for one in every]),
    )
    if transform == "standard":
        estimate = estimate.cautioned(long_tails(farthest))
    estimate = _warned_of_rows(estimate, sides, codes)
    return _best_of_both(estimate) if asked == "auto" else estimate


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
    entropy: float = math.inf,
    plain: bool = False,
    beside: MIEstimate | None = None,
) -> MIEstimate:
    """Combine all repeats into one estimate: their mean, its standard error, and warnings.

    Args:
        name: of the estimator.
        results: the training and the reading of each critic.
        started: `time.monotonic()` at the beginning.
        entropy: of a side that is labels, in nats, which the truth cannot exceed.
        plain: use the readouts without a tangent, which are not lower bounds.
        beside: the estimate by nearest neighbours from the same pairs.
    """
    fits, readings = zip(*results, strict=True)
    nats, error = mean_and_error([(r.plain, r.plain_error) if plain else (r.nats, r.standard_error) for r in readings])
    train_nats = float(np.mean([reading.train_nats for reading in readings]))
    cap = min(reading.cap for reading in readings)
    with_normaliser = estimator.read in (readouts.dv, readouts.nwj, readouts.jsd_nwj)
    evidence = Evidence(
        nats=nats,
        standard_error=error,
        cap=cap,
        hard_cap=name == "infonce",
        entropy=entropy,
        train_nats=train_nats,
        effective=min(reading.effective_negatives for reading in readings) if with_normaliser else math.inf,
        drift=max(reading.plain - reading.nats for reading in readings),
        skipped=max(fit.skipped / fit.steps for fit in fits),
        steps=min(fit.steps for fit in fits),
        rise=max(fit.rise for fit in fits),
        fall=float(np.mean([fit.fall for fit in fits])),
        read_in_blocks=readings[0].n_test >= BLOCK,
        neighbours=-math.inf if beside is None else beside.nats,
        neighbours_error=0.0 if beside is None else beside.standard_error,
        neighbours_rise=0.0 if beside is None else beside.shortfall,
        by_dv=float(np.mean([reading.dv_nats for reading in readings])),
        advice=advice,
    )
    if beside is not None:  # which "auto" may put in front
        beside = beside.cautioned(few_pairs_for_both(evidence) or "")
    unlimited = near_cap(nats, cap, entropy, hard=evidence.hard_cap)
    return MIEstimate(
        nats=nats,
        standard_error=error,
        lower_bound=estimator.lower_bound and not plain,
        cap=min(cap, entropy),
        n_train=n_train,
        n_test=readings[0].n_test,
        estimator=name,
        critic=critic,
        seconds=time.monotonic() - started,
        warning=cautions(OF_CRITICS, evidence),
        seeds=seeds,
        train_nats=train_nats,
        entropy=entropy,
        shortfall=math.inf if unlimited else max(0.0, train_nats - nats, evidence.by_dv - nats),
        beside=beside,
        training=tuple(fit.stopping for fit in fits),
    )


class _Task(NamedTuple):
    """What all critics of an estimate have in common."""

    chosen: Estimator
    sides: tuple[np.ndarray, np.ndarray]
    codes: np.ndarray | None  #: the group of each row; None: rows are independent
    transform: Transform
    training: dict[str, Any]  #: steps, batch_size, lr and patience
    shuffles: int


class _Trained(NamedTuple):
    """One critic: how it was trained and read."""

    fit: Fit
    reading: Reading
    parts: Parts
    farthest: float  #: the largest number it was given, see `inputs.farthest_value`


def _trained_and_read(task: _Task, network: nn.Module, parts: Parts, generator: torch.Generator, seed: int) -> _Trained:
    """Train a new critic on the first part of the pairs, stop it by the second, and read it on the third.

    Args:
        generator: draws the batches.
        seed: for the choices of rows and the shuffles.
    """
    on = next(network.parameters()).device
    numbers = [inputs.prepare(side, parts.train, task.transform, on) for side in task.sides]
    train, stop, held_out = ([side[part] for side in numbers] for part in parts)
    codes, training = task.codes, task.training
    of = None if codes is None else [codes[part.numpy()] for part in (parts.test, parts.stop, parts.train)]
    stopping = [side[:STOPPING_PAIRS] for side in stop]
    if of is not None:
        rows = torch.from_numpy(one_of_each(of[1], np.random.default_rng(seed))[0])[:STOPPING_PAIRS]
        stopping = [side[rows] for side in stop]
    batches = None if of is None else batches_of_groups(of[2], training["batch_size"], generator)
    fit = train_critic(network, task.chosen, *train, *stopping, generator=generator, batches=batches, **training)
    reading = read_critic(network, task.chosen, held_out, stop, train, codes=of, shuffles=task.shuffles, seed=seed)
    return _Trained(fit, reading, parts, max(map(inputs.farthest_value, numbers)))


def _splits(
    n: int, codes: np.ndarray | None, validation: float, test: float, folds: int | None, generator: torch.Generator
) -> list[Parts]:
    """The pairs that train, stop and are read, once or for each fold; groups are not split."""
    count = n if codes is None else int(codes.max()) + 1
    if folds is None:
        splits = [inputs.split_pairs(count, validation, test, generator)]
    else:
        splits = inputs.split_folds(count, folds, generator)
    return splits if codes is None else [Parts(*(rows_of(codes, part) for part in parts)) for parts in splits]


def _all_folds(readings: list[tuple[Fit, Reading]]) -> list[tuple[Fit, Reading]]:
    """Combine the readings of all folds, and keep the training with the worst signs."""
    fits = [fit for fit, _ in readings]
    worst = max(fits, key=lambda fit: (fit.steps < FEWEST_STEPS, fit.skipped / fit.steps, fit.rise))
    return [(worst, all_folds([reading for _, reading in readings]))]


def _pointwise(parts: list[tuple[np.ndarray, np.ndarray]]) -> Pointwise:
    """Each pair once, with the mean of its values, in the order of the pairs."""
    rows, values = (np.concatenate(part) for part in zip(*parts, strict=True))
    rows, values = rows[np.isfinite(values)], values[np.isfinite(values)]
    each, of = np.unique(rows, return_inverse=True)
    return Pointwise(each, np.bincount(of, weights=values) / np.bincount(of) if len(of) else values)


def _warned_of_rows(estimate: MIEstimate, sides: tuple[np.ndarray, np.ndarray], codes: np.ndarray | None) -> MIEstimate:
    """Add warnings about the rows: repeated pairs, or successive rows that are similar; the value is then no bound."""
    estimate = estimate.cautioned(neighbouring_rows_alike(sides, codes), no_bound=True)
    # Held-out pairs have then been seen in training, so the value is not a bound.
    return estimate if codes is not None else estimate.cautioned(repeated_pairs(sides), no_bound=True)


def _farthest(sides: tuple[np.ndarray, np.ndarray]) -> float:
    """The largest value of the sides that are numbers, in standard deviations of its column."""
    every, cpu = torch.arange(len(sides[0])), torch.device("cpu")
    numbers = [inputs.prepare(side, every, "standard", cpu) for side in sides if not inputs.is_labels(side)]
    return max(map(inputs.farthest_value, numbers), default=0.0)


def _best_of_both(estimate: MIEstimate) -> MIEstimate:
    """For "auto": choose the critic's or the neighbours' estimate as the result; the p-value is the critic's."""
    neighbours = estimate.beside
    if neighbours is None or (neighbours.warning is not None and neighbours.nats < estimate.nats):
        return estimate
    critic = dataclasses.replace(estimate, beside=None)
    return dataclasses.replace(
        neighbours,
        beside=critic,
        notes=estimate.notes,
        p_value=estimate.p_value,
        shuffles=estimate.shuffles,
        pointwise=estimate.pointwise,
        training=estimate.training,
        seconds=estimate.seconds,
    )


def _sides_and_groups(
    x: Any, y: Any, groups: Any, block: int | None
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray | None]:
    """Both sides as arrays, checked, and the group of each row (None: rows are independent)."""
    inputs.check_index(x, y)
    inputs.check_index(x, groups, ("x", "groups"))
    inputs.check_index(y, groups, ("y", "groups"))
    sides = (inputs.read_side(x, "x"), inputs.read_side(y, "y"))
    inputs.check_lengths(len(sides[0]), len(sides[1]))
    for side, letter in zip(sides, "xy", strict=True):
        inputs.check_labels(side, letter)
    return sides, group_codes(groups, block, len(sides[0]))


def _notes(estimator: str, name: str, x: Any, y: Any, sides: tuple[np.ndarray, np.ndarray]) -> tuple[str, ...]:
    notes = inputs.remarks(x, sides[0], "x") + inputs.remarks(y, sides[1], "y")
    if str(estimator).lower() == "jsd":
        notes += ("jsd is taken as jsd-nwj: a critic trained by JSD, read by NWJ (Poole et al. 2019)",)
    return notes


def _unused(name: str, given: Mapping[str, Any]) -> tuple[str, ...]:
    """A note with the given settings that this estimator does not use."""
    known = OF_TRAINING if name == "ksg" else () if name == "smile" else ("tau",)
    defaults = inspect.signature(estimate_mi).parameters
    unused = [setting for setting in known if given[setting] != defaults[setting].default]
    return (f"{name} has no use for {', '.join(unused)}: not used",) if unused else ()
