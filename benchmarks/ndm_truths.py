"""NDM of samples whose total correlation is known: `python benchmarks/ndm_truths.py --out results/ndm_truths.json`.

64 units, 10,000 training and 2,000 held-out rows, the settings of the scale `cpu`. The truth is a closed form, or the
mean of the exact log-ratio over 200,000 draws. A reading is right within 0.5 nats or a tenth, whichever is more.
Finished tasks stay in the file, so a run that was stopped goes on. A saved task that lacks what a mixture of Gaussians
shows gets that (`ndm` reports it since, and its other values did not change by it); where it is above the saved value,
so that it may change the warning, the task is measured anew.
"""

import argparse
import json
import math
import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy import stats

from deepinfomax.devices import hardware
from deepinfomax.evaluation.ndm import SETTINGS, by_mixture, ndm
from deepinfomax.files import write_text

UNITS = 64


class Task(NamedTuple):
    """How to draw rows (N, 64), and their total correlation in nats."""

    draw: Callable[[int, np.random.Generator], np.ndarray]
    truth: float


def gaussian(nats: float, factors: int) -> Task:
    """Random loadings on a few factors, as strong as `nats` needs."""
    loadings = np.random.default_rng(0).normal(size=(UNITS, factors)) / math.sqrt(factors)

    def correlation(strength: float) -> np.ndarray:
        full = strength * loadings @ loadings.T + np.eye(UNITS)
        return full / np.sqrt(np.outer(np.diag(full), np.diag(full)))

    def total(strength: float) -> float:
        return float(-0.5 * np.linalg.slogdet(correlation(strength))[1])

    low, high = 0.0, 1e6
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if total(middle) < nats else (low, middle)
    root = np.linalg.cholesky(correlation(low))
    return Task(lambda n, rng: rng.normal(size=(n, UNITS)) @ root.T, total(low))


def cubed(task: Task) -> Task:
    """Every unit to its third power: long tails, and the same total correlation."""
    return Task(lambda n, rng: task.draw(n, rng) ** 3, task.truth)


def student(freedom: float) -> Task:
    """A multivariate t: no correlation, units that are large together."""

    def draw(n: int, rng: np.random.Generator) -> np.ndarray:
        return rng.normal(size=(n, UNITS)) / np.sqrt(rng.chisquare(freedom, size=(n, 1)) / freedom)

    rows = draw(200_000, np.random.default_rng(99))
    joint = stats.multivariate_t.logpdf(rows, np.zeros(UNITS), np.eye(UNITS), df=freedom)
    return Task(draw, float(np.mean(joint - stats.t.logpdf(rows, freedom).sum(1))))


def squares(noise: float, pairs: int) -> Task:
    """`pairs` pairs of x and x² + noise, the other units on their own: no correlation at all."""

    def draw(n: int, rng: np.random.Generator) -> np.ndarray:
        rows = rng.normal(size=(n, UNITS))
        rows[:, pairs : 2 * pairs] = (rows[:, :pairs] ** 2 - 1) / math.sqrt(2) + noise * rows[:, pairs : 2 * pairs]
        return rows

    grid = np.linspace(-8, 8, 4001)
    weight = stats.norm.pdf(grid) / stats.norm.pdf(grid).sum()
    rng = np.random.default_rng(99)
    x = rng.normal(size=20_000)
    z = (x**2 - 1) / math.sqrt(2) + noise * rng.normal(size=x.shape)
    marginal = np.array([weight @ stats.norm.pdf(v, (grid**2 - 1) / math.sqrt(2), noise) for v in z])
    of_one = np.mean(stats.norm.logpdf(z, (x**2 - 1) / math.sqrt(2), noise) - np.log(marginal))
    return Task(draw, float(pairs * of_one))


def clusters(distance: float, count: int = 10) -> Task:
    """A mixture of `count` round Gaussians: the units share the cluster."""
    centres = np.random.default_rng(0).normal(size=(count, UNITS)) * distance

    def draw(n: int, rng: np.random.Generator) -> np.ndarray:
        return centres[rng.integers(count, size=n)] + rng.normal(size=(n, UNITS))

    rows = draw(200_000, np.random.default_rng(99))
    joint = np.full(len(rows), -np.inf)
    units = np.full(rows.shape, -np.inf)
    for centre in centres:
        squared = (rows - centre) ** 2
        joint = np.logaddexp(joint, -0.5 * squared.sum(1))
        units = np.logaddexp(units, -0.5 * squared)
    return Task(draw, float(np.mean(joint - math.log(count) - (units - math.log(count)).sum(1))))


def signs(triples: int) -> Task:
    """Triples of which any two are independent; the sign of the third is the product of the others'."""

    def draw(n: int, rng: np.random.Generator) -> np.ndarray:
        rows = rng.normal(size=(n, UNITS))
        first, second, third = (slice(k * triples, (k + 1) * triples) for k in range(3))
        rows[:, third] = np.abs(rows[:, third]) * np.sign(rows[:, first] * rows[:, second])
        return rows

    return Task(draw, triples * math.log(2))


TASKS: dict[str, Callable[[], Task]] = {
    "independent": lambda: gaussian(0.0, 8),
    **{f"Gaussian, {nats} nats": (lambda nats=nats: gaussian(nats, 8)) for nats in (2, 4, 10, 30, 60, 100)},
    **{f"Gaussian of full rank, {nats} nats": (lambda nats=nats: gaussian(nats, 64)) for nats in (2, 10, 30)},
    "Gaussian cubed, 10 nats": lambda: cubed(gaussian(10, 8)),
    "Student, 5 degrees": lambda: student(5),
    "Student, 2 degrees": lambda: student(2),
    "4 pairs of x and x²": lambda: squares(0.5, 4),
    "32 pairs of x and x²": lambda: squares(1.0, 32),
    "10 clusters": lambda: clusters(0.5),
    "10 clusters far apart": lambda: clusters(2.0),
    "4 triples of signs": lambda: signs(4),
    "21 triples of signs": lambda: signs(21),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results/ndm_truths.json"))
    arguments = parser.parse_args()
    here = hardware(torch.device("cpu"))
    saved = json.loads(arguments.out.read_text(encoding="utf-8")) if arguments.out.exists() else {}
    done, machine = saved.get("tasks", {}), saved.get("hardware", here)
    for name, make in TASKS.items():
        if "mixture_nats" in done.get(name, {}):
            continue
        task, settings, began = make(), SETTINGS["cpu"], time.process_time()
        rng = np.random.default_rng(1)
        rows = torch.tensor(task.draw(12_000, rng), dtype=torch.float32)
        if name in done:
            of_mixture = float(by_mixture(rows[:10_000], rows[10_000:]).mean())
            if of_mixture <= done[name]["nats"]:
                done[name]["mixture_nats"] = round(of_mixture, 3)
                save(arguments.out, done, machine)
                continue
        reading = ndm(rows[:10_000], rows[10_000:], **asdict(settings))
        off = abs(reading.nats - task.truth)
        done[name] = {
            "truth": round(task.truth, 3),
            "nats": round(reading.nats, 3),
            "standard_error": round(reading.standard_error, 3),
            "train_nats": round(reading.train_nats, 3),
            "gaussian_nats": round(reading.gaussian_nats, 3),
            "mixture_nats": round(reading.mixture_nats, 3),
            "right": bool(off <= max(0.5, 0.1 * task.truth)),
            "warning": reading.warning,
            "cpu_seconds": round(time.process_time() - began, 1),
        } | ({} if here == machine else {"hardware": here})
        print(name, done[name], flush=True)
        save(arguments.out, done, machine)


def save(path: Path, done: dict[str, dict], machine: str) -> None:
    """Everything measured so far, in the order of the tasks; `machine` is that of all tasks which name no other."""
    settings = SETTINGS["cpu"]
    done = {name: done[name] for name in TASKS if name in done}
    result = {
        "schema": 1,
        "title": "NDM of 64 units whose total correlation is known",
        "protocol": "10,000 training and 2,000 held-out rows; scale cpu; right: within 0.5 nats or 10 %",
        "command": shlex.join(["python", *sys.argv]),
        "settings": asdict(settings),
        "seeds": [0, 1],
        "hardware": machine,
        "neither right nor warned": [k for k, v in done.items() if not v["right"] and v["warning"] is None],
        "tasks": done,
    }
    write_text(path, json.dumps(result, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
