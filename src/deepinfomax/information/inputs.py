"""The inputs of `estimate_mi`: reading, checking, splitting and transforming them.

A side is one of the two variables: (n, D) float64 numbers, or (n,) int64 labels.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from deepinfomax.errors import UserError, first_line
from deepinfomax.information import labels as label_information

Transform = Literal["standard", "rank", "asinh", "none"]

AS_QUANTITIES = "give them as floats (--numbers COLUMN of the command) if they are quantities"

FEWEST_PAIRS = 50
#: A column of integers with fewer rows per label, on average, is refused: it is a quantity, or its labels are too rare.
ROWS_PER_LABEL = 5
#: Largest number of elements in a tensor of one-hot labels, or of the scores of a batch: 4 GiB.
MOST_NUMBERS = 2**30


class Parts(NamedTuple):
    """Positions of the pairs that train, that decide when to stop, and that are read out."""

    train: Tensor
    stop: Tensor
    test: Tensor


def read_side(values: Any, name: str) -> np.ndarray:
    """Convert a side to (n, D) float64, or (n,) int64 for labels. Raises UserError if it cannot be used."""
    if np.ma.isMaskedArray(values) and np.ma.getmaskarray(values).any():
        raise UserError(f"{name} has {np.ma.getmaskarray(values).sum()} masked values: drop those rows")
    try:
        if isinstance(values, Tensor):
            values = values.detach().cpu()
            values = (values.float() if values.dtype == torch.bfloat16 else values).numpy()  # numpy knows no bfloat16
        array = np.asarray(values)
    except ValueError:
        raise UserError(f"{name} is no array: its rows differ in length") from None
    except (TypeError, RuntimeError) as error:  # a sparse tensor, a list of tensors that need gradients
        reason = first_line(error).partition(". ")[0]
        raise UserError(f"{name} cannot be read as an array: {reason}") from None
    if array.ndim == 1 and array.dtype.kind in "US" and isinstance(values, list | tuple):
        array = np.array(values, dtype=object)  # otherwise a missing value would be the word "nan"
    if array.dtype == object and array.ndim == 1:  # a column of a data frame
        words = [isinstance(value, str | bytes) for value in array]
        if any(words) and not all(words):
            row = words.index(False)
            raise UserError(f"{name} holds {array[row]!r} among its words, first in row {row}: drop those rows")
        array = array.astype(str) if any(words) else array
    if array.ndim > 1 and array.dtype.kind in "OUS":
        raise UserError(f"{name} holds {array.dtype} of shape {array.shape}: give words as (n,), numbers as floats")
    if array.ndim == 1 and array.dtype.kind in "iubUS":
        _, labels = np.unique(array, return_inverse=True)
        if labels.size and labels.max() == 0:
            raise UserError(f"{name} has one label only, which carries no information: give at least two")
        return labels.astype(np.int64)
    if array.dtype.kind not in "iubf":
        mend = f"{name}.astype(float) gives them" if array.dtype == object else "give float or integer arrays"
        raise UserError(f"{name} holds {array.dtype}, not numbers: {mend}")
    array = array.astype(np.float64)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        raise UserError(f"{name} has shape {array.shape}: give (n, dim), for instance {name}.reshape(len({name}), -1)")
    bad = ~np.isfinite(array)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise UserError(
            f"{name} has {bad.sum()} missing or infinite values, the first in row {row}, column {column}: "
            "drop those rows"
        )
    constant = np.flatnonzero(np.ptp(array, axis=0) == 0) if len(array) else np.arange(array.shape[1])
    if array.shape[1] == 0 or (len(array) and len(constant)):
        if not len(constant):
            raise UserError(f"{name} has no columns and carries no information: drop it")
        which = name if array.shape[1] == 1 else f"column {constant[0]} of {name}"
        raise UserError(f"{which} is constant and carries no information: drop it")
    return array


def check_index(x: Any, y: Any, names: Sequence[str] = "xy") -> None:
    """Raises UserError for two columns of pandas with different indexes, since rows are paired by position here."""
    one: Any = getattr(x, "index", None)  # of a list, a method
    other: Any = getattr(y, "index", None)
    if hasattr(one, "equals") and hasattr(other, "equals") and not one.equals(other):
        a, b = names
        raise UserError(
            f"{a} and {b} have different pandas indexes, so it is unclear which rows belong together: bring {b} into "
            f"the order of {a} with {b}.reindex({a}.index), or pair them by position with {b}.to_numpy()"
        )


def remarks(values: Any, side: np.ndarray, name: str, otherwise: str = AS_QUANTITIES) -> tuple[str, ...]:
    """A note how whole numbers were understood, as labels or as quantities; none if there was no choice.

    Args:
        otherwise: tells the user how to get the other meaning.
    """
    if not is_labels(side):
        return ()
    kind: Any = getattr(values, "dtype", None)
    words = kind.kind in "SUO" if hasattr(kind, "kind") else isinstance(next(iter(values)), str | bytes)
    if words or "bool" in str(kind) or isinstance(next(iter(values)), bool):
        return ()
    without = _unlabelled(values, side)
    gaps = f"; -1 is one of them, in {without:,} rows: leave these out if it means no label" if without else ""
    return (
        f"the {int(side.max()) + 1} different whole numbers of {name} are taken as labels, names without order: "
        f"{otherwise}{gaps}",
    )


def _unlabelled(values: Any, side: np.ndarray) -> int:
    """In how many rows a label is -1, beside 0: elsewhere in the package, and in files of `embed`, that is no label."""
    array = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values)
    lowest = side == 0
    among_classes = array[lowest][0] == -1 and array[side == 1][0] == 0
    return int(lowest.sum()) if among_classes else 0


def is_labels(side: np.ndarray) -> bool:
    return side.ndim == 1


def labels_entropy(sides: Sequence[np.ndarray], codes: np.ndarray | None = None) -> tuple[float, float]:
    """The smaller entropy of the sides that are labels, which mutual information cannot exceed, and its error, in nats.

    (inf, 0) without labels.

    Args:
        codes: the group of each row, each of the same weight; None: rows are independent.
    """
    of_labels = (label_information.entropy_and_error(side, codes) for side in sides if is_labels(side))
    return min(of_labels, default=(math.inf, 0.0))


def check_lengths(n_x: int, n_y: int, names: Sequence[str] = "xy") -> None:
    if n_x != n_y:
        x, y = names
        raise UserError(f"{x} has {n_x} rows but {y} has {n_y}: row i of both must have been drawn together")
    if n_x < FEWEST_PAIRS:
        raise UserError(f"{n_x} pairs are too few: give at least {FEWEST_PAIRS}, and thousands for more than 1 nat")


def check_labels(side: np.ndarray, name: str) -> None:
    """Raises UserError if nearly all labels differ: they are quantities, would give 0 nats and need n² memory."""
    if is_labels(side) and (side.max() + 1) * ROWS_PER_LABEL > len(side):
        raise UserError(
            f"{name} has {side.max() + 1} different labels in {len(side)} rows, fewer than {ROWS_PER_LABEL} rows each: "
            f"give quantities as floats ({name}.astype(float), or --numbers COLUMN of the command) or merge rare labels"
        )


def check_memory(sides: tuple[np.ndarray, ...], batch_size: int, units: int) -> None:
    """Raises UserError if one-hot labels, or a batch's scores (`units` numbers per pair), need too much memory."""
    for side, name in zip(sides, "xy", strict=True):
        if is_labels(side) and len(side) * (int(side.max()) + 1) > MOST_NUMBERS:
            raise UserError(
                f"{name} has {side.max() + 1:,} different labels in {len(side):,} rows, which as one-hot rows are "
                f"{len(side) * (int(side.max()) + 1) * 4 / 2**30:.0f} GiB: merge rare labels, or use ksg"
            )
    batch = min(batch_size, len(sides[0]))
    if batch**2 * units > MOST_NUMBERS:
        most, gib = math.isqrt(MOST_NUMBERS // units), batch**2 * units * 4 / 2**30
        raise UserError(f"all pairs of a batch of {batch:,} need {gib:.0f} GiB: make batch_size {most:,} at most")


def check_resolution(sides: tuple[np.ndarray, ...]) -> None:
    """Raises UserError if columns without a transform lose their differences in float32, in which critics compute."""
    for side, name in zip(sides, "xy", strict=True):
        if is_labels(side):
            continue
        largest = np.abs(side).max(0)
        with np.errstate(over="ignore"):
            lost = (np.ptp(side, axis=0) < 1e-5 * largest) | (largest > 1e30) | (largest < 1e-30)
        if lost.any():
            column = int(lost.argmax())
            raise UserError(
                f"column {column} of {name}, from {side[:, column].min():.6g} to {side[:, column].max():.6g}, is more "
                "than float32 can tell apart: use transform='standard'"
            )


def farthest_value(side: Tensor) -> float:
    """The largest absolute value in (n, D), without columns of only two values, which have no tails."""
    two_values = ((side == side.amin(0)) | (side == side.amax(0))).all(0)
    return 0.0 if two_values.all() else float(side[:, ~two_values].abs().max())


def split_pairs(n: int, validation: float, test: float, generator: torch.Generator) -> Parts:
    order = torch.randperm(n, generator=generator)
    n_stop, n_test = max(5, round(validation * n)), max(5, round(test * n))
    return Parts(order[n_stop + n_test :], order[:n_stop], order[n_stop : n_stop + n_test])


def split_folds(n: int, folds: int, generator: torch.Generator) -> list[Parts]:
    """Splits in which every pair is read once, stops the training once, and trains in all others."""
    parts = torch.randperm(n, generator=generator).tensor_split(folds)
    every = []
    for fold in range(folds):
        stop = (fold + 1) % folds
        rest = [part for i, part in enumerate(parts) if i not in (fold, stop)]
        every.append(Parts(torch.cat(rest), parts[stop], parts[fold]))
    return every


def prepare(side: np.ndarray, train: Tensor, transform: Transform, device: torch.device) -> Tensor:
    """Numbers transformed by the training pairs' statistics, labels as one-hot rows: (n, D) float32."""
    if is_labels(side):
        rows = torch.zeros(len(side), int(side.max()) + 1)  # one_hot would take int64 first
        return rows.scatter_(1, torch.from_numpy(side).unsqueeze(1), 1.0).to(device)
    return torch.from_numpy(transformed(side, train.numpy(), transform)).float().to(device)


def width(side: np.ndarray) -> int:
    """The number of columns that `prepare` returns."""
    return int(side.max()) + 1 if is_labels(side) else side.shape[1]


def transformed(side: np.ndarray, rows: np.ndarray | slice, transform: Transform) -> np.ndarray:
    """(n, D) with each column transformed by statistics of the given rows."""
    if transform == "none":
        return side
    # Its import takes a second, and most commands import this module for something else.
    from sklearn.preprocessing import FunctionTransformer, QuantileTransformer, StandardScaler

    side = _in_range(side)
    fitted = side[rows]
    if transform == "rank":
        quantiles = min(1000, len(fitted))
        # All rows: by default scikit-learn draws 10,000 of them by numpy's global state, which no seed of ours reaches.
        ranks = QuantileTransformer(n_quantiles=quantiles, subsample=None, output_distribution="normal")
        ranked = ranks.fit(fitted).transform(side)
        # Normal scores of two values would be the two ends of the distribution, ten standard deviations apart.
        two = ((side == side.min(0)) | (side == side.max(0))).all(0)
        ranked[:, two] = transformed(side[:, two], rows, "standard") if two.any() else 0
        return ranked
    if transform == "asinh":
        centre = np.median(fitted, axis=0)
        spread = np.median(np.abs(fitted - centre), axis=0)
        squash = FunctionTransformer(lambda z: np.arcsinh((z - centre) / np.where(spread > 0, spread, 1.0)))
        side, fitted = squash.transform(side), squash.transform(fitted)
    return StandardScaler().fit(fitted).transform(side)


def _in_range(side: np.ndarray) -> np.ndarray:
    """Each column centred at its median and scaled to a largest absolute value of 1.

    Then sums of squares neither overflow nor underflow, and a column far from zero is not mistaken for a constant.
    """
    side = side / np.abs(side).max(0)
    side = side - np.median(side, axis=0)
    return side / np.abs(side).max(0)


def read_array(path: Path) -> np.ndarray:
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise UserError(f"{path} {what}; write a file with numpy.save")
    no_array = f"{path} is no array of numbers; write it with numpy.save('{path.stem}.npy', array)"
    try:
        with path.open("rb") as file:
            content = np.load(file, allow_pickle=False)
            if isinstance(content, np.ndarray):
                return content
            arrays = {name: content[name] for name in content.files}
    except Exception:  # a garbled header makes numpy, zipfile and tokenize raise errors of ten kinds
        raise UserError(no_array) from None
    if not arrays or not all(isinstance(array, np.ndarray) for array in arrays.values()):  # a zip of something else
        raise UserError(no_array)
    if len(arrays) > 1:
        raise UserError(f"{path} holds several arrays ({', '.join(arrays)}); save the one you mean with numpy.save")
    return next(iter(arrays.values()))
