"""Does a figure without labels choose among encoders as their accuracy would? 32 short runs on CIFAR-10.

    python benchmarks/choice.py --work DIR --minutes 30        # resumes where it stopped; writes results/choice.json

Runs differ in objective, length, width and learning rate; some are meant to collapse. Each is measured at the level
that its objective trains, on images that it was not trained on: the figures of `evaluation/without_labels.py`, and the
accuracy of a linear probe. Spearman's rank correlation of each figure with the accuracy, over all runs and without the
collapsed ones, with an interval by resampling runs.

The same on CIFAR-100, untouched by any choice made here: --data cifar100 --out results/choice-cifar100.json.
"""

import argparse
import itertools
import json
import os
import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from deepinfomax import config as configuration
from deepinfomax import data
from deepinfomax.errors import UserError
from deepinfomax.evaluation.embeddings import embed
from deepinfomax.evaluation.linear import linear
from deepinfomax.evaluation.without_labels import measure
from deepinfomax.experiments.provenance import software
from deepinfomax.recipes import recipe
from deepinfomax.training.loop import train
from measuring import hardware

RESULTS = Path(__file__).parent.parent / "results"
IMAGES, TEST = 10_000, 3000
#: figure -> whether more of it should be better (1) or worse (-1), as its paper says; alpha: the nearer to 1 the better
DIRECTION = {
    "effective_rank": 1,
    "uniformity": -1,
    "alignment": -1,
    "lidar": 1,
    "alpha_from_1": -1,
    "normality_gap": -1,
    "bound": 1,
}
SHORT, LONG = {"training.steps": 60}, {"training.steps": 800}


def runs() -> dict[str, tuple[str, str, dict[str, Any]]]:
    """name -> recipe, the level that it trains, settings."""
    made: dict[str, tuple[str, str, dict[str, Any]]] = {}
    dim = {
        "dim-local": "dim-local",
        "dim-local-jsd": "dim-local-jsd",
        "dim-global": "dim-global",
        "ae": "ae",
        "vae": "vae",
        "nat": "nat",
    }
    for (name, kind), (length, steps) in itertools.product(dim.items(), {"short": SHORT, "long": LONG}.items()):
        made[f"{name} {length}"] = (kind, "y", steps)
    for name, (length, steps) in itertools.product(
        ("simclr", "vicreg", "barlow", "byol"), {"short": SHORT, "long": LONG}.items()
    ):
        made[f"{name} {length}"] = (name, "fc", steps)
    made |= {
        "dim-local narrow": ("dim-local", "y", LONG | {"encoder.width": 8}),
        "dim-local wide": ("dim-local", "y", LONG | {"encoder.width": 32}),
        "dim-local few units": ("dim-local", "y", LONG | {"encoder.y": 8}),
        "dim-local many units": ("dim-local", "y", LONG | {"encoder.y": 128}),
        "dim-local without prior": ("dim-local", "y", LONG | {"prior.weight": 0.0}),
        "simclr narrow": ("simclr", "fc", LONG | {"encoder.width": 8}),
        # Collapsed, or nearly: nothing holds the units apart, nothing is learned, or too much of a step.
        "vicreg without variance": ("vicreg", "fc", LONG | {"vicreg.variance": 0.0, "vicreg.covariance": 0.0}),
        "dim-local untrained": ("dim-local", "y", {"training.steps": 1}),
        "simclr untrained": ("simclr", "fc", {"training.steps": 1}),
        "prior alone": ("dim-local", "y", LONG | {"local.weight": 0.0, "prior.weight": 1.0}),
        "simclr, rate 0.05": ("simclr", "fc", SHORT | {"training.lr": 0.05}),
        "vicreg, rate 0.05": ("vicreg", "fc", SHORT | {"training.lr": 0.05}),
    }
    return made


def one(name: str, source: str, work: Path) -> dict[str, Any]:
    """Train one run and measure it."""
    kind, level, settings = runs()[name]
    images, test = data.load(source, limit=IMAGES), data.load(source, "test", limit=TEST)
    common = {
        "encoder.width": 16,
        "encoder.fc": 256,
        "training.trackers": [],
        "training.batch_size": 64,
        "seed": 0,
        "augmentation.flip": True,
    }
    config = configuration.override(recipe(kind, "cpu"), common | settings)
    out = work / source / name.replace(" ", "-").replace(",", "")
    shutil.rmtree(out, ignore_errors=True)  # of a benchmark that was stopped
    began = time.process_time()
    try:
        encoder = train(config, images, out, device="cpu", quiet=True)
    except UserError as error:  # diverged
        return {"name": name, "recipe": kind, "level": level, "failed": str(error)}
    scores = asdict(measure(encoder, test, level=level))
    vectors = [embed(encoder, part, levels=(level,))[level] for part in (images, test)]
    accuracy = linear(vectors[0], images.labels, vectors[1], test.labels, scale="cpu").accuracy  # type: ignore[arg-type]
    steps = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    bounds = [line[key] for line in steps for key in line if key.endswith("/bound") and line[key] is not None]
    scores["bound"] = bounds[-1] if bounds else None
    scores["alpha_from_1"] = None if scores["alpha"] is None else abs(scores["alpha"] - 1)
    return {
        "name": name,
        "recipe": kind,
        "level": level,
        "linear_accuracy": round(accuracy, 4),
        **{key: value if value is None else round(value, 4) for key, value in scores.items()},
        "processor_seconds": round(time.process_time() - began),
    }


def correlations(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Of each figure Spearman's correlation with accuracy, signed so that 1 is a perfect choice."""
    table = {}
    for figure, sign in DIRECTION.items():
        pairs = [(row[figure], row["linear_accuracy"]) for row in rows if row.get(figure) is not None]
        if len(pairs) < 5:
            continue
        x, y = np.array(pairs).T
        rng = np.random.default_rng(0)
        draws = [spearmanr(x[i], y[i]).statistic for i in rng.integers(0, len(x), (1000, len(x))) if np.ptp(x[i]) > 0]
        low, high = np.percentile(np.array(draws) * sign, [2.5, 97.5])
        table[figure] = {
            "spearman": round(float(sign * spearmanr(x, y).statistic), 3),
            "interval_95": sorted([round(float(low), 3), round(float(high), 3)]),
            "runs": len(x),
        }
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--minutes", type=float, default=1e9, help="of the processor, at most; more another time")
    parser.add_argument("--out", type=Path, default=RESULTS / "choice.json")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    done = json.loads(arguments.out.read_text())["runs"] if arguments.out.exists() else []
    for name in runs():
        if any(row["name"] == name for row in done):
            continue
        if time.process_time() > 60 * arguments.minutes:
            break
        done.append(one(name, arguments.data, arguments.work))
        print(json.dumps(done[-1]), flush=True)
        measured = [row for row in done if "failed" not in row]
        sound = [row for row in measured if row["effective_rank"] >= 2]
        result = {
            "schema": 1,
            "title": "Figures without labels beside linear accuracy",
            "command": "python benchmarks/choice.py --work DIR"
            + ("" if arguments.data == "cifar10" else f" --data {arguments.data} --out {arguments.out.name}"),
            "data": f"{arguments.data}: {IMAGES:,} training images, {TEST:,} test images",
            "seeds": [0],
            "hardware": hardware(),
            "software": software(),
            "not_run": [other for other in runs() if not any(row["name"] == other for row in done)],
            "spearman_with_linear_accuracy": {
                "all runs": correlations(measured),
                "without collapsed ones (effective rank below 2)": correlations(sound),
                "level y": correlations([row for row in measured if row["level"] == "y"]),
                "level fc": correlations([row for row in measured if row["level"] == "fc"]),
            },
            "runs": done,
        }
        arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
