"""Linear classifiers as convex problems: L-BFGS on the device, with the gradients written out.

The problem is to minimise mean loss(x W + b, target) + λ/2 ‖W‖². The intercept b is not decayed. With λ = 1 / (C·N)
these are the problems of scikit-learn's LogisticRegression and LinearSVC (which decays its intercept too). Those two
are not used, because they run on no GPU and take no starting point.
"""

import itertools
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int, Num
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot

from deepinfomax.devices import in_float64
from deepinfomax.progress import say, within

#: scores (N, K), target -> the mean loss over N, and its derivative (N, K) by the scores
Loss = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
#: Fewer held-out images than this cannot choose a weight decay λ. Then it is `DEFAULT_DECAY`, the λ of scikit-learn's
#: C = 1 for ten labels of each of ten classes.
FEWEST_HELD_OUT, DEFAULT_DECAY = 200, 0.01


def cross_entropy(
    scores: Float[Tensor, "N K"], labels: Int[Tensor, "N"]
) -> tuple[Float[Tensor, ""], Float[Tensor, "N K"]]:
    """-log softmax at the label, in nats."""
    log_p = scores.log_softmax(1)
    rows = torch.arange(len(scores), device=scores.device)
    loss = -in_float64(log_p[rows, labels]).mean()
    error = log_p.exp()
    error[rows, labels] -= 1
    return loss, error / len(scores)


def squared_hinge(
    scores: Float[Tensor, "N K"], labels: Int[Tensor, "N"]
) -> tuple[Float[Tensor, ""], Float[Tensor, "N K"]]:
    """Σ over classes of max(0, 1 - s)²; s is the score for a row's own class, and -score for every other class."""
    sign = 2 * one_hot(labels, scores.shape[1]).to(scores) - 1
    shortfall = (1 - sign * scores).clamp_min_(0)
    return _sums_of_rows(shortfall, torch.square).mean(), -2 * sign * shortfall / len(scores)


def balanced_cross_entropy(
    scores: Float[Tensor, "N K"], targets: Float[Tensor, "N K"]
) -> tuple[Float[Tensor, ""], Float[Tensor, "N K"]]:
    """Binary cross-entropy in nats, in which yes and no of every attribute have the same weight; targets are 0 and 1.

    For each attribute: half the mean loss of the images with it, plus half the mean loss of those without it; then the
    mean over attributes. If all images have an attribute, or none, one of the halves is missing.
    """
    weight = balance(targets)
    each = binary_cross_entropy_with_logits(scores, targets, reduction="none")
    return _sum(weight * each, torch.positive), weight * (scores.sigmoid() - targets)


def balance(targets: Float[Tensor, "N K"]) -> Float[Tensor, "N K"]:
    """The weight of each answer, from targets of 0 and 1.

    They sum to 1 over all attributes; the yes answers of an attribute weigh as much as its no answers.
    """
    has = targets.sum(0)
    weight = torch.where(targets > 0.5, 0.5 / has, 0.5 / (len(targets) - has))
    return weight / targets.shape[1]


def _sums_of_rows(values: Float[Tensor, "N K"], function: Callable[[Tensor], Tensor]) -> Float[Tensor, "N"]:
    """Sum a function of the values of each row; in fp64 on the CPU. Other devices sum each row in fp32."""
    if values.device.type == "cpu":
        return function(values.double()).sum(1)
    return in_float64(function(values).sum(1))


def _sum(values: Float[Tensor, "N K"], function: Callable[[Tensor], Tensor]) -> Float[Tensor, ""]:
    """Sum a function of all values, by `_sums_of_rows`."""
    return function(values.double()).sum() if values.device.type == "cpu" else _sums_of_rows(values, function).sum()


def fit(
    x: Float[Tensor, "N units"],
    target: Num[Tensor, "N *outputs"],
    outputs: int,
    *,
    loss: Loss,
    weight_decay: float,
    iterations: int,
    start: Float[Tensor, "units+1 {outputs}"] | None = None,
) -> Float[Tensor, "units+1 {outputs}"]:
    """The weights at the minimum, with the intercept in the last row.

    Args:
        target: labels, or a target for each output, as `loss` takes them.
        weight_decay: λ.
        iterations: of L-BFGS, at most. It ends earlier when an iteration gains less than a millionth of the value.
        start: weights to begin with; None: zeros.
    """
    shape = (x.shape[1] + 1, outputs)

    def loss_and_gradient(flat: np.ndarray) -> tuple[float, np.ndarray]:
        w = torch.from_numpy(flat.reshape(shape)).to(x.dtype).to(x.device)
        value, error = loss(torch.addmm(w[-1], x, w[:-1]), target)
        value = value + weight_decay / 2 * _sum(w[:-1], torch.square)
        gradient = torch.empty_like(w)
        # errorᵀ x, not xᵀ error: on a CPU the second is slower at most sizes, for the same numbers.
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


def scores(weights: Float[Tensor, "rows outputs"], x: Float[Tensor, "N rows-1"]) -> Float[Tensor, "N outputs"]:
    """The scores (N, outputs) of x (N, units) by classifiers with these weights (units + 1, outputs)."""
    return torch.addmm(weights[-1], x, weights[:-1])


def accuracy(weights: Float[Tensor, "rows K"], x: Float[Tensor, "N rows-1"], labels: Int[Tensor, "N"]) -> float:
    """Fraction of the rows of x with the highest score at their label."""
    return int((scores(weights, x).argmax(1) == labels).sum()) / len(x)


def candidates(decays: tuple[float, ...], held_out: int) -> tuple[float, ...]:
    """The decays to choose from: all of `decays`, or only the default if there are too few held-out images."""
    return (DEFAULT_DECAY,) if len(decays) > 1 and held_out < FEWEST_HELD_OUT else decays


def choose_decay(
    x: Float[Tensor, "N units"],
    labels: Int[Tensor, "N"],
    classes: int,
    decays: tuple[float, ...],
    *,
    loss: Loss,
    iterations: int,
    fitted: Int[Tensor, "F"],
    held_out: Int[Tensor, "H"],
) -> tuple[float, Float[Tensor, "units+1 {classes}"]]:
    """The λ with the highest accuracy on the `held_out` rows after a fit of the `fitted` rows, and the fitted weights.

    `decays` are in falling order, and each fit starts at the weights of the one before, so that all fits together cost
    little more than the last one. The search ends early if two decays after the best one are worse. An equal accuracy
    does not count as worse: if most rows have the same class, every strong decay always predicts that class.

    Args:
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
