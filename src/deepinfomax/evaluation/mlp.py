"""MLP probe: a small network trained on frozen features (paper §4.1)."""

import time
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from deepinfomax.errors import UserError
from deepinfomax.evaluation.draws import seeded
from deepinfomax.evaluation.labels import check_labels
from deepinfomax.evaluation.measure import CONSTANT_UNITS, Figure, Measure, standard_deviation
from deepinfomax.evaluation.scales import Scale, at_scale
from deepinfomax.evaluation.standardising import standardised
from deepinfomax.fitting import ScheduledAdam, accuracy, mini_batches, steps_of, tenth_after
from deepinfomax.progress import counted

HIDDEN, DROPOUT = 200, 0.1  #: units of the hidden layer, and the share of them that is dropped in training


@dataclass(frozen=True)
class Settings:
    """How the network is trained, by Adam."""

    epochs: int
    averaged: int  #: last epochs; the accuracy is the mean over them
    decay_at: tuple[int, ...]  #: epochs after which the learning rate falls to a tenth
    least_steps: int  #: a small set takes so many times more epochs that there are this many steps
    batch_size: int
    lr: float
    betas: tuple[float, float]

    def for_images(self, count: int) -> "Settings":
        """The settings for `count` training images, with all numbers of epochs times the same whole number."""
        steps = steps_of(self.epochs, count, self.batch_size)
        longer = max(1, -(-self.least_steps // steps))
        return replace(
            self,
            epochs=self.epochs * longer,
            averaged=self.averaged * longer,
            decay_at=tuple(epoch * longer for epoch in self.decay_at),
            batch_size=min(self.batch_size, count),
        )


#: The paper's classifier: Adam 1e-4, ×0.1 after 50 and 100 epochs, batches of 64, accuracy averaged over the last 100
#: epochs. The total number of epochs is not recorded: 200 here, so that the average begins after the last decay. The
#: betas are the default of the authors' framework. The smaller scales are ours.
SETTINGS: dict[Scale, Settings] = {
    "smoke": Settings(
        epochs=4, averaged=2, decay_at=(2, 3), least_steps=40, batch_size=128, lr=1e-3, betas=(0.9, 0.999)
    ),
    "cpu": Settings(
        epochs=16, averaged=4, decay_at=(8, 12), least_steps=400, batch_size=256, lr=1e-3, betas=(0.9, 0.999)
    ),
    "paper": Settings(
        epochs=200, averaged=100, decay_at=(50, 100), least_steps=0, batch_size=64, lr=1e-4, betas=(0.5, 0.999)
    ),
}


@dataclass(frozen=True, kw_only=True)
class Result:
    """The accuracy of the network on test images."""

    accuracy: float  #: fraction, mean over the last epochs
    std: float | None  #: over these epochs
    n_train: int
    n_test: int
    constant_units: int  #: of the features; set to 0
    protocol: str
    settings: dict[str, Any]
    seconds: float


def mlp_network(units: int, classes: int, *, hidden: int = HIDDEN, dropout: float = DROPOUT) -> nn.Sequential:
    """Linear -> dropout -> BatchNorm -> ReLU -> Linear, in the order of the authors' code."""
    return nn.Sequential(
        nn.Linear(units, hidden), nn.Dropout(dropout), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, classes)
    )


def mlp(
    train: Float[Tensor, "N units"],
    train_labels: Shaped[np.ndarray, "N"],
    test: Float[Tensor, "T units"],
    test_labels: Shaped[np.ndarray, "T"],
    *,
    scale: Scale = "cpu",
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Result:
    """The paper's non-linear probe: one hidden layer of 200 units, test accuracy averaged over the last epochs.

    A deviation: features are standardised. The paper gives them to the classifier as they are. Memory: a standardised
    copy of both sets.

    Args:
        train, test: vectors of the training images and of the test images.

    Raises:
        UserError: labels of one class, or a single training image.
    """
    began = time.perf_counter()
    settings = at_scale(SETTINGS, scale)
    y, y_test, classes = check_labels(train_labels, test_labels)
    if len(train) < 2:
        raise UserError("one training image is not enough for a probe")
    settings = settings.for_images(len(train))
    x, x_test, constant = standardised(train, test)
    x, y, x_test, y_test = (t.to(device) for t in (x, y, x_test, y_test))
    steps_per_epoch = steps_of(1, len(x), settings.batch_size)
    accuracies = []
    with seeded(seed, device):
        network = mlp_network(x.shape[1], classes).to(device)
        schedule = tenth_after(*(epoch * steps_per_epoch for epoch in settings.decay_at))
        adam = ScheduledAdam(network, lr=settings.lr, betas=settings.betas, schedule=schedule)
        batches = mini_batches(len(x), settings.batch_size)
        for epoch in counted(settings.epochs, "epoch"):
            network.train()
            for batch in islice(batches, steps_per_epoch):
                rows = batch.to(device)
                adam.step(cross_entropy(network(x[rows]), y[rows]))
            if epoch > settings.epochs - settings.averaged:
                network.eval()
                accuracies.append(accuracy(lambda part: network(x_test[part]), y_test, rows=5000))
    recorded = {name: value for name, value in asdict(settings).items() if name != "least_steps"}
    return Result(
        accuracy=float(np.mean(accuracies)),
        std=standard_deviation(accuracies),
        n_train=len(x),
        n_test=len(x_test),
        constant_units=constant,
        protocol=f"mlp-{HIDDEN}, {settings.epochs} epochs, mean of the last {settings.averaged}, standardised features",
        settings=recorded | {"scale": scale, "hidden": HIDDEN, "dropout": DROPOUT},
        seconds=time.perf_counter() - began,
    )


MEASURE = Measure(
    name="mlp",
    title="MLP probe",
    of="features",
    labels="classes",
    figures=(Figure("accuracy", "accuracy", "fraction", "higher", "share of images classified rightly", error="std"),),
    function=mlp,
    protocol="the paper’s classifier on frozen features",
    remarks=(CONSTANT_UNITS,),
)
