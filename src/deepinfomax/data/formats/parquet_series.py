"""Series in a parquet table: a list of numbers in each row, and each column of such lists is a channel."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from deepinfomax.data.formats.record import Columns, damaged
from deepinfomax.data.stored import StoredArrays, printable, stamp
from deepinfomax.errors import UserError

BATCH = 1024  #: rows read at a time
NO_SERIES = ("embedding", "embeddings")  #: columns that `deepinfomax embed` and others write; data.image names one


def series_columns(schema: pa.Schema, columns: Columns) -> tuple[str, ...]:
    """Names of the columns with a list of numbers in each row, in the order of the table.

    If the user names a column, only that one; () if it holds something else.
    """
    if columns.image is not None:
        named = columns.image in schema.names and _is_list(schema.field(columns.image).type)
        return (columns.image,) if named else ()
    return tuple(field.name for field in schema if _is_list(field.type) and field.name.lower() not in NO_SERIES)


def same_channels(series: Mapping[Path, tuple[str, ...]], root: Path) -> dict[Path, tuple[str, ...]]:
    """The channels of every file in the order of the first file that has any.

    Raises:
        UserError: other columns than those of the first.
    """
    first = next(((file, names) for file, names in series.items() if names), None)
    ordered = dict(series)
    for file, names in series.items():
        if first is None or not names:
            continue
        if set(names) != set(first[1]):
            have, wanted = ", ".join(names), ", ".join(first[1])
            raise UserError(
                f"{file.relative_to(root)} has the columns of series {have}, and {first[0].relative_to(root)} has "
                f"{wanted}: give all files the same, or name one by data.image"
            )
        ordered[file] = first[1]
    return ordered


def stored_series(
    name: str,
    files: Sequence[tuple[Path, tuple[str, ...]]],
    labels: np.ndarray | None,
    classes: tuple[str, ...],
    notes: tuple[str, ...],
) -> StoredArrays:
    """The rows of tables, file after file.

    Args:
        files: each with the names of the columns that are its channels. If it is only one, its rows may be lists of
            lists, of which `arrays.axes_of` finds the channels.
    """
    lengths = [pq.read_metadata(file).num_rows for file, _ in files]
    starts = np.concatenate([[0], np.cumsum(lengths)])

    def blobs(index: np.ndarray) -> Iterator[np.ndarray]:
        for (file, columns), start, length in zip(files, starts, lengths, strict=False):
            wanted = index[(index >= start) & (index < start + length)] - start
            if len(wanted):
                yield from _rows(file, columns, wanted)

    def title(i: int) -> str:
        file = int(np.searchsorted(starts, i, side="right")) - 1
        return f"{printable(files[file][0].name)} row {i - starts[file]}"

    digest = hashlib.sha256(b"series")
    for file, columns in files:
        digest.update(stamp(file.resolve()) + repr(columns).encode())
    channels = files[0][1]
    said = (f"columns {', '.join(channels)} are the channels",) if len(channels) > 1 else ()
    index = np.arange(starts[-1])
    alone = len(channels) == 1
    return StoredArrays(name, index, blobs, title, digest.hexdigest(), labels, classes, (*notes, *said), as_given=alone)


def _rows(file: Path, columns: Sequence[str], rows: np.ndarray) -> Iterator[np.ndarray]:
    """The series at some rows, ascending: (T,) or nested of one column, (C, T) of several."""
    try:
        first = 0
        for batch in pq.ParquetFile(file, memory_map=True).iter_batches(BATCH, columns=list(columns)):
            inside = rows[(rows >= first) & (rows < first + batch.num_rows)] - first
            for row in inside.tolist():
                yield _series([batch.column(name)[row] for name in columns], f"{file} row {first + row}")
            first += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        raise damaged(file, error) from None


def _series(cells: Sequence[pa.Scalar], where: str) -> np.ndarray:
    channels = []
    for cell in cells:
        if not cell.is_valid:
            raise UserError(f"{where} has no series: leave the row out")
        try:
            channels.append(_numbers(cell.values, where))
        except UserError:
            raise
        except ValueError:
            raise UserError(f"{where} has lists of several lengths: cut or pad them to one") from None
    if len({channel.shape for channel in channels}) > 1:
        seen = ", ".join(str(len(channel)) for channel in channels)
        raise UserError(f"{where} has channels of {seen} steps: cut or pad them to one length")
    return channels[0] if len(channels) == 1 else np.stack(channels)


def _numbers(values: pa.Array, where: str) -> np.ndarray:
    """A list of numbers, or of such lists; a number that is null is NaN.

    Raises:
        UserError: a list that is null.
        ValueError: lists of several lengths.
    """
    if _is_list(values.type):
        if values.null_count:
            raise UserError(f"{where} lacks one of its lists: leave the row out")
        return np.stack([_numbers(cell.values, where) for cell in values])
    return values.to_numpy(zero_copy_only=False)


def _is_list(kind: pa.DataType) -> bool:
    """Whether a column holds a list of numbers in each row, or lists of lists."""
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        return False
    inside = kind.value_type
    return pa.types.is_integer(inside) or pa.types.is_floating(inside) or _is_list(inside)
