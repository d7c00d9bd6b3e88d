"""Checks of the settings of estimates, shared by all functions: each raises UserError for a wrong value."""

import math
from typing import Any, get_args

import numpy as np

from deepinfomax.errors import UserError
from deepinfomax.information.inputs import Transform


def check_transform(transform: str) -> None:
    names = get_args(Transform)
    if transform not in names:
        raise UserError(f"unknown transform {transform!r}; choose {', '.join(names[:-1])} or {names[-1]}")


def check_shuffles(shuffles: int) -> None:
    check_whole(shuffles=shuffles)
    if shuffles < 0:
        raise UserError(f"shuffles must be 0 or more, not {shuffles}: 999 is usual")


def check_whole(**settings: Any) -> None:
    for name, value in settings.items():
        if not isinstance(value, int | np.integer) or isinstance(value, bool):
            raise UserError(f"{name} must be a whole number, such as 3, not {value!r}")


def check_numbers(**settings: Any) -> None:
    for name, value in settings.items():
        if not isinstance(value, int | float | np.integer | np.floating) or isinstance(value, bool):
            raise UserError(f"{name} must be a number, such as 0.5, not {value!r}")


def check_split(validation: float, test: float) -> None:
    if not (validation > 0 and test > 0 and validation + test <= 0.95):  # written so that nan is refused too
        raise UserError(f"validation ({validation}) and test ({test}) must be above 0 and leave 5% to train on")


def check_folds(folds: int | None) -> None:
    if folds is not None and (
        not isinstance(folds, int | np.integer) or isinstance(folds, bool) or not 3 <= folds <= 20
    ):
        raise UserError(
            f"folds must be a whole number from 3 to 20, not {folds!r}: one trains not, one stops, one is read"
        )


def check_training(steps: int, batch_size: int, lr: float, hidden: tuple[int, ...], patience: int) -> None:
    """Raises UserError for settings of a critic's training that are out of range."""
    check_whole(steps=steps, batch_size=batch_size, patience=patience)
    check_numbers(lr=lr)
    if steps < 1:
        raise UserError(f"steps ({steps}) must be at least 1")
    if batch_size < 2:
        raise UserError(f"batch_size must be at least 2, not {batch_size}: the others of a batch are the negatives")
    if not 0 < lr < math.inf:
        raise UserError(f"lr must be above 0, not {lr}: 5e-4 is usual")
    whole = isinstance(hidden, tuple | list) and all(isinstance(width, int | np.integer) for width in hidden)
    if not whole or not hidden or min(hidden) < 1:
        raise UserError(f"hidden must be the widths of one layer or more, such as (256, 256), not {hidden!r}")
    if patience < 1:
        raise UserError(f"patience must be at least 1 evaluation, not {patience}")
