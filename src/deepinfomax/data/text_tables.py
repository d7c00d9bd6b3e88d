"""Reading CSV in its many forms, by pyarrow: columns of numbers, words, dates, booleans."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

from deepinfomax.data.formats.csv_list import separator_of
from deepinfomax.data.labels import NO_LABEL_WORDS

MISSING = sorted((NO_LABEL_WORDS - {"-1"}) | {"#N/A", "-nan", "-NaN"})  #: cells without a value
BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff")  #: of UTF-16


def read_csv(path: Path, nameless: str = "column {}") -> pa.Table:
    """The table, without rows that are empty throughout and columns with neither a name nor a value.

    Cells are separated by commas, semicolons, tabs or bars. If they are not separated by commas, 1,5 means one and a
    half. If the first line has only numbers, as from `numpy.savetxt`, it is a row, and the columns are called 1, 2, ...

    Args:
        nameless: what a column without a name is called, with its number for {}.

    Raises:
        ValueError: of pyarrow or of decoding: no text, rows of several lengths.
    """
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
    table = table.select(kept).rename_columns([table.column_names[i] or nameless.format(i + 1) for i in kept])
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
