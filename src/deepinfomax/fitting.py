"""Building blocks for training small networks: mini-batches, steps of Adam, the best weights, accuracy.

Probes, decoders and critics are trained by a loop like this:

>>> adam = ScheduledAdam(network, lr=1e-3, schedule=tenth_after(300, 450))
>>> batches = mini_batches(len(x), 64)
>>> for step in progress.counted(600, "step"):
...     rows = next(batches)
...     adam.step(cross_entropy(network(x[rows]), labels[rows]))
>>> accuracy(lambda rows: network(x[rows]), labels)
"""

import copy
import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, MultiStepLR

Schedule = Callable[[torch.optim.Optimizer], LRScheduler]


def mini_batches(count: int, batch_size: int, *, generator: torch.Generator | None = None) -> Iterator[Tensor]:
    """Endless batches of positions (batch_size,) among `count` rows.

    The rows are shuffled again when fewer than a batch are left, so every batch has the full size, and no row comes
    twice between two shuffles. If there are fewer than `batch_size` rows, each batch has all of them.

    Args:
        generator: for shuffling; None: torch's global random state.
    """
    batch_size = min(batch_size, count)
    order = torch.empty(0, dtype=torch.int64)
    while True:
        if len(order) < batch_size:
            order = torch.randperm(count, generator=generator)
        yield order[:batch_size]
        order = order[batch_size:]


def steps_of(epochs: int, count: int, batch_size: int, *, at_most: int | None = None) -> int:
    """Number of steps for `epochs` passes through `count` rows in `mini_batches`, but not more than `at_most`."""
    steps = epochs * (count // min(batch_size, count))
    return steps if at_most is None else min(steps, at_most)


def tenth_after(*steps: int) -> Schedule:
    """A learning rate that falls to a tenth after each of these steps."""
    return lambda optimizer: MultiStepLR(optimizer, list(steps), gamma=0.1)


def cosine(steps: int) -> Schedule:
    """A learning rate that falls to 0 over `steps` as half a cosine."""
    return lambda optimizer: CosineAnnealingLR(optimizer, steps)


class ScheduledAdam:
    """Adam with a schedule of its learning rate and a limit on the norm of its gradient.

    Args:
        modules: the modules that are trained together.
        lr: learning rate at the start.
        schedule: makes the scheduler, which is updated after each step; None: the learning rate is constant.
        clip: the largest norm of the gradient; None: no limit. With `clip`, steps whose gradient is not finite are
            skipped, and counted by `skipped`.
    """

    def __init__(
        self,
        *modules: nn.Module,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        schedule: Schedule | None = None,
        clip: float | None = None,
    ) -> None:
        self.parameters = [p for module in modules for p in module.parameters()]
        self.adam = torch.optim.Adam(self.parameters, lr=lr, betas=betas)
        self.scheduler = schedule(self.adam) if schedule is not None else None
        self.clip = clip
        self.skipped = 0

    def step(self, loss: Tensor) -> None:
        """Take one step down the gradient of `loss`, a scalar."""
        self.adam.zero_grad()
        loss.backward()
        if self.clip is not None and not nn.utils.clip_grad_norm_(self.parameters, self.clip).isfinite():
            self.skipped += 1
            return
        self.adam.step()
        if self.scheduler is not None:
            self.scheduler.step()


class Best:
    """Keeps the weights of a module at the step with the highest held-out value; at first its initial weights."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.value, self.step = -math.inf, 0
        self._weights = copy.deepcopy(module.state_dict())

    def keep_if_higher(self, value: float, step: int) -> None:
        """Keep the present weights if `value` is higher than all values before."""
        if value > self.value:
            self.value, self.step = value, step
            self._weights = copy.deepcopy(self.module.state_dict())

    def restore(self) -> None:
        """Load the best weights into the module."""
        self.module.load_state_dict(self._weights)


@torch.inference_mode()
def accuracy(classify: Callable[[slice], Tensor], labels: Tensor, *, rows: int = 500) -> float:
    """Fraction of rows with the highest score at their label.

    Args:
        classify: slice of rows -> their scores (rows, classes); its network must be in eval mode.
        labels: (N,) int64; for the label -1 every answer is wrong.
        rows: how many rows are classified at once.
    """
    right = 0
    for start in range(0, len(labels), rows):
        part = slice(start, start + rows)
        right += int((classify(part).argmax(1) == labels[part]).sum())
    return right / len(labels)
