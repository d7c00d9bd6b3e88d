"""Nothing mixes devices, and how often the CPU waits for one is pinned, without a GPU: see pretended.py."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

CASES = Path(__file__).with_name("cases.py")
#: what a step may wait for and copy; elsewhere nothing
WAITS = {"step nat": {"objectives/nat.py": 3}}
COPIES = {
    "step nat": {"objectives/nat.py": 3},
    "step prior.by visreg prior.prior gaussian": {"objectives/slices.py": 1},  # the quantiles of the prior
}
COLOURED = ("dim-views", "dim-patches", "simclr", "vicreg", "barlow", "byol", "lejepa", "emp-ssl")
COPIES |= {f"step {recipe}": {"data/augmentation.py": 5} for recipe in COLOURED}  # kornia draws on the CPU


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    """Of all cases, in a process of its own: torch takes one pretended device, and for good."""
    command = [sys.executable, "-W", "error", str(CASES)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def by_file(places: dict[str, int]) -> dict[str, int]:
    files: Counter[str] = Counter()
    for place, count in places.items():
        files[place.partition(":")[0]] += count
    return dict(files)


def test_no_devices_are_mixed_and_no_number_there_is_float64(results: dict[str, Any]) -> None:
    """Training by every recipe, every measure, estimate_mi, the transformer, the generator."""
    assert len(results) > 60
    assert {name: case["error"] for name, case in results.items() if case["error"]} == {}


def test_a_step_that_is_not_logged_does_not_wait_for_the_device(results: dict[str, Any]) -> None:
    steps = {name: case for name, case in results.items() if name.startswith("step ")}
    assert {n: w for n, case in steps.items() if (w := by_file(case["waits"]))} == WAITS
    assert {n: c for n, case in steps.items() if (c := by_file(case["copies"]))} == COPIES


def test_a_run_waits_for_what_it_logs_and_saves_and_nothing_else(results: dict[str, Any]) -> None:
    """Four steps, two logged, one checkpoint."""
    waits = by_file(results["train"]["waits"])
    logged = {"training/step.py": 2, "training/run_folder.py": 2, "devices.py": 2}  # a flag, the losses, y for its rank
    looked_at = {"training/guards.py": 3}  # the weights before and after, y in eval mode
    saved = {"training/checkpoint.py", "encoders/storage.py", "training/loop.py"}
    assert {file: count for file, count in waits.items() if file not in saved} == logged | looked_at
    copies = by_file(results["train"]["copies"])
    # One for the labels, one for so few pixels, one for the order of each epoch.
    assert copies["data/batches.py"] == 2 + 4


def test_a_training_of_a_critic_waits_once_a_step_and_at_its_stops(results: dict[str, Any]) -> None:
    waits = by_file(results["information infonce"]["waits"])
    assert waits["fitting.py"] == 4
    assert waits["information/critic_training.py"] == 4


def test_a_row_that_the_benchmark_does_not_have_is_told_with_those_that_there_are():
    benchmark = Path(__file__).parents[2] / "benchmarks/gpu.py"
    command = [sys.executable, str(benchmark), "--rows", "JSD, TF32; JSD, bf16"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("gpu.py: error: there is no row 'JSD, bf16'; rows are infoNCE, ")
