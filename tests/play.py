"""A game played on images in a dozen lines, and images small enough to play it in seconds."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from deepinfomax.objectives import Batch, Game
from deepinfomax.objectives import play as objectives_play


def blobs(count: int, seed: int = 0, side: int = 8) -> Tensor:
    """Images (count, 1, side, side) in [-1, 1] of a bright blob; its place, two uniform numbers, is all that varies."""
    place = torch.rand(count, 2, 1, 1, generator=torch.Generator().manual_seed(seed)) * 0.6 + 0.2
    axis = (torch.arange(side) + 0.5) / side
    distance = (axis[:, None] - place[:, 0]).square() + (axis[None, :] - place[:, 1]).square()
    return 2 * torch.exp(-distance / 0.03).unsqueeze(1) - 1


def play(
    encoder: nn.Module,
    objectives: dict[nn.Module, float],
    images: Tensor,
    *,
    steps: int,
    labels: Tensor | None = None,
    batch_size: int = 64,
    lr: float = 2e-3,
    seed: int = 0,
) -> None:
    """Train the encoder by the weighted objectives, and their opponents against them; the rate falls to zero."""
    torch.manual_seed(seed)
    game = game_of(encoder, objectives)
    optimizers = {
        player: torch.optim.Adam(parameters, lr=lr, betas=(0.5, 0.999)) for player, parameters in game.players().items()
    }
    for step in range(steps):
        for optimizer in optimizers.values():
            optimizer.param_groups[0]["lr"] = lr * (1 - step / steps)
        index = torch.randperm(len(images))[:batch_size]
        objectives_play(game, Batch(images[index], None if labels is None else labels[index], index), optimizers)


def game_of(encoder: nn.Module, objectives: dict[nn.Module, float]) -> Game:
    return Game(encoder, {str(i): (weight, objective) for i, (objective, weight) in enumerate(objectives.items())})


def parameters(encoder: nn.Module, objectives: Iterable[nn.Module]) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Those of player one, those of player two."""
    players = game_of(encoder, dict.fromkeys(objectives, 1.0)).players()
    return players["encoder"], players.get("opponents", [])


def energy_test(x: Tensor, y: Tensor, permutations: int = 200) -> float:
    """p-value of "x (N, D) and y (M, D) have one distribution": the energy distance among those of permuted samples."""
    both = torch.cat([x, y])
    distance = torch.cdist(both, both)
    generator = torch.Generator().manual_seed(0)

    def energy(order: Tensor) -> Tensor:
        a, b = order[: len(x)], order[len(x) :]
        return 2 * distance[a][:, b].mean() - distance[a][:, a].mean() - distance[b][:, b].mean()

    observed = energy(torch.arange(len(both)))
    permuted = [energy(torch.randperm(len(both), generator=generator)) for _ in range(permutations)]
    return (1 + sum(bool(e >= observed) for e in permuted)) / (1 + permutations)
