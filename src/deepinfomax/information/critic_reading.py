"""What a trained critic says of held-out pairs: nats, their standard error, and how far they can be believed."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from deepinfomax.information import readouts
from deepinfomax.information.estimators import Estimator
from deepinfomax.information.readouts import Scores
from deepinfomax.information.vector_critics import score_all_pairs

#: Held-out pairs are read in as many equal blocks of at least this many pairs as they give, so each block has less than
#: twice as many; all n(n - 1) combinations of a block are its negatives.
BLOCK = 2048


@dataclass(frozen=True)
class Reading:
    """One critic's value on held-out pairs, in nats."""

    nats: float
    standard_error: float
    plain: float  #: the readout without a tangent; `nats` itself where the readout needs none
    plain_error: float
    train_nats: float  #: the same readout on as many training pairs
    cap: float  #: log of the pairs of a block
    n_test: int
    effective_negatives: float  #: how many negatives of equal weight would make the normaliser as certain


def read_critic(
    critic: nn.Module, estimator: Estimator, held_out: list[Tensor], stop: list[Tensor], train: list[Tensor]
) -> Reading:
    """The critic's readout on held-out pairs, the tangent laid at the value of the stopping pairs.

    Args:
        held_out, stop, train: the two sides of pairs that it has not seen, that stopped it, and that it has seen.
    """
    at = None
    if estimator.tangent_at is not None:
        at = float(estimator.tangent_at(_scores(critic, [side[:BLOCK] for side in stop])))
    blocks = max(1, len(held_out[0]) // BLOCK)
    values, effective = [], []
    for block in zip(*(side.tensor_split(blocks) for side in held_out), strict=True):
        scores = _scores(critic, list(block))
        plain = value_and_error(estimator, scores, None)
        values.append((*(plain if at is None else value_and_error(estimator, scores, at)), *plain))
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


def value_and_error(estimator: Estimator, scores: Scores, at: float | None) -> tuple[float, float]:
    """The readout and its standard error, the norm of its derivative by the pairs' weights (infinitesimal jackknife).

    Args:
        at: where the tangent is laid; None: the readout without one.
    """
    log_weight = torch.zeros_like(scores.pairs, requires_grad=True)
    weighted = Scores(scores.all_pairs, log_weight)
    value = estimator.read(weighted) if at is None else estimator.read(weighted, at=at)
    (influence,) = torch.autograd.grad(value, log_weight)
    return float(value.detach()), float(influence.norm())


def mean_and_error(values: list[tuple[float, float]]) -> tuple[float, float]:
    """The value and standard error of each repeat -> their mean, and the error within and between repeats."""
    nats, errors = np.array(values).T
    with np.errstate(invalid="ignore"):  # a value may be infinite, and the error then is nan
        between = float(np.var(nats, ddof=1)) / len(nats) if len(nats) > 1 else 0.0
        return float(nats.mean()), math.sqrt(float(np.mean(errors**2)) + between)


def _scores(critic: nn.Module, pairs: list[Tensor]) -> Scores:
    x, y = pairs
    return Scores(score_all_pairs(critic, x, y).double())  # e^u of a score far out, and sums of millions of them
