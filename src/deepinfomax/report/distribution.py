"""A sample of y compared with the prior it was matched to: the distances of each unit, and of the norm."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from deepinfomax.report import figures
from deepinfomax.report.figures import CONTROL, SECOND
from deepinfomax.report.reading import Run, at

SHOWN = 8  #: units drawn one by one, evenly spaced
PRIORS = ("uniform", "gaussian", "ball", "sphere")


#: a frozen distribution of `scipy.stats`, or `Uniform`
Law = Any


class Uniform:
    """The uniform distribution on [0, 1]: the usual prior, without the import of `scipy.stats`, which is slow."""

    def pdf(self, x: np.ndarray) -> np.ndarray:
        return ((x >= 0) & (x <= 1)).astype(float)

    def cdf(self, x: np.ndarray) -> np.ndarray:
        return np.clip(x, 0, 1)


@dataclass(frozen=True)
class Target:
    """What one unit, and the norm of all, are distributed like under a prior; None: there is no plain density."""

    says: str
    unit: Law
    norm: Law | None
    low: float  #: of the range drawn
    high: float


def target(prior: str, units: int) -> Target:
    """The densities of a prior over `units` dimensions.

    A coordinate t of a uniform point of the unit sphere in D dimensions has density ∝ (1 - t²)^((D-3)/2), of the unit
    ball ∝ (1 - t²)^((D-1)/2): beta distributions on [-1, 1]. The radius in the ball has density D r^(D-1), the norm of
    a standard Gaussian is chi-distributed.
    """
    if prior == "uniform":
        return Target("the uniform distribution on [0, 1]", Uniform(), None, 0, 1)
    from scipy import stats

    if prior == "gaussian":
        return Target("the standard Gaussian", stats.norm(), stats.chi(units), -4, 4)
    if prior == "ball":
        half = (units + 1) / 2
        return Target("the unit ball", _on_both_sides(half), stats.beta(units, 1), *_middle(_on_both_sides(half)))
    half = max((units - 1) / 2, 1e-3)  # in one dimension the sphere is two points
    return Target("the unit sphere", _on_both_sides(half), None, *_middle(_on_both_sides(half)))


def _on_both_sides(half: float) -> Law:
    from scipy import stats

    return stats.beta(half, half, loc=-1, scale=2)


def _middle(unit: Law) -> tuple[float, float]:
    width = min(1.0, 4 * float(unit.std()))
    return -width, width


@dataclass(frozen=True)
class Distribution:
    """Figures and numbers of a sample of y."""

    prior: str  #: "" where the run matched none
    says: str
    compared: str  #: what stands beside the prior where it is not y itself: "sigmoid(y) as the critic sees it"
    count: int
    units: int
    gap: float | None  #: mean over units of the largest gap between cumulative distributions, in [0, 1]
    gap_by_chance: float | None  #: what a sample of this size from the prior itself has
    correlation: float | None  #: mean absolute correlation of two units
    correlation_by_chance: float
    pooled: Markup
    single: Markup
    norm: Markup | None


def distribution(run: Run) -> Distribution | None:
    """Everything about y in the report; None if there is no sample."""
    if run.sample is None:
        return None
    name = at(run.config, "objective", "prior", "prior")
    in_run = isinstance(at(run.config, "objective", "prior"), dict)
    prior = (name if name in PRIORS else "uniform") if in_run else ""
    y, compared = run.sample, ""
    by_noise = in_run and at(run.config, "objective", "prior", "by") == "noise"
    if prior == "uniform":
        y = 1 / (1 + np.exp(-np.clip(run.sample, -500, 500)))
        compared = f"sigmoid(y) as {'objectives see it before noise' if by_noise else 'the critic sees it'}"
    elif by_noise and prior in ("gaussian", "sphere"):
        y, compared = _normalised(run.sample, prior), "y normalised, as objectives see it before noise"
    count, units = y.shape
    aim = target(prior, units) if prior else None
    gap = by_chance = None
    if aim is not None:
        gap = float(largest_gaps(y, aim.unit).mean())
        # The mean of Kolmogorov's distribution, sqrt(pi / 2) log 2, is what a true sample has, times 1 / sqrt(n).
        by_chance = float(np.sqrt(np.pi / 2) * np.log(2) / np.sqrt(count))
    spread = y.std(0) > 1e-6 * np.abs(y).max(0)  # less is rounding
    correlation = None
    if spread.sum() > 1 and count > 2:
        matrix = np.abs(np.corrcoef(y[:, spread].T))
        correlation = float(matrix[np.triu_indices_from(matrix, 1)].mean())
    low, high = (aim.low, aim.high) if aim is not None else _range(y)
    what = "sigmoid(y)" if prior == "uniform" else "normalised y" if compared else "y"
    return Distribution(
        prior=prior,
        says=aim.says if aim is not None else "",
        compared=compared,
        count=count,
        units=units,
        gap=gap,
        gap_by_chance=by_chance,
        correlation=correlation,
        correlation_by_chance=float(np.sqrt(2 / np.pi / count)),  # E|r| of independent units
        pooled=_pooled(y, aim, low, high, what),
        single=_single(y, aim, low, high, what),
        norm=_norms(y, aim, prior) if prior != "uniform" else None,
    )


def _normalised(y: np.ndarray, prior: str) -> np.ndarray:
    """y as `PriorMatching.y_shown` has it, over this sample; on the sphere of length 1, as its target."""
    if prior == "sphere":
        return y / np.maximum(np.linalg.norm(y, axis=1, keepdims=True), 1e-12)
    return (y - y.mean(0)) / np.sqrt(y.var(0) + 1e-5)


def largest_gaps(y: np.ndarray, law: Law) -> np.ndarray:
    """Kolmogorov's distance of each column of (n, D) from a law: (D,), each in [0, 1]."""
    below = law.cdf(np.sort(y, axis=0))
    steps = np.arange(len(y) + 1)[:, None] / len(y)
    return np.maximum(steps[1:] - below, below - steps[:-1]).max(0)


def _range(y: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(y, (0.5, 99.5))
    return (float(low), float(high)) if low < high else (float(low) - 1, float(high) + 1)


def _density(ax: Axes, law: Law, low: float, high: float) -> None:
    x = np.linspace(low, high, 202)[1:-1]  # the ends of a narrow support may have no finite density
    ax.plot(x, law.pdf(x), color=SECOND, linewidth=1.75, label="prior")


def _pooled(y: np.ndarray, aim: Target | None, low: float, high: float, what: str) -> Markup:
    with figures.drawing(190) as figure:
        ax = figures.axes(figure, top=22)
        _histogram(ax, np.clip(y.ravel(), low, high), low, high, 40)
        if aim is not None:
            _density(ax, aim.unit, low, high)
        ax.set_xlabel(f"{what}, all units", labelpad=2)
        ax.locator_params(axis="y", nbins=4)
        ax.legend(loc="lower left", bbox_to_anchor=(-0.02, 0.98), ncols=2, frameon=False, borderpad=0, handlelength=1.4)
        spread = f"mean {y.mean():.2f}, standard deviation {y.std():.2f}"
        return figures.svg(figure, f"Histogram of {what} over all units: {spread}{_beside(aim)}.")


def _single(y: np.ndarray, aim: Target | None, low: float, high: float, what: str) -> Markup:
    shown = np.unique(np.linspace(0, y.shape[1] - 1, SHOWN).astype(int))
    rows = -(-len(shown) // 4)
    with figures.drawing(20 + rows * 85) as figure:
        for i, unit in enumerate(shown):
            row, column = divmod(i, 4)
            left = 6 + column * 84
            ax = figures.axes(
                figure, left=left, right=figures.WIDTH - left - 76, top=6 + row * 85, bottom=34 + (rows - 1 - row) * 85
            )
            _histogram(ax, np.clip(y[:, unit], low, high), low, high, 16)
            if aim is not None:
                _density(ax, aim.unit, low, high)
            ax.set(xticks=(), yticks=())
            ax.spines["left"].set_visible(False)
            ax.set_xlabel(f"unit {unit}", labelpad=3)
        tallest = max(ax.get_ylim()[1] for ax in figure.axes)
        for ax in figure.axes:
            ax.set_ylim(0, tallest)
        named = ", ".join(str(unit) for unit in shown)
        return figures.svg(figure, f"Histograms of {what} of single units: {named}{_beside(aim)}.")


def _norms(y: np.ndarray, aim: Target | None, prior: str) -> Markup:
    norms = np.linalg.norm(y, axis=1)
    low, high = 0.0, float(np.percentile(norms, 99.5)) * 1.15 or 1.0
    law = aim.norm if aim is not None else None
    if law is not None:
        high = max(high, float(law.ppf(0.999)))
    if prior in ("ball", "sphere"):
        high = max(high, 1.2)
    with figures.drawing(190) as figure:
        ax = figures.axes(figure, top=22)
        _histogram(ax, norms, low, high, 40)
        if law is not None:
            _density(ax, law, low, high)
        if prior == "sphere":
            ax.axvline(1, color=SECOND, linewidth=1.75, label="prior")
        ax.set_xlabel("norm of y", labelpad=2)
        ax.locator_params(axis="y", nbins=4)
        ax.legend(loc="lower left", bbox_to_anchor=(-0.02, 0.98), ncols=2, frameon=False, borderpad=0, handlelength=1.4)
        return figures.svg(figure, f"Histogram of the norm of y: mean {norms.mean():.2f}{_beside(aim)}.")


def _histogram(ax: Axes, values: np.ndarray, low: float, high: float, bins: int) -> None:
    ax.hist(values, bins=bins, range=(low, high), density=True, histtype="stepfilled", color=CONTROL, label="y")


def _beside(aim: Target | None) -> str:
    return "" if aim is None else f", with the density of {aim.says}"
