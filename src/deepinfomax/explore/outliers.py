"""Which images are unlike all others: those with a lower density around them than around their neighbours."""

import numpy as np
from jaxtyping import Float
from sklearn.neighbors import LocalOutlierFactor

from deepinfomax.progress import say

NEIGHBOURS = 20  #: scikit-learn's default, and the middle of what Breunig et al. 2000 recommend


def outlier_scores(vectors: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N"]:
    """The local outlier factor (Breunig et al. 2000): about 1 for an image like its neighbours, more for others.

    Vectors are not normalised, since their lengths matter: an image of noise or of one colour has a much longer or
    shorter vector than a photograph. More than 20 strange images of the same kind are not found, since they are
    similar to each other.
    """
    say("outliers")
    lof = LocalOutlierFactor(n_neighbors=min(NEIGHBOURS, len(vectors) - 1)).fit(vectors)
    # Images with as many exact twins as neighbours lie infinitely densely, and the factor of those near them explodes.
    return np.clip(-lof.negative_outlier_factor_, 0, 100)
