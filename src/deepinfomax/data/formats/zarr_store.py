"""Zarr stores: images, series or volumes, with or without labels, in one array or in one for each part."""

import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from deepinfomax.data.formats.named_arrays import Labelled, parts_of
from deepinfomax.data.formats.needed import needed
from deepinfomax.data.formats.record import Columns, Format, unreadable
from deepinfomax.data.rows import of_rows
from deepinfomax.data.stored import Parts, Source, stamp
from deepinfomax.errors import UserError

MARKS = ("zarr.json", ".zarray", ".zgroup")  #: one of these lies in every store, of version 3 or 2
ALONE = "array"  #: the name given to the array of a store that is a single array


def read(folder: Path, columns: Columns) -> Parts:
    """The parts, from the arrays that `named_arrays.chosen` finds; they are read once, into the cache."""
    with _damage(folder):
        arrays = _arrays(folder)
    if not arrays:
        raise UserError(f"{folder} holds no arrays")
    large = [name for name, array in arrays.items() if array.ndim > 1]
    only = large[0] if len(large) == 1 else None

    def values(name: str) -> np.ndarray:
        with _damage(folder):
            return np.asarray(arrays[name][...])

    source = partial(_source, folder, arrays)
    return parts_of(list(arrays), columns, str(folder), values, source, only)


def _source(folder: Path, arrays: dict[str, Any], name: str, of: Labelled) -> Source:
    array = arrays[name]
    with _damage(folder):
        absent = array.nchunks - array.nchunks_initialized
    if absent > 0:  # a chunk that holds the fill value alone needs no file; nor has one that was not copied
        filled = f"{absent:,} of {array.nchunks:,} chunks of {name} have no file: their numbers are {array.fill_value}"
        of = replace(of, notes=(*of.notes, f"{filled}, as Zarr means it; or they were not copied"))

    def rows(start: int, stop: int) -> np.ndarray:
        with _damage(folder):
            return array[start:stop]

    digest = hashlib.sha256(name.encode())
    for file in sorted(folder.rglob("*")):
        digest.update(b"\n" + stamp(file))
    return of_rows(folder, array.shape, np.dtype(array.dtype), rows, digest.hexdigest(), of)


def _arrays(folder: Path) -> dict[str, Any]:
    """Name -> every array in the store and its groups."""
    zarr = needed("zarr", folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about types that other versions of Zarr may write differently
        store = zarr.open(folder, mode="r")
        if not hasattr(store, "members"):
            return {ALONE: store}
        return {name: thing for name, thing in sorted(store.members(max_depth=None)) if hasattr(thing, "ndim")}


@contextmanager
def _damage(folder: Path) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # every codec has its own errors for damaged chunks
        raise unreadable(folder, "Zarr", error) from None


FORMAT = Format(
    "zarr",
    "arrays `images` and `labels`, or one for each part",
    read,
    folder=lambda path: any((path / name).is_file() for name in MARKS),
    columns=True,
)
