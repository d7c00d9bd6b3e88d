"""What is missing for a complete report, and the command that adds it: one small rule for each thing."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from deepinfomax.data.images import ImageSet
from deepinfomax.errors import UserError
from deepinfomax.evaluation.measure import Measure
from deepinfomax.evaluation.measures import MEASURES
from deepinfomax.report.comparisons import CONTROLS, WHOLE, Comparison
from deepinfomax.report.reading import Run, at, number, table


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
    left = [name for name in possible_measures(run) if name not in measures]
    if not left or not can_be_measured(run):
        return None
    named = ", ".join(MEASURES[name].title for name in left)
    if not measures:  # the usual ones first, which need no names
        return Missing(f"Measures: {named}.", evaluate_command(run))
    return Missing(f"Measures: {named}.", evaluate_command(run, "--measures", ",".join(left)))


def other_controls(run: Run, compared: list[Comparison]) -> Missing | None:
    measures, controls = table(run.evaluation, "measures"), table(run.evaluation, "controls")
    known = [name for name in measures if name in MEASURES]
    of_features = any(MEASURES[name].of == "features" for name in known) or not known
    wanted = {"supervised": has_classes(run), "random_encoder": True}  # the others go with measures of features
    applicable = [kind for kind in CONTROLS if wanted.get(kind, of_features)]
    left = [kind for kind in applicable if kind not in controls]
    if not measures or not left:
        return None
    named = ", ".join(CONTROLS[kind] for kind in left)
    words = ("--measures", ",".join(known) or "knn", "--controls", ",".join(left))
    return Missing(f"Controls: {named}.", evaluate_command(run, *words))


def single_figures(run: Run, compared: list[Comparison]) -> Missing | None:
    controls = table(run.evaluation, "controls")
    gaps: dict[str, list[str]] = {}
    kinds: dict[str, None] = {}
    for comparison in compared:
        for row in comparison.rows:
            for level, cell in row.cells.items():
                if cell is None and (row.kind == "trained" or row.kind in controls):
                    whose = row.name if level == WHOLE else f"{row.name} on {level}"
                    gaps.setdefault(whose, []).append(comparison.title)
                    kinds |= {} if row.kind == "trained" else {row.kind: None}
    if not table(run.evaluation, "measures") or not gaps:
        return None
    named = "; ".join(f"{whose} ({', '.join(titles)})" for whose, titles in gaps.items())
    measures = ",".join(comparison.measure for comparison in compared)
    words = ["--measures", measures]
    if "supervised" in kinds:  # it is trained only where it is asked for
        words += ["--controls", ",".join(kinds)]
    return Missing(f"Single figures: {named}.", evaluate_command(run, *words))


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


def evaluate_command(run: Run, *words: str) -> str:
    """The command that measures this run on the images that its figures are of, or can be of."""
    options = at(run.evaluation, "options")
    if not isinstance(options, list):
        fraction = number(at(run.metrics.start, "data", "suggested_holdout"))
        options = [] if fraction is None else ["data.holdout", f"{fraction:g}"]
    return shlex.join(["deepinfomax", "evaluate", str(run.folder), *words, *(str(option) for option in options)])


def can_be_measured(run: Run) -> bool:
    """Whether there are images to test on, or some can be held out; where nothing says so, there are."""
    data = at(run.metrics.start, "data")
    return at(data, "test_part") is not False or number(at(data, "suggested_holdout")) is not None


def has_classes(run: Run) -> bool:
    """Whether probes can be trained: labels of two classes or more; where nothing says otherwise, they can."""
    train = table(run.evaluation, "data", "train")
    if train:
        return (number(train.get("classes")) or 0) > 1
    return at(run.metrics.start, "data", "labelled") is not False


def possible_measures(run: Run) -> list[str]:
    """The built-in measures that these images admit: by their labels, their number and their shape."""
    data = table(run.evaluation, "data")
    counts = [number(at(data, part, "count")) for part in ("train", "test")]
    shape = at(run.metrics.start, "data", "shape")
    plain = isinstance(shape, list) and all(isinstance(side, int) and 0 < side < 2**20 for side in shape)
    blank = ImageSet(np.zeros((0, *shape), np.uint8)) if plain else None
    return [name for name, record in MEASURES.builtin.items() if _admitted(record, run, counts, blank)]


def _admitted(record: Measure, run: Run, counts: list[float | None], blank: ImageSet | None) -> bool:
    if record.labels == "attributes":  # few data sets have them
        return number(at(run.evaluation, "data", "train", "attributes")) is not None
    if record.labels == "classes" and not has_classes(run):
        return False
    if any(count is not None and count < least for count, least in zip(counts, record.least, strict=True)):
        return False
    if record.check is None or blank is None:
        return True
    try:
        record.check(blank, blank)
    except UserError:
        return False
    return True


def _folder(run: Run) -> str:
    return shlex.quote(str(run.folder))
