"""A package of somebody else's that adds one thing of each kind to deepinfomax."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from deepinfomax.data import Columns, Format, ImageSet
from deepinfomax.errors import UserError
from deepinfomax.evaluation.measure import Figure, Measure
from deepinfomax.features import Features
from deepinfomax.information.bounds import Bound
from deepinfomax.objectives import Batch, Facts, Terms


class Decorrelation(nn.Module):
    """Squared correlations between the units of y, above a tolerance."""

    def __init__(self, facts: Facts, *, tolerance: Annotated[float, Field(ge=0, lt=1)] = 0.0, start: int = 0) -> None:
        super().__init__()
        self.tolerance, self.start = tolerance, start

    def forward(self, features: Features, batch: Batch) -> Terms:
        correlations = torch.corrcoef(features.y.T) - torch.eye(features.y.shape[1], device=features.y.device)
        loss = torch.relu(correlations.abs() - self.tolerance).square().mean()
        return Terms({"loss": loss}, {"largest": correlations.abs().max()})


#: NWJ with negatives' scores clipped above, which tames its variance
clipped_nwj = Bound("clipped_nwj", lambda u: u, lambda u: torch.exp(u.clamp(max=5.0) - 1), "sum")


class Pooled(nn.Module):
    """Two convolutions and an average: an encoder without an fc level."""

    def __init__(self, image_shape: tuple[int, ...], *, width: Annotated[int, Field(ge=1)] = 16, y: int = 8) -> None:
        super().__init__()
        self.local = nn.Sequential(nn.Conv2d(image_shape[0], width, 3, 2, 1), nn.ReLU())
        self.conv = nn.Sequential(nn.Conv2d(width, 2 * width, 3, 2, 1), nn.ReLU())
        self.y = nn.Linear(2 * width, y)

    def forward(self, images: Tensor) -> Features:
        local = self.local(images)
        conv = self.conv(local)
        return Features(local=local, conv=conv, fc=None, y=self.y(conv.mean((2, 3))))


@dataclass(frozen=True)
class Result:
    spread: float
    n_test: int
    seconds: float = 0.0


def spread(train: Tensor, train_labels, test: Tensor, test_labels, *, scale, seed, device) -> Result:
    """The mean standard deviation of the features of test images."""
    return Result(float(test.std(0).mean()), len(test))


MEASURE = Measure(
    name="spread",
    title="Spread of the features",
    of="features",
    labels=None,
    figures=(Figure("spread", "mean deviation", "", "higher", "how far the features of test images are apart"),),
    function=spread,
)


def read_pgms(path: Path, columns: Columns) -> dict:
    """A file .pgms: plain PGM images one after the other, all of one size."""
    words = path.read_text().split()
    if not words or words[0] != "P2":
        raise UserError(f"{path} is no series of plain PGM images: it does not begin with P2")
    width, height = int(words[1]), int(words[2])
    rows = np.array([word for word in words if word != "P2"], dtype=int).reshape(-1, 3 + width * height)
    pixels = rows[:, 3:].reshape(-1, 1, height, width).astype(np.uint8)
    return {"train": partial(ImageSet, pixels, name=str(path))}


FORMAT = Format("pgms", "plain PGM images one after the other", read_pgms, (".pgms",))
