"""The default measures: those that are possible with these data."""

from collections.abc import Callable

import numpy as np

from deepinfomax.data.images import ImageSet
from deepinfomax.errors import UserError
from deepinfomax.evaluation.measures import MEASURES

OF_CLASSES = ("mlp", "linear", "knn")
OF_ATTRIBUTES = ("attributes",)


def usual_measures(
    train: ImageSet, test: ImageSet, units: Callable[[], int] | None = None
) -> tuple[tuple[str, ...], list[str]]:
    """The names of the default measures for these sets, and notes about measures that are left out.

    With labels of two classes or more: the probes. With attributes: `attributes`. Otherwise: the built-in measures that
    need no labels, if there are enough images.

    Args:
        units: returns the number of units of y; called only if it matters. None: several.

    Raises:
        UserError: no measure is possible.
    """
    labels = None if train.labels is None or test.labels is None else (train.labels, test.labels)
    if labels is not None and labels[0].ndim > 1:
        return OF_ATTRIBUTES, []
    why = "there are no labels"
    if lacking := part_without_labels(train, test):
        why = f"the {lacking[0]} images have no labels ({lacking[1]})"
    if labels is not None and (labels[0] != -1).any() and (labels[1] != -1).any():
        if len(np.unique(labels[0][labels[0] != -1])) > 1:
            return OF_CLASSES, []
        why = "all training labels are the same"
    names, left_out = [], []
    for name, record in MEASURES.builtin.items():
        if record.labels is not None:
            continue
        try:
            record.check_counts(len(train), len(test))
            if record.check is not None:
                record.check(train, test)
        except UserError as error:
            left_out.append(f"{name} is left out: {str(error).removesuffix(': leave it out')}")
            continue
        if name == "ndm" and units is not None and units() < 2:
            left_out.append("ndm is left out: y has a single unit, which depends on no other")
            continue
        names.append(name)
    if not names:
        raise UserError(f"{train.name or 'the data'}: {why}, and {'; '.join(left_out)}")
    verb = "is" if len(names) == 1 else "are"
    return tuple(names), [f"{why}, so {', '.join(names)} {verb} measured", *left_out]


def part_without_labels(train: ImageSet, test: ImageSet) -> tuple[str, str] | None:
    """ "training" or "test", if only this part has no labels, and what the user can do; else None."""
    train_has, test_has = (s.labels is not None and bool((s.labels != -1).any()) for s in (train, test))
    if train_has == test_has:
        return None
    which, other, split = ("test", "training", "train") if train_has else ("training", "test", "test")
    file = "labelled.parquet"
    commands = f"deepinfomax embed RUN DATA --split {split} --out {file}, then deepinfomax evaluate {file}"
    return which, f"give them labels, or measure on the {other} images alone: {commands}"


def usual_measures_of_vectors(labels: np.ndarray | None) -> tuple[str, ...]:
    """The same for embeddings with labels (N,) or (N, K), or none."""
    if labels is None or (labels.ndim == 1 and len(np.unique(labels)) < 2):
        return tuple(name for name, record in MEASURES.builtin.items() if record.of_vectors is not None)
    return OF_ATTRIBUTES if labels.ndim == 2 and labels.shape[1] > 1 else OF_CLASSES
