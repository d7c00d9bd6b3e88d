"""A copy of networks that follows them slowly, by an exponential moving average of their weights."""

import copy
from collections.abc import Sequence

import torch
from torch import nn


class Target(nn.Module):
    """Copies of networks; every `follow` moves each weight w' to τ·w' + (1 - τ)·w.

    Its weights take no gradient and belong to no player; they are part of the state that a run saves. Running averages
    of BatchNorm are the copy's own: it sees the same images.

    Args:
        networks: what is copied and followed. They stay where they are, outside of this module.
        momentum: τ.
    """

    def __init__(self, networks: Sequence[nn.Module], momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.copies = nn.ModuleList([copy.deepcopy(network) for network in networks]).requires_grad_(False)
        self._beside = tuple(networks)  # in a tuple, so that they are no sub-modules of two parents

    @torch.no_grad()
    def follow(self) -> None:
        for followed, own in zip(self._beside, self.copies, strict=True):
            for weight, copied in zip(followed.parameters(), own.parameters(), strict=True):
                copied.lerp_(weight, 1 - self.momentum)
