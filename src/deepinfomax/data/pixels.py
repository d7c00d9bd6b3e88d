"""Arrays as pictures of bytes: (N, C, H, W) uint8 with one or three channels, of any size."""

import math
from dataclasses import replace

import numpy as np

from deepinfomax import memory
from deepinfomax.data.decoding import DARK, check_target, dark, to_array
from deepinfomax.data.images import ImageSet, blocks
from deepinfomax.data.opening import as_picture
from deepinfomax.errors import UserError, count_of

LOOKED_AT = 1000  #: images that are searched for a bright pixel; a memory map is not read whole for it
BYTE_ROUNDING = 1e-4  #: floats that are bytes divided by 255 differ from them by less, in units of a byte


def as_pixels(images: np.ndarray, where: str, layout: str = "auto") -> tuple[np.ndarray, tuple[str, ...]]:
    """Any accepted array as (N, C, H, W) uint8 with 1 or 3 channels, and notes on what was converted.

    Raises:
        UserError: wrong rank, channels or type, or floats outside [0, 1].
    """
    accepted = "images must be (N, H, W), (N, H, W, C) or (N, C, H, W) with 1, 3 or 4 channels"
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 4:
        first, last = (
            images.shape[axis] in (1, 3, 4) and layout in ("auto", told)
            for axis, told in ((1, "channels-first"), (3, "channels-last"))
        )
        if not first and not last:
            raise UserError(f"{where} has shape {images.shape}; {accepted}")
        images = images.transpose(0, 3, 1, 2) if last else images
    else:
        raise UserError(f"{where} has shape {images.shape}; {accepted}")
    if not images.size:
        raise UserError(f"{where} holds no images (shape {images.shape})")
    if images.dtype == bool:
        images = images.astype(np.uint8) * np.uint8(255)
    elif images.dtype.kind == "f":
        low, high = float(images.min()), float(images.max())
        if not (low >= 0 and high <= 1):  # also refuses nan
            raise UserError(
                f"{where} holds floats from {low:g} to {high:g}; for bytes they must lie in [0, 1]: data.values kept "
                "takes them as they are"
            )
        images = np.rint(images * 255).astype(np.uint8)
    elif images.dtype != np.uint8:
        raise UserError(
            f"{where} holds {images.dtype}; bytes are uint8 in 0..255 or floats in [0, 1]: data.values kept takes "
            "others as they are"
        )
    notes: tuple[str, ...] = ()
    if images.shape[1] == 4:  # alpha a over white: 255 - a (255 - c) / 255
        colour, alpha = images[:, :3].astype(np.uint16), images[:, 3:].astype(np.uint16)
        images = (255 - ((255 - colour) * alpha + 127) // 255).astype(np.uint8)
        notes = (f"{count_of(len(images), 'image has', 'images have')} an alpha channel: composited on white",)
    looked_at = images[:: -(-len(images) // LOOKED_AT)]
    if (brightest := int(looked_at.max())) < DARK:
        notes += (dark("the" if len(looked_at) == len(images) else f"{len(looked_at):,} evenly spaced", brightest),)
    return images, notes


def resized(images: ImageSet, size: int | None, channels: int | None) -> ImageSet:
    """The same images with another size or number of channels; as they are where nothing changes."""
    shape = images.shape
    target = shape[0] if channels is None else channels, *(shape[1:] if size is None else (size, size))
    check_target(size, channels)
    if target == shape:
        return images
    refuse_too_large(len(images) * math.prod(target), f"{images.name}: images of {target[1]} pixels")
    out = np.empty((len(images), *target), np.uint8)
    for row, image in zip(out, images.images, strict=True):
        row[:] = to_array(as_picture(image), target[0], (target[2], target[1]))
    return replace(images, images=out)


def divided_bytes(values: np.ndarray) -> bool:
    """Whether floats are bytes divided by 255, so that nothing is lost where they become bytes again."""
    if values.dtype.kind != "f" or values.dtype.itemsize < 4:
        return False
    for rows in blocks(values):
        scaled = np.asarray(values[rows], dtype=np.float64) * 255
        with np.errstate(invalid="ignore"):
            bytes_ = (scaled > -0.5) & (scaled < 255.5) & (np.abs(scaled - np.rint(scaled)) < BYTE_ROUNDING)
        if not bytes_.all():
            return False
    return True


def refuse_too_large(need: int, what: str) -> None:
    free = memory.free()
    if need > free:
        room = f"{need / 1e9:,.1f} GB of memory, {free / 1e9:,.1f} GB are free"
        raise UserError(f"{what} take {room}; set data.size smaller, or data.limit")
