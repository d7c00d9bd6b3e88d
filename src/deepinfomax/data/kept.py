"""Arrays that lie in many files, or packed in one: read once and kept in the cache, number by number as they are."""

import hashlib
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from deepinfomax.data.cache import allocated, kept_rows, need, stopped, through_cache, write_facts
from deepinfomax.data.decoding import each_of
from deepinfomax.data.images import ImageSet
from deepinfomax.data.stored import StoredArrays
from deepinfomax.errors import UserError

VERSION = 3  #: raise it when reading changes, and nothing old is read again


def kept(source: StoredArrays, skip_bad: bool = False, cache_dir: str | Path | None = None) -> ImageSet:
    """The items of a source as one array of their own type, memory-mapped; read from their files only once.

    Raises:
        UserError: items that cannot be read (unless `skip_bad`), items of several shapes or types, no space.
    """
    digest = hashlib.sha256(source.index.tobytes())
    digest.update(b"no labels" if source.labels is None else source.labels.tobytes())
    facts = ["arrays", VERSION, source.identified(), source.classes, source.notes, skip_bad]
    digest.update(json.dumps(facts).encode())
    images = through_cache(digest.hexdigest()[:24], source, lambda folder: _write(folder, source, skip_bad), cache_dir)
    return replace(images, as_given=source.as_given)


def _write(folder: Path, source: StoredArrays, skip_bad: bool) -> None:
    if not len(source):
        raise UserError(f"{source.name} holds nothing that can be read")
    bad: dict[int, str] = {}
    shapes: Counter[tuple[int, ...]] = Counter()
    odd = ""  #: the first item of another shape than the first
    types: Counter[str] = Counter()
    images: np.memmap | None = None
    count = 0
    for place, item in enumerate(each_of(source, lambda blob: blob() if callable(blob) else blob, "reading")):
        if isinstance(item, str):
            bad[place] = item
            continue
        array = np.asarray(item)
        shapes[array.shape] += 1
        if images is None:
            need(folder, len(source) * array.nbytes)
            images = allocated(folder / "images.npy", (len(source), *array.shape), array.dtype)
        if array.shape != images.shape[1:]:
            odd = odd or source.title(int(source.index[place]))
            continue
        if not np.can_cast(array.dtype, images.dtype, "safe"):
            bad[place] = f"numbers are {array.dtype}, and {images.dtype} before"
            continue
        images[count] = array
        types[array.dtype.name] += 1
        count += 1
    if len(shapes) > 1:
        raise UserError(_several(source, shapes, odd))
    if bad and not (skip_bad and count):
        raise UserError(stopped(source, bad))
    assert images is not None
    images.flush()
    if count < len(images):
        images = kept_rows(folder / "images.npy", np.arange(len(images)) < count)
    others = {name: many for name, many in types.items() if name != images.dtype.name}
    notes = [
        f"{many:,} of {count:,} hold {name}, kept as {images.dtype.name}: their numbers may be of another scale"
        for name, many in others.items()
    ]
    write_facts(folder, source, images, bad, notes, {"sizes": {"x".join(map(str, images.shape[1:])): count}})


def _several(source: StoredArrays, shapes: Counter[tuple[int, ...]], odd: str) -> str:
    """The line for items that do not fit together."""
    seen = ", ".join(f"{count:,} of {'x'.join(map(str, shape))}" for shape, count in shapes.most_common(3))
    more = f" and {len(shapes) - 3} other shapes" if len(shapes) > 3 else ""
    return (
        f"{source.name} has items of {len(shapes)} shapes ({seen}{more}; the first that differs: {odd}): cut, pad or "
        "resample them to one shape"
    )
