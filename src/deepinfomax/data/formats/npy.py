"""A .npy file: one array of images, series or volumes without labels. Never unpickles anything.

A .npy file needs no cache on disk: it is used through a memory map, as it is.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from deepinfomax.data.formats.record import Columns, Format, unreadable
from deepinfomax.data.in_memory import image_set
from deepinfomax.data.stored import Parts
from deepinfomax.errors import UserError


def read(file: Path, columns: Columns) -> Parts:
    """One array without labels: images, series or volumes, see `data.arrays`."""
    images = load_numpy(file)
    if not isinstance(images, np.ndarray):
        raise UserError(f"{file} holds several arrays: call it {file.stem}.npz")
    return {"train": partial(image_set, images, None, (), str(file))}


def load_numpy(file: Path) -> Any:
    """An array, or the members of a .npz.

    Raises:
        UserError: the file is neither.
    """
    try:
        return np.load(file, mmap_mode="r" if file.suffix == ".npy" else None, allow_pickle=False)
    except Exception as error:  # NumPy raises errors of ten kinds for damaged headers, and its own for pickles
        if not _begins_as_array(file):
            raise unreadable(file, "a NumPy array", "by its first bytes it is something else") from None
        raise unreadable(file, "a NumPy array", error) from None


def _begins_as_array(file: Path) -> bool:
    """Whether the first bytes are those of a .npy or a .npz file. NumPy takes every other file for a pickle."""
    try:
        with file.open("rb") as content:
            return content.read(6).startswith((b"\x93NUMPY", b"PK"))
    except OSError:
        return True


FORMAT = Format("npy", "one array: images, series or volumes of any type of number", read, (".npy",))
