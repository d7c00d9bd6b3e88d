"""Time series files of the UCR and UEA archives (.ts, .arff), by the readers of sktime."""

import re
import warnings
from functools import lru_cache, partial
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from deepinfomax.data.formats.needed import needed
from deepinfomax.data.formats.record import Columns, Format, no_classes, unreadable
from deepinfomax.data.images import ImageSet
from deepinfomax.data.labels import are_quantities, integers_of, number_labels
from deepinfomax.data.stored import Parts, stamp
from deepinfomax.errors import UserError

NUMERIC = ("numeric", "real", "integer")  #: types of attributes of a .arff file
CLASS_NAMES = ("class", "target", "label")  #: of attributes that are the class although they are numeric
PAIR = re.compile(r"(.*)_(TRAIN|TEST)(\.ts|\.arff)", re.IGNORECASE)  #: as the archives call their files


def read(file: Path, columns: Columns) -> Parts:
    """The part train from one file; train and test if NAME_TRAIN and NAME_TEST lie side by side."""
    files = {"train": file}
    if match := PAIR.fullmatch(file.name):
        stem, own, ending = match.groups()
        beside = {path.name.lower(): path for path in sorted(file.parent.iterdir())}  # x_train.ts, too
        pair = {part: beside.get(f"{stem}_{part}{ending}".lower()) for part in ("train", "test")} | {own.lower(): file}
        files = {part: path for part, path in pair.items() if path is not None and path.is_file()}
    read_files = {part: _series(path, stamp(path)) for part, path in files.items()}
    words = [None if labels is None else integers_of(labels) for _, labels, _ in read_files.values()]
    notes = {part: said for part, (_, _, said) in read_files.items()}
    if any(of_part is not None and are_quantities(of_part) for of_part in words):
        words, notes = [None] * len(words), dict.fromkeys(notes, (no_classes("the last column"),))
    numbers, classes = number_labels(words, where=str(file))
    return {
        part: partial(ImageSet, values, of_part, classes, str(file), notes[part])
        for (part, (values, _, _)), of_part in zip(read_files.items(), numbers, strict=True)
    }


@lru_cache(4)
def _series(file: Path, stamped: bytes) -> tuple[np.ndarray, list[str] | None, tuple[str, ...]]:
    """(N, C, T) float64, read-only; the labels as they are written, None if the file has no classes; and notes.

    A command asks for the parts several times, and text is slow to read. So the result is remembered until the file's
    stamp, `stamped`, changes.

    Raises:
        UserError: no such file, or series of several lengths.
    """
    datasets = needed("sktime.datasets", file)
    numbers = b"@targetlabel true" in file.read_bytes()[:100_000].lower()  # the target of a regression is no class
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about changes in later versions of pandas
            if file.suffix.lower() == ".ts":
                loaded = datasets.load_from_tsfile_to_dataframe(str(file))
            else:
                loaded = datasets.load_from_arff_to_dataframe(str(file), has_class_labels=_has_classes(file))
            table, labels = loaded if isinstance(loaded, tuple) else (loaded, None)  # without labels, a table alone
    except Exception as error:  # sktime's readers raise errors of many kinds
        raise unreadable(file, "a file of time series", error) from None
    lengths = {len(cell) for name in table.columns for cell in table[name]}
    if not lengths:
        raise UserError(f"{file} holds no series")
    if len(lengths) > 1:
        seen = f"{min(lengths)} to {max(lengths)} steps"
        raise UserError(f"{file} has series of {seen}: cut or pad them to one length")
    channels: list[Any] = [np.stack([np.asarray(cell, np.float64) for cell in table[name]]) for name in table.columns]
    values = np.stack(channels, 1)
    values.setflags(write=False)
    if numbers:
        return values, None, ("the targets of a regression are no classes: read without labels",)
    return values, None if labels is None else [str(label) for label in labels], ()


def _has_classes(file: Path) -> bool:
    """Whether the last attribute of a .arff file is the class; if not, it is the last step."""
    with file.open(encoding="utf-8", errors="replace") as lines:
        header = takewhile(lambda line: not line.strip().lower().startswith("@data"), lines)
        attributes = [line.split()[1:3] for line in header if line.strip().lower().startswith("@attribute")]
    last = [word.strip("'\"").lower() for word in attributes[-1]] if attributes else []
    return len(last) < 2 or last[1] not in NUMERIC or last[0] in CLASS_NAMES


FORMAT = Format(
    "time series", "series with their classes; NAME_TEST beside NAME_TRAIN is the test part", read, (".ts", ".arff")
)
