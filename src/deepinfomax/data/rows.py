"""Rows of one packed array in a file as stored arrays."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from deepinfomax.data.arrays import check_numbers
from deepinfomax.data.formats.named_arrays import Labelled
from deepinfomax.data.stored import StoredArrays, printable
from deepinfomax.errors import UserError, count_of

BLOCK = 2**24  #: bytes that are read at a time


def of_rows(
    path: Path,
    shape: tuple[int, ...],
    kind: np.dtype,
    rows: Callable[[int, int], np.ndarray],
    identity: str,
    of: Labelled,
) -> StoredArrays:
    """The rows of an array of that shape and type, each called "FILE row 17"; `rows` reads those from start to stop.

    Raises:
        UserError: an array that holds no items; another number of labels.
    """
    check_numbers(np.broadcast_to(np.zeros((), kind), shape), str(path))
    count = shape[0]
    if of.count is not None and of.count != count:
        raise UserError(f"{path} holds {count_of(count, 'item')} but {count_of(of.count, 'label')}")
    size = int(np.prod(shape[1:])) * kind.itemsize
    step = max(1, BLOCK // max(1, size))

    def blobs(index: np.ndarray) -> Iterator[np.ndarray]:
        for start in range(0, count, step):
            wanted = index[(index >= start) & (index < start + step)] - start
            if len(wanted):
                block = rows(start, min(start + step, count))
                yield from (block[row] for row in wanted)

    return StoredArrays(
        path.name,
        np.arange(count),
        blobs,
        lambda i: f"{printable(path.name)} row {i}",
        identity,
        of.labels,
        of.classes,
        of.notes,
        as_given=True,
    )
