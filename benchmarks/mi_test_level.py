"""How often `estimate_mi(..., test=True)` finds a dependence where there is none, and where there is little.

Type I: so many pairs of independent arrays, of several kinds; p <= 0.05 should come in 5 % of them; the same of sides
that depend only through a third, with the test given the third. Power: the same on Gaussians with 0.01 and 0.03 nats.

    python benchmarks/mi_test_level.py                 # writes results/mi_test_level.json, resumes where it stopped

One line of results/mi_test_level.runs.jsonl for each test; those that are there are not computed again.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

RESULTS = Path(__file__).parent.parent / "results"
QUICK = {"steps": 100, "batch_size": 64, "hidden": (32, 32), "lr": 2e-3}
ESTIMATORS = {
    "infonce": QUICK | {"estimator": "infonce", "shuffles": 199},
    "dv": QUICK | {"estimator": "dv", "shuffles": 199},
    "infonce, half of the pairs held out": QUICK | {"estimator": "infonce", "shuffles": 199, "test": 0.5},
    "ksg": {"estimator": "ksg", "shuffles": 99},
    "frenzel-pompe": {"shuffles": 39},  # of `conditional_mi`; at 5 % the level is exact
}
Draw = Callable[[np.random.Generator], tuple[np.ndarray, ...]]


def apart(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return rng.standard_normal((200, 2)), rng.standard_normal((200, 1))


def with_long_tails(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return rng.standard_t(1, (200, 1)), rng.standard_t(1, (200, 1))


def with_labels(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return rng.standard_normal((200, 2)), rng.integers(0, 3, 200)


def through_a_third(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x and y that share 0.14 nats, all of it through the number z."""
    x, y, z = rng.standard_normal((3, 200))
    return x + z, y + z, z


def through_labels(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    z = rng.integers(0, 3, 200)
    x, y = rng.standard_normal((2, 200)) + z
    return x, y, z


def together(nats: float) -> Draw:
    def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        rho = math.sqrt(1 - math.exp(-2 * nats))
        x, noise = rng.standard_normal((2, 2000))
        return x, rho * x + math.sqrt(1 - rho**2) * noise

    return draw


#: name -> (how it is drawn, how many, the estimators)
INDEPENDENT: dict[str, tuple[Draw, int, tuple[str, ...]]] = {
    "independent numbers, 2 + 1 columns, n = 200": (apart, 1000, ("infonce", "dv", "ksg")),
    "independent, long tails, n = 200": (with_long_tails, 1000, ("infonce",)),
    "numbers and labels, n = 200": (with_labels, 1000, ("infonce",)),
}
NOTHING_BEYOND: dict[str, tuple[Draw, int, tuple[str, ...]]] = {
    "dependent only through a number that is given, n = 200": (through_a_third, 300, ("frenzel-pompe",)),
    "dependent only through labels that are given, n = 200": (through_labels, 300, ("frenzel-pompe",)),
}
DEPENDENT: dict[str, tuple[Draw, int, tuple[str, ...]]] = {
    f"Gaussian {nats} nats, n = 2000": (
        together(nats),
        100,
        ("infonce", "infonce, half of the pairs held out", "ksg"),
    )
    for nats in (0.01, 0.03)
}
ALL = INDEPENDENT | DEPENDENT | NOTHING_BEYOND


def main() -> None:
    from deepinfomax.information import conditional_mi
    from deepinfomax.information.estimation import estimate_mi

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--estimators", nargs="+", default=list(ESTIMATORS), choices=list(ESTIMATORS))
    parser.add_argument("--most", type=int, default=1000, help="data sets of a task at most")
    parser.add_argument("--out", type=Path, default=RESULTS / "mi_test_level.json")
    arguments = parser.parse_args()
    log = arguments.out.with_suffix(".runs.jsonl")
    runs = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    done = {(run["task"], run["estimator"], run["data_set"]) for run in runs}
    for position, (task, (draw, count, names)) in enumerate(ALL.items()):
        for name in (name for name in names if name in arguments.estimators):
            for number in range(min(count, arguments.most)):
                if (task, name, number) in done:
                    continue
                sides = draw(np.random.default_rng([number, position]))
                started = time.monotonic()
                measure = estimate_mi if len(sides) == 2 else conditional_mi
                result = measure(*sides, seed=number, **ESTIMATORS[name])
                seconds = round(time.monotonic() - started, 2)
                run = {"task": task, "estimator": name, "data_set": number, "p_value": result.p_value}
                runs.append(run | {"seconds": seconds})
                with log.open("a") as file:
                    file.write(json.dumps(runs[-1]) + "\n")
                if number % 100 == 99:
                    write(runs, arguments.out)
            print(task, name, flush=True)
    write(runs, arguments.out)


def write(runs: list[dict], target: Path) -> None:
    from deepinfomax.devices import hardware

    rows = []
    for task, (_, _, names) in ALL.items():
        for name in names:
            values = [run["p_value"] for run in runs if run["task"] == task and run["estimator"] == name]
            if values:
                rows.append(
                    {
                        "task": task,
                        "estimator": name,
                        "independent": task in INDEPENDENT,
                        "given_a_third": task in NOTHING_BEYOND,
                        "tests": len(values),
                        "found_at_5_percent": round(sum(p <= 0.05 for p in values) / len(values), 4),
                        "found_at_1_percent": round(sum(p <= 0.01 for p in values) / len(values), 4),
                    }
                )
    result = {
        "what": "how often a permutation test by estimate_mi finds a dependence",
        "command": f"python {' '.join(['benchmarks/mi_test_level.py', *sys.argv[1:]])}",
        "estimators": ESTIMATORS,
        "seeds": "data set i of task t: default_rng([i, t]), estimated with seed i",
        "hardware": f"{hardware(torch.device('cpu'))}, torch {torch.__version__}",
        "minutes": round(sum(run["seconds"] for run in runs) / 60, 1),
        "tests": rows,
    }
    part = target.with_suffix(".part")
    part.write_text(json.dumps(result, indent=1) + "\n")
    part.replace(target)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
