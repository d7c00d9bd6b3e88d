"""Images and features with a known answer, and encoders to measure."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from deepinfomax import encoders
from deepinfomax.data.images import ImageSet
from deepinfomax.features import Features


def images(count: int = 120, *, classes: int = 3, seed: int = 0, side: int = 16, labels: bool = True) -> ImageSet:
    """Noise whose brightness says the class."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(count) % classes)
    noise = rng.integers(0, 60, (count, 3, side, side))
    pixels = (noise + (y * (190 // max(1, classes - 1)))[:, None, None, None]).astype(np.uint8)
    names = tuple(f"class {c}" for c in range(classes))
    return ImageSet(pixels, y if labels else None, names if labels else (), "planted")


def gaussians(
    count: int, *, classes: int = 3, units: int = 10, distance: float = 8.0, seed: int = 0
) -> tuple[Tensor, np.ndarray]:
    """Unit Gaussians around centres on the axes, `distance` from the origin: separable for 8, noise for 0."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, count)
    x = rng.normal(size=(count, units))
    x[np.arange(count), y] += distance
    return torch.from_numpy(x.astype(np.float32)), y


def make_encoder(side: int = 16) -> Callable[[], nn.Module]:
    """A small DCGAN, with BatchNorm."""
    return lambda: encoders.build("dcgan", (3, side, side), width=4, fc=16, y=6)


class Flat(nn.Module):
    """y is some of the pixels: an encoder whose features are known. fc and conv too."""

    def __init__(self, units: int = 6) -> None:
        super().__init__()
        self.units = units
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Features:
        flat = x.flatten(1)[:, : self.units] * self.weight
        return Features(x, x, flat, flat)
