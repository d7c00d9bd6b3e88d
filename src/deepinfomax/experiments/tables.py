"""The paper's tables as recipes: rows of recipes, the measures of the table, and what was published.

A table is run at a scale: `smoke` shows that it runs, `cpu` has 20,000 training images and some hundred steps a row,
`paper` is the paper's setting. Every row has the same data, steps and probe. What is printed beside a row is what the
paper has there, at its own scale: the order of rows can be compared, the figures only at `paper`.
"""

import json
import os
import platform
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from deepinfomax import __version__, encoders
from deepinfomax import config as configuration
from deepinfomax.config import Config
from deepinfomax.devices import choose_device
from deepinfomax.evaluation import evaluate
from deepinfomax.features import LEVELS
from deepinfomax.recipes import Scale, recipe
from deepinfomax.training.command import load_images
from deepinfomax.training.loop import train
from deepinfomax.training.run_folder import CONFIG


@dataclass(frozen=True)
class Row:
    """One method of a table."""

    name: str
    recipe: str
    published: Mapping[str, float] = field(default_factory=dict)  #: level (or measure) -> fraction, as the paper prints
    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """Rows, data and measures; `published` figures are of `measure` at each level."""

    title: str
    data: str
    rows: tuple[Row, ...]
    measures: tuple[str, ...] = ("mlp",)
    levels: tuple[str, ...] = LEVELS
    note: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)


def _published(conv: float, fc: float, y: float) -> dict[str, float]:
    return {"conv": round(conv / 100, 4), "fc": round(fc / 100, 4), "y": round(y / 100, 4)}


def _table_1(data: str, figures: Mapping[str, tuple[float, float, float]]) -> Table:
    rows = {
        "VAE": "vae",
        "AE": "ae",
        "β-VAE": "beta-vae",
        "AAE": "aae",
        "BiGAN": "bigan",
        "NAT": "nat",
        "DIM(G)": "dim-global",
        "DIM(L) DV": "dim-local-dv",
        "DIM(L) JSD": "dim-local-jsd",
        "DIM(L) infoNCE": "dim-local",
    }
    return Table(
        f"Table 1: {data}, MLP probe",
        data,
        (
            *(Row(name, key, _published(*figures[name])) for name, key in rows.items()),
            Row("fully supervised", "supervised"),
        ),
        note="published AE, β-VAE and DV rows are recalled, not verified",
    )


TABLES: dict[str, Table] = {
    "table1": _table_1(
        "cifar10",
        {
            "VAE": (60.71, 60.54, 54.61),
            "AE": (62.19, 55.78, 54.47),
            "β-VAE": (62.4, 57.89, 55.43),
            "AAE": (59.44, 57.19, 52.81),
            "BiGAN": (62.57, 62.74, 52.54),
            "NAT": (56.19, 51.29, 31.16),
            "DIM(G)": (52.2, 52.84, 43.17),
            "DIM(L) DV": (72.66, 70.60, 64.71),
            "DIM(L) JSD": (73.25, 73.62, 66.96),
            "DIM(L) infoNCE": (75.21, 75.57, 69.13),
        },
    ),
    "table1-cifar100": _table_1(
        "cifar100",
        {
            "VAE": (37.21, 34.05, 24.22),
            "AE": (31.50, 23.89, 27.44),
            "β-VAE": (32.28, 26.89, 28.96),
            "AAE": (36.22, 33.38, 23.25),
            "BiGAN": (37.59, 33.34, 21.49),
            "NAT": (29.18, 24.57, 9.72),
            "DIM(G)": (27.68, 24.35, 19.98),
            "DIM(L) DV": (48.52, 44.44, 39.27),
            "DIM(L) JSD": (48.13, 45.92, 39.60),
            "DIM(L) infoNCE": (49.74, 47.72, 41.61),
        },
    ),
    "table3": Table(
        "Table 3: DIM and CPC with strided crops, CIFAR-10",
        "cifar10",
        (
            Row("DIM(L), single global", "dim-strided", {"conv": 0.8095}),
            Row("CPC", "cpc-strided", {"conv": 0.7745}),
            Row("DIM(L), multiple globals", "dim-strided-multiple", {"conv": 0.7751}),
        ),
        note="the paper gives one figure a row, of which level it does not say; conv is likeliest",
    ),
    "table5": Table(
        "Table 5: coordinates and occlusion, CIFAR-10",
        "cifar10",
        (
            Row("DIM", "dim-local", _published(77.46, 73.33, 70.65)),
            Row("DIM + coordinates", "dim-coordinates", _published(77.28, 73.89, 71.56)),
            Row("DIM + occlusion", "dim-occlusion", _published(76.77, 74.45, 72.87)),
            Row("DIM + both", "dim-coordinates-occlusion", _published(77.27, 75.15, 73.99)),
        ),
    ),
    "dim": Table(
        "DIM and its variants, CIFAR-10, MLP probe",
        "cifar10",
        (
            Row("DIM(L) infoNCE", "dim-local", _published(75.21, 75.57, 69.13)),
            Row("DIM(L) JSD", "dim-local-jsd", _published(73.25, 73.62, 66.96)),
            Row("DIM(L) DV", "dim-local-dv", _published(72.66, 70.60, 64.71)),
            Row("DIM(G)", "dim-global", _published(52.2, 52.84, 43.17)),
            Row("DIM(L+G)", "dim-local-global"),
            Row("DIM(L) + coordinates", "dim-coordinates"),
            Row("DIM(L) + occlusion", "dim-occlusion"),
            Row("DIM(L) + both", "dim-coordinates-occlusion"),
            Row("strided crops, single global", "dim-strided", {"conv": 0.8095}),
            Row("strided crops, multiple globals", "dim-strided-multiple", {"conv": 0.7751}),
        ),
        note="the first rows of Tables 1, 3 and 5 in one run, each at the same steps",
    ),
    "priors": Table(
        "The prior: DIM(L), γ 0.1, four priors and none, CIFAR-10",
        "cifar10",
        (
            *(
                Row(name, "dim-local", changes={"prior.prior": name})
                for name in ("uniform", "gaussian", "ball", "sphere")
            ),
            Row("none", "dim-local", changes={"prior.weight": 0.0}),
        ),
        note="the paper: uniform is better than the others; no figures given",
    ),
}
#: A.3: accuracy against log2 of the number of negatives per anchor
NEGATIVES = (1, 4, 16, 64, 256, 1008)
TABLES["negatives"] = Table(
    "Negatives per anchor: infoNCE, DV and JSD, CIFAR-10",
    "cifar10",
    tuple(
        Row(f"{bound}, {count}", name, changes={"local.negatives": count})
        for bound, name in (("infoNCE", "dim-local"), ("DV", "dim-local-dv"), ("JSD", "dim-local-jsd"))
        for count in NEGATIVES
    ),
    levels=("conv", "y"),
    note="the paper (a figure): infoNCE and DV lose much with few negatives, JSD little",
)

#: what a scale changes for every row
SCALES: dict[Scale, dict[str, Any]] = {
    "smoke": {"data.limit": 400},
    "cpu": {"data.limit": 20_000, "training.steps": 400, "augmentation.flip": True},
    "paper": {},
}


def table_config(table: Table, row: Row, scale: Scale, seed: int, root: Path | None) -> Config:
    """What one row trains."""
    changes = {"data.source": table.data, "seed": seed, **SCALES[scale], **table.changes, **row.changes}
    if root is not None:
        changes["data.root"] = str(root)
    return configuration.override(recipe(row.recipe, scale), {"training.trackers": [], **changes})


def run_table(
    name: str, *, scale: Scale, out: Path, seeds: Sequence[int], root: Path | None = None, device: str | None = None
) -> dict[str, Any]:
    """Train and measure every row with every seed; finished runs in `out` are not repeated.

    Returns:
        what is also written to out/NAME-SCALE.json: rows with mean and sd over seeds at each level, published figures
        beside, seconds, hardware, the command.
    """
    table = TABLES[name]
    say = Console(stderr=True, highlight=False).print
    began = time.perf_counter()
    rows: list[dict[str, Any]] = []
    for row in table.rows:
        per_seed = []
        for seed in seeds:
            folder = out / f"{name}-{scale}" / f"{row.recipe}{_suffix(row)}-seed{seed}"
            say(f"{table.title}: {row.name}, seed {seed}")
            per_seed.append(_one(table, row, scale, seed, folder, root, device))
        rows.append(_summary(table, row, per_seed))
        _write(out / f"{name}-{scale}.json", _result(name, table, scale, seeds, rows, began, device))
    result = _result(name, table, scale, seeds, rows, began, device)
    result["text"] = render(result)
    return result


def _one(
    table: Table, row: Row, scale: Scale, seed: int, folder: Path, root: Path | None, device: str | None
) -> dict[str, Any]:
    config = table_config(table, row, scale, seed, root)
    training, test = load_images(config, "train"), load_images(config, "test")
    if scale == "smoke":
        test = test.take(slice(0, 400))
    resume = (folder / CONFIG).is_file()
    encoder = train(config, training, folder, resume=resume, device=device)
    arguments = {k: v for k, v in config.encoder.items() if k != "name"}
    evaluation = evaluate(
        encoder,
        training,
        test,
        measures=table.measures,
        levels=table.levels,
        controls=(),
        scale=scale,
        seed=seed,
        device=choose_device(device),
        out=folder / "evaluation.json",
        make_encoder=lambda: encoders.build(config.encoder["name"], training.shape, **arguments),
    )
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return {"measures": evaluation["measures"], "training_seconds": json.loads(lines[-1])["seconds"]}


def _summary(table: Table, row: Row, per_seed: list[dict[str, Any]]) -> dict[str, Any]:
    measured: dict[str, Any] = {}
    for measure in table.measures:
        for level in table.levels:
            values = [p["measures"][measure][level]["accuracy"] for p in per_seed]
            measured.setdefault(measure, {})[level] = {
                "mean": round(statistics.mean(values), 4),
                "sd": round(statistics.stdev(values), 4) if len(values) > 1 else None,
                "seeds": [round(v, 4) for v in values],
            }
    seconds = [p["training_seconds"] for p in per_seed]
    return {
        "name": row.name,
        "recipe": row.recipe,
        "changes": dict(row.changes),
        "measured": measured,
        "published": dict(row.published) or None,
        "training_seconds": round(statistics.mean(seconds), 1),
    }


def _result(
    name: str,
    table: Table,
    scale: Scale,
    seeds: Sequence[int],
    rows: list[dict[str, Any]],
    began: float,
    device: str | None,
) -> dict[str, Any]:
    first = table_config(table, table.rows[0], scale, seeds[0], None)
    return {
        "schema": 1,
        "table": name,
        "title": table.title,
        "note": table.note,
        "scale": scale,
        "command": f"deepinfomax reproduce {name} --scale {scale} --seeds {len(seeds)} --seed {seeds[0]}",
        "seeds": list(seeds),
        "data": {"name": table.data, "train": first.data.limit or "all", "test": "all"},
        "steps": first.training.steps,
        "batch_size": first.training.batch_size,
        "hardware": {"device": str(choose_device(device)), "cores": os.cpu_count(), "threads": torch.get_num_threads()},
        "software": {"deepinfomax": __version__, "torch": torch.__version__, "python": platform.python_version()},
        "minutes": round((time.perf_counter() - began) / 60, 1),
        "not_run": [row.name for row in table.rows[len(rows) :]],
        "rows": rows,
    }


def render(result: Mapping[str, Any]) -> str:
    """A table for a terminal: measured mean ± sd in per cent, and the published figure behind it."""
    lines = [
        result["title"],
        f"scale {result['scale']}, {len(result['seeds'])} seeds; in parentheses: the paper, at its own",
    ]
    for measure in result["rows"][0]["measured"]:
        levels = list(result["rows"][0]["measured"][measure])
        lines.append(f"{measure:32s}" + "".join(f"{level:>22s}" for level in levels))
        for row in result["rows"]:
            cells = []
            for level in levels:
                found = row["measured"][measure][level]
                spread = "" if found["sd"] is None else f" ± {found['sd'] * 100:.1f}"
                there = (row["published"] or {}).get(level)
                cells.append(f"{found['mean'] * 100:.1f}{spread}" + ("" if there is None else f" ({there * 100:.1f})"))
            lines.append(f"{row['name']:32s}" + "".join(f"{cell:>22s}" for cell in cells))
    return "\n".join(lines)


def _suffix(row: Row) -> str:
    return "".join(f"-{key.split('.')[-1]}-{value}" for key, value in row.changes.items())


def _write(path: Path, result: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)
