"""The estimate by nearest neighbours, or by counting if both sides are labels: no network and no training."""

import math
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from deepinfomax.errors import UserError
from deepinfomax.information import ksg
from deepinfomax.information import labels as label_information
from deepinfomax.information.cautions import OF_NEIGHBOURS, Advice, Evidence, cautions, near_cap
from deepinfomax.information.estimate import MIEstimate
from deepinfomax.information.groups import one_of_each
from deepinfomax.information.inputs import Transform, is_labels, labels_entropy, transformed
from deepinfomax.information.shuffling import p_value_by_repeating

SUBSETS = 10  #: disjoint parts of the pairs; their spread gives the standard error
#: With fewer rows per neighbour, parts hardly vary, so the error is computed from halves of the pairs.
ROWS_PER_NEIGHBOUR = 10
MOST_BESIDE = 5000  #: largest number of pairs for the neighbours' estimate in addition to a critic's
MOST_UNITS = 6  #: largest number of columns of both sides together for which nearest neighbours are trusted


def neighbour_estimate(
    x: np.ndarray,
    y: np.ndarray,
    transform: Transform,
    k: int,
    seed: int,
    started: float,
    *,
    codes: np.ndarray | None = None,
    shuffles: int = 0,
) -> MIEstimate:
    """The estimate by KSG for numbers, by Ross if one side is labels, by counting (Miller and Madow) if both are.

    Args:
        x, y: sides from `inputs.read_side`.
        k: number of neighbours.
        started: `time.monotonic()` at the beginning.
        codes: the group of each row; None: rows are independent. One row of each group is used at a time.
        shuffles: number of shuffles for a p-value; 0: no p-value.

    Raises:
        UserError: too few pairs for so many neighbours.
    """
    n, independent = len(x), len(x) if codes is None else int(codes.max()) + 1
    if not 1 <= k < independent // SUBSETS:
        what = "pairs" if codes is None else "groups"
        raise UserError(
            f"{k} neighbours need more than {SUBSETS * k} {what}, and at least 1 neighbour; you gave {independent}"
        )
    # Not default_rng(seed): if a user drew the data with it, the noise would be the same numbers, and so dependent.
    rng = np.random.default_rng([seed, n, SUBSETS])
    sides = [
        side if is_labels(side) else without_ties(transformed(side, slice(None), transform), rng) for side in (x, y)
    ]
    both_labels = is_labels(x) and is_labels(y)

    def value(rows: np.ndarray | slice) -> float:
        return nearest(sides[0][rows], sides[1][rows], k)

    tenth, by_chance = math.inf, 0.0
    choices = [] if codes is None else one_of_each(codes, np.random.default_rng([seed, n]))
    if both_labels and codes is None:
        # a tenth of the pairs has far fewer of many combinations, and says little of how all of them vary
        error = label_information.standard_error(*sides)
    else:
        parts = np.array_split(rng.permutation(independent), SUBSETS)
        error, tenth = spread(value if codes is None else partial(averaged, value, choices), parts, k, seed)
    nats = value(slice(None)) if codes is None else averaged(value, choices, slice(None))
    cap = math.inf if both_labels else ksg.cap(independent, k)
    entropy, entropy_error = labels_entropy(sides, codes)
    if both_labels:
        by_chance = label_information.by_chance(sides[0], sides[1], rng, choices)
    evidence = Evidence(
        nats=nats,
        standard_error=error,
        cap=cap,
        hard_cap=True,
        entropy=entropy,
        by_chance=by_chance,
        tenth=tenth,
        units=units(*sides),
        ranked=_ranked(x, y, transform, k, seed) if codes is None else None,
        atom=max(map(largest_atom, (x, y))),
        advice=Advice(steady="give more pairs"),
    )
    p_value = None
    if shuffles:
        rows = choices[0] if choices else slice(None)
        one, other = (side[rows] for side in sides)
        seen = nats if not choices else nearest(one, other, k)
        again = np.random.default_rng([seed, n, shuffles])
        p_value = p_value_by_repeating(seen, lambda order: nearest(one, other[order], k), independent, shuffles, again)
    still_rises = max(0.0, nats - tenth) if math.isfinite(tenth) and not both_labels else 0.0
    if near_cap(nats, cap, entropy):
        still_rises = math.inf
    return MIEstimate(
        nats=nats,
        standard_error=error,
        lower_bound=False,
        cap=min(cap, entropy),
        n_train=0,
        n_test=n,
        estimator="ksg",
        critic=None,
        seconds=time.monotonic() - started,
        warning=cautions(OF_NEIGHBOURS, evidence),
        seeds=(seed,),
        p_value=p_value,
        shuffles=shuffles,
        entropy=entropy,
        entropy_error=entropy_error,
        shortfall=still_rises,
        excess=abs(by_chance) + (0.1 * abs(nats - tenth) if math.isfinite(tenth) and not both_labels else 0.0),
        degrees=None if both_labels and codes is None else SUBSETS - 1,
        groups=None if codes is None else independent,
    )


def beside_a_critic(
    x: np.ndarray, y: np.ndarray, k: int, seed: int, codes: np.ndarray | None = None
) -> MIEstimate | None:
    """The neighbours' estimate from ranks of some of the pairs; None if there are many columns, or labels only."""
    independent = len(x) if codes is None else int(codes.max()) + 1
    if units(x, y) > MOST_UNITS or (is_labels(x) and is_labels(y)) or not 1 <= k < independent // SUBSETS:
        return None
    if len(x) > MOST_BESIDE and codes is None:
        rows = np.sort(np.random.default_rng([seed, len(x)]).choice(len(x), MOST_BESIDE, replace=False))
        x, y = (np.unique(side[rows], return_inverse=True)[1] if is_labels(side) else side[rows] for side in (x, y))
        if any(np.ptp(side, axis=0).min() == 0 for side in (x, y)):  # the rows drawn are all equal
            return None
    return neighbour_estimate(x, y, "rank", k, seed, time.monotonic(), codes=codes)


def nearest(one: np.ndarray, other: np.ndarray, k: int) -> float:
    """The estimate for sides without ties, in nats: by KSG, by Ross, or by counting, as the sides require."""
    if is_labels(one) and is_labels(other):
        return label_information.information(one, other)
    if is_labels(one):
        one, other = other, one
    return ksg.ksg_labels(one, other, k) if is_labels(other) else ksg.ksg(one, other, k)


def spread(
    value: Callable[[np.ndarray], float],
    parts: list[np.ndarray],
    k: int,
    seed: int,
    *,
    rows: int = ROWS_PER_NEIGHBOUR,
    whole: bool = False,
) -> tuple[float, float]:
    """The standard error of the value of all rows, and the mean value of the parts; inf where it is not known.

    Disjoint parts are independent, and the variance of an estimate falls as 1/n (Holmes & Nemenman 2019). But in a part
    with few rows for k neighbours the k-th is nearly the farthest, and its value hardly varies. There half of the rows
    are compared with the other half, for as many random halves as there are parts.

    Args:
        value: of the rows at such positions; nan or a UserError where they are too few, as of a rare label.
        parts: disjoint positions of all rows.
        rows: of a part for each neighbour, below which halves are compared.
        whole: keep parts together in the halves, as stretches of time.
    """

    def known(part: np.ndarray) -> float:
        try:
            return value(part)
        except UserError:
            return math.nan

    values = np.array([known(part) for part in parts])
    error, tenth = float(np.std(values, ddof=1)) / math.sqrt(len(parts)), float(values.mean())
    if not math.isfinite(tenth):
        return math.inf, math.inf
    n = sum(map(len, parts))
    if n < len(parts) * rows * k:
        rng = np.random.default_rng([seed, n, k, len(parts)])
        gaps = []
        for _ in parts:
            if whole:
                order = rng.permutation(len(parts))
                both = [np.sort(np.concatenate([parts[i] for i in half])) for half in np.array_split(order, 2)]
            else:
                both = np.array_split(rng.permutation(np.concatenate(parts)), 2)
            gaps.append(known(both[0]) - known(both[1]))
        error = math.sqrt(float(np.mean(np.square(gaps)))) / 2  # each half has twice the variance of all rows
    return error if math.isfinite(error) else math.inf, tenth


def averaged(value: Callable[[np.ndarray], float], choices: list[np.ndarray], groups: np.ndarray | slice) -> float:
    """The mean value of these groups over the choices of one row of each."""
    return float(np.mean([value(rows[groups]) for rows in choices]))


def units(*sides: np.ndarray) -> int:
    """Columns of all sides together; labels count as one."""
    return sum(1 if is_labels(side) else side.shape[1] for side in sides)


def largest_atom(side: np.ndarray) -> float:
    """The largest share of rows that have the same value in a column of numbers; 0 for labels.

    Columns with only a few different values are not counted: there every value is frequent.
    """
    if is_labels(side) or side.shape[1] > MOST_UNITS:
        return 0.0
    largest = 0.0
    for column in side.T:
        values, counts = np.unique(column, return_counts=True)
        if len(values) > 0.2 * len(column):
            largest = max(largest, float(counts.max() / len(column)))
    return largest


def _ranked(x: np.ndarray, y: np.ndarray, transform: Transform, k: int, seed: int) -> float | None:
    """The estimate from ranks of the columns; None if ranks were used anyway, or if there are many columns."""
    if transform == "rank" or units(x, y) > MOST_UNITS or (is_labels(x) and is_labels(y)):
        return None
    rng = np.random.default_rng([seed, len(x), 1])
    one, other = (
        side if is_labels(side) else without_ties(transformed(side, slice(None), "rank"), rng) for side in (x, y)
    )
    return nearest(one, other, k)


def without_ties(side: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Make equal values (rounded measurements) different by tiny noise, as scikit-learn does."""
    centred = side - np.median(side, axis=0)
    return centred + 1e-10 * np.abs(centred).mean(0) * rng.standard_normal(side.shape)
