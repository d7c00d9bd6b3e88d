"""Image files of a list as stored images: how they are read, named and told from changed ones."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from deepinfomax.data.paths import in_table
from deepinfomax.data.stored import StoredArrays, StoredImages, printable, stamp, stamp_of


def of_files(
    root: Path, files: Sequence[Path], labels: np.ndarray | None, classes: tuple[str, ...], notes: tuple[str, ...]
) -> StoredImages:
    """Files with their titles relative to `root`."""

    files = in_table(files)

    def blobs(index: np.ndarray) -> Iterator[Path]:
        return (files[i] for i in index)

    def title(i: int) -> str:
        try:
            return printable(files[i].relative_to(root).as_posix())
        except ValueError:  # a list may name files from anywhere
            return printable(files[i])

    def identity() -> str:
        digest = hashlib.sha256(os.fsencode(root.resolve()))
        folders = [os.fsencode(os.path.abspath(folder)) for folder in files.folders]
        for number, name in files.encoded():
            digest.update(b"\n" + stamp_of(os.path.join(folders[number], name)))
        return digest.hexdigest()

    return StoredImages(
        root.name,
        np.arange(len(files)),
        blobs,
        title,
        identity,
        labels,
        classes,
        notes,
        stamp_at=lambda i: stamp(files[i]),
    )


def read_each(plain: StoredImages, read: Sequence[Callable[[], np.ndarray]], *, as_given: bool = False) -> StoredArrays:
    """The same items as arrays of numbers, each read by a function of its own."""

    def blobs(index: np.ndarray) -> Iterator[Callable[[], np.ndarray]]:
        return (read[i] for i in index)

    return StoredArrays(**vars(plain) | {"blobs": blobs}, as_given=as_given)
