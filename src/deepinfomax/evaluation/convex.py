"""Linear classifiers as convex problems: L-BFGS on the device, with the gradients written out.

The problem is to minimise mean loss(x W + b, target) + λ/2 ‖W‖². The intercept b is not decayed. With λ = 1 / (C·N)
these are the problems of scikit-learn's LogisticRegression and LinearSVC (which decays its intercept too). Those two
are not used, because they run on no GPU and take no starting point.
"""

import itertools
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot

from deepinfomax.progress import say, within

#: scores (N, K), target -> the mean loss over N, and its derivative (N, K) by the scores
Loss = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
#: Fewer held-out images than this cannot choose a weight decay λ. Then it is `DEFAULT_DECAY`, the λ of scikit-learn's
#: C = 1 for ten labels of each of ten classes.
FEWEST_HELD_OUT, DEFAULT_DECAY = 200, 0.01


def cross_entropy(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """-log softmax at the label, in nats; labels (N,)."""
    log_p = scores.log_softmax(1)
    rows = torch.arange(len(scores), device=scores.device)
    loss = -_double(log_p[rows, labels]).mean()
    error = log_p.exp()
    error[rows, labels] -= 1
    return loss, error / len(scores)


def squared_hinge(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Σ over classes of max(0, 1 - s)²; labels (N,). s is the score of a row's class, and -score of any other class."""
    sign = 2 * one_hot(labels, scores.shape[1]).to(scores) - 1
    shortfall = (1 - sign * scores).clamp_min_(0)
    return _double(shortfall).square().sum(1).mean(), -2 * sign * shortfall / len(scores)


def balanced_cross_entropy(scores: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Binary cross-entropy in nats; yes and no of every attribute weigh the same; targets (N, K) of 0 and 1.

    The mean over attributes of half the mean loss of the images with the attribute, plus half the mean loss of those
    without. An attribute that all images have, or none, has only one of the halves.
    """
    weight = balance(targets)
    each = binary_cross_entropy_with_logits(scores, targets, reduction="none")
    return _double(weight * each).sum(), weight * (scores.sigmoid() - targets)


def balance(targets: Tensor) -> Tensor:
    """Weights (N, K) of each answer, from targets (N, K) of 0 and 1.

    They sum to 1 over all attributes; the yes answers of an attribute weigh as much as its no answers.
    """
    has = targets.sum(0)
    weight = torch.where(targets > 0.5, 0.5 / has, 0.5 / (len(targets) - has))
    return weight / targets.shape[1]


def _double(values: Tensor) -> Tensor:
    """In fp64, for sums; on the CPU where the device has no fp64 (Apple's GPU)."""
    return (values.cpu() if values.device.type == "mps" else values).double()


def fit(
    x: Tensor,
    target: Tensor,
    outputs: int,
    *,
    loss: Loss,
    weight_decay: float,
    iterations: int,
    start: Tensor | None = None,
) -> Tensor:
    """The minimum: weights (units + 1, outputs), with the intercept in the last row.

    Args:
        x: (N, units) float32.
        weight_decay: λ.
        iterations: of L-BFGS, at most. It ends earlier when an iteration gains less than a millionth of the value.
        start: weights to begin with; None: zeros.
    """
    shape = (x.shape[1] + 1, outputs)

    def loss_and_gradient(flat: np.ndarray) -> tuple[float, np.ndarray]:
        w = torch.from_numpy(flat.reshape(shape)).to(x.dtype).to(x.device)
        value, error = loss(torch.addmm(w[-1], x, w[:-1]), target)
        value = value + weight_decay / 2 * _double(w[:-1]).square().sum()
        gradient = torch.empty_like(w)
        # errorᵀ x, not xᵀ error: on a CPU the second is 17 times slower, for the same numbers.
        gradient[:-1] = torch.mm(error.T, x).T + weight_decay * w[:-1]
        gradient[-1] = error.sum(0)
        return float(value), gradient.cpu().double().numpy().ravel()

    initial = np.zeros(shape) if start is None else start.cpu().double().numpy()
    # A relative fall below 1e-6 is below what sums in fp32 can tell apart.
    options = {"maxiter": iterations, "ftol": 1e-6, "gtol": 1e-5}
    numbers = itertools.count(1)

    def after_iteration(_weights: np.ndarray) -> None:
        say(f"iteration {next(numbers)} of {iterations} at most")

    from scipy.optimize import minimize  # a slow import, and only needed here

    minimum = minimize(
        loss_and_gradient, initial.ravel(), jac=True, method="L-BFGS-B", options=options, callback=after_iteration
    )
    return torch.from_numpy(minimum.x.reshape(shape)).to(x.dtype).to(x.device)


def scores(weights: Tensor, x: Tensor) -> Tensor:
    """weights (units + 1, outputs), x (N, units) -> (N, outputs)"""
    return torch.addmm(weights[-1], x, weights[:-1])


def accuracy(weights: Tensor, x: Tensor, labels: Tensor) -> float:
    """Fraction of the rows (N, units) with the highest score at their label (N,)."""
    return int((scores(weights, x).argmax(1) == labels).sum()) / len(x)


def candidates(decays: tuple[float, ...], held_out: int) -> tuple[float, ...]:
    """The decays to choose from with `held_out` images: all of them, or the default alone where that is too few."""
    return (DEFAULT_DECAY,) if len(decays) > 1 and held_out < FEWEST_HELD_OUT else decays


def choose_decay(
    x: Tensor,
    labels: Tensor,
    classes: int,
    decays: tuple[float, ...],
    *,
    loss: Loss,
    iterations: int,
    fitted: Tensor,
    held_out: Tensor,
) -> tuple[float, Tensor]:
    """The λ with the highest accuracy on the `held_out` rows after a fit of the `fitted` rows, and the fitted weights.

    `decays` fall, and each fit starts at the weights of the one before, so that the whole path costs little more than
    its last fit. The path ends early after two decays that are worse than the best since that was found. An equal
    accuracy does not count as worse: where most rows are of one class, every strong decay answers with that class.

    Args:
        x, labels: (N, units), (N,).
        fitted, held_out: positions of rows.
    """
    x_fit, y_fit, x_held_out, y_held_out = x[fitted], labels[fitted], x[held_out], labels[held_out]
    best, worse, weights = -1.0, 0, None
    for candidate in decays:
        with within(f"choosing λ, {candidate:g}"):
            weights = fit(
                x_fit, y_fit, classes, loss=loss, weight_decay=candidate, iterations=iterations, start=weights
            )
        reached = accuracy(weights, x_held_out, y_held_out)
        if reached > best:
            best, worse, decay, chosen = reached, 0, candidate, weights
        elif reached < best:
            worse += 1
            if worse == 2:
                break
    return decay, chosen
