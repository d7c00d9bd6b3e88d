"""Does a prior without a game match, and what does it cost? DIM(L) with and without one, at equal steps, on CIFAR-10.

    python benchmarks/prior_match.py --work DIR       # resumes where it stopped; writes results/prior-match.json

The recipe dim-fast (cosine schedule, whitening first layer, bfloat16) with batches of 256: four images of a step for
each unit of y, so that a batch shows how the units hang together; `benchmarks/prior_study.py` tells why. 15,000
training images with flips, 625 steps; measured on 5,000 other training images: how far y is from a standard
Gaussian, how dependent its units are, and the MLP and the linear probe.
"""

import time
from dataclasses import asdict
from functools import partial
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
from deepinfomax.features import LEVELS
from deepinfomax.recipes import recipe
from deepinfomax.training.loop import train
from deepinfomax.training.run_folder import CONFIG
from measuring import each_once, one_thread, options

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
    parts = images.take(slice(0, TRAINING)), images.take(slice(TRAINING, None))
    wanted = {
        f"{name}, seed {seed}": partial(trained_and_measured, name, seed, *parts)
        for seed in arguments.seeds
        for name in RUNS
    }
    about = {
        "title": "DIM(L) with and without a prior, batches of 256: distance of y to a Gaussian, and accuracy",
        "data": f"cifar10: {TRAINING:,} training images, measured on {IMAGES - TRAINING:,} other ones",
        "config": {"recipe": "dim-fast", "scale": "cpu", **SETTINGS, "runs": RUNS},
    }
    each_once(arguments, wanted, about)


if __name__ == "__main__":
    main()
