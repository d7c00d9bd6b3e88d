"""Entropy and mutual information of labels, by counting: the plug-in estimate with Miller & Madow's correction.

The plug-in entropy of n labels is too low by about (number of labels - 1) / 2n, because labels that were frequent by
chance count as frequent (Miller 1955). Combinations of two sets of labels are more numerous than the labels, so the
plug-in mutual information is too high: by about (K - 1)(L - 1) / 2n for K and L independent labels, if every
combination occurs. The correction counts the combinations that occurred, which is too few if many have not occurred
yet; `by_chance` measures the remaining bias.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int, Shaped


def entropy(labels: Shaped[np.ndarray, "n"]) -> float:
    """Entropy of labels, in nats."""
    _, counts = np.unique(labels, return_counts=True)
    frequency = counts / len(labels)
    return float(-(frequency * np.log(frequency)).sum() + (len(counts) - 1) / (2 * len(labels)))


def entropy_and_error(
    labels: Shaped[np.ndarray, "n"], codes: Int[np.ndarray, "n"] | None = None
) -> tuple[float, float]:
    """Entropy of labels and its standard error, in nats.

    Without groups the error is the jackknife, as of `standard_error`. With groups every group has the same weight,
    whatever its number of rows, and the error is that of independent groups: the spread of the groups' mean -log p.

    Args:
        codes: the group of each row, from 0; None: rows are independent.
    """
    if codes is None:
        return entropy(labels), float(np.sqrt((len(labels) - 1) * _left_out(labels).var()))
    weight = 1 / np.bincount(codes)[codes]
    groups = int(codes.max()) + 1
    _, label = np.unique(labels, return_inverse=True)
    surprise = -np.log(np.bincount(label, weights=weight) / groups)
    of_groups = np.bincount(codes, weights=weight * surprise[label])
    error = float(of_groups.std(ddof=1)) / np.sqrt(groups)
    return float(of_groups.mean()) + (len(surprise) - 1) / (2 * groups), float(error)


def information(a: Int[np.ndarray, "n"], b: Int[np.ndarray, "n"]) -> float:
    """Mutual information of labels a and b (integers from 0), in nats.

    It may be slightly negative, and is at most the smaller `entropy` of the two.
    """
    return entropy(a) + entropy(b) - entropy(a * (b.max() + 1) + b)


def standard_error(a: Int[np.ndarray, "n"], b: Int[np.ndarray, "n"]) -> float:
    """Standard error of `information`, in nats, by the jackknife: each row is left out once.

    Rows with the same combination of labels give the same value, so one pass over the distinct combinations is enough.
    """
    left = _left_out(a) + _left_out(b) - _left_out(a * (b.max() + 1) + b)
    return float(np.sqrt((len(a) - 1) * left.var()))


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
    """The mean `information` of a and a shuffled b, which are independent: the bias, in nats.

    Args:
        choices: if rows have groups, the choices of one row of each group that are counted, as positions.
    """
    if not len(choices):
        return float(np.mean([information(a, rng.permutation(b)) for _ in range(shuffles)]))
    # The bias depends on the number of rows counted. Like the value, it is a mean over all choices.
    drawn = [choices[i % len(choices)] for i in range(max(shuffles, len(choices)))]
    return float(np.mean([information(a[rows], rng.permutation(b[rows])) for rows in drawn]))
