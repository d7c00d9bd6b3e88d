"""p-values by shuffling: how often unrelated pairs would read as much as these do.

Under independence every pairing of the x's with the y's is as likely as the one that was seen. So the rank of the seen
value among those of shuffled pairings is uniform, whatever the distribution and the statistic (Phipson & Smyth 2010).
That also holds for the scores of a critic, provided that it has seen none of the pairs: then its scores are a fixed
function of x and y. A critic is thus trained once, and held-out pairs are shuffled. Nearest neighbours are counted anew
for every shuffle.
"""

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor


def p_value(seen: float, shuffled: Sequence[float] | np.ndarray) -> float:
    """(1 + shuffles that reach the seen value) / (1 + shuffles): never 0, and valid at every level."""
    shuffled = np.asarray(shuffled)
    return float((1 + np.count_nonzero(shuffled >= seen)) / (1 + len(shuffled)))


def few_shuffles(shuffles: int, times: int = 1) -> tuple[str, ...]:
    """A note if no p-value could be below 5 %: the least is `times` / (shuffles + 1)."""
    if not shuffles or shuffles >= 20 * times:
        return ()
    return (
        f"{shuffles} shuffles cannot show a dependence at 5 %, however strong it is: that takes {20 * times} or more",
    )


def p_value_of_scores(blocks: Sequence[Tensor], shuffles: int, rng: np.random.Generator) -> float:
    """Of a critic's scores of held-out pairs.

    The statistic is the mean score of the pairs. Of infoNCE with a pair among its own candidates, of DV and of NWJ, all
    else is a sum over combinations that a shuffle leaves as they are.

    Args:
        blocks: the scores (n, n) of all combinations of each block of independent pairs; pairs on the diagonal. Blocks
            of equal size may hold other rows of the same groups: they are shuffled alike.
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
    """Of an estimate that is computed anew for each shuffle: `estimate` takes an order (n,) of the rows of one side."""
    return p_value(seen, [estimate(rng.permutation(n)) for _ in range(shuffles)])


def joined(p_values: Sequence[float]) -> float:
    """One p-value of several of the same pairs: twice their median, valid however they depend (Meinshausen 2009)."""
    return p_values[0] if len(p_values) == 1 else float(min(1.0, 2 * np.median(p_values)))
