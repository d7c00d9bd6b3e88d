"""Attributes: a probe of many yes-or-no labels at once, as CelebA's forty (paper A.5)."""

import time
from typing import Any

import numpy as np
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor

from deepinfomax.evaluation import convex
from deepinfomax.evaluation.labels import check_attributes
from deepinfomax.evaluation.scales import Scale, at_scale
from deepinfomax.evaluation.standardising import Standardiser, standardised

ATTRIBUTES: dict[Scale, dict[str, Any]] = {
    "smoke": {"weight_decay": 0.01, "iterations": 30},
    "cpu": {"weight_decay": 0.01, "iterations": 100},
    "paper": {"weight_decay": 0.01, "iterations": 500},
}


def attributes(
    train: Tensor,
    train_labels: np.ndarray,
    test: Tensor,
    test_labels: np.ndarray,
    *,
    scale: Scale = "cpu",
    seed: int = 0,
    device: torch.device | str = "cpu",
    standardiser: Standardiser | None = None,
) -> dict[str, Any]:
    """A linear probe of each attribute, trained by balanced cross-entropy, on standardised features.

    Balanced, or class-normalised as the paper's ablation on CelebA has it: the images with an attribute weigh as much
    as those without, however rare it is. A convex problem without chance; `seed` changes nothing.

    Args:
        train, test: (N, units), (T, units).
        train_labels, test_labels: (N, K), (T, K) of 0 and 1.

    Returns:
        balanced_accuracy (mean over attributes of the mean of both rates), mean_average_precision,
        balanced_cross_entropy (nats; log 2 = 0.693 is guessing), attributes (how many were measured), n_train, n_test,
        constant_units, protocol, settings, seconds. Attributes that all or none of the images have, in training or
        in test, cannot be measured and are left out.

    Raises:
        UserError: labels that are not (N, K) of 0 and 1, or no attribute that varies in both sets.
    """
    began = time.perf_counter()
    settings = at_scale(ATTRIBUTES, scale)
    varies = check_attributes(train_labels, test_labels)
    x, x_test, constant = standardised(train, test, standardiser)
    target, target_test = (
        torch.from_numpy(np.ascontiguousarray(labels[:, varies])).float().to(device)
        for labels in (train_labels, test_labels)
    )
    x, x_test = x.to(device), x_test.to(device)
    # The loss is a mean over attributes: each has a K-th of it, and of λ, as if it were fitted alone.
    weights = convex.fit(
        x,
        target,
        target.shape[1],
        loss=convex.balanced_cross_entropy,
        weight_decay=settings["weight_decay"] / target.shape[1],
        iterations=settings["iterations"],
    )
    found = convex.scores(weights, x_test)
    entropy, _ = convex.balanced_cross_entropy(found, target_test)
    right = ((found > 0) == (target_test > 0.5)).float()
    precision = average_precision_score(target_test.cpu().numpy(), found.cpu().numpy(), average="macro")
    return {
        "balanced_accuracy": float((convex.balance(target_test) * right).sum()),
        "mean_average_precision": float(precision),
        "balanced_cross_entropy": float(entropy),
        "attributes": int(varies.sum()),
        "n_train": len(x),
        "n_test": len(x_test),
        "constant_units": constant,
        "protocol": "linear probe of each attribute, balanced cross-entropy, L-BFGS, standardised features",
        "settings": settings | {"scale": scale},
        "seconds": time.perf_counter() - began,
    }
