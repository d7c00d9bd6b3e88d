"""Weights, gradients and moments cut among processes by FSDP2, with Accelerate as it is: docs/scale.md."""

import subprocess
from pathlib import Path

from test_processes import ENVIRONMENT, HANGS, TORCHRUN


def test_networks_cut_among_processes_train_as_one(tmp_path: Path) -> None:
    command = [*TORCHRUN, str(Path(__file__).with_name("sharded.py"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANGS, env=ENVIRONMENT, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "2 processes, " in done.stdout
    assert "checked" in done.stdout
