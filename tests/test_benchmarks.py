"""Benchmarks run at a small size, and their files say what was run, where and for how long."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SAID = {"benchmark", "command", "hardware", "load", "clock", "torch", "python", "minutes"}


@pytest.mark.parametrize(
    ("words", "figures"),
    [
        (
            "svm.py --images 400 --units 30 --fits 1",
            {"accuracy", "ours_over_its_matrix_products", "scikit_learn_over_ours"},
        ),
        ("mlp.py --images 600 --units 20 --rounds 1", {"ours_over_its_matrix_products", "scikit_learn_over_ours"}),
        ("start.py --rounds 1 --images 20", {"least seconds"}),
        ("across.py --smoke", {"bytes"}),
    ],
)
def test_a_benchmark_at_a_small_size(words: str, figures: set[str], tmp_path: Path) -> None:
    name, *more = words.split()
    file = tmp_path / "figures.json"
    command = [sys.executable, str(BENCHMARKS / name), *more, "--json", str(file)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(file.read_text())
    assert told.keys() >= SAID | figures
    assert told["command"] == f"python benchmarks/{words}"
