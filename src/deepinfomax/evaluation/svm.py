"""Linear support vector machine on frozen features, five fits (paper Table 4)."""

import time
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepinfomax.evaluation import convex
from deepinfomax.evaluation.labels import check_labels
from deepinfomax.evaluation.old import check_counts
from deepinfomax.evaluation.probes import FEW_WEIGHT_DECAY, LEAST_HELD_OUT
from deepinfomax.evaluation.scales import Scale, at_scale
from deepinfomax.evaluation.standardising import Standardiser, standardised
from deepinfomax.old_progress import Say, after, silent

#: Candidates for λ = 1 / (C·N), chosen on the tenth that the first fit leaves out; iterations of one fit.
SVM: dict[Scale, dict[str, Any]] = {
    "smoke": {"weight_decay": (0.1,), "iterations": 20},
    "cpu": {"weight_decay": (10.0, 1.0, 0.1, 0.01), "iterations": 40},
    "paper": {"weight_decay": (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001), "iterations": 300},
}
FITS = 5


def svm(
    train: Tensor,
    train_labels: np.ndarray,
    test: Tensor,
    test_labels: np.ndarray,
    *,
    scale: Scale = "cpu",
    seed: int = 0,
    device: torch.device | str = "cpu",
    standardiser: Standardiser | None = None,
    progress: Say = silent,
) -> dict[str, Any]:
    """Mean and standard deviation of the test accuracy over five fits.

    The loss is the squared hinge, one class against the rest, as in scikit-learn's LinearSVC, which the authors'
    framework calls. The problem is convex, so fits on the same images would all be one; the paper does not say what
    its five differ in. Here each has nine tenths of the training images, drawn anew.

    Args:
        train, test: (N, units), (T, units).
        standardiser: None: with the statistics of `train`.

    Returns:
        accuracy, std (over fits), n_train (of one fit), n_test, constant_units, C, protocol, settings (the accuracy of
        each fit among them), seconds.
    """
    began = time.perf_counter()
    settings = at_scale(SVM, scale)
    y, y_test, classes = check_labels(train_labels, test_labels)
    check_counts("svm", "svm", len(train), len(test))
    x, x_test, constant = standardised(train, test, standardiser)
    x, y, x_test, y_test = (t.to(device) for t in (x, y, x_test, y_test))
    left_out = len(x) // 10
    candidates, iterations = settings["weight_decay"], settings["iterations"]
    if len(candidates) > 1 and left_out < LEAST_HELD_OUT:
        candidates = (FEW_WEIGHT_DECAY,)
    decay, weights = candidates[0], None
    accuracies = []
    for number in range(FITS):
        order = torch.from_numpy(np.random.default_rng([seed, number]).permutation(len(x))).to(device)
        fitted, held = order[left_out:], order[:left_out]
        if number == 0 and len(candidates) > 1:
            decay, weights = convex.choose_decay(
                x,
                y,
                classes,
                candidates,
                loss=convex.squared_hinge,
                iterations=iterations,
                fitted=fitted,
                held=held,
                progress=progress,
            )
        # Each fit starts where the first began, not where another ended, so that the five are independent.
        found = convex.fit(
            x[fitted],
            y[fitted],
            classes,
            loss=convex.squared_hinge,
            weight_decay=decay,
            iterations=iterations,
            start=weights,
            progress=after(f"fit {number + 1} of {FITS}", progress),
        )
        accuracies.append(convex.accuracy(found, x_test, y_test))
    return {
        "accuracy": float(np.mean(accuracies)),
        "std": float(np.std(accuracies, ddof=1)),
        "n_train": len(fitted),
        "n_test": len(x_test),
        "constant_units": constant,
        "C": 1 / (decay * len(fitted)),
        "protocol": f"linear SVM, squared hinge, one against rest, {FITS} fits of nine tenths, standardised features",
        "settings": {
            "scale": scale,
            "weight_decay": decay,
            "candidates": candidates,
            "iterations": iterations,
            "accuracies": accuracies,
        },
        "seconds": time.perf_counter() - began,
    }
