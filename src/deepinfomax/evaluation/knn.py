"""k nearest neighbours: classification by distances between representations, without any training."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor
from torch.nn.functional import normalize

from deepinfomax.errors import UserError
from deepinfomax.evaluation.labels import check_labels
from deepinfomax.evaluation.measure import CONSTANT_UNITS, Figure, Measure
from deepinfomax.evaluation.scales import Scale
from deepinfomax.evaluation.standardising import Standardiser, standardised
from deepinfomax.progress import counted

K, TEMPERATURE = 20, 0.07  #: the vote and its temperature are those of Wu et al. 2018 (arXiv 1805.01978)
BLOCK_BYTES = 128 * 2**20  #: of the similarities held at once


@dataclass(frozen=True, kw_only=True)
class Result:
    """The accuracy of the vote of the nearest training images, on test images."""

    accuracy: float  #: fraction, of the weighted vote
    plain_accuracy: float  #: fraction, where each neighbour has one vote
    std: float | None  #: None: nothing is drawn; with few labels over draws of them
    n_train: int
    n_test: int
    constant_units: int  #: of the features; set to 0
    protocol: str
    settings: dict[str, Any]
    seconds: float


def knn(
    train: Float[Tensor, "N units"],
    train_labels: Shaped[np.ndarray, "N"],
    test: Float[Tensor, "T units"],
    test_labels: Shaped[np.ndarray, "T"],
    *,
    k: int = K,
    temperature: float = TEMPERATURE,
    scale: Scale = "cpu",
    seed: int = 0,
    device: torch.device | str = "cpu",
    standardiser: Standardiser | None = None,
) -> Result:
    """Accuracy of the vote of the k training images with the greatest cosine similarity.

    Features are standardised first; otherwise the units with the largest mean would dominate the cosine similarity. The
    search is exact and nothing is random, so the result does not depend on scale or seed. Memory: a standardised copy
    of both sets, and that of `vote`.

    Args:
        train, test: vectors of the training images and of the test images.
        k: neighbours; all training images where there are fewer.
        temperature: each vote weighs exp(similarity / temperature).
        standardiser: None: with the statistics of `train`.

    Raises:
        UserError: labels of one class, a k or a temperature that is not above 0.
    """
    began = time.perf_counter()
    if k < 1 or not temperature > 0:
        raise UserError(f"k ({k}) must be 1 or more, and the temperature ({temperature}) above 0")
    y, y_test, classes = check_labels(train_labels, test_labels)
    x, x_test, constant = standardised(train, test, standardiser)
    k = min(k, len(x))
    weighted, plain = vote(x.to(device), y.to(device), x_test.to(device), classes, k=k, temperature=temperature)
    y_test = y_test.to(device)
    return Result(
        accuracy=int((weighted == y_test).sum()) / len(y_test),
        plain_accuracy=int((plain == y_test).sum()) / len(y_test),
        std=None,
        n_train=len(x),
        n_test=len(x_test),
        constant_units=constant,
        protocol=f"kNN, k = {k}, cosine, votes weighted with temperature {temperature}, standardised features",
        settings={"k": k, "temperature": temperature, "metric": "cosine"},
        seconds=time.perf_counter() - began,
    )


def vote(
    bank: Float[Tensor, "N units"],
    labels: Int[Tensor, "N"],
    queries: Float[Tensor, "T units"],
    classes: int,
    *,
    k: int,
    temperature: float,
) -> tuple[Int[Tensor, "T"], Int[Tensor, "T"]]:
    """The class of each query by the weighted and by the plain vote.

    Where two classes have equal votes, the one with the lower number is taken. Where several rows are equally near and
    not all of them can be among the k, which of them vote depends on the order of the rows. Memory: normalised copies
    of `bank` and `queries`, and `BLOCK_BYTES` of similarities.

    Args:
        bank, labels: those who vote.
        k: how many vote on each query, N at most.
        temperature: a vote weighs exp(similarity / temperature).
    """
    bank, queries = normalize(bank), normalize(queries)
    weighted, plain = [], []
    parts = queries.split(max(1, BLOCK_BYTES // (4 * len(bank))))
    for _, part in zip(counted(len(parts), "block"), parts, strict=True):
        similarity, index = (part @ bank.T).topk(k)
        votes = labels[index]
        # In units of the nearest's vote: none overflows, and whatever the temperature they are not all 0.
        weights = torch.exp((similarity - similarity[:, :1]) / temperature)
        empty = torch.zeros(len(part), classes, device=bank.device)
        weighted.append(empty.scatter_add(1, votes, weights).argmax(1))
        plain.append(empty.scatter_add(1, votes, torch.ones_like(weights)).argmax(1))
    return torch.cat(weighted), torch.cat(plain)


MEASURE = Measure(
    name="knn",
    title="kNN",
    of="features",
    labels="classes",
    figures=(Figure("accuracy", "accuracy", "fraction", "higher", "share of images classified rightly", error="std"),),
    function=knn,
    protocol="vote of the nearest training images",
    few_labels=True,
    remarks=(CONSTANT_UNITS,),
)
