"""k nearest neighbours: what the distances of a representation say, without training anything."""

import time
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from deepinfomax.evaluation.labels import check_labels
from deepinfomax.evaluation.scales import Scale
from deepinfomax.evaluation.standardising import Standardiser, standardised
from deepinfomax.old_progress import Say, counted, silent

K, TEMPERATURE = 20, 0.07  #: temperature of Wu et al. 2018 (arXiv 1805.01978), whose vote this is
BLOCK_BYTES = 128 * 2**20  #: of the similarities held at once


def knn(
    train: Tensor,
    train_labels: np.ndarray,
    test: Tensor,
    test_labels: np.ndarray,
    *,
    k: int = K,
    temperature: float = TEMPERATURE,
    scale: Scale = "cpu",
    seed: int = 0,
    device: torch.device | str = "cpu",
    standardiser: Standardiser | None = None,
    progress: Say = silent,
) -> dict[str, Any]:
    """Accuracy of the vote of the k training images of the greatest cosine similarity.

    Features are standardised first: cosine similarity would otherwise rest on the units with the largest mean. Exact
    and deterministic, so it is the same at every scale and seed.

    Args:
        train, test: (N, units), (T, units).
        temperature: each vote weighs exp(similarity / temperature).
        standardiser: None: with the statistics of `train`.

    Returns:
        accuracy (weighted vote), plain_accuracy (one neighbour, one vote), std (None), n_train, n_test, constant_units,
        protocol, settings, seconds.
    """
    began = time.perf_counter()
    y, y_test, classes = check_labels(train_labels, test_labels)
    x, x_test, constant = standardised(train, test, standardiser)
    k = min(k, len(x))
    weighted, plain = vote(
        x.to(device), y.to(device), x_test.to(device), classes, k=k, temperature=temperature, progress=progress
    )
    y_test = y_test.to(device)
    return {
        "accuracy": int((weighted == y_test).sum()) / len(y_test),
        "plain_accuracy": int((plain == y_test).sum()) / len(y_test),
        "std": None,
        "n_train": len(x),
        "n_test": len(x_test),
        "constant_units": constant,
        "protocol": f"kNN, k = {k}, cosine, votes weighted with temperature {temperature}, standardised features",
        "settings": {"k": k, "temperature": temperature, "metric": "cosine"},
        "seconds": time.perf_counter() - began,
    }


def vote(
    bank: Tensor,
    labels: Tensor,
    queries: Tensor,
    classes: int,
    *,
    k: int,
    temperature: float,
    progress: Say = silent,
) -> tuple[Tensor, Tensor]:
    """Classes by weighted and by plain vote, each (T,); equal votes go to the class with the lower number.

    bank (N, units), labels (N,), queries (T, units). Memory: normalised copies, and `BLOCK_BYTES` of similarities.
    """
    bank, queries = normalize(bank), normalize(queries)
    weighted, plain = [], []
    parts = queries.split(max(1, BLOCK_BYTES // (4 * len(bank))))
    for _, part in zip(counted(len(parts), "block", progress), parts, strict=True):
        similarity, index = (part @ bank.T).topk(k)
        votes = labels[index]
        # Similarity is at most 1, so the weights below are at most 1 and none overflows.
        weights = torch.exp((similarity - 1) / temperature)
        empty = torch.zeros(len(part), classes, device=bank.device)
        weighted.append(empty.scatter_add(1, votes, weights).argmax(1))
        plain.append(empty.scatter_add(1, votes, torch.ones_like(weights)).argmax(1))
    return torch.cat(weighted), torch.cat(plain)
