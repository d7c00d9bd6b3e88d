"""On a real NVIDIA GPU: numbers against float64 on the CPU, waits, memory, determinism. Skipped whole without one.

    python -m pytest tests/gpu -rs

What can be said without one is said by tests/devices.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
import two_processes
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from test_compiling import of_compiled
from test_loop import config, equal, images, weights
from test_processes import ENVIRONMENT, HANGS, TORCHRUN
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from deepinfomax import config as configuration
from deepinfomax import recipes
from deepinfomax.data.augmentation import Augmentation
from deepinfomax.data.batches import Batches
from deepinfomax.devices import arithmetic
from deepinfomax.evaluation import convex
from deepinfomax.information.bounds import BOUNDS
from deepinfomax.information.pairs import local_infomax
from deepinfomax.objectives.protocol import Batch
from deepinfomax.training.building import build_game
from deepinfomax.training.loop import train
from deepinfomax.training.optimizers import optimizer
from deepinfomax.training.step import Step

if not torch.cuda.is_available():
    pytest.skip("needs an NVIDIA GPU, and a PyTorch that was built for CUDA", allow_module_level=True)

GPU = torch.device("cuda")
#: what one step's gradients may differ by from those of float64 on the CPU: |a - b| / |b|
#: The networks are tiny and see noise, so what their gradients add up nearly cancels.
WITHIN = {"float32": 1e-3, "tf32": 0.2, "bf16": 0.5, "fp16": 0.2}
HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}
#: cases of whose gradient bf16 leaves noise
NOISE_IN_BF16 = ("local concat infonce", "barlow")
GRADIENTS = [(n, k) for n, k in product(two_processes.CASES, WITHIN) if not (k == "bf16" and n in NOISE_IN_BF16)]


@pytest.mark.parametrize(("name", "kind"), GRADIENTS)
def test_gradients_are_those_of_float64_on_the_cpu(name: str, kind: str) -> None:
    """Every objective and bound, both players."""
    case, (seen, labels) = two_processes.CASES[name], two_processes.batch_of_all()
    expected = two_processes.gradients(case, seen, labels, 0, 1)
    with arithmetic(GPU, tf32=kind == "tf32", deterministic=False):
        on_gpu = seen.float().to(GPU), labels.to(GPU)
        found = two_processes.gradients(case, *on_gpu, 0, 1, autocast=HALF.get(kind)).double().cpu()
    assert ((found - expected).norm() / expected.norm()).item() < WITHIN[kind]


@pytest.mark.parametrize("bound", BOUNDS)
def test_scores_are_float32_under_tf32_and_autocast(bound: str) -> None:
    generator = torch.Generator().manual_seed(0)
    local, glob = (torch.randn(32, each, 512, generator=generator) / 16 for each in (16, 1))
    expected = local_infomax(local.double(), glob.double(), bound)
    with arithmetic(GPU, tf32=True, deterministic=False), torch.autocast("cuda", torch.bfloat16):
        found = local_infomax(local.to(GPU), glob.to(GPU), bound)
    torch.testing.assert_close(found.cpu().double(), expected, rtol=1e-5, atol=1e-5)


@contextmanager
def no_waits() -> Iterator[None]:
    """An error where the CPU would wait for the GPU."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def stepped(recipe: str, precision: str, steps: int = 3) -> torch.Tensor:
    """Steps of a recipe; the last does not wait for the GPU. Its loss."""
    settings = configuration.override(recipes.recipe(recipe, "smoke"), {"training.precision": precision})
    seen, training = images(), settings.training
    if "strided" in recipe:
        seen = type(seen)(seen.images.repeat(2, 2).repeat(2, 3), seen.labels, seen.classes)
    augment = Augmentation(**settings.augmentation)
    AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = Accelerator(mixed_precision=precision)
    game = build_game(settings, augment.output_shape(seen.shape), seen).to(GPU)
    players = {player: optimizer(own, training, GPU) for player, own in game.players().items()}
    step = Step(accelerator, game, players)
    batches = iter(Batches(seen, 8, device=GPU)(0))
    for number, (pixels, labels, index) in zip(range(steps), batches, strict=False):
        batch = Batch(augment(pixels, training.views), labels, index, training.views)
        if number == steps - 1 and recipe != "nat":
            with no_waits():
                turn = step(batch)
        else:
            turn = step(batch)
    assert step.agree(turn, False, False, logged=True) == (False, False)
    return turn.total


@pytest.mark.parametrize("precision", ["no", "bf16", "fp16"])
@pytest.mark.parametrize("recipe", recipes.names())
def test_steps_are_finite_and_do_not_wait(recipe: str, precision: str) -> None:
    """Two players share one scaler in fp16: see `Step`."""
    assert bool(stepped(recipe, precision).isfinite())


@pytest.mark.parametrize("compile", ["step", "graphs"])
def test_a_compiled_step_is_the_same_in_float32_and_does_not_wait(compile: str, tmp_path: Path) -> None:
    """Every objective but `nat`. By `graphs` the last of eight steps is one that CUDA graphs play."""
    for name, found in of_compiled(tmp_path, compile)[compile].items():
        assert found["same names"], name
        assert found["numbers"] < 1e-3, name
        assert found["weights"] < 1e-2, name
        assert found["later"] == 0, name


def test_the_memory_of_a_step_is_bounded() -> None:
    """All pairs of 512 images and 64 places in chunks: 64 MiB of scores at once, and what the gradients take."""
    local = torch.randn(512, 64, 256, device=GPU, requires_grad=True)
    glob = torch.randn(512, 1, 256, device=GPU, requires_grad=True)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    local_infomax(local, glob).backward()
    extra = torch.cuda.max_memory_allocated() - before
    assert extra < local.nbytes + 4 * 64 * 2**20


def test_a_run_is_the_same_bit_for_bit_where_that_is_promised(tmp_path: Path) -> None:
    """Twice, and continued from its half."""
    settings = {"training.steps": 6, "training.deterministic": True, "training.checkpoint_every": 1e9}
    for name in ("one", "two"):
        train(config(**settings), images(), tmp_path / name, device="cuda", quiet=True)
    train(config(**settings | {"training.steps": 3}), images(), tmp_path / "half", device="cuda", quiet=True)
    train(config(**settings), images(), tmp_path / "half", resume=True, device="cuda", quiet=True)
    assert equal(weights(tmp_path / "one"), weights(tmp_path / "two"))
    assert equal(weights(tmp_path / "one"), weights(tmp_path / "half"))


@pytest.mark.parametrize("precision", ["no", "bf16", "fp16"])
def test_a_run_on_the_gpu_ends_near_the_one_on_the_cpu(tmp_path: Path, precision: str) -> None:
    settings = {"training.steps": 4, "training.precision": precision, "training.channels_last": True}
    trained = train(config(**settings), images(), tmp_path / "gpu", device="cuda", quiet=True)
    beside = train(config(**{"training.steps": 4}), images(), tmp_path / "cpu", device="cpu", quiet=True)
    assert next(trained.parameters()).device.type == "cpu"
    sample = torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert torch.cosine_similarity(trained(sample).y.flatten(), beside(sample).y.flatten(), dim=0) > 0.5


class NoFloat64(TorchDispatchMode):
    """An error where a number on the GPU is float64: most compute with them many times more slowly, and Apple's not."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for made in tree_leaves(result):
            if isinstance(made, torch.Tensor) and made.device.type == "cuda":
                assert made.dtype != torch.float64, func
        return result


@pytest.mark.parametrize("loss", [convex.cross_entropy, convex.squared_hinge, convex.balanced_cross_entropy])
def test_probes_compute_in_float32_and_add_up_on_the_cpu(loss: convex.Loss) -> None:
    generator = torch.Generator().manual_seed(0)
    x, labels = torch.randn(500, 20, generator=generator), torch.randint(3, (500,), generator=generator)
    target = torch.nn.functional.one_hot(labels, 3).float() if loss is convex.balanced_cross_entropy else labels
    settings: Any = {"loss": loss, "weight_decay": 0.1, "iterations": 20}
    expected = convex.fit(x, target, 3, **settings)
    with NoFloat64():
        found = convex.fit(x.to(GPU), target.to(GPU), 3, **settings)
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-2, atol=1e-3)


TWO = """
import sys
sys.path[:0] = [{tests!r}]
from test_loop import config, images
from deepinfomax.training.loop import train
from deepinfomax.training.processes import end_group

train(config(**{{"training.steps": 4}}), images(), {run!r}, quiet=True)
end_group()
"""


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs a second NVIDIA GPU")
def test_two_gpus_share_a_network_that_is_cut() -> None:
    """FSDP2 by Accelerate; its numbers are compared by tests/training/test_sharded.py."""
    command = [*TORCHRUN, str(Path(__file__).parents[2] / "examples/sharded.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANGS, env=ENVIRONMENT, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.startswith("2 processes, ")


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs a second NVIDIA GPU")
def test_two_gpus_train_together(tmp_path: Path) -> None:
    script, run = tmp_path / "two.py", tmp_path / "run"
    script.write_text(TWO.format(tests=str(Path(__file__).parents[1] / "training"), run=str(run)))
    done = subprocess.run(
        [*TORCHRUN, str(script)], capture_output=True, text=True, timeout=HANGS, env=ENVIRONMENT, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert sys.executable in TORCHRUN
    assert weights(run)
