"""Many columns at once: which columns of a table have the most information about a target, or about each other.

A table is a pandas or polars data frame, a mapping of names to arrays, or an array (n, D). Columns are numbers, words
or whole numbers (labels), or vectors (n, D).

Pairs of numbers, or of numbers and labels, are estimated by nearest neighbours of ranks, two sets of labels by
counting, and pairs with a vector of many units by critics. Ranks, and embeddings of vectors, are computed once per
column and shared by all its pairs. So a table costs less than its pairs one by one.
"""

import dataclasses
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy import stats
from scipy.spatial import cKDTree
from scipy.special import digamma

from deepinfomax.errors import UserError
from deepinfomax.information import checks, inputs, ksg
from deepinfomax.information import labels as label_information
from deepinfomax.information.cautions import largest_rise, near_cap, repeated_pairs
from deepinfomax.information.estimate import MIEstimate
from deepinfomax.information.groups import group_codes, neighbouring_rows_alike, one_of_each
from deepinfomax.information.inputs import is_labels
from deepinfomax.information.neighbour_estimate import (
    MOST_UNITS,
    SUBSETS,
    averaged,
    nearest,
    spread,
    without_ties,
)
from deepinfomax.information.shared_critic import shared_estimates
from deepinfomax.information.shuffling import p_value
from deepinfomax.progress import counted
from deepinfomax.seeds import check_seed

SHUFFLES = 99  #: default number of shuffles for the p-value of each pair
OF_VECTORS = ("steps", "batch_size", "lr", "hidden", "patience")  #: settings of critics, see `shared_estimates`


@dataclass(frozen=True)
class Row:
    """The information of one column about the target."""

    column: str
    estimate: MIEstimate
    adjusted_p: float | None  #: adjusted for all columns (Benjamini & Hochberg 1995); None: no p-values were computed


@dataclass(frozen=True)
class Ranking:
    """The columns of a table by their information about the target, the highest first."""

    target: str
    rows: tuple[Row, ...]
    seconds: float

    def too_few_shuffles(self) -> str | None:
        """A message if there are too few shuffles to show the dependence of a single column; otherwise None."""
        return _too_few_shuffles([row.estimate for row in self.rows])

    def to_frame(self) -> Any:
        """A pandas data frame: a row for each column; raises UserError where pandas is not installed."""
        return _pandas().DataFrame([_values(row) for row in self.rows])

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        rows = [_values(row) for row in self.rows]
        told = {"seconds": self.seconds, "notes": list(self.notes()), "text": self.text()}
        return {"target": self.target, "columns": rows, **told}

    def text(self) -> str:
        """The ranking as a table, for a terminal."""
        lines = [f"What each column tells of {self.target}, in nats, with its 95% interval:"]
        width = max(len(row.column) for row in self.rows)
        for row in self.rows:
            low, high = row.estimate.interval()
            p = "" if row.adjusted_p is None else f"  adjusted p = {row.adjusted_p:.2g}"
            none = "" if _shown(row.estimate, row.adjusted_p) else "  no dependence found"
            lines.append(
                f"  {row.column:{width}s}  {row.estimate.nats:7.3f}  [{low:.3f}, {high:.3f}]  "
                f"{row.estimate.estimator}{p}{none}"
            )
            if row.estimate.warning:
                lines.append(f"  {'':{width}s}  warning: {row.estimate.warning}")
        return "\n".join([*lines, *(f"Note: {note}." for note in self.notes())])

    def notes(self) -> tuple[str, ...]:
        """How columns were understood, where that was a choice, and `too_few_shuffles`."""
        return _notes([row.estimate for row in self.rows], self.too_few_shuffles())


@dataclass(frozen=True)
class Matrix:
    """Mutual information of every pair of columns of a table."""

    columns: tuple[str, ...]
    estimates: dict[tuple[str, str], MIEstimate] = field(repr=False)  #: by both names, the earlier column first
    adjusted_p: dict[tuple[str, str], float] = field(repr=False)  #: empty where no p-values were asked for
    seconds: float

    @property
    def nats(self) -> np.ndarray:
        """(D, D), symmetric; nan on the diagonal."""
        values = np.full((len(self.columns),) * 2, np.nan)
        place = {name: i for i, name in enumerate(self.columns)}
        for (a, b), estimate in self.estimates.items():
            values[place[a], place[b]] = values[place[b], place[a]] = estimate.nats
        return values

    def too_few_shuffles(self) -> str | None:
        """A message if there are too few shuffles to show the dependence of a single pair; otherwise None."""
        return _too_few_shuffles(list(self.estimates.values()))

    def to_frame(self) -> Any:
        """A pandas data frame of `nats`, columns by columns; raises UserError where pandas is not installed."""
        return _pandas().DataFrame(self.nats, index=list(self.columns), columns=list(self.columns))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        pairs = [
            {"x": a, "y": b, **_values(Row("", estimate, self.adjusted_p.get((a, b))))}
            for (a, b), estimate in self.estimates.items()
        ]
        for pair in pairs:
            pair.pop("column")
        told = {"seconds": self.seconds, "notes": list(self.notes()), "text": self.text()}
        return {"columns": list(self.columns), "pairs": pairs, **told}

    def text(self, most: int = 20) -> str:
        """The pairs with the most information, as a table for a terminal."""
        ordered = sorted(self.estimates.items(), key=lambda item: -item[1].nats)
        pairs = f"{len(ordered)} pair{'s' if len(ordered) > 1 else ''} of columns"
        lines = [f"Mutual information of {pairs}, in nats, with its 95% interval:"]
        for (a, b), estimate in ordered[:most]:
            low, high = estimate.interval()
            adjusted = self.adjusted_p.get((a, b))
            p = "" if adjusted is None else f"  adjusted p = {adjusted:.2g}"
            none = "" if _shown(estimate, adjusted) else "  no dependence found"
            warned = "  (with a warning)" if estimate.warning else ""
            lines.append(f"  {a} · {b}  {estimate.nats:.3f}  [{low:.3f}, {high:.3f}]{p}{none}{warned}")
        if len(ordered) > most:
            lines.append(f"  and {len(ordered) - most} more with less; --json lists all")
        return "\n".join([*lines, *(f"Note: {note}." for note in self.notes())])

    def notes(self) -> tuple[str, ...]:
        """How columns were understood, where that was a choice, and `too_few_shuffles`."""
        return _notes(list(self.estimates.values()), self.too_few_shuffles())

    def draw(self) -> Figure:
        """A heat map as a matplotlib figure; darker: more in common."""
        size = 1.5 + 0.4 * len(self.columns)
        figure = Figure(figsize=(size + 1, size), layout="constrained")
        axes = figure.subplots()
        shown = axes.imshow(np.maximum(self.nats, 0), cmap="Blues", vmin=0)
        ticks = range(len(self.columns))
        axes.set_xticks(ticks, self.columns, rotation=90)
        axes.set_yticks(ticks, self.columns)
        figure.colorbar(shown, label="nats")
        return figure


def mi_with(
    table: Any,
    target: Any,
    *,
    neighbours: int = 3,
    groups: Any = None,
    block: int | None = None,
    shuffles: int = SHUFFLES,
    seed: int = 0,
    **settings: Any,
) -> Ranking:
    """The information of each column of a table about one of them, or about another array.

    Args:
        table: a data frame, a mapping of names to arrays, or an array (n, D).
        target: the name of a column; or an array of n rows.
        neighbours: k of nearest neighbours.
        groups: (n,) which rows belong together, as in `estimate_mi`; or the name of the column with the groups, which
            is then not compared.
        block: for a series: this many successive rows belong together.
        shuffles: number of shuffles of each pair, for its p-value; 0: no p-values. To show the dependence of a single
            one of n columns at 5 %, 20 n or more are needed.
        settings: of the critics for vectors, see `shared_critic.shared_estimates`.

    Raises:
        UserError: no such column; fewer than two columns; also in the cases of `estimate_mi`, with the column's name.
    """
    started = time.monotonic()
    inputs.check_index(table, target, ("table", "target"))
    inputs.check_index(table, groups, ("table", "groups"))
    columns, codes = _grouped(read_table(table), groups, block)
    if isinstance(target, str | int | np.integer):
        name = str(target)
        if name not in columns:
            raise UserError(f"the table has no column {name!r}; it has {', '.join(columns)}")
    else:
        name, values = "target", np.asarray(target)
        if name in columns and not np.array_equal(columns[name], values):  # another one, which is compared with it
            name = next(free for i in range(2, len(columns) + 3) if (free := f"target {i}") not in columns)
        columns = {key: value for key, value in columns.items() if key != name} | {name: values}
    pairs = [(other, name) for other in columns if other != name]
    estimates, adjusted = _estimates(columns, pairs, codes, neighbours, shuffles, seed, settings)
    rows = [Row(other, estimates[other, name], adjusted.get((other, name))) for other, _ in pairs]
    rows.sort(key=lambda row: -row.estimate.nats)
    return Ranking(name, tuple(rows), time.monotonic() - started)


def mi_matrix(
    table: Any,
    *,
    neighbours: int = 3,
    groups: Any = None,
    block: int | None = None,
    shuffles: int = 0,
    seed: int = 0,
    **settings: Any,
) -> Matrix:
    """Mutual information of every pair of columns of a table; arguments and errors as in `mi_with`."""
    started = time.monotonic()
    inputs.check_index(table, groups, ("table", "groups"))
    columns, codes = _grouped(read_table(table), groups, block)
    names = list(columns)
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    estimates, adjusted = _estimates(columns, pairs, codes, neighbours, shuffles, seed, settings)
    return Matrix(tuple(names), estimates, adjusted, time.monotonic() - started)


def mi_scores(x: Any, y: Any, *, neighbours: int = 3, shuffles: int = 0, seed: int = 0) -> Any:
    """The information of each column of x (n, D) about y, in nats: a score function for scikit-learn's `SelectKBest`.

    >>> SelectKBest(mi_scores, k=5).fit(x, y)
    >>> SelectFdr(functools.partial(mi_scores, shuffles=999)).fit(x, y)

    Args:
        y: (n,) numbers; or words, booleans or whole numbers, which are labels.
        shuffles: for p-values; 0: scores alone.

    Returns:
        scores (D,), or (scores, p-values) where shuffles are asked for. A column without any difference scores 0.

    Raises:
        UserError: x that is no dense array (n, D) of finite numbers, and as `mi_with`.
    """
    inputs.check_index(x, y)
    try:
        x = np.asarray(x, dtype=np.float64)
    except (TypeError, ValueError):
        raise UserError(
            "x is no array of numbers (n, D): bring words to numbers, and sparse ones by toarray()"
        ) from None
    if x.ndim != 2:
        raise UserError(f"x has shape {x.shape}: give (n, D)")
    if not np.isfinite(x).all():
        row, column = np.argwhere(~np.isfinite(x))[0]
        raise UserError(f"x has a missing or infinite value in row {row}, column {column}: fill it in, or drop the row")
    varying = np.flatnonzero(np.ptp(x, axis=0) > 0)
    scores, p_values = np.zeros(x.shape[1]), np.ones(x.shape[1])
    if len(varying):
        table = {str(i): x[:, i] for i in varying}
        ranking = mi_with(table, np.asarray(y), neighbours=neighbours, shuffles=shuffles, seed=seed)
        for row in ranking.rows:
            scores[int(row.column)] = row.estimate.nats
            p_values[int(row.column)] = row.estimate.p_value if row.estimate.p_value is not None else 1.0
    return (scores, p_values) if shuffles else scores


def read_table(table: Any) -> dict[str, np.ndarray]:
    """The columns by name; raises UserError for what is no table, and where two columns have one name."""
    named = list(table) if isinstance(table, Mapping) else list(getattr(table, "columns", ()))
    names = [str(name) for name in named]
    if twice := next((name for i, name in enumerate(names) if name in names[:i]), None):
        raise UserError(f"the table has two columns called {twice!r}: give each a name of its own")
    if isinstance(table, Mapping):
        first = next((name for name in table if hasattr(getattr(table[name], "index", None), "equals")), None)
        for name in table if first is not None else ():
            inputs.check_index(table[first], table[name], (str(first), str(name)))
        columns = {str(name): np.asarray(values) for name, values in table.items()}
    elif hasattr(table, "columns"):  # pandas and polars alike
        columns = {name: stacked(table[key].to_numpy(), name) for name, key in zip(names, named, strict=True)}
    else:
        array = np.asarray(table)
        if array.ndim != 2:
            raise UserError(f"a table of shape {array.shape}: give a data frame, a mapping of names, or (n, D)")
        columns = {str(i): array[:, i] for i in range(array.shape[1])}
    if len(columns) < 1:
        raise UserError("the table has no columns")
    return columns


def stacked(values: np.ndarray, name: str) -> np.ndarray:
    """A column (n,) as it is; one of lists of numbers as (n, D).

    Raises:
        UserError: lists of different lengths, or of no numbers.
    """
    if values.dtype == object and len(values) and isinstance(values[0], list | tuple | np.ndarray):
        try:
            return np.stack([np.asarray(value, dtype=np.float64) for value in values])
        except (TypeError, ValueError):
            raise UserError(f"column {name} holds lists of different lengths, or no numbers") from None
    return values


def _grouped(
    columns: dict[str, np.ndarray], groups: Any, block: int | None
) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """The columns to compare, and the group of each row; None: every row is its own."""
    if isinstance(groups, str):
        if groups not in columns:
            raise UserError(f"the table has no column {groups!r}; it has {', '.join(columns)}")
        name, groups = groups, columns[groups]
        columns = {other: values for other, values in columns.items() if other != name}
        if not columns:
            raise UserError(f"the table has no column but {name}, which tells the groups")
    return columns, group_codes(groups, block, len(next(iter(columns.values()))))


def _pandas() -> Any:
    try:
        import pandas
    except ImportError:
        raise UserError("to_frame() needs pandas: pip install pandas; to_dict() needs nothing") from None
    return pandas


class _Column:
    """What pairs need of a column, computed once."""

    def __init__(self, name: str, values: np.ndarray, seed: int) -> None:
        self.name = name
        self.side = inputs.read_side(values, name)
        inputs.check_labels(self.side, name)
        self.notes = inputs.remarks(values, self.side, name)
        self.units = 1 if is_labels(self.side) else self.side.shape[1]
        self.ready = self.side
        if not is_labels(self.side) and self.units <= MOST_UNITS:
            rng = np.random.default_rng([seed, len(self.side), SUBSETS])
            self.ready = without_ties(inputs.transformed(self.side, slice(None), "rank"), rng)


def _estimates(
    columns: dict[str, np.ndarray],
    pairs: list[tuple[str, str]],
    codes: np.ndarray | None,
    k: int,
    shuffles: int,
    seed: int,
    settings: dict[str, Any],
) -> tuple[dict[tuple[str, str], MIEstimate], dict[tuple[str, str], float]]:
    if not pairs:
        raise UserError("give at least two columns")
    checks.check_whole(neighbours=k)
    checks.check_shuffles(shuffles)
    if unknown := [name for name in settings if name not in OF_VECTORS]:
        raise UserError(f"a table takes no {unknown[0]}: the critics of its vectors take {', '.join(OF_VECTORS)}")
    seed = check_seed(seed)
    # A stream for each column: the noise that breaks ties must not be the same in two of them.
    read = {name: _Column(name, values, seed + i) for i, (name, values) in enumerate(columns.items())}
    n = len(next(iter(read.values())).side)
    for column in read.values():
        if len(column.side) != n:
            raise UserError(f"column {column.name} has {len(column.side)} rows, others {n}")
    if n < inputs.FEWEST_PAIRS:
        raise UserError(f"{n} rows are too few: give at least {inputs.FEWEST_PAIRS}")
    independent, what = (n, "rows") if codes is None else (int(codes.max()) + 1, "groups")
    if not 1 <= k < independent // SUBSETS:
        raise UserError(
            f"{k} neighbours need more than {SUBSETS * k} {what}, and at least 1 neighbour; you gave {independent}"
        )
    few = [pair for pair in pairs if read[pair[0]].units + read[pair[1]].units <= MOST_UNITS]
    many = [pair for pair in pairs if pair not in set(few)]
    rng = np.random.default_rng([seed, n, k])
    parts = np.array_split(rng.permutation(independent), SUBSETS)
    orders = [rng.permutation(independent) for _ in range(shuffles)]
    choices = [] if codes is None else one_of_each(codes, rng)
    estimates = {}
    for i in counted(len(few), "pair"):
        a, b = few[i - 1]
        estimates[a, b] = _by_neighbours(read[a], read[b], k, parts, orders, choices, codes, seed)
    if many:
        estimates |= shared_estimates(
            {name: column.side for name, column in read.items()}, many, shuffles, seed, codes=codes, **settings
        )
    copies = "" if codes is not None else repeated_pairs(tuple(column.side for column in read.values()), "rows")
    for (a, b), estimate in estimates.items():
        estimate = dataclasses.replace(estimate, quantity=f"I({a}; {b})", notes=read[a].notes + read[b].notes)
        alike = neighbouring_rows_alike((read[a].side, read[b].side), codes)
        estimates[a, b] = estimate.cautioned(alike, no_bound=True).cautioned(copies, no_bound=True)
    estimates = {pair: estimates[pair] for pair in pairs}
    if not shuffles:
        return estimates, {}
    adjusted = stats.false_discovery_control([estimate.p_value or 1.0 for estimate in estimates.values()])
    return estimates, dict(zip(estimates, map(float, adjusted), strict=True))


def _by_neighbours(
    a: _Column,
    b: _Column,
    k: int,
    parts: list[np.ndarray],
    orders: list[np.ndarray],
    choices: list[np.ndarray],
    codes: np.ndarray | None,
    seed: int,
) -> MIEstimate:
    """One pair, by rows in `choices` of one of each group, of which `parts` and `orders` are; without any, by all."""
    started = time.monotonic()
    labels = is_labels(a.side), is_labels(b.side)
    one, other = a.ready, b.ready

    def value(rows: np.ndarray | slice, order: np.ndarray | None = None) -> float:
        x, y = one[rows], other[rows]
        y = y if order is None else y[order]
        if not any(labels) and x.shape[1] == y.shape[1] == 1:
            return ksg_of_columns(x[:, 0], y[:, 0], k)
        return nearest(x, y, k)

    def of(rows: np.ndarray | slice) -> float:
        return averaged(value, choices, rows) if choices else value(rows)

    n, nats = len(one), of(slice(None))
    excess = 0.0
    if all(labels):
        excess = abs(label_information.by_chance(one, other, np.random.default_rng([seed, n]), choices))
    if all(labels) and not choices:
        error, tenth = label_information.standard_error(one, other), nats
    else:
        error, tenth = spread(of, parts, k, seed)
        tenth = tenth if math.isfinite(tenth) and not all(labels) else nats
        excess = excess or 0.1 * abs(nats - tenth)
    entropy, entropy_error = inputs.labels_entropy([a.side, b.side], codes)
    cap = math.inf if all(labels) else ksg.cap(len(choices[0]) if choices else n, k)
    reasons = []
    if nats - tenth > largest_rise(nats):
        reasons.append(f"a tenth of the pairs reads {tenth:.2f} nats, so the value still rises with their number")
    if all(labels) and excess > 0.05 * max(1.0, nats):
        reasons.append(f"labels this rare read {excess:.2f} nats even when shuffled, where the truth is 0")
    rows = choices[0] if choices else slice(None)
    seen = value(rows) if choices and orders else nats
    return MIEstimate(
        nats=nats,
        standard_error=error,
        lower_bound=False,
        cap=min(cap, entropy),
        n_train=0,
        n_test=n,
        estimator="counting" if all(labels) else "ksg",
        critic=None,
        seconds=time.monotonic() - started,
        warning="; ".join(reasons) or None,
        seeds=(seed,),
        entropy=entropy,
        entropy_error=entropy_error,
        shortfall=math.inf if near_cap(nats, cap, entropy) else max(0.0, nats - tenth),
        excess=excess,
        degrees=None if all(labels) and not choices else SUBSETS - 1,
        p_value=p_value(seen, [value(rows, order) for order in orders]) if orders else None,
        shuffles=len(orders),
        groups=len(choices[0]) if choices else None,
    )


def ksg_of_columns(x: np.ndarray, y: np.ndarray, k: int) -> float:
    """`ksg.ksg` of two columns (n,) without ties, faster: neighbours on one axis are counted in its sorted values."""
    points = np.column_stack([x, y])
    # A hair less than the distance to the k-th neighbour, so that rounding does not count it in.
    radius = cKDTree(points).query(points, k + 1, p=np.inf)[0][:, -1] * (1 - 1e-10)
    total = digamma(len(x)) + digamma(k)
    for values in (x, y):
        ordered = np.sort(values)
        count = np.searchsorted(ordered, values + radius, "right") - np.searchsorted(ordered, values - radius, "left")
        total -= digamma(np.maximum(count, 1)).mean()
    return float(total)


def _values(row: Row) -> dict[str, Any]:
    e = row.estimate
    low, high = e.interval()
    values = {
        "column": row.column,
        "nats": e.nats,
        "bits": e.bits,
        "share_of_entropy": e.share_of_entropy,
        "low": low,
        "high": high,
        "standard_error": e.standard_error,
        "p_value": e.p_value,
        "adjusted_p": row.adjusted_p,
        "estimator": e.estimator,
        "lower_bound": e.lower_bound,
        "groups": e.groups,
        "dependence": _shown(e, row.adjusted_p),
        "warning": e.warning,
    }
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}


def _too_few_shuffles(estimates: list[MIEstimate]) -> str | None:
    """The least p-value is 1 / (shuffles + 1), and Benjamini and Hochberg take it times the number of pairs at most."""
    shuffles, pairs = min((e.shuffles for e in estimates if e.p_value is not None), default=0), len(estimates)
    if not shuffles or pairs / (shuffles + 1) < 0.05:
        return None
    return (
        f"{shuffles} shuffles cannot show a dependence of one pair alone among {pairs} at 5 %, however strong it is: "
        f"that takes {20 * pairs} or more"
    )


def _notes(estimates: list[MIEstimate], too_few: str | None) -> tuple[str, ...]:
    notes = dict.fromkeys(note for estimate in estimates for note in estimate.notes)
    return (*notes, *([too_few] if too_few else []))


def _shown(estimate: MIEstimate, adjusted: float | None) -> bool:
    """Whether a dependence was shown at 5 %, among all pairs where p-values were computed."""
    return bool(estimate.dependent) if adjusted is None else adjusted < 0.05
