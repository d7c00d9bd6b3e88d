import math
from typing import Any

import numpy as np
import pytest
import torch

from deepinfomax.errors import UserError
from deepinfomax.evaluation import attributes as module
from deepinfomax.evaluation import convex
from deepinfomax.evaluation.measure import as_json


def attributes(*arguments: Any, **settings: Any) -> dict[str, Any]:
    return as_json(module.attributes(*arguments, **settings))


def planted(count: int, seed: int, shares: tuple[float, ...] = (0.5, 0.1)) -> tuple[torch.Tensor, np.ndarray]:
    """Attributes, each with a unit of its own that tells it, and four units of noise."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((count, len(shares))) < shares).astype(np.int64)
    noise = rng.normal(size=(count, len(shares) + 4))
    noise[:, : len(shares)] += 8 * labels
    return torch.from_numpy(noise.astype(np.float32)), labels


def test_planted_attributes_are_found() -> None:
    found = attributes(*planted(500, 0), *planted(400, 1), scale="smoke")
    assert found["balanced_accuracy"] > 0.97
    assert found["mean_average_precision"] > 0.97
    assert found["balanced_cross_entropy"] < 0.2
    assert found["attributes"] == 2


def test_guessing_scores_a_half_however_rare_the_attribute() -> None:
    (x, labels), (x_test, labels_test) = planted(500, 0), planted(2000, 1, (0.5, 0.02))
    found = attributes(
        x * 0 + torch.randn(x.shape, generator=torch.Generator().manual_seed(0)),
        labels,
        torch.randn(x_test.shape, generator=torch.Generator().manual_seed(1)),
        labels_test,
    )
    assert found["balanced_accuracy"] == pytest.approx(0.5, abs=0.08)
    assert found["balanced_cross_entropy"] == pytest.approx(math.log(2), abs=0.1)
    # The average precision of guessing is the share of images that have the attribute.
    assert found["mean_average_precision"] == pytest.approx(labels_test.mean(0).mean(), abs=0.05)


def test_balanced_cross_entropy_is_that_of_a_slow_loop() -> None:
    rng = np.random.default_rng(0)
    scores, targets = torch.from_numpy(rng.normal(size=(20, 3))), torch.from_numpy(rng.integers(0, 2, (20, 3)) * 1.0)
    expected = []
    for k in range(3):
        losses: dict[float, list[float]] = {0.0: [], 1.0: []}
        for s, t in zip(scores[:, k].tolist(), targets[:, k].tolist(), strict=True):
            p = 1 / (1 + math.exp(-s))
            losses[t].append(-math.log(p if t else 1 - p))
        expected.append(sum(sum(part) / len(part) for part in losses.values()) / 2)
    value, _ = convex.balanced_cross_entropy(scores, targets)
    assert float(value) == pytest.approx(sum(expected) / 3)


@pytest.mark.parametrize("copies", [5, 40])
def test_an_attribute_is_measured_alike_alone_and_among_others(copies: int) -> None:
    (x, labels), (x_test, labels_test) = planted(300, 0, (0.3,)), planted(300, 1, (0.3,))
    x[:, 0], x_test[:, 0] = x[:, 0] / 3, x_test[:, 0] / 3  # hard enough for the decay to matter
    alone = attributes(x, labels, x_test, labels_test)
    among = attributes(x, labels.repeat(copies, 1), x_test, labels_test.repeat(copies, 1))
    for key in ("balanced_accuracy", "mean_average_precision", "balanced_cross_entropy"):
        assert among[key] == pytest.approx(alone[key], abs=2e-3)


def test_attributes_that_never_vary_are_left_out() -> None:
    (x, labels), (x_test, labels_test) = planted(100, 0), planted(100, 1)
    always = np.ones((100, 1), dtype=np.int64)
    found = attributes(x, np.hstack([labels, always]), x_test, np.hstack([labels_test, always]), scale="smoke")
    assert (found["attributes"], found["left_out"]) == (2, 1)
    with pytest.raises(UserError, match="nothing to measure"):
        attributes(x, always, x_test, always)


@pytest.mark.usefixtures("any_shape")
def test_mistakes() -> None:
    x, labels = planted(30, 0)
    with pytest.raises(UserError, match=r"labels \(N, K\) of 0 and 1, not of shape \(30,\)"):
        attributes(x, labels[:, 0], x, labels)
    unknown = labels.copy()
    unknown[3:5, 0] = -1
    with pytest.raises(UserError, match=r"of 0 and 1, and 2 of 30 images have others, such as -1: leave these images"):
        attributes(x, unknown, x, labels)
    with pytest.raises(UserError, match="1 attributes in training and 2 in test"):
        attributes(x, labels[:, :1], x, labels)
