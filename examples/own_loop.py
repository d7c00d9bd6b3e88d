"""Deep InfoMax in your own loop: your DataLoader, your network, your optimizers. Runs in seconds on a CPU."""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from deepinfomax.features import Features
from deepinfomax.objectives import Batch, Facts, Game, LocalInfoMax, PriorMatching, play


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.local = nn.Sequential(nn.Conv2d(1, 32, 3), nn.BatchNorm2d(32), nn.ReLU())
        self.y = nn.Sequential(nn.Flatten(), nn.Linear(32 * 36, 128), nn.ReLU(), nn.Linear(128, 16))

    def forward(self, images: torch.Tensor) -> Features:
        local = self.local(images)
        return Features(local=local, conv=None, fc=None, y=self.y(local))


torch.manual_seed(0)
images = torch.from_numpy(load_digits().images).float().unsqueeze(1) / 8 - 1  # (1797, 1, 8, 8) in [-1, 1]
loader = DataLoader(TensorDataset(images), batch_size=128, shuffle=True, drop_last=True)

encoder = Network()
facts = Facts.of(encoder, (1, 8, 8))
objectives = {"local": (1.0, LocalInfoMax(facts, units=64, scale=1 / 8)), "prior": (0.1, PriorMatching(facts))}
game = Game(encoder, objectives)
optimizers = {player: torch.optim.Adam(its, lr=1e-3) for player, its in game.players().items()}

for epoch in range(3):
    for (batch,) in loader:
        turn = play(game, Batch(batch), optimizers)
    bound, cap = turn.measured["local/bound"], turn.measured["local/cap"]
    print(f"epoch {epoch}: {bound:.2f} of {cap:.2f} nats, " + ", ".join(turn.losses))
