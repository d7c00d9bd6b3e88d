"""`ImageSet`: decoded images, in memory or memory-mapped, and their conversion to an encoder's input."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeGuard

import numpy as np

from deepinfomax.errors import UserError, agreed, count_of, first_line

if TYPE_CHECKING:
    from torch import Tensor  # to read and describe data needs no torch, whose import takes a second

CHUNK = 1024  #: images processed together
BLOCK = 2**22  #: numbers processed together
NUMBERS = "uif"  #: NumPy's kinds of types that are accepted: whole numbers and floats
#: type -> the type used instead, because torch does not compute with the first one on every device
WIDER = {"uint16": np.int32, "uint32": np.int64, "uint64": np.float64, "float16": np.float32}
ROUNDED = "some whole numbers are beyond 2^53, where float64 rounds them"


@dataclass(frozen=True)
class ImageSet:
    """Decoded images of one split.

    `images` may be a memory map, which is copied only when a batch or the whole set is moved to a device.
    """

    #: pictures (N, C, H, W) uint8; or numbers (N, C, *S) of any type: series, volumes, images of many bands
    images: np.ndarray
    labels: np.ndarray | None = None  #: (N,) int64, or (N, K) int64 of 0/1 for attributes; None if there are none
    classes: tuple[str, ...] = ()  #: names of the classes (or attributes), in label order
    name: str = ""  #: what the user called it
    notes: tuple[str, ...] = field(default=())  #: what was converted or left out on the way, one line each
    left_out: tuple[int, ...] = ()  #: positions of images that could not be read, among all requested images
    as_given: bool = (
        False  #: whether the axes are still those of the file; `arrays.arranged` changes them to (N, C, *S)
    )

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

    @property
    def pictures(self) -> bool:
        """Whether these are pictures of bytes, which are scaled to [-1, 1] and not standardised by channel."""
        return self.images.dtype == np.uint8 and len(self.shape) == 3 and self.shape[0] in (1, 3)

    def take(self, index: np.ndarray | slice) -> "ImageSet":
        """The same set at some indices."""
        labels = None if self.labels is None else self.labels[index]
        return replace(self, images=self.images[index], labels=labels)


def trainable(images: ImageSet) -> ImageSet:
    """Check that a network can be trained on a set, and convert floats and labels to types that torch takes.

    Raises:
        UserError: values that are not finite real numbers; labels that are not whole numbers, one for each image.
    """
    check_kind(images)
    pixels, labels, name = images.images, images.labels, images.name or "the set"
    if pixels.dtype.kind == "f" and pixels.size:
        finite = np.concatenate([np.isfinite(pixels[i]).reshape(-1, pixels[0].size).all(1) for i in blocks(pixels)])
        if not finite.all():
            have = f"{(~finite).sum():,} of {len(pixels):,} images have pixels that are NaN or infinite"
            raise UserError(f"{name}: {have}, first: number {np.argmin(finite)}; mend them or leave them out")
        if not pixels.dtype.isnative or pixels.dtype.itemsize > 8:
            pixels = pixels.astype(np.float32)
    if labels is not None and len(labels) != len(pixels):
        raise UserError(f"{name} holds {count_of(len(pixels), 'image')} but {count_of(len(labels), 'label')}")
    if labels is not None and labels.dtype.kind not in "iub":
        raise UserError(f"{name}: labels are {labels.dtype}; number them 0, 1, ... as integers (from_array does)")
    return replace(images, images=pixels, labels=None if labels is None else labels.astype(np.int64, copy=False))


def blocks(values: np.ndarray) -> Iterator[slice]:
    """The rows of a large array in parts of about `BLOCK` numbers."""
    rows = max(1, BLOCK // max(1, values[:1].size))
    return (slice(start, start + rows) for start in range(0, len(values), rows))


def rounded(values: np.ndarray, kind: np.dtype) -> bool:
    """Whether `kind`, to which NumPy joins the type of these numbers and another, does not hold all of them.

    That is float64 beside whole numbers of 64 bits.
    """
    if kind != np.float64 or values.dtype.kind not in "iu" or values.dtype.itemsize < 8 or not values.size:
        return False
    return max(int(values.max()), -int(values.min())) > 2**53


def in_range(images: ImageSet) -> bool:
    """Whether the encoder's input is in [-1, 1] without standardising; bytes are, since they are scaled to it."""
    values = images.images
    return values.dtype == np.uint8 or all(
        bool((np.abs(np.asarray(values[rows], np.float64)) <= 1).all()) for rows in blocks(values)
    )


def check_kind(images: ImageSet) -> None:
    """Check the type and the shape of an array of images.

    Raises:
        UserError: values that are not real numbers, or an array without an axis of channels.
    """
    pixels, name = images.images, images.name or "the set"
    if pixels.dtype.kind not in NUMBERS:
        raise UserError(f"{name}: {_wrong_kind(pixels.dtype)}")
    if pixels.ndim < 3 or (pixels.ndim == 3 and pixels.dtype == np.uint8):
        wanted = "images are (N, C, H, W) uint8, or numbers (N, C, *S); from_array takes grey ones (N, H, W)"
        raise UserError(f"{name} has shape {pixels.shape}: {wanted}")


def whole_pixels(images: np.ndarray, where: str) -> None:
    """Check that no pixels are masked, since masks would be lost on the way to the encoder.

    Raises:
        UserError: some pixels are masked.
    """
    if np.ma.is_masked(images):
        masked = int(np.ma.getmaskarray(images).reshape(len(images), -1).any(1).sum())
        have = f"{masked:,} of {count_of(len(images), 'image')} {agreed(masked, 'has', 'have')}"
        raise UserError(f"{where}: {have} masked pixels; fill them, or leave them out")


def normalise(images: "Tensor | np.ndarray") -> "Tensor":
    """uint8 -> float32 in [-1, 1] (mean .5, sd .5 as in the authors' code), the input of encoders of pictures.

    All other numbers, of any shape, are only converted to float32.
    """
    import torch

    images = as_tensor(images) if isinstance(images, np.ndarray) else images
    if images.dtype == torch.bool or images.is_complex():
        raise UserError(_wrong_kind(images.dtype))
    if images.dtype != torch.uint8:
        return images.to(torch.float32)
    return images.to(torch.float32).mul_(2 / 255).sub_(1)


def as_tensor(values: np.ndarray) -> "Tensor":
    """The same numbers as a tensor, of a type that torch calculates with on every device; a memory map is read."""
    import torch

    if values.dtype.kind not in NUMBERS:
        raise UserError(_wrong_kind(values.dtype))
    kind = np.dtype(WIDER.get(values.dtype.name, values.dtype)).newbyteorder("=")
    if values.dtype.kind == "f" and values.dtype.itemsize > 8:
        kind = np.dtype(np.float64)
    if kind != values.dtype:
        values = values.astype(kind)
    elif not values.flags.writeable:  # a memory map, which torch cannot share
        values = values.copy()
    return torch.from_numpy(values)


def is_tensor(value: object) -> "TypeGuard[Tensor]":
    """Whether `value` is a tensor of PyTorch. PyTorch is not imported for this: without it there are no tensors."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _as_array(values: object, where: str) -> np.ndarray:
    """A tensor, a list or an array of another library, as NumPy's."""
    try:
        return values.detach().cpu().numpy() if is_tensor(values) else np.asarray(values)
    except (TypeError, ValueError) as error:  # lists of several lengths; bfloat16, which NumPy does not have
        raise UserError(f"{where}: {type(values).__name__} is no array ({first_line(error)})") from None


def _wrong_kind(kind: object) -> str:
    return f"images are {kind}; they must be real numbers: give complex ones as two channels, others as integers"


def denormalise(images: "Tensor | np.ndarray") -> np.ndarray:
    """The inverse of `normalise`: floats in [-1, 1] of any shape -> uint8; uint8 is returned unchanged.

    Floats outside [-1, 1] are clipped.
    """
    pixels: np.ndarray = images.cpu().numpy() if is_tensor(images) else images  # type: ignore[assignment]
    return ((pixels + 1) * 127.5).round().clip(0, 255).astype(np.uint8) if pixels.dtype.kind == "f" else pixels
