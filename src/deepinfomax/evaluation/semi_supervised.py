"""Semi-supervised: the encoder is trained on with labels, under a small network on its last map (paper Table 2)."""

import copy
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from deepinfomax.data.images import ImageSet, normalise
from deepinfomax.errors import UserError
from deepinfomax.evaluation.draws import seeded
from deepinfomax.evaluation.few_labels import DRAWS, LabelBudget
from deepinfomax.evaluation.labels import check_labels
from deepinfomax.evaluation.measure import Figure, Measure, standard_deviation
from deepinfomax.evaluation.mlp import mlp_network
from deepinfomax.evaluation.scales import Scale, at_scale
from deepinfomax.fitting import ScheduledAdam, accuracy, mini_batches, steps_of, tenth_after
from deepinfomax.progress import counted, within


@dataclass(frozen=True)
class Settings:
    """How encoder and network are trained, by Adam; the rate falls to a tenth after a quarter and half of the steps."""

    epochs: int
    most_steps: int | None  #: ends the training before `epochs`; None: no limit
    averaged: int  #: evaluations that the accuracy is the mean of, spread over the second half of the steps
    batch_size: int
    lr: float
    betas: tuple[float, float]

    def evaluated_after(self, steps: int) -> set[int]:
        """The steps after which the test accuracy is taken; the last one is among them."""
        return {steps - (steps // 2) * i // self.averaged for i in range(self.averaged)}


#: The paper's schedule is that of its other classifiers: Adam 1e-4, batches of 64, ×0.1 after 50 and 100 of 200 epochs,
#: accuracy averaged over the last 100. The smaller scales are ours.
SETTINGS: dict[Scale, Settings] = {
    "smoke": Settings(epochs=200, most_steps=20, averaged=1, batch_size=64, lr=1e-3, betas=(0.9, 0.999)),
    "cpu": Settings(epochs=200, most_steps=600, averaged=2, batch_size=64, lr=1e-3, betas=(0.9, 0.999)),
    "paper": Settings(epochs=200, most_steps=None, averaged=100, batch_size=64, lr=1e-4, betas=(0.5, 0.999)),
}


@dataclass(frozen=True, kw_only=True)
class Result:
    """The accuracy of the fine-tuned encoder on test images."""

    accuracy: float  #: fraction, mean over the last evaluations, and over trainings
    std: float | None  #: over draws or folds; of a single training over its evaluations, None for a single one
    n_train: int  #: labelled images of one training
    n_test: int
    protocol: str
    settings: dict[str, Any]
    seconds: float


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
) -> Result:
    """Fine-tune a copy of the encoder, with the network of the MLP probe on its last convolutional map.

    Args:
        encoder: stays as it is.
        train: its labelled images.
        budget: which labels to train on, with one training for each draw or fold; None: all labels.
        folds: positions in `train`, where `budget` asks for folds.

    Raises:
        UserError: no labels, one class, fewer than two images, or an encoder without a convolutional map.
    """
    began = time.perf_counter()
    settings = at_scale(SETTINGS, scale)
    if train.labels is None or test.labels is None:
        raise UserError("semi_supervised needs labels; measure rank or reconstruction without them")
    y, y_test, classes = check_labels(train.labels, test.labels)
    draws, description = [torch.arange(len(train))], "all labels"
    if budget is not None:
        draws, description = budget.draw(train.labels, draws=DRAWS[scale], seed=seed, folds=folds)
    if min(len(rows) for rows in draws) < 2:
        raise UserError("semi_supervised needs two labelled training images or more")
    trainings = []
    for number, rows in enumerate(draws, 1):
        with within(f"training {number} of {len(draws)}") if len(draws) > 1 else nullcontext():
            trainings.append(_fine_tune(encoder, train, y, test, y_test, rows, classes, settings, seed, device))
    means = [float(np.mean(accuracies)) for accuracies in trainings]
    return Result(
        accuracy=float(np.mean(means)),
        std=standard_deviation(means if len(means) > 1 else trainings[0]),
        n_train=len(draws[0]),
        n_test=len(test),
        protocol=f"encoder fine-tuned, MLP of 200 units on its last map, {description}, images as they are",
        settings=asdict(settings)
        | {"scale": scale, "labels": budget.name if budget else "all", "trainings": len(draws)},
        seconds=time.perf_counter() - began,
    )


def _fine_tune(
    encoder: nn.Module,
    train: ImageSet,
    y: Tensor,
    test: ImageSet,
    y_test: Tensor,
    rows: Tensor,
    classes: int,
    settings: Settings,
    seed: int,
    device: torch.device | str,
) -> list[float]:
    """Train a copy of the encoder on these rows of the training set; the test accuracy at each evaluation."""
    steps = steps_of(settings.epochs, len(rows), settings.batch_size, at_most=settings.most_steps)
    evaluated_after = settings.evaluated_after(steps)
    tuned = copy.deepcopy(encoder).to(device).requires_grad_(True)
    accuracies = []
    with seeded(seed, device):
        with torch.no_grad():
            last_map = tuned.eval()(_images(train, rows[:1], device)).conv
            if last_map is None:
                raise UserError("semi_supervised trains on the last map, and the encoder has no conv: leave it out")
            units = last_map.flatten(1).shape[1]
        head = mlp_network(units, classes).to(device)
        schedule = tenth_after(steps // 4, steps // 2)
        adam = ScheduledAdam(tuned, head, lr=settings.lr, betas=settings.betas, schedule=schedule)
        batches = mini_batches(len(rows), settings.batch_size)
        for step in counted(steps, "step"):
            tuned.train()
            head.train()
            batch = rows[next(batches)]
            logits = head(tuned(_images(train, batch, device)).conv.flatten(1))
            adam.step(cross_entropy(logits, y[batch].to(device)))
            if step in evaluated_after:
                accuracies.append(_accuracy(tuned.eval(), head.eval(), test, y_test, device))
    return accuracies


def _images(images: ImageSet, rows: Tensor | slice, device: torch.device | str) -> Tensor:
    """Some of the images, (B, C, *S) in [-1, 1]."""
    return normalise(np.array(images.images[rows if isinstance(rows, slice) else rows.numpy()])).to(device)


def _accuracy(encoder: nn.Module, head: nn.Module, test: ImageSet, y_test: Tensor, device: torch.device | str) -> float:
    return accuracy(lambda rows: head(encoder(_images(test, rows, device)).conv.flatten(1)).cpu(), y_test)


MEASURE = Measure(
    name="semi_supervised",
    title="Semi-supervised",
    of="encoder",
    labels="classes",
    figures=(Figure("accuracy", "accuracy", "fraction", "higher", "share of images classified rightly", error="std"),),
    function=measure,
    protocol="a copy of the encoder fine-tuned with the labels",
    few_labels=True,
)
