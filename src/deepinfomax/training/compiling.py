"""`training.compile`: the encoder, or both players' turns, compiled by torch.compile.

Networks are compiled in place, so their parameters keep their names. Optimizers are not compiled: a fused one is one or
two kernels already, and it would be compiled again for every learning rate of a schedule.
"""

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.optim import Optimizer

from deepinfomax.config import Compile
from deepinfomax.devices import full_float32
from deepinfomax.errors import UserError
from deepinfomax.features import Features
from deepinfomax.objectives.game import Game, Turn
from deepinfomax.objectives.protocol import Batch, Compiles
from deepinfomax.training.step import Step

#: option of torch.compile: random numbers are the same as without compiling
SAME_DRAWS = {"fallback_random": True}
#: option of torch.compile, the same as `mode="reduce-overhead"`, which cannot be combined with options
CUDA_GRAPHS = {"triton.cudagraphs": True}


def check_compile(compile: Compile, device: torch.device, processes: int) -> None:
    """Raises UserError if a run on this device, with this number of processes, cannot be compiled in this way."""
    if compile in ("encoder", "step") and device.type == "cpu":
        check_compiler()
    if compile != "graphs":
        return
    if device.type != "cuda":
        raise UserError(
            f"training.compile graphs needs an NVIDIA GPU, and this run is on {device.type}: set it to step"
        )
    if processes > 1:
        raise UserError(f"training.compile graphs is for one process, and {processes} are here: set it to step")


def check_compiler() -> None:
    """Raises UserError if this machine has no C++ compiler: torch looks for one in the first step, too late."""
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        raise UserError(
            "training.compile needs a C++ compiler on a CPU, and none was found: install g++, or name another in the "
            "environment variable CXX, or set it to false"
        ) from None


def step_of(compile: Compile, accelerator: Accelerator, game: Game, optimizers: Mapping[str, Optimizer]) -> Step:
    """The step of a run, compiled as `training.compile` says; torch compiles it when it is first called."""
    if compile in ("step", "graphs"):
        return CompiledStep(accelerator, game, optimizers, graphs=compile == "graphs")
    if compile == "encoder":
        game.encoder.compile()
    return Step(accelerator, game, optimizers)


def compile_turns(game: Game, **how: Any) -> None:
    """Compile both players' turns, in place.

    If an objective cannot be compiled, only the encoder of the first player is: torch.compile does not compile any part
    of a loop that it cannot compile completely, here the loop over objectives.

    Args:
        how: arguments of torch.compile.
    """
    # torch warns about old names that it uses itself, and about full float32, which is intended.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch\._inductor\b")
    warnings.filterwarnings("ignore", "TensorFloat32 tensor cores")
    whole = all(own.compiles for own in game.objectives.values() if isinstance(own, Compiles))
    for part in (game if whole else game.encoder, game.opponents):
        if part is not None:
            part.compile(dynamic=False, **how)


class CompiledStep(Step):
    """The step with both players' turns compiled.

    Args:
        graphs: run them as CUDA graphs. A graph writes into the same memory in every step, so copies are returned.
    """

    def __init__(
        self, accelerator: Accelerator, game: Game, optimizers: Mapping[str, Optimizer], *, graphs: bool = False
    ) -> None:
        self.graphs = graphs
        super().__init__(accelerator, game, optimizers)

    def _prepare(self) -> None:
        # Not earlier: several processes first look for parameters without a gradient, which need not be compiled.
        assert isinstance(self.game, Game)
        compile_turns(self.game, options=SAME_DRAWS | (CUDA_GRAPHS if self.graphs else {}))
        super()._prepare()

    def __call__(self, batch: Batch) -> Turn:
        """As `Step`."""
        if self.graphs:
            torch.compiler.cudagraph_mark_step_begin()
        # Without this torch.compile splits a turn at `torch.autograd.grad`: gradient penalties could not be
        # differentiated, and `cpc` would have wrong gradients without an error. It also cannot use different
        # precisions for scores and networks, so all matrix products of a step are in full float32.
        with torch._dynamo.config.patch(trace_autograd_ops=True), full_float32(self.accelerator.device):
            turn = super().__call__(batch)
        return _copy(turn) if self.graphs else turn


def _copy(turn: Turn) -> Turn:
    """A copy of all tensors of a turn."""

    def copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: tensor.clone() for name, tensor in tensors.items()}

    features = Features(*(None if level is None else level.clone() for level in turn.features))  # type: ignore[arg-type]
    return Turn(features, turn.total.clone(), copies(turn.losses), copies(turn.measured), turn.y.clone())
