"""More than two variables: conditional mutual information, total correlation, interaction, transfer entropy.

The formulas by nearest neighbours are in `conditional`. The functions here take any arrays and return an `MIEstimate`
with a standard error, an interval and a p-value. None of these numbers is a bound, not even the difference of two
bounds I(X; Y, Z) - I(X; Z) by two critics: it may be above or below I(X; Y | Z).

| z, x, y | how |
| --- | --- |
| z is labels | the mean over the labels of I(X; Y) among the rows of one, by any estimator |
| all are labels | counted, with Miller and Madow's correction |
| few columns | nearest neighbours (Frenzel & Pompe 2007) |
| many columns | estimator="infonce", ...: the difference of two critics' values |

The standard error is the spread over ten disjoint parts of the rows; for series, over ten intervals of time. If there
are few rows, it is computed from halves of them (`neighbour_estimate.spread`).
"""

import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.neighbors import NearestNeighbors

from deepinfomax.errors import UserError, count_of
from deepinfomax.information import checks, conditional, inputs
from deepinfomax.information.cautions import LONG_TAIL
from deepinfomax.information.estimate import MIEstimate
from deepinfomax.information.estimation import estimate_mi
from deepinfomax.information.estimators import ESTIMATORS, estimator_name
from deepinfomax.information.groups import FEWEST_GROUPS, group_codes, neighbouring_rows_alike, one_of_each
from deepinfomax.information.inputs import Transform, is_labels
from deepinfomax.information.neighbour_estimate import MOST_UNITS, SUBSETS, averaged, spread, units, without_ties
from deepinfomax.information.shuffling import few_shuffles, p_value
from deepinfomax.seeds import check_seed

NO_BOUND = "which is no bound itself: it may lie above or below the truth"
ROWS_PER_NEIGHBOUR = 30  #: of a part, see `spread`: more than for two variables
LOCAL = 5  #: rows with the nearest z, among which x is shuffled


def conditional_mi(
    x: Any,
    y: Any,
    z: Any,
    estimator: str = "ksg",
    *,
    transform: Transform = "rank",
    neighbours: int = 3,
    groups: Any = None,
    block: int | None = None,
    shuffles: int = 0,
    seed: int = 0,
    **settings: Any,
) -> MIEstimate:
    """I(X; Y | Z), in nats: the information that x and y share beyond z.

    Args:
        x, y, z: (n,) or (n, D) numbers, or (n,) labels; row i of all was drawn together.
        estimator: "ksg": nearest neighbours, or counting if all are labels; a name of a critic's estimator: the
            difference of I(X; Y, Z) and I(X; Z) or, for labels z, the mean over labels; "auto": "ksg" for up to eight
            columns in all, or with a p-value, else "infonce".
        transform: of each column, before distances are computed.
        neighbours: k.
        groups, block: which rows belong together, as in `estimate_mi`: one row of each group is used at a time.
        shuffles: number of shuffles for a p-value of conditional independence, by nearest neighbours or counting: x is
            shuffled among rows with the same label z, or with the nearest z (Runge 2018).
        settings: those of `estimate_mi`, if the estimator has a critic.

    Raises:
        UserError: in the cases of `estimate_mi`; a p-value for a difference of critics; a label of z with too few rows;
            settings of a critic for an estimator without one.
    """
    started = time.monotonic()
    seed = check_seed(seed)
    estimator = estimator_name(estimator)
    _check_settings(transform, neighbours, shuffles)
    if shuffles == 0 and settings.get("test") is True:
        raise UserError("test=True is of estimate_mi: for a p-value give shuffles=199, with estimator='ksg'")
    variables = {"x": x, "y": y, "z": z}
    sides = _read(variables, groups)
    if estimator == "auto":
        estimator = "ksg" if shuffles or units(*sides) <= MOST_UNITS + 2 else "infonce"
        settings = {} if estimator == "ksg" else settings
    if estimator != "ksg":
        if shuffles:
            raise UserError("a p-value of conditional independence is by nearest neighbours: use estimator='ksg'")
        codes = group_codes(groups, block, len(sides[0]))
        estimate = _by_critics(sides, estimator, transform, codes, seed, settings, started)
        return dataclasses.replace(estimate, notes=_remarks(variables, sides) + estimate.notes)
    if settings:
        raise UserError(f"{next(iter(settings))} is of critics: leave it out, or name one, such as estimator='infonce'")
    one, other, given = (_prepared(side, transform, seed + i) for i, side in enumerate(sides))
    codes = group_codes(groups, block, len(one))

    def value(rows: np.ndarray | slice, order: np.ndarray | None = None) -> float:
        a, b, c = one[rows], other[rows], given[rows]
        a = a if order is None else a[order]
        if all(map(is_labels, (a, b, c))):
            return conditional.conditional_information_of_labels(a, b, c)
        if is_labels(c):
            return conditional.information_given_labels(a, b, c, neighbours)
        return conditional.conditional_information(_numbers(a), _numbers(b), c, neighbours)

    entropy = inputs.labels_entropy(sides[:2], codes)  # no more can be shared of labels x or y, whatever is given
    estimate = _estimate(
        "I(X; Y | Z)", "frenzel-pompe", value, sides, neighbours, seed, started, entropy=entropy, codes=codes
    )
    if shuffles:
        rng = np.random.default_rng([seed, len(one), shuffles])
        rows = _independent(codes, len(one), rng)
        seen = estimate.nats if codes is None else value(rows)
        values = [value(rows, _within(given[rows], rng)) for _ in range(shuffles)]
        estimate = dataclasses.replace(estimate, p_value=p_value(seen, values), shuffles=shuffles)
    notes = _remarks(variables, sides) + _left_out(sides, neighbours, codes) + few_shuffles(shuffles)
    return dataclasses.replace(estimate, notes=notes, seconds=time.monotonic() - started)


def total_correlation(
    *variables: Any,
    transform: Transform = "rank",
    neighbours: int = 3,
    groups: Any = None,
    block: int | None = None,
    shuffles: int = 0,
    seed: int = 0,
) -> MIEstimate:
    """Σ H(X_i) - H(X_1, ..., X_m), in nats: how strongly m variables depend on each other; 0 if independent.

    Args:
        variables: two or more, each (n,) or (n, D) numbers; or all labels (n,).
        groups, block: which rows belong together, as in `estimate_mi`: one row of each group is used at a time.
        shuffles: number of shuffles for a p-value of independence: every variable but the first is shuffled.

    Raises:
        UserError: fewer than two variables, or both numbers and labels.
    """
    started, seed = time.monotonic(), check_seed(seed)
    if len(variables) < 2:
        raise UserError("total correlation needs two variables or more")
    _check_settings(transform, neighbours, shuffles)
    named = {f"variable {i}": variable for i, variable in enumerate(variables, 1)}
    sides = _read(named, groups)
    labels = [is_labels(side) for side in sides]
    if any(labels) and not all(labels):
        raise UserError("total correlation takes numbers or labels, not both: give labels as one-hot floats")
    ready = [_prepared(side, transform, seed + i) for i, side in enumerate(sides)]

    def value(rows: np.ndarray | slice, orders: Sequence[np.ndarray] | None = None) -> float:
        parts = [side[rows] for side in ready]
        if orders is not None:
            parts = [parts[0], *(part[order] for part, order in zip(parts[1:], orders, strict=True))]
        if all(labels):
            return conditional.total_correlation_of_labels(*parts)
        return conditional.total_correlation(*parts, k=neighbours)

    codes = group_codes(groups, block, len(sides[0]))
    estimate = _estimate("total correlation", "ksg", value, sides, neighbours, seed, started, codes=codes)
    if shuffles:
        rng = np.random.default_rng([seed, len(sides[0]), shuffles])
        rows = _independent(codes, len(sides[0]), rng)
        seen = estimate.nats if codes is None else value(rows)
        orders = ([rng.permutation(len(rows)) for _ in sides[1:]] for _ in range(shuffles))
        values = [value(rows, order) for order in orders]
        estimate = dataclasses.replace(estimate, p_value=p_value(seen, values), shuffles=shuffles)
    notes = _remarks(named, sides) + few_shuffles(shuffles)
    return dataclasses.replace(estimate, notes=notes, seconds=time.monotonic() - started)


def interaction_information(
    x: Any,
    y: Any,
    z: Any,
    *,
    transform: Transform = "rank",
    neighbours: int = 3,
    groups: Any = None,
    block: int | None = None,
    seed: int = 0,
) -> MIEstimate:
    """I(X; Y) - I(X; Y | Z), in nats: above 0, z explains part of what x and y share; below 0, z makes them dependent.

    Positive means redundancy (co-information); some books have the opposite sign. The biases of the two terms differ,
    so values near 0 are not reliable.

    Args:
        x, y, z: (n,) or (n, D) numbers, or (n,) labels; row i of all was drawn together.
        groups, block: which rows belong together, as in `estimate_mi`: one row of each group is used at a time.
    """
    started, seed = time.monotonic(), check_seed(seed)
    _check_settings(transform, neighbours)
    variables = {"x": x, "y": y, "z": z}
    sides = _read(variables, groups)
    ready = [_prepared(side, transform, seed + i) for i, side in enumerate(sides)]
    if all(map(is_labels, ready)):

        def value(rows: np.ndarray | slice) -> float:
            a, b, c = (side[rows] for side in ready)
            return conditional.total_correlation_of_labels(a, b) - conditional.conditional_information_of_labels(
                a, b, c
            )

    else:
        a, b, c = map(_numbers, ready)

        def value(rows: np.ndarray | slice) -> float:
            if is_labels(ready[0]) and is_labels(ready[1]):  # between labels alone there are no distances
                shared = conditional.total_correlation_of_labels(ready[0][rows], ready[1][rows])
                return shared - conditional.conditional_information(a[rows], b[rows], c[rows], neighbours)
            return conditional.interaction_information(a[rows], b[rows], c[rows], neighbours)

    codes = group_codes(groups, block, len(sides[0]))
    quantity = "I(X; Y) - I(X; Y | Z)"
    estimate = _estimate(quantity, "ksg", value, sides, neighbours, seed, started, codes=codes, signed=True)
    return dataclasses.replace(estimate, notes=_remarks(variables, sides))


def transfer_entropy(
    source: Any,
    target: Any,
    lags: int = 1,
    *,
    transform: Transform = "rank",
    neighbours: int = 3,
    shuffles: int = 0,
    seed: int = 0,
) -> MIEstimate:
    """I(target now; the source's last `lags` values | the target's last `lags` values), in nats (Schreiber 2000).

    The standard error is the spread over ten intervals of time. For the p-value the source is shifted in time against
    the target, cyclically, by at least a tenth of its length, so that the structure within each series is kept.

    Args:
        source, target: (n,) or (n, D) numbers, in the order of time, evenly spaced.
        lags: how many past steps are used.

    Raises:
        UserError: labels; a series that is too short; also in the cases of `estimate_mi`.
    """
    started, seed = time.monotonic(), check_seed(seed)
    if not isinstance(lags, int | np.integer) or isinstance(lags, bool) or lags < 1:
        raise UserError(f"lags must be a whole number, at least 1, not {lags!r}")
    _check_settings(transform, neighbours, shuffles)
    sides = _read({"source": source, "target": target})
    if any(map(is_labels, sides)):
        raise UserError("transfer entropy is of numbers here: give the series as floats")
    n = len(sides[0])
    if n < (lags + neighbours + 2) * 2 * SUBSETS:
        raise UserError(f"series of {n} values are too short: give at least {(lags + neighbours + 2) * 2 * SUBSETS}")
    one, other = (_prepared(side, transform, seed + i) for i, side in enumerate(sides))

    def value(rows: np.ndarray | slice, shift: int = 0) -> float:
        return conditional.transfer_entropy(np.roll(one, shift, axis=0)[rows], other[rows], lags, neighbours)

    quantity = f"transfer entropy at {lags} lag{'s' if lags > 1 else ''}"
    estimate = _estimate(quantity, "frenzel-pompe", value, sides, neighbours, seed, started, stretches=True)
    if shuffles:
        rng = np.random.default_rng([seed, n, shuffles])
        values = [value(slice(None), int(rng.integers(n // 10, n - n // 10))) for _ in range(shuffles)]
        estimate = dataclasses.replace(
            estimate, p_value=p_value(estimate.nats, values), shuffles=shuffles, notes=few_shuffles(shuffles)
        )
    return dataclasses.replace(estimate, seconds=time.monotonic() - started)


def _check_settings(transform: str, neighbours: int, shuffles: int = 0) -> None:
    checks.check_transform(transform)
    checks.check_whole(neighbours=neighbours)
    checks.check_shuffles(shuffles)


def _remarks(variables: dict[str, Any], sides: list[np.ndarray]) -> tuple[str, ...]:
    """Notes how whole numbers were understood, as labels or as quantities."""
    said = [inputs.remarks(values, side, name) for (name, values), side in zip(variables.items(), sides, strict=True)]
    return tuple(itertools.chain.from_iterable(said))


def _left_out(sides: list[np.ndarray], k: int, codes: np.ndarray | None) -> tuple[str, ...]:
    """Notes about labels z whose rows are left out (`information_given_labels`); counting leaves none out."""
    z, said = sides[2], []
    if not is_labels(z) or all(map(is_labels, sides)):
        return ()
    rows = np.arange(len(z)) if codes is None else np.unique(np.stack([z, codes]), axis=1, return_index=True)[1]
    gone = np.bincount(z[rows]) < k + 2
    kind = "rows" if codes is None else "groups"
    if gone.any():
        labels = count_of(int(gone.sum()), "label of z has", "labels of z have")
        said.append(
            f"{labels} fewer than {k + 2} {kind}, too few for {k} neighbours: their "
            f"{gone[z].sum():,} of {len(z):,} rows were left out"
        )
    for name, side in zip("xy", sides, strict=False):
        if codes is None and is_labels(side):
            pairs, counts = np.unique(np.stack([z, side]), axis=1, return_counts=True)
            single = ~gone
            single[pairs[0, counts > 1]] = False
            if single.any():
                labels = count_of(int(single.sum()), "label of z has", "labels of z have")
                said.append(
                    f"{labels} no label of {name} twice, and "
                    f"so no neighbours: {single[z].sum():,} of {len(z):,} rows were left out"
                )
    return tuple(said)


def _read(variables: dict[str, Any], groups: Any = None) -> list[np.ndarray]:
    """Sides of one length, checked."""
    first = next(iter(variables))
    inputs.check_index(variables[first], groups, (first, "groups"))
    sides = [inputs.read_side(values, name) for name, values in variables.items()]
    for (name, values), side in zip(variables.items(), sides, strict=True):
        inputs.check_labels(side, name)
        inputs.check_index(next(iter(variables.values())), values)
        if len(side) != len(sides[0]):
            raise UserError(f"{name} has {len(side)} rows but the first variable {len(sides[0])}: give as many of each")
    if len(sides[0]) < inputs.FEWEST_PAIRS:
        raise UserError(f"{len(sides[0])} rows are too few: give at least {inputs.FEWEST_PAIRS}")
    return sides


def _prepared(side: np.ndarray, transform: Transform, seed: int) -> np.ndarray:
    if is_labels(side):
        return side
    rng = np.random.default_rng([seed, len(side), SUBSETS])
    return without_ties(inputs.transformed(side, slice(None), transform), rng)


def _numbers(side: np.ndarray) -> np.ndarray:
    """Labels as points at equal distances from each other, larger than the distance of any two numbers."""
    return np.eye(int(side.max()) + 1)[side] * 10 * LONG_TAIL if is_labels(side) else side


def _independent(codes: np.ndarray | None, n: int, rng: np.random.Generator) -> np.ndarray:
    """Rows that a shuffle may exchange: all n, or one row of each group."""
    return np.arange(n) if codes is None else one_of_each(codes, rng)[0]


def _within(given: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random order (n,) in which rows change places only with rows of the same label, or of similar z.

    For numbers z, in random order, each row takes one of its `LOCAL` nearest neighbours that is still free (Runge
    2018).
    """
    n = len(given)
    order = np.arange(n)
    if is_labels(given):
        for label in np.unique(given):
            rows = np.flatnonzero(given == label)
            order[rows] = rng.permutation(rows)
        return order
    near = NearestNeighbors(n_neighbors=min(LOCAL, n), metric="chebyshev").fit(given).kneighbors(given)[1]
    taken = np.zeros(n, dtype=bool)
    for row in rng.permutation(n):
        candidates = rng.permutation(near[row])
        free = candidates[~taken[candidates]]
        order[row] = free[0] if len(free) else candidates[0]
        taken[order[row]] = True
    return order


def _estimate(
    quantity: str,
    name: str,
    value: Callable[[np.ndarray | slice], float],
    sides: list[np.ndarray],
    k: int,
    seed: int,
    started: float,
    *,
    stretches: bool = False,
    entropy: tuple[float, float] = (math.inf, 0.0),
    codes: np.ndarray | None = None,
    signed: bool = False,
) -> MIEstimate:
    """The value from all rows, and its error by `spread`; with groups `codes`, that of groups.

    Args:
        entropy: of labels, which the value cannot exceed, and its error; see `inputs.labels_entropy`.
    """
    n = len(sides[0]) if codes is None else int(codes.max()) + 1
    choices = [] if codes is None else one_of_each(codes, np.random.default_rng([seed, n, k]))

    def of(rows: np.ndarray | slice) -> float:
        return value(rows) if codes is None else averaged(value, choices, rows)

    if not 1 <= k < n // SUBSETS - 2:
        what = "rows" if codes is None else "groups"
        raise UserError(
            f"{k} neighbours need more than {SUBSETS * (k + 3)} {what}, and at least 1 neighbour; you gave {n}"
        )
    rows = np.arange(n) if stretches else np.random.default_rng([seed, n]).permutation(n)
    nats = of(slice(None))
    error, tenth = spread(of, np.array_split(rows, SUBSETS), k, seed, rows=ROWS_PER_NEIGHBOUR, whole=stretches)
    known = math.isfinite(tenth)
    reasons = []
    if units(*sides) > MOST_UNITS + 2:
        reasons.append(f"{units(*sides)} dimensions: nearest neighbours fall far below the truth in so many")
    if known and abs(nats - tenth) > max(0.2, 0.2 * abs(nats)):
        reasons.append(f"a tenth of the rows reads {tenth:.2f} nats, so the value still moves with their number")
    if error == math.inf:
        reasons.append("no standard error, since a tenth of the rows holds too few of each label: merge labels")
    estimate = MIEstimate(
        nats=nats,
        standard_error=error,
        lower_bound=False,
        cap=entropy[0],
        n_train=0,
        n_test=len(sides[0]),
        groups=None if codes is None else n,
        estimator="counting" if all(map(is_labels, sides)) else name,
        critic=None,
        seconds=time.monotonic() - started,
        warning="; ".join(reasons) or None,
        seeds=(seed,),
        entropy=entropy[0],
        entropy_error=entropy[1],
        shortfall=max(0.0, nats - tenth) if known else 0.0,
        excess=max(0.1 * abs(nats - tenth), _deeper(nats, tenth, n, k) if signed else 0.0) if known else 0.0,
        signed=signed,
        degrees=SUBSETS - 1,
        quantity=quantity,
    )
    if stretches:
        return estimate
    return estimate.cautioned(neighbouring_rows_alike((sides[0], sides[1]), codes))


def _deeper(nats: float, tenth: float, n: int, k: int) -> float:
    """How much farther below 0 the truth may be: as far as the value fell from a tenth of the rows to all of them.

    Twice as far if a tenth has hardly more rows than neighbours: it then reads near 0 itself. With 60 rows and a truth
    of -0.51 nats, the interval missed the truth in 10 of 60 sets without this factor.
    """
    return (tenth - nats) * (2.0 if n < SUBSETS * 4 * k else 1.0)


def _by_critics(
    sides: list[np.ndarray],
    estimator: str,
    transform: Transform,
    codes: np.ndarray | None,
    seed: int,
    settings: dict[str, Any],
    started: float,
) -> MIEstimate:
    """By critics: for labels z the mean over labels (a lower bound if each is one), else a difference (no bound)."""
    x, y, z = sides

    def mi(a: np.ndarray, b: np.ndarray, of: np.ndarray | None = codes) -> MIEstimate:
        return estimate_mi(a, b, estimator, transform=transform, groups=of, seed=seed, **settings)

    if is_labels(z):
        names, counts = np.unique(z, return_counts=True)
        if counts.min() < inputs.FEWEST_PAIRS:
            raise UserError(
                f"a label of z has {counts.min()} rows: give at least {inputs.FEWEST_PAIRS} of each, or merge"
            )
        if codes is not None and (fewest := min(len(np.unique(codes[z == name])) for name in names)) < FEWEST_GROUPS:
            raise UserError(f"a label of z has rows of {fewest} groups: give at least {FEWEST_GROUPS}, or merge labels")
        parts, of = [], []
        for name in names:
            rows = z == name
            one, other = _that_varies(x[rows]), _that_varies(y[rows])
            if one.size and other.size:  # otherwise they share nothing among these rows
                of.append(name)
                parts.append(mi(one, other, None if codes is None else codes[rows]))
        if not parts:
            raise UserError("I(X; Y | Z) is 0: among the rows of each label of z, x or y is always the same")
        # The share of rows or, with groups, of groups, each of the same weight.
        weight = np.ones(len(z)) if codes is None else 1 / np.bincount(codes)[codes]
        share = np.bincount(z, weights=weight)[of] / weight.sum()
        nats = float(share @ [part.nats for part in parts])
        errors = share * [part.standard_error for part in parts]
        # The same groups may have rows of several labels: their errors then add up.
        error = float(np.linalg.norm(errors) if codes is None else errors.sum())
        shortfall = float(share @ [part.shortfall for part in parts])
        bound, name = all(part.lower_bound for part in parts), parts[0].estimator
        notes: tuple[str, ...] = ()
    else:
        both, alone = mi(x, np.hstack([_one_hot(y), _one_hot(z)])), mi(x, z)
        parts = [both, alone]
        nats = both.nats - alone.nats
        # Both are read on the same pairs, so their errors partly cancel; the sum of variances is on the safe side.
        error, shortfall = math.hypot(both.standard_error, alone.standard_error), both.shortfall
        bound, name = False, f"{both.estimator}, difference"
        kind = "lower bounds" if ESTIMATORS[estimator].lower_bound else "estimates"
        notes = (f"{both.nats:.3g} - {alone.nats:.3g} nats: the difference of two {kind}, {NO_BOUND}",)
    entropy, entropy_error = inputs.labels_entropy(sides[:2], codes)
    told = dict.fromkeys(reason for part in parts if part.warning for reason in part.warning.split("; "))
    return MIEstimate(
        nats=nats,
        standard_error=error,
        lower_bound=bound,
        cap=min(part.cap for part in parts),
        entropy=entropy,
        entropy_error=entropy_error,
        n_train=sum(part.n_train for part in parts),
        n_test=sum(part.n_test for part in parts),
        groups=None if codes is None else int(codes.max()) + 1,
        estimator=name,
        critic=parts[0].critic,
        seconds=time.monotonic() - started,
        warning="; ".join(told) or None,
        seeds=parts[0].seeds,
        shortfall=shortfall,
        excess=0.0 if bound else alone.shortfall if not is_labels(z) else 0.0,
        quantity="I(X; Y | Z)",
        notes=notes,
    )


def _that_varies(side: np.ndarray) -> np.ndarray:
    """The columns that are not constant; labels numbered from 0 without gaps. Empty if nothing varies."""
    if not is_labels(side):
        return side[:, np.ptp(side, axis=0) > 0]
    names, labels = np.unique(side, return_inverse=True)
    return labels if len(names) > 1 else labels[:0]


def _one_hot(side: np.ndarray) -> np.ndarray:
    return np.eye(int(side.max()) + 1)[side] if is_labels(side) else side
