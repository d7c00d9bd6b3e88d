"""All measures, in the order in which they are evaluated, tabulated and reported."""

from collections.abc import Iterator

from deepinfomax.errors import UserError
from deepinfomax.evaluation import attributes, knn, linear, mine, mlp, ndm, rank, reconstruction, semi_supervised, svm
from deepinfomax.evaluation.few_labels import LabelBudget, parse_measure_name
from deepinfomax.evaluation.measure import Measure
from deepinfomax.plugins import Registry, registry

_MODULES = (mlp, linear, knn, svm, attributes, semi_supervised, reconstruction, rank, mine, ndm)

#: name -> record; other packages add theirs as `deepinfomax.measures`
MEASURES: Registry[Measure] = registry("measures", {module.MEASURE.name: module.MEASURE for module in _MODULES})
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
        raise UserError(f"unknown measure {name!r}; choose of {', '.join(MEASURES)}, {FEW_LABELS}")
    return MEASURES[base], budget
