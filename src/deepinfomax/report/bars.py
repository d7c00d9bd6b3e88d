"""The comparisons as pictures: one bar for each contestant and level, on the same scale in every picture."""

from collections.abc import Iterable
from typing import Any

from markupsafe import Markup

from deepinfomax.report import figures
from deepinfomax.report.comparisons import WHOLE, Cell, Comparison
from deepinfomax.report.figures import ACCENT, CONTROL, FAINT, INK, MUTED, RULE

_COLOURS = {"trained": ACCENT, "random_encoder": CONTROL}
_ROW, _GAP, _NAMES = 17, 7, 130  #: CSS pixels: of a bar, between levels, for the names at the left


def scale_of(compared: list[Comparison], guessing: Iterable[float] = ()) -> float:
    """The end of the scale of all pictures: the smallest of 0.25, 0.5, 0.75 and 1 that no figure exceeds.

    guessing: fractions had without looking, which are drawn too.
    """
    cells = [
        cell for comparison in compared for row in comparison.rows for cell in row.cells.values() if cell is not None
    ]
    highest = max([*(cell.value + (cell.std or 0) for cell in cells), *guessing], default=1.0)
    return next((end for end in (0.25, 0.5, 0.75) if highest <= end), 1.0)


def draw(comparison: Comparison, end: float = 1.0, guessing: float | None = None) -> Markup:
    """Horizontal bars from 0 to `end`, grouped by level; what was not run is left out.

    guessing: the fraction had without looking, drawn as a dotted line.
    """
    groups = _groups(comparison)
    count = sum(len(rows) for _, rows in groups)
    height = count * _ROW + (len(groups) - 1) * _GAP + 26
    with figures.drawing(height) as figure:
        ax = figures.axes(figure, left=_NAMES, right=34, top=2, bottom=24)

        def say(x: float, y: float, text: str, offset: float, **style: Any) -> None:
            ax.annotate(text, (x, y), (offset, 0), textcoords="offset points", va="center", **style)

        y = 0.0
        for level, rows in groups:
            say(0, y, level, -_NAMES, fontweight="bold")
            for kind, name, cell in rows:
                own = kind == "trained"
                say(0, y, name, -5, color=INK if own else MUTED, ha="right")
                ax.barh(y, cell.value, height=11, color=_COLOURS.get(kind, FAINT), xerr=cell.std, ecolor=INK)
                beyond = min(cell.value + (cell.std or 0), end)
                say(beyond, y, f"{cell.value:.2f}", 4, fontweight="bold" if own else "normal")
                y += _ROW
            y += _GAP
        if guessing is not None:
            ax.axvline(guessing, color=INK, linewidth=1, linestyle=(0, (1, 2)))
        ticks = [0.25 * i for i in range(round(4 * end) + 1)]
        ax.set(xlim=(0, end), ylim=(y - _GAP - _ROW / 2, -_ROW / 2), xticks=ticks, yticks=())
        ax.set_xticklabels([f"{tick:g}" for tick in ticks])
        ax.spines["left"].set_color(RULE)
        return figures.svg(figure, alt_text(comparison))


def _groups(comparison: Comparison) -> list[tuple[str, list[tuple[str, str, Cell]]]]:
    """(level, [(kind, name, cell)]) of what was run: the encoder and its equals by level, then what has no level."""
    groups = []
    for level in comparison.levels:
        rows = [(row.kind, row.name, row.cells[level]) for row in comparison.rows if level in row.cells]
        groups.append(("" if level == WHOLE else level, rows))
    if comparison.levels != (WHOLE,):
        groups.append(("", [(row.kind, row.name, row.cells[WHOLE]) for row in comparison.rows if WHOLE in row.cells]))
    run = [(level, [(kind, name, cell) for kind, name, cell in rows if cell is not None]) for level, rows in groups]
    return [(level, rows) for level, rows in run if rows]


def alt_text(comparison: Comparison) -> str:
    """The bars in words."""
    said = []
    for level, rows in _groups(comparison):
        figures_said = ", ".join(f"{name} {cell.value:.2f}" for _, name, cell in rows)
        said.append(f"{level}: {figures_said}" if level else figures_said)
    return f"{comparison.title}, {comparison.score} as a fraction. {'; '.join(said)}."
