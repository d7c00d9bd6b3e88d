"""Deep InfoMax with weights, gradients and Adam's averages cut among GPUs: FSDP2 through Accelerate.

torchrun --nproc_per_node=2 examples/sharded.py    # alone, or on CPUs, it trains whole networks all the same
"""

import torch
from accelerate import Accelerator
from accelerate.utils import FullyShardedDataParallelPlugin
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset

from deepinfomax import encoders
from deepinfomax.objectives import Batch, Facts, Game, LocalInfoMax, PriorMatching

torch.manual_seed(0)
images = torch.from_numpy(load_digits().images).float().unsqueeze(1) / 8 - 1  # (1797, 1, 8, 8) in [-1, 1]
encoder = encoders.build("resnet18", (1, 8, 8), width=16, y=16)
facts = Facts.of(encoder, (1, 8, 8))
# One network is cut, so no prior with a second player: SIGReg has none.
local, prior = LocalInfoMax(facts, units=64, scale=1 / 8), PriorMatching(facts, by="sigreg")
game = Game(encoder, {"local": (1.0, local), "prior": (0.1, prior)})

# A block is put together from all GPUs when its turn comes, and is not kept.
cut = FullyShardedDataParallelPlugin(
    fsdp_version=2, auto_wrap_policy="transformer_based_wrap", transformer_cls_names_to_wrap=["BasicBlock"]
)
accelerator = Accelerator(fsdp_plugin=cut)
game, adam = accelerator.prepare(game, torch.optim.Adam(game.players()["encoder"], lr=1e-3))
loader = accelerator.prepare(DataLoader(TensorDataset(images), batch_size=64, shuffle=True, drop_last=True))
for batch, _ in zip(loader, range(10), strict=False):
    turn = game(Batch(*batch))
    adam.zero_grad()
    accelerator.backward(turn.total)
    adam.step()
whole = accelerator.get_state_dict(game)  # on the first process, for encoders.storage.save
if accelerator.is_main_process:
    print(f"{accelerator.num_processes} processes, {len(whole)} tensors, {turn.measured['local/bound']:.2f} nats")
accelerator.end_training()
