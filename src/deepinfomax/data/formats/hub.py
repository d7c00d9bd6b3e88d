"""Data sets of the Hugging Face hub, or the copies of them that `datasets` keeps."""

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from deepinfomax.data.formats.parquet import (
    BATCH,
    SPLIT,
    attribute_columns,
    cell_blobs,
    numbers_or_words,
    table_columns,
)
from deepinfomax.data.formats.record import USUAL, Columns, unused_columns
from deepinfomax.data.labels import number_labels
from deepinfomax.data.parts import PART_OF
from deepinfomax.data.stored import Parts, StoredImages
from deepinfomax.errors import UserError, first_line

CONNECT_SECONDS = 5.0


def hub_parts(identifier: str, columns: Columns = USUAL, attributes: Sequence[str] = ()) -> Parts:
    """The parts of a data set of the hub, or of the copy of it that `datasets` keeps.

    `attributes` names columns of 0/1 (or -1/+1), which are then the labels. Without a connection and without a copy
    this fails after `CONNECT_SECONDS`.

    Raises:
        UserError: offline and no copy; no such data set; no access; no image column; `datasets` is not installed.
    """
    splits = opened_hub(identifier, streaming=False)
    parts = {name: dataset for name, dataset in splits.items() if name in PART_OF}
    if not parts and len(splits) == 1:
        parts = {"train": next(iter(splits.values()))}
    if not parts:
        raise UserError(f"{identifier} has the splits {', '.join(splits)}; one must be called train")
    features = next(iter(parts.values())).features
    image, label = table_columns(features.arrow_schema, columns, identifier)
    missing = [name for name in attributes if name not in features]
    if missing:
        raise UserError(f"{identifier} has no column {missing[0]}; it has: {', '.join(features)}")
    notes = unused_columns(list(features), {image, label, SPLIT, *attributes}) if not attributes else ()
    if attributes:
        labels: list[np.ndarray | None] = [
            attribute_columns(dataset.select_columns(list(attributes)).with_format("arrow")[:], attributes, identifier)
            for dataset in parts.values()
        ]
        classes = tuple(attributes)
    else:
        raw = [
            numbers_or_words(dataset.select_columns([label]).with_format("arrow")[:].column(0)) if label else None
            for dataset in parts.values()
        ]
        if label and all(values is None for values in raw):
            kind = features.arrow_schema.field(label).type
            notes += (f"column {label} holds {kind}, no classes: read without labels",)
        labels, classes = number_labels(raw, tuple(getattr(features.get(label), "names", ())), identifier)
    return {
        name: partial(_stored, dataset, identifier, image, part_labels, classes, notes)
        for (name, dataset), part_labels in zip(parts.items(), labels, strict=True)
    }


def opened_hub(identifier: str, *, streaming: bool = True) -> Mapping[str, Any]:
    """The splits of a data set of the hub, by name.

    Raises:
        UserError: offline and no copy; no such data set; no access; `datasets` is not installed.
    """
    try:
        import datasets  # a second to import, and only needed here
    except ImportError:
        raise UserError(
            f"{identifier} is read from the Hugging Face hub, which needs one more package: "
            "pip install 'deepinfomax[hub]'; a local copy needs none (--data-root, or a path)"
        ) from None

    reachable = _reachable(identifier)
    with _hub_errors(identifier, reachable), _offline(datasets, not reachable):
        how = {"streaming": True} if streaming else {}
        splits: Mapping[str, Any] = datasets.load_dataset(identifier, **how)
    return splits


def features_of(dataset: Any) -> Mapping[str, Any]:
    """The columns of a streamed data set; if its files do not name them, those of its first rows."""
    features = dataset.features if dataset.features is not None else dataset._resolve_features().features
    return features or {}


def _stored(
    dataset: Any,
    identifier: str,
    image: str,
    labels: np.ndarray | None,
    classes: tuple[str, ...],
    notes: tuple[str, ...],
) -> StoredImages:
    def blobs(index: np.ndarray) -> Iterator[bytes | Path]:
        column = dataset.select_columns([image])
        chosen = column if len(index) == len(dataset) else column.select(index)
        for batch in chosen.with_format("arrow").iter(BATCH):
            yield from cell_blobs(batch.column(0).to_pylist(), Path())

    def title(i: int) -> str:
        return f"{dataset.split} row {i}"

    digest = hashlib.sha256(f"{identifier}|{dataset.split}|{dataset._fingerprint}|{image}".encode()).hexdigest()
    return StoredImages(identifier, np.arange(len(dataset)), blobs, title, digest, labels, classes, notes)


def _reachable(identifier: str) -> bool:
    """Whether the hub answers. This is asked first, because `datasets` would try again and again for a long time.

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
    """Turn every error of the hub, the network or a file into one line."""
    try:
        yield
    except Exception as error:  # the hub client, fsspec and pyarrow raise many kinds of their own
        reason = first_line(error)
        if not reachable:
            raise UserError(
                f"{identifier} is not on this machine and the Hugging Face hub cannot be reached; pass a local folder, "
                "or set --data.root / DEEPINFOMAX_DATA to the folder that holds a copy"
            ) from None
        raise UserError(f"{identifier} cannot be read from the Hugging Face hub: {reason}") from None
