"""A program of somebody who uses the package, for `mypy --strict`: what it is given has types, and they are these."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import deepinfomax
from deepinfomax import bounds, encoders
from deepinfomax.data import ImageSet
from deepinfomax.data import load as load_images
from deepinfomax.sklearn import DeepInfoMax


def representation(images: Tensor, run: str) -> Tensor:
    encoder: nn.Module = deepinfomax.load(run)
    features: deepinfomax.Features = encoder(images)
    return features.y


def objective(local: Tensor, glob: Tensor) -> Tensor:
    bound: Tensor = deepinfomax.local_infomax(local, glob, bound="infonce")
    return -bound


def any_network() -> nn.Module:
    network = nn.Sequential(nn.Conv2d(3, 8, 4, 2), nn.Flatten(), nn.LazyLinear(16))
    return encoders.wrap(network, local="0", y="2")


def vectors(encoder: nn.Module, folder: Path) -> np.ndarray:
    images: ImageSet = load_images(folder, size=32)
    embedded: dict[str, Tensor] = deepinfomax.embed(encoder, images, levels=("y",))
    array: np.ndarray = embedded["y"].numpy()
    return array


def trained(images: np.ndarray, out: Path) -> nn.Module:
    return deepinfomax.train("cpu", images, out, quiet=True)


def information(x: np.ndarray, y: np.ndarray) -> float:
    estimate: deepinfomax.MIEstimate = deepinfomax.estimate_mi(x, y)
    return estimate.nats


def transformed(images: np.ndarray) -> np.ndarray:
    made: np.ndarray = DeepInfoMax(steps=10, level="fc").fit(images).transform(images)
    return made


def careful(run: str) -> nn.Module | None:
    try:
        return deepinfomax.load(run)
    except deepinfomax.UserError:
        return None


NAMES: list[str] = list(bounds.BOUNDS)
ZEROS: Tensor = torch.zeros(1)
