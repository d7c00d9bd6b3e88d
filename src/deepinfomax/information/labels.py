"""Entropy and mutual information of labels, by counting: the plug-in estimate with Miller & Madow's correction.

Counting n labels finds too little entropy, by about (number of labels - 1) / 2n, because labels that happened to be
frequent are taken for frequent ones (Miller 1955). Of two sets of labels the combinations are the most, so the plug-in
mutual information is too high: by about (K - 1)(L - 1) / 2n where K and L labels are independent and every combination
occurs. The correction counts the combinations that did occur, which is too few where many have not occurred yet;
`by_chance` tells how much is left.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int, Shaped


def entropy(labels: Shaped[np.ndarray, "n"]) -> float:
    """Of labels, in nats."""
    _, counts = np.unique(labels, return_counts=True)
    frequency = counts / len(labels)
    return float(-(frequency * np.log(frequency)).sum() + (len(counts) - 1) / (2 * len(labels)))


def information(a: Int[np.ndarray, "n"], b: Int[np.ndarray, "n"]) -> float:
    """Of labels a and b, integers from 0, in nats; may be slightly negative, and never more than either's `entropy`."""
    return entropy(a) + entropy(b) - entropy(a * (b.max() + 1) + b)


def standard_error(a: Int[np.ndarray, "n"], b: Int[np.ndarray, "n"]) -> float:
    """Of `information`, in nats: the jackknife, each row left out once.

    Rows of one combination leave out the same, so that all n values take one pass over the distinct combinations.
    """
    left = _left_out(a) + _left_out(b) - _left_out(a * (b.max() + 1) + b)
    return float(np.sqrt((len(a) - 1) * left.var()))


def entropy_error(labels: Shaped[np.ndarray, "n"]) -> float:
    """The standard error of `entropy`, in nats: the jackknife, as of `standard_error`."""
    return float(np.sqrt((len(labels) - 1) * _left_out(labels).var()))


def _left_out(labels: Shaped[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """`entropy` without row i, of each."""
    n = len(labels)
    _, label, counts = np.unique(labels, return_inverse=True, return_counts=True)
    total = _n_log_n(counts).sum() - _n_log_n(counts) + _n_log_n(counts - 1)
    kinds = len(counts) - (counts == 1)
    return (np.log(n - 1) - total / (n - 1) + (kinds - 1) / (2 * (n - 1)))[label]


def _n_log_n(counts: np.ndarray) -> np.ndarray:
    return counts * np.log(np.maximum(counts, 1))


def by_chance(
    a: Int[np.ndarray, "n"],
    b: Int[np.ndarray, "n"],
    rng: np.random.Generator,
    choices: Sequence[np.ndarray] = (),
    shuffles: int = 10,
) -> float:
    """What `information` finds, on average, between a and a shuffled b, which share nothing: its bias, in nats.

    Args:
        choices: positions of the rows that are counted at a time, where not all are: one of each group.
    """
    if not len(choices):
        return float(np.mean([information(a, rng.permutation(b)) for _ in range(shuffles)]))
    # As many rows as are counted have the bias; a mean over all choices, as the value is, so that both are as steady.
    drawn = [choices[i % len(choices)] for i in range(max(shuffles, len(choices)))]
    return float(np.mean([information(a[rows], rng.permutation(b[rows])) for rows in drawn]))
