"""Looking at a network without changing it: in eval mode, or with the running averages of BatchNorm left alone."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _NormBase


@contextmanager
def in_eval_mode(network: nn.Module) -> Iterator[None]:
    """Within the block the whole network is in eval mode; afterwards every module has its former mode again.

    network.train() alone would not do: it would also put modules into training mode that were frozen in eval mode.
    """
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


@contextmanager
def without_running_averages(network: nn.Module) -> Iterator[None]:
    """Within the block BatchNorm normalises by its batch as in training, and its running averages stay as they are."""
    tracking = [m for m in network.modules() if isinstance(m, _NormBase) and m.track_running_stats and m.training]
    momenta = [module.momentum for module in tracking]
    counts = [module.num_batches_tracked for module in tracking]
    before = [None if count is None else count.clone() for count in counts]
    for module in tracking:
        module.momentum = 0.0
    try:
        yield
    finally:
        for module, momentum, count, old in zip(tracking, momenta, counts, before, strict=True):
            module.momentum = momentum
            if count is not None and old is not None:
                count.copy_(old)
