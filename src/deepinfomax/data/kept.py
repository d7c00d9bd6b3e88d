"""Arrays that lie in many files, or packed in one: read once and kept in the cache, number by number as they are."""

import hashlib
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from deepinfomax.data.arrays import resized_bands, said_of_resizing
from deepinfomax.data.cache import allocated, kept_rows, need, stopped, through_cache, write_facts
from deepinfomax.data.decoding import check_target, each_of, nearest_power, resizing
from deepinfomax.data.images import NUMBERS, ROUNDED, ImageSet, rounded
from deepinfomax.data.stored import StoredArrays
from deepinfomax.errors import SeveralSizes, UserError

VERSION = 4  #: raise it when reading changes, and nothing old is read again


def kept(
    source: StoredArrays, skip_bad: bool = False, cache_dir: str | Path | None = None, size: int | None = None
) -> ImageSet:
    """The items of a source as one memory-mapped array of their own type; their files are read only once.

    Images (C, H, W) of several sizes are resized to `size`, as float32. Images of one size are not resized.

    Raises:
        UserError: items that cannot be read (unless `skip_bad`), items of several shapes, no space.
    """
    check_target(size, None)
    digest = hashlib.sha256(source.index.tobytes())
    digest.update(b"no labels" if source.labels is None else source.labels.tobytes())
    facts = ["arrays", VERSION, source.identified(), source.classes, source.notes, skip_bad]
    digest.update(json.dumps(facts if size is None else [*facts, size]).encode())

    def write(folder: Path) -> None:
        try:
            _write(folder, source, skip_bad, None)
        except SeveralSizes:
            if size is None:
                raise
            _write(folder, source, skip_bad, size)

    images = through_cache(digest.hexdigest()[:24], source, write, cache_dir)
    return replace(images, as_given=source.as_given)


def _write(
    folder: Path, source: StoredArrays, skip_bad: bool, size: int | None, kept_as: np.dtype | None = None
) -> None:
    """Write the items and the facts of an entry.

    Args:
        kept_as: the type of the numbers; None: that of the first item. If later items do not fit into it, all are read
            once more, as a type that holds all of them.
    """
    if not len(source):
        raise UserError(f"{source.name} holds nothing that can be read")
    bad: dict[int, str] = {}
    shapes: Counter[tuple[int, ...]] = Counter()
    odd = ""  #: the first item of another shape than the first
    types: Counter[np.dtype] = Counter()
    images: np.memmap | None = None
    count, any_rounded = 0, False
    for place, item in enumerate(each_of(source, lambda blob: blob() if callable(blob) else blob, "reading")):
        if isinstance(item, str):
            bad[place] = item
            continue
        array = np.asarray(item)
        kind = array.dtype.newbyteorder("=")
        if kind.kind not in (*NUMBERS, "b"):
            bad[place] = f"{kind}, no real numbers"
            continue
        kept_as = kept_as or kind
        if size is not None:
            if kind.kind == "f" and not np.isfinite(array).all():
                bad[place] = "NaN or infinite values, which cannot be resized"
                continue
            array = resized_bands(array, size)
        shapes[array.shape] += 1
        if images is None:
            stored = array.dtype if size is not None else kept_as
            need(folder, len(source) * array.size * stored.itemsize)
            images = allocated(folder / "images.npy", (len(source), *array.shape), stored)
        if array.shape != images.shape[1:]:
            odd = odd or source.title(int(source.index[place]))
            continue
        types[kind] += 1
        if size is not None or np.can_cast(kind, kept_as, "safe"):
            images[count] = array
            any_rounded = any_rounded or rounded(array, images.dtype)
        count += 1
    if len(shapes) > 1:
        raise _several(source, shapes, odd)
    if bad and not (skip_bad and count):
        raise UserError(stopped(source, bad))
    assert images is not None
    assert kept_as is not None
    common = np.result_type(kept_as, *types)
    if common != kept_as and size is None:  # seldom: a first pass over the types of all files would cost more
        del images
        (folder / "images.npy").unlink()  # its space is needed for the second pass
        return _write(folder, source, skip_bad, size, common)
    images.flush()
    if count < len(images):
        images = kept_rows(folder / "images.npy", np.arange(len(images)) < count)
    notes = [
        f"{types[kind]:,} of {count:,} hold {kind}, kept as {images.dtype}: their numbers may be of another scale"
        for kind in types
        if len(types) > 1 and kind != images.dtype
    ]
    if any_rounded:
        notes.append(ROUNDED)
    if size is not None:
        notes.append(said_of_resizing(size))
    write_facts(folder, source, images, bad, notes, {"sizes": {"x".join(map(str, images.shape[1:])): count}})


def _several(source: StoredArrays, shapes: Counter[tuple[int, ...]], odd: str) -> UserError:
    """The line for items that do not fit together."""
    seen = ", ".join(f"{count:,} of {'x'.join(map(str, shape))}" for shape, count in shapes.most_common(3))
    more = f" and {len(shapes) - 3} other shapes" if len(shapes) > 3 else ""
    have = f"{source.name} has items of {len(shapes)} shapes ({seen}{more}; the first that differs: {odd})"
    if source.as_given or any(len(shape) != 3 for shape in shapes):
        return UserError(f"{have}: cut, pad or resample them to one shape")
    if len({shape[0] for shape in shapes}) == 1:
        side = nearest_power(min(min(shape[1:]) for shape in shapes))
        return SeveralSizes(f"{have}; {resizing(side)}", side)
    pictures = "; data.values bytes makes pictures of 8 bits of them" if source.as_numbers is not None else ""
    return UserError(f"{have}: save them with the same channels{pictures}")
