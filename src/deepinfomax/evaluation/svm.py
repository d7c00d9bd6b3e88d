"""Linear support vector machine on frozen features, five fits (paper Table 4)."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from deepinfomax.evaluation import convex
from deepinfomax.evaluation.labels import check_labels
from deepinfomax.evaluation.measure import CONSTANT_UNITS, Figure, Measure
from deepinfomax.evaluation.scales import Scale, at_scale
from deepinfomax.evaluation.standardising import Standardiser, standardised
from deepinfomax.progress import within

FITS = 5


@dataclass(frozen=True)
class Settings:
    """How the weight decay is chosen, and how long each fit may take."""

    weight_decay: tuple[float, ...]  #: candidates for λ = 1 / (C·N); the tenth that the first fit leaves out chooses
    iterations: int  #: of L-BFGS, at most


SETTINGS: dict[Scale, Settings] = {
    "smoke": Settings(weight_decay=(0.1,), iterations=20),
    "cpu": Settings(weight_decay=(10.0, 1.0, 0.1, 0.01), iterations=40),
    "paper": Settings(weight_decay=(10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001), iterations=300),
}


@dataclass(frozen=True, kw_only=True)
class Result:
    """The accuracy of a support vector machine on test images."""

    accuracy: float  #: fraction, mean over fits
    std: float  #: over fits
    n_train: int  #: of one fit
    n_test: int
    constant_units: int  #: of the features; set to 0
    C: float  #: inverse of the weight decay, as in scikit-learn: 1 / (λ·N)
    protocol: str
    settings: dict[str, Any]  #: among them the accuracy of each fit
    seconds: float


def svm(
    train: Float[Tensor, "N units"],
    train_labels: Shaped[np.ndarray, "N"],
    test: Float[Tensor, "T units"],
    test_labels: Shaped[np.ndarray, "T"],
    *,
    scale: Scale = "cpu",
    seed: int = 0,
    device: torch.device | str = "cpu",
    standardiser: Standardiser | None = None,
) -> Result:
    """Mean and standard deviation of the test accuracy over five fits.

    The loss is the squared hinge, one class against the rest, as in scikit-learn's LinearSVC, which the authors'
    framework calls. The problem is convex, so all fits on the same images would be equal, and the paper does not say
    how its five fits differ. Here each fit has nine tenths of the training images, drawn anew. Memory: a standardised
    copy of both sets, and nine tenths of the training set.

    Args:
        train, test: vectors of the training images and of the test images.
        standardiser: None: with the statistics of `train`.

    Raises:
        UserError: labels of one class, or fewer than 10 training images.
    """
    began = time.perf_counter()
    settings = at_scale(SETTINGS, scale)
    y, y_test, classes = check_labels(train_labels, test_labels)
    MEASURE.check_counts(len(train), len(test))
    x, x_test, constant = standardised(train, test, standardiser)
    x, y, x_test, y_test = (t.to(device) for t in (x, y, x_test, y_test))
    left_out = len(x) // 10
    candidates = convex.candidates(settings.weight_decay, left_out)
    decay, start = candidates[0], None
    accuracies = []
    for number in range(FITS):
        order = torch.from_numpy(np.random.default_rng([seed, number]).permutation(len(x))).to(device)
        fitted, held_out = order[left_out:], order[:left_out]
        if number == 0 and len(candidates) > 1:
            decay, start = convex.choose_decay(
                x,
                y,
                classes,
                candidates,
                loss=convex.squared_hinge,
                iterations=settings.iterations,
                fitted=fitted,
                held_out=held_out,
            )
        with within(f"fit {number + 1} of {FITS}"):
            # Each fit starts where the first began, not where another ended, so that the five are independent.
            weights = convex.fit(
                x[fitted],
                y[fitted],
                classes,
                loss=convex.squared_hinge,
                weight_decay=decay,
                iterations=settings.iterations,
                start=start,
            )
        accuracies.append(convex.accuracy(weights, x_test, y_test))
    return Result(
        accuracy=float(np.mean(accuracies)),
        std=float(np.std(accuracies, ddof=1)),
        n_train=len(fitted),
        n_test=len(x_test),
        constant_units=constant,
        C=1 / (decay * len(fitted)),
        protocol=f"linear SVM, squared hinge, one against rest, {FITS} fits of nine tenths, standardised features",
        settings={
            "scale": scale,
            "weight_decay": decay,
            "candidates": candidates,
            "iterations": settings.iterations,
            "accuracies": accuracies,
        },
        seconds=time.perf_counter() - began,
    )


MEASURE = Measure(
    name="svm",
    title="Linear SVM",
    of="features",
    labels="classes",
    figures=(Figure("accuracy", "accuracy", "fraction", "higher", "share of images classified rightly", error="std"),),
    function=svm,
    protocol="the paper’s support vector machine on frozen features",
    least=(10, 1),
    few_labels=True,
    remarks=(CONSTANT_UNITS,),
)
