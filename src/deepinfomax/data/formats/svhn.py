"""SVHN (Street View House Numbers) as published: cropped digits of 32x32 pixels in files of MATLAB.

http://ufldl.stanford.edu/housenumbers describes them: X, (32, 32, 3, N) uint8, and y, (N, 1), where 10 is the digit 0.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from deepinfomax.data.formats.record import Columns, Layout, one_of, require
from deepinfomax.data.raw import RawFile, of_raw_files
from deepinfomax.data.stored import Parts, StoredImages
from deepinfomax.errors import UserError, first_line

TITLE = "SVHN"
FILES = {"train": "train_32x32.mat", "test": "test_32x32.mat", "extra": "extra_32x32.mat"}
SIDE = (32, 32, 3)


def read(folder: Path, columns: Columns) -> Parts:
    """The parts train, test and, if its file is there, extra. `data.split train+extra` trains on both.

    Raises:
        UserError: a file that is missing, damaged or of another kind.
    """
    require(folder, [FILES["train"], FILES["test"]], TITLE, "download it into this folder")
    return {part: partial(_part, folder, folder / name) for part, name in FILES.items() if (folder / name).is_file()}


def _part(folder: Path, file: Path) -> StoredImages:
    shape = _shape_of_images(file)
    digits = _variable(file, "y").reshape(-1)
    if shape[:3] != SIDE or len(shape) != 4 or len(digits) != shape[3]:
        raise UserError(
            f"{file} holds images of shape {shape} and {len(digits):,} labels, not (32, 32, 3, N) and N: {_AGAIN}"
        )
    if not np.isin(digits, np.arange(11)).all():
        raise UserError(f"{file} holds the label {digits[~np.isin(digits, np.arange(11))][0]}, not 1 to 10: {_AGAIN}")
    raw = RawFile(file, shape[3], partial(_pixels, file))
    return of_raw_files(folder, [raw], digits.astype(np.int64) % 10, tuple("0123456789"))


def _pixels(file: Path) -> np.ndarray:
    pixels = _variable(file, "X")
    if pixels.dtype != np.uint8:
        raise UserError(f"{file} holds pixels of {pixels.dtype}, not uint8: {_AGAIN}")
    return pixels.transpose(3, 2, 0, 1)


def _shape_of_images(file: Path) -> tuple[int, ...]:
    """The shape of X by the header of the file; () without X. The pixels are not read: `extra` has 1.6 GB of them."""
    from scipy.io import whosmat

    try:
        return next((shape for name, shape, _ in whosmat(file) if name == "X"), ())
    except Exception as error:  # damaged files make SciPy raise errors of many kinds
        raise _damaged(file, error) from None


def _variable(file: Path, name: str) -> np.ndarray:
    """An array of numbers in a MATLAB file. To read such a file runs no code of it."""
    from scipy.io import loadmat

    try:
        values: Any = loadmat(file, variable_names=[name])[name]
    except KeyError:
        raise UserError(f"{file} has no {name}, so it is not complete, or no file of {TITLE}: {_AGAIN}") from None
    except Exception as error:  # as above
        raise _damaged(file, error) from None
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "iuf":
        raise UserError(f"{file}: {name} holds no numbers, so it is no file of {TITLE}: {_AGAIN}")
    return values


def _damaged(file: Path, error: Exception) -> UserError:
    return UserError(f"{file} is damaged or no file of MATLAB 5 ({first_line(error)}): {_AGAIN}")


_AGAIN = "download it again"
LAYOUT = Layout(
    "svhn",
    f"{TITLE}, cropped digits",
    one_of(tuple(FILES.values())),
    read,
    ("svhn", "SVHN"),
    sizes={"train": 73_257, "test": 26_032, "extra": 531_131},
)
