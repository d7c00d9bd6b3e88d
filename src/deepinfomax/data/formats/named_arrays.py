"""Files of several arrays with names (.npz, HDF5, Zarr): which are the data, and which their labels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from deepinfomax.data.formats.record import Columns, commands_for_numbers, no_classes
from deepinfomax.data.labels import are_quantities, class_names, number_labels
from deepinfomax.data.parts import PART_OF
from deepinfomax.data.stored import Parts, Source
from deepinfomax.errors import UserError

IMAGE_KEYS = ("images", "x", "data")
LABEL_KEYS = ("labels", "y", "label", "targets")
CLASSES = "classes"


@dataclass(frozen=True)
class Labelled:
    """The labels of a part, and what is said of it."""

    labels: np.ndarray | None  #: as `number_labels` gives them
    count: int | None  #: of the labels as they were given; None if there are none
    classes: tuple[str, ...]
    notes: tuple[str, ...]


def chosen(
    names: Sequence[str], columns: Columns, where: str, only: str | None = None
) -> dict[str, tuple[str, str | None]]:
    """Part -> names of the array of its items and of that of their labels, None if there is none.

    `images` (or `x`, `data`) and optionally `labels` (or `y`); or such a pair for each part: x_train, y_train, x_test,
    ... The name of the part may come first or last, and may be a group: train/images is read like images_train. If only
    other parts have such a pair, as x_test beside x, the arrays without the name of a part are the training part. Names
    that the user gives are used instead of the usual ones.

    Args:
        only: the array to take if none has a usual name.

    Raises:
        UserError: no such arrays.
    """
    if not names:
        raise UserError(f"{where} holds no arrays")
    keys = {name.strip("/").replace("/", "_").lower(): name for name in names}
    image_keys, label_keys = (
        usual if given is None else (given.strip("/").replace("/", "_").lower(),)
        for usual, given in ((IMAGE_KEYS, columns.image), (LABEL_KEYS, columns.label))
    )
    arrays: dict[str, tuple[str, str | None]] = {}
    for part in PART_OF:
        image = next((keys[k] for i in image_keys for k in (f"{i}_{part}", f"{part}_{i}") if k in keys), None)
        label = next((keys[k] for i in label_keys for k in (f"{i}_{part}", f"{part}_{i}") if k in keys), None)
        if image is not None:
            arrays[part] = image, label
    whole = next((keys[k] for k in image_keys if k in keys), None)
    if not arrays and whole is None and columns.image is None:
        whole = only
    if not arrays and whole is None:
        wanted = columns.image or "images or x (or x_train and x_test)"
        mend = "" if columns.image else ", or be named by data.image"
        other = commands_for_numbers(where) if "embedding" in keys and where.endswith(".npz") else ""
        raise UserError(f"{where} holds the arrays {', '.join(names)}; one must be called {wanted}{mend}{other}")
    if whole is not None and not any(PART_OF[part] == "train" for part in arrays):  # x beside x_test
        arrays = {"train": (whole, next((keys[k] for k in label_keys if k in keys), None)), **arrays}
    if columns.label is not None and not any(label for _, label in arrays.values()):
        raise UserError(f"{where} has no array {columns.label} (data.label); it has: {', '.join(names)}")
    return arrays


def parts_of(
    names: Sequence[str],
    columns: Columns,
    where: str,
    values: Callable[[str], np.ndarray],
    source: Callable[[str, Labelled], Source],
    only: str | None = None,
) -> Parts:
    """The parts of a file of arrays.

    Args:
        names: of all its arrays.
        values: reads the array of a name; for labels and names of classes.
        source: makes the items of a part, from the array of a name and its labels.
        only: the array to take if none has a usual name.

    Raises:
        UserError: in the cases of `chosen` and of `number_labels`.
    """
    arrays = chosen(names, columns, where, only)
    classes_in = next((name for name in names if name.strip("/").lower() == CLASSES), None)
    raw = [None if label is None else values(label) for _, label in arrays.values()]
    given = () if classes_in is None else class_names(values(classes_in), where)
    named = [label for _, label in arrays.values()]
    quantities = next((n for n, v in zip(named, raw, strict=True) if v is not None and are_quantities(v)), None)
    if quantities is not None:  # such as the concentrations that spectra are measured for
        raw = [None] * len(raw)
    labels, classes = number_labels(raw, given, where)
    used = {name for pair in arrays.values() for name in pair}
    if classes:  # without labels there is nothing to name
        used.add(classes_in)
    others = [name for name in names if name not in used]
    notes = (f"arrays not used: {', '.join(others)}",) if others else ()
    if quantities is not None:
        notes = (*notes, no_classes(f"array {quantities}"))
    return {
        part: partial(source, image, Labelled(of_part, None if of_raw is None else len(of_raw), classes, notes))
        for (part, (image, _)), of_part, of_raw in zip(arrays.items(), labels, raw, strict=True)
    }
