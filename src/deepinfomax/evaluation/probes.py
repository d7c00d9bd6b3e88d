"""Probes: classifiers of frozen features, which say what is easy to read from a representation (paper §4.1).

All take features (N, units) with labels and standardise them with the statistics of the training features. Memory: one
standardised copy of the training and test features. Everything random follows `seed`.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from deepinfomax.errors import UserError
from deepinfomax.evaluation import convex
from deepinfomax.evaluation.draws import seeded, stream
from deepinfomax.evaluation.few_labels import LabelBudget
from deepinfomax.evaluation.labels import check_labels
from deepinfomax.evaluation.measure import standard_deviation
from deepinfomax.evaluation.scales import Scale, at_scale, check_scale
from deepinfomax.evaluation.standardising import Standardiser, standardised
from deepinfomax.old_progress import Say, after, counted, silent

#: The paper's classifier: Adam 1e-4, ×0.1 after 50 and 100 epochs, batches of 64, accuracy averaged over the last 100
#: epochs. How many epochs in all is not recorded: 200 here, so that the average begins after the last decay. The
#: betas are those of the framework the authors used. The smaller scales are ours; there a small set is gone through
#: more often, so that there are `least_steps` in all.
MLP: dict[Scale, dict[str, Any]] = {
    "smoke": {
        "epochs": 4,
        "averaged": 2,
        "decay_at": (2, 3),
        "least_steps": 40,
        "batch_size": 128,
        "lr": 1e-3,
        "betas": (0.9, 0.999),
    },
    "cpu": {
        "epochs": 16,
        "averaged": 4,
        "decay_at": (8, 12),
        "least_steps": 400,
        "batch_size": 256,
        "lr": 1e-3,
        "betas": (0.9, 0.999),
    },
    "paper": {
        "epochs": 200,
        "averaged": 100,
        "decay_at": (50, 100),
        "least_steps": 0,
        "batch_size": 64,
        "lr": 1e-4,
        "betas": (0.5, 0.999),
    },
}
#: Candidates for the weight decay λ = 1 / (C·N) of the mean loss, and the share of the training images that decides
#: among them; where there is but one, nothing is held out.
LINEAR: dict[Scale, dict[str, Any]] = {
    "smoke": {"weight_decay": (0.03,), "held_out": 0.0, "iterations": 30},
    "cpu": {"weight_decay": (0.3, 0.03, 0.003), "held_out": 0.1, "iterations": 40},
    "paper": {"weight_decay": (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001), "held_out": 0.1, "iterations": 300},
}
#: Fewer images than this decide nothing: then λ is that of scikit-learn's C = 1 for ten labels of ten classes.
LEAST_HELD_OUT, FEW_WEIGHT_DECAY = 200, 0.01
#: How many draws of a few labels of each class the figure is the mean of.
DRAWS: dict[Scale, int] = {"smoke": 3, "cpu": 5, "paper": 10}


def mlp_network(units: int, classes: int, *, hidden: int = 200, dropout: float = 0.1) -> nn.Sequential:
    """Linear -> dropout -> BatchNorm -> ReLU -> Linear, in the order of the authors' code."""
    return nn.Sequential(
        nn.Linear(units, hidden), nn.Dropout(dropout), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, classes)
    )


def mlp(
    train: Tensor,
    train_labels: np.ndarray,
    test: Tensor,
    test_labels: np.ndarray,
    *,
    scale: Scale = "cpu",
    seed: int = 0,
    device: torch.device | str = "cpu",
    progress: Say = silent,
) -> dict[str, Any]:
    """The paper's non-linear probe: one hidden layer of 200 units, test accuracy averaged over the last epochs.

    A deviation: features are standardised, where the paper gives them to the classifier as they are.

    Args:
        train, test: (N, units), (T, units).

    Returns:
        accuracy (fraction), std (over the averaged epochs), n_train, n_test, constant_units, protocol, settings,
        seconds.
    """
    began = time.perf_counter()
    settings = at_scale(MLP, scale)
    y, y_test, classes = check_labels(train_labels, test_labels)
    if len(train) < 2:
        raise UserError("one training image is not enough for a probe")
    x, x_test, constant = standardised(train, test)
    x, y, x_test, y_test = (t.to(device) for t in (x, y, x_test, y_test))
    batch_size = min(settings["batch_size"], len(x))
    steps = settings["epochs"] * (len(x) // batch_size)
    longer = max(1, -(-settings.pop("least_steps") // steps))
    settings |= {k: settings[k] * longer for k in ("epochs", "averaged")}
    settings["decay_at"] = tuple(e * longer for e in settings["decay_at"])
    accuracies = []
    with seeded(seed, device):
        network = mlp_network(x.shape[1], classes).to(device)
        adam = torch.optim.Adam(network.parameters(), lr=settings["lr"], betas=settings["betas"])
        schedule = torch.optim.lr_scheduler.MultiStepLR(adam, list(settings["decay_at"]), gamma=0.1)
        for epoch in counted(settings["epochs"], "epoch", progress):
            network.train()
            order = torch.randperm(len(x))
            for start in range(0, len(x) - batch_size + 1, batch_size):  # BatchNorm: no batch smaller than the rest
                index = order[start : start + batch_size].to(device)
                adam.zero_grad()
                functional.cross_entropy(network(x[index]), y[index]).backward()
                adam.step()
            schedule.step()
            if epoch > settings["epochs"] - settings["averaged"]:
                accuracies.append(_accuracy(network.eval(), x_test, y_test))
    averaged = settings["averaged"]
    return {
        "accuracy": float(np.mean(accuracies)),
        "std": standard_deviation(accuracies),
        "n_train": len(x),
        "n_test": len(x_test),
        "constant_units": constant,
        "protocol": f"mlp-200, {settings['epochs']} epochs, mean of the last {averaged}, standardised features",
        "settings": settings | {"scale": scale, "batch_size": batch_size, "hidden": 200, "dropout": 0.1},
        "seconds": time.perf_counter() - began,
    }


def linear(
    train: Tensor,
    train_labels: np.ndarray,
    test: Tensor,
    test_labels: np.ndarray,
    *,
    scale: Scale = "cpu",
    seed: int = 0,
    device: torch.device | str = "cpu",
    standardiser: Standardiser | None = None,
    progress: Say = silent,
) -> dict[str, Any]:
    """Multinomial logistic regression by L-BFGS; the weight decay is chosen on held-out training images.

    Args:
        train, test: (N, units), (T, units).
        standardiser: None: with the statistics of `train`.

    Minimises mean cross-entropy + λ/2 ‖W‖², which is scikit-learn's LogisticRegression with C = 1 / (λ·N). The test
    images have no part in the choice.

    Returns:
        accuracy, std (None: one deterministic fit), n_train, n_test, constant_units, C, protocol, settings, seconds.
    """
    began = time.perf_counter()
    settings = at_scale(LINEAR, scale)
    y, y_test, classes = check_labels(train_labels, test_labels)
    x, x_test, constant = standardised(train, test, standardiser)
    x, y, x_test, y_test = (t.to(device) for t in (x, y, x_test, y_test))
    iterations, candidates = settings["iterations"], settings["weight_decay"]
    held_out = int(len(x) * settings["held_out"])
    start = None
    if len(candidates) > 1 and held_out >= LEAST_HELD_OUT:
        how = "C chosen on held-out training images"
        order = torch.from_numpy(stream(seed, "linear").permutation(len(x))).to(device)
        decay, start = convex.choose_decay(
            x,
            y,
            classes,
            candidates,
            loss=convex.cross_entropy,
            iterations=iterations,
            fitted=order[held_out:],
            held=order[:held_out],
            progress=progress,
        )
    else:
        how = "C fixed"
        candidates = (candidates[0] if len(candidates) == 1 else FEW_WEIGHT_DECAY,)
        decay = candidates[0]
    weights = convex.fit(
        x,
        y,
        classes,
        loss=convex.cross_entropy,
        weight_decay=decay,
        iterations=iterations,
        start=start,
        progress=progress,
    )
    return {
        "accuracy": convex.accuracy(weights, x_test, y_test),
        "std": None,
        "n_train": len(x),
        "n_test": len(x_test),
        "constant_units": constant,
        "C": 1 / (decay * len(x)),
        "protocol": f"logistic regression, L-BFGS, {how}, standardised features",
        "settings": {"scale": scale, "weight_decay": decay, "candidates": candidates, "iterations": iterations},
        "seconds": time.perf_counter() - began,
    }


def few_labels(
    probe: Callable[..., dict[str, Any]],
    train: Tensor,
    train_labels: np.ndarray,
    test: Tensor,
    test_labels: np.ndarray,
    *,
    budget: LabelBudget,
    folds: Sequence[np.ndarray] = (),
    scale: Scale = "cpu",
    seed: int = 0,
    device: torch.device | str = "cpu",
    progress: Say = silent,
) -> dict[str, Any]:
    """A probe that sees few of the labels: mean and standard deviation over several draws of them, or over folds.

    Labels are few, images are not: features are standardised with the statistics of all training images.

    Args:
        budget: which labels.
        folds: positions of training rows, where `budget` asks for folds.

    Returns:
        as `probe` at its last draw, with accuracy and std over draws.
    """
    began = time.perf_counter()
    check_labels(train_labels, test_labels)
    standardiser = Standardiser.of(train)
    parts, says = budget.draw(np.asarray(train_labels), draws=DRAWS[check_scale(scale)], seed=seed, folds=folds)
    found = []
    for number, index in enumerate(parts, 1):
        found.append(
            probe(
                train[index],
                np.asarray(train_labels)[index.numpy()],
                test,
                test_labels,
                scale=scale,
                seed=seed,
                device=device,
                standardiser=standardiser,
                progress=after(f"draw {number} of {len(parts)}", progress),
            )
        )
    accuracies = [f["accuracy"] for f in found]
    return found[-1] | {
        "accuracy": float(np.mean(accuracies)),
        "std": standard_deviation(accuracies),
        "protocol": f"{found[-1]['protocol']}, {says}",
        "settings": found[-1]["settings"] | {"draws": len(parts), "labels": budget.name},
        "seconds": time.perf_counter() - began,
    }


@torch.no_grad()
def _accuracy(network: nn.Module, x: Tensor, y: Tensor, rows: int = 5000) -> float:
    right = sum(int((network(a).argmax(1) == b).sum()) for a, b in zip(x.split(rows), y.split(rows), strict=True))
    return right / len(x)
