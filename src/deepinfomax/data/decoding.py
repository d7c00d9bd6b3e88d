"""Decoding stored images: reading all headers, deciding on conversions, then making one uint8 array of each image."""

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps

from deepinfomax import progress
from deepinfomax.data import workers as worker_processes
from deepinfomax.data.opening import DEEP_MODES, MAX_PIXELS, Blob, Header, bits, has_alpha, header, opened, orientation
from deepinfomax.data.stored import StoredImages
from deepinfomax.errors import SeveralSizes, UserError, agreed, count_of

Result = TypeVar("Result")

DARK = 16  #: images without a brighter pixel look black, for example 12-bit values in a 16-bit file
CHUNK = 64  #: images per task of the pool
SECONDS_A_HEADER = 5e-5  #: measured time of one core per header
THREADS_PAY_ABOVE = 128 * 128  #: pixels per image; for smaller ones Python's lock makes threads useless
WORTH_A_BAR = 2000  #: number of images from which on a progress bar is shown


@dataclass
class Survey:
    """The headers of a whole source."""

    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    grey: int = 0
    alpha: int = 0
    several_frames: int = 0
    most_frames: int = 1
    extra_bands: int = 0  #: images with more bands than are read
    deep: set[int] = field(default_factory=set)  #: places in the source's index
    brightest: int = 0  #: value of any pixel, known once the images are decoded
    brightest_deep: int = 0  #: value of any pixel of the deep ones
    bad: dict[int, str] = field(default_factory=dict)  #: place in the source's index -> what is wrong

    @property
    def readable(self) -> int:
        return sum(self.sizes.values())


def survey(source: StoredImages, max_pixels: int = MAX_PIXELS, workers: int | None = None) -> Survey:
    """Read every header: sizes, colour modes and files that are no images. Takes about 40 microseconds an image.

    Args:
        workers: processes that read; None: one a core where there are so many files that it is worth it.
    """
    if workers is None:
        large = worker_processes.pay(len(source) * SECONDS_A_HEADER)
        workers = worker_processes.cores() if large and _are_files(source) else 1
    headers, read = Survey(), partial(header_of, max_pixels=max_pixels)
    for place, entry in enumerate(each_of(source, read, "looking at", workers=workers)):
        if isinstance(entry, str):
            headers.bad[place] = entry
        else:
            headers.sizes[entry.size] += 1
            headers.grey += entry.grey
            headers.alpha += entry.alpha
            headers.several_frames += entry.frames > 1
            headers.most_frames = max(headers.most_frames, entry.frames)
            headers.extra_bands += entry.dropped_bands > 0
            if entry.deep:
                headers.deep.add(place)
    return headers


def header_of(blob: Blob, max_pixels: int) -> Header:
    """The header of one image."""
    if isinstance(blob, np.ndarray):  # plain pixels
        channels, height, width = blob.shape
        return Header((width, height), channels == 1, alpha=False, deep=False, frames=1, dropped_bands=0)
    with opened(blob, max_pixels) as image:
        return header(image)


def _are_files(source: StoredImages) -> bool:
    """Whether each image is a file. If not, sending its bytes to a worker costs more than reading its header here."""
    return isinstance(next(source.blobs(source.index[:1]), None), Path)


def common_shape(source: StoredImages, headers: Survey, size: int | None, channels: int | None) -> tuple[int, int, int]:
    """The shape (C, H, W) of the decoded images.

    C is `channels` or, if that is None, 3 if any image has colour, else 1.

    Raises:
        SeveralSizes: images have several sizes and `size` is None.
    """
    check_target(size, channels)
    channels = channels or (1 if headers.grey == headers.readable else 3)
    if size is not None:
        return channels, size, size
    if len(headers.sizes) > 1:
        seen = ", ".join(f"{count} of {width}x{height}" for (width, height), count in headers.sizes.most_common(3))
        more = f" and {len(headers.sizes) - 3} other sizes" if len(headers.sizes) > 3 else ""
        side = nearest_power(min(min(pair) for pair in headers.sizes))
        raise SeveralSizes(
            f"{source.name} has images of {len(headers.sizes)} sizes ({seen}{more}); {resizing(side)}", side
        )
    width, height = next(iter(headers.sizes))
    return channels, height, width


def check_target(size: int | None, channels: int | None) -> None:
    """Raises UserError for an impossible size or number of channels."""
    if channels not in (None, 1, 3):
        raise UserError(f"channels must be 1 or 3, not {channels}")
    if size is not None and size < 1:
        raise UserError(f"size must be at least 1 pixel, not {size}")


REDUCED = "more than 8 bits a channel: reduced to 8 bits"
FIRST_USED = "at most): the first is used"
DROPPED = "more bands than colour: the others are dropped"


def says_of_loss(note: str) -> bool:
    """Whether a note of `conversions` says that numbers of the files are lost: depth, pages or bands."""
    return note.endswith((REDUCED, FIRST_USED, DROPPED))


def conversions(headers: Survey, channels: int) -> tuple[str, ...]:
    """One line for each kind of conversion, with its count."""
    notes = []

    def some(count: int, one: str, several: str) -> str:
        """ "3 of 120 images are" """
        return f"{count:,} of {count_of(headers.readable, 'image')} {agreed(count, one, several)}"

    if channels == 3 and headers.grey:
        notes.append(f"{some(headers.grey, 'is', 'are')} grey: converted to RGB")
    if channels == 1 and (colour := headers.readable - headers.grey):
        notes.append(f"{some(colour, 'has', 'have')} colour: converted to grey")
    if headers.several_frames:
        have = f"{some(headers.several_frames, 'has', 'have')} several pages or frames"
        notes.append(f"{have} ({headers.most_frames:,} {FIRST_USED}")
    if headers.extra_bands:
        notes.append(f"{some(headers.extra_bands, 'has', 'have')} {DROPPED}")
    if headers.deep:
        notes.append(f"{some(len(headers.deep), 'has', 'have')} {REDUCED}")
    if headers.deep and headers.brightest_deep < DARK:
        notes.append(dark("these", headers.brightest_deep))
    elif headers.brightest < DARK:
        notes.append(dark("the", headers.brightest))
    if headers.alpha:
        notes.append(f"{some(headers.alpha, 'is', 'are')} transparent: composited on white")
    return tuple(notes)


def dark(which: str, brightest: int) -> str:
    """The note for images that look black; `which`: "these" or "the"."""
    return (
        f"no pixel of {which} images is brighter than {brightest} of 255: "
        "stretch their values to the whole range before training"
    )


def broken(source: StoredImages, headers: Survey, max_pixels: int = MAX_PIXELS) -> dict[int, str]:
    """All images that cannot be read: those with a bad header, and those with damaged pixels."""

    def check(blob: Blob) -> None:
        with opened(blob, max_pixels) as image:
            image.load()

    good = np.array([place for place in range(len(source)) if place not in headers.bad], dtype=np.int64)
    checked = zip(good, each_of(source.take(good), check, "checking", threads(headers)), strict=True)
    return headers.bad | {int(place): reason for place, reason in checked if reason is not None}


def to_array(image: Image.Image, channels: int, size: tuple[int, int]) -> np.ndarray:
    """Convert one image to (C, H, W) uint8: upright, without transparency, with `channels` channels.

    If it does not have `size` (width, height), it is resized with antialiasing to cover it, and the centre is cropped.
    Grey values of more than 8 bits are converted by `_eight_bits`.

    Raises:
        ValueError: grey values of more than 8 bits with an unknown range.
    """
    depth = bits(image)  # the image loses its file's tags when it is turned
    image.draft(None, (2 * size[0], 2 * size[1]))  # a JPEG far larger than needed is decoded at a fraction of its size
    if orientation(image) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode in DEEP_MODES:  # Pillow would clip these at 255
        values, clear = np.asarray(image), image.info.get("transparency")
        grey = _eight_bits(values, depth)
        if clear is not None:  # a PNG may name one grey value that is transparent
            grey[values == clear] = 255
        image = Image.fromarray(grey)
    if has_alpha(image):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != size:
        image = ImageOps.fit(image, size, method=Image.Resampling.BICUBIC)
    pixels = np.asarray(image)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def unreadable(source: StoredImages, bad: dict[int, str]) -> str:
    """ "3 of 120 images cannot be read, first: x.png (not an image)" """
    first = min(bad)
    return (
        f"{len(bad):,} of {count_of(len(source), 'image')} cannot be read, first: "
        f"{source.title(int(source.index[first]))} ({bad[first]})"
    )


def _eight_bits(values: np.ndarray, depth: int) -> np.ndarray:
    """Convert grey values of more than 8 bits to uint8, by the file's format and never by the range of its values.

    So all images of a set are converted in the same way: floats in [0, 1] are scaled to 0 .. 255, of 9 to 16 bits the
    upper 8 are kept, and 32-bit integers, which rarely use their whole range, must be 0 .. 255 already.

    Raises:
        ValueError: floats or 32-bit integers outside of that, or negative values.
    """
    if values.dtype.kind == "f":
        if not (values.min() >= 0 and values.max() <= 1):  # also refuses nan
            raise ValueError(f"floats from {values.min():g} to {values.max():g}; they must lie in [0, 1]")
        return np.rint(values * 255).astype(np.uint8)
    whole = values.astype(np.int64)
    most = 255 if depth > 16 else 2**depth - 1
    if whole.min() < 0 or whole.max() > most:
        raise ValueError(f"{depth}-bit values from {whole.min()} to {whole.max()}; they must lie in 0 .. {most}")
    return (whole if depth > 16 else whole >> depth - 8).astype(np.uint8)


def each_of(
    source: StoredImages, read: Callable[[Blob], Result], verb: str, threads: int = 1, workers: int = 1
) -> Iterator[Result | str]:
    """Yields `read(blob)` for every image, in order; for an image that cannot be read, the reason as a string.

    Args:
        workers: processes; if more than one, they are used instead of threads, and `read` must be picklable.
    """
    with contextlib.ExitStack() as stack:
        if len(source) >= WORTH_A_BAR:
            stack.enter_context(progress.shown(f"{verb} {source.name}"))
        blobs = source.blobs(source.index)
        size = CHUNK if workers == 1 else 8 * CHUNK
        chunks = iter(lambda: tuple(islice(blobs, size)), ())
        pool: Executor | None = None
        if workers > 1:
            pool = stack.enter_context(worker_processes.processes(workers))
        elif threads > 1:
            pool = stack.enter_context(ThreadPoolExecutor(threads))
        results = worker_processes.mapped(pool, partial(_tried, read), chunks, 2 * max(threads, workers))
        counted = progress.counted(len(source), "image")
        yield from (result for result, _ in zip(chain.from_iterable(results), counted, strict=True))


def _tried(read: Callable[[Blob], Result], blobs: tuple[Blob, ...]) -> list[Result | str]:
    """`read` of some blobs."""
    results: list[Result | str] = []
    for blob in blobs:
        try:
            results.append(read(blob))
        except Exception as error:  # damaged files make Pillow's decoders raise errors of every kind
            results.append(reason(error))
    return results


def reason(error: Exception) -> str:
    """Why an image cannot be read, in a few words."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    return str(error).split("\n")[0][:80] or type(error).__name__


def threads(headers: Survey) -> int:
    """The number of threads with which images of these sizes are decoded fastest."""
    pixels = sum(width * height * count for (width, height), count in headers.sizes.items())
    return (os.cpu_count() or 1) if pixels >= THREADS_PAY_ABOVE * headers.readable else 1


def nearest_power(pixels: int) -> int:
    """The largest power of two up to `pixels`, from 8 to 64; the encoders here are built for such sizes."""
    return min(64, max(8, 1 << (max(pixels, 1).bit_length() - 1)))


def resizing(side: int) -> str:
    """The setting, in words, that resizes images to one size."""
    return f"set data.size {side} to resize the shorter side and crop the centre"
