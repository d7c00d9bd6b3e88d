"""Runs a table of `published.TABLES`: trains each row, measures it, and sets it beside what the paper prints.

A table is run at a scale: `smoke` shows that it runs, `cpu` has 20,000 training images and the same two minutes of two
cores for every row, `paper` is the paper's setting. Data and measures are those of the table in every row. What is
printed in parentheses is what the paper has there, at its own scale: the order of rows can be compared, the figures
only at `paper`.
"""

import dataclasses
import glob
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock
from rich.console import Console
from torch import nn

from deepinfomax import config as configuration
from deepinfomax import encoders
from deepinfomax.config import Config
from deepinfomax.data.configured import as_trained, load_images, with_source
from deepinfomax.data.images import ImageSet
from deepinfomax.devices import choose_device
from deepinfomax.encoders import storage
from deepinfomax.errors import UserError
from deepinfomax.evaluation import evaluate
from deepinfomax.evaluation.controls import random_encoder
from deepinfomax.experiments import drawings, league
from deepinfomax.experiments.provenance import command, held, read, software, write
from deepinfomax.experiments.published import STEPS, TABLES, Row, Table
from deepinfomax.experiments.table_results import (
    CONTROLS,
    Controls,
    RowResult,
    Run,
    RunsBySeed,
    TableResult,
    columns,
    configs_of,
    correlations,
    render,
    runs_of,
)
from deepinfomax.recipes import Scale, recipe
from deepinfomax.report.reading import read_metrics
from deepinfomax.training.building import begin
from deepinfomax.training.loop import train
from deepinfomax.training.run_folder import CONFIG, METRICS, read_config

ALL_TABLES = TABLES | league.TABLES

#: what a scale changes for every row
SCALES: dict[Scale, dict[str, Any]] = {
    "smoke": {"data.limit": 400},
    "cpu": {"data.limit": 20_000, "augmentation.flip": True},
    "paper": {},
}
SMOKE_TEST_IMAGES = 400


def row_config(table: Table, row: Row, scale: Scale, seed: int, root: Path | None = None) -> Config:
    """What one row trains."""
    changes: dict[str, Any] = {"seed": seed, "training.trackers": []}
    changes |= SCALES[scale] | dict(table.at.get(scale, {}))
    if scale == "cpu":
        # The time of a step is in proportion to the pixels.
        steps = STEPS[row.recipe] if row.steps is None else row.steps
        changes["training.steps"] = round(steps * (32 / table.side) ** 2 * table.minutes / 2)
    changes |= dict(row.changes) | dict(row.at.get(scale, {}))
    return with_source(configuration.override(recipe(row.recipe, scale), changes), table.data, root)


def run_table(
    name: str, *, scale: Scale, out: Path, seeds: Sequence[int], root: Path | None = None, device: str | None = None
) -> dict[str, Any]:
    """Train and measure every row with every seed, one seed after the other, so that a run cut short has whole tables.

    What out/NAME-SCALE.json holds of the same configurations is not done again, nor what lies finished in out/runs;
    tables that share a configuration share its run.

    Returns:
        what is also written to out/NAME-SCALE.json after every row: rows with mean and sd over seeds of each column,
        published figures beside, seconds, hardware, the command; a drawing, if there is one, is out/NAME-SCALE.png.
    """
    table, path = ALL_TABLES[name], out / f"{name}-{scale}.json"
    say = Console(stderr=True, highlight=False).print
    runs = finished(table, scale, path)

    def keep() -> TableResult:
        """Write what is run, beside what another process has written in the meantime."""
        with held(path):
            for of, by_seed in finished(table, scale, path).items():
                runs[of] = by_seed | runs[of]
            result = _result(name, table, scale, seeds, runs)
            write(path, result.as_tree())
        return result

    for seed in seeds:
        for row in table.rows:
            if seed not in runs[row.name]:
                say(f"{table.title}: {row.name}, seed {seed}")
                config = row_config(table, row, scale, seed, root)
                with run_folder(out, row, scale, config) as folder:
                    runs[row.name][seed] = _one(table, config, scale, folder, device)
                keep()
        for control, row in controlled(table, scale).items():
            if seed not in runs[control]:
                say(f"{table.title}: {control}, seed {seed}")
                config = row_config(table, row, scale, seed, root)
                runs[control][seed] = _controls(table, config, scale, out / "runs", device, pixels=control == CONTROLS)
                keep()
    result = keep()
    drawing = drawings.of(name, result)
    if drawing is not None:
        drawing.savefig(path.with_suffix(".png"), dpi=150)
    return result.as_tree() | {"text": render(result)}


def controlled(table: Table, scale: Scale) -> dict[str, Row]:
    """Name -> the first row of each architecture and first layer: a random encoder of each stands in the table."""
    random_encoders: dict[str, Row] = {}
    seen: list[Mapping[str, Any]] = []
    for row in table.rows:
        config = row_config(table, row, scale, 0)
        # Which map of a network is local changes nothing that is measured.
        encoder = {name: value for name, value in config.encoder.items() if name != "local_stage"}
        encoder["first_layer"] = config.training.first_layer
        if encoder not in seen:
            seen.append(encoder)
            random_encoders[f"{CONTROLS} of {row.name}" if random_encoders else CONTROLS] = row
    return random_encoders


def digest(config: Config) -> str:
    """What identifies a configuration, wherever its data lie."""
    return hashlib.sha256(_without_place(config).encode()).hexdigest()[:12]


def _without_place(config: Config) -> str:
    return configuration.dumps(dataclasses.replace(config, data=dataclasses.replace(config.data, root=None)))


@contextmanager
def run_folder(out: Path, row: Row, scale: Scale, config: Config) -> Iterator[Path]:
    """The folder of one row's run, held: another table, or an experiment on its encoders, may want the same one.

    Its name has the digest of every setting, so that one which the package gets later changes the name. A run of an
    earlier version that means the same, with the default of what it did not have, is taken as it is.
    """
    parent, start = out / "runs", f"{config.data.source}-{row.recipe}-{scale}-seed{config.seed}-"
    folder = parent / (start + digest(config))
    if not folder.exists():
        earlier = sorted(parent.glob(glob.escape(start) + "*"))
        folder = next((other for other in earlier if _is_of(other, config)), folder)
    parent.mkdir(parents=True, exist_ok=True)
    with FileLock(parent / f".{folder.name}.lock"):
        yield folder


def _is_of(folder: Path, config: Config) -> bool:
    try:
        return _without_place(read_config(folder)) == _without_place(config)
    except UserError:  # no run, or one with a setting that is gone
        return False


def _one(table: Table, config: Config, scale: Scale, folder: Path, device: str | None) -> Run:
    """Train (or find trained) and measure (or find measured) one row with one seed."""
    encoder = trained(config, folder, device)
    evaluation = evaluate(
        encoder,
        *labelled_images(config, scale),
        measures=table.measures,
        levels=table.levels,
        controls=(),
        scale=scale,
        seed=config.seed,
        device=choose_device(device),
        out=folder / "evaluation.json",
    )
    metrics = read_metrics(folder / METRICS)
    return Run(
        config=digest(config),
        steps=metrics.end["step"],
        training_seconds=round(metrics.end["seconds"], 1),
        hardware=metrics.start["device"],
        data={"trained_on": metrics.start["data"]["count"], **_counts(evaluation)},
        measures=_measures(evaluation, table),
    )


def _measures(evaluation: Mapping[str, Any], table: Table) -> dict[str, Any]:
    return {measure: _without_settings(evaluation["measures"][measure]) for measure in table.measures}


def _counts(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """How many images and classes the measures saw."""
    train, test = evaluation["data"]["train"], evaluation["data"]["test"]
    return {"train": train["count"], "test": test["count"], "classes": train.get("classes")}


def _controls(table: Table, config: Config, scale: Scale, runs: Path, device: str | None, *, pixels: bool) -> Run:
    """The same measures of an encoder as it is initialised, and of raw pixels those that take features."""
    training, test = labelled_images(config, scale)
    name, arguments = config.encoder["name"], {k: v for k, v in config.encoder.items() if k != "name"}
    on = choose_device(device)

    def make() -> nn.Module:
        encoder = encoders.build(name, training.shape, **arguments)
        begin(encoder, config, training)
        return encoder

    fresh = random_encoder(make, training, seed=config.seed, device=on)
    begins = {} if config.training.first_layer == "default" else {"first_layer": config.training.first_layer}
    which = hashlib.sha256(json.dumps(config.encoder | begins, sort_keys=True).encode()).hexdigest()[:8]
    folder = runs / f"{table.data}-controls-{name}-{which}-{scale}-seed{config.seed}"
    with FileLock(folder.with_name(f".{folder.name}.lock")):
        evaluation = evaluate(
            fresh,
            training,
            test,
            measures=table.measures,
            levels=table.levels,
            controls=("pixels",) if pixels else (),
            scale=scale,
            seed=config.seed,
            device=on,
            out=folder / "evaluation.json",
        )
    return Run(
        config=digest(config),
        measures=_measures(evaluation, table),
        pixels=_without_settings(evaluation["controls"].get("pixels", {})),
    )


def labelled_images(config: Config, scale: Scale) -> tuple[ImageSet, ImageSet]:
    """What a row is measured on: the labelled images, at their centre where training cropped them at random."""
    training, test = (as_trained(config, load_images(config, split)) for split in ("train", "test"))
    return training, test.take(slice(0, SMOKE_TEST_IMAGES)) if scale == "smoke" else test


def trained(config: Config, folder: Path, device: str | None = None, *, images: ImageSet | None = None) -> nn.Module:
    """The encoder of this configuration: as it lies finished in `folder`, or trained there now.

    Args:
        images: to train on; None: those of the configuration.
    """
    if (folder / METRICS).is_file() and read_metrics(folder / METRICS).end:
        return storage.load(folder)
    images = load_images(config) if images is None else images
    return train(config, images, folder, resume=(folder / CONFIG).is_file(), device=device)


def _without_settings(figures: Mapping[str, Any]) -> dict[str, Any]:
    """A measure without what is the same for every row; numbers to five digits."""
    kept: dict[str, Any] = {}
    for key, value in figures.items():
        if key in ("settings", "protocol", "n_train", "n_test", "seeds"):
            continue
        if isinstance(value, float):
            value = float(f"{value:.5g}") if math.isfinite(value) else None
        kept[key] = _without_settings(value) if isinstance(value, dict) else value
    return kept


def _result(name: str, table: Table, scale: Scale, seeds: Sequence[int], runs: Mapping[str, RunsBySeed]) -> TableResult:
    first = row_config(table, table.rows[0], scale, seeds[0])
    held = sorted({seed for of_row in runs.values() for seed in of_row} | set(seeds))
    shared, own = _configs(table, scale)
    rows = [RowResult.of(table, row, own[row.name], runs[row.name]) for row in table.rows if runs[row.name]]
    of_rows = [run for row in table.rows for run in runs[row.name].values()]
    return TableResult(
        table=name,
        title=table.title,
        note=table.note,
        scale=scale,
        command=command(name, scale, held),
        seeds=held,
        data={"name": table.data, **next((run.data for run in of_rows if run.data is not None), {})},
        config=shared,
        batch_size=first.training.batch_size,
        measures=list(table.measures),
        hardware=sorted({run.hardware or "not recorded" for run in of_rows}),
        software=software(),
        training_minutes=round(sum(run.training_seconds or 0 for run in of_rows) / 60, 1),
        not_run=[f"{row.name}, seed {s}" for row in table.rows for s in held if s not in runs[row.name]],
        correlations=correlations(rows),
        controls=Controls.of(table, runs) if runs[CONTROLS] else None,
        rows=rows,
    )


def _configs(table: Table, scale: Scale) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The settings that all rows share, and by row the others; without the seed and the place of the data."""
    of_rows = {row.name: configuration.flat(row_config(table, row, scale, 0)) for row in table.rows}
    for fields in of_rows.values():
        del fields["seed"], fields["data.root"]
    first, *others = of_rows.values()
    shared = {k: v for k, v in first.items() if all(k in of_row and of_row[k] == v for of_row in others)}
    return shared, {name: {k: v for k, v in of.items() if k not in shared} for name, of in of_rows.items()}


def finished(table: Table, scale: Scale, path: Path) -> dict[str, RunsBySeed]:
    """Row or control -> seed -> run of an earlier result, if its configuration is still that of the table.

    The result of an earlier version may lack settings; they count as set to their defaults.

    Raises:
        UserError: the file is no result of a table.
    """
    tree, wanted = read(path), columns(table)
    try:
        earlier, configs = runs_of(tree), configs_of(tree)
        whole = {
            name: {seed: run for seed, run in of.items() if all(map(run.has, wanted))} for name, of in earlier.items()
        }
    except (KeyError, TypeError, AttributeError, ValueError):
        raise UserError(
            f"{path} is no result of a table, or one of another version; move it away, or choose another --out"
        ) from None
    runs: dict[str, RunsBySeed] = {}
    for name, row in ({row.name: row for row in table.rows} | controlled(table, scale)).items():
        runs[name] = {}
        for seed, run in whole.get(name, {}).items():
            now = digest(row_config(table, row, scale, seed))
            if now in (run.config, _digest_of(configs.get(row.name), seed)):
                runs[name][seed] = dataclasses.replace(run, config=now)
    return runs


def _digest_of(fields: Mapping[str, Any] | None, seed: int) -> str | None:
    """Of the configuration that has these settings; None if one of them is gone, or there are none."""
    try:
        return None if fields is None else digest(configuration.from_flat({**fields, "seed": seed}))
    except UserError:
        return None
