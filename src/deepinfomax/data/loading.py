"""`load`: from whatever the user points at to decoded images."""

from dataclasses import replace
from functools import reduce
from pathlib import Path

from deepinfomax.data.arrays import fit
from deepinfomax.data.cache import decoded
from deepinfomax.data.encoded import Encoded, Source, join, part, sample, shown
from deepinfomax.data.images import ImageSet
from deepinfomax.data.names import Parts, find
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
    cache_dir: str | Path | None = None,
) -> ImageSet:
    """Read images: (N, C, H, W) uint8 with labels where there are any.

    Arguments:
        data: a name (`deepinfomax.data.NAMES`), a Hugging Face id "owner/name", a folder of images (flat, one folder
            per class, or train and test inside), .parquet (a file or a folder of them), .npy, .npz, or a CSV of paths.
        split: "train", "test" or "unlabeled"; "train+unlabeled" is both, as for STL-10 in the paper.
        root: folder of local copies of the named data sets; None: the environment variable DEEPINFOMAX_DATA.
        size: pixels; the shorter side is resized to it with antialiasing and the centre cropped. None: as they are.
        channels: 1 or 3; None: 1 where all images are grey, else 3.
        skip_bad: leave out images that cannot be read, with a note, instead of stopping.
        limit: at most so many images, drawn from the whole by a fixed seed.
        holdout: fraction kept as the test part where the source has none; see `encoded.held_out` for the rule.
        cache_dir: where decoded images are kept; None: DEEPINFOMAX_CACHE, else ~/.cache/deepinfomax.

    Raises:
        UserError: one line that says what is wrong with the data and how to mend it.
    """
    source = choose(find(data, root), split, shown(data), limit, holdout)
    return decode(source, size, channels, skip_bad, cache_dir)


def titles(
    data: str | Path,
    images: ImageSet,
    split: str = "train",
    *,
    root: str | Path | None = None,
    limit: int | None = None,
    holdout: float | None = None,
) -> list[str] | None:
    """What each of the `images` that `load` gave for the same words is called in its source, in their order.

    Paths relative to a folder or as a CSV has them, "FILE row 17" in a table; None for arrays, which have no names.
    """
    source = choose(find(data, root), split, shown(data), limit, holdout)
    if not isinstance(source, Encoded):
        return None
    left_out = set(images.left_out)
    found = [title for place, title in enumerate(source.titles()) if place not in left_out]
    if len(found) != len(images):
        raise UserError(f"{data} has changed while it was read: {len(found):,} names for {len(images):,} images")
    return found


def choose(parts: Parts, split: str, name: str, limit: int | None, holdout: float | None) -> Source:
    """The images that `split` and `limit` name, not decoded yet."""
    members = [part(parts, one, holdout, name) for one in split.split("+")]
    source = reduce(lambda first, second: join(first, second, name), members)
    kept = sample(len(source), limit)
    return replace(source if kept is None else source.take(kept), name=name)


def decode(
    source: Source, size: int | None, channels: int | None, skip_bad: bool, cache_dir: str | Path | None
) -> ImageSet:
    if isinstance(source, Encoded):
        return decoded(source, size, channels, skip_bad, cache_dir)
    return fit(source, size, channels)
