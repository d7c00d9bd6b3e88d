"""A .npz file: images with or without labels, in one pair of arrays or in one pair for each part."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from deepinfomax.data.formats.npy import first_line, load_numpy
from deepinfomax.data.formats.record import Columns, Format
from deepinfomax.data.images import ImageSet
from deepinfomax.data.in_memory import image_set
from deepinfomax.data.labels import class_names, number_labels
from deepinfomax.data.parts import PART_OF
from deepinfomax.data.stored import Parts
from deepinfomax.errors import UserError

IMAGE_KEYS = ("images", "x", "data")
LABEL_KEYS = ("labels", "y", "label", "targets")


def read(file: Path, columns: Columns) -> Parts:
    """`images` (or `x`) and optionally `labels` (or `y`); or such a pair for each part: x_train, y_train, x_test, ...

    The part may stand before or behind: `train_images` is read like `images_train`. `classes` may hold the names. The
    user's own names for images and labels come first.
    """
    content = load_numpy(file)
    if isinstance(content, np.ndarray):
        raise UserError(f"{file} holds a single array: call it {file.stem}.npy")
    keys = {key.lower(): key for key in content.files}
    image_keys = IMAGE_KEYS if columns.image is None else (columns.image.lower(),)
    label_keys = LABEL_KEYS if columns.label is None else (columns.label.lower(),)
    arrays: dict[str, tuple[str, str | None]] = {}  # part -> names of its images and labels
    for part in PART_OF:
        image = next((keys[k] for i in image_keys for k in (f"{i}_{part}", f"{part}_{i}") if k in keys), None)
        label = next((keys[k] for i in label_keys for k in (f"{i}_{part}", f"{part}_{i}") if k in keys), None)
        if image is not None:
            arrays[part] = image, label
    if not arrays:
        image = next((keys[k] for k in image_keys if k in keys), None)
        if image is None:
            held = ", ".join(content.files)
            wanted = columns.image or "images or x (or x_train and x_test)"
            raise UserError(f"{file} holds the arrays {held}; one must be called {wanted}")
        arrays["train"] = image, next((keys[k] for k in label_keys if k in keys), None)
    if columns.label is not None and not any(label for _, label in arrays.values()):
        raise UserError(f"{file} has no array {columns.label} (data.label); it has: {', '.join(content.files)}")
    raw = [None if label is None else _member(content, label, file) for _, label in arrays.values()]
    names = class_names(_member(content, keys["classes"], file), str(file)) if "classes" in keys else ()
    labels, classes = number_labels(raw, names, str(file))
    counts = [None if values is None else len(values) for values in raw]
    used = {name for pair in arrays.values() for name in pair} | {keys.get("classes")}
    others = [name for name in content.files if name not in used]
    notes = (f"arrays not used: {', '.join(others)}",) if others else ()
    return {
        part: partial(_part, content, image, part_labels, count, classes, file, notes)
        for (part, (image, _)), part_labels, count in zip(arrays.items(), labels, counts, strict=True)
    }


def _part(
    content: Mapping[str, np.ndarray],
    image: str,
    labels: np.ndarray | None,
    label_count: int | None,
    classes: tuple[str, ...],
    file: Path,
    notes: tuple[str, ...],
) -> ImageSet:
    return image_set(_member(content, image, file), labels, classes, str(file), label_count, notes)


def _member(content: Mapping[str, np.ndarray], key: str, file: Path) -> np.ndarray:
    try:
        array = content[key]
    except Exception as error:  # damage, a password, or a pickle: NumPy and zipfile raise errors of ten kinds
        raise UserError(f"{file}: array {key} cannot be read: {first_line(error)}") from None
    if not isinstance(array, np.ndarray):  # a member that is no .npy comes as its bytes
        raise UserError(f"{file}: {key} is no array")
    return array


FORMAT = Format("npz", "arrays `images` and `labels`, or `x_train`, `y_train`, ...", read, (".npz",), columns=True)
