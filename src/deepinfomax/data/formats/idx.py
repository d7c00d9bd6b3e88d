"""MNIST and the sets that copy its files: Fashion-MNIST, KMNIST, EMNIST. Compressed by gzip or not.

An `idx` file (http://yann.lecun.com/exdb/mnist) begins with two zeros, the type of its numbers (8: bytes), the number
of axes, and the length of each axis as a big-endian number of four bytes. The files of MNIST, Fashion-MNIST and KMNIST
have the same names, so the name of a folder decides which set it is.
"""

import gzip
import string
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from deepinfomax.data.formats.record import Columns, Layout
from deepinfomax.data.raw import RawFile, of_raw_files
from deepinfomax.data.stored import Parts, StoredImages
from deepinfomax.data.unpacking import is_gzip
from deepinfomax.errors import UserError

BYTES = 8  #: the type of the numbers in all of these files
#: part -> (images, labels), of MNIST
FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
DIGITS = tuple(string.digits)
#: the classes if letters that look alike in upper and lower case are one class
MERGED = (*string.digits, *string.ascii_uppercase, *"abdefghnqrt")


@dataclass(frozen=True)
class Idx:
    """One of these sets."""

    name: str
    title: str
    classes: tuple[str, ...]
    sizes: tuple[int, int]  #: images in train and test
    files: tuple[tuple[str, str], ...] = tuple(FILES.values())  #: (images, labels) of train and of test
    #: one of them is in the name of its folder, in lower case; () if the names of its files tell the set
    words: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    first: int = 0  #: the smallest label
    turned: bool = False  #: whether the file has each image column by column


def _emnist(name: str, classes: tuple[str, ...], train: int, test: int, first: int = 0) -> Idx:
    begins = [f"emnist-{name}-{part}" for part in FILES]
    folders = ("EMNIST/raw", "EMNIST", "emnist", "raw", "gzip", "raw/gzip", "EMNIST/raw/gzip")
    return Idx(
        f"emnist-{name}",
        f"EMNIST {name}",
        classes,
        (train, test),
        tuple((f"{begin}-images-idx3-ubyte", f"{begin}-labels-idx1-ubyte") for begin in begins),
        folders=folders,
        first=first,
        turned=True,
    )


SETS = (
    Idx(
        "fashion-mnist",
        "Fashion-MNIST",
        ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        (60_000, 10_000),
        words=("fashion",),
        folders=("FashionMNIST/raw", "FashionMNIST", "fashion-mnist", "fashion_mnist", "raw"),
    ),
    Idx(
        "kmnist",
        "KMNIST",
        ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        (60_000, 10_000),
        words=("kmnist", "kuzushiji"),
        folders=("KMNIST/raw", "KMNIST", "kmnist", "raw"),
    ),
    Idx("mnist", "MNIST", DIGITS, (60_000, 10_000), words=("mnist",), folders=("MNIST/raw", "MNIST", "mnist", "raw")),
    _emnist("balanced", MERGED, 112_800, 18_800),
    _emnist("byclass", (*string.digits, *string.ascii_letters[26:], *string.ascii_letters[:26]), 697_932, 116_323),
    _emnist("bymerge", MERGED, 697_932, 116_323),
    _emnist("digits", DIGITS, 240_000, 40_000),
    _emnist("letters", tuple(string.ascii_uppercase), 124_800, 20_800, first=1),
    _emnist("mnist", DIGITS, 60_000, 10_000),
)


def read(idx: Idx, folder: Path, columns: Columns) -> Parts:
    """The parts train and test.

    Raises:
        UserError: a file that is missing, not complete or of another kind.
    """
    pairs = dict(zip(("train", "test"), idx.files, strict=True))
    for name in (name for pair in pairs.values() for name in pair):
        if _file(folder, name) is None:
            raise UserError(f"{folder} lacks {name} (or {name}.gz) of {idx.title}: download it into this folder")
    return {part: partial(_part, idx, folder, *pair) for part, pair in pairs.items()}


def _part(idx: Idx, folder: Path, image_name: str, label_name: str) -> StoredImages:
    images, label_file = (_existing(folder, name) for name in (image_name, label_name))
    labels = read_idx(label_file, 1).astype(np.int64) - idx.first
    count = read_idx(images, 3).shape[0]
    if len(labels) != count or not count:
        raise UserError(f"{label_file} holds {len(labels):,} labels for {count:,} images: {_AGAIN}")
    if labels.min() < 0 or labels.max() >= len(idx.classes):
        low, high = labels.min() + idx.first, labels.max() + idx.first
        last = len(idx.classes) - 1 + idx.first
        raise UserError(
            f"{label_file} holds labels from {low} to {high}, those of {idx.title} are {idx.first} to {last}: {_AGAIN}"
        )
    raw = RawFile(images, count, partial(_pixels, images, idx.turned))
    return of_raw_files(folder, [raw], labels, idx.classes)


def read_idx(file: Path, axes: int) -> np.ndarray:
    """The bytes of an idx file, read-only; a memory map if the file is not compressed.

    Raises:
        UserError: another number of axes, other numbers than bytes, or not as many as the file says.
    """
    if is_gzip(file):
        try:
            content = np.frombuffer(gzip.decompress(file.read_bytes()), np.uint8)
        except (OSError, EOFError, zlib.error) as error:
            raise UserError(f"{file} is damaged or not complete ({error}): {_AGAIN}") from None
    else:
        content = np.memmap(file, np.uint8, "r") if file.stat().st_size else np.empty(0, np.uint8)
    head = 4 + 4 * axes
    if len(content) < head or content[:4].tolist() != [0, 0, BYTES, axes]:
        raise UserError(f"{file} is no idx file of {'images' if axes == 3 else 'labels'}: {_AGAIN}")
    shape = tuple(int(length) for length in content[4:head].view(">u4"))
    need = head + int(np.prod(shape, dtype=object))
    if len(content) != need:
        raise UserError(f"{file} is not complete: {len(content):,} of {need:,} bytes; {_AGAIN}")
    return content[head:].reshape(shape)


def _pixels(file: Path, turned: bool) -> np.ndarray:
    images = read_idx(file, 3)[:, None]
    return images.transpose(0, 1, 3, 2) if turned else images


def _file(folder: Path, name: str) -> Path | None:
    """The file, compressed or not; some mirrors write a dot before `idx`. None if it is missing."""
    names = [written + ending for ending in ("", ".gz") for written in (name, name.replace("-idx", ".idx"))]
    return next((folder / written for written in names if (folder / written).is_file()), None)


def _existing(folder: Path, name: str) -> Path:
    file = _file(folder, name)
    assert file is not None  # `read` has seen it
    return file


def _holds(idx: Idx) -> Callable[[Path], bool]:
    names = [name for pair in idx.files for name in pair]
    return lambda folder: any(_file(folder, name) for name in names) and (not idx.words or _set_of(folder) == idx.name)


def _set_of(folder: Path) -> str:
    """The set that the name of a folder tells, or of one of the two folders above it; "mnist" if none does."""
    for part in reversed(folder.resolve().parts[-3:]):
        for idx in SETS:
            if any(word in part.lower() for word in idx.words):
                return idx.name
    return "mnist"


_AGAIN = "download it again"
LAYOUTS = tuple(
    Layout(
        idx.name,
        idx.title,
        _holds(idx),
        partial(read, idx),
        idx.folders,
        ("gzip.zip", "emnist-gzip.zip", "EMNIST/raw/gzip.zip", "EMNIST/gzip.zip") if idx.turned else (),
        tuple(f"{name}.gz" for pair in idx.files for name in pair),
        dict(zip(("train", "test"), idx.sizes, strict=True)),
    )
    for idx in SETS
)
