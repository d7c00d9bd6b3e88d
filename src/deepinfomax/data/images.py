"""ImageSet: decoded images in memory or memory-mapped, and how a batch of them becomes an encoder's input."""

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class ImageSet:
    """Decoded images of one split.

    `images` may be a memory map; nothing copies it until a batch or the whole set is moved to a device.
    """

    images: np.ndarray  #: (N, C, H, W) uint8; or (N, C, *S) floats of any rank, used as they are (sequences, volumes)
    labels: np.ndarray | None = None  #: (N,) int64, or (N, K) int64 of 0/1 for attributes; None where there are none
    classes: tuple[str, ...] = ()  #: names of the classes (or attributes), in label order
    name: str = ""  #: what the user called it
    notes: tuple[str, ...] = field(default=())  #: what was converted or left out on the way, one line each
    left_out: tuple[int, ...] = ()  #: places, among all images that were asked for, of those that cannot be read

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, *S): (C, H, W) for images"""
        return tuple(self.images.shape[1:])

    def take(self, index: np.ndarray | slice) -> "ImageSet":
        """The same set at some indices."""
        labels = None if self.labels is None else self.labels[index]
        return replace(self, images=self.images[index], labels=labels)


def normalise(images: Tensor | np.ndarray) -> Tensor:
    """uint8 (N, C, H, W) -> float32 in [-1, 1], what encoders take (mean .5, sd .5 as in the authors' code).

    Floats of any shape come back as float32 and are otherwise left alone.
    """
    if isinstance(images, np.ndarray) and not images.flags.writeable:  # a memory map, which torch cannot share
        images = images.copy()
    images = torch.as_tensor(images)
    if images.is_floating_point():
        return images.to(torch.float32)
    return images.to(torch.float32).mul_(2 / 255).sub_(1)


def denormalise(images: Tensor | np.ndarray) -> np.ndarray:
    """The inverse of `normalise`, to look at: floats in [-1, 1] of any shape -> uint8, uint8 as it is.

    What lies outside [-1, 1] is cut off.
    """
    pixels = images.cpu().numpy() if isinstance(images, Tensor) else images
    return ((pixels + 1) * 127.5).round().clip(0, 255).astype(np.uint8) if pixels.dtype.kind == "f" else pixels
