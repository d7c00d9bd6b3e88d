import json
import os
import subprocess
import sys
from pathlib import Path

import two_processes

from deepinfomax.objectives import OBJECTIVES

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2"]
TORCHRUN += ["--rdzv_backend=c10d", "--rdzv_endpoint=localhost:0"]


def test_two_processes_have_the_gradients_of_one() -> None:
    """Every objective, every bound, both pairings, both players; float64, BatchNorm in eval mode."""
    assert {case.objective for case in two_processes.CASES.values()} == set(OBJECTIVES)
    command = [*TORCHRUN, str(Path(__file__).with_name("two_processes.py"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, env=ENVIRONMENT, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    for case in two_processes.CASES:
        assert case in done.stdout


def test_the_train_command_under_torchrun(tmp_path: Path) -> None:
    """Two processes, one run folder; the continued run ends where the undisturbed one does."""
    words = ["-m", "deepinfomax.cli", "train", "digits", "--scale", "smoke", "--recipe", "dim-local", "--device", "cpu"]

    def train(*more: str) -> None:
        command = [*TORCHRUN, *words, *more]
        done = subprocess.run(command, capture_output=True, text=True, timeout=180, env=ENVIRONMENT, check=False)
        assert done.returncode == 0, done.stderr[-3000:]

    train("--out", str(tmp_path / "whole"), "training.steps", "6")
    train("--out", str(tmp_path / "part"), "training.steps", "4")
    train("--out", str(tmp_path / "part"), "--resume", "training.steps", "6")
    lines = [json.loads(line) for line in (tmp_path / "whole/metrics.jsonl").read_text().splitlines()]
    assert lines[0]["processes"] == 2
    assert [line["step"] for line in lines] == [0, 2, 4, 6, 6]
    assert (tmp_path / "whole/report.html").is_file()
    assert (tmp_path / "whole/encoder.safetensors").read_bytes() == (tmp_path / "part/encoder.safetensors").read_bytes()
