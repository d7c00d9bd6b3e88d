"""Which device a run gets, and how it computes there."""

from pathlib import Path

import pytest
import torch
from test_loop import config, images
from torch import nn

from deepinfomax import config as configuration
from deepinfomax import devices, recipes
from deepinfomax.errors import UserError
from deepinfomax.training import loop, processes
from deepinfomax.training.building import build_game, with_common_batchnorm


def test_a_run_on_the_cpu_does_not_keep_the_next_one_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accelerator, device = loop._machine(config(), tmp_path, "cpu")
    assert accelerator.device == device == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(loop, "choose_device", lambda name: torch.device("cuda"))
    accelerator, device = loop._machine(config(), tmp_path, None)
    assert accelerator.device == device == torch.device("cuda")
    monkeypatch.undo()
    assert loop._machine(config(), tmp_path, "cpu")[1] == torch.device("cpu")


def test_processes_that_cannot_train_together_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise each would train alone, all of them in one folder."""
    monkeypatch.setattr(loop, "started", lambda: 2)
    with pytest.raises(UserError, match="2 processes were started, and on cpu they cannot train together: give --dev"):
        loop._machine(config(), tmp_path, "cpu")


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("cuda", "4 processes and 2 GPUs are here: start 2, or give --device cpu"),
        ("cuda:0", "each takes a GPU of its own: give --device cuda, not cuda:0"),
    ],
)
def test_processes_that_would_share_a_gpu_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, message: str
) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    monkeypatch.setattr(processes, "started", lambda: 4)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(loop, "choose_device", lambda name: torch.device(name))
    with pytest.raises(UserError, match=message):
        loop._machine(config(), tmp_path, device)


@pytest.mark.parametrize(
    ("recipe", "changes", "common"),
    [
        ("dim-local", {}, True),
        ("dim-local", {"local.negatives_from": "own"}, False),
        ("dim-global", {}, True),
        ("simclr", {}, True),
        ("ae", {}, False),
        ("nat", {}, False),
        ("supervised", {}, False),
        ("dim-local", {"local.negatives_from": "own", "prior.by": "sigreg"}, True),  # of the batch of all processes
    ],
)
def test_batchnorm_is_common_where_losses_compare_images_of_several_processes(
    recipe: str, changes: dict[str, object], common: bool
) -> None:
    settings = configuration.override(recipes.recipe(recipe, "smoke"), changes)
    game = with_common_batchnorm(build_game(settings, (3, 16, 16), images()))
    kinds = {type(m) for m in game.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)}
    assert (nn.SyncBatchNorm in kinds) == common
    assert (kinds == {nn.SyncBatchNorm}) == common


def test_full_float32_of_a_gpu_holds_within_its_block() -> None:
    gpu, before = torch.device("cuda"), torch.get_float32_matmul_precision()
    with devices.arithmetic(gpu, tf32=True, deterministic=False):
        assert torch.get_float32_matmul_precision() == "high"
        assert torch.backends.cudnn.allow_tf32
        with devices.full_float32(gpu):
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == "high"
    with devices.arithmetic(gpu, tf32=False, deterministic=False):
        assert torch.get_float32_matmul_precision() == "highest"
        assert not torch.backends.cudnn.allow_tf32
    with devices.arithmetic(torch.device("cpu"), tf32=True, deterministic=False):
        assert torch.get_float32_matmul_precision() == before
    assert torch.get_float32_matmul_precision() == before


def fails(*, deterministic: bool) -> None:
    with devices.arithmetic(torch.device("cpu"), tf32=True, deterministic=deterministic):
        assert torch.are_deterministic_algorithms_enabled() == deterministic
        raise RuntimeError("some_op_cuda does not have a deterministic implementation, but you set ...")


def test_what_cannot_be_computed_twice_the_same_way_is_one_line() -> None:
    with pytest.raises(UserError, match="some_op_cuda cannot be computed the same way twice: set training"):
        fails(deterministic=True)
    assert not torch.are_deterministic_algorithms_enabled()
    with pytest.raises(RuntimeError, match="some_op_cuda does not have"):
        fails(deterministic=False)


def test_the_rank_of_vectors_is_computed_in_float64_on_the_cpu() -> None:
    assert devices.in_float64(torch.ones(2, dtype=torch.bfloat16)).dtype == torch.float64
