"""Run by test_sharded.py in two gloo processes: FSDP2 as Accelerate does it, against one process with the whole batch.

Accelerate shards on GPUs only, and on CPUs takes DistributedDataParallel; `Sharding` tells it otherwise.
"""

import copy
import os
import runpy
import sys
from pathlib import Path
from typing import Any

import accelerate
import torch
import torch.distributed as dist
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin

from deepinfomax import encoders
from deepinfomax.objectives import Batch, Facts, Game, LocalInfoMax, PriorMatching
from deepinfomax.training.processes import leave

IMAGE, IMAGES = (3, 16, 16), 8


class Sharding(accelerate.Accelerator):
    """An accelerator that shards on CPUs too."""

    def __init__(self, fsdp_plugin: FullyShardedDataParallelPlugin) -> None:
        fsdp_plugin.cpu_ram_efficient_loading = False  # it would send the weights by way of a GPU
        super().__init__(cpu=True)
        self.state.distributed_type, self.state.fsdp_plugin = DistributedType.FSDP, fsdp_plugin

    @property
    def is_fsdp2(self) -> bool:
        return True

    def prepare(self, *objects: Any, **more: Any) -> Any:
        return super().prepare(*objects, **({"device_placement": [False] * len(objects)} | more))


def steps(game: torch.nn.Module, optimizer: Any, images: torch.Tensor) -> None:
    for _ in range(3):
        turn = game(Batch(images))
        optimizer.zero_grad()
        turn.total.backward()
        optimizer.step()


def check_numbers() -> None:
    """Three steps end at the weights of one process that has the whole batch, and each process keeps half of them."""
    torch.manual_seed(0)
    encoder = encoders.build("dcgan", IMAGE, width=4, fc=8, y=6)
    facts = Facts.of(encoder, IMAGE)
    objectives = {"local": (1.0, LocalInfoMax(facts, units=12)), "prior": (0.1, PriorMatching(facts, by="sigreg"))}
    game = Game(encoder, objectives).double().eval()  # BatchNorm would mix the images of a process
    images = torch.randn(IMAGES, *IMAGE, dtype=torch.double)
    alone = copy.deepcopy(game)
    torch.manual_seed(1)  # directions of the prior
    steps(alone, torch.optim.SGD(alone.parameters(), lr=0.1, momentum=0.9), images)
    cut = FullyShardedDataParallelPlugin(
        fsdp_version=2, auto_wrap_policy="transformer_based_wrap", transformer_cls_names_to_wrap=["Sequential"]
    )
    accelerator = Sharding(cut)
    game, optimizer = accelerator.prepare(game, torch.optim.SGD(game.parameters(), lr=0.1, momentum=0.9))
    rank, world = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(1)
    steps(game, optimizer, images[rank * IMAGES // world :][: IMAGES // world])
    whole = torch.cat([parameter.full_tensor().flatten() for parameter in game.parameters()])
    expected = torch.cat([parameter.flatten() for parameter in alone.parameters()])
    assert ((whole - expected).norm() / expected.norm()).item() < 1e-12
    here = sum(parameter.to_local().numel() for parameter in game.parameters())
    assert 0.4 < here / len(whole) < 0.6
    saved = accelerator.get_state_dict(game)
    if rank == 0:
        torch.testing.assert_close(saved["encoder.y.weight"], alone.encoder.y.weight.detach(), rtol=1e-12, atol=1e-12)


def main() -> None:
    torch.set_num_threads(1)
    check_numbers()
    accelerate.state.AcceleratorState._reset_state()  # another accelerator, in the same group of processes
    accelerate.Accelerator = Sharding  # type: ignore[misc]
    sys.argv = ["sharded.py"]
    runpy.run_path(str(Path(__file__).parents[2] / "examples/sharded.py"))
    if os.environ["RANK"] == "0":
        print("checked")
    leave(0)  # meshes of cut networks may keep a group alive, whose threads then abort Python's own end


if __name__ == "__main__":
    main()
