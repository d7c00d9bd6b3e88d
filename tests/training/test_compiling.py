"""Steps that torch.compile has compiled are those that it has not. What is compiled here is compiled by compiled.py."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from test_loop import config, images
from test_step import batch, game, optimizers
from torch import nn

from deepinfomax import config as configuration
from deepinfomax.errors import UserError
from deepinfomax.objectives import Turn
from deepinfomax.training import compiling, run_folder
from deepinfomax.training.compiling import CompiledStep, check_compile, step_of
from deepinfomax.training.loop import train

SCRIPT, TESTS = Path(__file__).with_name("compiled.py"), Path(__file__).parents[1]


def of_compiled(cache: Path, *cases: str, silent: bool = False) -> dict[str, Any]:
    """What compiled.py finds in a process of its own; `silent`: nothing may be said to the person who waits for it."""
    paths = [str(TESTS), str(TESTS / "training"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": "1",
        "TORCHINDUCTOR_CACHE_DIR": str(cache),
    }
    command = [sys.executable, str(SCRIPT), *cases]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert not silent or done.stderr == ""
    return json.loads(done.stdout)


def has_compiler() -> bool:
    try:
        compiling.check_compiler()
    except UserError:
        return False
    return True


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    cases = ["one view", "two views", "two players", "occluded", "not compiled", "whole float32", "run"]
    cases += ["inductor"] if has_compiler() else []
    return of_compiled(tmp_path_factory.mktemp("compiled"), *cases, silent=True)


@pytest.mark.parametrize(
    ("case", "graphs"),
    [
        ("one view", 1),
        ("two views", 1),
        ("occluded", 1),
        ("two players", 7),  # the gradient penalties cut the second player's turn
        ("not compiled", 1),
        ("inductor", 1),
    ],
)
def test_a_compiled_step_is_the_same_and_is_compiled_once(results: dict[str, Any], case: str, graphs: int) -> None:
    """Every objective and occlusion: all numbers and weights of three steps. Draws are the same ones too."""
    if case not in results:
        pytest.skip("needs a C++ compiler")
    found = results[case]
    assert found["same names"]
    assert found["numbers"] < 1e-5
    assert found["weights"] < 1e-4
    assert (found["graphs"], found["later"], found["cuts"]) == (graphs, 0, graphs if graphs > 1 else 0)


def test_scores_of_a_gpu_do_not_cut_a_step(results: dict[str, Any]) -> None:
    assert results["whole float32"] == {"graphs": 1, "cuts": 0}


def test_a_compiled_run_resumes_bit_for_bit_and_names_parameters_as_others(results: dict[str, Any]) -> None:
    run = results["run"]
    assert run["equal"]
    assert run["same names"]
    assert run["names"] > 20
    assert run["graphs"][0] == 1  # of four steps, with a look at y in eval mode behind each


def from_the_command_line(value: object) -> configuration.Config:
    return config(**{"training.compile": value})


@pytest.mark.parametrize(
    ("value", "meant"),
    [("true", "encoder"), (True, "encoder"), (False, False), ("encoder", "encoder"), ("step", "step")],
)
def test_true_is_the_encoder_as_in_earlier_versions(value: object, meant: object, tmp_path: Path) -> None:
    chosen = from_the_command_line(value)
    assert chosen.training.compile == meant
    run_folder.write_config(tmp_path, chosen)
    assert run_folder.read_config(tmp_path) == chosen


def test_a_run_of_an_earlier_version_may_go_on(tmp_path: Path) -> None:
    chosen = from_the_command_line("encoder")
    text = configuration.dumps(chosen)
    assert 'compile = "encoder"' in text
    (tmp_path / run_folder.CONFIG).write_text(text.replace('compile = "encoder"', "compile = true"))
    assert run_folder.fixed_differences(run_folder.read_config(tmp_path), chosen) == []
    assert run_folder.fixed_differences(from_the_command_line("step"), chosen) == ["training.compile"]


@pytest.mark.parametrize("value", ["steps", "yes", 1, 0, 1.0, [True]])
def test_anything_else_is_refused(value: object) -> None:
    with pytest.raises(UserError, match=r"^training\.compile must be false, encoder, step or graphs, not "):
        from_the_command_line(value)


def test_graphs_are_refused_where_there_are_none(tmp_path: Path) -> None:
    message = r"^training\.compile graphs needs an NVIDIA GPU, and this run is on cpu: set it to step$"
    with pytest.raises(UserError, match=message):
        train(from_the_command_line("graphs"), images(), tmp_path / "run", device="cpu", quiet=True)
    assert not (tmp_path / "run").exists()
    with pytest.raises(UserError, match=r"graphs is for one process, and 2 are here: set it to step$"):
        check_compile("graphs", torch.device("cuda"), 2)
    check_compile("graphs", torch.device("cuda"), 1)
    check_compile("step", torch.device("cuda"), 2)


@pytest.mark.parametrize(
    ("value", "parts"),
    [(False, []), ("encoder", ["DCGAN"]), ("step", ["Game", "Opponents"]), ("graphs", ["Game", "Opponents"])],
)
def test_what_is_compiled(value: Any, parts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(nn.Module, "compile", lambda self, **how: compiled.append((type(self).__name__, how)))
    played = game()
    step = step_of(value, Accelerator(cpu=True), played, optimizers(played))
    assert [name for name, _ in compiled] == parts
    assert isinstance(step, CompiledStep) == (value in ("step", "graphs"))
    for _, how in compiled:
        assert how.get("options", {}).get("triton.cudagraphs", False) == (value == "graphs")
        assert how.get("options", {}).get("fallback_random", False) == (value in ("step", "graphs"))


@pytest.fixture
def _as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is compiled: torch.compile cannot look through the checks of shapes that run in this process."""
    monkeypatch.setattr(compiling, "compile_turns", lambda game, **how: None)


def tensors(turn: Turn) -> list[torch.Tensor]:
    levels = [level for level in turn.features if level is not None]
    return [*levels, turn.total, *turn.losses.values(), *turn.measured.values()]


@pytest.mark.usefixtures("_as_it_is")
def test_what_a_step_by_cuda_graphs_returns_outlives_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in without a GPU: what the game returned is overwritten, as a graph does it at its next step."""
    begun: list[None] = []
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: begun.append(None))
    returned: list[torch.Tensor] = []

    def seen(_module: nn.Module, _inputs: object, turn: Turn) -> None:
        assert len(begun) == number  # before either player's turn, and once a step
        returned.extend(tensors(turn))

    played = game()
    assert played.opponents is not None
    for player in (played, played.opponents):
        player.register_forward_hook(seen)
    step = CompiledStep(Accelerator(cpu=True), played, optimizers(played), graphs=True)
    for number in (1, 2, 3):
        returned.clear()
        turn = step(batch())
        assert len(begun) == number
        before = [tensor.clone() for tensor in tensors(turn)]
        with torch.no_grad():
            for tensor in returned:
                tensor.fill_(7)
        assert all(torch.equal(one, other) for one, other in zip(tensors(turn), before, strict=True))
        assert not any(tensor.requires_grad for tensor in tensors(turn))


@pytest.mark.usefixtures("_as_it_is")
def test_whether_a_loss_was_finite_outlives_a_step_by_cuda_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    played = game()
    step = CompiledStep(Accelerator(cpu=True), played, optimizers(played), graphs=True)
    step._prepared = True
    monkeypatch.setattr(type(step.accelerator), "num_processes", 2)  # where nothing waits for the loss
    turn = step.game(batch())
    step._descend("encoder", turn)
    assert step._diverged is not None
    assert step._diverged.untyped_storage().data_ptr() != turn.total.untyped_storage().data_ptr()


@pytest.mark.usefixtures("_as_it_is")
def test_without_graphs_nothing_is_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "_copy", lambda turn: pytest.fail("a copy"))
    played = game()
    CompiledStep(Accelerator(cpu=True), played, optimizers(played))(batch())


def test_a_machine_without_a_compiler_is_told_before_anything_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._inductor import config as inductor

    monkeypatch.setattr(inductor.cpp, "cxx", ("/nothing/here/g++",))
    for compile in ("encoder", "step"):
        with pytest.raises(UserError, match="needs a C\\+\\+ compiler on a CPU"):
            check_compile(compile, torch.device("cpu"), 1)
    check_compile(False, torch.device("cpu"), 1)
