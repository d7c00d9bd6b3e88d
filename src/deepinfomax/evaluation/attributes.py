"""Attributes: a probe of many yes-or-no labels at once, as CelebA's forty (paper A.5)."""

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from deepinfomax.evaluation import convex
from deepinfomax.evaluation.labels import check_attributes
from deepinfomax.evaluation.measure import CONSTANT_UNITS, Figure, Measure, Remark
from deepinfomax.evaluation.scales import Scale, at_scale
from deepinfomax.evaluation.standardising import Standardiser, standardised


@dataclass(frozen=True)
class Settings:
    weight_decay: float
    iterations: int


ATTRIBUTES: dict[Scale, Settings] = {
    "smoke": Settings(weight_decay=0.01, iterations=30),
    "cpu": Settings(weight_decay=0.01, iterations=100),
    "paper": Settings(weight_decay=0.01, iterations=500),
}


@dataclass(frozen=True, kw_only=True)
class Result:
    """The mean over attributes of each figure."""

    balanced_accuracy: float  #: mean of the rates of right answers among those with an attribute and those without
    mean_average_precision: float
    balanced_cross_entropy: float  #: nats; log 2 = 0.693 is guessing
    attributes: int  #: how many were measured
    left_out: int  #: how many were not, since all or none of the training or of the test images have them
    n_train: int
    n_test: int
    constant_units: int
    protocol: str
    settings: dict[str, Any]
    seconds: float


def attributes(
    train: Float[Tensor, "N units"],
    train_labels: Shaped[np.ndarray, "N K"],
    test: Float[Tensor, "T units"],
    test_labels: Shaped[np.ndarray, "T K"],
    *,
    scale: Scale = "cpu",
    seed: int = 0,
    device: torch.device | str = "cpu",
    standardiser: Standardiser | None = None,
) -> Result:
    """A linear probe of each attribute, trained by balanced cross-entropy, on standardised features.

    Balanced (class-normalised, as in the paper's ablation on CelebA): images with an attribute have the same total
    weight as those without it, however rare it is. The problem is convex, so nothing is random and `seed` has no
    effect.

    Args:
        train, test: vectors of the training images and of the test images.
        train_labels, test_labels: of K attributes, 0 and 1.

    An attribute that all or none of the training images, or of the test images, have cannot be measured and is left
    out.

    Raises:
        UserError: labels that are not (N, K) of 0 and 1, or no attribute that varies in both sets.
    """
    from sklearn.metrics import average_precision_score

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
        weight_decay=settings.weight_decay / target.shape[1],
        iterations=settings.iterations,
    )
    scores = convex.scores(weights, x_test)
    entropy, _ = convex.balanced_cross_entropy(scores, target_test)
    right = ((scores > 0) == (target_test > 0.5)).float()
    precision = average_precision_score(target_test.cpu().numpy(), scores.cpu().numpy(), average="macro")
    return Result(
        balanced_accuracy=float((convex.balance(target_test) * right).sum()),
        mean_average_precision=float(precision),
        balanced_cross_entropy=float(entropy),
        attributes=int(varies.sum()),
        left_out=int((~varies).sum()),
        n_train=len(x),
        n_test=len(x_test),
        constant_units=constant,
        protocol="linear probe of each attribute, balanced cross-entropy, L-BFGS, standardised features",
        settings=asdict(settings) | {"scale": scale},
        seconds=time.perf_counter() - began,
    )


MEASURE = Measure(
    name="attributes",
    title="Attributes",
    of="features",
    labels="attributes",
    figures=(
        Figure("mean_average_precision", "mean average precision", "fraction", "higher", "how well images are ranked"),
        Figure(
            "balanced_accuracy", "balanced accuracy", "fraction", "higher", "share of right answers; 0.5 is guessing"
        ),
        Figure("balanced_cross_entropy", "balanced cross-entropy", "nats", "lower", "0.693 is guessing"),
    ),
    function=attributes,
    protocol="linear probe of each attribute",
    remarks=(
        CONSTANT_UNITS,
        Remark("left_out", "{left_out} attributes are left out: all or none of the images of one part have them"),
    ),
)
