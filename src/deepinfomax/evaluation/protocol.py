"""What all probes share: scales, seeds, standardised features, checked labels."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepinfomax.data.images import ImageSet
from deepinfomax.errors import UserError
from deepinfomax.recipes import Scale

__all__ = [
    "Scale",
    "Standardiser",
    "check_labels",
    "check_scale",
    "choose",
    "few_in_name",
    "few_per_class",
    "sample",
    "seeded",
    "standardised",
]


@contextmanager
def seeded(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """torch's global random state set by `seed` within the block, and untouched outside it."""
    device = torch.device(device)
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield


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


def few_in_name(measure: str) -> tuple[str, int | None]:
    """ "linear_10_per_class" -> ("linear", 10); "linear" -> ("linear", None)."""
    found = re.fullmatch(r"(\w+?)_([1-9]\d*)_per_class", measure)
    return (found[1], int(found[2])) if found else (measure, None)
