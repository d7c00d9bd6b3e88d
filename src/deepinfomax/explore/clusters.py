"""Which images belong together: groups, each with the images nearest to its centre.

First HDBSCAN searches for groups with gaps between them; it may leave images without a group. Photographs often have no
such groups. Then k-means divides them into parts of similar images, and the page says so.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from sklearn.cluster import HDBSCAN, KMeans, MiniBatchKMeans
from sklearn.decomposition import PCA

from deepinfomax.progress import say
from deepinfomax.seeds import random_state

DIMENSIONS = 16  #: with more dimensions all distances are similar, and density has no meaning
LEAST_IN_GROUPS = 0.5  #: smallest share of images in groups with gaps; otherwise these groups are not used
LARGE = 20_000  #: of more images than this, k-means uses small batches


@dataclass(frozen=True)
class Clusters:
    """Groups 0 to K-1, the largest first."""

    of: np.ndarray  #: (N,) int64; -1: in no group
    central: list[np.ndarray]  #: of each group its members, those nearest to its middle first
    method: Literal["hdbscan", "k-means"]

    def __len__(self) -> int:
        return len(self.central)


def clusters(unit: np.ndarray, *, seed: int) -> Clusters:
    """Groups of vectors (N, D) of length 1."""
    say("groups")
    few = PCA(min(DIMENSIONS, *unit.shape), random_state=random_state(seed)).fit_transform(unit)
    smallest = max(5, len(unit) // 200)
    group = HDBSCAN(min_cluster_size=smallest, min_samples=5, copy=True).fit_predict(few)
    if group.max() >= 1 and (group >= 0).mean() >= LEAST_IN_GROUPS:
        return _ordered(unit, group, "hdbscan")
    method = MiniBatchKMeans if len(unit) > LARGE else KMeans
    count = min(parts_of(len(unit)), len({row.tobytes() for row in unit}))  # no more parts than vectors that differ
    return _ordered(unit, method(count, n_init=3, random_state=random_state(seed)).fit_predict(unit), "k-means")


def parts_of(count: int) -> int:
    """Into how many parts k-means cuts so many images: few enough to look through, 2 to 40."""
    return int(min(40, max(2, round(count**0.5 / 5))))


def _ordered(unit: np.ndarray, group: np.ndarray, method: Literal["hdbscan", "k-means"]) -> Clusters:
    """Numbered by size, and the members of each by their distance from its middle."""
    numbers, sizes = np.unique(group[group >= 0], return_counts=True)
    of, central = np.full(len(group), -1, np.int64), []
    for new, old in enumerate(numbers[np.argsort(-sizes, kind="stable")]):
        members = np.flatnonzero(group == old)
        of[members] = new
        middle = unit[members].mean(0)
        central.append(members[np.argsort(((unit[members] - middle) ** 2).sum(1), kind="stable")])
    return Clusters(of, central, method)
