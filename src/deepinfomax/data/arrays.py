"""Arrays of numbers: whether they are pictures of bytes, which axis has the channels, which values are missing.

Pictures of bytes are handled like all pictures. Everything else keeps its numbers: series (N, C, T), images with any
number of channels (N, C, H, W) and volumes (N, C, D, H, W), of any type. If the meaning of the axes is not clear, the
rules of `axes_of` decide, and a note says what was decided and which setting changes it.
"""

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from PIL import Image, ImageOps

from deepinfomax.data.channels import channel_means, filled
from deepinfomax.data.decoding import check_target
from deepinfomax.data.images import NUMBERS, ImageSet, blocks
from deepinfomax.data.pixels import as_pixels, divided_bytes, resized
from deepinfomax.errors import UserError

Values: TypeAlias = Literal["auto", "bytes", "kept"]
Kind: TypeAlias = Literal["auto", "images", "series", "volumes"]
Layout: TypeAlias = Literal["auto", "channels-first", "channels-last"]
Missing: TypeAlias = Literal["refuse", "mean"]

#: kind -> names of the axes of one item, without its channels
AXES: dict[str, tuple[str, ...]] = {"series": ("T",), "images": ("H", "W"), "volumes": ("D", "H", "W")}
KIND_OF_RANK = {len(axes): kind for kind, axes in AXES.items()}
MOST_CHANNELS = 32  #: an axis of images or volumes that is longer is not taken for channels, unless the user says so
SQUARE = 2  #: two axes are height and width if neither is this many times as long as the other
PICTURE_CHANNELS = (1, 3, 4)


@dataclass(frozen=True)
class Reading:
    """The user's settings for reading arrays; "auto" means that the rules decide."""

    #: bytes: pictures of 8 bits, with floats in [0, 1] rounded; kept: all numbers keep their values. Bytes of one or
    #: three channels are pictures in either case
    values: Values = "auto"
    kind: Kind = "auto"
    layout: Layout = "auto"
    missing: Missing | tuple[float, ...] = (
        "refuse"  #: what replaces NaN: the channel's mean, or a given number for each channel
    )


@dataclass(frozen=True)
class Axes:
    """What the axes of one item mean."""

    kind: str  #: of `AXES`
    channels: int | None  #: the axis of the channels, 0 or -1; None: there is none, and one channel is added
    guessed: str = ""  #: the reason, if the axes could have another meaning


def arranged(images: ImageSet, reading: Reading, size: int | None = None, channels: int | None = None) -> ImageSet:
    """Bring the array of a set, with the axes of its file, to (N, C, *S), with notes on what was decided.

    Raises:
        UserError: not an array of numbers; axes that fit no kind; NaN or infinite values; a size for data that cannot
            be resized.
    """
    values, name = images.images, images.name or "the array"
    if images.as_given:
        check_numbers(values, name)
        if _are_bytes(values, reading):
            pixels, notes = as_pixels(values, name, reading.layout)
            images = replace(images, images=pixels, notes=images.notes + notes, as_given=False)
            return resized(images, size, channels)
        axes = axes_of(values.shape[1:], reading, name)
        ordered, said = in_order(values, axes), _said(values, axes, told=reading.kind == "series")
        images = replace(images, images=ordered, notes=images.notes + said, as_given=False)
    elif images.pictures:
        return resized(with_unused(images, reading), size, channels)
    else:
        images = with_unused(images, reading)
    images = _without_missing(images, reading.missing)
    return images if size is None and channels is None else _resized_numbers(images, size, channels)


def with_unused(images: ImageSet, reading: Reading) -> ImageSet:
    """Add notes about settings of axes that have no effect, because the files define their axes."""
    kind, notes = KIND_OF_RANK.get(len(images.shape) - 1, ""), []
    if reading.kind not in ("auto", kind):
        notes.append(f"data.kind {reading.kind} is not used: the files say that these are {kind}")
    if reading.layout != "auto":
        notes.append(f"data.layout {reading.layout} is not used: the files say where the channels are")
    return replace(images, notes=(*images.notes, *notes)) if notes else images


def check_numbers(values: np.ndarray, name: str) -> None:
    """Raises UserError for an empty array, and for one that does not hold numbers."""
    if values.dtype.kind == "O":
        raise UserError(f"{name} holds objects, as items of several lengths are: cut or pad them to one length")
    if values.ndim < 2 or not values.size:
        wanted = "series are (N, T) or (N, C, T), images (N, H, W) or (N, C, H, W), volumes (N, C, D, H, W)"
        raise UserError(f"{name} has shape {values.shape}, which holds nothing to learn from: {wanted}")
    if values.dtype.kind not in (*NUMBERS, "b"):
        more = "; give real and imaginary parts as two channels" if values.dtype.kind == "c" else ""
        raise UserError(f"{name} holds {values.dtype}, no real numbers{more}")


def axes_of(shape: tuple[int, ...], reading: Reading, name: str) -> Axes:
    """The meaning of the axes of one item, by the user's settings, or else by these rules.

    * One axis: a series.
    * Two axes: height and width if neither is twice as long as the other; otherwise a series, and the shorter axis has
      the channels.
    * Three axes: an image. Its channels are the first or the last axis, whichever is shorter than the two others and at
      most 32. If neither is, it is a volume with one channel.
    * Four axes: a volume; its channels are found in the same way.

    Args:
        shape: of one item, without the axis N.
        name: of the data, for messages.

    Raises:
        UserError: axes that fit no kind, or for which the rules give no unique answer.
    """
    kinds = {1: ("series",), 2: ("images", "series"), 3: ("images", "volumes"), 4: ("volumes",)}.get(len(shape), ())
    fits = [kind for kind in kinds if reading.kind in ("auto", kind)]
    if reading.layout != "auto":  # an axis of channels is there
        fits = [kind for kind in fits if len(AXES[kind]) + 1 == len(shape)]
    if not fits:
        asked = [word for word in (reading.kind, reading.layout) if word != "auto"]
        may = f" of {', '.join(asked)}" if asked else ""
        raise UserError(
            f"{name} has items of shape {'x'.join(map(str, shape))}, which fits nothing{may}: series are (N, T) or "
            "(N, C, T), images (N, H, W) or (N, C, H, W), volumes (N, D, H, W) or (N, C, D, H, W)"
        )
    kind = fits[0]
    channel_axis = _channel_axis(shape, reading.layout)
    if fits == ["images", "series"]:
        square = max(shape) < SQUARE * min(shape)
        kind = "images" if square else "series"
        alike = "" if shape[0] == shape[1] else "the two sides are alike"
        because = alike if square else "the shorter axis holds the channels"
        return Axes(kind, None if square else channel_axis, because)
    if fits == ["images", "volumes"]:
        kind = "images" if channel_axis is not None else "volumes"
        because = (
            "the shortest axis holds the channels"
            if channel_axis is not None
            else "no axis is short enough for channels"
        )
        return Axes(kind, channel_axis, because)
    if len(shape) == len(AXES[kind]):
        return Axes(kind, None)
    if channel_axis is None:
        raise UserError(
            f"{name} has {kind} of shape {'x'.join(map(str, shape))}, which does not show where the channels are: set "
            "data.layout channels-first or channels-last"
        )
    return Axes(kind, channel_axis, "the shortest axis holds the channels" if reading.layout == "auto" else "")


def _channel_axis(shape: tuple[int, ...], layout: Layout) -> int | None:
    """0 or -1, as the user says or as the lengths show; None if they do not."""
    if layout != "auto" or len(shape) < 2:
        return 0 if layout == "channels-first" else -1
    first, last = shape[0], shape[-1]
    if len(shape) == 2:
        return None if first == last else (0 if first < last else -1)
    if first <= MOST_CHANNELS and first < min(shape[1:]):
        return 0
    return -1 if last <= MOST_CHANNELS and last < min(shape[:-1]) else None


def in_order(values: np.ndarray, axes: Axes) -> np.ndarray:
    """(N, ...) -> (N, C, *S), as a view."""
    if axes.channels is None:
        values = values[:, None]
    elif axes.channels == -1:
        values = np.moveaxis(values, -1, 1)
    if values.dtype == bool:
        return values.astype(np.int16)  # as bytes they would be pictures, nearly black
    # Bytes of two axes could be grey pictures without their axis of channels, which a set (N, C, *S) never is.
    return values.astype(np.int16) if values.dtype == np.uint8 and axes.kind == "series" else values


def word_of(shape: tuple[int, ...], count: int = 2) -> str:
    """The word for `count` items of shape (C, *S): "images", "series"."""
    kind = KIND_OF_RANK.get(len(shape) - 1, "images")
    return kind if count != 1 or kind == "series" else kind.removesuffix("s")


def title_of(shape: tuple[int, ...], count: int = 2) -> str:
    """A description of `count` items of shape (C, *S): "series of 2 channels and 100 steps"."""
    channels, *sides = shape
    many = f"{channels} channel{'s' if channels != 1 else ''}"
    size = f"{sides[0]} steps" if len(sides) == 1 else "x".join(map(str, sides))
    return f"{word_of(shape, count)} of {many} and {size}"


def _said(values: np.ndarray, axes: Axes, *, told: bool) -> tuple[str, ...]:
    """A note how the axes were understood; none if nothing was guessed, or if the user set the kind to series."""
    if values.ndim == 2 and not told:  # what embeddings are too
        steps = values.shape[1]
        return (
            f"rows of {steps} numbers are taken as series of {steps} steps; embeddings are for evaluate and explore",
        )
    if not axes.guessed:
        return ()
    taken = title_of(in_order(values[:1], axes).shape[1:])
    shape = "x".join(map(str, values.shape[1:]))
    otherwise = "data.kind or data.layout say otherwise, in Python kind= or layout= of from_array"
    return (f"items of shape {shape} are taken as {taken}: {axes.guessed}; {otherwise}",)


def _are_bytes(values: np.ndarray, reading: Reading) -> bool:
    """Whether these are pictures: bytes with one, three or four channels, unless the user says otherwise.

    Floats that are bytes divided by 255 count as bytes, since nothing is lost by converting them.
    """
    if reading.values == "bytes" and reading.kind not in ("auto", "images"):
        raise UserError(f"data.values bytes are pictures, and data.kind says {reading.kind}: leave one of them out")
    if reading.values != "auto":
        return reading.values == "bytes"
    if reading.kind not in ("auto", "images") or values.dtype.kind not in "ufb" or values.ndim not in (3, 4):
        return False
    if values.ndim == 3:
        sides = values.shape[1:]
        alike = values.dtype.kind != "f" or reading.kind == "images" or max(sides) < SQUARE * min(sides)
        shaped = reading.layout == "auto" and alike
    else:
        ends = {"channels-first": (1,), "channels-last": (3,)}.get(reading.layout, (1, 3))
        shaped = any(values.shape[axis] in PICTURE_CHANNELS for axis in ends)
    return shaped and (values.dtype in (np.uint8, bool) or divided_bytes(values))


def _without_missing(images: ImageSet, missing: Missing | tuple[float, ...]) -> ImageSet:
    """Check that all numbers are finite, and fill NaN if `missing` says so.

    Raises:
        UserError: infinite numbers, or NaN with `missing` = "refuse".
    """
    values, name = images.images, images.name or "the array"
    if values.dtype.kind != "f":
        return images
    gaps = infinite = touched = 0
    first = None
    for rows in blocks(values):
        part = np.asarray(values[rows])
        if np.isfinite(part).all():
            continue
        absent = np.isnan(part)
        gaps += int(absent.sum())
        infinite += int(np.isinf(part).sum())
        bad = ~np.isfinite(part).reshape(len(part), -1).all(1)
        touched += int(bad.sum())
        if first is None and bad.any():
            first = rows.start + int(np.argmax(bad))
    if infinite:
        raise UserError(
            f"{name}: {infinite:,} of {values.size:,} values are infinite, first in number {first}: mend them, or make "
            "them NaN and set data.missing mean"
        )
    if not gaps:
        return images
    where = f"{gaps:,} of {values.size:,} values, in {touched:,} of {len(values):,}"
    if missing == "refuse":
        channel_means(values, name)  # a channel of NaN alone has no mean, and leaving items out mends nothing
        mend = "set data.missing mean to put the mean of their channel in their place, or leave these out"
        raise UserError(f"{name}: {where}, are NaN, first in number {first}: {mend}")
    numbers = channel_means(values, name) if isinstance(missing, str) else np.asarray(missing)
    if len(numbers) != images.shape[0]:
        raise UserError(
            f"{name} holds {title_of(images.shape)}, and data.missing has the numbers of {len(numbers)} channels"
        )
    note = f"{where}, were NaN: the mean of their channel is in their place"
    return replace(images, images=filled(values, numbers), notes=(*images.notes, note))


def _resized_numbers(images: ImageSet, size: int | None, channels: int | None) -> ImageSet:
    """Resize images of numbers, as float32: the shorter side is resized with antialiasing, the centre is cropped.

    Raises:
        UserError: series and volumes; another number of channels.
    """
    check_target(size, channels)
    if channels is not None and channels != images.shape[0]:
        raise UserError(
            f"data.channels {channels} is for pictures of bytes, and {images.name} holds {title_of(images.shape)}"
        )
    if size is None or images.shape[1:] == (size, size):
        return images
    if len(images.shape) != 3:
        raise UserError(f"data.size is for images, and {images.name} holds {title_of(images.shape)}: resize the files")
    out = np.empty((len(images), images.shape[0], size, size), np.float32)
    for row, item in zip(out, images.images, strict=True):
        row[:] = resized_bands(item, size)
    return replace(images, images=out, notes=(*images.notes, said_of_resizing(size)))


def resized_bands(item: np.ndarray, size: int) -> np.ndarray:
    """An image of numbers (C, H, W) -> (C, size, size) float32."""
    bands = [Image.fromarray(np.ascontiguousarray(band, dtype=np.float32)) for band in item]
    return np.stack([np.asarray(ImageOps.fit(band, (size, size), method=Image.Resampling.BICUBIC)) for band in bands])


def said_of_resizing(size: int) -> str:
    return f"resized to {size}x{size}, as float32"
