"""The record of a measure: what it needs, which figures it gives, and how to show them.

A measure is one file with one function and one record, `MEASURE`. Evaluation, report, tables and documentation get
everything they know about the measure from that record:

>>> MEASURE = Measure(
...     name="linear",
...     title="Linear probe",
...     of="features",
...     labels="classes",
...     figures=(Figure("accuracy", "accuracy", "fraction", "higher", "share of right answers", error="std"),),
...     function=linear,
...     few_labels=True,
...     remarks=(CONSTANT_UNITS,),
... )

All files of measures are imported together, so a file imports a large library inside the function that uses it.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Any, Literal, get_args

import numpy as np
from torch import Tensor

from deepinfomax.data.images import ImageSet
from deepinfomax.errors import UserError

Extra = Literal["y_of", "folder"]


@dataclass(frozen=True)
class Figure:
    """One number of a result, with its title, unit and explanation."""

    key: str  #: its field in the result, and its key in evaluation.json
    title: str  #: for a person: "accuracy"
    unit: str  #: "fraction", "nats", "dimensions", "" for none
    better: Literal["higher", "lower"] | None  #: None: neither is better
    says: str  #: what the figure tells, in one sentence for an outsider
    error: str | None = None  #: the field with its standard deviation or standard error

    def __post_init__(self) -> None:
        if not (self.key.isidentifier() and self.title):
            raise UserError(f"a figure needs a key that is a name and a title, not {self.key!r} and {self.title!r}")
        if self.better not in ("higher", "lower", None):
            raise UserError(f"of the figure {self.key!r}, higher, lower or None is better, not {self.better!r}")


@dataclass(frozen=True)
class Remark:
    """A warning about a result, shown if the field `key` is not None, "", 0 or False.

    If the field is True, its name is also shown in capitals after the headline: "effective rank 1.000 COLLAPSED".
    """

    key: str  #: a field of the result
    text: str  #: for the terminal and the notes of evaluation.json, filled with fields: "{dead_units} units are dead"
    figure: str | None = None  #: key of the figure beside which the report makes the remark; None: it does not
    report: str = ""  #: the text for the report, filled in the same way


#: Of all measures that standardise features.
CONSTANT_UNITS = Remark(
    "constant_units", "{constant_units} units are the same for every training image and were set to 0"
)


@dataclass(frozen=True)
class Measure:
    """Everything that the rest of the library knows about a measure.

    A measure of features is called once for each level as

        function(train, train_labels, test, test_labels, *, scale, seed, device)

    with features (N, units) and (T, units) and labels as numpy arrays. With few labels it is called once for each draw
    of them, with a further argument `standardiser`, and its result needs the fields accuracy, std, protocol, settings
    and seconds.

    A measure of an encoder is called once, with the encoder on its device, in eval mode, as

        function(encoder, train, test, *, scale, seed, device)

    with two `ImageSet`s, and with the arguments that `takes` names. With few labels it also takes `budget`, a
    `LabelBudget`, and `folds`.

    Both return a frozen dataclass with a field for each figure and each remark; n_train, n_test, protocol and seconds
    are recommended. Fields are numbers, text, lists and dictionaries; None means that a figure could not be measured.
    """

    name: str  #: on the command line and in evaluation.json: "linear"
    title: str  #: for a person: "Linear probe"
    of: Literal["features", "encoder"]
    labels: Literal["classes", "attributes"] | None  #: which labels it needs
    figures: tuple[Figure, ...]  #: the first is the headline
    function: Callable[..., Any]
    protocol: str = ""  #: how it is measured, in a few words: "logistic regression on frozen features"
    least: tuple[int, int] = (0, 0)  #: fewest training and test images
    few_labels: bool = False  #: can be taken as NAME_10_per_class, NAME_1_percent, NAME_folds
    takes: tuple[Extra, ...] = ()  #: "y_of": y of both sets; "folder": of the run, where files may go, or None
    of_vectors: Callable[..., Any] | None = None  #: the same of test vectors alone: of_vectors(vectors, *, scale, seed)
    check: Callable[[ImageSet, ImageSet], None] | None = None  #: raises UserError for sets it cannot be taken of
    remarks: tuple[Remark, ...] = ()

    def __post_init__(self) -> None:
        named = f"the measure {self.name!r}"
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.name) or re.search(r"_(per_class|percent|folds)$", self.name):
            raise UserError(f"{named} needs a name of small letters that does not end as one of few labels does")
        if not (self.title and self.figures and callable(self.function)):
            raise UserError(f"{named} needs a title, a figure and a function")
        for field, kind, said in (("figures", Figure, self.figures), ("remarks", Remark, self.remarks)):
            if not isinstance(said, tuple) or not all(isinstance(one, kind) for one in said):
                raise UserError(f"{named} needs {field} as a tuple: {field}=({kind.__name__}(...),), with its comma")
        if self.of not in ("features", "encoder") or self.labels not in ("classes", "attributes", None):
            raise UserError(f"{named} is of features or of an encoder, with labels of classes, attributes or None")
        if self.few_labels and self.labels != "classes":
            raise UserError(f"{named} cannot see few labels of classes, since it needs none")
        if odd := [extra for extra in self.takes if extra not in get_args(Extra)]:
            raise UserError(f"{named} takes {odd[0]!r}, which is none of {', '.join(get_args(Extra))}")

    @property
    def headline(self) -> Figure:
        """The figure that a person reads first."""
        return self.figures[0]

    def check_counts(self, train: int, test: int, name: str | None = None) -> None:
        """Raises UserError if there are fewer images than `least`; `name`: the measure's name in the message."""
        for which, least, count in zip(("training", "test"), self.least, (train, test), strict=True):
            if count < least:
                raise UserError(f"{name or self.name} needs {least} {which} images or more, not {count:,}")


def standard_deviation(values: Sequence[float]) -> float | None:
    """The sample standard deviation, with n - 1 in the denominator; None for a single value."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def as_json(result: Any) -> dict[str, Any]:
    """A result as a dictionary for evaluation.json, with its fields in their order.

    A field that is None becomes null; if None is its default, it was not measured and is left out. Scalars of NumPy and
    PyTorch become numbers.
    """
    if isinstance(result, Mapping):
        named = {name: (value, MISSING) for name, value in result.items()}
    else:
        named = {f.name: (getattr(result, f.name), f.default) for f in fields(result)}
    plain = {name: (_number(value), default) for name, (value, default) in named.items()}
    return {name: value for name, (value, default) in plain.items() if value is not None or default is MISSING}


def checked_result(measure: Measure, result: Any) -> dict[str, Any]:
    """`as_json` of the result of a measure's function, after checking that it can be written and shown.

    The result may also be a dictionary; then figures may be missing, except the headline.

    Raises:
        UserError: it is not a result; a field for a figure or a remark, or for a word of its text, is missing; or a
            field cannot be written as JSON.
    """
    named = f"the function of the measure {measure.name!r}"
    keys = [*(figure.key for figure in measure.figures), *(remark.key for remark in measure.remarks)]
    if isinstance(result, type) or not (isinstance(result, Mapping) or is_dataclass(result)):
        must = f"it must return a dataclass with the fields {', '.join(keys)}"
        raise UserError(f"{named} returned a {type(result).__name__}; {must}")
    has = list(result) if isinstance(result, Mapping) else [field.name for field in fields(result)]
    for key in keys[:1] if isinstance(result, Mapping) else keys:
        if key not in has:
            raise UserError(f"{named} returned no {key!r}, which its Figure or Remark names; it has {', '.join(has)}")
    plain = as_json(result)
    for key, value in plain.items():
        try:
            json.dumps(value)
        except (TypeError, ValueError):
            raise UserError(
                f"{named} returned a {type(value).__name__} as {key!r}, which evaluation.json cannot hold: give a "
                "number, text or a list of these"
            ) from None
    for remark in measure.remarks:
        if plain.get(remark.key):
            try:
                remark.text.format_map({"seconds": 0.0, **plain})
            except KeyError as error:
                raise UserError(
                    f"{named} returned no {error}, which the text of its Remark names; it has {', '.join(plain)}"
                ) from None
    return plain


def _number(value: Any) -> Any:
    """A scalar of NumPy or PyTorch as Python's number; anything else as it is."""
    scalar = isinstance(value, np.generic) or (isinstance(value, np.ndarray | Tensor) and value.ndim == 0)
    return value.item() if scalar else value
