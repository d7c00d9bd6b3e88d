"""Files of columns: CSV as people and their spreadsheets write it, parquet and .npz -> arrays by name.

pyarrow reads them, so that a table needs no pandas.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import compute, csv, parquet

from deepinfomax.data.formats.csv_list import separator_of
from deepinfomax.data.labels import NO_LABEL_WORDS
from deepinfomax.errors import UserError
from deepinfomax.information.tables import stacked

TABLES = (".csv", ".tsv", ".parquet", ".npz")
MISSING = sorted((NO_LABEL_WORDS - {"-1"}) | {"#N/A", "-nan", "-NaN"})  #: cells without a value
BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff")  #: of UTF-16


def read_file(path: Path) -> dict[str, np.ndarray]:
    """The columns of a table by name.

    Cells of a CSV are separated by commas, semicolons, tabs or bars; beside semicolons, tabs and bars 1,5 is one and a
    half. A first line of numbers alone, as `numpy.savetxt` writes it, is a row, and the columns are called 1, 2, ...

    Raises:
        UserError: a file that is missing, of another kind or not readable; two columns of one name.
    """
    if not path.is_file():
        raise UserError(
            f"{path} {'is a folder' if path.is_dir() else 'does not exist'}; give {', '.join(TABLES)} or .npy"
        )
    kind = path.suffix.lower()
    if kind == ".npy":
        raise UserError(f"{path.name} is one array: give a second .npy file, or a table ({', '.join(TABLES)})")
    if kind not in TABLES:
        raise UserError(f"{path.name}: unknown kind of file; give two .npy files, or one of {', '.join(TABLES)}")
    try:
        if kind == ".npz":
            with np.load(path, allow_pickle=False) as content:
                return {name: content[name] for name in content.files}
        table = parquet.ParquetFile(path).read() if kind == ".parquet" else _read_csv(path)
    except (ValueError, OSError, EOFError, KeyError, pa.ArrowException) as error:
        raise UserError(f"{path.name} cannot be read: {str(error).splitlines()[0]}") from None
    if not table.num_rows or not table.num_columns:
        raise UserError(f"{path.name} has no rows")
    twice = next((name for name in table.column_names if table.column_names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"{path.name} has two columns called {twice!r}: give each a name of its own")
    return {name: stacked(_array(table[name]), name) for name in table.column_names}


def _read_csv(path: Path) -> pa.Table:
    """The table, without rows that are empty throughout and columns with neither a name nor a value."""
    with path.open("rb") as file:
        encoding = "utf-16" if file.read(2) in BYTE_ORDER_MARKS else "utf-8-sig"
    with path.open(encoding=encoding, newline="") as text:
        header = next((line for line in text if line.strip()), "")
    separator = separator_of(header)
    first = [cell.strip().strip('"') for cell in header.rstrip("\r\n").split(separator)]
    names = [str(i + 1) for i in range(len(first))] if _are_values(first, separator) else None
    table = _parsed(path, separator, encoding, names, ".")
    if separator != "," and any(pa.types.is_string(kind) for kind in table.schema.types):
        # What is a number only with a decimal comma was written with one.
        other = _parsed(path, separator, encoding, names, ",")
        pairs = zip(table.columns, other.columns, strict=True)
        columns = [b if pa.types.is_string(a.type) and pa.types.is_floating(b.type) else a for a, b in pairs]
        table = pa.table(columns, names=table.column_names)
    kept = [i for i, column in enumerate(table.columns) if table.column_names[i] or column.null_count < len(column)]
    table = table.select(kept).rename_columns([table.column_names[i] or f"column {i + 1}" for i in kept])
    empty = np.logical_and.reduce([column.is_null().to_numpy() for column in table.columns] or [np.array([], bool)])
    return table.filter(pa.array(~empty)) if empty.any() else table


def _parsed(path: Path, separator: str, encoding: str, names: list[str] | None, decimal_point: str) -> pa.Table:
    table = csv.read_csv(
        path,
        csv.ReadOptions(encoding="utf8" if encoding == "utf-8-sig" else encoding, column_names=names),
        csv.ParseOptions(delimiter=separator, newlines_in_values=True),
        csv.ConvertOptions(
            null_values=MISSING, strings_can_be_null=True, quoted_strings_can_be_null=False, decimal_point=decimal_point
        ),
    )
    return table.rename_columns([name.strip() for name in table.column_names])


def _are_values(first: Sequence[str], separator: str) -> bool:
    """Whether a first line holds numbers instead of names; 0, 1, 2, ... are names, as data frames write them."""
    try:
        numbers = [float(cell if separator == "," else cell.replace(",", ".")) for cell in first]
    except ValueError:
        return False
    return numbers not in (list(range(len(numbers))), list(range(1, len(numbers) + 1)))


def _array(column: pa.ChunkedArray) -> np.ndarray:
    """Numbers, booleans or words; dates are words. Missing values are NaN among numbers, and None among others."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
    elif pa.types.is_decimal(kind):
        column = column.cast(pa.float64())
    elif pa.types.is_temporal(kind):
        column = column.cast(pa.string())
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = compute.utf8_trim_whitespace(column)
    return column.to_numpy()
