"""Checks of the training and the test part against each other: their classes, and images that are in both."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from deepinfomax.data.images import ImageSet
from deepinfomax.errors import UserError, listed
from deepinfomax.evaluation.few_labels import LabelBudget

MOST_NAMES = 5  #: classes that a line names


def with_classes_of(train: ImageSet, test: ImageSet) -> ImageSet:
    """The test set with the training set's numbers for labels, matched by the names of the classes.

    In sets that were made separately, the same number may mean different classes: for example, labels 0 and 2 alone are
    numbered 0 and 1. Classes that only the test set has come after the others.

    Raises:
        UserError: no class has the same name in both, attributes are not the same in both, or one-hot labels are
            classes in one only.
    """
    if train.labels is None or test.labels is None or not (train.classes and test.classes):
        return test
    columns = train.labels if train.labels.ndim > 1 else test.labels
    if train.labels.ndim != test.labels.ndim and (columns.sum(1) == 1).all():
        less, more = ("training", "test") if train.labels.ndim > 1 else ("test", "training")
        raise UserError(
            f"one-hot labels are classes in {more} and attributes in {less}, where a class has no image: give numbers, "
            "labels.argmax(1)"
        )
    if train.classes == test.classes:
        return test
    if train.labels.ndim > 1 or test.labels.ndim > 1:
        raise UserError(f"the attributes are {_few(train.classes)} in training and {_few(test.classes)} in test")
    if not set(train.classes) & set(test.classes):
        raise UserError(
            f"no class of the training images ({_few(train.classes)}) is one of the test images "
            f"({_few(test.classes)}): give both the same names of classes"
        )
    names = (*train.classes, *(name for name in test.classes if name not in train.classes))
    number = np.array([names.index(name) for name in test.classes])
    labels = np.asarray(test.labels)
    return replace(test, labels=np.where(labels == -1, -1, number[labels.clip(0)]), classes=names)


def remarks(train_labels: np.ndarray | None, test_labels: np.ndarray | None, names: Sequence[str] = ()) -> list[str]:
    """What a reader of a figure should know of the classes: labels (N,), (T,) of any kind that both sets share."""
    if train_labels is None or test_labels is None or np.ndim(train_labels) > 1 or np.ndim(test_labels) > 1:
        return []
    in_train, in_test = (np.unique(labels) for labels in (train_labels, test_labels))
    said = []
    only_test, only_train = np.setdiff1d(in_test, in_train), np.setdiff1d(in_train, in_test)
    if len(only_test):
        count = int(np.isin(test_labels, only_test).sum())
        said.append(
            f"{count:,} of {len(test_labels):,} test images are of classes that no training image has "
            f"({_named(only_test, names)}): each counts as an error"
        )
    if len(only_train):
        said.append(
            f"{len(only_train):,} of {len(in_train):,} classes have no test image ({_named(only_train, names)}): the "
            "figures say nothing of them"
        )
    return said


def small_classes(labels: np.ndarray, budgets: Iterable[LabelBudget | None], names: Sequence[str] = ()) -> list[str]:
    """The notes on classes that have fewer labels than a measure of so many per class, or of a percentage, asks for."""
    present, have = np.unique(labels[labels != -1] if labels.dtype.kind in "iu" else labels, return_counts=True)
    asked, said = [budget for budget in budgets if budget is not None], []
    for count in sorted({budget.count for budget in asked if budget.unit == "per_class"}):
        few = present[have < count]
        if len(few):
            said.append(
                f"{len(few):,} of {len(present):,} classes have fewer than {count} labels to train on "
                f"({_named(few, names)}): measures of {count} per class see all of theirs"
            )
    for count in sorted({budget.count for budget in asked if budget.unit == "percent"}):
        few = present[np.round(have * count / 100) < 1]
        if len(few):
            said.append(
                f"of {len(few):,} of {len(present):,} classes {count} % is less than one label ({_named(few, names)}): "
                f"measures of {count} percent see one label of each, which is more than {count} %"
            )
    return said


def in_both(train: np.ndarray, test: np.ndarray, what: str = "images", how: str = "pixel for pixel") -> list[str]:
    """The note on test rows that are among the training rows too; about a second for 100,000 images of 64 pixels."""
    known = {_digest(row) for row in train}
    count = sum(_digest(row) in known for row in test)
    if not count:
        return []
    return [f"{count:,} of {len(test):,} test {what} are among the training {what} too, {how}: figures are flattered"]


def _digest(row: np.ndarray) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(row).data, digest_size=16).digest()


def _named(numbers: np.ndarray, names: Sequence[str]) -> str:
    return _few([names[n] if isinstance(n, int) and 0 <= n < len(names) else n for n in numbers.tolist()])


def _few(names: Iterable[Any]) -> str:
    return listed(names, MOST_NAMES)
