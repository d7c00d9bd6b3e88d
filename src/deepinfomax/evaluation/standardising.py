"""Standardised features: each unit with mean 0 and standard deviation 1 over the training images."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Standardiser:
    """Each unit minus its mean, over its standard deviation; a constant unit becomes 0."""

    mean: Float[Tensor, "units"]
    scale: Float[Tensor, "units"]  #: 1 / standard deviation, 0 for constant units

    @classmethod
    def of(cls, train: Float[Tensor, "N units"]) -> "Standardiser":
        """Statistics of `train`, by the two-pass formula in fp64, in blocks of rows, which saves a copy.

        A unit is constant when its standard deviation is below 1e-6 of its largest absolute value, or below 1e-38: fp32
        cannot tell smaller differences from rounding.
        """
        mean = sum(part.double().sum(0) for part in train.split(1000)) / len(train)
        assert isinstance(mean, Tensor)
        variance = sum((part.double() - mean).square().sum(0) for part in train.split(1000)) / len(train)
        assert isinstance(variance, Tensor)
        deviation = variance.sqrt()
        constant = deviation <= (1e-6 * train.abs().amax(0).double()).clamp_min(1e-38)
        return cls(mean.float(), torch.where(constant, 0.0, 1 / deviation).float())

    @property
    def constant_units(self) -> int:
        return int((self.scale == 0).sum())

    def __call__(self, vectors: Float[Tensor, "N units"]) -> Float[Tensor, "N units"]:
        """The standardised vectors, a new tensor."""
        return (vectors - self.mean).mul_(self.scale)


def standardised(
    train: Float[Tensor, "N units"], test: Float[Tensor, "T units"], standardiser: Standardiser | None = None
) -> tuple[Float[Tensor, "N units"], Float[Tensor, "T units"], int]:
    """Both sets by the statistics of `train`, or of `standardiser` where given, and the number of constant units."""
    standardiser = standardiser or Standardiser.of(train)
    return standardiser(train), standardiser(test), standardiser.constant_units
