"""Tasks of the public benchmark `benchmark-mi` (Czyż et al. 2023): error of each estimator against the known truth.

The benchmark needs JAX below 0.4.34 and an old numpy, and torch-mist an old numpy in its metadata, so each has an
environment of its own:

    python -m venv bmi && bmi/bin/pip install "setuptools<81" benchmark-mi "jax==0.4.30" "jaxlib==0.4.30"
    pip install --no-deps torch-mist pyro-ppl pyro-api opt_einsum hydra-core mpld3 # in a copy of deepinfomax's own
    bmi/bin/python benchmarks/bmi_tasks.py sample samples          # writes one .npz per task, 5000 pairs each
    python benchmarks/bmi_tasks.py ours samples
    bmi/bin/python benchmarks/bmi_tasks.py bmi samples             # that package's own estimators, with its defaults;
                                                                   # `taskset -c 0` keeps JAX to one core
    mist/bin/python benchmarks/bmi_tasks.py mist samples           # torch-mist, with its defaults
    python benchmarks/bmi_tasks.py table samples                   # results/bmi_tasks_30.json, of all that was run

The first 18 tasks are those of results/bmi_tasks.json; 12 more complete each family of the benchmark. Two more pairs
are no tasks of the benchmark and are counted apart: Gaussians with a correlation of 0.9999 and 0.999999.

That package's critics are one network of both sides with 16 and 8 units, trained on half of the pairs by Adam at 0.1 in
batches of 256, for up to 10,000 steps. They return the highest value that the other half showed, and stop when it has
not risen twice, so their figures are chosen on the pairs that they are read on; ours are not.

Task versions are those of the installed package; 5000 pairs is the benchmark's own size. Ours keep 20% of them to stop
and 20% to read out, so that each figure is held out. Columns are standardised, except where the name ends in "rank".
Each estimate is one line of results/bmi_tasks_30.runs.jsonl, and those that are there are not computed again. Seconds
are those of the processor, since the machine also did other work.
"""

import argparse
import json
import math
import platform
import statistics
import time
from collections.abc import Callable, Iterator
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
SHARP = {f"sharp-{rho}": rho for rho in (0.9999, 0.999999)}  #: correlations of pairs of normals
TRAINING = {"steps": 1000, "batch_size": 128, "hidden": (64, 64), "lr": 1e-3}
#: name in the table -> arguments of estimate_mi, of so many columns of both sides
ESTIMATORS: dict[str, Callable[[int], dict]] = {
    "auto or featurewise": lambda columns: (
        TRAINING
        | (
            {"estimator": "auto"}
            if columns <= 6
            else {"estimator": "infonce", "critic": "featurewise", "transform": "rank"}
        )
    ),
    "ksg": lambda columns: {"estimator": "ksg", "neighbours": 10},  # the benchmark's k
    "infonce rank": lambda columns: TRAINING | {"estimator": "infonce", "transform": "rank"},
    "infonce": lambda columns: TRAINING | {"estimator": "infonce"},
    "smile": lambda columns: TRAINING | {"estimator": "smile"},
    "mine": lambda columns: TRAINING | {"estimator": "mine"},
    "jsd-lb": lambda columns: TRAINING | {"estimator": "jsd-lb"},
}


def sample(folder: Path) -> None:
    """One .npz per task: x (n, D), y (n, E), truth in nats. Runs where `benchmark-mi` is installed."""
    from bmi.benchmark import BENCHMARK_TASKS

    folder.mkdir(parents=True, exist_ok=True)
    for name, rho in SHARP.items():
        x, noise = np.random.default_rng(SEED).standard_normal((2, PAIRS, 1))
        y = rho * x + math.sqrt(1 - rho**2) * noise
        np.savez(folder / f"{name}.npz", x=x, y=y, truth=-0.5 * math.log(1 - rho**2))
    for name in TASKS:
        if not (folder / f"{name}.npz").exists():
            task = BENCHMARK_TASKS[name]
            x, y = task.sample(PAIRS, seed=SEED)
            np.savez(folder / f"{name}.npz", x=np.asarray(x), y=np.asarray(y), truth=float(task.mutual_information))
            print(name, flush=True)


def ours(folder: Path, log: Path, only: list[str] | None) -> None:
    """Every estimator on every sampled task; runs where deepinfomax is installed."""
    import torch

    from deepinfomax.devices import hardware
    from deepinfomax.information.estimation import estimate_mi

    torch.set_num_threads(1)
    machine = f"{hardware(torch.device('cpu'))}, torch {torch.__version__}"
    for label, name, data in to_do("deepinfomax", only or list(ESTIMATORS), folder, log):
        truth = float(data["truth"])
        started = time.process_time()
        result = estimate_mi(
            data["x"], data["y"], seed=SEED, **ESTIMATORS[label](data["x"].shape[1] + data["y"].shape[1])
        )
        finite = math.isfinite(result.nats)
        low, high = result.interval()
        bound = result if result.lower_bound or result.beside is None else result.beside
        row = {
            "by": result.estimator,
            "standard_error": result.standard_error if finite else None,
            "lower_bound": result.lower_bound,
            # of `auto`, the lower bound that stands beside the neighbours
            "kept": bound.nats <= truth + 2 * bound.standard_error if bound.lower_bound and finite else None,
            "interval": [end if math.isfinite(end) else None for end in (low, high)],
            "truth_within": bool(low <= truth <= high),
            "warning": result.warning,
            "hardware": machine,
        }
        write(log, "deepinfomax", label, name, result.nats, truth, time.process_time() - started, row)


def bmi(folder: Path, log: Path, only: list[str] | None) -> None:
    """That package's own estimators, with its defaults; runs where `benchmark-mi` is installed."""
    import bmi.estimators as own

    makers = {
        "KSG": lambda: own.KSGEnsembleFirstEstimator(neighborhoods=(10,)),
        "CCA": own.CCAMutualInformationEstimator,
        "InfoNCE": lambda: own.InfoNCEEstimator(verbose=False),
        "NWJ": lambda: own.NWJEstimator(verbose=False),
        "Donsker-Varadhan": lambda: own.DonskerVaradhanEstimator(verbose=False),
        "MINE": lambda: own.MINEEstimator(verbose=False),
    }
    for label, name, data in to_do("benchmark-mi", only or list(makers), folder, log):
        started = time.process_time()
        nats = float(makers[label]().estimate(data["x"], data["y"]))
        write(log, "benchmark-mi", label, name, nats, float(data["truth"]), time.process_time() - started)


def mist(folder: Path, log: Path, only: list[str] | None) -> None:
    """torch-mist's `estimate_mi`, with its defaults, read on a fifth of the pairs; runs where it is installed."""
    import torch
    from torch_mist import estimate_mi

    torch.set_num_threads(1)
    for label, name, data in to_do("torch-mist", only or ["infonce", "smile"], folder, log):
        torch.manual_seed(SEED)
        pairs = {side: data[side].astype(np.float32) for side in "xy"}
        started = time.process_time()
        nats, _ = estimate_mi(
            data={side: values[PAIRS // 5 :] for side, values in pairs.items()},  # a tenth of these stops the training
            test_data={side: values[: PAIRS // 5] for side, values in pairs.items()},
            estimator=label,
            verbose=False,
        )
        write(log, "torch-mist", label, name, float(nats), float(data["truth"]), time.process_time() - started)


def to_do(package: str, labels: list[str], folder: Path, log: Path) -> Iterator[tuple[str, str, dict]]:
    """Estimators and sampled tasks that have no line in the log, which another process may write to as well."""
    for label in labels:
        for name in (*SHARP, *TASKS):
            done = {(run["package"], run["estimator"], run["task"]) for run in read(log)}
            file = folder / f"{name}.npz"
            if (package, label, name) not in done and file.exists():
                yield label, name, dict(np.load(file, allow_pickle=False))


def read(log: Path) -> list[dict]:
    """Each estimate once, also where two processes made it at the same time."""
    runs = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return list({(run["package"], run["estimator"], run["task"]): run for run in runs}.values())


def write(
    log: Path, package: str, label: str, name: str, nats: float, truth: float, seconds: float, more: dict | None = None
) -> None:
    finite = math.isfinite(nats)
    run = {"package": package, "estimator": label, "task": name, "truth": truth, "nats": nats if finite else None}
    run |= {"error": nats - truth if finite else None, "processor_seconds": seconds, "hardware": processor()}
    run |= more or {}
    run = {key: round(value, 4) if isinstance(value, float) else value for key, value in run.items()}
    with log.open("a") as file:
        file.write(json.dumps(run) + "\n")
    print(package, label, name, run["error"], run["processor_seconds"], flush=True)


def processor() -> str:
    """Its name, where Linux says it; also where deepinfomax is not installed."""
    about = Path("/proc/cpuinfo")
    names = [line.partition(":")[2] for line in about.read_text().splitlines() if line.startswith("model name")]
    return f"{names[0].strip()}, 1 thread" if names else platform.machine()


def table(log: Path, target: Path) -> None:
    """What all runs of the log say together."""
    runs = read(log)
    summary, sharp = {}, {name: {"truth": round(-0.5 * math.log(1 - rho**2), 4)} for name, rho in SHARP.items()}
    for run in runs:
        if run["task"] in SHARP:
            sharp[run["task"]][f"{run['package']} {run['estimator']}"] = run["nats"]
    for key in dict.fromkeys((run["package"], run["estimator"]) for run in runs if run["task"] in TASKS):
        rows = [run for run in runs if (run["package"], run["estimator"]) == key and run["task"] in TASKS]
        errors = {run["task"]: math.inf if run["error"] is None else abs(run["error"]) for run in rows}
        seconds = [run["processor_seconds"] for run in rows if "processor_seconds" in run]
        summary[" ".join(key)] = {
            "tasks": len(rows),
            "median_absolute_error": round(statistics.median(errors.values()), 4),
            "within_0.1_nats": sum(error <= 0.1 for error in errors.values()),
            "above_0.3_nats": [task for task, error in errors.items() if error > 0.3],
            "median_processor_seconds": round(statistics.median(seconds), 2) if seconds else None,
        }
        if key[0] == "deepinfomax":  # the others give a number alone
            warned = {run["task"] for run in rows if run["warning"] is not None}
            summary[" ".join(key)] |= {
                "above_0.3_nats_without_warning": [t for t, error in errors.items() if error > 0.3 and t not in warned],
                "with_warning": len(warned),
                "truth_within_interval": sum(run["truth_within"] for run in rows),
            }
    result = {
        "what": "errors in nats on tasks of benchmark-mi, 5000 pairs each, beside other packages on the same samples",
        "command": "python benchmarks/bmi_tasks.py sample, ours, bmi, mist, table",
        "seed": SEED,
        "training": TRAINING,
        "hardware": {
            machine: " ".join(dict.fromkeys(run["package"] for run in runs if run.get("hardware") == machine))
            for machine in sorted({run["hardware"] for run in runs if "hardware" in run})
        },
        "processor_minutes": round(sum(run.get("processor_seconds", 0) for run in runs) / 60, 1),
        "not_run": [name for name in TASKS if not any(run["task"] == name for run in runs)],
        "summary": summary,
        "sharp": sharp,
        "lower_bounds_above_truth_plus_2_se": [
            f"{run['task']} {run['estimator']}" for run in runs if run.get("kept") is False
        ],
        "lower_bounds": sum(run.get("kept") is not None for run in runs),
        "runs": log.name,
    }
    part = target.with_suffix(".part")
    part.write_text(json.dumps(result, indent=1) + "\n")
    part.replace(target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("sample", "ours", "bmi", "mist", "table"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--estimators", nargs="+")
    parser.add_argument("--out", type=Path, default=RESULTS / "bmi_tasks_30.json")
    arguments = parser.parse_args()
    log = arguments.out.with_suffix(".runs.jsonl")
    if arguments.what == "sample":
        sample(arguments.folder)
    elif arguments.what == "table":
        table(log, arguments.out)
    else:
        {"ours": ours, "bmi": bmi, "mist": mist}[arguments.what](arguments.folder, log, arguments.estimators)


if __name__ == "__main__":
    main()
