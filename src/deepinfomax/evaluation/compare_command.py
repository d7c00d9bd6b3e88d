"""`deepinfomax compare`: a page that compares runs, by the contents of their folders and figures without labels."""

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepinfomax import files, memory
from deepinfomax.config import Data
from deepinfomax.data.configured import tell_notes
from deepinfomax.data.loading import has_test_part
from deepinfomax.data.stored import printable
from deepinfomax.data.streaming import has_part
from deepinfomax.devices import choose_device
from deepinfomax.encoders import storage
from deepinfomax.errors import UserError
from deepinfomax.evaluation.run_data import loaded, whole_of_other
from deepinfomax.evaluation.without_labels import Scores, measure
from deepinfomax.features import LEVELS
from deepinfomax.progress import shown
from deepinfomax.report.compare_page import FIGURES, write_comparison
from deepinfomax.report.page import caveats, notes, other_data
from deepinfomax.report.page import measured_on as evaluated_on
from deepinfomax.report.reading import Run, at, number, read, table
from deepinfomax.training import run_folder

ACCURACIES = ("linear", "knn", "mlp")  #: measures whose accuracy is shown if a run has it


@dataclass(frozen=True)
class Bound:
    """The value of a bound at the end of a run, and its cap."""

    name: str  #: "local"
    nats: float
    cap: float | None  #: None: it has none


@dataclass(frozen=True)
class Compared:
    """One run."""

    folder: Path
    name: str  #: the part of its path that distinguishes it from the others
    recipe: str
    steps: int | None
    seconds: float | None
    parameters: int | None
    bounds: tuple[Bound, ...]
    accuracies: dict[str, float]  #: measure -> of evaluation.json, at the level that is compared
    scores: Scores | None  #: None: not measured
    why_not: str = ""  #: why it could not be measured
    caveats: tuple[str, ...] = ()  #: warnings about its accuracies
    evaluated: tuple[Any, ...] = ()  #: fingerprints of the images of evaluation.json, and its scale
    evaluated_on: str = ""  #: the same in words, with counts


@memory.enough_for("comparing", lower="data.limit")
def compare_command(
    runs: Sequence[Path],
    *,
    data: str | None,
    level: str,
    out: Path,
    settings: Mapping[str, Any],
    data_root: Path | None,
    seed: int,
    device: str | None,
) -> dict[str, Any]:
    """Measure the encoders of several runs on the same images, and write a page that compares them.

    The images are those of `data`, or else of the first run; the test part if there is one.

    Raises:
        UserError: fewer than two runs; the same run twice; an unknown level; images that cannot be read.
    """
    if len(runs) < 2:
        raise UserError("compare puts runs side by side: give two run folders or more")
    if len({run.resolve() for run in runs}) < len(runs):
        raise UserError("compare was given one run twice")
    if level not in LEVELS:
        raise UserError(f"unknown level {level!r}; choose one of {', '.join(LEVELS)}")
    if out.suffix not in (".html", ".htm"):
        raise UserError(f"--out {out} is a page: give it a name that ends in .html")
    files.check_place(out)
    first = whole_of_other(runs[0], run_folder.read_data_config(runs[0]), data, data_root, settings)
    source = first.data
    if not source.source:
        raise UserError(f"{runs[0]} does not say what it was trained on, as one from Python: give images with --data")
    split = "test" if _has_test_part(source) and "data.split" not in settings else source.split
    compared = []
    for number_of, (run, name) in enumerate(zip(runs, names_of(runs), strict=True), 1):
        with shown(f"run {number_of} of {len(runs)}"):
            own = run_folder.read_data_config(run)
            # The images of the first run, as this one takes them.
            config = dataclasses.replace(own, data=dataclasses.replace(source, size=own.data.size or source.size))
            compared.append(_compared(run, name, config, split, level=level, seed=seed, device=device))
    compared = with_counts(compared)
    measured = [one.scores for one in compared if one.scores is not None]
    if not measured:
        raise UserError(f"no run could be measured on {printable(source.source)}: {compared[0].why_not}")
    measured_on = f"{max(scores.images for scores in measured):,} {split} images of {printable(source.source)}"
    page = write_comparison(compared, out, level=level, measured_on=measured_on)
    for one in compared:
        if one.why_not:
            print(f"note: {one.name} was not measured: {one.why_not}", file=sys.stderr)
    return {
        "page": str(page),
        "level": level,
        "measured_on": measured_on,
        "runs": [as_record(one) for one in compared],
        "text": as_text(compared, level) + f"\n\n  {'page':11s}{page}",
    }


def _has_test_part(data: Data) -> bool:
    if data.stream:
        return has_part(data, "test")
    columns: dict[str, Any] = {"image": data.image, "label": data.label, "window": data.window}
    return has_test_part(data.source, root=data.root, holdout=data.holdout, **columns)


def names_of(runs: Sequence[Path]) -> list[str]:
    """The last parts of the runs' paths, as many as are needed to distinguish them: "cifar/run" and "photos/run"."""
    paths = [run.resolve().parts for run in runs]
    for count in range(1, max(map(len, paths)) + 1):
        names = [printable("/".join(path[-count:])) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [printable(run) for run in runs]


def _compared(run: Path, name: str, config: Any, split: str, *, level: str, seed: int, device: str | None) -> Compared:
    contents = read(run)
    scores, why_not = None, ""
    try:
        encoder = storage.load(run)
        run_folder.tell_older_encoder(run)
        images = loaded(run, encoder, config, split)
        tell_notes(images)
        scores = measure(encoder, images, level=level, seed=seed, device=choose_device(device))
    except UserError as error:  # a network of its own, a damaged encoder, images that it does not take
        why_not = str(error)
    start, end = contents.metrics.start, contents.metrics.end
    steps, seconds, parameters = map(number, (end.get("step"), end.get("seconds"), start.get("parameters")))
    return Compared(
        folder=run,
        name=name,
        recipe=str(at(start, "recipe") or at(contents.config, "recipe") or ""),
        steps=None if steps is None else int(steps),
        seconds=seconds,
        parameters=None if parameters is None else int(parameters),
        bounds=tuple(bounds_of(contents)),
        accuracies=accuracies_of(contents, level),
        scores=scores,
        why_not=why_not,
        caveats=(*_of_other_data(contents), *caveats(notes(contents))),
        evaluated=(
            at(contents.evaluation, "data", "train", "fingerprint"),
            at(contents.evaluation, "data", "test", "fingerprint"),
            at(contents.evaluation, "scale"),
        ),
        evaluated_on=evaluated_on(contents),
    )


def with_counts(compared: Sequence[Compared]) -> list[Compared]:
    """If accuracies are of different images or scales, add to each run which its accuracies are of."""
    if len({one.evaluated for one in compared if one.accuracies}) < 2:
        return list(compared)
    said = [(one, (one.evaluated_on,) if one.evaluated_on else ()) for one in compared]
    return [dataclasses.replace(one, caveats=(*one.caveats, *on)) for one, on in said]


def _of_other_data(run: Run) -> list[str]:
    other = other_data(run)
    return [f"Its accuracies are of {other}, and not of its own data."] if other else []


def bounds_of(run: Run) -> list[Bound]:
    """The bounds of a run at its end (the mean of the last tenth of the lines), with their caps."""
    columns, bounds = run.metrics.columns, []
    for key, values in columns.items():
        objective, _, figure = key.partition("/")
        if figure != "bound" or not np.isfinite(values).any():
            continue
        known = values[np.isfinite(values)]
        cap = columns.get(f"{objective}/cap")
        last = known[-max(1, len(known) // 10) :]
        most = None if cap is None or not np.isfinite(cap).any() else float(cap[np.isfinite(cap)][-1])
        bounds.append(Bound(objective, float(last.mean()), most))
    return bounds


def accuracies_of(run: Run, level: str) -> dict[str, float]:
    """The accuracies in evaluation.json at this level."""
    measures = table(run.evaluation, "measures")
    accuracies = {name: number(at(measures, name, level, "accuracy")) for name in ACCURACIES}
    return {name: value for name, value in accuracies.items() if value is not None}


def as_record(one: Compared) -> dict[str, Any]:
    """For JSON."""
    return {
        "run": str(one.folder),
        "recipe": one.recipe,
        "steps": one.steps,
        "seconds": one.seconds,
        "parameters": one.parameters,
        "bounds": {bound.name: {"nats": bound.nats, "cap": bound.cap} for bound in one.bounds},
        "accuracies": one.accuracies,
        "scores": None if one.scores is None else dataclasses.asdict(one.scores),
        "why_not": one.why_not or None,
        "caveats": list(one.caveats),
    }


def as_text(compared: Sequence[Compared], level: str) -> str:
    """For a terminal: a row a run."""
    accuracies = [name for name in ACCURACIES if any(name in one.accuracies for one in compared)]
    rows = [["run", "bound / cap", *(figure.short for figure in FIGURES.values()), *accuracies]]
    for one in compared:
        bounds = ", ".join(f"{b.nats:.2f} / {'-' if b.cap is None else f'{b.cap:.2f}'}" for b in one.bounds) or "-"
        values = {} if one.scores is None else dataclasses.asdict(one.scores)
        scores = [figure.written(values.get(name), "-") for name, figure in FIGURES.items()]
        known = [f"{one.accuracies[name]:.3f}" if name in one.accuracies else "-" for name in accuracies]
        rows.append([one.name, bounds, *scores, *known])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        name, *cells = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join([name.strip().ljust(widths[0]), *cells]))
    said = [f"{one.name}: {caveat}" for one in compared if one.accuracies for caveat in one.caveats]
    lines += ["", f"At {level}. None of these figures chooses among sound encoders by itself."]
    if accuracies:
        lines.append(f"{', '.join(accuracies)}: accuracies as evaluated before, each on its own test images.")
    lines += said
    return "\n".join(lines)
