"""A .npz file: images, with or without labels, in one pair of arrays or in a pair for each part."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from deepinfomax.data.formats.named_arrays import Labelled, parts_of
from deepinfomax.data.formats.npy import load_numpy
from deepinfomax.data.formats.record import Columns, Format, unreadable
from deepinfomax.data.in_memory import image_set
from deepinfomax.data.stored import Parts, Source
from deepinfomax.errors import UserError


def read(file: Path, columns: Columns) -> Parts:
    """The arrays that `named_arrays.chosen` finds: `images` and `labels`, or such a pair for each part.

    `classes` may hold the names of the classes.
    """
    content = load_numpy(file)
    if isinstance(content, np.ndarray):
        raise UserError(f"{file} holds a single array: call it {file.stem}.npy")

    def part(name: str, of: Labelled) -> Source:
        return image_set(_member(content, name, file), of.labels, of.classes, str(file), of.count, of.notes)

    return parts_of(content.files, columns, str(file), lambda name: _member(content, name, file), part)


def _member(content: Mapping[str, np.ndarray], key: str, file: Path) -> np.ndarray:
    try:
        array = content[key]
    except Exception as error:  # damage, a password, or a pickle: NumPy and zipfile raise errors of ten kinds
        raise unreadable(f"{file}: {key}", "an array", error) from None
    if not isinstance(array, np.ndarray):  # NumPy gives the bytes of a member that is no .npy
        raise UserError(f"{file}: {key} is no array")
    return array


FORMAT = Format("npz", "arrays `images` and `labels`, or `x_train`, `y_train`, ...", read, (".npz",), columns=True)
