"""The map: a position in two dimensions for each image, in which neighbours stay neighbours.

It is made by t-SNE: by openTSNE if that is installed (`pip install 'deepinfomax[explore]'`), whose time is proportional
to the number of images; otherwise by scikit-learn. A map shows which images are near each other. The distance between
groups and their size have no meaning.
"""

from importlib.util import find_spec

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.neighbors import KNeighborsRegressor

from deepinfomax.explore.nearest import Nearest, nearest
from deepinfomax.progress import say
from deepinfomax.seeds import random_state

PERPLEXITY = 30.0
#: images that scikit-learn's t-SNE lays out itself; each further one goes among its neighbours that have a place
MOST_LAID_OUT = 20_000


def layout(unit: np.ndarray, near: Nearest, *, seed: int) -> np.ndarray:
    """(N, 2) in [-1, 1], centred.

    Args:
        unit: (N, D), the vectors whose neighbours are `near`.
        near: at least three times the perplexity of them, or all others of a small set.
    """
    start = np.zeros((len(unit), 2))
    if unit.any():  # vectors of a collapsed encoder may all be 0
        axes = min(2, unit.shape[1])
        start[:, :axes] = PCA(axes, random_state=random_state(seed)).fit_transform(unit)
    start *= 1e-4 / max(float(start[:, 0].std()), 1e-12)  # small, so that the neighbours decide and not the start
    perplexity = min(PERPLEXITY, near.index.shape[1] / 3)
    if find_spec("openTSNE") is not None:
        places = _by_opentsne(near, start, perplexity, seed)
    elif len(unit) <= MOST_LAID_OUT:
        places = _by_sklearn(unit, start, perplexity, seed)
    else:
        places = _by_sample(unit, start, perplexity, seed)
    places -= places.mean(0)
    return (places / max(float(np.abs(places).max()), 1e-12)).astype(np.float32)


def _by_opentsne(near: Nearest, start: np.ndarray, perplexity: float, seed: int) -> np.ndarray:
    import openTSNE
    from openTSNE.affinity import PerplexityBasedNN
    from openTSNE.nearest_neighbors import PrecomputedNeighbors

    say("map by openTSNE")
    known = PrecomputedNeighbors(near.index, near.distance.astype(np.float64))
    affinities = PerplexityBasedNN(perplexity=perplexity, knn_index=known)
    # Interpolation on a grid costs the same for few images as for many; below some thousands the tree is faster.
    method = "fft" if len(start) > 3000 else "bh"
    tsne = openTSNE.TSNE(
        perplexity=perplexity, random_state=random_state(seed), negative_gradient_method=method, n_jobs=1
    )
    return np.array(tsne.fit(affinities=affinities, initialization=start))


def _by_sklearn(unit: np.ndarray, start: np.ndarray, perplexity: float, seed: int) -> np.ndarray:
    say("map by scikit-learn")
    tsne = TSNE(
        perplexity=max(perplexity, 1.0), init=start.astype(np.float32), random_state=random_state(seed), n_jobs=1
    )
    return tsne.fit_transform(unit).astype(np.float64)


def _by_sample(unit: np.ndarray, start: np.ndarray, perplexity: float, seed: int) -> np.ndarray:
    drawn = np.sort(np.random.default_rng(seed).permutation(len(unit))[:MOST_LAID_OUT])
    laid_out = _by_sklearn(unit[drawn], start[drawn], perplexity, seed)
    say("the images beyond the map's sample")
    among = KNeighborsRegressor(n_neighbors=5, weights="distance", algorithm="brute").fit(unit[drawn], laid_out)
    places = among.predict(unit)
    places[drawn] = laid_out
    return places


def kept_neighbours(places: np.ndarray, near: Nearest, k: int = 10) -> float:
    """The mean share of each image's k nearest neighbours that are also among its k nearest on the map."""
    k = min(k, near.index.shape[1])
    on_map = nearest(places, k).index
    same = (on_map[:, :, None] == near.index[:, None, :k]).any(2)
    return float(same.mean())
