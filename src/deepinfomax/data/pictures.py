"""Data of every kind as small pictures, to look at: images, line plots of series, three slices of volumes.

What is shown together shares one scale, so that two pictures with the same grey, or the same height of a line, stand
for the same number.
"""

import numpy as np
from PIL import Image, ImageDraw

from deepinfomax.data.images import denormalise

SIDE = 64  #: pixels of an image at most
SLICE = 48  #: pixels of a slice of a volume at most
PLOT = (96, 64)  #: pixels of a line plot, width and height
FINER = 4  #: times as many pixels are drawn, and averaged
MOST_LINES = 6  #: channels of a series that are drawn, one below the other
#: of the channels, dark enough on white
COLOURS = ("#1f5fa8", "#b5461b", "#2d7d46", "#7a4b9a", "#8a6d1f", "#4d4d4d")
CUT = (1, 99)  #: percentiles that become black and white, so that one extreme number does not hide all others
LOOKED_AT = 1_000_000  #: numbers of a channel that the percentiles are taken from


def pictures_of(values: np.ndarray) -> np.ndarray:
    """(N, C, *S) of one, two or three axes S -> (N, 1 or 3, H, W) uint8.

    Bytes and floats in [-1, 1] of one or three channels are shown as the pixels they stand for, other images in the
    range of their own numbers; of more than three channels the last, the middle and the first are red, green and blue.
    """
    axes = values.ndim - 2
    if axes == 1:
        return np.stack([_plot(series) for series in _unit(values[:, :MOST_LINES])])
    if axes == 3:
        return np.stack([_slices(volume) for volume in _unit(_three(values))]).round().astype(np.uint8)
    small = thumbnails(values)
    if small.shape[1] in (1, 3):
        if small.dtype == np.uint8:
            return small
        if small.dtype.kind == "f" and small.min() < 0 and np.abs(small).max() <= 1:
            return denormalise(small)
    return (_unit(_three(small)) * 255).round().astype(np.uint8)


def drawable(shape: tuple[int, ...]) -> bool:
    """Whether items of this shape, (C, *S), can be drawn."""
    return 2 <= len(shape) <= 4


def thumbnails(images: np.ndarray, side: int = SIDE) -> np.ndarray:
    """At most `side` pixels a side, by whole steps: thumbnails for a page, not data."""
    step = max(1, -(-max(images.shape[2:]) // side))
    return images[:, :, ::step, ::step]


def _three(values: np.ndarray) -> np.ndarray:
    """One channel, or three of them."""
    channels = values.shape[1]
    return values if channels in (1, 3) else values[:, [channels - 1, channels // 2, 0]]


def _unit(values: np.ndarray) -> np.ndarray:
    """The numbers of each channel of all items together as floats in [0, 1]; numbers in [0, 1] of images stay."""
    numbers = np.asarray(values, dtype=np.float32)
    if values.ndim == 4 and values.dtype.kind == "f" and numbers.min() >= 0 and numbers.max() <= 1:
        return numbers
    out = np.empty_like(numbers)
    for channel in range(numbers.shape[1]):
        flat = numbers[:, channel].reshape(-1)
        low, high = np.percentile(flat[:: max(1, len(flat) // LOOKED_AT)], CUT)
        out[:, channel] = ((numbers[:, channel] - low) / max(high - low, 1e-30)).clip(0, 1)
    return out


def _slices(volume: np.ndarray) -> np.ndarray:
    """(C, D, H, W) in [0, 1] -> (C, H', W') in [0, 255]: the middle slices, in a square.

    Across D at the top left, across H beside it, across W below. Each becomes at most `SLICE` pixels wide.
    """
    middle = [side // 2 for side in volume.shape[1:]]
    planes = [volume[:, middle[0]], volume[:, :, middle[1]], volume[:, :, :, middle[2]]]
    cell = min(SLICE, max(volume.shape[1:]))
    square = np.full((len(volume), 2 * cell, 2 * cell), 255, np.float32)
    for plane, (row, column) in zip(planes, ((0, 0), (0, cell), (cell, 0)), strict=True):
        height, width = (max(1, round(side * cell / max(volume.shape[1:]))) for side in plane.shape[1:])
        for target, channel in zip(square, plane, strict=True):
            picture = Image.fromarray(np.ascontiguousarray(channel * 255)).resize((width, height), Image.Resampling.BOX)
            target[row : row + height, column : column + width] = np.asarray(picture)
    return square


def _plot(series: np.ndarray) -> np.ndarray:
    """(C, T) in [0, 1] -> (3, H, W) uint8: a line for each channel, the first at the top.

    Of more steps than pixels each column shows the range of its steps.
    """
    width, height = PLOT[0] * FINER, PLOT[1] * FINER
    canvas = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(canvas)
    strip = height / len(series)
    for channel, (line, colour) in enumerate(zip(series, COLOURS, strict=False)):
        heights = strip * (channel + 0.95 - 0.9 * line)
        if len(line) <= width:
            x = np.linspace(0, width - 1, len(line))
            pen.line(list(zip(x.tolist(), heights.tolist(), strict=True)), fill=colour, width=FINER)
            continue
        for column, steps in enumerate(np.array_split(heights, width)):
            pen.line([(column, float(steps.min()) - 1), (column, float(steps.max()) + 1)], fill=colour)
    return np.asarray(canvas.reduce(FINER)).transpose(2, 0, 1)
