"""The page that compares runs: a table, the bounds with their caps, and what the figures do not show."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from markupsafe import Markup

from deepinfomax import __version__
from deepinfomax.evaluation.rank import LEAST_RANK
from deepinfomax.report.figures import ACCENT, CONTROL, MUTED, RULE, axes, drawing, svg
from deepinfomax.report.page import duration
from deepinfomax.report.rendering import templates, write_page

if TYPE_CHECKING:
    from deepinfomax.evaluation.compare_command import Compared


class Figure(NamedTuple):
    """How a figure of `Scores` is shown."""

    title: str
    short: str  #: its heading in a terminal
    says: str
    form: str  #: how it is written
    better: int  #: whether more (1) or less (-1) of it is held to be better; 0: neither by itself

    def written(self, value: float | None, without: str) -> str:
        return without if value is None else format(value, self.form)


FIGURES = {
    "effective_rank": Figure("effective rank", "rank", "directions that the vectors use (RankMe)", ".1f", 1),
    "uniformity": Figure("uniformity", "uniform.", "how evenly they cover the sphere; lower is more even", ".2f", -1),
    "alignment": Figure(
        "alignment", "align.", "how far two views of an image lie apart; lower is more stable", ".3f", -1
    ),
    "lidar": Figure(
        "LiDAR", "LiDAR", "directions that tell images apart beside what changes from view to view", ".1f", 1
    ),
    "alpha": Figure("alpha-ReQ", "alpha", "exponent of the eigenvalues' decay; near 1 is held to be good", ".2f", 0),
    "normality_gap": Figure(
        "normality gap", "normal gap", "distance of random directions to a normal distribution; 0: normal", ".3f", 0
    ),
}


def write_comparison(compared: Sequence["Compared"], path: Path, *, level: str, measured_on: str) -> Path:
    """Write the page about runs whose figures were taken at one level of the same images."""
    text = (
        templates()
        .get_template("compare.html")
        .render(
            runs=compared,
            rows=rows(compared),
            accuracies=accuracies(compared),
            panels=list(panels(compared)),
            sentence=sentence(compared),
            level=level,
            measured_on=measured_on,
            duration=duration,
            version=__version__,
        )
    )
    return write_page(path, text)


def rows(compared: Sequence["Compared"]) -> list[dict[str, Any]]:
    """One row per figure, one cell per run; the best value in a row is marked."""
    figures = []
    for name, figure in FIGURES.items():
        values = [None if one.scores is None else getattr(one.scores, name) for one in compared]
        known = [value for value in values if value is not None]
        if not known:
            continue
        best = (max(known) if figure.better > 0 else min(known)) if figure.better and len(set(known)) > 1 else None
        cells = [(figure.written(value, "–"), value is not None and value == best) for value in values]
        if name == "effective_rank":
            if len({one.scores.units for one in compared if one.scores is not None}) > 1:
                cells = [(text, False) for text, _ in cells]  # ranks of vectors of two lengths cannot be compared
            cells = [
                (f"{text} of {one.scores.units}" if one.scores is not None else text, mark)
                for (text, mark), one in zip(cells, compared, strict=True)
            ]
        figures.append({"title": figure.title, "says": figure.says, "cells": cells})
    return figures


def accuracies(compared: Sequence["Compared"]) -> list[tuple[str, list[str]]]:
    """Measured accuracies, where any run has them."""
    names = dict.fromkeys(name for one in compared for name in one.accuracies)
    return [
        (name, [f"{one.accuracies[name]:.3f}" if name in one.accuracies else "not run" for one in compared])
        for name in names
    ]


def sentence(compared: Sequence["Compared"]) -> str:
    """Which of the measured runs have collapsed, in words."""
    # Vectors of one or two units have no more directions than that, and have not collapsed for it.
    scores = {one.name: one.scores for one in compared if one.scores is not None}
    low = [name for name, of_run in scores.items() if of_run.effective_rank < LEAST_RANK < of_run.units]
    if low:
        return f"Collapsed: {', '.join(low)}. The vectors of such a run hardly differ, or along one direction only."
    of_them = f"None of the {len(compared)} runs"
    if len(scores) < len(compared):
        of_them = f"Of the runs that were measured, {len(scores)} of {len(compared)}, none"
    return f"{of_them} has collapsed. Which of them is best, these figures do not say."


def panels(compared: Sequence["Compared"]) -> list[tuple[str, str, Markup, str]]:
    """Pictures: bounds beside their caps, effective ranks beside the most they can be."""
    drawn = []
    for name in dict.fromkeys(bound.name for one in compared for bound in one.bounds):
        bars = [(one.name, bound.nats, bound.cap) for one in compared for bound in one.bounds if bound.name == name]
        says = (
            "The bar is the bound at the end of training, the line its cap: what is near it cannot be told from more."
        )
        drawn.append((f"{name}: bound and cap", "nats", _bars(bars, "nats"), says))
    ranks = [
        (one.name, one.scores.effective_rank, float(one.scores.units)) for one in compared if one.scores is not None
    ]
    if ranks:
        says = "The bar is the effective rank, the line the units there are."
        drawn.append(("Effective rank", "dimensions", _bars(ranks, "dimensions"), says))
    return drawn


def _bars(bars: Sequence[tuple[str, float, float | None]], unit: str) -> Markup:
    left = min(150, 24 + 6 * max(len(name) for name, _, _ in bars))
    with drawing(46 + 24 * len(bars)) as figure:
        place = axes(figure, left=left)
        for y, (_, value, cap) in enumerate(bars):
            place.barh(y, value if math.isfinite(value) else 0, height=0.55, color=ACCENT)
            if cap is not None and math.isfinite(cap):
                place.plot([cap, cap], [y - 0.4, y + 0.4], color=CONTROL)
        place.axvline(0, color=RULE)
        place.set_yticks(range(len(bars)), [_short(name) for name, _, _ in bars])
        place.set_ylim(len(bars) - 0.5, -0.5)
        place.tick_params(labelcolor=MUTED)
        place.set_xlabel(unit)
        said = "; ".join(f"{name} {value:.2f}{'' if cap is None else f' of {cap:.2f}'}" for name, value, cap in bars)
        return svg(figure, f"{said}, in {unit}.")


def _short(name: str) -> str:
    """A name that has room beside a bar: the middle of a long one is left out, since runs often differ at the end."""
    return name if len(name) < 24 else f"{name[:10]}…{name[-12:]}"
