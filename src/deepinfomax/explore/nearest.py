"""The nearest other images of every image, which the other files use."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from sklearn.neighbors import NearestNeighbors


@dataclass(frozen=True)
class Nearest:
    """Of each of N images the k nearest others, nearest first."""

    index: Int[np.ndarray, "N k"]
    distance: Float[np.ndarray, "N k"]  #: Euclidean


def nearest(vectors: Float[np.ndarray, "N D"], k: int) -> Nearest:
    """Exact, by scikit-learn. An image is not its own neighbour; its twins are.

    Args:
        k: at most N - 1.
    """
    search = NearestNeighbors(n_neighbors=k + 1, algorithm="brute").fit(vectors)
    distance, index = search.kneighbors(vectors)
    own = index == np.arange(len(vectors))[:, None]
    own[:, -1] |= ~own.any(1)  # more than k twins came before it: the last of them goes
    shape = (len(vectors), k)
    return Nearest(index[~own].reshape(shape), distance[~own].reshape(shape).astype(np.float32))
