import math

import numpy as np
import pytest
import torch
from planted import gaussians

from deepinfomax.errors import UserError
from deepinfomax.evaluation import knn as module
from deepinfomax.evaluation.knn import knn, vote
from deepinfomax.evaluation.standardising import Standardiser


def slow_vote(bank, labels, queries, classes, k, temperature):
    """One query and one neighbour at a time."""
    weighted, plain = [], []
    for q in queries.tolist():
        similarities = []
        for row, label in zip(bank.tolist(), labels.tolist(), strict=True):
            dot = sum(a * b for a, b in zip(q, row, strict=True))
            norms = math.sqrt(sum(a * a for a in q)) * math.sqrt(sum(b * b for b in row))
            similarities.append((dot / norms, label))
        nearest = sorted(similarities, reverse=True)[:k]
        weights, counts = [0.0] * classes, [0] * classes
        for similarity, label in nearest:
            weights[label] += math.exp(similarity / temperature)
            counts[label] += 1
        weighted.append(max(range(classes), key=lambda c: weights[c]))
        plain.append(max(range(classes), key=lambda c: counts[c]))
    return weighted, plain


@pytest.mark.parametrize("k", [1, 4, 30])
def test_votes_are_those_of_a_slow_loop(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    (bank, labels), (queries, _) = gaussians(60, distance=0.5, seed=0), gaussians(25, distance=0.5, seed=1)
    y = torch.from_numpy(labels)
    expected = slow_vote(bank, y, queries, 3, k, 0.07)
    blocks: list[int] = []
    monkeypatch.setattr(module, "counted", lambda count, what: blocks.append(count) or range(count))
    for size in (module.BLOCK_BYTES, 4 * 60 * 7, 1):  # all at once, seven queries, one query
        monkeypatch.setattr(module, "BLOCK_BYTES", size)
        weighted, plain = vote(bank, y, queries, 3, k=k, temperature=0.07)
        assert (weighted.tolist(), plain.tolist()) == expected
    assert blocks == [1, 4, 25]


def test_similarities_of_128_megabytes_are_held_at_once() -> None:
    assert module.BLOCK_BYTES == 128 * 1024 * 1024


def test_a_low_temperature_follows_the_nearest() -> None:
    bank = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.8, -0.6]])
    labels, query = torch.tensor([1, 0, 0]), torch.tensor([[1.0, 0.0]])
    weighted, plain = vote(bank, labels, query, 2, k=3, temperature=0.01)
    assert (weighted.item(), plain.item()) == (1, 0)
    far, _ = vote(bank, 1 - labels, -query, 2, k=3, temperature=1e-4)  # whose votes would all be 0 in float32
    assert far.item() == 1
    for wrong in ({"k": 0}, {"temperature": 0.0}):
        with pytest.raises(UserError, match="above 0"):
            knn(bank, labels.numpy(), bank, labels.numpy(), **wrong)
    weighted, _ = vote(bank, labels, query, 2, k=3, temperature=100.0)
    assert weighted.item() == 0


def test_more_neighbours_than_images() -> None:
    x, y = gaussians(8, classes=2)
    result = knn(x, y, x, y, k=50)
    assert result.settings["k"] == 8
    assert result.plain_accuracy == pytest.approx(np.bincount(y).max() / 8)  # all vote, the larger class wins


def test_twenty_neighbours_vote_with_the_temperature_of_the_published_vote() -> None:
    (x, y), (x_test, y_test) = gaussians(150, distance=0.8, seed=0), gaussians(200, distance=0.8, seed=1)
    standardise = Standardiser.of(x)
    bank, queries = standardise(x), standardise(x_test)

    def accuracies(k: int, temperature: float) -> tuple[float, ...]:
        votes = slow_vote(bank, torch.from_numpy(y), queries, 3, k, temperature)
        return tuple((np.array(classes) == y_test).mean() for classes in votes)

    result = knn(x, y, x_test, y_test)
    assert (result.accuracy, result.plain_accuracy) == accuracies(20, 0.07)
    assert accuracies(20, 0.07) not in (accuracies(20, 0.7), accuracies(19, 0.07), accuracies(21, 0.07))
    assert result.settings == {"k": 20, "temperature": 0.07, "metric": "cosine"}
    assert "k = 20, cosine, votes weighted with temperature 0.07" in result.protocol
