"""All measures, in the order in which they are evaluated, tabulated and reported."""

import difflib
from collections.abc import Iterator
from typing import Any

from deepinfomax.errors import UserError
from deepinfomax.evaluation import (
    attributes,
    decoding,
    distribution,
    knn,
    linear,
    mine,
    mlp,
    ndm,
    rank,
    reconstruction,
    semi_supervised,
    svm,
)
from deepinfomax.evaluation.few_labels import LabelBudget, parse_measure_name
from deepinfomax.evaluation.measure import Measure
from deepinfomax.plugins import Registry, no_record, registry

_MODULES = (mlp, linear, knn, svm, attributes, semi_supervised, reconstruction, rank, mine, decoding, ndm, distribution)


def _fault(name: str, thing: Any) -> str:
    """What is wrong with a measure of another package. Tables and reports look a measure up by the name it is
    recorded under, so under two names its figures would be lost to them.
    """
    if isinstance(thing, Measure) and thing.name != name:
        return f"is called {thing.name!r} in its Measure and {name!r} in its entry point: call it the same in both"
    return no_record(Measure, thing)


#: name -> record; other packages add theirs as `deepinfomax.measures`
MEASURES: Registry[Measure] = registry("measures", {module.MEASURE.name: module.MEASURE for module in _MODULES}, _fault)
FEW_LABELS = "linear_10_per_class, linear_1_percent, linear_folds"  #: how few labels are asked for, for messages


def all_measures() -> Iterator[Measure]:
    """The records of the built-in measures, then those of other packages."""
    yield from MEASURES.working()


def measure_called(name: str) -> tuple[Measure, LabelBudget | None]:
    """The measure that a name asks for, and the labels it may see: "linear_10_per_class"; None: all labels.

    Raises:
        UserError: an unknown measure, or few labels for one that cannot be taken with few.
    """
    base, budget = parse_measure_name(name)
    if name in MEASURES:
        return MEASURES[name], None
    if budget is None or base not in MEASURES or not MEASURES[base].few_labels:
        close = difflib.get_close_matches(name, list(MEASURES), n=1)
        known = f"did you mean {close[0]!r}?" if close else f"choose of {', '.join(MEASURES)}, {FEW_LABELS}"
        raise UserError(f"unknown measure {name!r}; {known}")
    return MEASURES[base], budget
