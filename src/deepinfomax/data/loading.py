"""`load`: from whatever the user points at to decoded images."""

from dataclasses import replace
from functools import reduce
from pathlib import Path

from deepinfomax.data.cache import decoded
from deepinfomax.data.formats import Columns
from deepinfomax.data.images import ImageSet
from deepinfomax.data.in_memory import resized
from deepinfomax.data.names import find
from deepinfomax.data.opening import MAX_PIXELS
from deepinfomax.data.parts import choose_part, limited
from deepinfomax.data.stored import Parts, Source, StoredImages, join, printable
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
    max_pixels: int | None = None,
    cache_dir: str | Path | None = None,
) -> ImageSet:
    """Read images: (N, C, H, W) uint8 with labels where there are any.

    Arguments:
        data: a name (`deepinfomax.data.NAMES`), a Hugging Face id "owner/name", a folder of images (flat, one folder
            per class, or train and test inside), a published set in its own files, an archive of a folder, .parquet (a
            file or a folder of them), .npy, .npz, or a CSV of paths.
        split: "train", "test", "unlabeled", or the source's own name of a part ("valid" of CelebA, "extra" of SVHN);
            "train+unlabeled" is both, as for STL-10 in the paper.
        root: folder of local copies of the named data sets; None: the environment variable DEEPINFOMAX_DATA.
        size: pixels; the shorter side is resized to it with antialiasing and the centre cropped. None: as they are.
        channels: 1 or 3; None: 1 where all images are grey, else 3.
        skip_bad: leave out images that cannot be read, with a note, instead of stopping.
        limit: at most so many images, drawn from the whole by a fixed seed.
        holdout: fraction kept as the test part where the source has none; see `parts.held_out` for the rule.
        image, label: columns of a table (or arrays of a .npz) with the images and the labels; None: the usual names.
        max_pixels: pixels of the largest image that is decoded; None: `opening.MAX_PIXELS`.
        cache_dir: where decoded images are kept; None: DEEPINFOMAX_CACHE, else ~/.cache/deepinfomax.

    Raises:
        UserError: one line that says what is wrong with the data and how to mend it.
    """
    source = choose(find(data, root, Columns(image, label)), split, printable(data), limit, holdout)
    return decode(source, size, channels, skip_bad, max_pixels, cache_dir)


def has_test_part(
    data: str | Path,
    *,
    root: str | Path | None = None,
    holdout: float | None = None,
    image: str | None = None,
    label: str | None = None,
) -> bool:
    """Whether there are test images, published or held out; nothing is decoded."""
    try:
        choose(find(data, root, Columns(image, label)), "test", printable(data), None, holdout)
    except UserError:
        return False
    return True


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
) -> list[str] | None:
    """The name of each image in its source, in order, of the `images` that `load` gave for the same arguments.

    Paths relative to a folder or as a CSV has them, "FILE row 17" in a table; None for arrays, which have no names.
    """
    source = choose(find(data, root, Columns(image, label)), split, printable(data), limit, holdout)
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


def decode(
    source: Source,
    size: int | None,
    channels: int | None,
    skip_bad: bool,
    max_pixels: int | None,
    cache_dir: str | Path | None,
) -> ImageSet:
    """The pixels of a source; those of stored images from the cache where they were decoded before."""
    if isinstance(source, StoredImages):
        return decoded(source, size, channels, skip_bad, max_pixels or MAX_PIXELS, cache_dir)
    return resized(source, size, channels)
