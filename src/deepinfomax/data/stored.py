"""Images that are still in their files: where each one is, its name, and how to join two such sets."""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from deepinfomax.data.images import ROUNDED, ImageSet, rounded
from deepinfomax.errors import UserError
from deepinfomax.files import printable

__all__ = ["Parts", "Read", "Source", "StoredArrays", "StoredImages", "join", "printable", "stamp"]


@dataclass(frozen=True)
class StoredImages:
    """Images of one split that are not decoded yet.

    `blobs` takes positions in the source, ascending, and yields each image as an `opening.Blob`.
    """

    name: str  #: what the user called it
    index: np.ndarray  #: (N,) positions in the source of the images that belong here, ascending
    blobs: Callable[[np.ndarray], Iterator[Any]]
    title: Callable[[int], str]  #: position in the source -> the image's name, for messages
    identity: str | Callable[[], str]  #: changes whenever the files behind it change, see `identified`
    labels: np.ndarray | None = None  #: as in `ImageSet`
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    #: the same images as arrays of numbers; None if pictures of bytes hold all that they are, unless asked always
    as_numbers: "Callable[[StoredImages, bool], StoredArrays | None] | None" = None
    #: what changes with the file of the image at a position of the source; None if that is not known one by one
    stamp_at: Callable[[int], bytes] | None = None

    def __len__(self) -> int:
        return len(self.index)

    def take(self, index: np.ndarray) -> "StoredImages":
        """The same at some places; `index` counts from 0 to N-1 and ascends."""
        labels = None if self.labels is None else self.labels[index]
        return replace(self, index=self.index[index], labels=labels)

    def identified(self) -> str:
        """What changes whenever the files behind it change. Where every file must be asked for it, that is now."""
        return self.identity if isinstance(self.identity, str) else self.identity()

    def titles(self) -> list[str]:
        return [self.title(int(i)) for i in self.index]

    def wholes(self) -> list[str]:
        """What each item is a piece of, for those that must stay on one side when some are held out: itself."""
        return self.titles()


@dataclass(frozen=True)
class StoredArrays(StoredImages):
    """Items of one split that are arrays of numbers, not read yet: scans, recordings, series, images of many bands.

    `blobs` yields each item as an array, or as a function that reads it. Numbers are kept as they are, in the cache.
    """

    as_given: bool = False  #: whether the axes have yet to be put in order, as in `ImageSet`
    whole: Callable[[int], str] | None = None  #: of what an item is a piece: the recording of a window

    def wholes(self) -> list[str]:
        return self.titles() if self.whole is None else [self.whole(int(i)) for i in self.index]


Source = StoredImages | ImageSet
Read = Callable[[], Source]  #: reads one part
Parts = dict[str, Read]  #: the parts of a source under its own names: train, val, ...


def join(first: Source, second: Source, name: str) -> Source:
    """Join two sets, the first before the second. If only one has labels, the images of the other get -1."""
    labels = None
    if first.labels is not None or second.labels is not None:
        width = next(s.labels.shape[1:] for s in (first, second) if s.labels is not None)
        parts = [np.full((len(s), *width), -1) if s.labels is None else s.labels for s in (first, second)]
        labels = np.concatenate(parts)
    classes, notes = first.classes or second.classes, tuple(dict.fromkeys(first.notes + second.notes))
    if isinstance(first, ImageSet) or isinstance(second, ImageSet):
        assert isinstance(first, ImageSet)
        assert isinstance(second, ImageSet)  # parts of one source are of one kind
        if first.shape != second.shape:
            raise UserError(f"{name} has parts of shapes {first.shape} and {second.shape}; give them the same")
        kinds = [s.images.dtype for s in (first, second)]
        if len({kind.kind == "f" for kind in kinds}) > 1 and any(kind in (np.uint8, bool) for kind in kinds):
            raise UserError(f"{name} has parts of {kinds[0]} and {kinds[1]}, of two scales; give them the same type")
        together = np.concatenate([first.images, second.images])
        if ROUNDED not in notes and any(rounded(s.images, together.dtype) for s in (first, second)):
            notes = (*notes, ROUNDED)
        return ImageSet(together, labels, classes, name, notes, as_given=first.as_given)
    left, right, count = first, second, len(first)

    def blobs(index: np.ndarray) -> Iterator[Any]:
        yield from left.blobs(left.index[index[index < count]])
        yield from right.blobs(right.index[index[index >= count] - count])

    def title(i: int) -> str:
        return left.title(int(left.index[i])) if i < count else right.title(int(right.index[i - count]))

    def whole(i: int) -> str:
        of, place = (left, i) if i < count else (right, i - count)
        given = of.whole if isinstance(of, StoredArrays) else None
        return (given or of.title)(int(of.index[place]))

    def stamp_at(i: int) -> bytes:
        of, place = (left, i) if i < count else (right, i - count)
        assert of.stamp_at is not None
        return of.stamp_at(int(of.index[place]))

    def identity() -> str:
        members = [(s.identified(), hashlib.sha256(s.index.tobytes()).hexdigest()) for s in (left, right)]
        return hashlib.sha256(repr(members).encode()).hexdigest()

    def as_numbers(joined: StoredImages, always: bool) -> StoredArrays | None:
        pair = [s.as_numbers(s, always) if s.as_numbers is not None else None for s in (left, right)]
        if pair[0] is None or pair[1] is None:
            return None
        numbers = join(pair[0], pair[1], name)
        assert isinstance(numbers, StoredArrays)
        return replace(numbers, index=joined.index, labels=joined.labels)

    both = StoredImages(
        name,
        np.arange(count + len(right)),
        blobs,
        title,
        identity,
        labels,
        classes,
        notes,
        as_numbers=as_numbers,
        stamp_at=None if left.stamp_at is None or right.stamp_at is None else stamp_at,
    )
    if not isinstance(left, StoredArrays):
        return both
    return StoredArrays(**vars(both), as_given=left.as_given, whole=whole)


def stamp(file: Path) -> bytes:
    """What changes with a file: where it is, its length, its times and its place on the disk.

    Length and time of writing alone would miss pixels put into a file of the same length whose time is set back, as
    unzip and rsync do. A file that is not there has a stamp too.
    """
    return stamp_of(os.fsencode(os.path.abspath(file)))


def stamp_of(path: bytes) -> bytes:
    """The stamp of a file by its absolute path, as the file system has it."""
    try:
        stat = os.stat(path)
    except (OSError, ValueError):  # a NUL in a path that a table holds is a ValueError
        return path + b"|not there"
    return path + repr((stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)).encode()
