"""Training a critic of pairs by a bound. Pairs that it is not trained on decide when to stop."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from deepinfomax.fitting import Best, ScheduledAdam, mini_batches
from deepinfomax.information import bounds, readouts
from deepinfomax.information.estimators import Estimator
from deepinfomax.information.vector_critics import score_all_pairs
from deepinfomax.progress import counted


@dataclass(frozen=True)
class Fit:
    """How the training of a critic went."""

    steps: int  #: steps, including skipped ones
    skipped: int  #: steps that changed nothing, because the loss or its gradient was not finite
    #: at each evaluation: the training bound on all combinations of the stopping pairs, in nats; of JSD, the least
    #: mutual information that the divergence allows
    stopping: tuple[float, ...]
    gave_up: bool  #: whether it stopped early because the stopping value did not improve any more

    @property
    def rise(self) -> float:
        """By how many nats the best stopping value rose over the second half of the evaluations; 0 if it gave up.

        Not over the last quarter, where the learning rate is nearly zero and the value does not change.
        """
        if self.gave_up or len(self.stopping) < 2:
            return 0.0
        best = np.fmax.accumulate(self.stopping).tolist()
        return best[-1] - best[(len(best) - 1) // 2]

    @property
    def fall(self) -> float:
        """By how many nats the last stopping value is below the best; 0 if none are finite."""
        finite = [value for value in self.stopping if math.isfinite(value)]
        return max(finite) - finite[-1] if finite else 0.0


def train_critic(
    critic: nn.Module,
    estimator: Estimator,
    x: Shaped[Tensor, "N *D"],
    y: Float[Tensor, "N E"],
    x_stop: Shaped[Tensor, "S *D"],
    y_stop: Float[Tensor, "S E"],
    *,
    steps: int,
    batch_size: int,
    lr: float,
    patience: int,
    generator: torch.Generator,
    evaluations: int = 40,
    batches: Iterator[Tensor] | None = None,
) -> Fit:
    """Train `critic` in place on pairs (x_i, y_i); at the end it has the weights of the best stopping value.

    The stopping value is the training bound on all combinations of the stopping pairs, not the readout.

    Args:
        critic: `critic(x, y)` scores all combinations of rows, (N, ...), (M, ...) -> (N, M).
        x_stop, y_stop: the stopping pairs.
        patience: number of evaluations without a better stopping value after which training ends.
        generator: draws the batches.
        evaluations: how often the stopping value is computed over all `steps`.
        batches: positions of the pairs of each batch; None: all pairs, shuffled, `batch_size` at a time.
    """
    bound = bounds.get(estimator.trained_by)
    # NWJ's e^u can overflow. A step with such a gradient would ruin the weights, so it is skipped.
    adam = ScheduledAdam(critic, lr=lr, schedule=lambda o: CosineAnnealingLR(o, steps), clip=5.0)
    average = MovingAverage() if estimator.averaged else None
    batches = batches or mini_batches(len(x), batch_size, generator=generator)
    every = max(1, steps // evaluations)
    best, stopping = Best(critic), []
    step, gave_up = 0, False
    for step in counted(steps, "step"):
        rows = next(batches).to(x.device)
        scores = critic(x[rows], y[rows]).float()  # also under autocast: sums of exponentials need float32
        positive, negative = scores.diagonal().unsqueeze(1), off_diagonal(scores)
        adam.step(average.loss(positive, negative) if average else -bound(positive, negative))
        if step % every == 0 or step == steps:
            value = _stopping_value(critic, bound, x_stop, y_stop)
            in_nats = readouts.least_kl(math.log(2) - value / 2) if estimator.trained_by == "jsd" else value
            stopping.append(in_nats if math.isfinite(value) else value)
            best.keep_if_higher(value, step)
            if step - best.step >= patience * every:
                gave_up = True
                break
    best.restore()
    critic.eval()
    return Fit(step, adam.skipped, tuple(stopping), gave_up)


def _stopping_value(critic: nn.Module, bound: bounds.Bound, x: Tensor, y: Tensor) -> float:
    critic.eval()
    scores = score_all_pairs(critic, x, y).float()
    critic.train()
    return float(bound(scores.diagonal().unsqueeze(1), off_diagonal(scores)))


class MovingAverage:
    """MINE's bias-corrected gradient of DV (Belghazi et al. 2018, §3.2), in log space.

    The gradient of -log E_M e^u on a batch is biased, because the batch is also in the denominator. So a moving average
    of the denominator is used instead. Its logarithm is stored, so that no score overflows: the loss depends on the
    scores through exp(log-mean-exp of the batch - log of the average), which is at most 1 / (1 - decay).
    """

    def __init__(self, decay: float = 0.99) -> None:
        self.decay = decay
        self.log_average: Tensor | None = None

    def loss(self, positive: Float[Tensor, "*anchors P"], negative: Float[Tensor, "*anchors K"]) -> Float[Tensor, ""]:
        """A scalar with the corrected gradient; its value means nothing."""
        log_mean = negative.flatten().logsumexp(0) - math.log(negative.numel())
        new = log_mean.detach()
        if self.log_average is not None:
            new = torch.logaddexp(self.log_average + math.log(self.decay), new + math.log1p(-self.decay))
        self.log_average = new
        return torch.exp(log_mean - new) - positive.mean()


def off_diagonal(scores: Float[Tensor, "n n"]) -> Float[Tensor, "n n-1"]:
    """Each row without its diagonal element."""
    n = len(scores)
    return scores.flatten()[:-1].view(n - 1, n + 1)[:, 1:].reshape(n, n - 1)
