"""Looking at a network in eval mode, and leaving each of its parts in the mode it was in."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def in_eval_mode(network: nn.Module) -> Iterator[None]:
    """Within the block all of the network is in eval mode; afterwards the mode of every module is as before.

    Of every module: train(True) for the whole would wake the BatchNorm that somebody froze in it.
    """
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
