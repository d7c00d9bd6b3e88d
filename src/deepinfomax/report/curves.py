"""Curves from metrics.jsonl: every loss, every bound with its cap, the rank of y, the speed."""

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from deepinfomax.information import bounds
from deepinfomax.report import figures
from deepinfomax.report.figures import ACCENT, CONTROL, MUTED, RULE, SECOND
from deepinfomax.report.reading import Run, at, number

POINTS = 300  #: a curve with more points is drawn as means over this many intervals of steps
#: keys of a step that are no loss term
_CLOCK = (
    "event",
    "step",
    "epoch",
    "seconds",
    "loss",
    "rank",
    "units",
    "images_per_second",
    "peak_memory_mb",
    "learning_rate",
)


@dataclass(frozen=True)
class Line:
    """One curve: `values` over `steps`, NaN where a step has none."""

    name: str
    steps: np.ndarray
    values: np.ndarray

    @property
    def last(self) -> float:
        return float(self.values[np.isfinite(self.values)][-1])


@dataclass(frozen=True)
class Panel:
    """One small picture of curves that share an axis."""

    title: str
    unit: str
    lines: tuple[Line, ...]
    caption: str
    mark: tuple[str, float] | None = None  #: a level to compare with, and its name: the cap, the number of units
    two_player: bool = False
    from_zero: bool = False

    @property
    def alt(self) -> str:
        """The picture in words."""
        said = [
            f"{line.name} from {value(line.values[np.isfinite(line.values)][0])} to {value(line.last)}"
            for line in self.lines
        ]
        mark = f"; {self.mark[0]} {value(self.mark[1])}" if self.mark else ""
        steps = self.lines[0].steps
        return f"{self.title}, {self.unit}, steps {steps[0]:.0f} to {steps[-1]:.0f}: {', '.join(said)}{mark}."


def panels(run: Run) -> list[Panel]:
    """What there is to draw, bounds first."""
    lines = {key: line for key in run.metrics.columns if (line := _line(run, key)) is not None}
    terms = [key for key in lines if "/" not in key and key not in _CLOCK]
    games = [key for key in terms if f"{key}_critic" in lines]
    mirrored = {key for key in terms if f"{key}/bound" in lines and _mirrors(lines[key], lines[f"{key}/bound"])}
    in_games = {key for game in games for key in (game, f"{game}_critic", f"{game}_penalty")}

    drawn = [_bound_panel(run, key, lines, mirrored) for key in lines if _is_bound(key) and key.endswith("bound")]
    drawn += [_game_panel(game, lines) for game in games]
    drawn += [
        Panel(key, "loss", (lines[key],), "A term of the loss, before its weight; lower is better.")
        for key in terms
        if key not in mirrored and key not in in_games
    ]
    drawn += [
        Panel(
            key.replace("/", ": ").replace("_", " "),
            _unit(key),
            (lines[key],),
            _says(key),
            from_zero=_unit(key) != "nats",
        )
        for key in lines
        if "/" in key
        and not _is_bound(key)
        and not (key.endswith("cap") and f"{key.removesuffix('cap')}bound" in lines)
    ]
    if "loss" in lines:
        drawn.append(
            Panel("loss", "sum", (lines["loss"],), "The sum of all terms of the first player, each times its weight.")
        )
    if "rank" in lines:
        drawn.append(_rank_panel(run, lines["rank"]))
    if "images_per_second" in lines:
        speed = lines["images_per_second"]
        typical = np.nanmedian(speed.values)
        drawn.append(
            Panel(
                "speed",
                "images/s",
                (speed,),
                f"Training images a second; the median is {value(typical)}.",
                from_zero=True,
            )
        )
    return drawn


def _line(run: Run, key: str) -> Line | None:
    columns = run.metrics.columns
    values = columns.get(key)
    return None if values is None or not np.isfinite(values).any() else Line(key, columns["step"], values)


def _is_bound(key: str) -> bool:
    """local/bound, cpc/bound_2, coordinates/absolute_bound"""
    return "/" in key and "bound" in key.partition("/")[2].split("_")


def _mirrors(term: Line, bound: Line) -> bool:
    """Whether a loss term is the bound with a minus sign and nothing else."""
    return bool(np.allclose(term.values, -bound.values, rtol=1e-4, atol=1e-4, equal_nan=True))


def _bound_panel(run: Run, key: str, lines: dict[str, Line], mirrored: set[str]) -> Panel:
    objective, _, quantity = key.partition("/")
    parts = tuple(lines[k] for k in lines if k == key or (_is_bound(k) and k.startswith(f"{key}_")))
    cap_line = lines.get(f"{objective}/{quantity.removesuffix('bound')}cap")
    cap = None if cap_line is None else cap_line.last
    kind = at(run.config, "objective", objective, "bound")
    caption = _bound_caption(objective, kind if isinstance(kind, str) else None, cap)
    if objective in mirrored:
        caption += f" The loss term “{objective}” is this curve with a minus sign."
    title = f"{objective}: {quantity.replace('_', ' ')}"
    return Panel(title, "nats", parts, caption, None if cap is None else ("cap", cap), from_zero=True)


def _bound_caption(objective: str, kind: str | None, cap: float | None) -> str:
    what = {
        "local": "What y and one place of the map tell of each other",
        "global": "What y and the whole map tell of each other",
        "coordinates": "What y and a local feature tell of its place",
        "cpc": "What a row tells of rows further down",
    }.get(objective, "What two features tell of each other")
    known = bounds.BOUNDS.get(kind or "")
    if known is None:
        sort = f"{what}, in nats."
    elif known.lower_bound_of_mi:
        sort = f"{what}, in nats: a lower bound on their mutual information, by {kind}."
    else:
        sort = f"{what}, in nats by {kind}: it rises with their mutual information but is no bound on it."
    if cap is None:
        return f"{sort} It has no cap."
    if kind == "infonce":
        return f"{sort} However good the encoder, it cannot exceed its cap, log(1 + negatives) = {cap:.2f} nats."
    return f"{sort} It cannot exceed its cap of {cap:.2f} nats."


def _game_panel(game: str, lines: dict[str, Line]) -> Panel:
    names = {game: "encoder", f"{game}_critic": "critic", f"{game}_penalty": "penalty"}
    parts = tuple(Line(name, lines[key].steps, lines[key].values) for key, name in names.items() if key in lines)
    caption = "The encoder and the critic play against each other: a loss that falls is no progress by itself."
    if game == "prior":
        caption += (
            f" Where the critic cannot tell y from the prior, the encoder’s is log 2 = {math.log(2):.2f}"
            f" and the critic’s 2 log 2 = {2 * math.log(2):.2f} nats."
        )
    return Panel(game, "loss, nats", parts, caption, two_player=True, from_zero=True)


def _rank_panel(run: Run, line: Line) -> Panel:
    units = number(run.metrics.steps[-1].get("units"))
    caption = "Directions that a batch of y uses: exp of the entropy of its singular values. A collapsed y has 1"
    caption += "." if units is None else f", and {units:.0f} units can have {units:.0f} at most."
    mark = None if units is None else ("units", units)
    return Panel("effective rank of y", "directions", (line,), caption, mark, from_zero=True)


def _unit(key: str) -> str:
    quantity = key.partition("/")[2]
    if "accuracy" in quantity or quantity in ("taken_for_prior", "moved"):
        return "fraction"
    return {"elbo": "nats", "kl": "nats", "cap": "nats", "mse": "squared error"}.get(quantity, "value")


def _says(key: str) -> str:
    return {
        "taken_for_prior": "Encodings that the critic takes for samples of the prior; 0.5 where it cannot tell.",
        "moved": "Images whose target changed in the last matching.",
        "mse": "Mean squared error over pixels.",
        "cap": "The most that y can tell of an image with this noise on it: no encoder exceeds it.",
    }.get(key.partition("/")[2], "Measured on the training batches.")


def thinned(line: Line, points: int = POINTS) -> Line:
    """The same curve with fewer points, each the mean of an interval."""
    if len(line.steps) <= points:
        return line
    edges = np.linspace(0, len(line.steps), points + 1).astype(int)
    stretches = list(itertools.pairwise(edges))

    def mean(part: np.ndarray) -> float:
        finite = part[np.isfinite(part)]
        return float(finite.mean()) if len(finite) else math.nan

    return Line(
        line.name,
        np.array([line.steps[a:b].mean() for a, b in stretches]),
        np.array([mean(line.values[a:b]) for a, b in stretches]),
    )


def draw(panel: Panel) -> Markup:
    """The panel as a small picture."""
    styles = [(ACCENT, "-"), (SECOND, (0, (5, 2))), (CONTROL, (0, (1, 1.5)))]
    with figures.drawing(190) as figure:
        several = len(panel.lines) > 1
        ax = figures.axes(figure, top=22 if several else 10)
        for i, line in enumerate(panel.lines):
            thin = thinned(line)
            colour, dashes = styles[i] if len(panel.lines) <= len(styles) else (ACCENT if i == 0 else CONTROL, "-")
            marker = "o" if np.isfinite(thin.values).sum() == 1 else ""  # a line of one point would not be seen
            name = line.name.rpartition("/")[2].replace("_", " ")
            ax.plot(thin.steps, thin.values, color=colour, linestyle=dashes, label=name, marker=marker, markersize=4)
        _limits(ax, panel)
        if panel.mark is not None:
            name, level = panel.mark
            ax.axhline(level, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
            right = ax.get_xlim()[1]
            ax.annotate(
                f"{name} {value(level)}",
                (right, level),
                (0, -3),
                textcoords="offset points",
                color=MUTED,
                ha="right",
                va="top",
            )
        ax.grid(axis="y", color=RULE, linewidth=0.75)
        ax.set_axisbelow(True)
        ax.locator_params(axis="x", nbins=5, integer=True)
        ax.locator_params(axis="y", nbins=5)
        ax.set_xlabel("step", labelpad=2)
        if several:
            ax.legend(
                loc="lower left", bbox_to_anchor=(-0.02, 0.98), ncols=4, frameon=False, borderpad=0, handlelength=1.6
            )
        return figures.svg(figure, panel.alt)


def _limits(ax: Axes, panel: Panel) -> None:
    """From zero where that means something, up to the level to compare with; a few wild values do not set the scale."""
    values = np.concatenate([line.values[np.isfinite(line.values)] for line in panel.lines])
    low, high = _span(values)
    if panel.from_zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if panel.mark is not None:
        high = max(high, panel.mark[1])
    margin = 0.06 * (high - low) or 0.5
    ax.set_ylim(low if low == 0 else low - margin, high + margin)


def _span(values: np.ndarray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    inner_low, inner_high = (float(v) for v in np.percentile(values, (2, 98)))
    if high - low > 4 * (inner_high - inner_low) > 0:
        return inner_low, inner_high
    return low, high


def value(number: float) -> str:
    """Three digits, or all of a whole number: 1,240 · 64 · 57.3 · 6.54 · 0.120"""
    size = abs(number)
    if size >= 99.95 or (size >= 10 and number == round(number)):  # 99.96 in three digits is 100
        return f"{number:,.0f}"
    return f"{number:#.3g}" if size > 0 else "0"


def last(run: Run, keys: Iterable[str]) -> dict[str, float]:
    """The last finite value of each key that has one."""
    lines = {key: _line(run, key) for key in keys}
    return {key: line.last for key, line in lines.items() if line is not None}
