"""Linear classifiers as convex problems: L-BFGS on the device, with the gradients written out.

mean loss(x W + b, target) + λ/2 ‖W‖², the intercept b not decayed. With λ = 1 / (C·N) these are the problems of
scikit-learn's LogisticRegression and (but for its decayed intercept) LinearSVC, which are not used because they know
neither GPU nor starting point.
"""

import itertools
from collections.abc import Callable

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot

from deepinfomax.old_progress import Say, after, silent

#: scores (N, K), target -> the mean loss over N, and its derivative (N, K) by the scores
Loss = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def cross_entropy(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """-log softmax at the label, in nats; labels (N,)."""
    log_p = scores.log_softmax(1)
    rows = torch.arange(len(scores), device=scores.device)
    loss = -_double(log_p[rows, labels]).mean()
    error = log_p.exp()
    error[rows, labels] -= 1
    return loss, error / len(scores)


def squared_hinge(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Σ over classes of max(0, 1 - s)², s the score of the own class and minus that of any other; labels (N,)."""
    sign = 2 * one_hot(labels, scores.shape[1]).to(scores) - 1
    short = (1 - sign * scores).clamp_min_(0)
    return _double(short).square().sum(1).mean(), -2 * sign * short / len(scores)


def balanced_cross_entropy(scores: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Binary cross-entropy in nats, yes and no of every attribute weighing the same; targets (N, K) of 0 and 1.

    The mean over attributes of half the mean loss of the images that have it, plus half of those that have not. An
    attribute that all images have, or none, has but one half.
    """
    weight = balance(targets)
    each = binary_cross_entropy_with_logits(scores, targets, reduction="none")
    return _double(weight * each).sum(), weight * (scores.sigmoid() - targets)


def balance(targets: Tensor) -> Tensor:
    """Weights (N, K) of each answer, 1/2 in all for the yes and 1/2 for the no of an attribute, 1 in all over K."""
    has = targets.sum(0)
    weight = torch.where(targets > 0.5, 0.5 / has, 0.5 / (len(targets) - has))
    return weight / targets.shape[1]


def _double(values: Tensor) -> Tensor:
    """In fp64, for sums; on the CPU where the device has none (Apple's)."""
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
    progress: Say = silent,
) -> Tensor:
    """Weights (units + 1, outputs) of the minimum; the last row is the intercept.

    Args:
        x: (N, units) float32.
        weight_decay: λ.
        iterations: of L-BFGS at most; it stops before when an iteration gains less than a millionth.
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
    done = itertools.count(1)

    def at_iteration(_weights: np.ndarray) -> None:
        progress(f"iteration {next(done)} of {iterations} at most")

    found = minimize(
        loss_and_gradient, initial.ravel(), jac=True, method="L-BFGS-B", options=options, callback=at_iteration
    )
    return torch.from_numpy(found.x.reshape(shape)).to(x.dtype).to(x.device)


def scores(weights: Tensor, x: Tensor) -> Tensor:
    """(N, outputs)"""
    return torch.addmm(weights[-1], x, weights[:-1])


def accuracy(weights: Tensor, x: Tensor, labels: Tensor) -> float:
    """Fraction of the rows whose highest score is that of their label."""
    return int((scores(weights, x).argmax(1) == labels).sum()) / len(x)


def choose_decay(
    x: Tensor,
    labels: Tensor,
    classes: int,
    candidates: tuple[float, ...],
    *,
    loss: Loss,
    iterations: int,
    fitted: Tensor,
    held: Tensor,
    progress: Say = silent,
) -> tuple[float, Tensor]:
    """The λ of the highest accuracy on the `held` rows after fitting the `fitted` rows, and the weights found with it.

    Candidates fall, and each solution starts the next, so that the whole path costs little more than its last step. It
    ends early after two candidates in a row that are worse than the best. Equal ones do not end it: where most rows
    are of one class, every strong decay answers with that class.
    """
    x_fit, y_fit, x_held, y_held = x[fitted], labels[fitted], x[held], labels[held]
    best, worse, weights = -1.0, 0, None
    for candidate in candidates:
        saying = after(f"choosing λ, {candidate:g}", progress)
        weights = fit(
            x_fit,
            y_fit,
            classes,
            loss=loss,
            weight_decay=candidate,
            iterations=iterations,
            start=weights,
            progress=saying,
        )
        right = accuracy(weights, x_held, y_held)
        if right > best:
            best, worse, decay, chosen = right, 0, candidate, weights
        elif right < best:
            worse += 1
            if worse == 2:
                break
    return decay, chosen
