"""Reading a trained critic on held-out pairs: the value in nats, its standard error, and evidence for warnings."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from deepinfomax.devices import in_float64
from deepinfomax.information import readouts
from deepinfomax.information.estimators import ESTIMATORS, Estimator
from deepinfomax.information.groups import one_of_each
from deepinfomax.information.readouts import Scores
from deepinfomax.information.shuffling import joined, p_value_of_scores
from deepinfomax.information.vector_critics import score_all_pairs

#: Held-out pairs are divided into equal blocks, as many as possible with at least this many pairs each. All n(n - 1)
#: combinations within a block are its negatives.
BLOCK = 2048


@dataclass(frozen=True)
class Reading:
    """One critic's value on held-out pairs, in nats."""

    nats: float
    standard_error: float
    plain: float  #: the readout without a tangent; the same as `nats` if the readout has no tangent
    plain_error: float
    train_nats: float  #: the same readout on as many training pairs
    cap: float  #: log of the pairs of a block
    n_test: int
    effective_negatives: float  #: how many negatives of equal weight would make the normaliser as certain
    dv_nats: float = -math.inf  #: the same critic read by DV with a tangent, a lower bound too; -inf: not read
    pointwise: np.ndarray = field(default_factory=lambda: np.empty(0), compare=False)  #: (n_test,) nats of each pair
    p_value: float | None = None  #: of independence, by shuffling the held-out pairs


def read_critic(
    critic: nn.Module,
    estimator: Estimator,
    held_out: list[Tensor],
    stop: list[Tensor],
    train: list[Tensor],
    *,
    codes: Sequence[np.ndarray] | None = None,
    shuffles: int = 0,
    seed: int = 0,
) -> Reading:
    """Read a critic on held-out pairs; the tangent is at the value of the stopping pairs.

    Args:
        held_out, stop, train: each the two sides (n, D), (n, E) of the held-out pairs, of the pairs that stopped the
            training, and of the training pairs.
        codes: the group of each row of these three; None: all rows are independent. One row of each group is read at a
            time, see `groups`.
        shuffles: number of shuffles of the held-out pairs, for a p-value; 0: no p-value.
        seed: for the choices of rows and the shuffles.
    """
    rng = np.random.default_rng([seed, len(held_out[0]), BLOCK])
    choices: list[list[np.ndarray]] = [[], [], []]  # of rows that are independent of each other, of the three parts
    if codes is not None:
        choices = [one_of_each(part, rng) for part in codes]
        stop, train = (
            [side[torch.from_numpy(rows[0])] for side in part]
            for part, rows in ((stop, choices[1]), (train, choices[2]))
        )
    stopping = _scores(critic, [side[:BLOCK] for side in stop])
    at = None if estimator.tangent_at is None else float(estimator.tangent_at(stopping))
    n = len(held_out[0])
    independent = n if codes is None else len(choices[0][0])
    blocks = max(1, independent // BLOCK)
    if codes is None:
        positions = [torch.arange(n).tensor_split(blocks)]
    else:
        positions = [torch.from_numpy(rows).tensor_split(blocks) for rows in choices[0]]
    by_dv = estimator.trained_by == "jsd" and estimator.tangent_at is not readouts.log_normaliser
    touch = float(readouts.log_normaliser(stopping)) if by_dv else 0.0
    values, effective, all_scores, dv_values = [], [], [], []
    pointwise, times = np.zeros(n), np.zeros(n)
    for parts in zip(*positions, strict=True):  # a block, in every choice of its rows
        scores = [_scores(critic, [side[rows] for side in held_out]) for rows in parts]
        plain = value_and_error(estimator, scores[0], None, scores[1:])
        values.append((*(plain if at is None else value_and_error(estimator, scores[0], at, scores[1:])), *plain))
        effective += [readouts.effective_negatives(one) for one in scores]
        if by_dv:
            dv_values += [float(readouts.dv(one, at=touch)) for one in scores]
        for rows, one in zip(parts, scores, strict=True):
            pointwise[rows.numpy()] += _pointwise(estimator, one)
            times[rows.numpy()] += 1
        all_scores += [one.all_pairs for one in scores] if shuffles else []
    nats, error, plain_nats, plain_error = np.array(values).T
    on_train = _scores(critic, [side[: independent // blocks] for side in train])
    with np.errstate(invalid="ignore"):  # a row that no choice held has no value
        pointwise = pointwise / times
    return Reading(
        nats=float(nats.mean()),
        standard_error=float(np.linalg.norm(error)) / blocks,
        plain=float(plain_nats.mean()),
        plain_error=float(np.linalg.norm(plain_error)) / blocks,
        train_nats=float(estimator.read(on_train)),
        cap=math.log(independent // blocks),
        n_test=n,
        effective_negatives=float(np.median(effective)),
        dv_nats=float(np.mean(dv_values)) if by_dv else -math.inf,
        pointwise=pointwise,
        p_value=p_value_of_scores(all_scores, shuffles, rng) if shuffles else None,
    )


def all_folds(readings: Sequence[Reading]) -> Reading:
    """Combine the readings of critics on disjoint parts of the pairs (cross-fitting): their mean.

    The standard error is the larger of the jackknife within the parts and of the spread between parts, which includes
    the randomness of training.
    """

    def mean(name: str) -> float:
        return float(np.mean([getattr(reading, name) for reading in readings]))

    def error(value: str, name: str) -> float:
        within = np.mean([getattr(reading, name) ** 2 for reading in readings])
        with np.errstate(invalid="ignore"):
            between = np.var([getattr(reading, value) for reading in readings], ddof=1)
        return float(np.sqrt(np.fmax(within, between) / len(readings)))

    p_values = [reading.p_value for reading in readings if reading.p_value is not None]
    return Reading(
        nats=mean("nats"),
        standard_error=error("nats", "standard_error"),
        plain=mean("plain"),
        plain_error=error("plain", "plain_error"),
        train_nats=mean("train_nats"),
        cap=min(reading.cap for reading in readings),
        n_test=sum(reading.n_test for reading in readings),
        effective_negatives=float(np.median([reading.effective_negatives for reading in readings])),
        dv_nats=mean("dv_nats"),
        pointwise=np.concatenate([reading.pointwise for reading in readings]),
        p_value=joined(p_values) if p_values else None,
    )


def _pointwise(estimator: Estimator, scores: Scores) -> np.ndarray:
    """(n,) log of the density ratio at each pair: its score minus the log-normaliser (for infoNCE, of its own row)."""
    if estimator is ESTIMATORS["infonce"]:
        n = len(scores.pairs)
        return (scores.pairs - scores.all_pairs.logsumexp(1) + math.log(n)).cpu().numpy()
    return (scores.pairs - readouts.log_normaliser(scores)).cpu().numpy()


def value_and_error(
    estimator: Estimator, scores: Scores, at: float | None, others: Sequence[Scores] = ()
) -> tuple[float, float]:
    """The readout and its standard error: the norm of its derivative by the pairs' weights (infinitesimal jackknife).

    Args:
        at: the point of the tangent; None: no tangent.
        others: scores of other rows of the same groups. The value is the mean; each group has the same weight in all.
    """
    log_weight = torch.zeros_like(scores.pairs, requires_grad=True)
    weighted = [Scores(one.all_pairs, log_weight) for one in (scores, *others)]
    values = [estimator.read(one) if at is None else estimator.read(one, at=at) for one in weighted]
    value = values[0] if len(values) == 1 else torch.stack(values).mean()
    (influence,) = torch.autograd.grad(value, log_weight)
    return float(value.detach()), float(influence.norm())


def mean_and_error(values: list[tuple[float, float]]) -> tuple[float, float]:
    """The mean of the repeats' values, and its standard error from the errors within and the spread between repeats."""
    nats, errors = np.array(values).T
    with np.errstate(invalid="ignore"):  # a value may be infinite, and the error then is nan
        between = float(np.var(nats, ddof=1)) / len(nats) if len(nats) > 1 else 0.0
        return float(nats.mean()), math.sqrt(float(np.mean(errors**2)) + between)


def _scores(critic: nn.Module, pairs: list[Tensor]) -> Scores:
    x, y = pairs
    return Scores(in_float64(score_all_pairs(critic, x, y)))  # e^u of a score far out, and sums of millions of them
