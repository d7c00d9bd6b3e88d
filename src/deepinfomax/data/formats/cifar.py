"""CIFAR-10 and CIFAR-100 as published: the Python version (pickles) and the binary version.

https://www.cs.toronto.edu/~kriz/cifar.html describes both. Of the 3,072 bytes of an image the first 1,024 are red, then
come green and blue, each row by row.
"""

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from deepinfomax.data.formats.record import Columns, Layout, one_of, require, unused_columns
from deepinfomax.data.raw import RawFile, of_raw_files
from deepinfomax.data.stored import Parts, StoredImages
from deepinfomax.errors import UserError, count_of, first_line

SHAPE = (3, 32, 32)
PIXELS = 3 * 32 * 32
IMAGE = "img"  #: the column of images in the tables of the hub


@dataclass(frozen=True)
class Cifar:
    """What differs between the two sets."""

    name: str
    title: str
    files: str  #: how the names of its folders and archives begin
    batches: Mapping[str, Sequence[str]]  #: part -> its files, without the ending .bin of the binary version
    meta: str  #: the pickle that holds the names of the classes
    #: column in a table -> key of these labels in the pickles, and key of their names; in the binary version's order
    labels: Mapping[str, tuple[str, str]]

    def names_file(self, key: str) -> str:
        """The file of the binary version that holds the names of the classes, a line each."""
        return f"{self.meta}.txt" if len(self.labels) == 1 else f"{key}.txt"

    def choose(self, columns: Columns) -> tuple[str, tuple[str, ...]]:
        """The column of the labels that are used, and the note on those that are not."""
        names = [IMAGE, *self.labels]
        image, label = columns.choose(names, self.title, (IMAGE,))
        return label, unused_columns(names, {image, label})


TEN = Cifar(
    "cifar10",
    "CIFAR-10",
    "cifar-10",
    {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]},
    "batches.meta",
    {"label": ("labels", "label_names")},
)
HUNDRED = Cifar(
    "cifar100",
    "CIFAR-100",
    "cifar-100",
    {"train": ["train"], "test": ["test"]},
    "meta",
    {
        "coarse_label": ("coarse_labels", "coarse_label_names"),
        "fine_label": ("fine_labels", "fine_label_names"),
    },
)


class _Array:
    """Takes the place of NumPy's array class while a pickle is read. Arrays are made by `_empty_array` only."""


def _empty_array(kind: object, shape: object, code: object) -> np.ndarray:
    """An empty array, whatever the arguments are. The unpickler then fills it with the shape and bytes of the file."""
    return np.ndarray((0,), np.uint8)


def _latin1(text: str, encoding: str) -> bytes:
    """The bytes of a text. Python 3 stores bytes in this form when it writes a pickle for Python 2."""
    return text.encode("latin1")


class _ArraysOnly(pickle.Unpickler):
    """Reads arrays, lists, dictionaries, text and numbers only.

    An ordinary unpickler would run any function that the file names.
    """

    ALLOWED: Mapping[tuple[str, str], Any] = {
        ("numpy.core.multiarray", "_reconstruct"): _empty_array,
        ("numpy._core.multiarray", "_reconstruct"): _empty_array,
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): _latin1,
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no file of CIFAR does")
        return self.ALLOWED[module, name]


def load_pickle(file: Path) -> dict[str, Any]:
    """The dictionary in a file of the Python version. Nothing that the file names is run.

    Raises:
        UserError: it holds something else, or is damaged.
    """
    try:
        with file.open("rb") as opened:
            content = _ArraysOnly(opened, encoding="bytes").load()  # they were written by Python 2
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from None
    except Exception as error:  # damaged pickles make Python and NumPy raise errors of many kinds
        raise _wrong(file, first_line(error)) from None
    if not isinstance(content, dict):
        raise _wrong(file, f"it holds {type(content).__name__}")
    return {_text(key): value for key, value in content.items()}


def read_python(cifar: Cifar, folder: Path, columns: Columns) -> Parts:
    """The Python version: a pickle for each batch, a dictionary with `data`, (N, 3072) uint8, and lists of labels.

    Raises:
        UserError: a file that is missing, damaged or of another kind.
    """
    files = [name for part in cifar.batches.values() for name in part]
    require(folder, [*files, cifar.meta], cifar.title, f"unpack {cifar.files}-python.tar.gz again")
    label, notes = cifar.choose(columns)
    key, names = cifar.labels[label]
    meta = folder / cifar.meta
    classes = _class_names(load_pickle(meta).get(names), meta, names)

    def part(files: Sequence[str]) -> StoredImages:
        labels = {folder / name: _pickled_labels(folder / name, key, len(classes)) for name in files}
        raw = [RawFile(file, len(values), partial(_pickled_pixels, file)) for file, values in labels.items()]
        return of_raw_files(folder, raw, np.concatenate(list(labels.values())), classes, notes)

    return {name: partial(part, files) for name, files in cifar.batches.items()}


def read_binary(cifar: Cifar, folder: Path, columns: Columns) -> Parts:
    """The binary version: for each image its labels, a byte each, and its pixels.

    Raises:
        UserError: a file that is missing, not complete or of another kind.
    """
    label, notes = cifar.choose(columns)
    column, (_, names) = list(cifar.labels).index(label), cifar.labels[label]
    file = folder / cifar.names_file(names)
    files = [f"{name}.bin" for part in cifar.batches.values() for name in part]
    require(folder, [*files, file.name], cifar.title, f"unpack {cifar.files}-binary.tar.gz again")
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    classes = _class_names([line.strip() for line in lines if line.strip()], file, names)
    width = len(cifar.labels)

    def part(files: Sequence[str]) -> StoredImages:
        records = {folder / f"{name}.bin": _records(folder / f"{name}.bin", width) for name in files}
        labels = [_checked(rows[:, column], len(rows), len(classes), file) for file, rows in records.items()]
        raw = [RawFile(file, len(rows), partial(_binary_pixels, file, width)) for file, rows in records.items()]
        return of_raw_files(folder, raw, np.concatenate(labels), classes, notes)

    return {name: partial(part, files) for name, files in cifar.batches.items()}


def _pickled_labels(file: Path, key: str, classes: int) -> np.ndarray:
    content = load_pickle(file)
    pixels, labels = content.get("data"), content.get(key)
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape[1:] != (PIXELS,):
        raise _wrong(file, f"its data are no array of {PIXELS:,} bytes an image")
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise _wrong(file, f"it has no list of whole numbers called {key}")
    return _checked(np.array(labels), len(pixels), classes, file)


def _pickled_pixels(file: Path) -> np.ndarray:
    pixels: np.ndarray = load_pickle(file)["data"]
    return pixels.reshape(-1, *SHAPE)


def _records(file: Path, width: int) -> np.ndarray:
    """(N, width + 3072) uint8, a memory map: `width` labels and the pixels of each image."""
    size, each = file.stat().st_size, width + PIXELS
    if not size or size % each:
        raise UserError(f"{file} is not complete: {size:,} bytes are no whole images of {each:,}; download it again")
    return np.memmap(file, np.uint8, "r").reshape(-1, each)


def _binary_pixels(file: Path, width: int) -> np.ndarray:
    return _records(file, width)[:, width:].reshape(-1, *SHAPE)


def _class_names(names: Any, file: Path, key: str) -> tuple[str, ...]:
    if not isinstance(names, list) or not names or not all(isinstance(name, str | bytes) for name in names):
        raise _wrong(file, f"it has no list of words called {key}")
    return tuple(_text(name) for name in names)


def _text(word: Any) -> str:
    return word.decode("latin1") if isinstance(word, bytes) else str(word)


def _checked(labels: np.ndarray, count: int, classes: int, file: Path) -> np.ndarray:
    """(N,) int64 labels that fit the images and classes."""
    if len(labels) != count or not count:
        raise _wrong(file, f"it holds {count_of(count, 'image')} and {count_of(len(labels), 'label')}")
    if labels.min() < 0 or labels.max() >= classes:
        raise _wrong(file, f"it has labels from {labels.min()} to {labels.max()}, there are {classes} classes")
    return labels.astype(np.int64)


def _wrong(file: Path, reason: str) -> UserError:
    return UserError(f"{file} is damaged or no file of CIFAR ({reason}): download it again")


def _layouts(cifar: Cifar, python: str, binary: str) -> tuple[Layout, Layout]:
    """`python`, `binary`: names of the two folders."""
    files = [name for part in cifar.batches.values() for name in part]
    names = {cifar.names_file(key) for _, key in cifar.labels.values()}
    least = min(2, len(cifar.labels))  # of CIFAR-100, because files called train and test could be anybody's
    sizes = {"train": 50_000, "test": 10_000}
    return (
        Layout(
            cifar.name,
            f"{cifar.title}, Python version",
            one_of([*files, cifar.meta], least),
            partial(read_python, cifar),
            (python,),
            (f"{cifar.files}-python.tar.gz",),
            sizes=sizes,
            columns=True,
        ),
        Layout(
            cifar.name,
            f"{cifar.title}, binary version",
            one_of([*(f"{name}.bin" for name in files), *names], least),
            partial(read_binary, cifar),
            (binary,),
            (f"{cifar.files}-binary.tar.gz",),
            sizes=sizes,
            columns=True,
        ),
    )


LAYOUTS = (
    *_layouts(TEN, "cifar-10-batches-py", "cifar-10-batches-bin"),
    *_layouts(HUNDRED, "cifar-100-python", "cifar-100-binary"),
)
