"""Parts of a data set: their names, which one is read, and which images are held out or kept by a limit."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce

import numpy as np

from deepinfomax.data.stored import Read, Source, StoredImages, join
from deepinfomax.errors import UserError, count_of

#: what the parts of a data set are called, the preferred name first
PARTS = {
    "train": ("train", "training"),
    "test": ("test", "testing", "val", "valid", "validation"),
    "unlabeled": ("unlabeled", "unlabelled"),
}
VALIDATION = ("val", "valid", "validation")  #: a test part only if there is none called test
PART_OF = {alias: part for part, aliases in PARTS.items() for alias in aliases}


def choose_part(parts: Mapping[str, Read], split: str, holdout: float | None, where: str) -> Source:
    """The part of a source that `split` names.

    Args:
        parts: the source's parts by its own names (`val`, `training`, ...); a source without parts is all `train`.
        split: "train", "test", "unlabeled" or the source's own name of a part (`valid` of CelebA, `extra` of SVHN).
            Parts whose names mean the same, such as train and training, are joined. For "test", val is read if there is
            no test part.
        holdout: used only if the source has no test part: the images that `held_out` chooses become one. A note says
            where it is not used.
        where: the data, for messages.

    Raises:
        UserError: there is no such part; the line says how to provide one.
    """
    if split not in PARTS and split not in parts:
        own = ", ".join(name for name in parts if name not in PARTS)
        raise UserError(
            f"split must be one of {', '.join(PARTS)}, not {split!r}"
            + (f"; {where} also has {own}" if own else "")
            + (f"; several are joined by +: {split.replace(' ', '').replace(',', '+')}" if "," in split else "")
        )
    if holdout is not None and not 0 < holdout < 1:
        raise UserError(f"data.holdout must be a fraction between 0 and 1, not {holdout}")
    if split not in PARTS:
        return parts[split]()
    names_of = {canonical: names_in(parts, canonical) for canonical in PARTS}
    hold_out = holdout is not None and not names_of["test"] and bool(names_of["train"])
    if names_of[split] and not (hold_out and split == "train"):
        source = _joined([parts[name]() for name in names_of[split]])
        if holdout is not None and split == "train":
            unused = (
                f"data.holdout {holdout:g} is not used: there is a test part already, {', '.join(names_of['test'])}"
            )
            source = replace(source, notes=(*source.notes, unused))
        return source
    if hold_out and split != "unlabeled":
        assert holdout is not None
        whole = _joined([parts[name]() for name in names_of["train"]])
        titles = whole.wholes() if isinstance(whole, StoredImages) else [str(i) for i in range(len(whole))]
        chosen = np.flatnonzero(held_out(titles, holdout) == (split == "test"))
        if not len(chosen):
            raise UserError(
                f"{where}: holdout={holdout} of {count_of(len(titles), 'image')} leaves the {split} part empty"
            )
        return whole.take(chosen)
    if split == "test":
        raise UserError(no_test_part(where))
    raise UserError(f"{where} has no {split} part; it has: {', '.join(parts) or 'nothing'}")


def no_test_part(where: str, holdout: float = 0.1) -> str:
    """The line that says how to provide a test part; `holdout`: the share of the images that it advises to keep."""
    return (
        f"{where} has no test part: set data.holdout {holdout:g} to keep that share of the images for testing, or give "
        "a folder that has train and test inside"
    )


def held_out(titles: Sequence[str], fraction: float) -> np.ndarray:
    """(N,) bool: which images are held out for testing.

    The SHA-256 of an image's path (relative to the source; without a path, its row number) is taken as a number in
    [0, 1). Images with a number below `fraction` are held out. So the choice needs no seed and is the same on every
    machine, and an image stays on its side if other images are added.
    """
    numbers = [int.from_bytes(hashlib.sha256(title.encode()).digest()[:8]) for title in titles]
    return np.array([number / 2**64 < fraction for number in numbers], dtype=bool)


def limited(count: int, limit: int | None) -> np.ndarray | None:
    """Which of `count` images `limit` keeps, ascending: a seeded draw; None when it keeps all.

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


def names_in(parts: Mapping[str, Read], part: str) -> list[str]:
    """The source's own names for one of `PARTS`; names of a validation part only where there is no other."""
    names = [alias for alias in PARTS[part] if alias in parts]
    return [name for name in names if name not in VALIDATION] or names


def _joined(sources: Sequence[Source]) -> Source:
    return reduce(lambda first, second: join(first, second, first.name), sources)
