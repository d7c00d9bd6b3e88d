"""Tasks of the public benchmark `benchmark-mi` (Czyż et al. 2023): error of each estimator against the known truth.

The benchmark needs JAX below 0.4.34 and an old numpy, so its samples are drawn in an environment of their own:

    python -m venv bmi && bmi/bin/pip install "setuptools<81" benchmark-mi "jax==0.4.30" "jaxlib==0.4.30"
    bmi/bin/python benchmarks/bmi_tasks.py sample samples          # writes one .npz per task, 5000 pairs each
    python benchmarks/bmi_tasks.py estimate samples                # writes results/bmi_tasks.json

Task versions are those of the installed package; 5000 pairs is the benchmark's own size. Ours keep 20% of them to stop
and 20% to read out, so that each figure is held out. Columns are standardised, except where the name ends in "rank".
Results are written after each task, and tasks that are already there are left alone.
"""

import argparse
import json
import math
import statistics
import time
from pathlib import Path

import numpy as np

PAIRS, SEED = 5000, 0
TASKS = (
    "1v1-normal-0.75",
    "normal_cdf-1v1-normal-0.75",
    "1v1-additive-0.1",
    "1v1-bimodal-0.75",
    "wiggly-1v1-normal-0.75",
    "half_cube-1v1-normal-0.75",
    "swissroll_x-normal_cdf-1v1-normal-0.75",
    "student-identity-1-1-1",
    "asinh-student-identity-1-1-1",
    "multinormal-dense-2-2-0.5",
    "multinormal-dense-5-5-0.5",
    "multinormal-dense-25-25-0.5",
    "multinormal-sparse-5-5-2-2.0",
    "multinormal-sparse-25-25-2-2.0",
    "student-identity-3-3-2",
    "student-identity-5-5-2",
    "half_cube-multinormal-sparse-5-5-2-2.0",
    "spiral-multinormal-sparse-3-3-2-2.0",
)
#: name in the table -> arguments of estimate_mi
ESTIMATORS = {
    "ksg": {"estimator": "ksg", "neighbours": 10},  # the benchmark's k
    "infonce": {"estimator": "infonce"},
    "infonce rank": {"estimator": "infonce", "transform": "rank"},
    "mine": {"estimator": "mine"},
    "smile": {"estimator": "smile"},
    "jsd-lb": {"estimator": "jsd-lb"},
}
TRAINING = {"steps": 1000, "batch_size": 128, "hidden": (64, 64), "lr": 1e-3}


def sample(folder: Path) -> None:
    """One .npz per task: x (n, D), y (n, E), truth in nats. Runs where `benchmark-mi` is installed."""
    from bmi.benchmark import BENCHMARK_TASKS

    folder.mkdir(parents=True, exist_ok=True)
    for name in TASKS:
        task = BENCHMARK_TASKS[name]
        x, y = task.sample(PAIRS, seed=SEED)
        np.savez(folder / f"{name}.npz", x=np.asarray(x), y=np.asarray(y), truth=float(task.mutual_information))


def estimate(folder: Path, target: Path) -> None:
    """Every estimator on every sampled task; runs where deepinfomax is installed."""
    import torch

    from deepinfomax.devices import hardware
    from deepinfomax.information.estimation import estimate_mi

    torch.set_num_threads(1)
    tasks = json.loads(target.read_text())["tasks"] if target.exists() else {}
    for name in TASKS:
        file = folder / f"{name}.npz"
        if name in tasks or not file.exists():
            continue
        data = np.load(file, allow_pickle=False)
        truth, rows = float(data["truth"]), {}
        for label, arguments in ESTIMATORS.items():
            settings = arguments if label == "ksg" else TRAINING | arguments
            result = estimate_mi(data["x"], data["y"], seed=SEED, **settings)
            finite = math.isfinite(result.nats)
            rows[label] = {
                "nats": round(result.nats, 4) if finite else None,
                "standard_error": round(result.standard_error, 4) if finite else None,
                "error": round(result.nats - truth, 4) if finite else None,
                "lower_bound": result.lower_bound,
                "kept": result.nats <= truth + 2 * result.standard_error if result.lower_bound and finite else None,
                "warning": result.warning,
                "seconds": round(result.seconds, 1),
            }
        tasks[name] = {"truth": round(truth, 4), "dim": [data["x"].shape[1], data["y"].shape[1]], "estimates": rows}
        write(tasks, target, f"{hardware(torch.device('cpu'))}, torch {torch.__version__}")
        print(name, {label: row["error"] for label, row in rows.items()}, flush=True)


def write(tasks: dict, target: Path, machine: str) -> None:
    summary = {}
    for label in ESTIMATORS:
        rows = [task["estimates"][label] for task in tasks.values()]
        errors = [math.inf if row["error"] is None else abs(row["error"]) for row in rows]
        summary[label] = {
            "median_absolute_error": round(statistics.median(errors), 4),
            "within_0.1_nats": sum(error <= 0.1 for error in errors),
            "without_warning": sum(row["warning"] is None for row in rows),
            "largest_error_without_warning": max(e for e, row in zip(errors, rows, strict=True) if not row["warning"]),
        }
    result = {
        "what": "errors in nats on tasks of benchmark-mi, held-out estimates from 5000 pairs",
        "command": "python benchmarks/bmi_tasks.py estimate samples",
        "seed": SEED,
        "training": TRAINING,
        "hardware": machine,
        "minutes": round(sum(r["seconds"] for t in tasks.values() for r in t["estimates"].values()) / 60, 1),
        "not_run": [name for name in TASKS if name not in tasks],
        "summary": summary,
        "lower_bounds_above_truth_plus_2_se": [
            f"{name} {label}"
            for name, task in tasks.items()
            for label, row in task["estimates"].items()
            if row["kept"] is False
        ],
        "tasks": tasks,
    }
    part = target.with_suffix(".part")
    part.write_text(json.dumps(result, indent=1) + "\n")
    part.replace(target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("sample", "estimate"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "results" / "bmi_tasks.json")
    arguments = parser.parse_args()
    started = time.monotonic()
    if arguments.what == "sample":
        sample(arguments.folder)
    else:
        estimate(arguments.folder, arguments.out)
    print(f"{(time.monotonic() - started) / 60:.1f} min")


if __name__ == "__main__":
    main()
