import json
import os
import subprocess
import sys
from pathlib import Path

import two_processes

from deepinfomax.objectives import OBJECTIVES
from deepinfomax.training import checkpoint

HANGS = 3600  #: seconds; only processes that wait for each other for ever take so long
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2"]
TORCHRUN += ["--rdzv_backend=c10d", "--rdzv_endpoint=localhost:0"]


def test_two_processes_have_the_gradients_of_one() -> None:
    """Every objective, every bound, both pairings, both players; float64, BatchNorm in eval mode."""
    assert {case.objective for case in two_processes.CASES.values()} == set(OBJECTIVES.builtin)
    command = [*TORCHRUN, str(Path(__file__).with_name("two_processes.py"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANGS, env=ENVIRONMENT, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    for case in two_processes.CASES:
        assert case in done.stdout


INTERRUPTED = """
import os, signal, sys
sys.path[:0] = [{tests!r}]
import torch, two_processes
from test_loop import config, images
from deepinfomax.objectives import LocalInfoMax
from deepinfomax.training.loop import train
from deepinfomax.training.processes import end_group

torch.set_num_threads(1)
rank, original, calls = os.environ["RANK"], LocalInfoMax.forward, 0


def forward(self, features, batch):
    global calls
    calls += 1
    if calls == 2 and rank == "1":
        os.kill(os.getpid(), signal.SIGINT)
    return original(self, features, batch)


LocalInfoMax.forward = forward
try:
    train(config(**{{"training.steps": 50}}), images(), {run!r}, device="cpu", quiet=True)
except KeyboardInterrupt as stop:
    print(f"process {{rank}} {{stop}}")
finally:
    end_group()  # train leaves it to its caller
print(f"process {{rank}} keeps {{two_processes.threads_of_the_group()}}")
"""


def test_an_interrupt_of_one_process_stops_all_after_the_same_step(tmp_path: Path) -> None:
    """And the main process saves it, though it was another that was interrupted."""
    script, run = tmp_path / "interrupted.py", tmp_path / "run"
    script.write_text(INTERRUPTED.format(tests=str(Path(__file__).parent), run=str(run)))
    command = [*TORCHRUN, str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANGS, env=ENVIRONMENT, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    for rank in range(2):
        assert f"process {rank} keeps []" in done.stdout
        assert f"process {rank} stopped after step 2; continue with --resume" in done.stdout
    saved = checkpoint.load(run / "checkpoint")
    assert saved is not None
    assert saved["step"] == 2


RUINED = """
import os, sys
sys.path[:0] = [{tests!r}]
import torch, two_processes
from test_loop import config, images
from deepinfomax.training import loop
from deepinfomax.training.guards import Diverged
from deepinfomax.training.processes import end_group
from deepinfomax.training.step import Step

torch.set_num_threads(1)
rank, original, calls = os.environ["RANK"], Step.__call__, 0


def ruin(step, batch):
    global calls
    calls += 1
    turn = original(step, batch)
    if calls == 2 and rank == "1":
        with torch.no_grad():
            step.game.module.encoder.y.bias[0] = float("nan")
    return turn


Step.__call__ = ruin
try:
    settings = config(**{{"training.steps": 50, "training.checkpoint_every": 0.0}})
    loop.train(settings, images(), {run!r}, device="cpu", quiet=True)
except Diverged as error:
    print(f"process {{rank}}: {{error}}")
finally:
    end_group()  # train leaves it to its caller
print(f"process {{rank}} keeps {{two_processes.threads_of_the_group()}}")
"""


def test_weights_ruined_in_one_process_stop_all_and_are_not_saved(tmp_path: Path) -> None:
    script, run = tmp_path / "ruined.py", tmp_path / "run"
    script.write_text(RUINED.format(tests=str(Path(__file__).parent), run=str(run)))
    done = subprocess.run(
        [*TORCHRUN, str(script)], capture_output=True, text=True, timeout=HANGS, env=ENVIRONMENT, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for rank in range(2):
        assert f"process {rank}: " in done.stdout
        assert f"process {rank} keeps []" in done.stdout
    assert done.stdout.count("after step 2; any checkpoint stays as it was") == 2
    saved = checkpoint.load(run / "checkpoint")
    assert saved is not None
    assert saved["step"] == 1


def test_the_train_command_under_torchrun(tmp_path: Path) -> None:
    """Two processes, one run folder; the continued run ends where the undisturbed one does."""
    words = ["-m", "deepinfomax.cli", "train", "digits", "--scale", "smoke", "--recipe", "dim-local", "--device", "cpu"]

    def train(*more: str) -> None:
        command = [*TORCHRUN, *words, *more]
        done = subprocess.run(command, capture_output=True, text=True, timeout=HANGS, env=ENVIRONMENT, check=False)
        assert done.returncode == 0, done.stderr[-3000:]

    train("--out", str(tmp_path / "whole"), "training.steps", "6")
    train("--out", str(tmp_path / "part"), "training.steps", "4")
    train("--out", str(tmp_path / "part"), "--resume", "training.steps", "6")
    lines = [json.loads(line) for line in (tmp_path / "whole/metrics.jsonl").read_text().splitlines()]
    assert lines[0]["processes"] == 2
    assert [line["step"] for line in lines] == [0, 2, 4, 6, 6]
    assert (tmp_path / "whole/report.html").is_file()
    assert (tmp_path / "whole/encoder.safetensors").read_bytes() == (tmp_path / "part/encoder.safetensors").read_bytes()
