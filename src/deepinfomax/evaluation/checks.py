"""Checks before anything is measured, so that a mistake is found in seconds and not after hours."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from deepinfomax.data.images import ImageSet
from deepinfomax.errors import UserError, count_of
from deepinfomax.evaluation.controls import CONTROLS
from deepinfomax.evaluation.few_labels import check_folds
from deepinfomax.evaluation.labels import check_attributes, check_labels
from deepinfomax.evaluation.measures import FEW_LABELS, MEASURES, all_measures, measure_called
from deepinfomax.evaluation.usual import part_without_labels
from deepinfomax.features import LEVELS


def check_names(
    measures: Sequence[str],
    levels: Sequence[str],
    controls: Sequence[str],
    make_encoder: Callable[[], Any] | None,
) -> None:
    """Raises UserError for unknown names, for no measure, and for a control that needs a missing `make_encoder`."""
    records = [measure_called(name)[0] for name in measures]
    for kind, given, known in (("level", levels, LEVELS), ("control", controls, CONTROLS)):
        for name in given:
            if name not in known:
                raise UserError(f"unknown {kind} {name!r}; choose of {', '.join(known)}")
        if len(set(given)) < len(given):
            raise UserError(f"{kind}s {', '.join(given)}: name each once")
    if not measures and "supervised" not in controls:
        raise UserError(f"there is nothing to measure; choose of {', '.join(MEASURES)}, {FEW_LABELS}")
    if not levels and any(record.of == "features" for record in records):
        raise UserError(f"there is no level to measure at; choose of {', '.join(LEVELS)}")
    of_encoders = [c for c in controls if c in ("random_encoder", "supervised")]
    if of_encoders and make_encoder is None:
        raise UserError(
            f"the control {of_encoders[0]} needs a new encoder of the same architecture: leave it out of the controls, "
            "or pass make_encoder, a function that builds one, in Python"
        )


def check_sets(train: ImageSet, test: ImageSet, measures: Sequence[str], controls: Sequence[str]) -> None:
    """Raises UserError for empty sets, labels that are missing, too few or of the wrong kind, and different shapes."""
    records = {name: measure_called(name)[0] for name in measures}
    needing = [name for name, record in records.items() if record.labels is not None]
    needing += [c for c in controls if c == "supervised"]
    for which, images in (("training", train), ("test", test)):
        name = images.name or "the data"
        if len(images) == 0:
            raise UserError(f"{name} has no {which} images to measure on")
        if images.labels is not None and len(images.labels) != len(images):
            raise UserError(
                f"{name} has {count_of(len(images.labels), 'label')} for {count_of(len(images), f'{which} image')}; "
                "give one for each"
            )
        if needing and (images.labels is None or (images.labels == -1).all()):
            without = [record.name for record in all_measures() if record.labels is None]
            lacking = part_without_labels(train, test)
            raise UserError(
                f"{name} has no {which} labels, which {', '.join(needing)} need{'s' if len(needing) == 1 else ''}; "
                f"without labels: --measures {','.join(without)}{f'; or {lacking[1]}' if lacking else ''}"
            )
    if train.images.shape[1:] != test.images.shape[1:]:
        shapes = ["x".join(map(str, s.images.shape[1:])) for s in (train, test)]
        raise UserError(f"training images are {shapes[0]} and test images {shapes[1]}; resize one to the other")
    if needing and train.labels is not None and test.labels is not None:
        of_classes = [name for name in needing if name not in records or records[name].labels == "classes"]
        if train.labels.ndim > 1 and of_classes:
            raise UserError(
                f"labels are {train.labels.shape[1]} attributes an image, which {', '.join(of_classes)} cannot use; "
                "use --measures attributes"
            )
        if train.labels.ndim == 1 and len(of_classes) < len(needing):
            raise UserError("attributes needs labels (N, K) of 0 and 1, one column each; for classes use linear")


def check_folds_of(measures: Sequence[str], folds: Sequence[np.ndarray], labels: np.ndarray | None) -> None:
    """Raises UserError if a measure needs folds, and there are none or they have positions beyond the labels."""
    budgets = (measure_called(name)[1] for name in measures)
    if any(budget is not None and budget.unit == "folds" for budget in budgets):
        check_folds(folds, 0 if labels is None else int((labels != -1).sum()))


def check_pixels(train: ImageSet, test: ImageSet, measures: Sequence[str]) -> None:
    """Raises UserError for values that are not finite, and for images that a measure refuses (`Measure.check`)."""
    for which, images in (("training", train), ("test", test)):
        if images.images.dtype.kind != "f":
            continue
        bad = 0
        for start in range(0, len(images), 1000):  # a memory map is not read at once
            with np.errstate(over="ignore"):
                part = np.asarray(images.images[start : start + 1000], dtype=np.float32)
            bad += int((~np.isfinite(part.reshape(len(part), -1)).all(1)).sum())
        if bad:
            raise UserError(
                f"{images.name or 'the data'} has {bad:,} {which} images with values that are not finite in float32 "
                "(NaN or infinity): leave them out"
            )
    for name in measures:
        record = measure_called(name)[0]
        if record.check is not None:
            record.check(train, test)


def check_classes(
    names: Sequence[str],
    train: np.ndarray,
    test: np.ndarray,
    seed: int,
    folds: Sequence[np.ndarray] = (),
    classes: Sequence[str] = (),
) -> None:
    """Raises UserError for labels that a measure or the supervised control cannot use, also after drawing few of them.

    Args:
        names: of measures and controls.
        train, test: the labels that are used.
        classes: their names, for what an error says.
    """
    for name in names:
        if name in CONTROLS:
            if name == "supervised":
                check_labels(train, test, classes)
            continue
        measure, budget = measure_called(name)
        if measure.labels == "attributes":
            check_attributes(train, test)
        if measure.labels != "classes":
            continue
        check_labels(train, test, classes)
        if budget is None:
            continue
        least = max(2, measure.least[0])
        for rows in budget.draw(train, draws=1, seed=seed, folds=folds)[0]:
            seen = train[rows.numpy()]
            if len(seen) < least:
                raise UserError(
                    f"{name} sees {len(seen):,} labels, and {measure.name} needs {least} or more: give it more"
                )
            if len(np.unique(seen)) < 2:
                raise UserError(f"{name} sees labels of one class only, {seen[0]}: a probe needs two classes or more")
