"""What was tried to let DIM(L) be first after five minutes of the league, on training images that are held out.

    python benchmarks/league_tried.py --work DIR       # resumes where it stopped; writes results/league-tried.json

The trials of `experiments/league_trials.py`, twice as long for DIM(L), two and a half times for EMP-SSL: 15,000
training images of CIFAR-10, bfloat16, judged on 5,000 other training images. Test images choose nothing.
"""

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

from deepinfomax import config as configuration
from deepinfomax.config import Config
from deepinfomax.experiments import league, league_trials
from measuring import each_once, one_thread, options

RESULTS = Path(__file__).parent.parent / "results"
MEASURES = ("mlp", "linear", "knn")
EMP_SSL = next(entrant for entrant in league.ENTRANTS if entrant.name == "EMP-SSL")
#: DIM(L) beside EMP-SSL's own term: places of one random area with y of each other area of the image, ...
ACROSS = {"local.units": 256, "local.scale": 0.0625, "local.across": 1.0, "local.within": 0.0, "local.weight": 10.0}
REST = ACROSS | {"local.several": "rest"}  #: with the mean of the other areas' y, ...
DIM_PATCHES = REST | {"local.places": 4}  #: what the recipe `dim-patches` adds
WITHIN = ACROSS | {"local.across": 0.0, "local.within": 1.0, "local.places": 16}  #: with its own
SIGREG = {"prior.by": "sigreg", "prior.prior": "gaussian"}
#: name -> entrant, steps, what differs from it
RUNS: dict[str, tuple[league.Entrant, int, dict[str, Any]]] = {
    "DIM(L), flips only": (league.PLAIN, 1250, {}),
    "64 places": (league.PLAIN, 1250, {"local.places": 64}),
    "SIGReg, γ 0.1": (league.PLAIN, 1250, SIGREG | {"prior.weight": 0.1}),
    "SIGReg, γ 0.3": (league.PLAIN, 1250, SIGREG | {"prior.weight": 0.3}),
    "y against the conv map too": (league.PLAIN, 1250, {"local.y_conv": 1.0}),
    "rate 5e-4": (league.PLAIN, 1250, {"training.lr": 5e-4}),
    "rate 2e-3": (league.PLAIN, 1250, {"training.lr": 2e-3}),
    "colour": (
        league.PLAIN,
        1250,
        {"augmentation.jitter": 0.4, "augmentation.jitter_probability": 0.8, "augmentation.grayscale": 0.2},
    ),
    "EMP-SSL": (EMP_SSL, 482, {}),
    "EMP-SSL, for longer": (EMP_SSL, 590, {}),
    "EMP-SSL and DIM(L) across its patches": (EMP_SSL, 482, ACROSS | {"local.places": 16}),
    "EMP-SSL and DIM(L), y of the rest": (EMP_SSL, 482, REST | {"local.places": 16}),
    "EMP-SSL and DIM(L), y of the rest, weight 40": (EMP_SSL, 482, REST | {"local.places": 16, "local.weight": 40.0}),
    "EMP-SSL and DIM(L), y of the rest, 4 places": (EMP_SSL, 560, DIM_PATCHES),
    "EMP-SSL and DIM(L) within patches": (EMP_SSL, 482, WITHIN),
    "dim-patches, 3 areas": (EMP_SSL, 747, DIM_PATCHES | {"training.views": 3}),
    "dim-patches, 6 areas": (EMP_SSL, 373, DIM_PATCHES | {"training.views": 6}),
    "dim-patches, batches of 64": (EMP_SSL, 1120, DIM_PATCHES | {"training.batch_size": 64}),
    "dim-patches, batches of 256": (EMP_SSL, 280, DIM_PATCHES | {"training.batch_size": 256}),
}


def config_of(name: str, seed: int) -> Config:
    entrant, steps, changes = RUNS[name]
    augmentation = league.CHOSEN.get(entrant.name, "none")
    config = league_trials.trial_config(
        dataclasses.replace(entrant, trial_steps=steps), augmentation, "cpu", seed, None
    )
    return configuration.override(config, changes)


def measured(name: str, seed: int, folder: Path) -> dict[str, Any]:
    config = config_of(name, seed)
    trial = league_trials.on_held_out(config, "cpu", folder, "cpu", MEASURES)
    return {
        "run": name,
        "seed": seed,
        "steps": config.training.steps,
        **{
            measure: {level: round(accuracy, 4) for level, accuracy in of.items()}
            for measure, of in trial.accuracies.items()
        },
        "seconds_of_training": round(trial.metrics.end["seconds"]),
    }


def main() -> None:
    arguments = options(__doc__, RESULTS / "league-tried.json").parse_args()
    one_thread()
    wanted = {f"{name}, seed {seed}": partial(measured, name, seed) for seed in arguments.seeds for name in RUNS}
    about = {
        "title": "Trials to let DIM(L) be first after five minutes of the league, CIFAR-10",
        "data": "cifar10: 15,000 training images, judged on 5,000 other training images",
        "changes": {name: changes for name, (_, _, changes) in RUNS.items()},
    }
    each_once(arguments, wanted, about)


if __name__ == "__main__":
    main()
