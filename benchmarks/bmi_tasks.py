"""Tasks of the public benchmark `benchmark-mi` (Czyż et al. 2023): error of each estimator against the known truth.

The benchmark needs JAX below 0.4.34 and an old numpy, so its samples are drawn in an environment of their own:

    python -m venv bmi && bmi/bin/pip install "setuptools<81" benchmark-mi "jax==0.4.30" "jaxlib==0.4.30"
    bmi/bin/python benchmarks/bmi_tasks.py sample samples          # writes one .npz per task, 5000 pairs each
    python benchmarks/bmi_tasks.py estimate samples                # writes results/bmi_tasks_30.json
    bmi/bin/python benchmarks/bmi_tasks.py theirs samples          # that package's own, results/bmi_tasks_theirs.json

The first 18 tasks are those of results/bmi_tasks.json; 12 more complete each family of the benchmark.

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
RESULTS = Path(__file__).parent.parent / "results"
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
    "1v1-additive-0.75",
    "multinormal-dense-3-3-0.5",
    "multinormal-dense-50-50-0.5",
    "multinormal-sparse-2-2-2-2.0",
    "multinormal-sparse-3-3-2-2.0",
    "student-identity-2-2-1",
    "student-identity-5-5-3",
    "normal_cdf-multinormal-sparse-3-3-2-2.0",
    "normal_cdf-multinormal-sparse-25-25-2-2.0",
    "half_cube-multinormal-sparse-25-25-2-2.0",
    "spiral-multinormal-sparse-5-5-2-2.0",
    "asinh-student-identity-2-2-1",
)
#: name in the table -> arguments of estimate_mi
ESTIMATORS = {
    "ksg": {"estimator": "ksg", "neighbours": 10},  # the benchmark's k
    "infonce": {"estimator": "infonce"},
    "infonce rank": {"estimator": "infonce", "transform": "rank"},
    "mine": {"estimator": "mine"},
    "smile": {"estimator": "smile"},
    "jsd-lb": {"estimator": "jsd-lb"},
    "auto": {"estimator": "auto"},
    "featurewise, 10 folds": {"estimator": "infonce", "critic": "featurewise", "folds": 10, "transform": "rank"},
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
                "interval": [round(end, 4) if math.isfinite(end) else None for end in result.interval()],
                "truth_within": bool(result.interval().low <= truth <= result.interval().high),
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
            "truth_within_interval": sum(row["truth_within"] for row in rows),
            "without_warning": sum(row["warning"] is None for row in rows),
            "above_0.3_nats_without_warning": [
                name for name, e, row in zip(tasks, errors, rows, strict=True) if e > 0.3 and row["warning"] is None
            ],
            "largest_error_without_warning": max(
                (e for e, row in zip(errors, rows, strict=True) if not row["warning"]), default=None
            ),
            "seconds": round(sum(row["seconds"] for row in rows), 1),
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


def theirs(folder: Path, target: Path) -> None:
    """That package's own estimators, with its defaults, on the same samples; runs where `benchmark-mi` is installed."""
    import bmi.estimators as own

    makers = {
        "KSG": lambda: own.KSGEnsembleFirstEstimator(neighborhoods=(10,)),
        "CCA": own.CCAMutualInformationEstimator,
        "InfoNCE": own.InfoNCEEstimator,
        "MINE": own.MINEEstimator,
    }
    tasks = json.loads(target.read_text())["tasks"] if target.exists() else {}
    for label, make in makers.items():
        for name in TASKS:
            file = folder / f"{name}.npz"
            if not file.exists() or label in tasks.get(name, {}).get("estimates", {}):
                continue
            data = np.load(file, allow_pickle=False)
            started = time.monotonic()
            nats, truth = float(make().estimate(data["x"], data["y"])), float(data["truth"])
            row = {"nats": round(nats, 4), "error": round(nats - truth, 4)}
            row["seconds"] = round(time.monotonic() - started, 1)
            tasks.setdefault(name, {"truth": round(truth, 4), "estimates": {}})["estimates"][label] = row
            print(label, name, row, flush=True)
            result = {
                "what": "errors in nats of benchmark-mi's own estimators on its tasks, 5000 pairs",
                "command": "bmi/bin/python benchmarks/bmi_tasks.py theirs samples",
                "package": "benchmark-mi, jax 0.4.30, defaults of the package; KSG with 10 neighbours",
                "minutes": round(sum(r["seconds"] for t in tasks.values() for r in t["estimates"].values()) / 60, 1),
                "tasks": tasks,
            }
            part = target.with_suffix(".part")
            part.write_text(json.dumps(result, indent=1) + "\n")
            part.replace(target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("sample", "estimate", "theirs"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    started = time.monotonic()
    if arguments.what == "sample":
        sample(arguments.folder)
    elif arguments.what == "estimate":
        estimate(arguments.folder, arguments.out or RESULTS / "bmi_tasks_30.json")
    else:
        theirs(arguments.folder, arguments.out or RESULTS / "bmi_tasks_theirs.json")
    print(f"{(time.monotonic() - started) / 60:.1f} min")


if __name__ == "__main__":
    main()
