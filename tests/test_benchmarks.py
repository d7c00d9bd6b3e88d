"""Benchmarks run at a small size, and their files say what was run, where and for how long."""

import importlib
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


def test_what_is_finished_is_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    measuring = importlib.import_module("measuring")
    arguments = measuring.options("", tmp_path / "result.json").parse_args(["--work", str(tmp_path / "work")])
    calls = []

    def fails(folder: Path) -> dict[str, int]:
        raise KeyboardInterrupt

    def measures(folder: Path) -> dict[str, int]:
        folder.mkdir(parents=True)
        calls.append(folder.name)
        return {"figure": len(calls)}

    with pytest.raises(KeyboardInterrupt):
        measuring.each_once(arguments, {"γ 1, seed 0": measures, "none, seed 0": fails}, {"title": "of a test"})
    told = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert (told["title"], told["seeds"], told["runs"]) == ("of a test", [0], [{"figure": 1}])
    assert told["not_run"] == ["none, seed 0"]
    measuring.each_once(arguments, {"γ 1, seed 0": fails, "none, seed 0": measures}, {})
    told = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert (told["not_run"], told["runs"]) == ([], [{"figure": 1}, {"figure": 2}])
    assert calls == ["γ-1-seed-0", "none-seed-0"]


def test_every_run_of_a_comparison_is_a_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    rates, tried = (importlib.import_module(name) for name in ("rates", "league_tried"))
    for name in rates.ORDER:
        assert [rates.config_of(name, rate, 0).training.lr for rate in rates.RATES] == [1e-3, 2e-4]
    published = json.loads((BENCHMARKS.parent / "results/league-tried.json").read_text(encoding="utf-8"))
    steps = {run["run"]: run["steps"] for run in published["runs"]}
    assert {name: tried.config_of(name, 0).training.steps for name in tried.RUNS} == steps
