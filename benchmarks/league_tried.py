"""What was tried to let DIM(L) be first after five minutes of the league, on training images that are held out.

    python benchmarks/league_tried.py --work DIR       # resumes where it stopped; writes results/league-tried.json

The trials of `experiments/league_trials.py`, two and a half times as long: 15,000 training images of CIFAR-10,
bfloat16, judged on 5,000 other training images. Test images choose nothing.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

from deepinfomax import config as configuration
from deepinfomax.config import Config
from deepinfomax.data.configured import load_images
from deepinfomax.evaluation.encoder_evaluation import evaluate
from deepinfomax.experiments import league, league_trials
from deepinfomax.experiments.paper_tables import trained
from deepinfomax.experiments.provenance import software, write
from deepinfomax.features import LEVELS
from deepinfomax.report.reading import read_metrics
from deepinfomax.training.run_folder import METRICS
from measuring import hardware, once, one_thread, options

RESULTS = Path(__file__).parent.parent / "results"
MEASURES = ("mlp", "linear", "knn")
EMP_SSL = next(entrant for entrant in league.ENTRANTS if entrant.name == "EMP-SSL")
#: places of one random area with y of the image's other areas, beside EMP-SSL's own term
PATCHES = {"local.units": 256, "local.scale": 0.0625, "local.across": 1.0, "local.within": 0.0, "local.weight": 10.0}
REST = PATCHES | {"local.several": "rest"}
WITHIN = PATCHES | {"local.across": 0.0, "local.within": 1.0, "local.places": 16}
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
    "EMP-SSL and DIM(L) across its patches": (EMP_SSL, 482, PATCHES | {"local.places": 16}),
    "EMP-SSL and DIM(L), y of the rest": (EMP_SSL, 482, REST | {"local.places": 16}),
    "EMP-SSL and DIM(L), y of the rest, weight 40": (EMP_SSL, 482, REST | {"local.places": 16, "local.weight": 40.0}),
    "EMP-SSL and DIM(L), y of the rest, 4 places": (EMP_SSL, 560, REST | {"local.places": 4}),
    "EMP-SSL and DIM(L) within patches": (EMP_SSL, 482, WITHIN),
}


def config_of(name: str, seed: int) -> Config:
    entrant, steps, changes = RUNS[name]
    augmentation = league.CHOSEN.get(entrant.name, "none")
    config = league_trials.trial_config(
        dataclasses.replace(entrant, trial_steps=steps), augmentation, "cpu", seed, None
    )
    return configuration.override(config, changes)


def measured(name: str, seed: int, out: Path) -> dict[str, Any]:
    """One trial, trained in the folder `out`, where a training that was stopped goes on."""
    config = config_of(name, seed)
    images = load_images(config)
    held_out = len(images) // league_trials.HELD_OUT
    training, judged_on = images.take(slice(0, -held_out)), images.take(slice(-held_out, None))
    encoder = trained(config, out, "cpu", images=training)
    figures = evaluate(
        encoder,
        training,
        judged_on,
        measures=MEASURES,
        controls=(),
        scale="cpu",
        seed=seed,
        out=out / "evaluation.json",
        quiet=True,
    )["measures"]
    return {
        "run": name,
        "seed": seed,
        "steps": config.training.steps,
        **{measure: {level: round(figures[measure][level]["accuracy"], 4) for level in LEVELS} for measure in MEASURES},
        "seconds_of_training": round(read_metrics(out / METRICS).end["seconds"]),
    }


def main() -> None:
    arguments = options(__doc__, RESULTS / "league-tried.json").parse_args()
    one_thread()
    runs: list[dict[str, Any]] = []
    seeds = " ".join(map(str, arguments.seeds))
    for seed in arguments.seeds:
        for number, name in enumerate(RUNS):
            out = arguments.work / f"{number}-{seed}"
            runs.append(once(out, lambda name=name, seed=seed, out=out: measured(name, seed, out)))
            print(json.dumps(runs[-1], ensure_ascii=False), flush=True)
            result = {
                "schema": 1,
                "title": "Trials to let DIM(L) be first after five minutes of the league, CIFAR-10",
                "command": f"python benchmarks/league_tried.py --work DIR --seeds {seeds}",
                "data": "cifar10: 15,000 training images, judged on 5,000 other training images",
                "changes": {name: changes for name, (_, _, changes) in RUNS.items()},
                "seeds": arguments.seeds,
                "hardware": hardware(),
                "software": software(),
                "runs": runs,
            }
            write(arguments.out, result)


if __name__ == "__main__":
    main()
