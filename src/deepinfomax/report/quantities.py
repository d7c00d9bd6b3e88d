"""The figures of an evaluation that are not accuracies: similarities, errors, ranks, nats."""

from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Any

from deepinfomax.evaluation.measure import Figure, Measure
from deepinfomax.report.comparisons import SCORES, Cell, cells_of, record_of
from deepinfomax.report.reading import Run, at, number, table

#: numbers in evaluation.json that say how a figure was obtained, and are none themselves
_BOOKKEEPING = (
    "std",
    "seconds",
    "n_train",
    "n_test",
    "settings",
    "seed",
    "constant_units",
    "schema",
    "C",
    "standard_error",
    "units",
)
#: units that the words of a figure say already
_UNNAMED_UNITS = ("fraction", "dimensions")


@dataclass(frozen=True)
class Quantity:
    """A figure that is no score: a likeness, an error, nats."""

    measure: str
    name: str
    unit: str
    better: str  #: "higher", "lower" or ""
    says: str
    warning: str  #: what the measure itself warned of
    trained: Cell  #: `std` is the standard error, if there is one
    random_encoder: Cell | None


def quantities(run: Run) -> list[Quantity]:
    """The figures of the evaluation that are no scores, and those that stand beside a score."""
    listed = []
    for name, entry in table(run.evaluation, "measures").items():
        record = record_of(name)
        figures = _figures(record, entry)
        if cells_of(entry) and not figures:
            continue
        control = at(run.evaluation, "controls", "random_encoder", name)
        for path in _paths(entry, shown=figures):
            *above, key = path
            if record is not None and key not in figures:
                continue
            figure = figures.get(key)
            own = _cell(entry, path, figure)
            assert own is not None
            title = key.replace("_", " ") if figure is None else figure.title
            listed.append(
                Quantity(
                    measure=name.replace("_", " ") if record is None else record.title,
                    name=" · ".join((*above, title[:1].upper() + title[1:] if figure is not None else title)),
                    unit="" if figure is None or figure.unit in _UNNAMED_UNITS else figure.unit,
                    better="" if figure is None else figure.better or "",
                    says="" if figure is None else figure.says,
                    warning=_warning(record, at(entry, *above), key),
                    trained=own,
                    random_encoder=_cell(control, path, figure),
                )
            )
    return listed


def _figures(record: Measure | None, entry: Any) -> dict[str, Figure]:
    """The figures of a measure that are shown here, by key: those beside the score, where it gave one."""
    if record is None:
        return {}
    score = next((s for s in SCORES if cells_of(entry) and any(s == key for key in _keys(entry))), None)
    return {figure.key: figure for figure in record.figures if figure.key != score}


def _keys(entry: Any) -> set[str]:
    """The keys of an entry, and of the levels in it."""
    return set(entry).union(*(set(level) for level in entry.values() if isinstance(level, dict)))


def _cell(tree: Any, path: tuple[str, ...], figure: Figure | None) -> Cell | None:
    value = number(at(tree, *path))
    error = None if figure is None or figure.error is None else number(at(tree, *path[:-1], figure.error))
    return None if value is None else Cell(value, error)


def _warning(record: Measure | None, around: Any, key: str) -> str:
    """What the measure's own remarks say of a figure."""
    remarks = () if record is None else record.remarks
    said = [
        remark.report.format_map(around)
        for remark in remarks
        if remark.figure == key and isinstance(around, dict) and around.get(remark.key)
    ]
    return "; ".join(said)


def _paths(tree: Any, path: tuple[str, ...] = (), *, shown: Container[str] = ()) -> Iterator[tuple[str, ...]]:
    """Where the figures are in a nested dictionary; those in `shown` whatever they are called."""
    for key, value in tree.items() if isinstance(tree, dict) else ():
        if key in _BOOKKEEPING and key not in shown:
            continue
        if number(value) is not None:
            yield (*path, key)
        else:
            yield from _paths(value, (*path, key), shown=shown)
