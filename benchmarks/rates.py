"""Which learning rate suits each method of Table 1 at the scale `cpu`? On images that the table does not measure.

    python benchmarks/rates.py --work DIR       # resumes where it stopped; writes results/rates.json

The rows of Table 1 and DIM(L+G), two minutes of two cores each, as the tables have them (CIFAR-10, flips, batches of
128, Adam), with 1e-3 and a fifth of it; the paper has 1e-4 in all. 15,000 training images, the MLP probe on 5,000 other
training images: test images choose nothing.
"""

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

from deepinfomax.config import Config
from deepinfomax.experiments.league_trials import on_held_out
from deepinfomax.experiments.paper_tables import row_config
from deepinfomax.experiments.published import TABLES, Row
from measuring import each_once, one_thread, options

RESULTS = Path(__file__).parent.parent / "results"
TABLE, SCALE = TABLES["table1"], "cpu"
RATES = (1e-3, 2e-4)
#: the games and the global term first: they are in question
ORDER = ("DIM(G)", "DIM(L+G)", "BiGAN", "AAE", "DIM(L) infoNCE", "DIM(L) JSD", "DIM(L) DV", "AE", "VAE", "NAT", "β-VAE")
ROWS = {row.name: row for row in TABLE.rows} | {"DIM(L+G)": Row("DIM(L+G)", "dim-local-global")}


def config_of(name: str, rate: float, seed: int) -> Config:
    row = ROWS[name]
    return row_config(TABLE, dataclasses.replace(row, changes={**row.changes, "training.lr": rate}), SCALE, seed)


def measured(name: str, rate: float, seed: int, folder: Path) -> dict[str, Any]:
    config = config_of(name, rate, seed)
    trial = on_held_out(config, SCALE, folder, "cpu")
    return {
        "run": name,
        "rate": rate,
        "seed": seed,
        "steps": config.training.steps,
        "mlp": {level: round(accuracy, 4) for level, accuracy in trial.accuracies["mlp"].items()},
        "last_step": trial.metrics.steps[-1],
        "seconds_of_training": round(trial.metrics.end["seconds"]),
    }


def main() -> None:
    arguments = options(__doc__, RESULTS / "rates.json").parse_args()
    one_thread()
    wanted = {
        f"{name}, {rate:g}, seed {seed}": partial(measured, name, rate, seed)
        for seed in arguments.seeds
        for name in ORDER
        for rate in RATES
    }
    about = {
        "title": "Methods of Table 1 at the scale cpu with two learning rates, CIFAR-10, MLP probe",
        "data": "cifar10: 15,000 training images with flips, judged on 5,000 other training images",
    }
    each_once(arguments, wanted, about)


if __name__ == "__main__":
    main()
