"""Read files of columns (CSV, parquet, .npz) as arrays by name.

pyarrow reads them, so that a table needs no pandas.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import compute, parquet

from deepinfomax.data.text_tables import read_csv
from deepinfomax.errors import UserError, first_line
from deepinfomax.information.tables import stacked

TABLES = (".csv", ".tsv", ".parquet", ".npz")


def read_file(path: Path) -> dict[str, np.ndarray]:
    """The columns of a table by name.

    `text_tables.read_csv` describes which forms of CSV are understood.

    Raises:
        UserError: a file that is missing, of another kind or not readable; two columns with the same name.
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
    if kind == ".npz":
        return _arrays(path)
    try:
        table = parquet.ParquetFile(path).read() if kind == ".parquet" else read_csv(path)
    except (ValueError, OSError, EOFError, KeyError, pa.ArrowException) as error:
        raise UserError(f"{path.name} cannot be read: {first_line(error)}") from None
    if not table.num_rows or not table.num_columns:
        raise UserError(f"{path.name} has no rows")
    twice = next((name for name in table.column_names if table.column_names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"{path.name} has two columns called {twice!r}: give each a name of its own")
    return {name: stacked(_array(table[name]), name) for name in table.column_names}


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz by name."""
    try:
        with path.open("rb") as file:
            content = np.load(file, allow_pickle=False)
            arrays = {} if isinstance(content, np.ndarray) else {name: content[name] for name in content.files}
    except Exception as error:  # a garbled file makes numpy, zipfile and zlib raise errors of ten kinds
        raise UserError(f"{path.name} cannot be read: {first_line(error)}") from None
    if not arrays:
        raise UserError(f"{path.name} has no columns: write it with numpy.savez('{path.stem}', x=x, y=y)")
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.ndim == 0:
            raise UserError(
                f"{name} of {path.name} is no column: leave it out, and give arrays of a value for each row"
            )
    return arrays


def _array(column: pa.ChunkedArray) -> np.ndarray:
    """A column as numbers, booleans or words (also for dates).

    Missing values are NaN among numbers, and None among booleans and words, where "" is one too. Among whole numbers
    they are masked: as floats these would be quantities, and labels with gaps are labels.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
    elif pa.types.is_decimal(kind):
        column = column.cast(pa.float64())
    elif pa.types.is_temporal(kind):
        column = column.cast(pa.string())
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = compute.utf8_trim_whitespace(column)
        column = compute.if_else(compute.equal(column, ""), pa.scalar(None, column.type), column)
    if pa.types.is_integer(column.type) and column.null_count:
        return np.ma.masked_array(column.fill_null(0).to_numpy(), column.is_null().to_numpy())
    return column.to_numpy()
