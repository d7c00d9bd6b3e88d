"""Which learning rate suits each method of Table 1 at the scale `cpu`? On images that the table does not measure.

    python benchmarks/rates.py --work DIR       # resumes where it stopped; writes results/rates.json

The rows of Table 1 and DIM(L+G), two minutes of two cores each, as the tables have them (CIFAR-10, flips, batches of
128, Adam), with 1e-3 and a fifth of it; the paper has 1e-4 in all. 15,000 training images, the MLP probe on 5,000 other
training images: test images choose nothing.
"""

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

from deepinfomax.config import Config
from deepinfomax.data.configured import load_images
from deepinfomax.data.images import ImageSet
from deepinfomax.evaluation.encoder_evaluation import evaluate
from deepinfomax.experiments.paper_tables import row_config, trained
from deepinfomax.experiments.provenance import software, write
from deepinfomax.experiments.published import TABLES, Row
from deepinfomax.features import LEVELS
from deepinfomax.report.reading import read_metrics
from deepinfomax.training.run_folder import METRICS
from measuring import hardware, once, one_thread, options

RESULTS = Path(__file__).parent.parent / "results"
TABLE, SCALE = TABLES["table1"], "cpu"
HELD_OUT = 5_000
RATES = (1e-3, 2e-4)
#: the games and the global term first: they are in question
ORDER = ("DIM(G)", "DIM(L+G)", "BiGAN", "AAE", "DIM(L) infoNCE", "DIM(L) JSD", "DIM(L) DV", "AE", "VAE", "NAT", "β-VAE")
ROWS = {row.name: row for row in TABLE.rows} | {"DIM(L+G)": Row("DIM(L+G)", "dim-local-global")}


def config_of(name: str, rate: float, seed: int) -> Config:
    row = ROWS[name]
    return row_config(TABLE, dataclasses.replace(row, changes={**row.changes, "training.lr": rate}), SCALE, seed)


def measured(name: str, rate: float, seed: int, out: Path) -> dict[str, Any]:
    """One method with one rate, trained in the folder `out`, where a training that was stopped goes on."""
    config, began = config_of(name, rate, seed), time.process_time()
    training, judged_on = parts(load_images(config))
    encoder = trained(config, out, "cpu", images=training)
    seconds = time.process_time() - began
    accuracies = evaluate(
        encoder,
        training,
        judged_on,
        measures=("mlp",),
        controls=(),
        scale=SCALE,
        seed=seed,
        out=out / "evaluation.json",
        quiet=True,
    )["measures"]["mlp"]
    return {
        "run": name,
        "rate": rate,
        "seed": seed,
        "steps": config.training.steps,
        "mlp": {level: round(accuracies[level]["accuracy"], 4) for level in LEVELS},
        "last_step": read_metrics(out / METRICS).steps[-1],
        "processor_seconds_of_training": round(seconds),
    }


def parts(images: ImageSet) -> tuple[ImageSet, ImageSet]:
    return images.take(slice(0, -HELD_OUT)), images.take(slice(-HELD_OUT, None))


def main() -> None:
    arguments = options(__doc__, RESULTS / "rates.json").parse_args()
    one_thread()
    wanted = [(seed, name, rate) for seed in arguments.seeds for name in ORDER for rate in RATES]
    runs: list[dict[str, Any]] = []
    for place, (seed, name, rate) in enumerate(wanted, start=1):
        out = arguments.work / f"{ROWS[name].recipe}-{rate:g}-{seed}"
        runs.append(once(out, lambda name=name, rate=rate, seed=seed, out=out: measured(name, rate, seed, out)))
        print(json.dumps(runs[-1], ensure_ascii=False), flush=True)
        result = {
            "schema": 1,
            "title": "Methods of Table 1 at the scale cpu with two learning rates, CIFAR-10, MLP probe",
            "command": f"python benchmarks/rates.py --work DIR --seeds {' '.join(map(str, arguments.seeds))}",
            "data": f"cifar10: 15,000 training images with flips, judged on {HELD_OUT:,} other training images",
            "seeds": arguments.seeds,
            "hardware": hardware(),
            "software": software(),
            "not_run": [f"{name}, rate {rate:g}, seed {seed}" for seed, name, rate in wanted[place:]],
            "runs": runs,
        }
        write(arguments.out, result)


if __name__ == "__main__":
    main()
