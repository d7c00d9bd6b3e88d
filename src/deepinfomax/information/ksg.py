"""Nearest-neighbour estimates of mutual information: the classical control, no network and no training.

Good in few dimensions; in many, distances stop telling pairs apart and the estimate falls far below the truth.
"""

import numpy as np
from jaxtyping import Float, Int


def ksg(x: Float[np.ndarray, "n D"], y: Float[np.ndarray, "n E"], k: int = 3) -> float:
    """Kraskov, Stögbauer & Grassberger 2004, their first estimator (eq. 8), in nats; may be slightly negative.

    x and y have no ties and are scaled alike. The distance to the k-th neighbour in the joint space, by the largest
    of the two sides' largest differences, is a radius within which neighbours are counted on each side alone.
    """
    radius = _radius(np.hstack([x, y]), k)
    counts = [_within(side, side, radius) for side in (x, y)]  # themselves included: n_x + 1, n_y + 1
    return float(digamma(len(x)) + digamma(k) - sum(digamma(count).mean() for count in counts))


def ksg_labels(x: Float[np.ndarray, "n D"], labels: Int[np.ndarray, "n"], k: int = 3) -> float:
    """The same for a discrete variable (Ross 2014), in nats.

    Neighbours are sought among the same label and counted among all. A label that occurs once tells nothing and is
    left out; one that occurs at most k times uses as many neighbours as it has. Without any that occurs twice: nan.
    """
    radius = np.zeros(len(x))
    neighbours, same = np.zeros(len(x)), np.zeros(len(x))
    for label in np.unique(labels):
        rows = labels == label
        count = int(rows.sum())
        if count > 1:
            neighbours[rows], same[rows] = min(k, count - 1), count
            radius[rows] = _radius(x[rows], min(k, count - 1))
    used = same > 0
    if not used.any():
        return float("nan")
    m = _within(x[used], x[used], radius[used])
    terms = digamma(neighbours[used]) - digamma(same[used]) - digamma(m)
    return float(digamma(used.sum()) + terms.mean())


def cap(n: int, k: int) -> float:
    """The largest value `ksg` can take, where no side has other neighbours than the joint space has."""
    return float(digamma(n) - digamma(k))


def digamma(count: float | np.ndarray) -> np.ndarray:
    """ψ, elementwise. SciPy and scikit-learn are imported where they are used: their import takes a second."""
    from scipy.special import digamma

    return digamma(count)


def _radius(points: Float[np.ndarray, "n D"], k: int) -> Float[np.ndarray, "n"]:
    """Just less than the distance to each point's k-th neighbour, so that only nearer ones are counted within."""
    from sklearn.neighbors import NearestNeighbors

    neighbours = NearestNeighbors(n_neighbors=k, metric="chebyshev").fit(points)
    return np.nextafter(neighbours.kneighbors()[0][:, -1], 0)


def _within(
    points: Float[np.ndarray, "n D"], centres: Float[np.ndarray, "m D"], radius: Float[np.ndarray, "m"]
) -> Int[np.ndarray, "m"]:
    from sklearn.neighbors import KDTree

    return KDTree(points, metric="chebyshev").query_radius(centres, radius, count_only=True)
