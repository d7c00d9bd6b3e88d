"""Which labels do the other images contradict: out-of-sample probabilities, and the rule of confident learning.

Each image gets class probabilities from a logistic regression that was fitted without it. The threshold of a class is
the mean probability of this class over the images with its label, since some classes are easier than others. A label is
in doubt if another class has the highest probability and reaches its threshold. This follows Northcutt et al. 2021
(arXiv 1911.00068), who also doubt a label where the likeliest class misses its threshold and another class reaches its
own. Doubts are ranked by the probability of the given label, the least likely first.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from deepinfomax.progress import counted
from deepinfomax.seeds import random_state

FOLDS = 5
#: of the mean loss, on standardised vectors: strong, since a wrong label must not be learnt by heart. scikit-learn's C
#: is 1 / (DECAY · N): 0.01 for 16,000 images
DECAY = 1 / 160


@dataclass(frozen=True)
class LabelDoubts:
    """The doubts about all labels; images that cannot be judged have no entry."""

    likely: np.ndarray  #: (N,) probability of the given label by the others; NaN: not judged
    suggested: np.ndarray  #: (N,) the class that the others give, -1: not judged
    suggested_likely: np.ndarray  #: (N,) its probability
    doubtful: np.ndarray  #: positions of the labels in doubt, the least likely first
    accuracy: float  #: share of the judged images that get their own label: how far the probabilities can be trusted
    judged: int
    too_few: tuple[int, ...]  #: classes with fewer images than folds, which cannot be judged


def label_doubts(vectors: np.ndarray, labels: np.ndarray, *, seed: int) -> LabelDoubts | None:
    """Doubts of labels (N,) int64, -1 for none, by vectors (N, D); None if fewer than two classes can be judged."""
    numbers, counts = np.unique(labels[labels >= 0], return_counts=True)
    enough = numbers[counts >= FOLDS]
    if len(enough) < 2:
        return None
    judged = np.flatnonzero(np.isin(labels, enough))
    given = np.searchsorted(enough, labels[judged])
    probability = out_of_sample(vectors[judged], given, seed=seed)
    rows = np.arange(len(given))
    own = probability[rows, given]
    best = in_doubt_for(probability, given)
    doubtful = np.flatnonzero(best != given)
    most = probability.argmax(1)
    likely, likely_other = (np.full(len(labels), np.nan) for _ in range(2))
    suggested = np.full(len(labels), -1, np.int64)
    likely[judged], suggested[judged] = own, enough[most]
    likely_other[judged] = probability[rows, most]
    return LabelDoubts(
        likely=likely,
        suggested=suggested,
        suggested_likely=likely_other,
        doubtful=judged[doubtful[np.argsort(own[doubtful], kind="stable")]],
        accuracy=float((most == given).mean()),
        judged=len(judged),
        too_few=tuple(int(n) for n in numbers[counts < FOLDS]),
    )


def in_doubt_for(probability: Float[np.ndarray, "N K"], given: Int[np.ndarray, "N"]) -> Int[np.ndarray, "N"]:
    """The class of each image by the rule; if there is no doubt, its given one.

    Args:
        probability: of each class, out of sample.
        given: labels 0 to K-1, each there at least once.
    """
    classes = probability.shape[1]
    threshold = np.array([probability[given == k, k].mean() for k in range(classes)])
    most = probability.argmax(1)
    reached = probability[np.arange(len(given)), most] >= threshold[most]
    return np.where(reached, most, given)


def out_of_sample(
    vectors: Float[np.ndarray, "N D"], labels: Int[np.ndarray, "N"], *, seed: int
) -> Float[np.ndarray, "N K"]:
    """Probabilities of each image by a logistic regression that was fitted without its fold."""
    probability = np.empty((len(labels), int(labels.max()) + 1))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=random_state(seed)).split(vectors, labels)
    for _, (fit, left_out) in zip(counted(FOLDS, "fold of the labels"), folds, strict=True):
        mean, deviation = vectors[fit].mean(0), vectors[fit].std(0)
        scale = np.where(deviation > 1e-9, 1 / np.maximum(deviation, 1e-9), 0)
        # tol: a probability to a hundredth is enough, and the last digits take most of the time
        model = LogisticRegression(C=1 / (DECAY * len(fit)), max_iter=200, tol=1e-3).fit(
            (vectors[fit] - mean) * scale, labels[fit]
        )
        probability[left_out] = model.predict_proba((vectors[left_out] - mean) * scale)
    return probability
