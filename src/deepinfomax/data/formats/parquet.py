"""Images in parquet files, or series: one file, or a folder of them.

pyarrow reads them directly, batch by batch; Hugging Face's `datasets` would first copy every file into a cache of its
own, which the decoded cache here makes superfluous. `pyarrow.dataset` wants the same columns in every file of a
folder, and the files that people put together often differ.
"""

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from deepinfomax.data.formats.celeba import ATTRIBUTES, as_attributes, unused_lists
from deepinfomax.data.formats.folder import image_files
from deepinfomax.data.formats.parquet_series import NO_SERIES, same_channels, series_columns, stored_series
from deepinfomax.data.formats.record import (
    IMAGE_COLUMNS,
    USUAL,
    Columns,
    Format,
    commands_for_numbers,
    damaged,
    unreadable,
    unused_columns,
)
from deepinfomax.data.labels import number_labels
from deepinfomax.data.listing import files_below
from deepinfomax.data.parts import PART_OF
from deepinfomax.data.stored import Parts, Read, Source, StoredImages, printable, stamp
from deepinfomax.errors import UserError

CLASS_LISTS = ("names", "classes", "words", "fine")  #: keys of a classes.json that is no plain list
BATCH = 512  #: rows read at a time
SPLIT = "split"  #: a column with the part of each row; the names of several files say it for all of theirs


def read(path: Path, columns: Columns) -> Parts:
    """A parquet file, or a folder of them whose names or sub-folders say train, test, val, ...

    Where they say nothing, a column `split` does.
    Class names come from `classes.json` beside the files, or else from the Hugging Face metadata in them. In a folder,
    files without an image column are left out. Where every file has the forty attributes of CelebA as columns, and no
    other column is named as the label, these are the labels.

    Raises:
        UserError: a file that is no parquet, or no image column.
    """
    root = path if path.is_dir() else path.parent
    files = _parquet_files(path) if path.is_dir() else [path]
    schemas = {file: _schema(file) for file in files}
    series = {file: series_columns(schemas[file], columns) for file in files}
    if not any(series.values()) or any(_image_column(schemas[file], USUAL) for file in files if columns.image is None):
        series = {}  # lists of numbers beside images are embeddings, boxes or attributes
    # Training's files first: their order of the channels is that of all.
    series = same_channels(
        dict(sorted(series.items(), key=lambda of: part_name(of[0].relative_to(root)) != "train")), root
    )
    without = [file for file in files if not (series.get(file) if series else _image_column(schemas[file], columns))]
    tables = [file for file in files if file not in without] or files[:1]
    chosen = {
        file: columns.choose(schemas[file].names, str(file))
        if series
        else table_columns(schemas[file], columns, str(file))
        for file in tables
    }
    label = next((name for _, name in chosen.values() if name), "")
    attributes = ATTRIBUTES if not label and all({*ATTRIBUTES} <= {*schemas[file].names} for file in tables) else ()
    by_part: dict[str, list[Path]] = {}
    for file in tables:
        by_part.setdefault(part_name(file.relative_to(root)) if path.is_dir() else "train", []).append(file)
    if attributes:
        raw: list[np.ndarray | None] = [
            np.concatenate([_attributes(file, attributes) for file in part]) for part in by_part.values()
        ]
        label_notes: tuple[str, ...] = ()
    else:
        label_columns = {file: _column(file, label) if label in schemas[file].names else None for file in tables}
        own_names = {file: _classes_in(schemas[file], label) for file in tables}
        # The same number means different classes in files that name their classes differently.
        if not _classes_beside(root) and len(set(own_names.values()) - {()}) > 1:
            label_columns = {
                file: _in_words(column, own_names[file], file)
                if column is not None and own_names[file] and pa.types.is_integer(column.type)
                else column
                for file, column in label_columns.items()
            }
        raw, label_notes = _labels_of(list(by_part.values()), label_columns, label, root)
    names = attributes or _classes_beside(root)
    names = names or next((n for file in tables if (n := _classes_in(schemas[file], label))), ())
    labels, classes = number_labels(raw, names, str(path))
    all_names = list(dict.fromkeys(name for file in tables for name in schemas[file].names))
    used = {name for pair in chosen.values() for name in pair} | {SPLIT, *attributes}
    rows_of = rows_of_parts(tables) if len(by_part) == 1 else {}
    used |= {name for names in series.values() for name in names}
    what = "column of series" if series else "image column"
    notes = (
        *(f"{file.relative_to(root)} has no {what}: left out" for file in without),
        *label_notes,
        *unused_lists(root),
        *(() if rows_of else _unused_split(by_part, root)),
        *unused_columns(all_names, used),
    )
    parts: Parts = {}
    for (part, part_files), of_part in zip(by_part.items(), labels, strict=True):
        if series:
            rows = [(file, series[file]) for file in part_files]
            parts[part] = partial(stored_series, path.name, rows, of_part, classes, notes)
        else:
            images = [(file, chosen[file][0]) for file in part_files]
            parts[part] = partial(_stored, path.name, images, of_part, classes, notes)
    if not rows_of:
        return parts
    ((_, whole),) = parts.items()
    return {part: partial(_taken, whole, rows) for part, rows in rows_of.items()}


def rows_of_parts(tables: Sequence[Path]) -> dict[str, np.ndarray]:
    """Part -> its rows, of tables with a column that says it; none where all rows are of one part.

    Raises:
        UserError: a word that names no part, beside others that do.
    """
    schemas = map(_schema, tables)
    if not all(SPLIT in schema.names and _is_words(schema.field(SPLIT).type) for schema in schemas):
        return {}
    words = [word for file in tables for word in _column(file, SPLIT).to_pylist()]
    names = np.array([str(word or "train").strip().lower() for word in words], object)
    there = list(dict.fromkeys(names.tolist()))
    if len(there) < 2 or not any(name in PART_OF for name in there):
        return {}
    if unknown := [name for name in there if name not in PART_OF]:
        raise UserError(f"{tables[0]}: split is {unknown[0]!r} in some rows; it must be one of {', '.join(PART_OF)}")
    return {name: np.flatnonzero(names == name) for name in there}


def _unused_split(by_part: Mapping[str, Sequence[Path]], root: Path) -> tuple[str, ...]:
    """The note on a column `split` that does not decide which part a row is in, but says something else."""
    files = {file: part for part, of_part in by_part.items() for file in of_part}
    told = {file: part for file, part in files.items() if SPLIT in _schema(file).names}
    words = {file: {str(word or "train").strip().lower() for word in _column(file, SPLIT).to_pylist()} for file in told}
    if len(by_part) > 1:
        if all(PART_OF.get(word) == PART_OF[told[file]] for file, own in words.items() for word in own):
            return ()
        return (f"column {SPLIT} is not used: the names of the files say the parts",)
    if len({word for own in words.values() for word in own}) < 2:
        return ()
    lacking = next((file for file in files if file not in told), None)
    why = f"{lacking.relative_to(root)} has none" if lacking else f"no word in it is one of {', '.join(PART_OF)}"
    return (f"column {SPLIT} is not used, all rows are read as one part: {why}",)


def _in_words(column: pa.ChunkedArray, names: Sequence[str], file: Path) -> pa.ChunkedArray:
    """Numbers of classes as their names.

    Raises:
        UserError: a number without a name.
    """
    values = column.to_pylist()
    if odd := [value for value in values if value is not None and not -1 <= value < len(names)]:
        raise UserError(f"{file}: label {odd[0]} has no name, there are only {len(names)} class names")
    words = [None if value in (None, -1) else names[value] for value in values]
    return pa.chunked_array([pa.array(words, pa.string())])


def _taken(read: Read, rows: np.ndarray) -> Source:
    return read().take(rows)


def table_columns(schema: pa.Schema, columns: Columns, where: str) -> tuple[str, str]:
    """Names of the image column and of the label column ("" if there is none).

    Raises:
        UserError: no column of images.
    """
    types = {field.name: field.type for field in schema}
    image, label = columns.choose(list(types), where, IMAGE_COLUMNS)
    image = image or _image_column(schema, columns)
    if not image:
        have = f"{where} has the columns {', '.join(types)}"
        must = "one must be called image and hold encoded images, or be named by data.image"
        vectors = any(name.lower() in NO_SERIES for name in types)
        numbers = sum(pa.types.is_floating(kind) for kind in types.values()) > 1
        raise UserError(f"{have}; {must}{commands_for_numbers(where) if vectors or numbers else ''}")
    kind = types[image]
    binary = pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or _is_string(kind)
    if not binary and not (pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0):
        raise UserError(f"{where}: column {image} holds {kind}, not encoded images (bytes, or bytes and path)")
    return image, label


def numbers_or_words(column: pa.ChunkedArray) -> np.ndarray | None:
    """One label per row, NaN, None or "" if there is none; None if the column holds no classes: lists, hashes.

    Floats count as numbers where all are whole: pandas makes them of integers with some missing.
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_floating(column.type):
        values = column.cast(pa.float64()).fill_null(np.nan).to_numpy()
        known = values[~np.isnan(values)]
        return values if (np.abs(known) < 2**53).all() and (known == np.rint(known)).all() else None
    if pa.types.is_integer(column.type) or pa.types.is_boolean(column.type):
        try:
            return column.cast(pa.int64()).fill_null(-1).to_numpy()
        except pa.ArrowInvalid:  # unsigned ones beyond int64 are hashes, no classes
            return None
    if _is_string(column.type) or pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        return np.array(column.to_pylist(), dtype=object)
    return None


def cell_blobs(cells: Sequence[Any], folder: Path) -> Iterator[bytes | Path]:
    """Encoded bytes, or the file, of each cell: Hugging Face's {bytes, path}, plain bytes, or a path.

    A cell that holds neither gives no bytes, which no format reads.
    """
    for cell in cells:
        if isinstance(cell, Mapping):
            cell = cell["bytes"] if cell.get("bytes") is not None else cell.get("path")
        if isinstance(cell, str):
            yield folder / cell
        else:
            yield cell if isinstance(cell, bytes) else b""


def _is_folder_of_tables(folder: Path) -> bool:
    """Whether tables hold the images; embeddings that lie beside images are tables too."""
    tables = _parquet_files(folder)
    return any(_image_column(_schema(file), USUAL) for file in tables) or (bool(tables) and not image_files(folder))


def _parquet_files(folder: Path) -> list[Path]:
    """The parquet files in a folder and below, sorted by path, hidden ones left out."""
    return files_below(folder, ".parquet")


def _stored(
    name: str,
    files: Sequence[tuple[Path, str]],
    labels: np.ndarray | None,
    classes: tuple[str, ...],
    notes: tuple[str, ...],
) -> StoredImages:
    """`files`: each with the name of its image column."""
    lengths = [pq.read_metadata(file).num_rows for file, _ in files]
    starts = np.concatenate([[0], np.cumsum(lengths)])

    def blobs(index: np.ndarray) -> Iterator[bytes | Path]:
        for (file, image), start, length in zip(files, starts, lengths, strict=False):
            wanted = index[(index >= start) & (index < start + length)] - start
            if len(wanted):
                with _damage(file):
                    batches = pq.ParquetFile(file, memory_map=True).iter_batches(BATCH, columns=[image])
                    yield from _rows(batches, wanted, file.parent)

    def title(i: int) -> str:
        file = int(np.searchsorted(starts, i, side="right")) - 1
        return f"{printable(files[file][0].name)} row {i - starts[file]}"

    digest = hashlib.sha256()
    for file, image in files:
        digest.update(stamp(file.resolve()) + image.encode())
        with _damage(file):
            for path in _outside(file, image):
                digest.update(b"\n" + stamp(file.parent / path))
    return StoredImages(name, np.arange(starts[-1]), blobs, title, digest.hexdigest(), labels, classes, notes)


def _rows(batches: Iterator[pa.RecordBatch], rows: np.ndarray, folder: Path) -> Iterator[bytes | Path]:
    """The blobs at some rows, ascending, of a table that is read batch by batch."""
    first = 0
    for batch in batches:
        inside = rows[(rows >= first) & (rows < first + batch.num_rows)] - first
        if len(inside):
            yield from cell_blobs(batch.column(0).take(pa.array(inside)).to_pylist(), folder)
        first += batch.num_rows


def _outside(file: Path, image: str) -> list[str]:
    """The paths in an image column to files that hold the pixels instead of the table."""
    content = pq.ParquetFile(file, memory_map=True)
    kind = content.schema_arrow.field(image).type
    if _is_string(kind):
        return [path for path in content.read(columns=[image]).column(0).to_pylist() if path]
    if not pa.types.is_struct(kind) or kind.get_field_index("path") < 0:
        return []
    leaf = next(i for i in range(len(content.schema)) if content.schema.column(i).path == f"{image}.bytes")
    groups = [content.metadata.row_group(i).column(leaf).statistics for i in range(content.num_row_groups)]
    if all(group is not None and group.null_count == 0 for group in groups):
        return []  # every image is in the table itself, and its path only tells where it once was
    cells = content.read(columns=[f"{image}.path"]).column(0).to_pylist()
    return [cell["path"] for cell in cells if cell and isinstance(cell["path"], str)]


def _is_string(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _is_words(kind: pa.DataType) -> bool:
    """Whether a column holds text, also as pandas' categories."""
    return _is_string(kind.value_type if pa.types.is_dictionary(kind) else kind)


@contextlib.contextmanager
def _damage(file: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise damaged(file, error) from None


def _schema(file: Path) -> pa.Schema:
    try:
        return pq.read_schema(file)
    except (pa.ArrowException, OSError) as error:
        raise unreadable(file, "parquet", error) from None


def _image_column(schema: pa.Schema, columns: Columns) -> str:
    """The column that the user names, or the first called like images, or the first with bytes and path, or ""."""
    if columns.image is not None:
        return columns.image if columns.image in schema.names else ""
    structs = (f.name for f in schema if pa.types.is_struct(f.type) and f.type.get_field_index("bytes") >= 0)
    return next((name for name in IMAGE_COLUMNS if name in schema.names), "") or next(structs, "")


def attribute_columns(table: pa.Table, names: Sequence[str], where: str) -> np.ndarray:
    """(N, K) int64 of 0 and 1, from columns of 0 and 1, -1 and 1, or false and true.

    Raises:
        UserError: other values, or empty cells.
    """
    columns = []
    for name in names:
        column = table.column(name)
        if column.null_count or not (pa.types.is_boolean(column.type) or pa.types.is_integer(column.type)):
            raise UserError(f"{where}: column {name} must hold 0 and 1, or -1 and 1, in every row; it is an attribute")
        columns.append(as_attributes(column.cast(pa.int64()).to_numpy(), f"{where}, column {name}"))
    return np.stack(columns, 1)


def _attributes(file: Path, names: Sequence[str]) -> np.ndarray:
    with _damage(file):
        table = _read(file, names)
    return attribute_columns(table, names, str(file))


def _column(file: Path, name: str) -> pa.ChunkedArray:
    with _damage(file):
        return _read(file, [name]).column(0)


def _read(file: Path, names: Sequence[str]) -> pa.Table:
    """Some columns of one file. `pyarrow.parquet.read_table` imports pandas first, where it is installed."""
    with pq.ParquetFile(file) as opened:
        return opened.read(columns=list(names))


def _labels_of(
    parts: Sequence[Sequence[Path]], columns: Mapping[Path, pa.ChunkedArray | None], label: str, root: Path
) -> tuple[list[np.ndarray | None], tuple[str, ...]]:
    """The labels of each part, file after file, and notes on what could not be used.

    Raises:
        UserError: numbers in one file and words in another.
    """
    if not label:
        return [None] * len(parts), ()
    notes, known = [], {}
    for file, column in columns.items():
        name = file.relative_to(root)
        if column is None:
            notes.append(f"{name} has no column {label}: its images are read without labels")
        elif (values := numbers_or_words(column)) is not None:
            known[file] = values
        elif not pa.types.is_null(column.type):
            notes.append(f"column {label} of {name} holds {column.type}, no classes: read without labels")
    kinds = {values.dtype.kind == "O": file.relative_to(root) for file, values in known.items()}
    if len(kinds) > 1:
        raise UserError(
            f"{root}: column {label} holds numbers in {kinds[False]} but words in {kinds[True]}; make them the same"
        )
    if not known:
        return [None] * len(parts), tuple(notes)
    raw: list[np.ndarray | None] = []
    for files in parts:
        lengths = {file: pq.read_metadata(file).num_rows for file in files}
        absent = None if True in kinds else -1
        raw.append(np.concatenate([known[f] if f in known else np.full(lengths[f], absent) for f in files]))
    return raw, tuple(notes)


def _classes_beside(root: Path) -> tuple[str, ...]:
    """Names from classes.json: a list, or an object with a list under one of `CLASS_LISTS`."""
    file = root / "classes.json"
    if not file.is_file():
        return ()
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:  # not UTF-8, or not JSON
        raise UserError(f"{file} is no JSON: {error}") from None
    words = isinstance(content, dict) and isinstance(content.get("words"), list)
    if words:  # WordNet's lists of synonyms, as Tiny ImageNet has them: the first one will do
        content = {**content, "words": [str(synonyms).split(",")[0] for synonyms in content["words"]]}
    if isinstance(content, dict):
        content = next((content[key] for key in CLASS_LISTS if content.get(key)), [])
    if not isinstance(content, list):
        raise UserError(f"{file} must be a list of class names, or hold one as {', '.join(CLASS_LISTS)}")
    return tuple(str(name) for name in content)


def _classes_in(schema: pa.Schema, label: str) -> tuple[str, ...]:
    """Names of a ClassLabel in the Hugging Face metadata of a parquet schema; none where it has another form."""
    try:
        tree: Any = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    except ValueError:  # no JSON, or not UTF-8
        return ()
    for key in ("info", "features", label, "names"):
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tuple(map(str, tree)) if isinstance(tree, list) else ()


def part_name(file: Path) -> str:
    """`data/test-00000-of-00001.parquet` -> "test": the last word of the path that names a part, or "train"."""
    words = re.split(r"[^a-z]+", file.with_suffix("").as_posix().lower())
    return next((word for word in reversed(words) if word in PART_OF), "train")


_WHAT = "an `image` column, or columns with a list of numbers a row as series; `label` where there is one"
FILE = Format("parquet", _WHAT, read, (".parquet",), columns=True)
FOLDER = Format("parquet folder", _WHAT, read, folder=_is_folder_of_tables, columns=True)
