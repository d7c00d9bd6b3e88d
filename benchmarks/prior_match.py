"""Does a prior without a game match, and what does it cost? DIM(L) with and without one, at equal steps, on CIFAR-10.

    python benchmarks/prior_match.py --work DIR       # resumes where it stopped; writes results/prior-match.json

The recipe dim-fast (cosine schedule, whitening first layer, bfloat16) with batches of 256: four images of a step for
each unit of y, so that a batch shows how the units hang together; `benchmarks/prior_study.py` tells why. 15,000
training images with flips, 625 steps; measured on 5,000 other training images: how far y is from a standard
Gaussian, how dependent its units are, and the MLP and the linear probe.
"""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from deepinfomax import config as configuration
from deepinfomax import data
from deepinfomax.config import Config
from deepinfomax.data.images import ImageSet
from deepinfomax.evaluation.distribution import EncoderDistribution
from deepinfomax.evaluation.embeddings import EmbeddingsOfY
from deepinfomax.evaluation.encoder_evaluation import evaluate
from deepinfomax.evaluation.ndm import gaussian
from deepinfomax.experiments.provenance import software, write
from deepinfomax.features import LEVELS
from deepinfomax.recipes import recipe
from deepinfomax.training.loop import train
from deepinfomax.training.run_folder import CONFIG
from measuring import hardware, once, one_thread, options

RESULTS = Path(__file__).parent.parent / "results"
IMAGES, TRAINING = 20_000, 15_000
MEASURES = ("mlp", "linear")
SETTINGS: dict[str, Any] = {
    "training.steps": 625,
    "training.batch_size": 256,
    "training.precision": "bf16",
    "training.trackers": [],
    "augmentation.flip": True,
}
GAUSSIAN = {"prior.prior": "gaussian"}
SIGREG = GAUSSIAN | {"prior.by": "sigreg", "prior.slices": 1024}
#: name -> what differs from plain dim-fast, which has no prior
RUNS: dict[str, dict[str, Any]] = {
    "none": {},
    "sigreg, γ 1": SIGREG | {"prior.weight": 1.0},
    "sigreg, γ 0.1": SIGREG | {"prior.weight": 0.1},
    "sigreg, γ 0.3": SIGREG | {"prior.weight": 0.3},
    "sigreg, γ 0.3, 256 slices": SIGREG | {"prior.weight": 0.3, "prior.slices": 256},
    "game, γ 1": GAUSSIAN | {"prior.weight": 1.0},
}


def config_of(name: str, seed: int) -> Config:
    return configuration.override(recipe("dim-fast", "cpu"), SETTINGS | {"seed": seed} | RUNS[name])


def one(name: str, seed: int, training: ImageSet, test: ImageSet, work: Path) -> dict[str, Any]:
    """Train and measure; what is finished in `work` is not done again."""
    out = work / f"{name.replace(', ', '-').replace(' ', '')}-{seed}"
    return once(out, lambda: trained_and_measured(name, seed, training, test, out))


def trained_and_measured(name: str, seed: int, training: ImageSet, test: ImageSet, out: Path) -> dict[str, Any]:
    """In the folder `out`, where a training that was stopped goes on."""
    began = time.process_time()
    encoder = train(config_of(name, seed), training, out, resume=(out / CONFIG).is_file(), device="cpu", quiet=True)
    trained = time.process_time() - began
    measured = evaluate(
        encoder,
        training,
        test,
        measures=MEASURES,
        controls=(),
        scale="cpu",
        seed=seed,
        out=out / "evaluation.json",
        quiet=True,
    )["measures"]
    y = EmbeddingsOfY(encoder, "cpu")(test)
    distance = EncoderDistribution(y).distance("gaussian", slices=500)
    row = {
        "run": name,
        "seed": seed,
        **{m: {level: round(measured[m][level]["accuracy"], 4) for level in LEVELS} for m in MEASURES},
        "gaussian_nats": round(gaussian(y), 2),
        "distance_to_gaussian": {key: round(value, 4) for key, value in asdict(distance).items()},
        "processor_seconds_of_training": round(trained),
    }
    return row


def main() -> None:
    arguments = options(__doc__, RESULTS / "prior-match.json").parse_args()
    one_thread()
    images = data.load("cifar10", limit=IMAGES)
    training, test = images.take(slice(0, TRAINING)), images.take(slice(TRAINING, None))
    rows: list[dict[str, Any]] = []
    for seed in arguments.seeds:
        for name in RUNS:
            rows.append(one(name, seed, training, test, arguments.work))
            print(json.dumps(rows[-1], ensure_ascii=False), flush=True)
            result = {
                "schema": 1,
                "title": "DIM(L) with and without a prior, batches of 256: distance of y to a Gaussian, and accuracy",
                "command": f"python benchmarks/prior_match.py --work DIR --seeds {' '.join(map(str, arguments.seeds))}",
                "data": f"cifar10: {TRAINING:,} training images, measured on {IMAGES - TRAINING:,} other ones",
                "config": {"recipe": "dim-fast", "scale": "cpu", **SETTINGS, "runs": RUNS},
                "seeds": arguments.seeds,
                "hardware": hardware(),
                "software": software(),
                "not_run": [f"{n}, seed {s}" for s in arguments.seeds for n in RUNS if not there(rows, n, s)],
                "runs": rows,
            }
            write(arguments.out, result)


def there(rows: list[dict[str, Any]], name: str, seed: int) -> bool:
    return any(row["run"] == name and row["seed"] == seed for row in rows)


if __name__ == "__main__":
    main()
