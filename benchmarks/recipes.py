"""How many steps of each recipe two minutes hold, at the scale `cpu` with 32×32 images: `published.STEPS`.

    python benchmarks/recipes.py [RECIPE ...] [--json FILE]
    python benchmarks/recipes.py league [--encoder resnet18] [--json FILE]  of the entrants of `experiments/league.py`

Each is trained for 40 steps of 128 images by the real loop; the last 20 count. On a machine with nothing else to do.
Of the league, processor seconds of one thread count, 240 in two minutes of two cores.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from deepinfomax import config, recipes
from deepinfomax.config import Config
from deepinfomax.data import ImageSet
from deepinfomax.experiments import league
from deepinfomax.experiments.published import STEPS
from deepinfomax.training.loop import train
from measuring import hardware

COUNTED = 20


def random_images() -> ImageSet:
    random = np.random.default_rng(0)
    return ImageSet(random.integers(0, 256, (5000, 3, 32, 32), dtype=np.uint8), random.integers(0, 10, 5000))


def seconds_of_a_step(recipe: str) -> float:
    changes = {"training.steps": 2 * COUNTED, "training.log_every": COUNTED, "training.trackers": []}
    settings = config.override(recipes.recipe(recipe, "cpu"), changes)
    with tempfile.TemporaryDirectory() as folder:
        train(settings, random_images(), Path(folder) / "run", quiet=True)
        lines = [json.loads(line) for line in (Path(folder) / "run" / "metrics.jsonl").read_text().splitlines()]
    middle, end = (line["seconds"] for line in lines if line["event"] == "step")
    return (end - middle) / COUNTED


def processor_seconds_of_a_step(settings: Config) -> float:
    """By one thread: the difference between a longer and a shorter training, the least of two."""
    torch.set_num_threads(1)

    images = random_images()

    def seconds(steps: int) -> float:
        fewer = config.override(settings, {"training.steps": steps, "training.trackers": []})
        with tempfile.TemporaryDirectory() as folder:
            began = time.process_time()
            train(fewer, images, Path(folder) / "run", quiet=True, device="cpu")
            return time.process_time() - began

    seconds(2)
    return (min(seconds(5 + COUNTED) for _ in range(2)) - min(seconds(5) for _ in range(2))) / COUNTED


def of_recipes(names: list[str]) -> dict[str, dict[str, float]]:
    counted = {}
    for name in names:
        seconds = seconds_of_a_step(name)
        counted[name] = {"seconds_of_a_step": round(seconds, 4), "steps_in_two_minutes": round(120 / seconds)}
        print(name, counted[name], flush=True)
    return counted


def of_the_league(encoder: str) -> dict[str, dict[str, float]]:
    counted = {}
    network = league.NETWORKS[encoder]
    for entrant in league.ALL:
        if entrant == league.PLAIN:  # a step of it takes as long as one of DIM(L)
            continue
        changes = league.changes(entrant, "areas and colour")
        if "cpu" in network.settings:
            changes["encoder"] = network.settings["cpu"]
        if entrant.name in network.local_stage:
            changes["encoder.local_stage"] = network.local_stage[entrant.name]
        seconds = processor_seconds_of_a_step(config.override(recipes.recipe(entrant.recipe, "cpu"), changes))
        counted[entrant.name] = {
            "processor_seconds_of_a_step": round(seconds, 4),
            "steps_in_two_minutes": round(240 / seconds),
        }
        print(entrant.name, counted[entrant.name], flush=True)
    return counted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", default=list(STEPS))
    parser.add_argument("--encoder", choices=league.NETWORKS, default="dcgan", help="of the league")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    if arguments.recipes == ["league"]:
        result = {
            "benchmark": "recipes of the league",
            "hardware": hardware(),
            "entrants": of_the_league(arguments.encoder),
        }
    else:
        result = {"benchmark": "recipes", "hardware": hardware(), "recipes": of_recipes(arguments.recipes)}
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)


if __name__ == "__main__":
    main()
