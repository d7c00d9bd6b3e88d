"""ImageSet: decoded images in memory or memory-mapped, and how a batch of them becomes an encoder's input."""

import sys
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeGuard

import numpy as np

from deepinfomax.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor  # to read and describe data needs no torch, whose import takes a second

CHUNK = 1024  #: images looked at together


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

    def __post_init__(self) -> None:
        named = self.name or "the set"
        for field_name in ("images", "labels"):  # tensors and lists are taken too
            value = getattr(self, field_name)
            if value is not None and not isinstance(value, np.ndarray):
                object.__setattr__(self, field_name, _as_array(value, named))
        whole_pixels(self.images, named)
        if np.ma.is_masked(self.labels):
            raise UserError(f"{named} has masked labels: give them the number -1, labels.filled(-1)")

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


def trainable(images: ImageSet) -> ImageSet:
    """The same set once it is sure that a network can be trained on it; floats and labels as torch takes them.

    Raises:
        UserError: pixels that are neither uint8 nor floats, or not finite; labels that are no whole numbers, or
            not one an image.
    """
    check_kind(images)
    pixels, labels, name = images.images, images.labels, images.name or "the set"
    if pixels.dtype.kind == "f" and len(pixels):
        parts = range(0, len(pixels), CHUNK)
        finite = np.concatenate([np.isfinite(pixels[i : i + CHUNK]).reshape(-1, pixels[0].size).all(1) for i in parts])
        if not finite.all():
            have = f"{(~finite).sum():,} of {len(pixels):,} images have pixels that are NaN or infinite"
            raise UserError(f"{name}: {have}, first: number {np.argmin(finite)}; mend them or leave them out")
        if not pixels.dtype.isnative or pixels.dtype.itemsize > 8:
            pixels = pixels.astype(np.float32)
    if labels is not None and len(labels) != len(pixels):
        raise UserError(f"{name} holds {len(pixels):,} images but {len(labels):,} labels")
    if labels is not None and labels.dtype.kind not in "iub":
        raise UserError(f"{name}: labels are {labels.dtype}; number them 0, 1, ... as integers (from_array does)")
    return replace(images, images=pixels, labels=None if labels is None else labels.astype(np.int64, copy=False))


def check_kind(images: ImageSet) -> None:
    """What can be said of images without looking at one.

    Raises:
        UserError: pixels that are neither uint8 nor floats, or an array without an axis of channels.
    """
    pixels, name = images.images, images.name or "the set"
    if pixels.dtype != np.uint8 and pixels.dtype.kind != "f":
        raise UserError(f"{name}: {_wrong_kind(pixels.dtype)}")
    if pixels.ndim < 3 or (pixels.ndim == 3 and pixels.dtype == np.uint8):
        wanted = "images are (N, C, H, W) uint8, or floats (N, C, *S); from_array takes grey ones (N, H, W)"
        raise UserError(f"{name} has shape {pixels.shape}: {wanted}")


def whole_pixels(images: np.ndarray, where: str) -> None:
    """Refuse masked pixels, whose mask would be forgotten on the way to the encoder.

    Raises:
        UserError: some are masked.
    """
    if np.ma.is_masked(images):
        masked = np.ma.getmaskarray(images).reshape(len(images), -1).any(1).sum()
        raise UserError(
            f"{where}: {masked:,} of {len(images):,} images have masked pixels; fill them, or leave them out"
        )


def normalise(images: "Tensor | np.ndarray") -> "Tensor":
    """uint8 (N, C, H, W) -> float32 in [-1, 1], what encoders take (mean .5, sd .5 as in the authors' code).

    Floats of any shape come back as float32 and are otherwise left alone.
    """
    import torch

    if isinstance(images, np.ndarray) and not images.flags.writeable:  # a memory map, which torch cannot share
        images = images.copy()
    if isinstance(images, np.ndarray) and not images.dtype.isnative:
        images = images.astype(images.dtype.newbyteorder("="))
    images = torch.as_tensor(images)
    if images.is_floating_point():
        return images.to(torch.float32)
    if images.dtype != torch.uint8:
        raise UserError(_wrong_kind(images.dtype))
    return images.to(torch.float32).mul_(2 / 255).sub_(1)


def is_tensor(value: object) -> "TypeGuard[Tensor]":
    """Whether it is a tensor of PyTorch, which is not imported to answer: where it was not, nothing is one."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _as_array(values: object, where: str) -> np.ndarray:
    """A tensor, a list or an array of another library, as NumPy's."""
    try:
        return values.detach().cpu().numpy() if is_tensor(values) else np.asarray(values)
    except (TypeError, ValueError) as error:  # lists of several lengths; bfloat16, which NumPy does not have
        raise UserError(f"{where}: {type(values).__name__} is no array ({str(error).splitlines()[0]})") from None


def _wrong_kind(kind: object) -> str:
    way = "(images >> 8).astype(np.uint8) for 16 bits, images.astype(np.uint8) for 0..255"
    return f"images are {kind}; they must be uint8 in 0..255 or floats: {way}"


def denormalise(images: "Tensor | np.ndarray") -> np.ndarray:
    """The inverse of `normalise`, to look at: floats in [-1, 1] of any shape -> uint8, uint8 as it is.

    What lies outside [-1, 1] is cut off.
    """
    pixels: np.ndarray = images.cpu().numpy() if is_tensor(images) else images  # type: ignore[assignment]
    return ((pixels + 1) * 127.5).round().clip(0, 255).astype(np.uint8) if pixels.dtype.kind == "f" else pixels
