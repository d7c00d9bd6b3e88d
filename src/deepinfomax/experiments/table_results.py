"""What a table has found: records of its runs and rows, as JSON, and as text for a terminal."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from deepinfomax.experiments.published import Row, Table

CONTROLS = "controls"  #: the name, among those of rows, of a random encoder and raw pixels
#: the figures of measures that are not taken level by level
FIGURES = {
    "semi_supervised": ("accuracy",),
    "reconstruction": ("ms_ssim", "ssim", "mse"),
    "mine": ("nats",),
    "ndm": ("nats", "gaussian_nats"),
}
#: the figure of a measure that is taken level by level, where it is no accuracy
OF_LEVELS = {"attributes": "balanced_cross_entropy"}
#: columns whose correlation over the methods says something (§4.2): what is kept of the image, by two measures, and
#: whether keeping it helps to tell classes
PAIRS = (
    ("reconstruction.ms_ssim", "mine.nats"),
    ("svm.y", "reconstruction.ms_ssim"),
    ("mlp.y", "reconstruction.ms_ssim"),
)


def of_level(measure: str) -> str:
    """The figure of a measure that stands in a table for each level."""
    return OF_LEVELS.get(measure, "accuracy")


def columns(table: Table) -> list[str]:
    """ "measure.column" of every figure that a row has."""
    return [f"{m}.{c}" for m in table.measures for c in FIGURES.get(m, table.levels)]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One row with one seed, trained and measured; or an encoder as it is initialised, measured.

    What is None is not in the JSON: of a control all that belongs to training, of a row the pixels.
    """

    config: str  #: the digest of its configuration
    steps: int | None = None
    training_seconds: float | None = None
    hardware: str | None = None
    data: Mapping[str, Any] | None = None  #: how many images it was trained and measured on
    measures: Mapping[str, Any]  #: as in evaluation.json
    pixels: Mapping[str, Any] | None = None  #: the same of raw pixels, of those measures that can be taken of them

    def has(self, column: str) -> bool:
        measure, name = column.split(".")
        return name in self.measures.get(measure, {})

    def figure(self, column: str) -> float | None:
        """None if it is not finite."""
        measure, name = column.split(".")
        figure = self.measures[measure][name]
        return figure[of_level(measure)] if isinstance(figure, dict) else figure

    def as_tree(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if value is not None}


#: the runs of a row, or of a control, by seed
RunsBySeed = dict[int, Run]


@dataclass(frozen=True)
class Spread:
    """A figure over several seeds."""

    mean: float | None  #: None: it is finite for no seed
    sd: float | None  #: None: of a single seed
    seeds: Sequence[float] = ()

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        mean = round(statistics.mean(values), 4) if values else None
        sd = round(statistics.stdev(values), 4) if len(values) > 1 else None
        return cls(mean, sd, [round(value, 4) for value in values])

    @classmethod
    def of_runs(cls, runs: RunsBySeed, column: str) -> Self:
        """Mean and deviation of those figures of a column that are finite."""
        figures = [run.figure(column) for _, run in sorted(runs.items())]
        return cls.of([figure for figure in figures if figure is not None])


@dataclass(frozen=True)
class RowResult:
    """A row of the table: its figures over seeds, and what the paper has there."""

    name: str
    recipe: str
    changes: Mapping[str, Any]  #: settings that are not the recipe's
    config: Mapping[str, Any]  #: settings that not all rows of the table share, by path
    measured: Mapping[str, Spread]  #: by column
    published: Mapping[str, float] | None
    runs: RunsBySeed

    @classmethod
    def of(cls, table: Table, row: Row, config: Mapping[str, Any], runs: RunsBySeed) -> Self:
        measured = {column: Spread.of_runs(runs, column) for column in columns(table)}
        return cls(row.name, row.recipe, dict(row.changes), config, measured, dict(row.published) or None, runs)

    def as_tree(self) -> dict[str, Any]:
        return vars(self) | {"measured": _trees(self.measured), "runs": _by_seed(self.runs)}


@dataclass(frozen=True)
class RandomEncoder:
    """An encoder as it is initialised, in place of a row."""

    measured: Mapping[str, Spread]
    runs: RunsBySeed

    @classmethod
    def of(cls, table: Table, runs: RunsBySeed) -> Self:
        return cls({column: Spread.of_runs(runs, column) for column in columns(table)}, runs)

    def as_tree(self) -> dict[str, Any]:
        return {"random_encoder": _trees(self.measured), "runs": _by_seed(self.runs)}


@dataclass(frozen=True)
class Controls:
    """What every row is compared with: raw pixels, and a random encoder of each architecture of the table."""

    encoder: RandomEncoder  #: of the first row's architecture
    pixels: Mapping[str, Spread]  #: by measure
    other_encoders: Mapping[str, RandomEncoder]  #: by the first row that has it

    @classmethod
    def of(cls, table: Table, runs: Mapping[str, RunsBySeed]) -> Self:
        """From the runs under `CONTROLS`, and under "controls of ROW"."""
        own = [run for _, run in sorted(runs[CONTROLS].items())]
        accuracies = {
            m: [run.pixels[m][of_level(m)] for run in own if run.pixels and m in run.pixels] for m in table.measures
        }
        pixels = {m: Spread.of(values) for m, values in accuracies.items() if len(values) == len(own)}
        others = {
            name.removeprefix(f"{CONTROLS} of "): RandomEncoder.of(table, of_row)
            for name, of_row in runs.items()
            if name.startswith(f"{CONTROLS} ")
        }
        return cls(RandomEncoder.of(table, runs[CONTROLS]), pixels, others)

    def as_tree(self) -> dict[str, Any]:
        own = self.encoder.as_tree()
        return {
            "random_encoder": own["random_encoder"],
            "pixels": _trees(self.pixels),
            "runs": own["runs"],
            "other_encoders": {name: other.as_tree() for name, other in self.other_encoders.items()},
        }


@dataclass(frozen=True, kw_only=True)
class TableResult:
    """All of a table at one scale: what NAME-SCALE.json holds, in this order."""

    schema: int = 1
    table: str
    title: str
    note: str
    scale: str
    command: str
    seeds: Sequence[int]
    data: Mapping[str, Any]
    config: Mapping[str, Any]  #: settings that all rows share, by path; the seed is that of each run
    batch_size: int
    measures: Sequence[str]
    hardware: Sequence[str]
    software: Mapping[str, str]
    training_minutes: float
    not_run: Sequence[str]
    correlations: Mapping[str, float]
    controls: Controls | None  #: None: they are still to be run
    rows: Sequence[RowResult]

    def as_tree(self) -> dict[str, Any]:
        """For JSON."""
        controls = None if self.controls is None else self.controls.as_tree()
        return vars(self) | {"controls": controls, "rows": [row.as_tree() for row in self.rows]}


def _trees(spreads: Mapping[str, Spread]) -> dict[str, Any]:
    return {name: asdict(spread) for name, spread in spreads.items()}


def _by_seed(runs: RunsBySeed) -> dict[str, Any]:
    return {str(seed): run.as_tree() for seed, run in sorted(runs.items())}


def runs_of(tree: Mapping[str, Any]) -> dict[str, RunsBySeed]:
    """The runs in the JSON of a result, by the name of the row, or of the control."""
    controls = tree.get("controls") or {}
    entries = [(row["name"], row) for row in tree.get("rows", [])] + [(CONTROLS, controls)]
    entries += [(f"{CONTROLS} of {name}", other) for name, other in controls.get("other_encoders", {}).items()]
    return {name: {int(seed): Run(**run) for seed, run in entry.get("runs", {}).items()} for name, entry in entries}


def configs_of(tree: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The settings of each row in the JSON of a result, by path; without those of an early version, which kept none."""
    shared = tree.get("config", {})
    return {row["name"]: shared | row["config"] for row in tree.get("rows", []) if "config" in row}


def correlations(rows: Iterable[RowResult]) -> dict[str, float]:
    """Pearson's over rows, of the pairs of columns the paper speaks of (§4.2): MS-SSIM with MINE, and with classes."""
    correlations = {}
    measured = [row.measured for row in rows]
    for a, b in PAIRS:
        pairs = [(row[a].mean, row[b].mean) for row in measured if {a, b} <= row.keys()]
        finite = [(x, y) for x, y in pairs if x is not None and y is not None]
        if len(finite) > 2 and all(len(set(values)) > 1 for values in zip(*finite, strict=True)):
            correlations[f"{a}, {b}"] = round(statistics.correlation(*zip(*finite, strict=True)), 3)
    return correlations


def render(result: TableResult) -> str:
    """A table for a terminal: mean ± sd, accuracies in per cent, and the published figure behind it."""
    seeds = f"{len(result.seeds)} seeds"
    lines = [result.title, f"scale {result.scale}, {seeds}; in parentheses: the paper, at its own"]
    lines.append(f"{'':32s}" + "".join(f"{column:>24s}" for column in result.rows[0].measured))
    lines += [_line(row.name, row.measured, row.published) for row in result.rows]
    if result.controls is not None:
        lines.append(_line("random encoder", result.controls.encoder.measured))
        others = result.controls.other_encoders.items()
        lines += [_line(f"random, {name}", other.measured) for name, other in others]
        said = [f"{m} {_cell(f'{m}.', figure, None)}" for m, figure in result.controls.pixels.items()]
        lines += [f"{'raw pixels':32s}{', '.join(said)}"] if said else []
    lines += [f"correlation of {pair}: {value:.2f}" for pair, value in result.correlations.items()]
    return "\n".join(lines)


def _line(name: str, measured: Mapping[str, Spread], published: Mapping[str, float] | None = None) -> str:
    cells = [_cell(column, figure, (published or {}).get(column)) for column, figure in measured.items()]
    return f"{name:32s}" + "".join(f"{cell:>24s}" for cell in cells)


def _cell(column: str, figure: Spread, published: float | None) -> str:
    measure, name = column.split(".")
    is_accuracy = name == "accuracy" or measure not in FIGURES | OF_LEVELS
    factor, digits = (100, 1) if is_accuracy else (1, 3 if measure in ("reconstruction", "attributes") else 2)
    if figure.mean is None:
        return "-"
    spread = "" if figure.sd is None else f" ± {figure.sd * factor:.{digits}f}"
    there = "" if published is None else f" ({published * factor:.{digits}f})"
    return f"{figure.mean * factor:.{digits}f}{spread}{there}"
