"""How often the 95 % interval of `estimate_mi` holds the truth: Gaussians and others of known mutual information.

Each task is drawn so many times, with another seed each, and estimated with its interval. Counted are: the truth within
the interval; the truth at or above its lower end (what a lower bound claims); and the mean of all estimates of the task
within the interval (what estimates of this kind show on average). The upper end allows for the gap between training and
held-out pairs, see `MIEstimate.interval`.

    python benchmarks/mi_coverage.py                   # writes results/mi_coverage.json, resumes where it stopped
    python benchmarks/mi_coverage.py --estimators ksg --data-sets 100
    python benchmarks/mi_coverage.py --fresh --estimators ksg   # writes results/mi_coverage_fresh.json

How far the interval of nearest neighbours reaches was set on the first tasks; the fresh ones are others, with other
seeds, on which nothing was set.
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


Sides = tuple[np.ndarray, np.ndarray]


def gaussians(rng: np.random.Generator, nats: float, units: int) -> Sides:
    rho = math.sqrt(1 - math.exp(-2 * nats / units))
    x = rng.standard_normal((PAIRS, units))
    return x, rho * x + math.sqrt(1 - rho**2) * rng.standard_normal((PAIRS, units))


def uniform_noise(rng: np.random.Generator, half_width: float) -> Sides:
    """x uniform on [0, 1], y = x + uniform noise of that half-width."""
    x = rng.random(PAIRS)
    return x, x + rng.uniform(-half_width, half_width, PAIRS)


def information_of_uniform_noise(half_width: float) -> float:
    """Czyż et al. 2023."""
    return half_width - math.log(2 * half_width) if half_width <= 0.5 else 1 / (4 * half_width)


def labelled(rng: np.random.Generator, means: tuple[float, ...]) -> Sides:
    """A label, and a number with that mean and a spread of 1."""
    label = rng.integers(0, len(means), PAIRS)
    return np.array(means)[label] + rng.standard_normal(PAIRS), label


def information_of_labelled(means: tuple[float, ...]) -> float:
    """By the trapezium rule over the mixture of normals."""
    x = np.linspace(min(means) - 12, max(means) + 12, 200_001)
    mixture = sum(np.exp(-((x - m) ** 2) / 2) / math.sqrt(2 * math.pi) for m in means) / len(means)
    return float(np.trapezoid(-mixture * np.log(mixture), x) - 0.5 * math.log(2 * math.pi * math.e))


def bent(rng: np.random.Generator) -> Sides:
    """Gaussians of 0.7 nats, each side by an increasing function, which leaves mutual information as it is."""
    x, y = gaussians(rng, 0.7, 1)
    return x + 0.3 * np.sin(3 * x), y**3


def student(rng: np.random.Generator) -> Sides:
    """One number a side of a Student-t distribution with 5 degrees of freedom and a correlation of 0.5."""
    x, y = gaussians(rng, -0.5 * math.log(1 - 0.5**2), 1)
    scale = np.sqrt(5 / rng.chisquare(5, (PAIRS, 1)))
    return scale * x, scale * y


def information_of_student() -> float:
    """The Gaussian's, and what the common scale adds (Arellano-Valle, Contreras-Reyes & Genton 2013)."""
    from scipy.special import digamma, gammaln

    def entropy(units: int) -> float:  # of the standard distribution with 5 degrees of freedom
        whole, half = (5 + units) / 2, 5 / 2
        scale = units / 2 * math.log(5 * math.pi) + gammaln(half) - gammaln(whole)
        return float(scale + whole * (digamma(whole) - digamma(half)))

    return 2 * entropy(1) - entropy(2) - 0.5 * math.log(1 - 0.5**2)


def waiting_times(rng: np.random.Generator) -> Sides:
    """A rate of a Gamma distribution of shape 2, and a waiting time of that rate."""
    rate = rng.gamma(2.0, size=PAIRS)
    return rate, rng.exponential(1 / rate)


def information_of_waiting_times() -> float:
    """ψ(3) - log 2 (Kraskov, Stögbauer & Grassberger 2004)."""
    return 1.5 - 0.5772156649015329 - math.log(2)


def planted(rng: np.random.Generator) -> Sides:
    """0.8 nats between two of the columns, one more column of noise on the right."""
    x, y = gaussians(rng, 0.8, 2)
    return x, np.hstack([y, rng.standard_normal((PAIRS, 1))])


Tasks = dict[str, tuple[float, Callable[[np.random.Generator], Sides]]]
#: name -> (truth in nats, how a data set is drawn)
TASKS: Tasks = {
    "independent, 1 + 1 columns": (0.0, lambda rng: gaussians(rng, 0.0, 1)),
    "Gaussian 0.1, 1 + 1": (0.1, lambda rng: gaussians(rng, 0.1, 1)),
    "Gaussian 0.5, 1 + 1": (0.5, lambda rng: gaussians(rng, 0.5, 1)),
    "Gaussian 1, 1 + 1": (1.0, lambda rng: gaussians(rng, 1.0, 1)),
    "Gaussian 2, 1 + 1": (2.0, lambda rng: gaussians(rng, 2.0, 1)),
    "Gaussian 3, 1 + 1": (3.0, lambda rng: gaussians(rng, 3.0, 1)),
    "Gaussian 1, 3 + 3": (1.0, lambda rng: gaussians(rng, 1.0, 3)),
    "Gaussian 1, 8 + 8": (1.0, lambda rng: gaussians(rng, 1.0, 8)),
    "uniform noise": (information_of_uniform_noise(0.1), lambda rng: uniform_noise(rng, 0.1)),
    "two labels": (information_of_labelled((0, 1)), lambda rng: labelled(rng, (0, 1))),
}
FRESH: Tasks = {
    "Gaussian 0.05, 1 + 1": (0.05, lambda rng: gaussians(rng, 0.05, 1)),
    "Gaussian 1.5, 1 + 1": (1.5, lambda rng: gaussians(rng, 1.5, 1)),
    "Gaussian 0.6, 2 + 2": (0.6, lambda rng: gaussians(rng, 0.6, 2)),
    "Gaussian 0.8 and a column of noise, 2 + 3": (0.8, planted),
    "Gaussian 0.7, both sides bent": (0.7, bent),
    "Student t, 5 degrees of freedom": (information_of_student(), student),
    "rate and waiting time": (information_of_waiting_times(), waiting_times),
    "uniform noise, wide": (information_of_uniform_noise(0.75), lambda rng: uniform_noise(rng, 0.75)),
    "uniform noise, narrow": (information_of_uniform_noise(0.03), lambda rng: uniform_noise(rng, 0.03)),
    "three labels": (information_of_labelled((0, 1.5, 3)), lambda rng: labelled(rng, (0, 1.5, 3))),
}
#: nearest neighbours are no tool for so many columns, and say so
LEFT_OUT = {("ksg", "Gaussian 1, 8 + 8")}


def main() -> None:
    from deepinfomax.information.estimation import estimate_mi

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--estimators", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--data-sets", type=int, default=100)
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    tasks, further = (FRESH, [1]) if arguments.fresh else (TASKS, [])
    arguments.out = arguments.out or RESULTS / f"mi_coverage{'_fresh' if arguments.fresh else ''}.json"
    log = arguments.out.with_suffix(".runs.jsonl")
    runs = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    done = {(run["estimator"], run["task"], run["data_set"]) for run in runs}
    for name in arguments.estimators:
        for number in range(arguments.data_sets):  # all tasks in turn, so that a run that is cut short says something
            for position, (task, (truth, draw)) in enumerate(tasks.items()):
                if (name, task, number) in done or (name, task) in LEFT_OUT:
                    continue
                x, y = draw(np.random.default_rng([number, position, *further]))
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
            write(runs, tasks, arguments.out)
        print(name, "done", flush=True)


def write(runs: list[dict], tasks: Tasks, target: Path) -> None:
    from deepinfomax.devices import hardware

    rows = []
    for name in SETTINGS:
        for task, (truth, _) in tasks.items():
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
        "settings": {name: SETTINGS[name] for name in dict.fromkeys(run["estimator"] for run in runs)},
        "seeds": f"data set i of task t: default_rng([i, t{', 1' if tasks is FRESH else ''}]), estimated with seed i",
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
