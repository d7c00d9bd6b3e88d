"""Do many bands cost anything? CIFAR-10's three colours mixed into twelve bands, beside the colours themselves.

    python benchmarks/bands.py --work DIR        # resumes where it stopped; writes results/bands.json

A random matrix of rank 3 makes twelve numbers of the red, green and blue of each pixel, so the bands tell exactly what
the colours tell, each mixed in its own way. Both go the way of all floats: kept as they are, each channel standardised
by the training part. Then the recipe dim-fast for so many steps, and the MLP probe at each level.
"""

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from deepinfomax import config as configuration
from deepinfomax import data
from deepinfomax.data.images import ImageSet
from deepinfomax.evaluation.encoder_evaluation import evaluate
from deepinfomax.experiments.provenance import software
from deepinfomax.features import LEVELS
from deepinfomax.recipes import recipe
from deepinfomax.training.loop import train
from deepinfomax.training.run_folder import CONFIG
from measuring import hardware, once, one_thread, options

RESULTS = Path(__file__).parent.parent / "results"
BANDS, IMAGES, TEST = 12, 10_000, 5000
SETTINGS = {
    "training.steps": 600,
    "training.precision": "no",
    "training.trackers": [],
    "augmentation.flip": True,
}


def mixing(seed: int) -> np.ndarray:
    """(BANDS, 3), independent normal numbers: of rank 3, so the colours can be had back from the bands."""
    return np.random.default_rng([seed, BANDS]).standard_normal((BANDS, 3))


def as_floats(images: ImageSet, matrix: np.ndarray) -> ImageSet:
    """Bytes (N, 3, H, W) -> numbers (N, rows of the matrix, H, W), float32; the colours themselves by the identity."""
    mixed = np.einsum("bc,nchw->nbhw", matrix.astype(np.float32), images.images.astype(np.float32) / 255)
    kept = data.from_array(
        np.ascontiguousarray(mixed), images.labels, images.classes, images.name, values="kept", layout="channels-first"
    )
    return dataclasses.replace(kept, name=f"{images.name} in {len(matrix)} channels")


def one(kind: str, seed: int, images: ImageSet, test: ImageSet, work: Path) -> dict[str, Any]:
    """Train on the colours or on the bands, and measure; what is finished in `work` is not done again."""
    out = work / f"{kind}-{seed}"
    return once(out, lambda: trained_and_measured(kind, seed, images, test, out))


def trained_and_measured(kind: str, seed: int, images: ImageSet, test: ImageSet, out: Path) -> dict[str, Any]:
    """In the folder `out`, where a training that was stopped goes on."""
    matrix = np.eye(3) if kind == "colours" else mixing(seed)
    part, part_of_test = as_floats(images, matrix), as_floats(test, matrix)
    settings = configuration.override(recipe("dim-fast", "cpu"), SETTINGS | {"seed": seed})
    began, processor = time.perf_counter(), time.process_time()
    encoder = train(settings, part, out, resume=(out / CONFIG).is_file(), device="cpu")
    measured = evaluate(
        encoder, part, part_of_test, measures=["mlp"], controls=(), scale="cpu", seed=seed, out=out / "evaluation.json"
    )["measures"]["mlp"]
    row = {
        "input": kind,
        "seed": seed,
        **{level: round(measured[level]["accuracy"], 4) for level in LEVELS},
        "minutes": round((time.perf_counter() - began) / 60, 1),
        "processor_seconds": round(time.process_time() - processor),
    }
    if kind == "bands":
        row["condition_of_matrix"] = round(float(np.linalg.cond(matrix)), 2)
    return row


def main() -> None:
    arguments = options(__doc__, RESULTS / "bands.json").parse_args()
    one_thread()
    images, test = data.load("cifar10", limit=IMAGES), data.load("cifar10", "test")
    test = test.take(slice(0, TEST))
    rows: list[dict[str, Any]] = []
    for seed in arguments.seeds:
        for kind in ("colours", "bands"):
            rows.append(one(kind, seed, images, test, arguments.work))
            print(json.dumps(rows[-1]), flush=True)
    means = {
        kind: {level: float(np.mean([row[level] for row in rows if row["input"] == kind])) for level in LEVELS}
        for kind in ("colours", "bands")
    }
    result = {
        "schema": 1,
        "title": "CIFAR-10 mixed into twelve bands beside its three colours: accuracy of the MLP probe",
        "command": f"python benchmarks/bands.py --work DIR --seeds {' '.join(map(str, arguments.seeds))}",
        "data": f"cifar10: {IMAGES:,} training images drawn by the seed of `limit`, the first {TEST:,} test images; "
        "both inputs float32, standardised by channel",
        "config": {"recipe": "dim-fast", "scale": "cpu", **SETTINGS},
        "seeds": arguments.seeds,
        "hardware": hardware(),
        "software": software(),
        "minutes": round(sum(row["minutes"] for row in rows), 1),
        "processor_minutes": round(sum(row["processor_seconds"] for row in rows) / 60, 1),
        "bands_minus_colours_in_points": {
            level: round(100 * (means["bands"][level] - means["colours"][level]), 2) for level in LEVELS
        },
        "runs": rows,
    }
    arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result["bands_minus_colours_in_points"]))


if __name__ == "__main__":
    main()
