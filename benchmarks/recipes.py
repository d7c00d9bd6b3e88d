"""How many steps of each recipe two minutes hold, at the scale `cpu` with 32×32 images: `published.STEPS`.

    python benchmarks/recipes.py [RECIPE ...] [--json FILE]

Each is trained for 40 steps of 128 images by the real loop; the last 20 count. On a machine with nothing else to do.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from deepinfomax import config, recipes
from deepinfomax.data import ImageSet
from deepinfomax.experiments.published import STEPS
from deepinfomax.training.loop import train
from measuring import hardware

COUNTED = 20


def seconds_of_a_step(recipe: str) -> float:
    random = np.random.default_rng(0)
    images = ImageSet(random.integers(0, 256, (5000, 3, 32, 32), dtype=np.uint8), random.integers(0, 10, 5000))
    changes = {"training.steps": 2 * COUNTED, "training.log_every": COUNTED, "training.trackers": []}
    settings = config.override(recipes.recipe(recipe, "cpu"), changes)
    with tempfile.TemporaryDirectory() as folder:
        train(settings, images, Path(folder) / "run", quiet=True)
        lines = [json.loads(line) for line in (Path(folder) / "run" / "metrics.jsonl").read_text().splitlines()]
    middle, end = (line["seconds"] for line in lines if line["event"] == "step")
    return (end - middle) / COUNTED


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", default=list(STEPS))
    parser.add_argument("--json")
    arguments = parser.parse_args()
    found = {}
    for name in arguments.recipes:
        seconds = seconds_of_a_step(name)
        found[name] = {"seconds_of_a_step": round(seconds, 4), "steps_in_two_minutes": round(120 / seconds)}
        print(name, found[name], flush=True)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump({"benchmark": "recipes", "hardware": hardware(), "recipes": found}, file, indent=1)


if __name__ == "__main__":
    main()
