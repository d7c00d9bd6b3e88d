"""Labels as the measures take them: classes numbered from 0, or attributes of 0 and 1."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Int, Num, Shaped
from torch import Tensor

from deepinfomax.errors import UserError


def check_labels(
    train: Shaped[np.ndarray, "N"], test: Shaped[np.ndarray, "T"], names: Sequence[str] = ()
) -> tuple[Int[Tensor, "N"], Int[Tensor, "T"], int]:
    """Number the classes of the training labels, which may be of any kind, from 0 to K - 1.

    A test label that no training image has becomes -1, so that every classifier's answer to it is wrong.

    Args:
        names: of the classes, where labels are their numbers; for what an error says.

    Returns:
        the numbers of the training labels and of the test labels, and K.

    Raises:
        UserError: multi-label, fewer than two classes, or no test label among those of training.
    """
    for labels in (train, test):
        if np.ndim(labels) != 1:
            raise UserError(
                f"labels have shape {np.shape(labels)}, one column per attribute: measure `attributes` instead"
            )
    classes = np.unique(train)
    if len(classes) < 2:
        raise UserError(
            f"all {len(train):,} training labels are {_shown(classes, names) or 'missing'}: "
            "a probe needs two classes or more"
        )
    numbers = np.searchsorted(classes, test).clip(max=len(classes) - 1)
    known = np.where(classes[numbers] == test, numbers, -1)
    if len(known) and (known == -1).all():
        raise UserError(
            f"no test label is one of training: these are {_shown(classes, names)}, those of the test images "
            f"{_shown(np.unique(test), names)}; give both the same names"
        )
    return torch.from_numpy(np.searchsorted(classes, train)), torch.from_numpy(known), len(classes)


def _shown(classes: np.ndarray, names: Sequence[str]) -> str:
    numbers = classes.dtype.kind in "iu"
    words = (names[label] if numbers and 0 <= label < len(names) else str(label) for label in classes[:5].tolist())
    return ", ".join(words) + (", ..." if len(classes) > 5 else "")


def check_attributes(train: Num[np.ndarray, "N K"], test: Num[np.ndarray, "T K"]) -> Bool[np.ndarray, "K"]:
    """Which attributes vary in both sets, and so can be measured; labels are 0 and 1.

    Raises:
        UserError: labels of other values or another shape, or no attribute that varies in both sets.
    """
    for labels in (train, test):
        if np.ndim(labels) != 2:
            raise UserError(f"attributes needs labels (N, K) of 0 and 1, not of shape {np.shape(labels)}")
        if (odd := ~np.isin(labels, (0, 1))).any():
            raise UserError(
                f"attributes needs labels (N, K) of 0 and 1, and {int(odd.any(1).sum()):,} of {len(labels):,} images "
                f"have others, such as {labels[odd][0]}: leave these images out"
            )
    if train.shape[1] != test.shape[1]:
        raise UserError(f"{train.shape[1]} attributes in training and {test.shape[1]} in test")
    varies = np.logical_and(*(labels.min(0) < labels.max(0) for labels in (train, test)))
    if not varies.any():
        raise UserError("every attribute is the same for all training or for all test images: nothing to measure")
    return varies
