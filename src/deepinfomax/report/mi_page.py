"""The page about an estimate of mutual information, or about many: one file of HTML that needs no network."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from deepinfomax import __version__
from deepinfomax.errors import count_of
from deepinfomax.report.figures import ACCENT, CONTROL, FAINT, INK, MUTED, RULE, SECOND, axes, drawing, svg
from deepinfomax.report.rendering import templates, write_page

if TYPE_CHECKING:
    from deepinfomax.information.convergence import Convergence
    from deepinfomax.information.estimate import MIEstimate
    from deepinfomax.information.tables import Matrix, Ranking

MOST_CELLS = 30  #: columns of a heat map in which values are written


def write_estimate(estimate: "MIEstimate", path: Path, convergence: "Convergence | None" = None) -> Path:
    """Write the page about one estimate."""
    panels = []
    if estimate.training:
        panels.append(
            ("Training", "nats", _training(estimate), "The bound on pairs that the critic does not train on.")
        )
    if estimate.pointwise is not None and len(estimate.pointwise.nats):
        panels.append(
            (
                "What single pairs tell",
                "nats",
                _pointwise(estimate),
                "Held-out pairs by their own share; the estimate is the mean. Pairs far to the right contribute most.",
            )
        )
    if convergence is not None:
        for points, what in ((convergence.by_pairs, "pairs"), (convergence.by_width, "hidden units")):
            if len(points) > 1:
                panels.append(
                    (
                        f"By {what}",
                        "nats",
                        _points(points, what),
                        "If the value still rises at the right, it has not reached its end.",
                    )
                )
    return _write(
        path,
        title=estimate.quantity,
        standing="above" if estimate.dependent else "level",
        headline=headline(estimate),
        interval=(_interval(estimate), _interval_says(estimate)),
        meaning=meaning(estimate),
        reasons=reasons(estimate.warning),
        methods=methods(estimate),
        still=None if convergence is None else convergence.sentence(),
        facts=list(facts(estimate)),
        panels=panels,
        rows=[],
        tested=False,
        notes=estimate.notes,
    )


def write_table(result: "Ranking | Matrix", path: Path, notes: tuple[str, ...] = ()) -> Path:
    """Write the page about the pairs of a table."""
    values = result.to_dict()
    rows: list[dict[str, Any]] = values["columns"] if "target" in values else values["pairs"]
    rows = sorted(rows, key=lambda row: -(row["nats"] or 0))
    for row in rows:
        row["name"] = row.get("column") or f"{row['x']} · {row['y']}"
    found = sum(row["dependence"] for row in rows)
    if "target" in values:
        title = f"What tells of {values['target']}"
        panels = [(title, "nats", _bars(rows), "Lines: 95% intervals. Grey: no dependence found.")]
    else:
        title = "Mutual information of every two columns"
        panels = [(title, "nats", _heat(result), "Darker: more in common.")]  # type: ignore[arg-type]
    return _write(
        path,
        title=title,
        standing="above" if found else "level",
        headline=f"A dependence was found in {found} of {count_of(len(rows), 'pair')}.",
        interval=None,
        meaning=[MEANING_OF_NATS],
        reasons=[],
        methods=None,
        still=None,
        facts=[("pairs", f"{len(rows):,}"), ("time", f"{values['seconds']:.1f} s")],
        panels=panels,
        rows=rows,
        tested=any(row["p_value"] is not None for row in rows),
        notes=(*notes, *result.notes()),
    )


MEANING_OF_NATS = (
    "Mutual information is how much less uncertain one side is once the other is known: 0 where they have nothing to "
    "do with each other, whatever the shape of their relation. 0.69 nats (1 bit) answer one yes-or-no question."
)


def headline(estimate: "MIEstimate") -> str:
    """The answer, before any of its details."""
    if not math.isfinite(estimate.nats):
        return "No number could be had."
    if not estimate.dependent:
        return "No dependence was found."
    nats = f"{estimate.nats:.2g}" if estimate.nats < 99.5 else f"{estimate.nats:,.0f}"  # no 1e+02
    return f"A dependence was found, of {'at least' if estimate.lower_bound else 'about'} {nats} nats."


def methods(estimate: "MIEstimate") -> str | None:
    """What to report in a paper, ready to be copied; None if there is no number."""
    if not math.isfinite(estimate.nats):
        return None
    kind = "a lower bound" if estimate.lower_bound else "an estimate and no bound"
    by = estimate.estimator + (f" with a {estimate.critic} critic" if estimate.critic else "")
    rows = f"{estimate.n_test:,} pairs" + (
        f" held out from {estimate.n_train:,} to train on" if estimate.n_train else ""
    )
    groups = "" if estimate.groups is None else f" in {estimate.groups:,} independent groups"
    low, high = estimate.interval()
    said = (
        f"{estimate.quantity} was measured by {by} ({kind}) on {rows}{groups}: {estimate.nats:.3g} nats, 95% interval "
        f"{low:.3g} to {f'{high:.3g}' if math.isfinite(high) else 'no upper end'}"
    )
    if estimate.p_value is not None:
        said += f"; permutation test with {estimate.shuffles:,} shuffles, p = {estimate.p_value:.2g}"
    if estimate.beside is not None:
        said += f"; {estimate.beside.estimator} of the same pairs: {estimate.beside.nats:.3g} nats"
    seeds = "seed" if len(estimate.seeds) == 1 else "seeds"
    return f"{said} (deepinfomax {__version__}, {seeds} {', '.join(map(str, estimate.seeds))})."


def meaning(estimate: "MIEstimate") -> list[str]:
    """What the number says, for a reader who meets it for the first time."""
    said = [MEANING_OF_NATS]
    if estimate.quantity.startswith("I(") and "|" not in estimate.quantity and math.isfinite(estimate.nats):
        rho = math.sqrt(max(0.0, 1 - math.exp(-2 * max(0.0, estimate.nats))))
        said.append(f"Two normal variables with a correlation of {rho:.2f} would share as much.")
    if estimate.share_of_entropy is not None:
        said.append(f"It is {100 * estimate.share_of_entropy:.0f}% of all that is uncertain about the labels.")
    if estimate.lower_bound:
        said.append("The estimate is a lower bound: on average over samples it does not exceed the truth.")
    elif estimate.estimator in ("ksg", "frenzel-pompe"):
        said.append("It is an estimate by nearest neighbours: near the truth in few columns, and no bound.")
    else:
        said.append("It is an estimate and no bound: the truth may lie on either side.")
    if estimate.p_value is not None:
        said.append(
            f"If the two sides had nothing to do with each other, chance alone would give a value as high with "
            f"probability {estimate.p_value:.2g}."
        )
    return said


def reasons(warning: str | None) -> list[str]:
    """A warning as its single reasons."""
    return [] if warning is None else [reason[:1].upper() + reason[1:] + "." for reason in warning.split("; ")]


def facts(estimate: "MIEstimate") -> Iterator[tuple[str, str]]:
    """What one states beside the number in a paper."""
    low, high = estimate.interval()
    yield "estimate", f"{estimate.nats:.3g} nats = {estimate.bits:.3g} bits"
    yield "95% interval", f"{low:.3g} to {high:.3g} nats" if math.isfinite(high) else f"above {low:.3g} nats"
    if math.isfinite(estimate.standard_error):
        yield "standard error", f"{estimate.standard_error:.2g} nats"
    if estimate.p_value is not None:
        yield "p-value", f"{estimate.p_value:.2g} ({estimate.shuffles:,} shuffles)"
    yield "estimator", estimate.estimator + (f", {estimate.critic} critic" if estimate.critic else "")
    if estimate.beside is not None:
        yield f"by {estimate.beside.estimator}", f"{estimate.beside.nats:.3g} nats"
    yield "pairs read", f"{estimate.n_test:,}"
    if estimate.n_train:
        yield "pairs trained on", f"{estimate.n_train:,}"
    if estimate.groups is not None:
        yield "independent groups", f"{estimate.groups:,}"
    yield "seeds", ", ".join(map(str, estimate.seeds))
    yield "time", f"{estimate.seconds:.1f} s"
    yield "deepinfomax", __version__


def _write(path: Path, **values: Any) -> Path:
    return write_page(Path(path), templates().get_template("mi.html").render(**values))


def _interval(estimate: "MIEstimate") -> Markup:
    shown = [(estimate.estimator, estimate, ACCENT)]
    if estimate.beside is not None:
        shown.append((estimate.beside.estimator, estimate.beside, SECOND))
    with drawing(60 + 40 * len(shown)) as figure:
        place = axes(figure, left=70)
        for y, (_, one, colour) in enumerate(shown):
            low, high = one.interval()
            if math.isfinite(low):
                end = high if math.isfinite(high) else max(one.cap if math.isfinite(one.cap) else 0, one.nats * 1.2)
                place.plot([low, end], [y, y], color=colour)
                if not math.isfinite(high):
                    place.plot([end], [y], ">", color=colour)
            if math.isfinite(one.nats):
                place.plot([one.nats], [y], "o", color=colour)
        place.axvline(0, color=RULE)
        place.set_yticks(range(len(shown)), [name for name, _, _ in shown])
        place.set_ylim(len(shown) - 0.5, -0.5)
        place.set_xlabel("nats")
        return svg(figure, estimate.sentence())


def _interval_says(estimate: "MIEstimate") -> str:
    said = "The dot is the estimate, the line its 95% interval."
    if math.isinf(estimate.interval().high):
        said += " The arrow: nothing in these data limits the value from above."
    if estimate.interval().low < 0 and not estimate.signed:
        said += (
            " Information is never below 0: the part of the line left of 0 only shows how uncertain the estimate is."
        )
    if estimate.beside is not None:
        said += f" Below it is the estimate of the same pairs by another method, {estimate.beside.estimator}."
    return said


def _training(estimate: "MIEstimate") -> Markup:
    with drawing(190) as figure:
        place = axes(figure)
        for curve in estimate.training:
            place.plot(np.linspace(0, 1, len(curve) + 1)[1:] * 100, curve, color=ACCENT)
        place.axhline(0, color=RULE)
        place.set_xlabel("% of the training")
        return svg(figure, "The stopping value over the training.")


def _pointwise(estimate: "MIEstimate") -> Markup:
    assert estimate.pointwise is not None
    values = estimate.pointwise.nats
    with drawing(190) as figure:
        place = axes(figure)
        low, high = np.percentile(values, [0.5, 99.5])
        place.hist(np.clip(values, low, high), bins=40, color=FAINT)
        place.axvline(float(values.mean()), color=ACCENT)
        place.axvline(0, color=RULE)
        place.set_xlabel("nats of a pair")
        return svg(figure, f"Distribution of {len(values)} pointwise values with mean {values.mean():.2f} nats.")


def _points(points: tuple[tuple[int, "MIEstimate"], ...], what: str) -> Markup:
    with drawing(190) as figure:
        place: Axes = axes(figure)
        for size, estimate in points:
            low, high = estimate.interval()
            if math.isfinite(low):
                place.plot([size, size], [low, high if math.isfinite(high) else estimate.nats], color=CONTROL)
        place.plot([size for size, _ in points], [estimate.nats for _, estimate in points], "o-", color=ACCENT)
        place.set_xscale("log")
        place.minorticks_off()
        place.set_xticks([size for size, _ in points], [f"{size:,}" for size, _ in points])
        place.set_xlabel(what)
        return svg(figure, f"The estimate by {what}.")


def _bars(rows: list[dict[str, Any]]) -> Markup:
    with drawing(60 + 22 * len(rows)) as figure:
        place = axes(figure, left=min(160, 20 + 6 * max(len(row["name"]) for row in rows)))
        for y, row in enumerate(rows):
            colour = ACCENT if row["dependence"] else CONTROL
            low = row["nats"] if row["low"] is None else row["low"]
            high = row["nats"] if row["high"] is None else row["high"]
            place.plot([low, high], [y, y], color=colour)
            place.plot([row["nats"]], [y], "o", color=colour)
        place.axvline(0, color=RULE)
        place.set_yticks(range(len(rows)), [row["name"] for row in rows])
        place.set_ylim(len(rows) - 0.5, -0.5)
        place.set_xlabel("nats")
        return svg(figure, "The columns by what they tell of the target.")


def _heat(matrix: "Matrix") -> Markup:
    count = len(matrix.columns)
    width = max(340, 120 + 30 * count)
    known = np.isfinite(matrix.nats)
    values = np.where(known, np.maximum(matrix.nats, 0), 0)
    top = float(values.max()) or 1.0
    with drawing(width, width) as figure:
        place = axes(figure, left=110, bottom=110)
        for i in range(count):
            for j in range(count):
                if i != j:
                    share = float(values[i, j]) / top
                    place.add_patch(_square(j, i, share))
                    if count <= MOST_CELLS:
                        text = f"{values[i, j]:.2f}" if known[i, j] else "–"
                        place.text(j, i, text, ha="center", va="center", fontsize=8, color=INK)
        place.set(xlim=(-0.5, count - 0.5), ylim=(count - 0.5, -0.5))
        place.set_xticks(range(count), list(matrix.columns), rotation=90)
        place.set_yticks(range(count), list(matrix.columns))
        place.tick_params(labelcolor=MUTED)
        return svg(figure, "Heat map of the mutual information of every two columns, in nats.")


def _square(x: int, y: int, share: float) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=ACCENT, alpha=0.05 + 0.55 * share, linewidth=0)
