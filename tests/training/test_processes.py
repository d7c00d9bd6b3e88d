import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import two_processes

from deepinfomax.encoders import storage
from deepinfomax.errors import UserError
from deepinfomax.objectives import OBJECTIVES
from deepinfomax.training import checkpoint
from deepinfomax.training.train_run import train_command

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
import torch
from two_processes import say, threads_of_the_group
from test_loop import config, images
from deepinfomax.objectives import LocalInfoMax
from deepinfomax.training.loop import train
from deepinfomax.training.processes import end_group

torch.set_num_threads(1)
rank, original, calls = os.environ["RANK"], LocalInfoMax.forward, 0


def forward(self, features, batch):
    global calls
    calls += self.training  # not the look at which parameters are used
    if calls == 2 and rank == "1":
        os.kill(os.getpid(), signal.SIGINT)
    return original(self, features, batch)


LocalInfoMax.forward = forward
try:
    train(config(**{{"training.steps": 50}}), images(), {run!r}, device="cpu", quiet=True)
except KeyboardInterrupt as stop:
    say(f"process {{rank}} {{stop}}")
finally:
    end_group()  # train leaves it to its caller
say(f"process {{rank}} keeps {{threads_of_the_group()}}")
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
import dataclasses, os, sys
sys.path[:0] = [{tests!r}]
import torch
from two_processes import say, threads_of_the_group
from test_loop import config, images
from deepinfomax.encoders.storage import weights_digest
from deepinfomax.objectives import LocalInfoMax
from deepinfomax.objectives.protocol import Terms
from deepinfomax.training import loop
from deepinfomax.training.guards import Diverged
from deepinfomax.training.processes import end_group
from deepinfomax.training.step import Step

torch.set_num_threads(1)
rank = os.environ["RANK"]


def train(name, steps=4, **parts):
    settings = config(**{{"training.steps": steps, "training.checkpoint_every": 0.0}})
    settings = dataclasses.replace(settings, **parts)
    try:
        trained = loop.train(settings, images(), f"{runs}/{{name}}", device="cpu", quiet=True)
        say(f"{{name}} {{rank}} has {{weights_digest(trained)}}")
    except Diverged as error:
        say(f"{{name}} {{rank}}: {{error}}")


def weights_ruined(step, batch):
    turn = original_step(step, batch)
    step.calls = getattr(step, "calls", 0) + 1
    if step.calls == 2 and rank == "1":
        with torch.no_grad():
            step.game.module.encoder.y.bias[0] = float("nan")
    return turn


def loss_ruined(self, features, batch):
    terms = original_loss(self, features, batch)
    self.calls = getattr(self, "calls", 0) + self.training
    return Terms({{"loss": terms["loss"] * float("nan")}}) if self.calls == 2 and rank == "1" else terms


def kept(step, batch):
    turn = original_step(step, batch)
    sent = step.game.will_sync_module_buffers()
    say(f"unused parameters {{step.game.find_unused_parameters}} buffers sent {{sent}}")
    return turn


original_step, original_loss = Step.__call__, LocalInfoMax.forward
Step.__call__ = weights_ruined
train("weights")
Step.__call__, LocalInfoMax.forward = original_step, loss_ruined
train("loss")
Step.__call__, LocalInfoMax.forward = kept, original_loss
train("all-used", steps=1)
train("y-unused", steps=2, objective={{"supervised": {{"level": "fc"}}}})
end_group()  # train leaves it to its caller
say(f"process {{rank}} keeps {{threads_of_the_group()}}")
"""


def test_what_is_ruined_in_one_process_stops_all_and_is_not_saved(tmp_path: Path) -> None:
    """Weights, or a loss; and four runs in one pair of processes, whose group ends with them."""
    script = tmp_path / "ruined.py"
    script.write_text(RUINED.format(tests=str(Path(__file__).parent), runs=str(tmp_path)))
    done = subprocess.run(
        [*TORCHRUN, str(script)], capture_output=True, text=True, timeout=HANGS, env=ENVIRONMENT, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for rank in range(2):
        assert f"weights {rank}: " in done.stdout
        assert f"loss {rank}: the loss is no longer finite (local nan, prior " in done.stdout
        assert f"process {rank} keeps []" in done.stdout
    assert done.stdout.count("after step 2; any checkpoint stays as it was") == 2
    for run in ("weights", "loss"):
        saved = checkpoint.load(tmp_path / run / "checkpoint")
        assert saved is not None
        assert saved["step"] == 1
    for run in ("all-used", "y-unused"):
        saved_as = storage.describe(tmp_path / run).sha256  # with the averages of BatchNorm of the first process
        assert all(f"{run} {rank} has {saved_as}" in done.stdout for rank in range(2))
    assert done.stdout.count("unused parameters False buffers sent False") == 2  # one step of two processes
    assert done.stdout.count("unused parameters True buffers sent False") == 4


def trained_by_two(run: Path, *words: str) -> tuple[subprocess.Popen, Path]:
    """`deepinfomax train --processes 2`, a launcher of its own group, and the file of what all of them say."""
    command = [sys.executable, "-m", "deepinfomax.cli", "train", "digits", "--processes", "2", "--out", str(run)]
    command += ["--recipe", "dim-local", "--scale", "smoke", "--device", "cpu", "training.trackers", "[]", *words]
    said = run.with_suffix(".txt")
    with said.open("w") as file:
        started = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True, env=ENVIRONMENT)
    return started, said


@pytest.mark.parametrize("how", ["Ctrl-C", "a process is killed"])
def test_a_run_of_two_processes_ends_in_lines_and_not_in_tracebacks(tmp_path: Path, how: str) -> None:
    run = tmp_path / "run"
    endless = ("training.epochs", "100000", "training.steps", "100000", "training.log_every", "2")
    launcher, said = trained_by_two(run, *endless, "training.checkpoint_every", "0")
    metrics = run / "metrics.jsonl"
    while launcher.poll() is None and not (metrics.is_file() and metrics.read_text().count("\n") > 2):
        time.sleep(0.1)
    assert launcher.poll() is None, said.read_text()
    if how == "Ctrl-C":
        os.killpg(launcher.pid, signal.SIGINT)  # as a terminal does
        assert launcher.wait(HANGS) == 130
    else:
        workers = [p for p in psutil.Process(launcher.pid).children() if "RANK" in p.environ()]
        (second,) = (worker for worker in workers if worker.environ()["RANK"] == "1")
        second.kill()
        assert launcher.wait(HANGS) == 1
    lines = said.read_text().splitlines()
    assert all(line.startswith(("step ", "deepinfomax: ")) for line in lines), lines
    last = [line.removeprefix("deepinfomax: ") for line in lines if line.startswith("deepinfomax: ")]
    if how == "Ctrl-C":
        assert len(last) == 1
        assert re.fullmatch(r"stopped after step \d+; continue with --resume", last[0])
    else:
        lost = "another process of this run has ended: --resume goes on from the last checkpoint of "
        assert last[-1] == "process 1 of 2 was ended by SIGKILL"
        assert all(line.startswith(lost) for line in last[:-1])
    saved = checkpoint.load(run / "checkpoint")
    assert saved is not None
    assert saved["step"] >= 3


def test_a_mistake_that_all_processes_meet_is_one_line(tmp_path: Path) -> None:
    launcher, said = trained_by_two(tmp_path / "run", "training.batch_size", "2000")
    assert launcher.wait(HANGS) == 2
    (line,) = said.read_text().splitlines()
    assert line.startswith("deepinfomax: digits has 1,500 images, fewer than a batch of 2000 in each of 2 processes")


def documented() -> list[str]:
    """The command of the documentation for several processes, as words."""
    page = (Path(__file__).parents[2] / "docs/training.md").read_text()
    (line,) = (line for line in page.splitlines() if line.startswith("torchrun "))
    return shlex.split(line)


def test_the_documented_torchrun_command(tmp_path: Path) -> None:
    """Two processes, one run folder, no CUDA; the continued run ends where the undisturbed one does."""
    torchrun, processes, *words = documented()
    assert processes == "--nproc_per_node=4"
    out, data = words.index("--out") + 1, words.index("DATA")
    words[data] = "digits"
    small = ["--scale", "smoke", "--recipe", "dim-local"]

    def train(folder: Path, *more: str) -> str:
        words[out] = str(folder)
        launched = [str(Path(sys.executable).with_name(torchrun)), "--nproc_per_node=2"]
        launched += ["--rdzv_backend=c10d", "--rdzv_endpoint=localhost:0"]  # several tests may run at once
        command = [*launched, *words, *small, *more]
        environment = ENVIRONMENT | {"CUDA_VISIBLE_DEVICES": ""}
        done = subprocess.run(command, capture_output=True, text=True, timeout=HANGS, env=environment, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stdout.count("trained ") == 1  # one speaks for all
        return done.stderr

    told = train(tmp_path / "whole", "training.steps", "6")
    assert "find_unused_parameters" not in told
    train(tmp_path / "part", "training.steps", "4")
    train(tmp_path / "part", "--resume", "training.steps", "6")
    lines = [json.loads(line) for line in (tmp_path / "whole/metrics.jsonl").read_text().splitlines()]
    assert lines[0]["processes"] == 2
    assert [line["step"] for line in lines] == [0, 2, 4, 6, 6]
    assert (tmp_path / "whole/report.html").is_file()
    assert (tmp_path / "whole/encoder.safetensors").read_bytes() == (tmp_path / "part/encoder.safetensors").read_bytes()
    evaluate = [sys.executable, "-m", "deepinfomax.cli", "evaluate", str(tmp_path / "whole"), "--processes", "2"]
    evaluate += ["--measures", "knn", "--scale", "smoke", "--device", "cpu", "--controls", "pixels"]
    done = subprocess.run(evaluate, capture_output=True, text=True, timeout=HANGS, env=ENVIRONMENT, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("report: ") == 1
    assert done.stderr.count("embedding 1,797 images") == 1
    with pytest.raises(UserError, match=r"2 processes trained it and 1 are here.*: start it with 2, or choose another"):
        train_command(
            "digits",
            recipe="dim-local",
            config_file=None,
            scale="smoke",
            epochs=None,
            out=tmp_path / "part",
            resume=True,
            data_root=None,
            seed=None,
            device="cpu",
            overrides={"training.steps": 8},
        )
