"""Labels: which values mean "no label", the conversion of words and numbers to 0 .. K-1, and class names."""

import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np

from deepinfomax.errors import UserError

NO_LABEL = -1  #: the number of an image without a label
#: words that mean "no label", as NumPy, pandas, R, databases and spreadsheets write a missing value
NO_LABEL_WORDS = frozenset(("", "-1", "nan", "NaN", "NA", "N/A", "n/a", "<NA>", "None", "null", "NULL"))
LARGEST = 2**53  #: floats hold every whole number below this one


def number_labels(
    raw: Sequence[Any], names: Sequence[Any] = (), where: str = "", no_label_words: frozenset[str] = NO_LABEL_WORDS
) -> tuple[list[np.ndarray | None], tuple[str, ...]]:
    """Convert the labels of all parts to numbers 0 .. K-1, the same in every part, and return the K class names.

    Words are numbered in sorted order. Numbers keep their values if they are 0 .. K-1 or have `names`; otherwise they
    are numbered in ascending order. "No label" is any of: -1, NaN, None, pandas' NA, a masked value, or one of
    `no_label_words`. A part without any label gives None. Several columns of 0 and 1, (N, K), are attributes and are
    not changed; but if every row has a single 1 and every column has some (one-hot), they are classes.

    Arguments:
        raw: for each part (N,) labels of any kind that NumPy holds, (N, K) attributes, or None.
        names: class names in the order of the numbers; (): the labels have no names.
        where: the data, for messages.
        no_label_words: words that mean "no label"; frozenset() if every word is a class, as for names of folders.

    Raises:
        UserError: labels that are not whole numbers, words or attributes; a number or column without a name.
    """
    parts = [None if values is None else plain_labels(values, where, no_label_words) for values in raw]
    present = [values for values in parts if values is not None and len(values)]
    names = class_names(names, where)
    if not present:
        return [None] * len(parts), ()
    if (width := present[0].shape[1:]) or any(values.ndim > 1 for values in present):
        if any(
            values.ndim != 2 or values.shape[1:] != width or not np.isin(values, (0, 1)).all() for values in present
        ):
            raise UserError(f"{where}: labels must be one number or word per image, or several of 0 and 1 (attributes)")
        if names and len(names) != width[0]:
            raise UserError(f"{where}: labels have {width[0]} columns, there are {len(names)} class names")
        names = names or tuple(str(k) for k in range(width[0]))
        used = np.any([values.any(0) for values in present], 0)
        if width[0] > 1 and used.all() and all((values.sum(1) == 1).all() for values in present):
            return [None if v is None or not len(v) else v.argmax(1).astype(np.int64) for v in parts], names
        return parts, names
    if all(values.dtype.kind == "i" for values in present):
        numbers, names = _numbered(parts, names, where)
    else:
        words = [None if v is None else _as_words(v) for v in parts]
        names = tuple(sorted({word for part in words if part is not None for word in part.tolist()} - {""}))
        number = {name: i for i, name in enumerate(names)} | {"": NO_LABEL}
        numbers = [None if v is None else np.array([number[word] for word in v.tolist()], np.int64) for v in words]
    return [v if v is not None and (v != NO_LABEL).any() else None for v in numbers], names


def plain_labels(values: Any, where: str, no_label_words: frozenset[str] = NO_LABEL_WORDS) -> np.ndarray:
    """(N,) int64 with -1 for no label, or (N,) words with "" for no label, or (N, K) int64 attributes.

    Bytes are decoded and words are normalised (Unicode NFC), so that one name is one class on every file system.

    Raises:
        UserError: a single value, or labels that are neither whole numbers nor words.
    """
    labels = np.asarray(np.ma.getdata(values) if isinstance(values, np.ma.MaskedArray) else values)
    if np.ma.is_masked(values):  # what stands under a mask means nothing
        labels = labels.astype(object)
        labels[np.ma.getmaskarray(values)] = None
    if not labels.ndim:
        raise UserError(f"{where}: labels must be one number or word per image, not a single one")
    if labels.ndim > 1 and labels[0:1].size == 1:  # (N, 1)
        labels = labels.reshape(-1)
    if labels.dtype.kind in "SUTO":
        labels = _words_or_floats(labels, where, no_label_words)
        if labels.dtype.kind == "U":
            return labels
    if labels.dtype.kind not in "iubf":
        raise UserError(f"{where}: labels must be whole numbers or words, not {labels.dtype}")
    return _whole_numbers(labels, where)


def class_names(names: Any, where: str) -> tuple[str, ...]:
    """Names of classes as text, from a list of any kind; bytes decoded, Unicode normalised (NFC)."""
    if np.ndim(names) != 1:
        raise UserError(f"{where}: classes must be a list of names, in the order of their numbers")
    return tuple(_text(name, where) for name in names)


def integers_of(words: Sequence[str]) -> np.ndarray:
    """(N,) int64 if all words are whole numbers, so that 10 comes after 9; otherwise the words.

    A word that means "no label" gives -1. Words such as 010 and 1_0, or numbers too large for int64, are not numbers:
    otherwise different labels could become the same. If every number is written like 1.0, as pandas does if labels are
    missing, 1.0 is 1.
    """
    missing = [word in NO_LABEL_WORDS for word in words]
    given = [word for word, absent in zip(words, missing, strict=True) if not absent]
    digits = [word.removesuffix(".0") for word in given] if all(word.endswith(".0") for word in given) else given
    try:
        numbers = np.array([int(word) for word in digits], np.int64)
    except (ValueError, OverflowError):
        return np.array(words)
    if [str(number) for number in numbers.tolist()] != digits:
        return np.array(words)
    labels = np.full(len(words), NO_LABEL, np.int64)
    labels[~np.array(missing, dtype=bool)] = numbers
    return labels


def are_quantities(labels: np.ndarray, point: str = ".") -> bool:
    """Whether labels are all numbers, and some have a fraction: these are no classes."""
    return first_fraction(labels, point) is not None


def first_fraction(labels: np.ndarray, point: str = ".") -> float | None:
    """The first label that is no whole number, if all labels are numbers; None if there is none.

    Args:
        labels: an array of any kind; words as `integers_of` gives them.
        point: what words may have before a fraction, "," in place of ".".
    """
    numbers = labels
    if labels.dtype.kind == "U" and labels.ndim == 1:
        given = [word for word in labels.tolist() if word not in NO_LABEL_WORDS]
        try:
            numbers = np.array([float(word.replace(point, ".")) for word in given])
        except ValueError:
            return None
    if numbers.dtype.kind != "f":
        return None
    known = numbers[np.isfinite(numbers)]
    fractions = known[known % 1 != 0]
    return float(fractions[0]) if len(fractions) else None


def _numbered(
    parts: Sequence[np.ndarray | None], names: tuple[str, ...], where: str
) -> tuple[list[np.ndarray | None], tuple[str, ...]]:
    """Numbers as 0 .. K-1, and their names."""
    seen = np.unique(np.concatenate([v[v != NO_LABEL] for v in parts if v is not None and len(v)]))
    if len(seen) and seen[0] < 0:
        raise UserError(f"{where}: label {seen[0]} is negative; classes are 0 or more, and -1 means no label")
    if names and len(seen) and seen[-1] >= len(names):
        raise UserError(f"{where}: label {seen[-1]} has no name, there are only {len(names)} class names")
    if names or np.array_equal(seen, np.arange(len(seen))):
        return list(parts), names or tuple(str(value) for value in seen)
    numbers = [None if v is None else np.where(v == NO_LABEL, NO_LABEL, np.searchsorted(seen, v)) for v in parts]
    return numbers, tuple(str(value) for value in seen)


def _whole_numbers(labels: np.ndarray, where: str) -> np.ndarray:
    if labels.dtype.kind == "f":
        labels = labels.astype(np.float64)  # half precision does not reach LARGEST
        known = labels[~np.isnan(labels)]
        if not (np.isfinite(known) & (known == np.rint(known)) & (np.abs(known) < LARGEST)).all():
            raise UserError(f"{where}: labels must be whole numbers or words")
        labels = np.where(np.isnan(labels), NO_LABEL, labels)
    elif labels.dtype.kind == "u" and labels.size and labels.max() > np.iinfo(np.int64).max:
        raise UserError(f"{where}: label {labels.max()} is too large for a class number")
    return labels.astype(np.int64)


def _words_or_floats(labels: np.ndarray, where: str, no_label_words: frozenset[str]) -> np.ndarray:
    """Words with "" for no label; floats with NaN for no label where every label is a number, or there is none."""
    values = [_plain_value(value) for value in labels.reshape(-1).tolist()]
    given = [value for value in values if value is not None]
    if labels.dtype.kind == "O" and all(isinstance(value, int | float) for value in given):
        floats = np.array([np.nan if value is None else value for value in values], np.float64)
        return floats.reshape(labels.shape)
    texts = ["" if value is None else _text(value, where) for value in values]
    return np.array(["" if text in no_label_words else text for text in texts]).reshape(labels.shape)


def _plain_value(value: Any) -> Any:
    """None for a missing value of any library; a number of NumPy's as Python's own."""
    value = value.item() if isinstance(value, np.number | np.bool_) else value
    missing = value is None or value is np.ma.masked or type(value).__name__ in ("NAType", "NaTType")
    return None if missing or (isinstance(value, float) and value != value) else value


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str | bytes | int | float | np.generic):
        raise UserError(f"{where}: labels must be whole numbers or words, not {type(value).__name__}")
    try:
        text = value.decode() if isinstance(value, bytes) else str(value)
    except UnicodeDecodeError:
        raise UserError(f"{where}: label {value!r} is not UTF-8: give words as str") from None
    return unicodedata.normalize("NFC", text)


def _as_words(labels: np.ndarray) -> np.ndarray:
    return labels if labels.dtype.kind == "U" else np.where(labels == NO_LABEL, "", labels.astype(str))
