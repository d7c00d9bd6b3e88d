"""How often the 95 % interval of `estimate_mi` holds the truth: Gaussians and others of known mutual information.

Each task is drawn so many times, with another seed each, and estimated with its interval. Counted are: the truth within
the interval; the truth at or above its lower end (what a lower bound claims); and the mean of all estimates of the task
within the interval (what estimates of this kind show on average). The upper end allows for the gap between training and
held-out pairs, see `MIEstimate.interval`.

    python benchmarks/mi_coverage.py                   # writes results/mi_coverage.json, resumes where it stopped
    python benchmarks/mi_coverage.py --estimators ksg --data-sets 100

One line of results/mi_coverage.runs.jsonl for each estimate; those that are there are not computed again.
"""

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

RESULTS = Path(__file__).parent.parent / "results"
PAIRS = 2000
SETTINGS = {
    "ksg": {"estimator": "ksg"},
    "infonce": {"estimator": "infonce", "steps": 400, "batch_size": 128, "hidden": (64, 64), "lr": 2e-3},
    "dv": {"estimator": "dv", "steps": 400, "batch_size": 128, "hidden": (64, 64), "lr": 2e-3},
}


def gaussians(rng: np.random.Generator, nats: float, units: int) -> tuple[np.ndarray, np.ndarray]:
    rho = math.sqrt(1 - math.exp(-2 * nats / units))
    x = rng.standard_normal((PAIRS, units))
    return x, rho * x + math.sqrt(1 - rho**2) * rng.standard_normal((PAIRS, units))


def uniform_noise(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """x uniform on [0, 1], y = x + uniform noise of half-width 0.1 (Czyż et al. 2023): I = 0.1 + log 5, in nats."""
    x = rng.random(PAIRS)
    return x, x + rng.uniform(-0.1, 0.1, PAIRS)


def labelled(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A label of two, and a number that is 1 apart between them, in units of its spread."""
    label = rng.integers(0, 2, PAIRS)
    return label + rng.standard_normal(PAIRS), label


def information_of_labelled() -> float:
    """By the trapezium rule over the mixture of two normals."""
    x = np.linspace(-12, 13, 200_001)
    a, b = (np.exp(-((x - m) ** 2) / 2) / math.sqrt(2 * math.pi) for m in (0, 1))
    mixture = (a + b) / 2
    return float(np.trapezoid(-mixture * np.log(mixture), x) - 0.5 * math.log(2 * math.pi * math.e))


#: name -> (truth in nats, how a data set is drawn)
TASKS: dict[str, tuple[float, Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]]]] = {
    "independent, 1 + 1 columns": (0.0, lambda rng: gaussians(rng, 0.0, 1)),
    "Gaussian 0.1, 1 + 1": (0.1, lambda rng: gaussians(rng, 0.1, 1)),
    "Gaussian 0.5, 1 + 1": (0.5, lambda rng: gaussians(rng, 0.5, 1)),
    "Gaussian 1, 1 + 1": (1.0, lambda rng: gaussians(rng, 1.0, 1)),
    "Gaussian 2, 1 + 1": (2.0, lambda rng: gaussians(rng, 2.0, 1)),
    "Gaussian 3, 1 + 1": (3.0, lambda rng: gaussians(rng, 3.0, 1)),
    "Gaussian 1, 3 + 3": (1.0, lambda rng: gaussians(rng, 1.0, 3)),
    "Gaussian 1, 8 + 8": (1.0, lambda rng: gaussians(rng, 1.0, 8)),
    "uniform noise": (0.1 + math.log(5), uniform_noise),
    "two labels": (information_of_labelled(), labelled),
}
#: nearest neighbours are no tool for so many columns, and say so
LEFT_OUT = {("ksg", "Gaussian 1, 8 + 8")}


def main() -> None:
    from deepinfomax.information.estimation import estimate_mi

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--estimators", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--data-sets", type=int, default=100)
    parser.add_argument("--out", type=Path, default=RESULTS / "mi_coverage.json")
    arguments = parser.parse_args()
    log = arguments.out.with_suffix(".runs.jsonl")
    runs = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    done = {(run["estimator"], run["task"], run["data_set"]) for run in runs}
    for name in arguments.estimators:
        for number in range(arguments.data_sets):  # all tasks in turn, so that a run that is cut short says something
            for position, (task, (truth, draw)) in enumerate(TASKS.items()):
                if (name, task, number) in done or (name, task) in LEFT_OUT:
                    continue
                x, y = draw(np.random.default_rng([number, position]))
                started = time.monotonic()
                result = estimate_mi(x, y, seed=number, **SETTINGS[name])
                low, high = result.interval(0.95)
                run = {
                    "estimator": name,
                    "task": task,
                    "data_set": number,
                    "truth": truth,
                    "nats": result.nats,
                    "standard_error": result.standard_error,
                    "low": low,
                    "high": high if math.isfinite(high) else None,
                    "shortfall": result.shortfall if math.isfinite(result.shortfall) else None,
                    "beside": None if result.beside is None else list(result.beside.interval()),
                    "warned": result.warning is not None,
                    "seconds": round(time.monotonic() - started, 2),
                }
                runs.append(run)
                with log.open("a") as file:
                    file.write(json.dumps(run) + "\n")
            write(runs, arguments.out)
        print(name, "done", flush=True)


def write(runs: list[dict], target: Path) -> None:
    from deepinfomax.devices import hardware

    rows = []
    for name in SETTINGS:
        for task, (truth, _) in TASKS.items():
            of = [run for run in runs if run["estimator"] == name and run["task"] == task]
            if not of:
                continue
            mean = statistics.fmean(run["nats"] for run in of)
            ends = [(run["low"], math.inf if run["high"] is None else run["high"]) for run in of]
            share = 1 / len(of)
            rows.append(
                {
                    "estimator": name,
                    "task": task,
                    "truth": round(truth, 4),
                    "data_sets": len(of),
                    "mean_estimate": round(mean, 4),
                    "sd_of_estimates": round(statistics.stdev([run["nats"] for run in of]), 4) if len(of) > 1 else None,
                    "mean_standard_error": round(statistics.fmean(run["standard_error"] for run in of), 4),
                    "truth_within": round(share * sum(low <= truth <= high for low, high in ends), 3),
                    "truth_above_lower_end": round(share * sum(low <= truth for low, _ in ends), 3),
                    "mean_estimate_within": round(share * sum(low <= mean <= high for low, high in ends), 3),
                    "truth_within_2_standard_errors": round(
                        share * sum(abs(run["nats"] - truth) <= 2 * run["standard_error"] for run in of), 3
                    ),
                    "no_upper_end": round(share * sum(run["high"] is None for run in of), 3),
                    "median_width": round(statistics.median(high - low for low, high in ends), 4)
                    if all(math.isfinite(high) for _, high in ends)
                    else None,
                    "warned": round(share * sum(run["warned"] for run in of), 3),
                }
            )
    result = {
        "what": "coverage of the 95 % interval of estimate_mi over independent data sets of known mutual information",
        "command": f"python {' '.join(['benchmarks/mi_coverage.py', *sys.argv[1:]])}",
        "pairs": PAIRS,
        "settings": SETTINGS,
        "seeds": "data set i of task t: default_rng([i, t]), estimated with seed i",
        "hardware": f"{hardware(torch.device('cpu'))}, torch {torch.__version__}",
        "minutes": round(sum(run["seconds"] for run in runs) / 60, 1),
        "tasks": rows,
    }
    part = target.with_suffix(".part")
    part.write_text(json.dumps(result, indent=1) + "\n")
    part.replace(target)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
