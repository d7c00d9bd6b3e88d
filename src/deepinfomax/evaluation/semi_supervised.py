"""Semi-supervised: the whole encoder trained on with labels, a small network on its last map (paper Table 2)."""

import copy
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from deepinfomax.data.images import ImageSet, normalise
from deepinfomax.errors import UserError
from deepinfomax.evaluation.draws import seeded
from deepinfomax.evaluation.few_labels import LabelBudget
from deepinfomax.evaluation.labels import check_labels
from deepinfomax.evaluation.measure import standard_deviation
from deepinfomax.evaluation.probes import DRAWS, mlp_network
from deepinfomax.evaluation.scales import Scale, at_scale
from deepinfomax.old_progress import Say, after, counted, silent

#: The paper's schedule is that of its other classifiers: Adam 1e-4, batches of 64, ×0.1 after 50 and 100 of 200 epochs,
#: accuracy averaged over the last 100. The smaller scales are ours: `most_steps` ends them, the rate falls after the
#: same quarter and half, and `averaged` evaluations are spread over the last half.
SEMI_SUPERVISED: dict[Scale, dict[str, Any]] = {
    "smoke": {"epochs": 200, "most_steps": 20, "averaged": 1, "batch_size": 64, "lr": 1e-3, "betas": (0.9, 0.999)},
    "cpu": {"epochs": 200, "most_steps": 600, "averaged": 2, "batch_size": 64, "lr": 1e-3, "betas": (0.9, 0.999)},
    "paper": {"epochs": 200, "most_steps": None, "averaged": 100, "batch_size": 64, "lr": 1e-4, "betas": (0.5, 0.999)},
}


def measure(
    encoder: nn.Module,
    train: ImageSet,
    test: ImageSet,
    *,
    scale: Scale = "cpu",
    seed: int = 0,
    device: torch.device | str = "cpu",
    budget: LabelBudget | None = None,
    folds: Sequence[np.ndarray] = (),
    progress: Say = silent,
) -> dict[str, Any]:
    """Fine-tune a copy of the encoder, with the MLP of the probes on its last convolutional map.

    Args:
        encoder: stays as it is.
        train: its labelled images.
        budget: which labels to train on, with one training for each draw or fold; None: all.
        folds: positions in `train`, where `budget` asks for folds.

    Returns:
        accuracy, std (over draws or folds; of one training over its averaged evaluations, None for one), n_train,
        n_test, protocol, settings, seconds.

    Raises:
        UserError: no labels, one class, or fewer than two images.
    """
    began = time.perf_counter()
    settings = at_scale(SEMI_SUPERVISED, scale)
    if train.labels is None or test.labels is None:
        raise UserError("semi_supervised needs labels; measure rank or reconstruction without them")
    y, y_test, classes = check_labels(train.labels, test.labels)
    parts, what = [torch.arange(len(train))], "all labels"
    if budget is not None:
        parts, what = budget.draw(train.labels, draws=DRAWS[scale], seed=seed, folds=folds)
    if min(len(part) for part in parts) < 2:
        raise UserError("semi_supervised needs two labelled training images or more")
    runs = []
    for number, part in enumerate(parts, 1):
        saying = after(f"training {number} of {len(parts)}", progress) if len(parts) > 1 else progress
        runs.append(_fine_tuned(encoder, train, y, test, y_test, part, classes, settings, seed, device, saying))
    means = [float(np.mean(accuracies)) for accuracies in runs]
    return {
        "accuracy": float(np.mean(means)),
        "std": standard_deviation(means if len(means) > 1 else runs[0]),
        "n_train": len(parts[0]),
        "n_test": len(test),
        "protocol": f"encoder fine-tuned, MLP of 200 units on its last map, {what}, images as they are",
        "settings": settings | {"scale": scale, "labels": budget.name if budget else "all", "trainings": len(parts)},
        "seconds": time.perf_counter() - began,
    }


def _fine_tuned(
    encoder: nn.Module,
    train: ImageSet,
    y: Tensor,
    test: ImageSet,
    y_test: Tensor,
    part: Tensor,
    classes: int,
    settings: dict[str, Any],
    seed: int,
    device: torch.device | str,
    progress: Say,
) -> list[float]:
    """Test accuracies at the evaluations of one training on the `part` of the training images."""
    batch_size = min(settings["batch_size"], len(part))
    steps = settings["epochs"] * (len(part) // batch_size)
    if settings["most_steps"] is not None:
        steps = min(steps, settings["most_steps"])
    averaged = settings["averaged"]
    stops = {steps - (steps // 2) * i // averaged for i in range(averaged)}
    tuned = copy.deepcopy(encoder).to(device).requires_grad_(True)
    accuracies = []
    with seeded(seed, device):
        with torch.no_grad():
            units = tuned.eval()(_images(train, part[:1], device)).conv.flatten(1).shape[1]
        head = mlp_network(units, classes).to(device)
        adam = torch.optim.Adam([*tuned.parameters(), *head.parameters()], lr=settings["lr"], betas=settings["betas"])
        schedule = torch.optim.lr_scheduler.MultiStepLR(adam, [steps // 4, steps // 2], gamma=0.1)
        order = torch.empty(0, dtype=torch.int64)
        for step in counted(steps, "step", progress):
            tuned.train()
            head.train()
            if len(order) < batch_size:
                order = torch.randperm(len(part))
            index, order = part[order[:batch_size]], order[batch_size:]
            adam.zero_grad()
            logits = head(tuned(_images(train, index, device)).conv.flatten(1))
            cross_entropy(logits, y[index].to(device)).backward()
            adam.step()
            schedule.step()
            if step in stops:
                accuracies.append(_accuracy(tuned.eval(), head.eval(), test, y_test, device))
    return accuracies


def _images(images: ImageSet, index: Tensor, device: torch.device | str) -> Tensor:
    return normalise(np.array(images.images[index.numpy()])).to(device)


@torch.inference_mode()
def _accuracy(encoder: nn.Module, head: nn.Module, test: ImageSet, y_test: Tensor, device: torch.device | str) -> float:
    right = 0
    for index in torch.arange(len(test)).split(500):
        guess = head(encoder(_images(test, index, device)).conv.flatten(1)).argmax(1).cpu()
        right += int((guess == y_test[index]).sum())
    return right / len(test)
