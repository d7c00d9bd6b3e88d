"""Standardising channels: the mean and the standard deviation of each, over the training part."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from deepinfomax.data.images import ImageSet, blocks, in_range
from deepinfomax.errors import UserError

if TYPE_CHECKING:  # to describe data needs no torch
    import torch
    from torch import Tensor

#: if the mean of a channel is more than this many standard deviations, its differences are lost in float32
MOST_OFFSET = 1e5
LARGEST = float(np.finfo(np.float32).max)
CONSTANT = 1e-12  #: standard deviation that equal numbers get by rounding alone, for a mean of 1


@dataclass(frozen=True)
class Channels:
    """Mean and standard deviation of each channel; a network gets (x - mean) / sd."""

    mean: tuple[float, ...]  #: (C,), of the output of `images.normalise`
    sd: tuple[float, ...]

    @classmethod
    def of(cls, images: ImageSet) -> "Channels":
        """Measure all numbers of each channel, in one pass through the set.

        Raises:
            UserError: a channel is constant, or its differences are too small for numbers of this size.
        """
        channels, largest = cls._measured(images)
        name, many = images.name or "the set", len(channels.mean) > 1
        if largest > LARGEST:
            raise UserError(f"{name} has numbers up to {largest:.3g}, beyond float32 (3.4e38): scale them down")
        for i, (mean, sd) in enumerate(zip(channels.mean, channels.sd, strict=True)):
            which = f"channel {i} of {len(channels.mean)}" if many else "every value"
            if sd <= CONSTANT * abs(mean):
                mend = (
                    f"leave it out of the data, of an array (N, C, ...) by np.delete(x, {i}, axis=1)"
                    if many
                    else "there is nothing to learn from it"
                )
                raise UserError(f"{name}: {which} is {mean:g} everywhere in the training part; {mend}")
            if abs(mean) > MOST_OFFSET * sd:
                raise UserError(
                    f"{name}: {which} lies around {mean:.3g} and varies by {sd:.3g}, which float32 cannot tell apart: "
                    "subtract its mean first"
                )
        return channels

    @classmethod
    def to_compare(cls, images: ImageSet) -> "Channels | None":
        """`of` for a control, without errors; None for pictures and numbers in [-1, 1], which need no scaling."""
        if images.pictures or (images.images.dtype != np.uint8 and in_range(images)):
            return None
        channels, _ = cls._measured(images)
        return cls(
            channels.mean,
            tuple(
                sd if sd > CONSTANT * abs(mean) else 1.0 for mean, sd in zip(channels.mean, channels.sd, strict=True)
            ),
        )

    @classmethod
    def _measured(cls, images: ImageSet) -> "tuple[Channels, float]":
        """The channels, and the largest absolute value of any of them."""
        count, mean, squares, largest = 0, np.zeros(1), np.zeros(1), 0.0
        for rows in blocks(images.images):
            part = _numbers(images.images[rows])
            largest = max(largest, float(np.abs(part).max()))
            if largest > LARGEST:  # whose square is more than float64 holds
                return cls((0.0,), (1.0,)), largest
            own = part.size // part.shape[1]
            axes = (0, *range(2, part.ndim))
            middle = part.mean(axes)
            spread = np.square(part - np.expand_dims(middle, axes)).sum(axes)
            # Chan, Golub and LeVeque (1983): two parts as one, without the loss of a sum of squares
            both = count + own
            squares = squares + spread + np.square(middle - mean) * (count * own / both)
            mean = mean + (middle - mean) * (own / both)
            count = both
        return cls(tuple(mean.tolist()), tuple(np.sqrt(squares / max(1, count)).tolist())), largest

    def __call__(self, numbers: "Tensor") -> "Tensor":
        """Standardise (N, C, *S) float32: over the training part each channel has mean 0 and standard deviation 1."""
        shape = (1, -1, *[1] * (numbers.ndim - 2))
        mean, sd = (values.view(shape) for values in _on_device(self, numbers.device))
        return (numbers - mean) / sd

    def as_tree(self) -> dict[str, Any]:
        """For JSON."""
        return {"mean": list(self.mean), "sd": list(self.sd)}


@lru_cache(8)
def _on_device(channels: Channels, device: "torch.device") -> "tuple[Tensor, Tensor]":
    """Mean and standard deviation, (C,) float32; remembered, since the way to a device waits for it in every batch."""
    import torch

    mean, sd = (torch.tensor(v, dtype=torch.float32, device=device) for v in (channels.mean, channels.sd))
    return mean, sd


def _numbers(values: np.ndarray) -> np.ndarray:
    """As float64; bytes in [-1, 1], as `normalise` has them."""
    numbers = np.asarray(values, dtype=np.float64)
    return numbers * (2 / 255) - 1 if values.dtype == np.uint8 else numbers


def channel_means(images: np.ndarray, name: str) -> np.ndarray:
    """(C,) means of the numbers that are not NaN.

    Raises:
        UserError: a channel has only NaN.
    """
    total, count = np.zeros(images.shape[1]), np.zeros(images.shape[1])
    axes = (0, *range(2, images.ndim))
    for rows in blocks(images):
        part = np.asarray(images[rows], dtype=np.float64)
        known = ~np.isnan(part)
        total += np.where(known, part, 0).sum(axes)
        count += known.sum(axes)
    if not count.all():
        raise UserError(f"{name}: channel {int(np.argmin(count))} has no value at all, every one is NaN: leave it out")
    return total / count


def filled(images: np.ndarray, numbers: Sequence[float] | np.ndarray) -> np.ndarray:
    """A copy in which NaN is replaced by one number for each channel."""
    whole = np.array(images)
    fill = np.asarray(numbers, dtype=whole.dtype).reshape(1, -1, *[1] * (whole.ndim - 2))
    return np.where(np.isnan(whole), fill, whole)
