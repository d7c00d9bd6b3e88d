"""Linear probe: logistic regression on frozen features."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from deepinfomax.evaluation import convex
from deepinfomax.evaluation.draws import stream
from deepinfomax.evaluation.labels import check_labels
from deepinfomax.evaluation.measure import CONSTANT_UNITS, Figure, Measure
from deepinfomax.evaluation.scales import Scale, at_scale
from deepinfomax.evaluation.standardising import Standardiser, standardised


@dataclass(frozen=True)
class Settings:
    """How the weight decay is chosen, and how long each fit may take."""

    #: candidates for λ = 1 / (C·N) of the mean loss; a single one is taken without a choice
    weight_decay: tuple[float, ...]
    held_out: float  #: share of the training images that chooses among the candidates
    iterations: int  #: of L-BFGS, at most


SETTINGS: dict[Scale, Settings] = {
    "smoke": Settings(weight_decay=(0.03,), held_out=0.0, iterations=30),
    "cpu": Settings(weight_decay=(0.3, 0.03, 0.003), held_out=0.1, iterations=40),
    "paper": Settings(weight_decay=(1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001), held_out=0.1, iterations=300),
}


@dataclass(frozen=True, kw_only=True)
class Result:
    """The accuracy of a linear classifier on test images."""

    accuracy: float  #: fraction
    std: float | None  #: None: one deterministic fit; with few labels over draws of them
    n_train: int
    n_test: int
    constant_units: int  #: of the features; set to 0
    C: float  #: inverse of the weight decay, as in scikit-learn: 1 / (λ·N)
    protocol: str
    settings: dict[str, Any]
    seconds: float


def linear(
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
    """Multinomial logistic regression by L-BFGS; held-out training images choose the weight decay.

    Minimises mean cross-entropy + λ/2 ‖W‖², which is scikit-learn's LogisticRegression with C = 1 / (λ·N). The test
    images have no part in the choice. Memory: a standardised copy of both sets.

    Args:
        train, test: vectors of the training images and of the test images.
        standardiser: None: with the statistics of `train`.

    Raises:
        UserError: labels of one class.
    """
    began = time.perf_counter()
    settings = at_scale(SETTINGS, scale)
    y, y_test, classes = check_labels(train_labels, test_labels)
    x, x_test, constant = standardised(train, test, standardiser)
    x, y, x_test, y_test = (t.to(device) for t in (x, y, x_test, y_test))
    held_out = int(len(x) * settings.held_out)
    candidates = convex.candidates(settings.weight_decay, held_out)
    decay, start = candidates[0], None
    if len(candidates) > 1:
        order = torch.from_numpy(stream(seed, "linear").permutation(len(x))).to(device)
        decay, start = convex.choose_decay(
            x,
            y,
            classes,
            candidates,
            loss=convex.cross_entropy,
            iterations=settings.iterations,
            fitted=order[held_out:],
            held_out=order[:held_out],
        )
    weights = convex.fit(
        x,
        y,
        classes,
        loss=convex.cross_entropy,
        weight_decay=decay,
        iterations=settings.iterations,
        start=start,
    )
    how = "C chosen on held-out training images" if len(candidates) > 1 else "C fixed"
    return Result(
        accuracy=convex.accuracy(weights, x_test, y_test),
        std=None,
        n_train=len(x),
        n_test=len(x_test),
        constant_units=constant,
        C=1 / (decay * len(x)),
        protocol=f"logistic regression, L-BFGS, {how}, standardised features",
        settings={
            "scale": scale,
            "weight_decay": decay,
            "candidates": candidates,
            "iterations": settings.iterations,
        },
        seconds=time.perf_counter() - began,
    )


MEASURE = Measure(
    name="linear",
    title="Linear probe",
    of="features",
    labels="classes",
    figures=(Figure("accuracy", "accuracy", "fraction", "higher", "share of images classified rightly", error="std"),),
    function=linear,
    protocol="logistic regression on frozen features",
    few_labels=True,
    remarks=(CONSTANT_UNITS,),
)
