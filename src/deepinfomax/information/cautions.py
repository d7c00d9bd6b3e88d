"""Warnings: small rules that look at the evidence of an estimate and say why the number should not be trusted.

A rule takes the `Evidence` and returns a reason in words, or None. Comparisons with NaN are false, so a value that is
NaN gives no other reason than that. `estimate_mi` by a critic, KSG, MINE and NDM each have a list of rules; most rules
are in several lists.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

#: Steps of training below which no critic has learned: Adam moves a weight by about the learning rate in each.
FEWEST_STEPS = 40
#: Standard deviations beyond which a value is no longer one of a distribution that a network can handle as it is.
LONG_TAIL = 20
#: The share of pairs that repeat another, exactly, above which they are no coincidence.
REPEATS = 0.01


@dataclass(frozen=True)
class Advice:
    """What a caution tells the user to do in each case; "" if there is nothing to change."""

    finite: str = ""  #: if the value is not finite
    steady: str = ""  #: if the standard error is large
    longer: str = ""  #: if the critic could have learned more
    more: str = "give more pairs"  #: if more data would help
    critic: str = "train a critic"  #: if nearest neighbours are the wrong method

    @classmethod
    def of(cls, estimator: str, transform: str) -> "Advice":
        """The advice for `estimate_mi` with this estimator and transform, which it does not suggest again."""
        others = [name for name in ("infonce", "smile", "jsd-lb") if name != estimator]
        others += [] if transform == "rank" else ["transform='rank'"]
        return cls(
            finite=f"use {', '.join(others[:-1])} or {others[-1]}",
            steady="give more pairs" + ("" if estimator in ("infonce", "jsd-lb") else " or use infonce or jsd-lb"),
            longer="give more steps or a larger lr",
        )


@dataclass(frozen=True)
class Evidence:
    """What is known about an estimate, in nats. The defaults stand for "not measured": no rule warns about them."""

    nats: float
    standard_error: float
    cap: float = math.inf  #: value that the estimator cannot exceed, or above which it should not be trusted
    hard_cap: bool = False  #: whether it cannot go above its cap at all
    entropy: float = math.inf  #: of the labels on a side, which mutual information cannot exceed
    train_nats: float = -math.inf  #: the same readout on training data
    effective: float = math.inf  #: number of negatives of equal weight that would make the normaliser as certain
    drift: float = 0.0  #: difference between the normalisers of two held-out parts
    skipped: float = 0.0  #: share of the training steps that overflowed
    steps: int = FEWEST_STEPS  #: steps of the shortest training
    rise: float = 0.0  #: of the stopping value over the second half of training
    fall: float = 0.0  #: of the stopping value from its best to the end of training
    read_in_blocks: bool = False  #: whether more pairs would be read in more blocks, so that the cap would not rise
    by_chance: float = 0.0  #: the estimate for shuffled labels
    tenth: float = math.inf  #: the estimate from a tenth of the pairs
    neighbours: float = -math.inf  #: the estimate by nearest neighbours, besides that of a critic
    neighbours_error: float = 0.0  #: its standard error
    neighbours_rise: float = 0.0  #: by how much it is above the one from a tenth of the pairs
    by_dv: float = -math.inf  #: the value of the same critic by DV
    ranked: float | None = None  #: the estimate from the ranks of the columns
    atom: float = 0.0  #: largest share of the rows in which a column of numbers has the same value
    units: int = 0  #: dimensions of both sides together; of y for NDM
    still: int = 0  #: how many of them are constant
    gaussian: float = 0.0  #: total correlation of a Gaussian with the same correlations
    mixture: float = -math.inf  #: the value by a mixture of Gaussians, on the same held-out rows
    mixture_error: float = 0.0  #: the standard error of its difference from the value
    advice: Advice = field(default_factory=Advice)
    #: how messages call the data: pairs in `estimate_mi`, rows of y in NDM
    pairs: str = "pairs"
    combinations: str = "of all combinations"
    more: str = "pairs"  #: what more is needed of


Rule = Callable[[Evidence], str | None]


def cautions(rules: Sequence[Rule], evidence: Evidence) -> str | None:
    """The reasons of all rules that have one, in their order; None if no rule has."""
    return "; ".join(reason for rule in rules if (reason := rule(evidence))) or None


def not_finite(e: Evidence) -> str | None:
    return None if math.isfinite(e.nats) else _with("the value is not finite", e.advice.finite)


def near_cap(nats: float, cap: float, entropy: float, *, hard: bool = True) -> bool:
    """Whether a value is so close to the cap of its estimator that the data set no upper limit to the truth.

    Args:
        entropy: of labels; inf: there are none. If it is below the cap, it limits the truth.
        hard: whether the estimator cannot exceed the cap; otherwise only values above the cap count.
    """
    return nats > (0.7 if hard else 1.0) * cap and cap < entropy


def close_to_cap(e: Evidence) -> str | None:
    if e.hard_cap and near_cap(e.nats, e.cap, e.entropy):
        remedy = "see what dv or smile say" if e.read_in_blocks else e.advice.more
        return f"close to its cap of {e.cap:.2f} nats, so the truth may be far higher: {remedy}"
    return None


def above_cap(e: Evidence) -> str | None:
    if not e.hard_cap and e.nats > e.cap:
        return f"above {e.cap:.2f} nats, the log of the held-out {e.pairs} read at once, which vouch for no more"
    return None


def above_entropy(e: Evidence) -> str | None:
    if e.nats > e.entropy + 2 * e.standard_error:
        return f"above the labels' entropy of {e.entropy:.2f} nats, which no mutual information exceeds"
    return None


def units_that_never_move(e: Evidence) -> str | None:
    if e.still:
        return f"{e.still} of {e.units} units of y are the same in every row: independent, and no better for it"
    return None


def no_error(e: Evidence) -> str | None:
    if e.standard_error == math.inf:
        return "no standard error, since a tenth of the pairs holds no label twice: give more or merge labels"
    return None


def large_error(e: Evidence) -> str | None:
    if e.standard_error > 0.1 * max(1.0, abs(e.nats)):
        return _with(f"the standard error of {e.standard_error:.2g} nats is large", e.advice.steady)
    return None


def few_negatives(e: Evidence) -> str | None:
    if e.effective < 30:
        return f"the normaliser rests on {e.effective:.0f} {e.combinations}, so its error is larger than it looks"
    return None


def drifting(e: Evidence) -> str | None:
    if e.drift > max(0.1, 3 * e.standard_error):
        return f"two held-out parts disagree on the normaliser by {e.drift:.2f} nats"
    return None


def overfits(e: Evidence) -> str | None:
    if e.train_nats - e.nats > _largest_gap(e):
        return f"{e.train_nats:.2f} nats on training {e.pairs}: the critic overfits, and more {e.more} would raise it"
    return None


def learned_by_heart(e: Evidence) -> str | None:
    """Warns if the stopping value fell much after its best step: from then on the critic memorised single pairs.

    The weights of the best step are kept, so a higher value on training pairs need not show it. If the sides are
    independent, the stopping value of every critic falls below 0; that is no reason for a warning.
    """
    if e.nats > max(0.1, 3 * e.standard_error) and e.fall > max(0.25, 0.2 * e.nats):
        return (
            f"the stopping value fell back by {e.fall:.2f} nats as the training went on: the critic learns single "
            f"{e.pairs} before it has learned all that they share: {e.advice.more} or a narrower critic"
        )
    return None


def not_learned(e: Evidence) -> str | None:
    if e.steps < FEWEST_STEPS:
        return _with(f"{e.steps} steps are too few for a critic to learn in", e.advice.longer)
    if e.rise > max(0.05, 0.1 * abs(e.nats)):  # where more steps gave nothing more, it rose by 4 % at most
        rose = f"the stopping value still rose by {e.rise:.2f} nats over the second half of training"
        return _with(rose, e.advice.longer)
    return None


def overflowed(e: Evidence) -> str | None:
    if e.skipped > 0.01:
        return f"{100 * e.skipped:.0f}% of the training steps overflowed and were left out"
    return None


def rare_labels(e: Evidence) -> str | None:
    if abs(e.by_chance) > 0.05 * max(1.0, abs(e.nats)):
        return (
            f"labels this rare read {e.by_chance:.2f} nats even when shuffled, where the truth is 0: "
            f"{e.advice.more} or merge labels"
        )
    return None


def still_rising_with_pairs(e: Evidence) -> str | None:
    if e.nats - e.tenth > largest_rise(e.nats):
        return (
            f"a tenth of the pairs reads {e.tenth:.2f} nats, so the value still rises with their number: "
            f"{e.advice.more} or {e.advice.critic}"
        )
    return None


def below_neighbours(e: Evidence) -> str | None:
    """Warns if neighbours find more: a smooth critic misses a dependence that is very sharp for the data's width."""
    if e.neighbours - e.nats > max(0.05, 3 * math.hypot(e.standard_error, e.neighbours_error)):
        return (
            f"nearest neighbours read {e.neighbours:.2f} nats of the same pairs: the critic has missed part of the "
            "dependence: see what estimator='auto' says"
        )
    return None


def few_pairs_for_both(e: Evidence) -> str | None:
    """Warns if both the critic and the neighbours show signs of too few pairs: then both are far from the truth.

    Each sign counts from two thirds of the size that would give a warning by itself. The neighbours' sign alone is
    enough, at its full size, if the critic's value is not higher than theirs. A critic whose value is clearly higher
    has found a dependence that they miss.
    """
    gap, rise = (e.train_nats - e.nats) / _largest_gap(e), e.neighbours_rise / largest_rise(e.neighbours)
    if e.nats - e.neighbours > 3 * math.hypot(e.standard_error, e.neighbours_error):
        return None
    if min(gap, rise) > 2 / 3 or (rise > 1 and e.nats <= e.neighbours):
        return (
            f"nearest neighbours read {e.neighbours - e.neighbours_rise:.2f} nats of a tenth of the {e.pairs} and "
            f"{e.neighbours:.2f} of all, and the critic {e.train_nats:.2f} of those that it has seen: the dependence "
            f"is too involved for so few {e.pairs}, and the truth is probably above: {e.advice.more}"
        )
    return None


def below_own_dv(e: Evidence) -> str | None:
    if e.by_dv - e.nats > max(0.1, 3 * e.standard_error):
        return f"the same critic shows {e.by_dv:.2f} nats when it is read by jsd-dv, so the truth lies above this value"
    return None


def ranks_differ(e: Evidence) -> str | None:
    """Mutual information does not change if columns are replaced by ranks. If the estimates differ, warn."""
    if e.ranked is not None and abs(e.ranked - e.nats) > max(0.05, 3 * e.standard_error):
        return (
            f"ranks of the columns read {e.ranked:.2f} nats, though mutual information is the same for them: long "
            "tails or values that repeat mislead nearest neighbours: use transform='rank'"
        )
    return None


def repeated_value(e: Evidence) -> str | None:
    if e.ranked is not None and e.atom > 0.1:
        return (
            f"one value fills {100 * e.atom:.0f}% of a column of numbers (zeros, or a limit of the instrument), and "
            "nearest neighbours read too little beside it: use transform='rank'"
        )
    return None


def many_dimensions(e: Evidence) -> str | None:
    if e.units > 6:
        return f"{e.units} dimensions: nearest neighbours fall far below the truth in so many; {e.advice.critic}"
    return None


#: of `estimate_mi` by a critic, and of MINE
OF_CRITICS: tuple[Rule, ...] = (
    not_finite,
    close_to_cap,
    above_cap,
    above_entropy,
    large_error,
    few_negatives,
    drifting,
    overfits,
    learned_by_heart,
    below_neighbours,
    few_pairs_for_both,
    below_own_dv,
    not_learned,
    overflowed,
)
#: for nearest neighbours, and for counted labels
OF_NEIGHBOURS: tuple[Rule, ...] = (
    close_to_cap,
    rare_labels,
    still_rising_with_pairs,
    ranks_differ,
    repeated_value,
    many_dimensions,
    lambda e: no_error(e) or large_error(e),
)


def short_of_the_truth(e: Evidence) -> str | None:
    """Warns if the value on training rows is much higher; a part of the difference is what more rows would add."""
    if e.train_nats - e.nats > max(0.5, 0.1 * abs(e.nats)):
        return f"{e.train_nats:.2f} nats on training {e.pairs}: the truth may lie between, and more {e.more} tell"
    return None


def below_a_mixture(e: Evidence) -> str | None:
    """Warns if the mixture's value, a lower bound of the same quantity on the same rows, is higher."""
    if e.mixture - e.nats > max(0.5, 3 * e.mixture_error):
        return (
            f"a mixture of Gaussians shows {e.mixture:.2f} nats of the same {e.pairs}, which is a lower bound too: "
            f"the {e.pairs} fall into groups, and the truth lies above both"
        )
    return None


def without_end(e: Evidence) -> str | None:
    if e.gaussian == math.inf:
        return "a unit is a linear function of others: the dependence has no end, and any number is too small"
    return None


#: of NDM
OF_DEPENDENCE: tuple[Rule, ...] = (units_that_never_move, without_end, large_error, short_of_the_truth, below_a_mixture)


def long_tails(farthest: float) -> str:
    """A warning if the largest value, in standard deviations, is very large; otherwise ""."""
    if farthest <= LONG_TAIL:
        return ""
    return f"long tails, up to {farthest:.0f} standard deviations: use transform='rank'"


def repeated_pairs(sides: tuple[np.ndarray, ...], pairs: str = "pairs") -> str:
    """A caution if pairs are copies of others; "" where none are, or only as many as rounding makes by chance.

    With copies on both sides of the split, held-out pairs have been seen in training. Rounded values coincide too, but
    they also do so if every column is shuffled by itself, which is how the two are distinguished.

    Args:
        sides: the two sides of the pairs, or all columns of a table.
        pairs: how the warning calls them.
    """
    if all(side.ndim == 1 for side in sides):  # pairs of labels always repeat
        return ""
    copies = _copies(sides)
    if copies <= REPEATS * len(sides[0]):
        return ""
    rng = np.random.default_rng(0)
    by_chance = _copies(tuple(rng.permuted(side, axis=0) for side in sides))
    if copies <= 10 * by_chance:
        return ""
    return (
        f"{copies:,} of {len(sides[0]):,} {pairs} repeat another exactly: if they are copies, what is held out has "
        "been seen in training, and the value is far too high: drop them"
    )


def _copies(sides: tuple[Any, ...]) -> int:
    """How many pairs are equal to an earlier one."""
    rows = zip(*(np.ascontiguousarray(side) for side in sides), strict=True)
    return len(sides[0]) - len({tuple(hash(part.tobytes()) for part in row) for row in rows})


def _largest_gap(e: Evidence) -> float:
    """The largest difference between training and held-out pairs, in nats, that gives no warning."""
    return min(max(0.1, 3 * e.standard_error), max(0.3, 0.2 * abs(e.nats)))


def largest_rise(nats: float) -> float:
    """The largest difference between the neighbours' values from all pairs and from a tenth that gives no warning."""
    return max(0.2, 0.2 * abs(nats))


def _with(reason: str, advice: str) -> str:
    return f"{reason}: {advice}" if advice else reason
