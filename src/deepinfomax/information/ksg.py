"""Nearest-neighbour estimates of mutual information: the classical control, without a network or training.

They are good in few dimensions. In many dimensions all distances are similar, and the estimate is far too low.
"""

import numpy as np
from jaxtyping import Float, Int


def ksg(x: Float[np.ndarray, "n D"], y: Float[np.ndarray, "n E"], k: int = 3) -> float:
    """Kraskov, Stögbauer & Grassberger 2004, their first estimator (eq. 8), in nats; may be slightly negative.

    x and y must have no ties and the same scale. For each pair, neighbours are counted on each side by itself, within
    the distance to its k-th neighbour in the joint space (maximum norm over all columns of both sides).
    """
    radius = _radius(np.hstack([x, y]), k)
    counts = [_within(side, side, radius) for side in (x, y)]  # themselves included: n_x + 1, n_y + 1
    return float(digamma(len(x)) + digamma(k) - sum(digamma(count).mean() for count in counts))


def ksg_labels(x: Float[np.ndarray, "n D"], labels: Int[np.ndarray, "n"], k: int = 3) -> float:
    """`ksg` for numbers x and labels (Ross 2014), in nats.

    The k-th neighbour is searched among rows of the same label, and neighbours are counted among all rows. A label that
    occurs once is left out; one that occurs at most k times uses as many neighbours as it has. nan if no label occurs
    twice.
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
    """The largest possible value of `ksg` for n pairs, in nats: digamma(n) - digamma(k)."""
    return float(digamma(n) - digamma(k))


def digamma(count: float | np.ndarray) -> np.ndarray:
    """ψ, elementwise. SciPy and scikit-learn are imported where they are used: their import takes a second."""
    from scipy.special import digamma

    return digamma(count)


def _radius(points: Float[np.ndarray, "n D"], k: int) -> Float[np.ndarray, "n"]:
    """A radius just below the distance to each point's k-th neighbour, so that only nearer points are within."""
    from sklearn.neighbors import NearestNeighbors

    neighbours = NearestNeighbors(n_neighbors=k, metric="chebyshev").fit(points)
    return np.nextafter(neighbours.kneighbors()[0][:, -1], 0)


def _within(
    points: Float[np.ndarray, "n D"], centres: Float[np.ndarray, "m D"], radius: Float[np.ndarray, "m"]
) -> Int[np.ndarray, "m"]:
    from sklearn.neighbors import KDTree

    return KDTree(points, metric="chebyshev").query_radius(centres, radius, count_only=True)
