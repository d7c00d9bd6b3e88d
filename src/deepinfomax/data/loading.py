"""`load`: from whatever the user points at to decoded images."""

from dataclasses import replace
from functools import reduce
from pathlib import Path

import numpy as np

from deepinfomax.data.arrays import Kind, Layout, Missing, Reading, Values, arranged, with_unused
from deepinfomax.data.cache import decoded
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
    """Read data: pictures (N, C, H, W) uint8, other numbers (N, C, *S) as they are; labels if there are any.

    Arguments:
        data: a name (`deepinfomax.data.NAMES`), a Hugging Face id "owner/name", a folder of images, scans or recordings
            (flat, one folder per class, or train and test inside), a published set in its own files, an archive of a
            folder, or a file of one of the formats in docs/data.md: tables, arrays, scans, recordings, series.
        split: "train", "test", "unlabeled", or the source's own name of a part ("valid" of CelebA, "extra" of SVHN);
            "train+unlabeled" is both, as for STL-10 in the paper.
        root: folder of local copies of the named data sets; None: the environment variable DEEPINFOMAX_DATA.
        size: pixels; the shorter side is resized to it with antialiasing and the centre cropped. None: as they are.
        channels: 1 or 3; None: 1 where all images are grey, else 3.
        skip_bad: leave out images that cannot be read, with a note, instead of stopping.
        limit: at most so many images, drawn from the whole by a fixed seed.
        holdout: fraction kept as the test part where the source has none; see `parts.held_out` for the rule.
        image, label: columns of a table (or arrays of a .npz) with the images and the labels; None: the usual names.
        window: seconds of the pieces that recordings are cut into; None: they stay whole.
        max_pixels: pixels of the largest image that is decoded; None: `opening.MAX_PIXELS`.
        values: of arrays: "bytes", pictures in 8 bits; "kept", numbers of any type as they are; "auto": bytes for
            uint8 of one, three or four channels, kept for all else.
        kind: of arrays: "images", "series" or "volumes"; "auto": by the rules of `arrays.axes_of`.
        layout: of arrays: "channels-first" or "channels-last"; "auto": by the same rules.
        missing: of arrays: what becomes of NaN: "refuse" it, or put the "mean" of its channel there; or one number a
            channel.
        cache_dir: where decoded images are kept; None: DEEPINFOMAX_CACHE, else ~/.cache/deepinfomax.

    Raises:
        UserError: one line that says what is wrong with the data and how to mend it.
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
    """Whether there are test images, published or held out; nothing is decoded."""
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
    """A fraction for `data.holdout` that leaves enough on both sides to measure; None: none does. Nothing is decoded.

    Enough: two training images and three test images, and where there are classes, two of them to train on and one
    labelled test image.
    """
    columns = Columns(image, label, window)
    try:
        parts = find(data, root, columns)  # once: a folder of a million files takes a minute
    except UserError:
        return None
    for fraction in FRACTIONS:
        try:
            train, test = (choose(parts, part, printable(data), None, fraction) for part in ("train", "test"))
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
    """The name of each image in its source, in order, of the `images` that `load` gave for the same arguments.

    Paths relative to a folder or as a CSV has them, "FILE row 17" in a table; None for arrays, which have no names.
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
    """The images that `split` and `limit` name, not decoded yet."""
    members = [choose_part(parts, one, holdout, name) for one in split.split("+")]
    source = reduce(lambda first, second: join(first, second, name), members)
    chosen = limited(len(source), limit)
    return replace(source if chosen is None else source.take(chosen), name=name)


def as_read(source: Source, reading: Reading) -> Source:
    """The same images, as arrays of numbers where pictures of bytes would not hold all that their files do."""
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
    """The images of a source; those that lie in files from the cache where they were read before."""
    source = as_read(source, reading)
    if isinstance(source, StoredArrays):
        return arranged(kept(source, skip_bad, cache_dir, size), reading, size, channels)
    if isinstance(source, StoredImages):
        pictures = decoded(source, size, channels, skip_bad, max_pixels or MAX_PIXELS, cache_dir)
        if reading.values == "kept":
            note = "data.values kept is not used: pictures become 8 bits, unless all of them are TIFF files"
            pictures = replace(pictures, notes=(*pictures.notes, note))
        return with_unused(pictures, reading)
    return arranged(source, reading, size, channels)
