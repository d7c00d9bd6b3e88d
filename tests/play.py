"""A game of one or two players in a dozen lines, and images small enough to play it in seconds."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from deepinfomax.objectives import Batch, TwoPlayer


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
    own, others = parameters(encoder, objectives)
    first = torch.optim.Adam(own, lr=lr, betas=(0.5, 0.999))
    second = torch.optim.Adam(others, lr=lr, betas=(0.5, 0.999)) if others else None
    for step in range(steps):
        for optimizer in (first, second) if second is not None else (first,):
            optimizer.param_groups[0]["lr"] = lr * (1 - step / steps)
        index = torch.randperm(len(images))[:batch_size]
        batch = Batch(images[index], None if labels is None else labels[index], index)
        features = encoder(batch.images)
        loss = sum(w * term for o, w in objectives.items() for term in o(features, batch).values())
        first.zero_grad()
        loss.backward()
        first.step()
        if second is not None:
            features = features.detach()
            loss = sum(t for o in objectives if isinstance(o, TwoPlayer) for t in o.adversary(features, batch).values())
            second.zero_grad()
            loss.backward()
            second.step()


def parameters(encoder: nn.Module, objectives: Iterable[nn.Module]) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Those of player one, those of player two."""
    others = [
        p for o in objectives if isinstance(o, TwoPlayer) for network in o.players() for p in network.parameters()
    ]
    theirs = {id(p) for p in others}
    own = [p for module in (encoder, *objectives) for p in module.parameters() if id(p) not in theirs]
    return own, others


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
