"""Has the estimate converged? It is repeated with subsamples of the pairs, and with critics of other widths.

If the value still rises with the number of pairs or with the width, it is too low. These are the checks of Abdelaleem,
Martini & Nemenman (arXiv 2506.00330), for any estimator of `estimate_mi`.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from deepinfomax.errors import UserError
from deepinfomax.information import inputs
from deepinfomax.information.estimate import MIEstimate
from deepinfomax.information.estimation import estimate_mi
from deepinfomax.progress import within
from deepinfomax.seeds import check_seed

SHARES = (8, 4, 2, 1)  #: an eighth of the pairs, a quarter, a half, all
WIDTHS = (16, 64, 256)  #: of the critic's hidden layers


@dataclass(frozen=True)
class Convergence:
    """Estimates by number of pairs, and by width of the critic."""

    by_pairs: tuple[tuple[int, MIEstimate], ...]  #: (pairs, estimate), most pairs last
    by_width: tuple[tuple[int, MIEstimate], ...]  #: (width, estimate), widest last; empty without a critic

    @property
    def holds_still(self) -> bool:
        """Whether the last doubling of pairs and the last widening raised it by at most max(0.05 nats, 5 %, 2 s.e.)."""
        return all(_still(points) for points in (self.by_pairs, self.by_width))

    def sentence(self) -> str:
        """The finding in words."""
        said = []
        for points, what in ((self.by_pairs, "pairs"), (self.by_width, "hidden units")):
            if len(points) > 1:
                (a, before), (b, after) = points[-2:]
                steps = f"from {a:,} to {b:,} {what} the value goes from {before.nats:.3g} to {after.nats:.3g} nats"
                said.append(steps + ("" if _still(points) else ", so it still rises: the truth lies above it"))
        if not said:
            return f"Fewer than {4 * inputs.FEWEST_PAIRS} pairs are too few to take a part of them."
        return "; ".join(said)[:1].upper() + "; ".join(said)[1:] + "."

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "by_pairs": [_point(n, estimate) for n, estimate in self.by_pairs],
            "by_width": [_point(n, estimate) for n, estimate in self.by_width],
            "holds_still": self.holds_still,
            "sentence": self.sentence(),
        }

    def draw(self) -> Figure:
        """Both as curves with their intervals, as a matplotlib figure."""
        figure = Figure(figsize=(8, 3), layout="constrained")
        drawn = [(p, what) for p, what in ((self.by_pairs, "pairs"), (self.by_width, "hidden units")) if p]
        for axes, (points, what) in zip(np.atleast_1d(figure.subplots(1, len(drawn))), drawn, strict=True):
            x, y = [n for n, _ in points], [estimate.nats for _, estimate in points]
            errors = [min(estimate.standard_error, 1e3) for _, estimate in points]
            axes.errorbar(x, y, yerr=2 * np.array(errors), marker="o", capsize=3)
            axes.set(xscale="log", xlabel=what, ylabel="nats")
        return figure


def mi_convergence(x: Any, y: Any, estimator: str = "infonce", *, seed: int = 0, **settings: Any) -> Convergence:
    """`estimate_mi` of an eighth, a quarter, a half and all of the pairs, and with critics of 16, 64 and 256 units.

    Parts with too few pairs, or with too few rows of a label, are left out. It takes as long as about five estimates.

    Args:
        x, y, estimator, settings: those of `estimate_mi`, except groups, block and hidden.

    Raises:
        UserError: in the cases of `estimate_mi`.
    """
    for name in ("groups", "block", "hidden"):
        if name in settings:
            raise UserError(f"mi_convergence takes no {name}: it chooses rows and widths itself")
    inputs.check_index(x, y)
    sides = [inputs.read_side(values, name) for values, name in ((x, "x"), (y, "y"))]
    inputs.check_lengths(len(sides[0]), len(sides[1]))
    n = len(sides[0])
    order = np.random.default_rng([check_seed(seed), n]).permutation(n)
    by_pairs = []
    for share in SHARES:
        rows = np.sort(order[: n // share])
        if len(rows) >= 2 * inputs.FEWEST_PAIRS or share == 1:
            with within(f"{len(rows):,} pairs"):
                one, other = (
                    np.unique(s[rows], return_inverse=True)[1] if inputs.is_labels(s) else s[rows] for s in sides
                )
                try:
                    by_pairs.append((len(rows), estimate_mi(one, other, estimator, seed=seed, **settings)))
                except UserError:
                    if share == 1:  # an error with all pairs is an error of the input
                        raise
    by_width = []
    widest = _of_critic(by_pairs[-1][1])
    if widest is not None:
        for width in WIDTHS[:-1]:
            with within(f"{width} hidden units"):
                asked = estimate_mi(sides[0], sides[1], estimator, seed=seed, hidden=(width, width), **settings)
                if (estimate := _of_critic(asked)) is not None:
                    by_width.append((width, estimate))
        by_width.append((WIDTHS[-1], widest))  # the default of estimate_mi
    return Convergence(tuple(by_pairs), tuple(by_width))


def _of_critic(estimate: MIEstimate) -> MIEstimate | None:
    """The estimate itself, or `beside`, whichever has a critic; None if neither has."""
    return next((one for one in (estimate, estimate.beside) if one is not None and one.critic is not None), None)


def _still(points: tuple[tuple[int, MIEstimate], ...]) -> bool:
    if len(points) < 2:
        return True
    before, after = (estimate for _, estimate in points[-2:])
    error = math.hypot(before.standard_error, after.standard_error)
    return after.nats - before.nats <= max(0.05, 0.05 * abs(after.nats), 2 * error)


def _point(size: int, estimate: MIEstimate) -> dict[str, Any]:
    values = estimate.to_dict()
    return {"size": size} | {key: values[key] for key in ("nats", "standard_error", "interval", "warning")}
