import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator, tracking
from safetensors.torch import load_file

import deepinfomax
from deepinfomax import cli, recipes
from deepinfomax import config as configuration
from deepinfomax.config import Config
from deepinfomax.data.images import ImageSet
from deepinfomax.encoders import DCGAN, wrap
from deepinfomax.errors import UserError
from deepinfomax.features import Features
from deepinfomax.objectives import LocalInfoMax
from deepinfomax.objectives.protocol import Batch, Terms
from deepinfomax.training import checkpoint, loop, run_folder
from deepinfomax.training.guards import Diverged
from deepinfomax.training.loop import train
from deepinfomax.training.run_folder import read_config
from deepinfomax.training.step import Step


def images(count: int = 64, seed: int = 0) -> ImageSet:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (count, 3, 16, 16), dtype=np.uint8)
    return ImageSet(pixels, labels=rng.integers(0, 3, count), classes=("a", "b", "c"), name="noise")


def config(**changes: object) -> Config:
    settings = {"training.trackers": [], "training.log_every": 1, "encoder.fc": 16, "encoder.y": 8} | changes
    return configuration.override(recipes.recipe("cpu", "smoke"), settings)


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "encoder.safetensors")


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def lines(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


class PartlyFrozen(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 4, 2), torch.nn.BatchNorm2d(8), torch.nn.ReLU())
        self.stage = torch.nn.Sequential(torch.nn.Conv2d(8, 8, 3), torch.nn.BatchNorm2d(8))
        self.head = torch.nn.Linear(8 * 25, 6)
        self.stem.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.stage(self.stem(x)).flatten(1))


def test_batchnorm_that_was_frozen_stays_frozen(tmp_path: Path) -> None:
    encoder = wrap(PartlyFrozen(), local="stem", conv="stage", fc="stage", y="head")
    settings = config(**{"training.checkpoint_every": 0.0})
    trained = train(settings, images(), tmp_path / "run", device="cpu", quiet=True, encoder=encoder)
    buffers = dict(trained.named_buffers())
    assert not buffers["module.stem.1.running_mean"].any()
    assert buffers["module.stage.1.running_mean"].any()


def test_settings_of_another_optimizer_are_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = config(**{"training.momentum": 0.5, "training.trust": 0.1, "training.steps": 1})
    train(chosen, images(), tmp_path / "run")
    said = " ".join(capsys.readouterr().err.split())
    assert "note: adam has no use for training.momentum, training.trust: not used" in said


def test_the_largest_seed_trains(tmp_path: Path) -> None:
    train(config(seed=2**63 - 1, **{"training.steps": 2}), images(), tmp_path / "run", device="cpu", quiet=True)
    assert [e["event"] for e in lines(tmp_path / "run")][-1] == "end"


def test_a_run_leaves_a_complete_folder(tmp_path: Path) -> None:
    run = tmp_path / "run"
    encoder = train(config(**{"training.trackers": ["tensorboard"]}), images(), run, device="cpu", quiet=True)
    names = {p.name for p in run.iterdir()}
    assert names >= {"config.toml", "metrics.jsonl", "checkpoint", "encoder.safetensors", "encoder.json", "tensorboard"}
    assert list((run / "tensorboard").glob("**/events*"))
    start, *steps, end = lines(run)
    assert start["event"] == "start"
    assert start["data"]["count"] == 64
    assert [s["step"] for s in steps] == [1, 2, 3, 4]
    assert end["event"] == "end"
    for step in steps:
        assert step["local/cap"] >= step["local/bound"]
        assert step["local"] == pytest.approx(-step["local/bound"], abs=1e-4)
        assert 1 <= step["rank"] <= 8
        assert {"prior", "prior_critic", "images_per_second", "peak_memory_mb", "epoch"} <= step.keys()
    loaded = deepinfomax.load(run)
    sample = torch.randn(3, 3, 16, 16)
    assert torch.equal(loaded(sample).y, encoder(sample).y)
    assert configuration.load(run / "config.toml") == config(**{"training.trackers": ["tensorboard"]})


def test_other_trackers_have_a_project_that_is_not_called_tensorboard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    projects = []

    class Remote(tracking.GeneralTracker):
        name, requires_logging_directory, tracker = "wandb", False, None

        def __init__(self, project: str) -> None:
            super().__init__()
            projects.append(project)

        def log(self, values: dict, step: int) -> None: ...

    available = [*tracking.get_available_trackers(), tracking.LoggerType.WANDB]
    monkeypatch.setattr(tracking, "_available_trackers", available)
    monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, "wandb", Remote)
    changes = {"training.trackers": ["tensorboard", "wandb"], "training.steps": 1}
    train(config(**changes), images(), tmp_path / "run", device="cpu", quiet=True)
    assert projects == ["deepinfomax"]
    assert list((tmp_path / "run" / "tensorboard").glob("events*"))


class OwnNetwork(torch.nn.Module):
    """A network of the user's own, with neither conv nor fc."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 6, 4, 4)
        self.head = torch.nn.Linear(6, 5)

    def forward(self, x: torch.Tensor) -> Features:
        local = self.stem(x)
        return Features(local=local, conv=None, fc=None, y=self.head(local.mean((2, 3))))


def test_an_own_network_is_recorded_as_what_it_is_and_loads_bit_for_bit(tmp_path: Path) -> None:
    run = tmp_path / "run"
    trained = train(config(), images(), run, device="cpu", quiet=True, encoder=OwnNetwork())
    name = f"{OwnNetwork.__module__}:OwnNetwork"
    assert json.loads((run / "encoder.json").read_text())["architecture"] == name
    assert lines(run)[0]["encoder"] == name
    with pytest.raises(UserError, match=r"holds a network of your own: pass load\(\.\.\., module=OwnNetwork"):
        deepinfomax.load(run)
    loaded, sample = deepinfomax.load(run, module=OwnNetwork()), torch.randn(3, 3, 16, 16)
    assert equal(loaded.state_dict(), trained.state_dict())
    assert torch.equal(loaded(sample).y, trained(sample).y)


@pytest.mark.parametrize("recipe", ["dim-local", "dim-strided"])
def test_the_encoder_that_training_returns_is_the_one_that_loads(tmp_path: Path, recipe: str) -> None:
    settings = configuration.override(recipes.recipe(recipe, "smoke"), {"training.trackers": [], "data.size": 32})
    pixels = np.random.default_rng(0).integers(0, 256, (32, 3, 32, 32), dtype=np.uint8)
    trained = train(settings, ImageSet(pixels), tmp_path / "run", device="cpu", quiet=True)
    sample = torch.randn(5, 3, 32, 32)
    for one, other in zip(deepinfomax.load(tmp_path / "run")(sample), trained(sample), strict=True):
        assert torch.equal(one, other)


def test_a_recipe_may_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short = config(**{"training.steps": 1})
    monkeypatch.setattr(loop, "recipe", {"cpu": short}.__getitem__)
    train("cpu", images(), tmp_path / "run", device="cpu", quiet=True)
    assert configuration.load(tmp_path / "run" / "config.toml") == short


def test_each_step_draws_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same batch in every step, and yet other places and prior samples."""
    drawn, original = [], LocalInfoMax.forward

    def forward(self, features, batch):
        drawn.append(torch.rand(3).tolist())
        return original(self, features, batch)

    monkeypatch.setattr(LocalInfoMax, "forward", forward)
    train(config(**{"training.batch_size": 64}), images(), tmp_path / "run", device="cpu", quiet=True)
    assert len({tuple(numbers) for numbers in drawn}) == len(drawn) == 4


def test_a_folder_in_which_a_run_is_alive_is_left_alone(tmp_path: Path) -> None:
    run, settings = tmp_path / "run", config(**{"training.steps": 4})
    _interrupted_in(2, settings, run)
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    live = run_folder.hold(run)
    with pytest.raises(UserError, match=r"another process is training .* now: wait for it"):
        train(settings, images(), run, resume=True, device="cpu", quiet=True)
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()} == before
    live.release()
    train(settings, images(), run, resume=True, device="cpu", quiet=True)


def test_a_resume_that_dies_at_once_keeps_all_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, settings = tmp_path / "run", config(**{"training.steps": 6})
    _interrupted_in(4, settings, run)
    before = lines(run)

    def die(*_: Any) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(Step, "__call__", die)
        with pytest.raises(MemoryError):
            train(settings, images(), run, resume=True, device="cpu", quiet=True)
    assert lines(run) == before
    train(settings, images(), run, resume=True, device="cpu", quiet=True)
    assert [line["step"] for line in lines(run) if line["event"] == "step"] == [1, 2, 3, 4, 5, 6]


def test_training_is_a_function_of_its_seed(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(config(seed=seed), images(), tmp_path / name, device="cpu", quiet=True)
    assert equal(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not equal(weights(tmp_path / "a"), weights(tmp_path / "c"))


def test_resume_is_bit_exact_at_any_step(tmp_path: Path) -> None:
    """Across an epoch's end (4 batches), with augmentation, sampled places and both players in the state."""
    settings = config(**{"training.steps": 6, "augmentation.flip": True, "training.schedule": "cosine"})
    train(settings, images(), tmp_path / "whole", device="cpu", quiet=True)
    part = tmp_path / "part"
    _interrupted_in(3, settings, part)
    leftover = part / "checkpoint/.state.safetensors.4711"
    leftover.write_bytes(b"of a run killed while it saved")
    train(settings, images(), part, resume=True, device="cpu", quiet=True)
    assert not leftover.exists()
    assert equal(weights(tmp_path / "whole"), weights(part))
    whole, resumed = lines(tmp_path / "whole"), lines(part)
    timeless = {"seconds", "images_per_second", "peak_memory_mb"}
    assert [{k: v for k, v in a.items() if k not in timeless} for a in whole] == [
        {k: v for k, v in b.items() if k not in timeless} for b in resumed
    ]


def test_what_a_resume_changes_is_kept_when_it_is_stopped_too(tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(config(**{"training.steps": 2}), images(), run, device="cpu", quiet=True)
    longer = config(**{"training.steps": 6, "training.lr": 1e-5})
    _interrupted_in(4, longer, run, resume=True, before=2)
    kept = read_config(run)
    assert (kept.training.steps, kept.training.lr) == (6, 1e-5)
    train(kept, images(), run, resume=True, device="cpu", quiet=True)
    assert [line["step"] for line in lines(run) if line["event"] == "step"] == [1, 2, 3, 4, 5, 6]
    with pytest.raises(UserError, match=r"training\.steps 3 would take some back"):
        train(config(**{"training.steps": 3}), images(), run, resume=True, device="cpu", quiet=True)
    assert read_config(run).training.steps == 6  # what is refused changes nothing


def _interrupted_in(step: int, settings: Config, run: Path, resume: bool = False, before: int = 0) -> None:
    """Ctrl-C in the middle of a step: the step is finished and saved first; `before`: steps that were done already."""
    calls = 0
    original = LocalInfoMax.forward

    def forward(self, features, batch):
        nonlocal calls
        calls += 1
        if before + calls == step:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, features, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalInfoMax, "forward", forward)
        with pytest.raises(KeyboardInterrupt, match=f"stopped after step {step}; continue with .* --resume --out "):
            train(settings, images(), run, resume=resume, device="cpu", quiet=True)
    saved = checkpoint.load(run / "checkpoint")
    assert saved is not None
    assert saved["step"] == step
    assert before + calls == step


class ScalingAccelerator(Accelerator):
    """fp16's gradient scaler, which Accelerate makes on a GPU only; a power of two changes no float32 gradient."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.scaler = torch.amp.GradScaler("cpu", init_scale=4.0, growth_interval=5)


def test_the_gradient_scale_of_fp16_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "Accelerator", ScalingAccelerator)
    settings = config(**{"training.steps": 4})
    train(settings, images(), tmp_path / "whole", device="cpu", quiet=True)
    _interrupted_in(3, settings, tmp_path / "part")
    between = checkpoint.load(tmp_path / "part/checkpoint")
    train(settings, images(), tmp_path / "part", resume=True, device="cpu", quiet=True)
    whole, part = (checkpoint.load(tmp_path / name / "checkpoint") for name in ("whole", "part"))
    assert between is not None
    assert between["scaler"]["scale"] == 8.0  # grown once, after 5 of the 6 steps of both players
    assert between["scaler"]["_growth_tracker"] == 1
    assert whole is not None
    assert part is not None
    assert whole["scaler"] == part["scaler"]
    assert equal(weights(tmp_path / "whole"), weights(tmp_path / "part"))


KILLED = """
import sys
sys.path[:0] = {path!r}
import torch
from test_loop import config, images
from deepinfomax.training.loop import train
torch.set_num_threads(1)
settings = config(**{{"training.steps": 60, "training.checkpoint_every": 0.0}})
train(settings, images(), {run!r}, resume={resume}, device="cpu", quiet=True)
"""


def test_sigkill_at_a_random_step_loses_nothing(tmp_path: Path) -> None:
    """Killed twice without a chance to clean up, the continued run ends where an undisturbed one does."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def start(name: str, resume: bool) -> subprocess.Popen:
        code = KILLED.format(path=[str(Path(__file__).parent)], run=str(tmp_path / name), resume=resume)
        return subprocess.Popen([sys.executable, "-c", code], env=environment)

    undisturbed = start("whole", False)
    rng = np.random.default_rng()
    victim = start("killed", False)
    for _ in range(2):
        state = tmp_path / "killed/checkpoint/state.safetensors"
        before = state.stat().st_mtime_ns if state.exists() else None
        while not state.exists() or state.stat().st_mtime_ns == before:
            assert victim.poll() is None, "ended before it could be killed"
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.1))
        victim.send_signal(signal.SIGKILL)
        assert victim.wait() in (-signal.SIGKILL, 0)
        victim = start("killed", True)
    assert victim.wait() == 0
    assert undisturbed.wait() == 0
    assert equal(weights(tmp_path / "whole"), weights(tmp_path / "killed"))
    steps = [entry["step"] for entry in lines(tmp_path / "killed") if entry["event"] == "step"]
    assert steps == list(range(1, 61))


def test_a_loss_that_is_not_finite_stops_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, calls = tmp_path / "run", 0
    original = LocalInfoMax.forward

    def forward(self, features, batch):
        nonlocal calls
        calls += 1
        terms = original(self, features, batch)
        return Terms({name: loss * (float("nan") if calls == 3 else 1) for name, loss in terms.items()}, terms.measured)

    monkeypatch.setattr(LocalInfoMax, "forward", forward)
    with pytest.raises(Diverged, match=r"no longer finite \(local nan, prior .*any checkpoint stays as it was"):
        train(config(**{"training.checkpoint_every": 0.0}), images(), run, device="cpu", quiet=True)
    assert calls == 3
    saved = checkpoint.load(run / "checkpoint")
    assert saved is not None
    assert saved["step"] == 2
    assert all(v.isfinite().all() for v in saved["learner"].values())


def test_divergence_exits_with_2_and_keeps_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    run, calls = tmp_path / "run", 0
    original = LocalInfoMax.forward

    def forward(self, features, batch):
        nonlocal calls
        calls += 1
        terms = original(self, features, batch)
        return Terms({name: loss * (float("nan") if calls == 3 else 1) for name, loss in terms.items()}, terms.measured)

    monkeypatch.setattr(LocalInfoMax, "forward", forward)
    words = ["train", "digits", "--recipe", "dim-local", "--scale", "smoke", "--device", "cpu", "--out", str(run)]
    settings = ["training.trackers", "[]", "training.checkpoint_every", "0.0"]
    monkeypatch.setattr(sys, "argv", ["deepinfomax", *words, *settings])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("deepinfomax: the loss is no longer finite (local nan")
    saved = checkpoint.load(run / "checkpoint")
    assert saved is not None
    assert saved["step"] == 2


@pytest.mark.parametrize(("recipe", "lr", "every"), [("cpu", 1e30, 0.0), ("cpu", 1e30, 60.0), ("ae", 1e38, 0.0)])
def test_weights_that_a_step_ruined_are_never_saved(tmp_path: Path, recipe: str, lr: float, every: float) -> None:
    """The loss of the only step is finite; its update is not."""
    run = tmp_path / "run"
    sizes = {"encoder.fc": 16, "encoder.y": 8, "training.trackers": []}
    changes = sizes | {"training.lr": lr, "training.checkpoint_every": every, "training.steps": 1}
    settings = configuration.override(recipes.recipe(recipe, "smoke"), changes)
    with pytest.raises(Diverged, match=r"no longer finite .*after step 1; any checkpoint stays as it was"):
        train(settings, images(), run, device="cpu", quiet=True)
    assert checkpoint.load(run / "checkpoint") is None
    assert not (run / "encoder.json").exists()
    mended = configuration.override(settings, {"training.lr": 1e-3, "training.steps": 3})
    train(mended, images(), run, resume=True, device="cpu", quiet=True)
    deepinfomax.load(run)


def test_the_last_good_checkpoint_outlives_ruined_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, original = tmp_path / "run", Step.__call__

    def ruin(step: Step, batch: Batch) -> Any:
        turn = original(step, batch)
        ruin.calls += 1  # type: ignore[attr-defined]
        if ruin.calls == 3:  # type: ignore[attr-defined]
            with torch.no_grad():
                step.game.encoder.y.bias[0] = float("nan")
        return turn

    ruin.calls = 0  # type: ignore[attr-defined]
    monkeypatch.setattr(Step, "__call__", ruin)
    with pytest.raises(Diverged, match=r"the weights are no longer finite \(encoder\.y\.bias\) after step 3; any"):
        train(config(**{"training.checkpoint_every": 0.0}), images(), run, device="cpu", quiet=True)
    saved = checkpoint.load(run / "checkpoint")
    assert saved is not None
    assert saved["step"] == 2
    assert all(v.isfinite().all() for v in saved["learner"].values())


def test_saving_often_changes_nothing(tmp_path: Path) -> None:
    """What looks at the encoder before it is saved leaves its mode, statistics and draws alone."""
    for name, every in (("often", 0.0), ("once", 60.0)):
        train(config(**{"training.checkpoint_every": every}), images(), tmp_path / name, device="cpu", quiet=True)
    assert equal(weights(tmp_path / "often"), weights(tmp_path / "once"))


def test_a_mask_of_infinities_is_not_divergence(tmp_path: Path) -> None:
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 4, 4),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(128, 16),
        torch.nn.Linear(16, 8),
    )
    module.register_buffer("mask", torch.full((2, 2), -torch.inf).triu(1))
    wrapped = deepinfomax.encoders.wrap(module, local="1", conv="1", fc="3", y="4")
    train(config(), images(), tmp_path / "run", device="cpu", quiet=True, encoder=wrapped)
    assert (tmp_path / "run/encoder.json").exists()


def test_resuming_with_other_data_is_refused(tmp_path: Path) -> None:
    run, longer = tmp_path / "run", config(**{"training.steps": 6})
    train(config(), images(), run, device="cpu", quiet=True)
    with pytest.raises(UserError, match=r"the data changed \(64 images of 3x16x16 before, 80 images of 3x16x16 now\)"):
        train(longer, images(80), run, resume=True, device="cpu", quiet=True)
    same_size = images(seed=1)
    relabelled = dataclasses.replace(images(), labels=same_size.labels)
    for others in (same_size, relabelled):
        with pytest.raises(UserError, match="their content does not"):
            train(longer, others, run, resume=True, device="cpu", quiet=True)
    train(longer, images(), run, resume=True, device="cpu", quiet=True)
    assert lines(run)[-1]["step"] == 6


def test_a_checkpoint_that_does_not_say_its_data_is_resumed(tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(config(), images(), run, device="cpu", quiet=True)
    saved = checkpoint.load(run / "checkpoint")
    assert saved is not None
    del saved["data"]
    checkpoint.save(run / "checkpoint", saved)
    train(config(**{"training.steps": 6}), images(80), run, resume=True, device="cpu", quiet=True)
    assert lines(run)[-1]["step"] == 6


def test_mistakes(tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(config(), images(), run, device="cpu", quiet=True)
    with pytest.raises(UserError, match="exists; continue it with --resume"):
        train(config(), images(), run, device="cpu", quiet=True)
    for other, says in (
        (config(**{"encoder.width": 12}), r"encoder\.width differs from its config\.toml"),
        (config(**{"training.batch_size": 200}), r"training\.batch_size differs"),  # more than there are images
        ("simclr", r"its recipe is cpu, not simclr; leave out --recipe"),  # batches of 512
    ):
        with pytest.raises(UserError, match=says):
            train(other, images(), run, resume=True, device="cpu", quiet=True)
    with pytest.raises(UserError, match="is no run folder"):
        train(config(), images(), tmp_path / "none", resume=True, device="cpu", quiet=True)
    with pytest.raises(UserError, match="fewer than a batch of 16"):
        train(config(), images(8), tmp_path / "few", device="cpu", quiet=True)
    # A checkpoint that is of another network than config.toml says.
    other = tmp_path / "other"
    train(config(**{"encoder.width": 12}), images(), other, device="cpu", quiet=True)
    (run / "checkpoint/state.safetensors").write_bytes((other / "checkpoint/state.safetensors").read_bytes())
    with pytest.raises(UserError, match="the checkpoint is of another architecture"):
        train(config(**{"training.steps": 8}), images(), run, resume=True, device="cpu", quiet=True)


def test_settings_of_data_that_train_does_not_read_are_refused(tmp_path: Path) -> None:
    asked = config(**{"data.kind": "series", "training.steps": 1})
    with pytest.raises(UserError, match=r"^data\.kind is not used .*data\.from_array or load with kind="):
        train(asked, np.zeros((64, 20, 16)), tmp_path / "run", device="cpu")
    with pytest.raises(UserError, match=r"^data\.size is not used .*data\.load with size="):
        train(config(**{"data.size": 8}), np.zeros((64, 16, 16)), tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()
    train(asked, images(), tmp_path / "run", device="cpu", quiet=True)  # an ImageSet was read by them already


def test_wrapped_networks_train(tmp_path: Path) -> None:
    layers = [torch.nn.Conv2d(3, 8, 4, 4), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(128, 16)]
    wrapped = deepinfomax.encoders.wrap(
        torch.nn.Sequential(*layers, torch.nn.Linear(16, 8)), local="1", conv="1", fc="3", y="4"
    )
    trained = train(config(), images(), tmp_path / "run", device="cpu", quiet=True, encoder=wrapped)
    loaded = deepinfomax.load(tmp_path / "run", module=wrapped)
    assert loaded is wrapped
    assert trained is wrapped


def test_tied_weights_train_and_resume(tmp_path: Path) -> None:
    def tied() -> torch.nn.Module:
        first, second = torch.nn.Linear(8, 8), torch.nn.Linear(8, 8)
        second.weight = first.weight
        layers = [torch.nn.Conv2d(3, 8, 16), torch.nn.ReLU(), torch.nn.Flatten(), first, second]
        return deepinfomax.encoders.wrap(torch.nn.Sequential(*layers), local="1", conv="1", fc="3", y="4")

    run, longer = tmp_path / "run", config(**{"training.steps": 6})
    train(config(), images(), run, device="cpu", quiet=True, encoder=tied())
    trained = train(longer, images(), run, resume=True, device="cpu", quiet=True, encoder=tied())
    sample = torch.randn(3, 3, 16, 16)
    assert torch.equal(deepinfomax.load(run, module=tied())(sample).y, trained(sample).y)


def test_an_encoder_that_the_configuration_does_not_describe_is_refused_before_training(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(UserError, match=r"the encoder given is no dcgan of width 8, fc 16, y 8: set encoder\.\*"):
        train(config(), images(), run, device="cpu", quiet=True, encoder=DCGAN((3, 16, 16), width=4, fc=16, y=8))
    assert not run.exists()
    torch.manual_seed(0)
    described = DCGAN((3, 16, 16), width=8, fc=16, y=8)
    trained = train(config(), images(), run, device="cpu", quiet=True, encoder=described)
    sample = torch.randn(3, 3, 16, 16)
    assert torch.equal(deepinfomax.load(run)(sample).y, trained(sample).y)


def test_a_shell_around_an_encoder_is_refused(tmp_path: Path) -> None:
    """Its names would be in the saved weights, and neither `load` nor `evaluate` would find the encoder's."""
    encoder = deepinfomax.encoders.build("dcgan", (3, 16, 16), width=8, fc=16, y=8)
    for shell in (torch.compile(encoder, backend="eager"), torch.nn.DataParallel(encoder)):
        with pytest.raises(UserError, match="from whose run none could be loaded: give the network"):
            train(config(), images(), tmp_path / "run", encoder=shell, device="cpu", quiet=True)  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


def test_arguments_that_show_in_no_weight_are_told_apart(tmp_path: Path) -> None:
    class Negated(DCGAN):
        def forward(self, images: torch.Tensor) -> Features:
            features = super().forward(images)
            return features._replace(y=-features.y)

    negated = Negated((3, 16, 16), width=8, fc=16, y=8)
    with pytest.raises(UserError, match="the encoder given is no dcgan"):
        train(config(), images(), tmp_path / "run", device="cpu", quiet=True, encoder=negated)
