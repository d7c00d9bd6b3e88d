"""What a complete report would have beside this one, and the command that makes it: one small rule for each thing."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass

from deepinfomax.evaluation.measures import MEASURES
from deepinfomax.report.comparisons import CONTROLS, WHOLE, Comparison
from deepinfomax.report.reading import Run, at, table


@dataclass(frozen=True)
class Missing:
    """Something that was not run, and the command that runs it."""

    what: str
    command: str


def not_run(run: Run, compared: list[Comparison]) -> list[Missing]:
    """What the rules below find missing, in their order."""
    return [missing for rule in RULES if (missing := rule(run, compared)) is not None]


def rest_of_training(run: Run, compared: list[Comparison]) -> Missing | None:
    if not run.metrics.steps or run.metrics.end:
        return None
    last = run.metrics.steps[-1]["step"]
    source = at(run.config, "data", "source")
    command = f"deepinfomax train {shlex.quote(str(source or 'DATA'))} --out {_folder(run)} --resume"
    return Missing(f"The rest of the training: it ends at step {last:,.0f} without a last word.", command)


def other_measures(run: Run, compared: list[Comparison]) -> Missing | None:
    measures = table(run.evaluation, "measures")
    left = [name for name in _built_in() if name not in measures]
    if not left:
        return None
    named = ", ".join(MEASURES[name].title for name in left)
    return Missing(f"Measures: {named}.", f"deepinfomax evaluate {_folder(run)} --measures {','.join(left)}")


def other_controls(run: Run, compared: list[Comparison]) -> Missing | None:
    measures, controls = table(run.evaluation, "measures"), table(run.evaluation, "controls")
    left = [kind for kind in CONTROLS if kind not in controls]
    if not measures or not left:
        return None
    named = ", ".join(CONTROLS[kind] for kind in left)
    done = ",".join(name for name in measures if name in MEASURES) or "knn"
    command = f"deepinfomax evaluate {_folder(run)} --measures {done} --controls {','.join(left)}"
    return Missing(f"Controls: {named}.", command)


def single_figures(run: Run, compared: list[Comparison]) -> Missing | None:
    controls = table(run.evaluation, "controls")
    gaps: dict[str, list[str]] = {}
    for comparison in compared:
        for row in comparison.rows:
            for level, cell in row.cells.items():
                if cell is None and (row.kind == "trained" or row.kind in controls):
                    whose = row.name if level == WHOLE else f"{row.name} on {level}"
                    gaps.setdefault(whose, []).append(comparison.title)
    if not table(run.evaluation, "measures") or not gaps:
        return None
    named = "; ".join(f"{whose} ({', '.join(titles)})" for whose, titles in gaps.items())
    measures = ",".join(comparison.measure for comparison in compared)
    return Missing(f"Single figures: {named}.", f"deepinfomax evaluate {_folder(run)} --measures {measures}")


def sheet(run: Run, compared: list[Comparison]) -> Missing | None:
    parts = (("neighbours", run.gallery), ("a sample of y", run.sample))
    left = [name for name, part in parts if part is None]
    if not left:
        return None
    return Missing(f"The sheet: {' and '.join(left)}.", f"deepinfomax neighbours {_folder(run)}")


RULES: tuple[Callable[[Run, list[Comparison]], Missing | None], ...] = (
    rest_of_training,
    other_measures,
    other_controls,
    single_figures,
    sheet,
)


def _built_in() -> list[str]:
    """The measures that any run can be measured by: those of attributes need labels that few data sets have."""
    return [name for name in MEASURES if name in MEASURES.builtin and MEASURES[name].labels != "attributes"]


def _folder(run: Run) -> str:
    return shlex.quote(str(run.folder))
