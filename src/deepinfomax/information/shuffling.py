"""p-values by shuffling: how often unrelated pairs would give a value as high as this.

If x and y are independent, every pairing of them is as likely as the observed one. So the rank of the observed value
among those of shuffled pairings is uniform, for any distribution and any statistic (Phipson & Smyth 2010). This also
holds for the scores of a critic, if it was not trained on these pairs: then its scores are a fixed function of x and y.
So a critic is trained once, and held-out pairs are shuffled. Nearest neighbours are counted again for every shuffle.
"""

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor


def p_value(seen: float, shuffled: Sequence[float] | np.ndarray) -> float:
    """(1 + shuffles that reach the observed value) / (1 + shuffles): never 0, and valid at every level.

    NaN is below nothing: the p-value of an observed NaN is 1.
    """
    below = np.asarray(shuffled) < seen
    return float((1 + np.count_nonzero(~below)) / (1 + len(below)))


def few_shuffles(shuffles: int, times: int = 1) -> tuple[str, ...]:
    """A note if no p-value can be below 5 %: the smallest possible one is `times` / (shuffles + 1)."""
    if not shuffles or shuffles >= 20 * times:
        return ()
    return (
        f"{shuffles} shuffles cannot show a dependence at 5 %, however strong it is: that takes {20 * times} or more",
    )


def p_value_of_scores(blocks: Sequence[Tensor], shuffles: int, rng: np.random.Generator) -> float:
    """The p-value from a critic's scores of held-out pairs.

    The statistic is the mean score of the pairs. This is enough for DV, NWJ and infoNCE (with the pair among its own
    candidates): their other terms are sums over all combinations, which a shuffle does not change.

    Args:
        blocks: the scores (n, n) of all combinations of each block of independent pairs; pairs on the diagonal. Blocks
            of equal size may hold other rows of the same groups: they are shuffled in the same way.
    """
    scores = [block.cpu().numpy() for block in blocks]
    seen = sum(float(block.diagonal().sum()) for block in scores)
    shuffled = np.empty(shuffles)
    for i in range(shuffles):
        orders = {n: rng.permutation(n) for n in sorted({len(block) for block in scores})}
        shuffled[i] = sum(block[np.arange(len(block)), orders[len(block)]].sum() for block in scores)
    return p_value(seen, shuffled + 1e-12 * np.abs(shuffled))  # equal sums in another order count as equal


def p_value_by_repeating(
    seen: float, estimate: Callable[[np.ndarray], float], n: int, shuffles: int, rng: np.random.Generator
) -> float:
    """The p-value of an estimate that is computed for each shuffle, from an order (n,) of the rows of one side."""
    return p_value(seen, [estimate(rng.permutation(n)) for _ in range(shuffles)])


def joined(p_values: Sequence[float]) -> float:
    """Combine several p-values of the same pairs: twice their median, valid for any dependence (Meinshausen 2009)."""
    return p_values[0] if len(p_values) == 1 else float(min(1.0, 2 * np.median(p_values)))
