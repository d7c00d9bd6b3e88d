"""Encoded: images still in their files, and the rules that choose among them: part, hold-out, limit, label numbers."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

import numpy as np

from deepinfomax.data.images import ImageSet
from deepinfomax.errors import UserError

#: what the parts of a data set are called, the preferred name first
PARTS = {
    "train": ("train", "training"),
    "test": ("test", "testing", "val", "valid", "validation"),
    "unlabeled": ("unlabeled", "unlabelled"),
}
VALIDATION = ("val", "valid", "validation")  #: a test part only where there is none called test
PART_OF = {alias: part for part, aliases in PARTS.items() for alias in aliases}


@dataclass(frozen=True)
class Encoded:
    """Images of one split that are not decoded yet.

    `blobs` takes positions in the source, ascending, and yields for each the encoded bytes or the file that holds them.
    """

    name: str  #: what the user called it
    index: np.ndarray  #: (N,) positions in the source of the images that belong here, ascending
    blobs: Callable[[np.ndarray], Iterator[bytes | Path]]
    title: Callable[[int], str]  #: what a message calls the image at a position of the source
    identity: str  #: changes whenever the files behind it change
    labels: np.ndarray | None = None  #: as in `ImageSet`
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.index)

    def take(self, index: np.ndarray) -> "Encoded":
        """The same at some places; `index` counts from 0 to N-1 and ascends."""
        labels = None if self.labels is None else self.labels[index]
        return replace(self, index=self.index[index], labels=labels)

    def titles(self) -> list[str]:
        return [self.title(int(i)) for i in self.index]


Source = Encoded | ImageSet


def part(parts: Mapping[str, Callable[[], Source]], split: str, holdout: float | None, where: str) -> Source:
    """The part of a source that `split` names.

    `parts` holds what the source has under its own names (`val`, `training`, ...); a source without parts is all
    `train`. Names that mean the same, train and training, are joined; val is read only where there is no test. With
    `holdout` the fraction of images that `held_out` chooses becomes the test part, but only where the source has none
    of its own.

    Raises:
        UserError: there is no such part; the line says how to provide one.
    """
    if split not in PARTS:
        raise UserError(f"split must be one of {', '.join(PARTS)}, not {split!r}")
    if holdout is not None and not 0 < holdout < 1:
        raise UserError(f"holdout must be a fraction between 0 and 1, not {holdout}")
    found = {canonical: [alias for alias in aliases if alias in parts] for canonical, aliases in PARTS.items()}
    found = {
        canonical: [alias for alias in aliases if alias not in VALIDATION] or aliases
        for canonical, aliases in found.items()
        if aliases
    }
    carve = holdout is not None and "test" not in found and "train" in found
    if split in found and not (carve and split == "train"):
        return _joined([parts[alias]() for alias in found[split]])
    if carve and split != "unlabeled":
        assert holdout is not None
        whole = _joined([parts[alias]() for alias in found["train"]])
        titles = whole.titles() if isinstance(whole, Encoded) else [str(i) for i in range(len(whole))]
        chosen = np.flatnonzero(held_out(titles, holdout) == (split == "test"))
        if not len(chosen):
            raise UserError(f"{where}: holdout={holdout} of {len(titles)} images leaves the {split} part empty")
        return whole.take(chosen)
    if split == "test":
        raise UserError(
            f"{where} has no test part: put train and test inside it, or set data.holdout 0.1 "
            "to keep a tenth of the images for testing"
        )
    raise UserError(f"{where} has no {split} part; it has: {', '.join(parts) or 'nothing'}")


def _joined(sources: Sequence[Source]) -> Source:
    return reduce(lambda first, second: join(first, second, first.name), sources)


def join(first: Source, second: Source, name: str) -> Source:
    """Both sets as one, the first before the second; -1 labels the images of one without labels beside one with."""
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
        return ImageSet(np.concatenate([first.images, second.images]), labels, classes, name, notes)
    left, right, count = first, second, len(first)

    def blobs(index: np.ndarray) -> Iterator[bytes | Path]:
        yield from left.blobs(left.index[index[index < count]])
        yield from right.blobs(right.index[index[index >= count] - count])

    def title(i: int) -> str:
        return left.title(int(left.index[i])) if i < count else right.title(int(right.index[i - count]))

    members = [(s.identity, hashlib.sha256(s.index.tobytes()).hexdigest()) for s in (left, right)]
    identity = hashlib.sha256(repr(members).encode()).hexdigest()
    return Encoded(name, np.arange(count + len(right)), blobs, title, identity, labels, classes, notes)


def stamp(file: Path) -> bytes:
    """What changes with a file: where it is, its length, its times and its place on the disk.

    Length and time of writing alone would miss pixels put into a file of the same length whose time is set back, as
    unzip and rsync do. A file that is not there has a stamp too.
    """
    try:
        stat = file.stat()
    except OSError:
        return os.fsencode(file) + b"|not there"
    numbers = stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino
    return os.fsencode(file) + repr(numbers).encode()


def shown(name: str | Path) -> str:
    """A path as text that can be printed and stored, its bytes that are no UTF-8 as \\x.."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def held_out(titles: Sequence[str], fraction: float) -> np.ndarray:
    """(N,) bool: which images are kept for testing.

    An image is held out when the SHA-256 of its path (relative to the source; its row number where it has no path),
    read as a number in [0, 1), is below `fraction`. So the choice needs no seed, is the same on every machine, and an
    image never changes sides when others are added.
    """
    numbers = [int.from_bytes(hashlib.sha256(title.encode()).digest()[:8]) for title in titles]
    return np.array([number / 2**64 < fraction for number in numbers], dtype=bool)


def sample(count: int, limit: int | None) -> np.ndarray | None:
    """Which images `limit` keeps, ascending: a seeded draw from the whole, or None when it keeps all.

    Not the first ones: folders and many published files are sorted by class, and the first thousand would be one class.
    A smaller limit draws a subset of a larger one.
    """
    if limit is None or limit >= count:
        return None
    if limit < 1:
        raise UserError(f"limit must be at least 1, not {limit}")
    # note: a user's own default_rng(0) draws the same order, so data laid out by it would not be drawn at random here;
    # published figures rest on this draw
    return np.sort(np.random.default_rng(0).permutation(count)[:limit])


def number_labels(
    raw: Sequence[np.ndarray | None], names: Sequence[str] = (), where: str = ""
) -> tuple[list[np.ndarray | None], tuple[str, ...]]:
    """Labels of all parts as numbers 0 .. K-1 that mean the same in every part, and the K names.

    Strings are numbered in sorted order. Integers keep their values where they are 0 .. K-1 or have `names`, and are
    numbered in ascending order otherwise. -1, empty strings and masked ones mean "no label"; a part without any label
    gives None. Several columns of 0 and 1 are attributes, (N, K), and stay as they are.
    """
    raw = [None if values is None else _filled(values) for values in raw]
    if any(values is not None and not values.ndim for values in raw):
        raise UserError(f"{where}: labels must be one number or word per image, not a single one")
    known = [np.asarray(values).reshape(len(values), -1) for values in raw if values is not None and len(values)]
    if not known:
        return [None] * len(raw), ()
    if (width := known[0].shape[1]) != 1:
        if any(values.shape[1] != width or not np.isin(values, (0, 1)).all() for values in known):
            raise UserError(f"{where}: labels must be one number or word per image, or several of 0 and 1 (attributes)")
        attributes = tuple(names) or tuple(str(k) for k in range(width))
        return [None if v is None else np.asarray(v).astype(np.int64) for v in raw], attributes
    if any(values.dtype.kind not in "iubUTOS" and not np.array_equal(values, np.rint(values)) for values in known):
        raise UserError(f"{where}: labels must be whole numbers or words")
    if all(values.dtype.kind in "iubf" for values in known):
        flat = [None if v is None or not len(v) else np.asarray(v).reshape(-1).astype(np.int64) for v in raw]
        seen = np.unique(np.concatenate([v[v >= 0] for v in flat if v is not None]))
        if names and len(seen) and seen[-1] >= len(names):
            raise UserError(f"{where}: label {seen[-1]} has no name, there are only {len(names)} class names")
        if not names and not np.array_equal(seen, np.arange(len(seen))):
            flat = [None if v is None else np.where(v < 0, -1, np.searchsorted(seen, v)) for v in flat]
        names = tuple(names) or tuple(str(value) for value in seen)
    else:
        words = [None if v is None or not len(v) else ["" if w is None else str(w) for w in np.ravel(v)] for v in raw]
        names = tuple(sorted({word for part_words in words if part_words for word in part_words} - {""}))
        number = {name: i for i, name in enumerate(names)} | {"": -1}
        flat = [None if v is None else np.array([number[word] for word in v], np.int64) for v in words]
    return [v if v is not None and (v >= 0).any() else None for v in flat], tuple(names)


def _filled(labels: np.ndarray) -> np.ndarray:
    """Labels without a mask: where it was is no label."""
    if not np.ma.is_masked(labels):
        return np.asarray(labels)
    mask, known = np.ma.getmaskarray(labels), np.ma.getdata(labels)
    if known.dtype.kind in "iub":
        known = known.astype(np.int64)
    return np.where(mask, -1 if known.dtype.kind in "if" else "", known)
