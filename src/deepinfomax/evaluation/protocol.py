"""What all probes share: scales, seeds, standardised features, checked labels."""

import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from deepinfomax.data.images import ImageSet
from deepinfomax.errors import UserError
from deepinfomax.recipes import Scale

__all__ = [
    "LEAST",
    "Few",
    "Scale",
    "Standardiser",
    "check_attributes",
    "check_counts",
    "check_folds",
    "check_labels",
    "check_scale",
    "choose",
    "few_in_name",
    "few_per_class",
    "sample",
    "seeded",
    "share_of_each_class",
    "spread",
    "standardised",
    "stream",
]

#: The fewest training and test images that a measure can say anything of.
LEAST = {
    "mine": (100, 50),
    "ndm": (100, 50),
    "rank": (0, 3),
    "reconstruction": (2, 1),
    "svm": (10, 1),
}


@contextmanager
def seeded(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """torch's global random state set by `seed` within the block, and untouched outside it."""
    device = torch.device(device)
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield


def stream(seed: int, purpose: str) -> np.random.Generator:
    """Draws of one purpose, by `seed`.

    Not default_rng(seed): whoever put rows in order by that would find, of all orders, the inverse of it drawn here.
    """
    return np.random.default_rng([seed, zlib.crc32(purpose.encode())])


def check_scale(scale: str) -> Scale:
    if scale not in ("smoke", "cpu", "paper"):
        raise UserError(f"unknown scale {scale!r}; choose smoke, cpu or paper")
    return scale  # type: ignore[return-value]


def choose(settings: dict[Scale, dict[str, Any]], scale: Scale) -> dict[str, Any]:
    """The settings of a scale."""
    return dict(settings[check_scale(scale)])


@dataclass(frozen=True)
class Standardiser:
    """Each unit minus its mean, over its standard deviation; a constant unit becomes 0."""

    mean: Tensor  #: (units,)
    scale: Tensor  #: (units,) 1 / standard deviation, 0 for constant units

    @classmethod
    def of(cls, train: Tensor) -> "Standardiser":
        """Statistics of (N, units), by the two-pass formula in fp64, in blocks of rows so that no copy is made.

        A unit is constant when its standard deviation is below 1e-6 of its largest absolute value: what fp32 cannot
        tell from rounding.
        """
        mean = sum(part.double().sum(0) for part in train.split(1000)) / len(train)
        assert isinstance(mean, Tensor)
        variance = sum((part.double() - mean).square().sum(0) for part in train.split(1000)) / len(train)
        assert isinstance(variance, Tensor)
        deviation = variance.sqrt()
        constant = deviation <= 1e-6 * train.abs().amax(0).double()
        return cls(mean.float(), torch.where(constant, 0.0, 1 / deviation).float())

    @property
    def constant_units(self) -> int:
        return int((self.scale == 0).sum())

    def __call__(self, vectors: Tensor) -> Tensor:
        """(N, units) -> (N, units), a new tensor."""
        return (vectors - self.mean).mul_(self.scale)


def standardised(train: Tensor, test: Tensor, standardiser: Standardiser | None = None) -> tuple[Tensor, Tensor, int]:
    """Both sets by the statistics of `train` (unless others are given), and how many units are constant there."""
    standardiser = standardiser or Standardiser.of(train)
    return standardiser(train), standardiser(test), standardiser.constant_units


def spread(values: Sequence[float]) -> float | None:
    """The standard deviation that a sample lets one expect of others; None of a single value."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def check_labels(train: np.ndarray, test: np.ndarray) -> tuple[Tensor, Tensor, int]:
    """Labels of any kind as classes 0 to K - 1 of the training labels.

    A test label that no training image has becomes -1 and so counts as an error of every classifier.

    Returns:
        train (N,) int64, test (T,) int64, K.

    Raises:
        UserError: multi-label, or fewer than two classes.
    """
    for labels in (train, test):
        if np.ndim(labels) != 1:
            raise UserError(
                f"labels have shape {np.shape(labels)}, one column per attribute: measure `attributes` instead"
            )
    classes = np.unique(train)
    if len(classes) < 2:
        raise UserError(
            f"all {len(train):,} training labels are {classes[0] if len(classes) else 'missing'}: "
            "a probe needs two classes or more"
        )
    numbers = np.searchsorted(classes, test).clip(max=len(classes) - 1)
    known = np.where(classes[numbers] == test, numbers, -1)
    return torch.from_numpy(np.searchsorted(classes, train)), torch.from_numpy(known), len(classes)


def check_attributes(train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Labels (N, K), (T, K) of yes and no -> (K,) bool: which attributes vary in both sets, and so can be measured.

    Raises:
        UserError: labels that are not such, or no attribute that varies in both sets.
    """
    for labels in (train, test):
        if np.ndim(labels) != 2 or not np.isin(labels, (0, 1)).all():
            raise UserError(f"attributes needs labels (N, K) of 0 and 1, not of shape {np.shape(labels)}")
    if train.shape[1] != test.shape[1]:
        raise UserError(f"{train.shape[1]} attributes in training and {test.shape[1]} in test")
    varies = np.logical_and(*(labels.min(0) < labels.max(0) for labels in (train, test)))
    if not varies.any():
        raise UserError("every attribute is the same for all training or for all test images: nothing to measure")
    return varies


def check_counts(name: str, measure: str, train: int, test: int) -> None:
    """Raises UserError where `measure`, asked for as `name`, has fewer images than `LEAST`."""
    for which, least, count in zip(("training", "test"), LEAST.get(measure, (0, 0)), (train, test), strict=True):
        if count < least:
            raise UserError(f"{name} needs {least} {which} images or more, not {count:,}")


def few_per_class(labels: np.ndarray | Tensor, count: int, seed: int) -> Tensor:
    """Positions of `count` images of each class (all of a smaller class), drawn by `seed`, in ascending order."""
    rng = np.random.default_rng([seed, count])
    labels = np.asarray(labels)
    chosen = [rng.permutation(np.flatnonzero(labels == c))[:count] for c in np.unique(labels)]
    return torch.from_numpy(np.sort(np.concatenate(chosen)))


def sample(images: ImageSet, count: int | None, rng: np.random.Generator) -> ImageSet:
    """`count` of the images in their order, drawn by `rng`; the set itself where it has no more, or for None."""
    chosen = np.sort(rng.permutation(len(images))[:count])  # drawn in any case: what rng gives next is the same
    return images if len(chosen) == len(images) else images.take(chosen)


@dataclass(frozen=True)
class Few:
    """Which labels a measure may see: `count` of each class, `count` per cent of each class, or published folds."""

    unit: Literal["per_class", "percent", "folds"]
    count: int = 0

    @property
    def name(self) -> str:
        """As behind the name of a measure: "10_per_class", "1_percent", "folds"."""
        return self.unit if self.unit == "folds" else f"{self.count}_{self.unit}"

    def parts(
        self, labels: np.ndarray, *, draws: int, seed: int = 0, folds: Sequence[np.ndarray] = ()
    ) -> tuple[list[Tensor], str]:
        """Positions of the labels seen, one tensor a training, and what they are in words.

        Args:
            labels: (N,), of all labelled training images.
            draws: how many times a few labels are drawn; folds come in their own number.
            folds: positions in `labels`, one array each (STL-10 comes with ten of 1,000).

        Raises:
            UserError: folds are asked for and there are none, or they point beyond the labels.
        """
        if self.unit == "folds":
            check_folds(folds, len(labels))
            return [torch.as_tensor(np.asarray(fold, dtype=np.int64)) for fold in folds], f"mean of {len(folds)} folds"
        if self.unit == "percent":
            parts = [share_of_each_class(labels, self.count / 100, seed * 1000 + draw) for draw in range(draws)]
            return parts, f"{self.count} % of the labels of each class, mean of {draws} draws"
        parts = [few_per_class(labels, self.count, seed * 1000 + draw) for draw in range(draws)]
        return parts, f"{self.count} labels a class, mean of {draws} draws"


def check_folds(folds: Sequence[np.ndarray], count: int) -> None:
    """Raises UserError where there are no folds, or where any is not positions among `count` labelled images."""
    if not len(folds):
        raise UserError(
            "there are no folds: put a file fold_indices.txt into the folder of the data, a line of positions for each "
            "fold as STL-10 has it, or measure semi_supervised or linear_10_per_class"
        )
    for number, fold in enumerate(folds, 1):
        if np.size(fold) == 0:
            raise UserError(f"fold {number} of {len(folds)} is empty: give it positions of training images")
        if (kind := np.asarray(fold).dtype).kind not in "iu":  # a mask would pass for images 0 and 1
            raise UserError(f"fold {number} of {len(folds)} holds {kind}: give it positions, which are whole numbers")
        if np.min(fold) < 0:
            raise UserError(f"fold {number} of {len(folds)} names image {int(np.min(fold))}; the first is 0")
    last = max(int(np.max(fold)) for fold in folds)
    if last >= count:
        raise UserError(
            f"the folds name image {last}, the first being 0, and only {count:,} training images have labels"
        )


def share_of_each_class(labels: np.ndarray, share: float, seed: int) -> Tensor:
    """Positions of a share of the images of each class, one at least, drawn by `seed`, in ascending order."""
    rng = np.random.default_rng([seed, round(share * 1e6)])
    members = [rng.permutation(np.flatnonzero(labels == c)) for c in np.unique(labels)]
    return torch.from_numpy(np.sort(np.concatenate([m[: max(1, round(len(m) * share))] for m in members])))


def few_in_name(measure: str) -> tuple[str, Few | None]:
    """ "linear_10_per_class" -> ("linear", 10 per class), likewise "_1_percent" and "_folds"; "linear" has no Few."""
    found = re.fullmatch(r"(\w+?)_(?:([1-9]\d*)_per_class|([1-9]\d?)_percent|(folds))", measure)
    if found is None:
        return measure, None
    base, per_class, percent, _folds = found.groups()
    if per_class or percent:
        return base, Few("per_class", int(per_class)) if per_class else Few("percent", int(percent))
    return base, Few("folds")
