"""Image files of a list as stored images: how they are read, named and told from changed ones."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from deepinfomax.data.stored import StoredArrays, StoredImages, printable, stamp


def of_files(
    root: Path, files: Sequence[Path], labels: np.ndarray | None, classes: tuple[str, ...], notes: tuple[str, ...]
) -> StoredImages:
    """Files with their titles relative to `root`."""

    def blobs(index: np.ndarray) -> Iterator[Path]:
        return (files[i] for i in index)

    def title(i: int) -> str:
        try:
            return printable(files[i].relative_to(root).as_posix())
        except ValueError:  # a list may name files from anywhere
            return printable(files[i])

    digest = hashlib.sha256(os.fsencode(root.resolve()))
    for file in files:
        digest.update(b"\n" + stamp(file))
    return StoredImages(root.name, np.arange(len(files)), blobs, title, digest.hexdigest(), labels, classes, notes)


def read_each(plain: StoredImages, read: Sequence[Callable[[], np.ndarray]], *, as_given: bool = False) -> StoredArrays:
    """The same items as arrays of numbers, each read by a function of its own."""

    def blobs(index: np.ndarray) -> Iterator[Callable[[], np.ndarray]]:
        return (read[i] for i in index)

    return StoredArrays(**vars(plain) | {"blobs": blobs}, as_given=as_given)
