"""From encoded images to one uint8 array: what is in the headers, which conversions follow, then the pixels."""

import contextlib
import io
import os
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from PIL import ExifTags, Image, ImageOps
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from deepinfomax.data.encoded import Encoded
from deepinfomax.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")

#: tried in this order. Left to itself Pillow also tries forty rarer ones, which triples the time a small image takes,
#: and would run Ghostscript on what claims to be PostScript
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
GREY_MODES = ("1", "L", "LA", "La", "I", "F", "I;16", "I;16L", "I;16B", "I;16N")
DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
DARK = 16  #: 12-bit values that a 16-bit file holds as they are come out darker than this
CHUNK = 64  #: images per task of the pool
THREADS_PAY_ABOVE = 128 * 128  #: pixels in the files; below, most time is Python's and threads queue for its lock


class Header(NamedTuple):
    """What the first bytes of an image file say."""

    size: tuple[int, int]  #: (width, height) after the EXIF orientation
    grey: bool
    alpha: bool
    deep: bool  #: more than 8 bits of grey a pixel


@dataclass
class Survey:
    """The headers of a whole source."""

    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    grey: int = 0
    alpha: int = 0
    deep: set[int] = field(default_factory=set)  #: places in the source's index
    brightest: int = 0  #: value of any pixel of the deep ones, known once they are decoded
    bad: dict[int, str] = field(default_factory=dict)  #: place in the source's index -> what is wrong

    @property
    def readable(self) -> int:
        return sum(self.sizes.values())


def survey(source: Encoded) -> Survey:
    """Read every header: sizes, colour modes and files that are no images. Takes about 50 microseconds an image."""
    found = Survey()
    for place, header in enumerate(_each(source, _header, "looking at")):
        if isinstance(header, str):
            found.bad[place] = header
        else:
            found.sizes[header.size] += 1
            found.grey += header.grey
            found.alpha += header.alpha
            if header.deep:
                found.deep.add(place)
    return found


def common_shape(source: Encoded, found: Survey, size: int | None, channels: int | None) -> tuple[int, int, int]:
    """(C, H, W) of the decoded array.

    Channels: as asked; else 3 when any image has colour, 1 when all are grey.

    Raises:
        UserError: images of several sizes and no `size` to bring them to.
    """
    if channels not in (None, 1, 3):
        raise UserError(f"channels must be 1 or 3, not {channels}")
    if size is not None and size < 1:
        raise UserError(f"size must be at least 1 pixel, not {size}")
    channels = channels or (1 if found.grey == found.readable else 3)
    if size is not None:
        return channels, size, size
    if len(found.sizes) > 1:
        seen = ", ".join(f"{count} of {width}x{height}" for (width, height), count in found.sizes.most_common(3))
        more = f" and {len(found.sizes) - 3} other sizes" if len(found.sizes) > 3 else ""
        suggestion = _nearest_power(min(min(pair) for pair in found.sizes))
        raise UserError(
            f"{source.name} has images of {len(found.sizes)} sizes ({seen}{more}); set data.size "
            f"{suggestion} to resize the shorter side and crop the centre"
        )
    width, height = next(iter(found.sizes))
    return channels, height, width


def conversions(found: Survey, channels: int) -> tuple[str, ...]:
    """One line for each kind of conversion, with its count."""
    total, notes = found.readable, []
    if channels == 3 and found.grey:
        notes.append(f"{found.grey:,} of {total:,} images are grey: converted to RGB")
    if channels == 1 and found.grey < total:
        notes.append(f"{total - found.grey:,} of {total:,} images have colour: converted to grey")
    if found.deep and found.brightest < DARK:
        notes.append(
            f"{len(found.deep):,} of {total:,} images have more than 8 bits, but no pixel brighter than "
            f"{found.brightest} of 255: stretch their values to the whole range before training"
        )
    if found.alpha:
        notes.append(f"{found.alpha:,} of {total:,} images are transparent: composited on white")
    return tuple(notes)


def decode(source: Encoded, found: Survey, shape: tuple[int, int, int], out: np.ndarray, bad: dict[int, str]) -> int:
    """Decode every image that is not in `bad` into the first rows of `out` (N, C, H, W) and return how many.

    Images that turn out to be broken are added to `bad` (place -> reason); the rest moves up.
    """
    channels, height, width = shape

    def pixels(blob: bytes | Path) -> np.ndarray:
        with _opened(blob) as image:
            return to_array(image, channels, (width, height))

    good = np.array([place for place in range(len(source)) if place not in bad], dtype=np.int64)
    count = 0
    for place, image in zip(good, _each(source.take(good), pixels, "decoding", _threads(found)), strict=True):
        if isinstance(image, str):
            bad[int(place)] = image
        else:
            out[count] = image
            count += 1
            if place in found.deep:
                found.brightest = max(found.brightest, int(image.max()))
    return count


def broken(source: Encoded, found: Survey) -> dict[int, str]:
    """All images that cannot be read: those `found` knows, and those whose pixels turn out to be damaged."""

    def check(blob: bytes | Path) -> None:
        with _opened(blob) as image:
            image.load()

    good = np.array([place for place in range(len(source)) if place not in found.bad], dtype=np.int64)
    checked = zip(good, _each(source.take(good), check, "checking", _threads(found)), strict=True)
    return found.bad | {int(place): reason for place, reason in checked if reason is not None}


def to_array(image: Image.Image, channels: int, size: tuple[int, int]) -> np.ndarray:
    """One image upright, opaque, of `channels` channels and `size` (width, height): (C, H, W) uint8.

    Another size is resized to cover `size` with antialiasing, then cropped in the centre. Deep grey values become 8
    bits as `_shallow` says.

    Raises:
        ValueError: deep grey values whose range is not known.
    """
    bits = _bits(image)  # the image loses its file's tags when it is turned
    image.draft(None, (2 * size[0], 2 * size[1]))  # a JPEG far larger than needed is decoded at a fraction of its size
    if _orientation(image) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode in DEEP_MODES:  # Pillow would clip these at 255
        image = Image.fromarray(_shallow(np.asarray(image), bits))
    if _has_alpha(image):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != size:
        image = ImageOps.fit(image, size, method=Image.Resampling.BICUBIC)
    pixels = np.asarray(image)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def unreadable(source: Encoded, bad: dict[int, str]) -> str:
    """ "3 of 120 images cannot be read, first: x.png (not an image)" """
    first = min(bad)
    return (
        f"{len(bad):,} of {len(source):,} images cannot be read, first: "
        f"{source.title(int(source.index[first]))} ({bad[first]})"
    )


def _shallow(values: np.ndarray, bits: int) -> np.ndarray:
    """Deep grey values as uint8, by what the file says of them and never by their own spread, so that all images of a
    set are treated alike: floats in [0, 1] are stretched to 0 .. 255, of 9 to 16 bits the upper 8 are kept, and 32-bit
    integers, of which nobody uses the whole range, must be 0 .. 255 already.

    Raises:
        ValueError: floats or 32-bit integers outside of that, or negative values.
    """
    if values.dtype.kind == "f":
        if not (values.min() >= 0 and values.max() <= 1):  # also refuses nan
            raise ValueError(f"floats from {values.min():g} to {values.max():g}; they must lie in [0, 1]")
        return np.rint(values * 255).astype(np.uint8)
    whole = values.astype(np.int64)
    most = 255 if bits > 16 else 2**bits - 1
    if whole.min() < 0 or whole.max() > most:
        raise ValueError(f"{bits}-bit values from {whole.min()} to {whole.max()}; they must lie in 0 .. {most}")
    return (whole if bits > 16 else whole >> bits - 8).astype(np.uint8)


def _bits(image: Image.Image) -> int:
    """Bits a pixel and channel. Only TIFF says: other formats have 16 where Pillow does not give 8."""
    return image.tag_v2.get(258, (8,))[0] if isinstance(image, TiffImageFile) else 16


def _header(blob: bytes | Path) -> Header:
    with _opened(blob) as image:
        width, height = image.size
        # EXIF 5 to 8 lie on their side; Pillow's newer versions say so themselves for TIFF
        told = isinstance(image, TiffImageFile) and width != image.tag_v2[256]
        if _orientation(image) >= 5 and not told:
            width, height = height, width
        return Header((width, height), image.mode in GREY_MODES, _has_alpha(image), image.mode in DEEP_MODES)


def _opened(blob: bytes | Path) -> Image.Image:
    image = Image.open(io.BytesIO(blob) if isinstance(blob, bytes) else blob, formats=_formats())
    if isinstance(image, TiffImageFile):
        # Else Pillow maps plain files into memory, one that lies on its side with its sides swapped.
        image.filename = ""
    return image


@cache
def _formats() -> list[str]:
    """Of `FORMATS`, those that this build of Pillow reads."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _orientation(image: Image.Image) -> int:
    # a PNG without this entry would be decoded whole, only to look for an EXIF block behind its pixels
    if isinstance(image, PngImageFile) and "exif" not in image.info:
        return 1
    return image.getexif().get(ExifTags.Base.Orientation, 1)


def _has_alpha(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info


def _each(
    source: Encoded, read: Callable[[bytes | Path], Result], verb: str, threads: int = 1
) -> Iterator[Result | str]:
    """`read` of every blob, in order; a string instead where Pillow finds it broken. The bar is drawn on stderr."""

    def tried(blob: bytes | Path) -> Result | str:
        try:
            return read(blob)
        except FileNotFoundError:
            return "no such file"
        except Image.UnidentifiedImageError:
            empty = not blob if isinstance(blob, bytes) else not blob.stat().st_size
            return "empty file" if empty else "not an image"
        except Image.DecompressionBombError:
            return "far too many pixels"
        except Exception as error:  # damaged files make Pillow's decoders raise errors of every kind
            return str(error).split("\n")[0][:80] or type(error).__name__

    def chunk(blobs: tuple[bytes | Path, ...]) -> list[Result | str]:
        return [tried(blob) for blob in blobs]

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    with contextlib.ExitStack() as stack:
        # note: a bar only where someone watches, and only where there is something to wait for
        bar = stack.enter_context(
            Progress(*columns, console=console, transient=True, disable=not console.is_terminal or len(source) < 2000)
        )
        task = bar.add_task(f"{verb} {source.name}", total=len(source))
        blobs = source.blobs(source.index)
        chunks = iter(lambda: tuple(islice(blobs, CHUNK)), ())
        if threads == 1:
            results: Iterator[list[Result | str]] = map(chunk, chunks)
        else:
            pool = stack.enter_context(ThreadPoolExecutor(threads))
            results = _ahead(pool, chunk, chunks, 2 * threads)
        for result in results:
            yield from result
            bar.advance(task, len(result))


def _ahead(
    pool: ThreadPoolExecutor, function: Callable[[Item], Result], items: Iterator[Item], depth: int
) -> Iterator[Result]:
    """`pool.map` that reads only `depth` items ahead, so that a large source is never in memory whole."""
    waiting: deque = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) >= depth:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _threads(found: Survey) -> int:
    pixels = sum(width * height * count for (width, height), count in found.sizes.items())
    return (os.cpu_count() or 1) if pixels >= THREADS_PAY_ABOVE * found.readable else 1


def _nearest_power(pixels: int) -> int:
    """The power of two at or below `pixels`, at most 64: what the encoders here are built for."""
    return min(64, 1 << (max(pixels, 1).bit_length() - 1))
