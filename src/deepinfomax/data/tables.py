"""Images in tables: parquet files, and data sets of the Hugging Face hub.

Parquet files are read by pyarrow directly, batch by batch; `datasets` explains their columns. Its own loader would
first copy every file into a cache of its own, which the decoded cache here makes superfluous.
"""

import contextlib
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from deepinfomax.data.encoded import PART_OF, Encoded, Source, number_labels, shown, stamp
from deepinfomax.errors import UserError

IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMNS = ("label", "labels", "fine_label")
CLASS_LISTS = ("names", "classes", "words", "fine")  #: keys of a classes.json that is no plain list
BATCH = 512  #: rows read at a time
CONNECT_SECONDS = 5.0


def parquet_files(folder: Path) -> list[Path]:
    """The parquet files in a folder and below, sorted by path, hidden ones left out."""
    found = sorted(file.relative_to(folder) for file in folder.rglob("*.parquet"))
    return [folder / file for file in found if not any(part.startswith(".") for part in file.parts)]


def holds_images(file: Path) -> bool:
    """Whether a parquet file has a column called like images; embeddings that lie beside images have none.

    Raises:
        UserError: a file that is no parquet.
    """
    return bool(_image_column(_schema(file)))


def parquet_parts(path: Path) -> dict[str, Callable[[], Source]]:
    """A parquet file, or a folder of them whose names or sub-folders say train, test, val, ...

    Class names come from `classes.json` beside the files, else from the Hugging Face metadata in them. Of a folder,
    files without an image column are left out.

    Raises:
        UserError: a file that is no parquet, or no image column.
    """
    root = path if path.is_dir() else path.parent
    found = parquet_files(path) if path.is_dir() else [path]
    schemas = {file: _schema(file) for file in found}
    others = [file for file in found if not _image_column(schemas[file])]
    tables = [file for file in found if file not in others] or found[:1]
    notes = tuple(f"{file.relative_to(root)} has no image column: left out" for file in others)
    image = {file: _columns(schemas[file], str(file))[0] for file in tables}
    label = next((name for file in tables if (name := _columns(schemas[file], str(file))[1])), "")
    by_part: dict[str, list[Path]] = {}
    for file in tables:
        by_part.setdefault(_part_name(file.relative_to(root)) if path.is_dir() else "train", []).append(file)
    columns = {file: _label_column(file, label) if label in schemas[file].names else None for file in tables}
    raw, more = _labels_of(list(by_part.values()), columns, label, root)
    names = _classes_beside(root) or next((n for file in tables if (n := _classes_in(schemas[file], label))), ())
    labels, classes = number_labels(raw, names, str(path))
    return {
        part: partial(
            _of_parquet, path.name, [(file, image[file]) for file in files], part_labels, classes, notes + more
        )
        for (part, files), part_labels in zip(by_part.items(), labels, strict=True)
    }


def hub_parts(identifier: str, image: str = "", label: str | Sequence[str] = "") -> dict[str, Callable[[], Source]]:
    """A data set of the hub, or of the copy that `datasets` keeps of one.

    `image` and `label` name the columns; several labels are attributes, one column of 0/1 (or -1/+1) each. Without a
    connection this fails after `CONNECT_SECONDS`, unless the copy is there.

    Raises:
        UserError: offline and no copy; no such data set; no access; no image column.
    """
    import datasets  # a second to import, and only needed here

    reachable = _reachable(identifier)
    with _hub_errors(identifier, reachable), _offline(datasets, not reachable):
        splits = datasets.load_dataset(identifier)
    parts = {name: dataset for name, dataset in splits.items() if name in PART_OF}
    if not parts and len(splits) == 1:
        parts = {"train": next(iter(splits.values()))}
    if not parts:
        raise UserError(f"{identifier} has the splits {', '.join(splits)}; one must be called train")
    features = next(iter(parts.values())).features
    found_image, found_label = _columns(features.arrow_schema, identifier)
    image, label = image or found_image, label or found_label
    missing = sorted({image, *([label] if isinstance(label, str) else label)} - {"", *features})
    if missing:
        raise UserError(f"{identifier} has no column {missing[0]}; it has: {', '.join(features)}")
    if isinstance(label, str):
        raw = [
            _numbers_or_words(dataset.select_columns([label]).with_format("arrow")[:].column(0)) if label else None
            for dataset in parts.values()
        ]
        labels, classes = number_labels(raw, tuple(getattr(features.get(label), "names", ())), identifier)
    else:
        labels, classes = [_attributes(dataset, label) for dataset in parts.values()], tuple(label)
    return {
        name: partial(_of_hub, dataset, identifier, image, part_labels, classes)
        for (name, dataset), part_labels in zip(parts.items(), labels, strict=True)
    }


def _of_parquet(
    name: str,
    files: Sequence[tuple[Path, str]],
    labels: np.ndarray | None,
    classes: tuple[str, ...],
    notes: tuple[str, ...],
) -> Encoded:
    """`files`: each with the name of its image column."""
    lengths = [pq.read_metadata(file).num_rows for file, _ in files]
    starts = np.concatenate([[0], np.cumsum(lengths)])

    def blobs(index: np.ndarray) -> Iterator[bytes | Path]:
        for (file, image), start, length in zip(files, starts, lengths, strict=False):
            wanted = index[(index >= start) & (index < start + length)] - start
            if len(wanted):
                with _damage(file):
                    batches = pq.ParquetFile(file, memory_map=True).iter_batches(BATCH, columns=[image])
                    yield from _wanted(batches, wanted, file.parent)

    def title(i: int) -> str:
        file = int(np.searchsorted(starts, i, side="right")) - 1
        return f"{shown(files[file][0].name)} row {i - starts[file]}"

    digest = hashlib.sha256()
    for file, image in files:
        digest.update(stamp(file.resolve()) + image.encode())
        with _damage(file):
            for path in _outside(file, image):
                digest.update(b"\n" + stamp(file.parent / path))
    return Encoded(name, np.arange(starts[-1]), blobs, title, digest.hexdigest(), labels, classes, notes)


def _of_hub(dataset: Any, identifier: str, image: str, labels: np.ndarray | None, classes: tuple[str, ...]) -> Encoded:
    def blobs(index: np.ndarray) -> Iterator[bytes | Path]:
        column = dataset.select_columns([image])
        chosen = column if len(index) == len(dataset) else column.select(index)
        for batch in chosen.with_format("arrow").iter(BATCH):
            yield from _blobs(batch.column(0).to_pylist(), Path())

    def title(i: int) -> str:
        return f"{dataset.split} row {i}"

    digest = hashlib.sha256(f"{identifier}|{dataset.split}|{dataset._fingerprint}|{image}".encode()).hexdigest()
    return Encoded(identifier, np.arange(len(dataset)), blobs, title, digest, labels, classes)


def _attributes(dataset: Any, names: Sequence[str]) -> np.ndarray:
    """(N, K) int64 of 0 and 1."""
    table = dataset.select_columns(list(names)).with_format("arrow")[:]
    return np.stack([np.array(table.column(name).to_pylist(), np.int64) > 0 for name in names], 1).astype(np.int64)


def _wanted(batches: Iterator[pa.RecordBatch], rows: np.ndarray, folder: Path) -> Iterator[bytes | Path]:
    """The blobs at some rows, ascending, of a table that is read batch by batch."""
    first = 0
    for batch in batches:
        inside = rows[(rows >= first) & (rows < first + batch.num_rows)] - first
        if len(inside):
            yield from _blobs(batch.column(0).take(pa.array(inside)).to_pylist(), folder)
        first += batch.num_rows


def _outside(file: Path, image: str) -> list[str]:
    """The paths in an image column whose pixels lie in files of their own."""
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
    values = content.read(columns=[f"{image}.path"]).column(0).to_pylist()
    return [value["path"] for value in values if value and value["path"]]


def _is_string(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _blobs(values: Sequence[Any], folder: Path) -> Iterator[bytes | Path]:
    """Encoded bytes, or the file, of each cell: Hugging Face's {bytes, path}, plain bytes, or a path."""
    for value in values:
        if isinstance(value, Mapping):
            value = value["bytes"] if value.get("bytes") is not None else value.get("path")
        yield folder / value if isinstance(value, str) else value or b""


@contextlib.contextmanager
def _damage(file: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{file} is damaged: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _schema(file: Path) -> pa.Schema:
    try:
        return pq.read_schema(file)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{file} cannot be read as parquet: {_first_line(error)}") from None


def _image_column(schema: pa.Schema) -> str:
    """The first column called like images, else the first that holds bytes and path; "" where there is none."""
    structs = (f.name for f in schema if pa.types.is_struct(f.type) and f.type.get_field_index("bytes") >= 0)
    return next((name for name in IMAGE_COLUMNS if name in schema.names), "") or next(structs, "")


def _columns(schema: pa.Schema, where: str) -> tuple[str, str]:
    """Names of the image column and of the label column ("" where there is none)."""
    types = {field.name: field.type for field in schema}
    image = _image_column(schema)
    if not image:
        raise UserError(f"{where} has the columns {', '.join(types)}; one must be called image and hold encoded images")
    kind = types[image]
    binary = pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or _is_string(kind)
    if not binary and not (pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0):
        raise UserError(f"{where}: column {image} holds {kind}, not encoded images (bytes, or bytes and path)")
    return image, next((name for name in LABEL_COLUMNS if name in types), "")


def _label_column(file: Path, label: str) -> pa.ChunkedArray:
    with _damage(file):
        return pq.read_table(file, columns=[label]).column(0)


def _labels_of(
    parts: Sequence[Sequence[Path]], columns: Mapping[Path, pa.ChunkedArray | None], label: str, root: Path
) -> tuple[list[np.ndarray | None], tuple[str, ...]]:
    """The labels of each part, whose files follow each other, and notes on what could not be used.

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
        elif (values := _numbers_or_words(column)) is not None:
            known[file] = values
        elif not pa.types.is_null(column.type):
            notes.append(f"column {label} of {name} holds {column.type}, no classes: read without labels")
    kinds = {values.dtype.kind: file.relative_to(root) for file, values in known.items()}
    if len(kinds) > 1:
        numbers, words = kinds["i"], kinds["U"]
        raise UserError(f"{root}: column {label} holds numbers in {numbers} but words in {words}; make them the same")
    if not known:
        return [None] * len(parts), tuple(notes)
    absent = "" if "U" in kinds else -1
    raw: list[np.ndarray | None] = []
    for files in parts:
        lengths = {file: pq.read_metadata(file).num_rows for file in files}
        raw.append(np.concatenate([known[f] if f in known else np.full(lengths[f], absent) for f in files]))
    return raw, tuple(notes)


def _numbers_or_words(column: pa.ChunkedArray) -> np.ndarray | None:
    """One label per row, -1 or "" where it is null; None where the column holds something else, such as lists.

    Floats count as numbers where all are whole: pandas makes them of integers among which some are missing.
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_floating(column.type):
        values = column.cast(pa.float64()).fill_null(np.nan).to_numpy()
        whole = np.where(np.isnan(values), -1, values)
        return whole.astype(np.int64) if (np.abs(whole) < 2**53).all() and (whole == np.rint(whole)).all() else None
    if pa.types.is_integer(column.type) or pa.types.is_boolean(column.type):
        try:
            return column.cast(pa.int64()).fill_null(-1).to_numpy()
        except pa.ArrowInvalid:  # unsigned ones beyond int64 are hashes, no classes
            return None
    if _is_string(column.type):
        return np.array(column.fill_null("").to_pylist(), dtype=str)
    return None


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
    """Names of a ClassLabel in the Hugging Face metadata of a parquet schema."""
    metadata = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    feature = metadata.get("info", {}).get("features", {}).get(label, {})
    return tuple(feature.get("names", ())) if isinstance(feature, dict) else ()


def _part_name(file: Path) -> str:
    """`data/test-00000-of-00001.parquet` -> "test": the last word of the path that names a part, else "train"."""
    words = re.split(r"[^a-z]+", file.with_suffix("").as_posix().lower())
    return next((word for word in reversed(words) if word in PART_OF), "train")


def _reachable(identifier: str) -> bool:
    """Whether the hub answers; asked once before `datasets` is, which would retry for a long time.

    Raises:
        UserError: it answers that there is no such data set, or that it may not be read.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        HfApi().dataset_info(identifier, timeout=CONNECT_SECONDS)
    except GatedRepoError:
        page = f"{constants.ENDPOINT}/datasets/{identifier}"
        raise UserError(f"{identifier} asks for consent: give it on {page}, then log in with hf auth login") from None
    except RepositoryNotFoundError:
        raise UserError(
            f"the Hugging Face hub has no data set {identifier}; if it is private, log in with hf auth login"
        ) from None
    except Exception:  # no name service, no route, a timeout, a proxy's own page: the kind depends on the HTTP client
        return False
    return True


@contextlib.contextmanager
def _offline(datasets: Any, offline: bool) -> Iterator[None]:
    """Make `datasets` look only into its own copies."""
    from huggingface_hub import constants

    places = (datasets.config, "HF_HUB_OFFLINE"), (constants, "HF_HUB_OFFLINE")
    before = [getattr(module, name) for module, name in places]
    try:
        for module, name in places:
            setattr(module, name, offline or getattr(module, name))
        yield
    finally:
        for (module, name), value in zip(places, before, strict=True):
            setattr(module, name, value)


@contextlib.contextmanager
def _hub_errors(identifier: str, reachable: bool) -> Iterator[None]:
    """What can go wrong between here and the hub, as one line."""
    try:
        yield
    except Exception as error:  # the hub client, fsspec and pyarrow raise many kinds of their own
        reason = _first_line(error)
        if not reachable:
            raise UserError(
                f"{identifier} is not on this machine and the Hugging Face hub cannot be reached; pass a local folder, "
                "or set --data.root / DEEPINFOMAX_DATA to the folder that holds a copy"
            ) from None
        raise UserError(f"{identifier} cannot be read from the Hugging Face hub: {reason}") from None
