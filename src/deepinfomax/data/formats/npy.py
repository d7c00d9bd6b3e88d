"""A .npy file: one array of images without labels. Never unpickles anything.

Arrays need no cache on disk: an uint8 .npy is used through a memory map as it is, anything else is converted once in
memory, at a few hundred megabytes a second.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from deepinfomax.data.formats.record import Columns, Format
from deepinfomax.data.in_memory import image_set
from deepinfomax.data.stored import Parts
from deepinfomax.errors import UserError


def read(file: Path, columns: Columns) -> Parts:
    """One array of images without labels: (N, H, W), (N, H, W, C) or (N, C, H, W), uint8 or floats in [0, 1]."""
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
        raise UserError(f"{file} cannot be read as a NumPy array: {first_line(error)}") from None


def first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


FORMAT = Format("npy", "(N, H, W), (N, H, W, C) or (N, C, H, W), uint8 or floats in [0, 1]", read, (".npy",))
