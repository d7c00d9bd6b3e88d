"""The league's tables as curves: accuracy of each method over minutes of training.

Each measure is taken at the level where the method is best at that time: of DIM mostly conv, of some others fc.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from deepinfomax.experiments.league import ALL, MINUTES, PATCHES, PLAIN, SUPERVISED
from deepinfomax.experiments.provenance import read, write
from deepinfomax.recipes import Scale

MEASURES = {"knn": "nearest neighbours", "linear": "linear probe", "mlp": "MLP probe"}
SHORT = 5  #: minutes of the longest table that has every seed
RANDOM, PIXELS = "random encoder", "raw pixels"  #: controls: they take no minutes

#: lines that look like those of a relative: plain DIM(L) as DIM(L), across patches as EMP-SSL
STYLES = {
    PLAIN.name: {"color": "C0", "linestyle": "--"},
    PATCHES.name: {"color": "C7", "linestyle": "--"},
    SUPERVISED.name: {"color": "0.4", "linestyle": ":"},
}

#: measure -> name of a method or control -> minutes -> what stands there
Figures = dict[str, dict[str, dict[str, dict[str, Any]]]]


def run(
    scale: Scale, out: Path, seeds: Sequence[int], table: Callable[[str, Sequence[int]], Mapping[str, Any]]
) -> dict[str, Any]:
    """Run the tables one after the other, the shortest first, and draw all finished ones after each.

    Args:
        seeds: of the short tables; the long ones are run with the first seed only.
        table: a function that runs the table of that name with those seeds, if it is not finished yet.
    """
    result: dict[str, Any] = {}
    for length in MINUTES:
        table(f"league-{length}", seeds if length <= SHORT else seeds[:1])
        result = draw(scale, out)
    return result


def draw(scale: Scale, out: Path) -> dict[str, Any]:
    """Draw the curves of the league's tables in a folder, if all rows of one seed and the controls are done.

    Returns:
        what is also written to out/league-SCALE.json: "figures": {measure: {method: {minutes: {"mean", "sd", "level"
        where it is best, "seeds" how many}}}}, accuracies as fractions. The drawing is out/league-SCALE.png.
    """
    tables = {length: read(out / f"league-{length}-{scale}.json") for length in MINUTES}
    there = {length: tree for length, tree in tables.items() if tree and tree["controls"] is not None}
    figures: Figures = {measure: {} for measure in MEASURES}
    for length, tree in there.items():
        for measure in MEASURES:
            of_measure = figures[measure]
            for row in tree["rows"]:
                of_measure.setdefault(row["name"], {})[str(length)] = best(row["measured"], measure)
            of_measure.setdefault(RANDOM, {})[str(length)] = best(tree["controls"]["random_encoder"], measure)
            of_measure.setdefault(PIXELS, {})[str(length)] = best(tree["controls"]["pixels"], measure)
    result = {
        "schema": 1,
        "experiment": "league",
        "scale": scale,
        "tables": [f"league-{length}-{scale}.json" for length in there],
        "not_run": [line for length, tree in tables.items() for line in missing(length, tree)],
        "figures": figures,
    }
    write(out / f"league-{scale}.json", result)
    drawing(figures).savefig(out / f"league-{scale}.png", dpi=150)
    return result | {"text": render(figures)}


def best(measured: Mapping[str, Any], measure: str) -> dict[str, Any]:
    """The level with the highest mean of a measure; of a control without levels, its only figure."""
    levels = {name.split(".")[-1]: of for name, of in measured.items() if name.split(".")[0] == measure}
    level = max(levels, key=lambda name: levels[name]["mean"])
    chosen = levels[level]
    return {
        "mean": chosen["mean"],
        "sd": chosen["sd"],
        "level": None if level == measure else level,
        "seeds": len(chosen["seeds"]),
    }


def missing(minutes: int, tree: Mapping[str, Any]) -> list[str]:
    """What is missing in a table; one without its controls, which are run last, is not drawn."""
    if not tree:
        return [f"all of {minutes} minutes"]
    lines = [*tree["not_run"], *(["controls"] if tree["controls"] is None else [])]
    return [f"{minutes} minutes: {line}" for line in lines]


def drawing(figures: Figures) -> Figure:
    """One panel for each measure: a curve for each method, a horizontal line for each control."""
    figure = Figure(figsize=(13, 4), layout="constrained")
    panels = figure.subplots(1, len(MEASURES))
    names = [entrant.name for entrant in ALL]
    for axes, (measure, title) in zip(panels, MEASURES.items(), strict=True):
        for i, name in enumerate(names):
            points = sorted((int(length), of) for length, of in figures[measure].get(name, {}).items())
            if not points:
                continue
            style = STYLES.get(name, {"color": f"C{i}"})
            means, spreads = ([of[key] or 0.0 for _, of in points] for key in ("mean", "sd"))
            minutes = [length for length, _ in points]
            width = 2.5 if name.startswith("DIM") else 1.3
            axes.errorbar(minutes, means, spreads, marker="o", markersize=3, capsize=2, lw=width, label=name, **style)
        for name, dashes in ((RANDOM, "--"), (PIXELS, "-.")):
            if of_control := figures[measure].get(name):
                mean = float(np.mean([of["mean"] for of in of_control.values()]))
                axes.axhline(mean, color="0.6", lw=1, linestyle=dashes, label=name)
        axes.set(title=title, xscale="log", xlabel="minutes of two cores", ylabel="accuracy at the best level")
        axes.set_xticks(MINUTES, [str(length) for length in MINUTES])
        axes.minorticks_off()
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center", fontsize=8, frameon=False)
    return figure


def render(figures: Figures) -> str:
    """One line of text for each method and control: its best level after each number of minutes, in per cent."""
    lines = []
    for measure, title in MEASURES.items():
        lengths = sorted({length for of in figures[measure].values() for length in of}, key=int)
        lines.append(f"{title:24s}" + "".join(f"{length + ' min':>20s}" for length in lengths))
        for name, of_name in figures[measure].items():
            cells = [_cell(of_name.get(length)) for length in lengths]
            lines.append(f"{name:24s}" + "".join(f"{cell:>20s}" for cell in cells))
        lines.append("")
    return "\n".join(lines)


def _cell(figure: Mapping[str, Any] | None) -> str:
    if figure is None:
        return "-"
    spread = "" if figure["sd"] is None else f" ± {100 * figure['sd']:.1f}"
    level = "" if figure["level"] is None else f" {figure['level']}"
    return f"{100 * figure['mean']:.1f}{spread}{level}"
