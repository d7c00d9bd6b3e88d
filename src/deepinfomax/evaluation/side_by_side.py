"""Side by side: what several encoders hold to be alike, for the same images (paper A.4: DIM(G) and DIM(L))."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from deepinfomax.data.images import ImageSet
from deepinfomax.errors import UserError
from deepinfomax.evaluation.draws import sample
from deepinfomax.evaluation.gallery import one_of_each
from deepinfomax.evaluation.neighbours import METRICS, agreement, other_neighbours


@dataclass(frozen=True)
class SideBySide:
    """Neighbours of the same queries in the same bank by several representations."""

    bank: ImageSet
    query: np.ndarray  #: (Q,) positions in the bank of the images shown
    nearest: dict[str, np.ndarray]  #: name -> (Q, k) positions in the bank, nearest first
    #: name -> metric -> share of neighbours that have their query's class, every labelled image of the bank being a
    #: query; None if images have no label, or several
    shared: dict[str, dict[str, float]] | None
    chance: float | None  #: that share for neighbours drawn at random


def draw_bank(images: ImageSet, count: int, seed: int) -> ImageSet:
    """`count` of the images, drawn by `seed`."""
    return sample(images, count, np.random.default_rng(seed))


def side_by_side(
    bank: ImageSet,
    vectors: Mapping[str, Tensor],
    *,
    queries: int = 10,
    count: int = 4,
    metric: str = "l1",
    seed: int = 0,
) -> SideBySide:
    """Search one bank of images with several representations of it.

    Args:
        bank: images, N of them.
        vectors: name -> (N, units), what each encoder makes of the bank at one level.
        queries: images shown, one of each class in turn if there are labels; drawn by `seed`.
        count: neighbours of each; the paper shows 4.
        metric: of what is shown; the shares are taken by both.

    Raises:
        UserError: an unknown metric, more neighbours than images, or vectors of another number of images.
    """
    for name, of_bank in vectors.items():
        if len(of_bank) != len(bank):
            raise UserError(f"{name} has vectors of {len(of_bank)} images, and the bank has {len(bank)}")
    query = one_of_each(bank.labels, len(bank), min(queries, len(bank)), np.random.default_rng(seed))
    nearest = {
        name: other_neighbours(of_bank, torch.from_numpy(query), count, metric)[0].numpy()
        for name, of_bank in vectors.items()
    }
    labels, shared, chance = bank.labels, None, None
    if labels is not None and labels.ndim == 1 and (labels != -1).any():
        everyone = np.flatnonzero(labels != -1)
        shared = {
            name: {m: _shared(of_bank, labels, everyone, count, m) for m in METRICS}
            for name, of_bank in vectors.items()
        }
        sizes = np.unique(labels[everyone], return_counts=True)[1]
        chance = float((sizes * (sizes - 1)).sum() / (len(everyone) * (len(bank) - 1)))
    return SideBySide(bank, query, nearest, shared, chance)


def _shared(of_bank: Tensor, labels: np.ndarray, query: np.ndarray, count: int, metric: str) -> float:
    nearest, _ = other_neighbours(of_bank, torch.from_numpy(query), count, metric)
    return agreement(labels, query, nearest.numpy())
