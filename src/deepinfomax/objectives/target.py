"""A copy of networks whose weights are an exponential moving average of the originals' (BYOL's target network)."""

import copy
from collections.abc import Sequence

import torch
from torch import nn


class Target(nn.Module):
    """Copies of networks; each call of `follow` changes every weight w' of a copy to τ·w' + (1 - τ)·w.

    The copies' weights get no gradient and belong to no player, but they are saved with the run. The running averages
    of BatchNorm are not copied: the copies compute their own.

    Args:
        networks: the originals. They do not become submodules of this module.
        momentum: τ.
    """

    def __init__(self, networks: Sequence[nn.Module], momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.copies = nn.ModuleList([copy.deepcopy(network) for network in networks]).requires_grad_(False)
        self._beside = tuple(networks)  # a tuple hides them from PyTorch: they are not this module's submodules

    @torch.no_grad()
    def follow(self) -> None:
        for followed, own in zip(self._beside, self.copies, strict=True):
            for weight, copied in zip(followed.parameters(), own.parameters(), strict=True):
                copied.lerp_(weight, 1 - self.momentum)
