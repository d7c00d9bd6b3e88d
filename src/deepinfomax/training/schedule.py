"""Seed, learning rate and batch of a step, as functions of the step's number alone, so that a run can be resumed."""

import itertools
import math
from collections.abc import Iterable, Iterator

from torch import Tensor
from torch.optim import Optimizer

from deepinfomax.config import Training
from deepinfomax.data.batches import Batches
from deepinfomax.data.stream_batches import StreamBatches


def count_steps(training: Training, steps_per_epoch: int) -> int:
    """How many steps the run has: those of its epochs, or `training.steps` if that is fewer.

    Args:
        steps_per_epoch: 0 if the length of the data is not known; then `training.steps` must be set.
    """
    steps = training.epochs * steps_per_epoch or training.steps or 0
    return steps if training.steps is None else min(steps, training.steps)


def step_seed(seed: int, step: int, process: int) -> int:
    """The seed for all random numbers of one process in one step; every step of a run has a different one."""
    return ((seed * 2_000_003 + step) * 4_099 + process) % 2**64  # all that torch takes


def learning_rate(training: Training, step: int, steps: int) -> float:
    """The learning rate at a step, 1 to `steps`: a linear warm-up, then constant, or half a cosine to near zero."""
    factor = min(1.0, step / training.warmup) if training.warmup else 1.0
    if training.schedule == "cosine":
        factor *= 0.5 * (1 + math.cos(math.pi * (step - 1) / steps))
    return training.lr * factor


def set_learning_rate(optimizers: Iterable[Optimizer], rate: float) -> None:
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate


def batches_from(
    batches: Batches | StreamBatches, done: int, steps: int
) -> Iterator[tuple[int, tuple[Tensor, Tensor | None, Tensor | None]]]:
    """Yields (number of the step, batch) for each step after `done`, up to `steps`, over as many epochs as needed."""
    if isinstance(batches, StreamBatches):
        yield from batches.after(done, steps)
        return
    first_epoch, start = divmod(done, len(batches))
    epochs = itertools.chain.from_iterable(
        batches(epoch, start=start if epoch == first_epoch else 0) for epoch in itertools.count(first_epoch)
    )
    yield from zip(range(done + 1, steps + 1), epochs, strict=False)
