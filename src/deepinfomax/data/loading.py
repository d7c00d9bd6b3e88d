"""`load`: read any supported data as decoded images."""

from dataclasses import replace
from functools import reduce
from pathlib import Path

import numpy as np

from deepinfomax.data.arrays import Kind, Layout, Missing, Reading, Values, arranged, with_unused
from deepinfomax.data.cache import decoded
from deepinfomax.data.decoding import says_of_loss
from deepinfomax.data.formats import Columns
from deepinfomax.data.images import ImageSet
from deepinfomax.data.kept import kept
from deepinfomax.data.names import find
from deepinfomax.data.opening import MAX_PIXELS
from deepinfomax.data.parts import choose_part, limited
from deepinfomax.data.stored import Parts, Source, StoredArrays, StoredImages, join, printable
from deepinfomax.errors import UserError


def load(
    data: str | Path,
    split: str = "train",
    *,
    root: str | Path | None = None,
    size: int | None = None,
    channels: int | None = None,
    skip_bad: bool = False,
    limit: int | None = None,
    holdout: float | None = None,
    image: str | None = None,
    label: str | None = None,
    window: float | None = None,
    max_pixels: int | None = None,
    values: Values = "auto",
    kind: Kind = "auto",
    layout: Layout = "auto",
    missing: Missing | tuple[float, ...] = "refuse",
    cache_dir: str | Path | None = None,
) -> ImageSet:
    """Read data: pictures as (N, C, H, W) uint8, other numbers as (N, C, *S) of their own type; and labels if any.

    Arguments:
        data: a name (`deepinfomax.data.NAMES`), a Hugging Face id "owner/name", a folder of images, scans or recordings
            (flat, one folder per class, or train and test inside), a published set in its own files, an archive of a
            folder, or a file of one of the formats in docs/data.md: tables, arrays, scans, recordings, series.
        split: "train", "test", "unlabeled", or the source's own name of a part ("valid" of CelebA, "extra" of SVHN);
            "train+unlabeled" is both, as for STL-10 in the paper.
        root: folder of local copies of the named data sets; None: the environment variable DEEPINFOMAX_DATA.
        size: side in pixels: the shorter side is resized to it with antialiasing, and the centre is cropped. None:
            images are not resized.
        channels: 1 or 3; None: 1 if all images are grey, else 3.
        skip_bad: leave out images that cannot be read, with a note, instead of raising an error.
        limit: at most this many images, drawn from all of them by a fixed seed.
        holdout: fraction kept as the test part if the source has none; see `parts.held_out` for the rule.
        image, label: columns of a table (or arrays of a .npz) with the images and the labels; None: the usual names.
        window: cut recordings into windows of this many seconds; None: they stay whole.
        max_pixels: pixels of the largest image that is decoded; None: `opening.MAX_PIXELS`.
        values: for arrays: "bytes", pictures of 8 bits; "kept", all numbers keep their values; "auto": bytes for uint8
            with one, three or four channels, kept for everything else.
        kind: for arrays: "images", "series" or "volumes"; "auto": by the rules of `arrays.axes_of`.
        layout: for arrays: "channels-first" or "channels-last"; "auto": by the same rules.
        missing: for arrays: what to do with NaN: "refuse" raises an error, "mean" fills in the mean of the channel; or
            one number for each channel, to fill in.
        cache_dir: where decoded images are kept; None: DEEPINFOMAX_CACHE, else ~/.cache/deepinfomax.

    Raises:
        UserError: one line that says what is wrong with the data and how to fix it.
    """
    source = choose(find(data, root, Columns(image, label, window)), split, printable(data), limit, holdout)
    return decode(source, size, channels, skip_bad, max_pixels, cache_dir, Reading(values, kind, layout, missing))


def has_test_part(
    data: str | Path,
    *,
    root: str | Path | None = None,
    holdout: float | None = None,
    image: str | None = None,
    label: str | None = None,
    window: float | None = None,
) -> bool:
    """Whether there are test images, either in the data or held out. Nothing is decoded."""
    try:
        choose(find(data, root, Columns(image, label, window)), "test", printable(data), None, holdout)
    except UserError:
        return False
    return True


FRACTIONS = (0.2, 0.3, 0.4, 0.5)  #: tried in this order by `suggested_holdout`


def suggested_holdout(
    data: str | Path,
    *,
    root: str | Path | None = None,
    image: str | None = None,
    label: str | None = None,
    window: float | None = None,
) -> float | None:
    """`holdout_of` data by name or path."""
    try:
        parts = find(data, root, Columns(image, label, window))  # once: a folder of a million files takes a minute
    except UserError:
        return None
    return holdout_of(parts, printable(data))


def holdout_of(parts: Parts, where: str) -> float | None:
    """A fraction for `data.holdout` that leaves enough images on both sides; None if there is none. Nothing is decoded.

    Enough means: two training images and three test images and, if there are classes, two classes in training and one
    labelled test image.

    Args:
        where: the data, for messages.
    """
    for fraction in FRACTIONS:
        try:
            train, test = (choose(parts, part, where, None, fraction) for part in ("train", "test"))
        except UserError:
            continue
        seen, asked = _classes(train), _classes(test)
        if len(train) >= 2 and len(test) >= 3 and (len(seen | asked) < 2 or (len(seen) > 1 and asked)):
            return fraction
    return None


def _classes(source: Source) -> set[int]:
    """The classes of its labels; none without labels."""
    labels = source.labels
    return set() if labels is None or labels.ndim > 1 else set(np.unique(labels[labels != -1]).tolist())


def titles(
    data: str | Path,
    images: ImageSet,
    split: str = "train",
    *,
    root: str | Path | None = None,
    limit: int | None = None,
    holdout: float | None = None,
    image: str | None = None,
    label: str | None = None,
    window: float | None = None,
) -> list[str] | None:
    """The name of each of the `images` that `load` returned for the same arguments.

    A name is a path relative to a folder, or as in a CSV, or "FILE row 17" in a table. None for arrays, which have no
    names.
    """
    source = choose(find(data, root, Columns(image, label, window)), split, printable(data), limit, holdout)
    if not isinstance(source, StoredImages):
        return None
    left_out = set(images.left_out)
    names = [title for place, title in enumerate(source.titles()) if place not in left_out]
    if len(names) != len(images):
        raise UserError(f"{data} has changed while it was read: {len(names):,} names for {len(images):,} images")
    return names


def choose(parts: Parts, split: str, name: str, limit: int | None, holdout: float | None) -> Source:
    """The images of `split`, at most `limit` of them; not decoded yet."""
    members = [choose_part(parts, one, holdout, name) for one in split.split("+")]
    source = reduce(lambda first, second: join(first, second, name), members)
    chosen = limited(len(source), limit)
    return replace(source if chosen is None else source.take(chosen), name=name)


def as_read(source: Source, reading: Reading) -> Source:
    """The same images; as arrays of numbers if pictures of bytes would lose something of their files."""
    if isinstance(source, StoredArrays | ImageSet) or source.as_numbers is None or reading.values == "bytes":
        return source
    return source.as_numbers(source, reading.values == "kept") or source


def decode(
    source: Source,
    size: int | None,
    channels: int | None,
    skip_bad: bool,
    max_pixels: int | None,
    cache_dir: str | Path | None,
    reading: Reading,
) -> ImageSet:
    """Decode the images of a source, or take them from the cache if they were decoded before."""
    source = as_read(source, reading)
    if isinstance(source, StoredArrays):
        return arranged(kept(source, skip_bad, cache_dir, size), reading, size, channels)
    if isinstance(source, StoredImages):
        pictures = decoded(source, size, channels, skip_bad, max_pixels or MAX_PIXELS, cache_dir)
        if reading.values == "kept":
            note = "data.values kept is not used: pictures become 8 bits, unless all of them are TIFF files"
            pictures = replace(pictures, notes=(*pictures.notes, note))
        if source.as_numbers is not None and reading.values == "auto" and any(map(says_of_loss, pictures.notes)):
            note = (
                "the first TIFF file is a picture of 8 bits, so all are read as such: to keep the numbers of the "
                "others, put them into a folder of their own"
            )
            pictures = replace(pictures, notes=(*pictures.notes, note))
        return with_unused(pictures, reading)
    return arranged(source, reading, size, channels)
