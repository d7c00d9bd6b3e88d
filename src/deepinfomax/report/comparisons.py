"""Comparisons of the encoder with its controls, measure by measure, from evaluation.json."""

import math
from dataclasses import dataclass
from typing import Any, Literal

from deepinfomax.evaluation.few_labels import LabelBudget, parse_measure_name
from deepinfomax.evaluation.measure import Measure
from deepinfomax.evaluation.measures import MEASURES
from deepinfomax.evaluation.reading import NO_LEVEL
from deepinfomax.features import LEVELS
from deepinfomax.report.reading import Run, at, number, table

Standing = Literal["above", "level", "below", "alone"]

#: measures whose comparisons come first, and of which the verdict takes the first
FIRST = ("knn", "linear", "mlp", "svm", "semi_supervised", "attributes")
CONTROLS = {
    "random_encoder": "random encoder",
    "pixels": "raw pixels",
    "pixels_pca": "PCA of pixels",
    "supervised": "supervised",
}
#: A supervised network is what labels can give, not a control to beat.
RIVALS = ("random_encoder", "pixels", "pixels_pca")
SCORES = ("accuracy", "balanced_accuracy", "mean_average_precision", "auc")  #: the first one that is there is shown
WHOLE = "whole"  #: the level of a figure that belongs to the encoder as a whole
#: objective -> what an encoder trained by it is called
_METHODS = {
    "local": "DIM",
    "global": "DIM",
    "cpc": "CPC",
    "bigan": "BiGAN",
    "nat": "NAT",
    "vae": "VAE",
    "autoencoder": "autoencoder",
    "supervised": "supervised",
}
#: few labels -> their words in a title and in a protocol
_FEW_LABELS = {
    "per_class": ("{} a class", "{} labels of each class"),
    "percent": ("{} %", "{} % of the labels of each class"),
    "folds": ("folds", "the published folds"),
}


@dataclass(frozen=True)
class Cell:
    """One measured figure."""

    value: float  #: fraction
    std: float | None = None  #: over repeated fits, where there were any


@dataclass(frozen=True)
class Row:
    """The encoder or a control. `cells` by level; {WHOLE: ...} if there are no levels."""

    kind: str
    name: str
    cells: dict[str, Cell | None]


@dataclass(frozen=True)
class Comparison:
    """One measure of the encoder, with the same measure of its controls."""

    measure: str
    title: str
    protocol: str
    score: str  #: "accuracy", ...
    levels: tuple[str, ...]
    trained: Row
    controls: tuple[Row, ...]
    count: int | None  #: of test images, where known

    @property
    def rows(self) -> tuple[Row, ...]:
        return (self.trained, *self.controls)

    def rivals(self, level: str) -> dict[str, Cell]:
        """Measured controls that a figure at this level stands against."""
        cells = {row.kind: row.cells.get(level) or row.cells.get(WHOLE) for row in self.controls if row.kind in RIVALS}
        return {kind: cell for kind, cell in cells.items() if cell is not None}

    def standing(self, level: str) -> Standing:
        """Of the encoder against the best control at this level."""
        own, rivals = self.trained.cells.get(level), self.rivals(level)
        if own is None or not rivals:
            return "alone"
        return against(own, max(rivals.values(), key=lambda cell: cell.value), self.count)


def against(own: Cell, other: Cell, count: int | None) -> Standing:
    """ "above" or "below" if the difference exceeds two standard errors and half a per cent; otherwise "level".

    The standard error of a figure is the larger of its s.d. over fits and that of a fraction of `count` test images.
    Both figures are of the same test images, so the true error of their difference is smaller.
    """

    def variance(cell: Cell) -> float:
        sampling = max(cell.value * (1 - cell.value), 0.0) / count if count else 0.0
        return max(sampling, (cell.std or 0.0) ** 2)

    difference = own.value - other.value
    if abs(difference) < max(2 * math.sqrt(variance(own) + variance(other)), 0.005):
        return "level"
    return "above" if difference > 0 else "below"


def objective_types(run: Run) -> set[str]:
    """The kinds of the run's objectives, whatever their sections are called."""
    sections = table(run.config, "objective")
    return {str(section.get("type", name)) for name, section in sections.items() if isinstance(section, dict)}


def method(run: Run) -> str:
    """What the encoder was trained by: "DIM", or the name of a baseline."""
    objectives = objective_types(run)
    for name, called in _METHODS.items():
        if name in objectives:
            return called
    return "this encoder"


def comparisons(run: Run) -> list[Comparison]:
    """Every measure that gave a score for the encoder, the known ones first."""
    measures = table(run.evaluation, "measures")
    names = [*(name for name in FIRST if name in measures), *(name for name in measures if name not in FIRST)]
    made = (_comparison(run, name, measures[name]) for name in names)
    return [comparison for comparison in made if comparison is not None]


def record_of(name: str) -> Measure | None:
    """The record of a measure, with few labels or all; None for one that is not installed here."""
    base, _ = parse_measure_name(name)
    return MEASURES.get(base)


def _comparison(run: Run, measure: str, entry: Any) -> Comparison | None:
    cells = cells_of(entry)
    if not cells:
        return None
    levels = (WHOLE,) if WHOLE in cells else _ordered({*LEVELS, *cells} - (_absent(run) - set(cells)))
    budget = parse_measure_name(measure)[1]
    controls = []
    for kind, name in CONTROLS.items():
        whole = at(run.evaluation, "controls", kind)
        of_control = cells_of(at(whole, measure))
        if kind == "supervised" and not of_control:  # trained through to the labels: all of them, or as few
            of_control = cells_of(whole if budget is None else at(whole, budget.name), own_only=True)
        if kind != "random_encoder" and WHOLE not in of_control and len(of_control) == 1:
            of_control = {WHOLE: next(iter(of_control.values()))}  # pixels have one level, whatever its name
        if kind.startswith("pixels") and levels == (WHOLE,) and not of_control:
            continue  # what is measured of a network as a whole cannot be measured of pixels
        by_level = kind == "random_encoder" and levels != (WHOLE,) and WHOLE not in of_control
        expected = levels if by_level else (WHOLE,) if len(of_control) < 2 else levels
        controls.append(Row(kind, name, {level: of_control.get(level) for level in expected}))
    title, protocol = _described(measure)
    stated = dict.fromkeys(text for text in _each(entry, "protocol") if isinstance(text, str))
    return Comparison(
        measure=measure,
        title=title,
        protocol="; ".join(stated) or protocol,
        score=next((s for s in SCORES if s in _keys(entry)), SCORES[0]).replace("_", " "),
        levels=levels,
        trained=Row("trained", method(run), {level: cells.get(level) for level in levels}),
        controls=tuple(controls),
        count=_test_count(run, entry),
    )


def _described(name: str) -> tuple[str, str]:
    """Title and protocol: "linear" -> "Linear probe", "linear_10_per_class" -> "Linear probe, 10 a class"."""
    base, budget = parse_measure_name(name)
    record = record_of(name)
    title, protocol = (base.replace("_", " "), "") if record is None else (record.title, record.protocol)
    return (title, protocol) if budget is None else _with_few_labels(title, protocol, budget)


def _with_few_labels(title: str, protocol: str, budget: LabelBudget) -> tuple[str, str]:
    short, long = _FEW_LABELS[budget.unit]
    said = f"{protocol}, from {long.format(budget.count)}" if protocol else ""
    return f"{title}, {short.format(budget.count)}", said


def _each(entry: dict[str, Any], key: str) -> list[Any]:
    """What a measure says once, or at each of its levels."""
    return [part[key] for part in (entry, *entry.values()) if isinstance(part, dict) and key in part]


def cells_of(entry: Any, *, own_only: bool = False) -> dict[str, Cell]:
    """{"accuracy": a} -> {WHOLE: a};  {level: {"accuracy": a}, ...} -> {level: a, ...}."""
    if not isinstance(entry, dict):
        return {}
    for score in SCORES:
        if (value := number(entry.get(score))) is not None:
            std = number(entry.get("std"))
            return {WHOLE: Cell(value, std if std is None or std >= 0 else None)}
    if own_only:
        return {}
    return {level: cell for level, inner in entry.items() for cell in cells_of(inner, own_only=True).values()}


def _keys(entry: Any) -> set[str]:
    inner = [set(v) for v in entry.values() if isinstance(v, dict)]
    return set(entry).union(*inner)


def _absent(run: Run) -> set[str]:
    """The levels that the encoder does not have, as the evaluation noted."""
    notes = at(run.evaluation, "notes")
    return {level for level in LEVELS if isinstance(notes, list) and NO_LEVEL.format(level) in notes}


def _ordered(levels: set[str]) -> tuple[str, ...]:
    return (*(level for level in LEVELS if level in levels), *sorted(levels - set(LEVELS)))


def _test_count(run: Run, entry: Any) -> int | None:
    """How many test images the figures rest on, wherever the evaluation says so."""
    data = at(run.evaluation, "data")
    candidates = [*_each(entry, "n_test"), at(data, "n_test"), at(data, "test"), at(data, "test", "count")]
    return next((int(n) for n in map(number, candidates) if n is not None and n >= 1), None)
