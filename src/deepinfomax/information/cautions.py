"""Why a number of nats should not be believed as it stands: small rules that look at the evidence of an estimate.

A rule takes the `Evidence` and returns a reason in words, or None where it has nothing to say; comparisons with a value
that is not a number are false, so such a value gives no reason but its own. `estimate_mi` by a
critic, KSG, MINE and NDM each have a list of rules; most rules stand in several lists.
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
    """What a caution tells to do; "" if nothing is left to choose."""

    finite: str = ""  #: where the value is not finite
    steady: str = ""  #: where the standard error is large
    longer: str = ""  #: where the critic had not learned all it could
    more: str = "give more pairs"  #: where more data would help
    critic: str = "train a critic"  #: where nearest neighbours are the wrong tool

    @classmethod
    def of(cls, estimator: str, transform: str) -> "Advice":
        """For `estimate_mi` with that estimator and transform, which are not named again."""
        others = [name for name in ("infonce", "smile", "jsd-lb") if name != estimator]
        others += [] if transform == "rank" else ["transform='rank'"]
        return cls(
            finite=f"use {', '.join(others[:-1])} or {others[-1]}",
            steady="give more pairs" + ("" if estimator in ("infonce", "jsd-lb") else " or use infonce or jsd-lb"),
            longer="give more steps or a larger lr",
        )


@dataclass(frozen=True)
class Evidence:
    """What is known of an estimate, in nats. What was not measured keeps a value at which no rule speaks."""

    nats: float
    standard_error: float
    cap: float = math.inf  #: above which the estimator cannot go, or vouches for nothing
    hard_cap: bool = False  #: whether it cannot go above its cap at all
    entropy: float = math.inf  #: of the labels on a side, which no mutual information exceeds
    train_nats: float = -math.inf  #: the same readout on training data
    effective: float = math.inf  #: how many combinations of equal weight the normaliser rests on
    drift: float = 0.0  #: by how much two held-out parts disagree on the normaliser
    skipped: float = 0.0  #: share of the training steps that overflowed
    steps: int = FEWEST_STEPS  #: fewest steps of a training
    rise: float = 0.0  #: of the stopping value over the second half of training
    fall: float = 0.0  #: of the stopping value from its best to the end of training
    read_in_blocks: bool = False  #: whether more pairs would be read in more blocks, which raises no cap
    by_chance: float = 0.0  #: what labels read when they are shuffled
    tenth: float = math.inf  #: what a tenth of the pairs reads
    neighbours: float = -math.inf  #: what nearest neighbours read beside a critic
    neighbours_error: float = 0.0  #: the standard error of that
    neighbours_rise: float = 0.0  #: by how much that is above what they read of a tenth of the pairs
    by_dv: float = -math.inf  #: what the same critic reads by DV
    ranked: float | None = None  #: what the ranks of the columns read
    atom: float = 0.0  #: share of the rows in which a column of numbers has one and the same value
    units: int = 0  #: dimensions of both sides together; of y for NDM
    still: int = 0  #: how many of them are the same in every row
    gaussian: float = 0.0  #: what a Gaussian with the same correlations has
    mixture: float = -math.inf  #: what a mixture of Gaussians shows of the same held-out rows
    mixture_error: float = 0.0  #: the standard error of how much more that is
    advice: Advice = field(default_factory=Advice)
    #: what the data are called: pairs of `estimate_mi`, rows of y for NDM
    pairs: str = "pairs"
    combinations: str = "of all combinations"
    more: str = "pairs"  #: what there should be more of


Rule = Callable[[Evidence], str | None]


def cautions(rules: Sequence[Rule], evidence: Evidence) -> str | None:
    """The reasons of all rules that have one, in their order; None if no rule has."""
    return "; ".join(reason for rule in rules if (reason := rule(evidence))) or None


def not_finite(e: Evidence) -> str | None:
    return None if math.isfinite(e.nats) else _with("the value is not finite", e.advice.finite)


def close_to_cap(e: Evidence) -> str | None:
    if e.hard_cap and e.nats > 0.7 * e.cap and e.cap < e.entropy:
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
    """The weights of the best step are kept, so training pairs need not read more; but it came too early.

    Of independent sides every critic falls back, from 0, and rightly so.
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
    """A smooth critic cannot draw a ridge far narrower than the data are wide; neighbours can."""
    if e.neighbours - e.nats > max(0.05, 3 * math.hypot(e.standard_error, e.neighbours_error)):
        return (
            f"nearest neighbours read {e.neighbours:.2f} nats of the same pairs: the critic has missed part of the "
            "dependence: see what estimator='auto' says"
        )
    return None


def few_pairs_for_both(e: Evidence) -> str | None:
    """Critics and neighbours fail in different ways; where both want more pairs, neither is near the truth.

    Each sign counts from two thirds of what it takes alone, and that of neighbours alone, at its full size, where the
    critic reads no more than they do. A critic that reads clearly more than neighbours has found what they miss.
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
    """Mutual information is the same for ranks; where the estimates differ, distances mislead."""
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
#: of nearest neighbours, and of counted labels
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
    """What a density learns of training rows and not of others is partly chance and partly what more rows teach."""
    if e.train_nats - e.nats > max(0.5, 0.1 * abs(e.nats)):
        return f"{e.train_nats:.2f} nats on training {e.pairs}: the truth may lie between, and more {e.more} tell"
    return None


def below_a_mixture(e: Evidence) -> str | None:
    """Two lower bounds of one quantity, read on the same rows: the truth lies above the higher one."""
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
    """A caution if the farthest value lies far out, in standard deviations; otherwise ""."""
    if farthest <= LONG_TAIL:
        return ""
    return f"long tails, up to {farthest:.0f} standard deviations: use transform='rank'"


def repeated_pairs(sides: tuple[np.ndarray, ...], pairs: str = "pairs") -> str:
    """A caution if pairs are copies of others; "" where none are, or only as many as rounding makes by chance.

    `pairs` is what the caution calls them: rows of a table are alike in all of its columns, its sides.

    Copies stand on both sides of the split, so held-out pairs have been seen in training. Rounded values coincide too,
    but then they also do when every column is shuffled on its own.
    """
    if all(side.ndim == 1 for side in sides):  # labels repeat by nature
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
    """Nats by which training pairs may read more than others without a word."""
    return min(max(0.1, 3 * e.standard_error), max(0.3, 0.2 * abs(e.nats)))


def largest_rise(nats: float) -> float:
    """Nats by which neighbours may read more of all pairs than of a tenth without a word."""
    return max(0.2, 0.2 * abs(nats))


def _with(reason: str, advice: str) -> str:
    return f"{reason}: {advice}" if advice else reason
