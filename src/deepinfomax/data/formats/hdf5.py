"""HDF5 files: images, series or volumes, with or without labels, in one data set or in one for each part."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from deepinfomax.data.formats.named_arrays import Labelled, parts_of
from deepinfomax.data.formats.needed import needed
from deepinfomax.data.formats.record import Columns, Format, damaged, unreadable
from deepinfomax.data.in_memory import image_set
from deepinfomax.data.rows import of_rows
from deepinfomax.data.stored import Parts, Source, stamp
from deepinfomax.errors import UserError


def read(file: Path, columns: Columns) -> Parts:
    """The parts, from the data sets that `named_arrays.chosen` finds.

    If none has a usual name, the only data set of two or more axes is taken. Numbers that lie in the file in one piece
    are used through a memory map. Those in chunks are read once, into the cache.
    """
    with _opened(file) as content:
        shapes = _shapes(content)
    if not shapes:
        raise UserError(f"{file} holds no arrays")
    large = [name for name, shape in shapes.items() if len(shape) > 1]
    only = large[0] if len(large) == 1 else None
    return parts_of(list(shapes), columns, str(file), partial(_values, file), partial(_source, file), only)


def _values(file: Path, name: str) -> np.ndarray:
    with _opened(file) as content:
        return np.asarray(_array(content, name, file)[()])


def _source(file: Path, name: str, of: Labelled) -> Source:
    with _opened(file) as content:
        array = _array(content, name, file)
        shape, kind, packed, place = array.shape, array.dtype, array.chunks is not None, array.id.get_offset()
    if not packed and place is not None and kind.names is None and kind.kind in "uifb":
        try:
            mapped = np.memmap(file, kind, "r", place, shape)
        except (OSError, ValueError) as error:
            raise damaged(file, error) from None
        return image_set(mapped, of.labels, of.classes, str(file), of.count, of.notes)

    def rows(start: int, stop: int) -> np.ndarray:
        with _opened(file) as content:
            return content[name][start:stop]

    identity = hashlib.sha256(stamp(file.resolve()) + name.encode()).hexdigest()
    return of_rows(file, shape, kind, rows, identity, of)


def _array(content: Any, name: str, file: Path) -> Any:
    array = content.get(name)
    if array is None:
        raise UserError(f"{file}: {name} is a link to something that is not here: copy its file here too")
    return array


def _shapes(content: Any) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every data set in the file and its groups, also of those that a link leads to.

    Links to groups are not followed. A link that leads nowhere has the shape (): the error comes when it is read.
    """
    shapes: dict[str, tuple[int, ...]] = {}

    def visit(name: str, _: Any) -> None:
        thing = content.get(name)
        if thing is None:
            shapes[name] = ()
        elif getattr(thing, "shape", None) is not None:
            shapes[name] = thing.shape

    content.visititems_links(visit)
    return shapes


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    h5py = needed("h5py", file)
    try:
        with h5py.File(file, "r") as content:
            yield content
    except (OSError, RuntimeError, KeyError) as error:  # cut off, or no HDF5 at all
        raise unreadable(file, "HDF5, or is cut off", error) from None


FORMAT = Format(
    "hdf5", "data sets `images` and `labels`, or one for each part", read, (".h5", ".hdf5", ".hdf"), columns=True
)
