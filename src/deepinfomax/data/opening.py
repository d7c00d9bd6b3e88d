"""Image files opened in one place: which formats are read, what a file's header says, and why a file is refused."""

import contextlib
import importlib
import io
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeAlias

import numpy as np
from PIL import ExifTags, Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

#: tried in this order. Left to itself Pillow also tries forty rarer ones, which triples the time a small image takes,
#: and would run Ghostscript on what claims to be PostScript
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF", "HEIF")
#: package that teaches Pillow a format -> its function that does so; used where it is installed
PLUGINS = {"pillow_heif": "register_heif_opener", "pillow_avif": ""}
EXTENSIONS = frozenset(
    (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".jp2")
)
#: endings of files that not every installation can read -> Pillow's name of their format
PLUGIN_EXTENSIONS = {".avif": "AVIF", ".heic": "HEIF", ".heif": "HEIF"}
GREY_MODES = ("1", "L", "LA", "La", "I", "F", "I;16", "I;16L", "I;16B", "I;16N")
DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
MAX_PIXELS = 178_956_970  #: of one image, unless `data.max_pixels` says otherwise; the same number stops Pillow
SAMPLES_PER_PIXEL, BITS_PER_SAMPLE = 277, 258  #: tags of TIFF

#: an image that is not decoded yet: its encoded bytes, its file, or plain pixels, (C, H, W) uint8, out of a larger file
Blob: TypeAlias = bytes | Path | np.ndarray
SNIFFED = ("JPEG", "PNG", "WEBP", "GIF", "TIFF")  #: recognised in files without an ending, by their first bytes


class Header(NamedTuple):
    """What the first bytes of an image file say."""

    size: tuple[int, int]  #: (width, height) after the EXIF orientation
    grey: bool
    alpha: bool
    deep: bool  #: more than 8 bits a channel
    frames: int  #: pages or frames; the first one is read
    dropped_bands: int  #: channels of a TIFF that are neither colour nor alpha


@contextmanager
def opened(blob: Blob, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """The first page or frame of an image, in its own mode; pixels are not decoded yet.

    Raises:
        ValueError: no image of a known format, or too many pixels; the text says which, in a few words.
        OSError: the file cannot be read.
    """
    if isinstance(blob, np.ndarray):
        yield as_picture(blob)
        return
    if isinstance(blob, Path) and not blob.is_file():
        raise ValueError("not a file") if blob.exists() else FileNotFoundError(blob)  # reading a pipe may never end
    with io.BytesIO(blob) if isinstance(blob, bytes) else blob.open("rb") as file:
        # Without the file's name, because Pillow maps some plain files into memory by it, one that lies on its side
        # with its sides swapped.
        image = _recognised(file)
        with image:
            width, height = image.size
            if width * height > max_pixels:
                raise ValueError(f"{width}x{height} pixels; set data.max_pixels {width * height} to read it")
            yield image


def as_picture(pixels: np.ndarray) -> Image.Image:
    """(C, H, W) uint8 of one or three channels as Pillow's image."""
    return Image.fromarray(np.ascontiguousarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)))


def header(image: Image.Image) -> Header:
    """What is known of an opened image without its pixels."""
    width, height = image.size
    # EXIF 5 to 8 lie on their side; Pillow's newer versions say so themselves for TIFF
    turned = isinstance(image, TiffImageFile) and width != image.tag_v2[256]
    if orientation(image) >= 5 and not turned:
        width, height = height, width
    grey, alpha = image.mode in GREY_MODES, has_alpha(image)
    bands = image.tag_v2.get(SAMPLES_PER_PIXEL, 1) if isinstance(image, TiffImageFile) else 0
    used = {"CMYK": 4, "LAB": 3, "YCbCr": 3}.get(image.mode, (1 if grey or image.mode == "P" else 3) + alpha)
    # A JPEG's further frames are its previews and depth maps, not images of their own.
    frames = 1 if isinstance(image, JpegImageFile) else getattr(image, "n_frames", 1)
    return Header((width, height), grey, alpha, bits(image) > 8, frames, max(0, bands - used))


def bits(image: Image.Image) -> int:
    """Bits a pixel and channel. Only TIFF says; elsewhere there are 16 where Pillow's way of decoding says so."""
    if isinstance(image, TiffImageFile):
        return max(image.tag_v2.get(BITS_PER_SAMPLE, (8,)))
    tiles = getattr(image, "tile", None)
    raw = str(tiles[0][3]) if tiles else ""  # "RGB;16B" for a PNG, ("RGB", 65535) for a PPM
    return 16 if image.mode in DEEP_MODES or ";16" in raw or "65535" in raw else 8


def orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 where the image is upright."""
    # a PNG without this entry would be decoded whole, only to look for an EXIF block behind its pixels
    if isinstance(image, PngImageFile) and "exif" not in image.info:
        return 1
    return image.getexif().get(ExifTags.Base.Orientation, 1)


def has_alpha(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info


@cache
def extensions() -> frozenset[str]:
    """Endings of the image files that can be read here."""
    return EXTENSIONS | {ending for ending, name in PLUGIN_EXTENSIONS.items() if name in _formats()}


def is_image(file: Path) -> bool:
    """Whether a file is called like an image, or has no ending and begins like one."""
    if file.suffix:
        return file.suffix.lower() in extensions()
    if not file.is_file():
        return False
    with contextlib.suppress(OSError), file.open("rb") as opened_file:
        start = opened_file.read(16)
        _formats()  # fills Pillow's table
        return any(_accepted(Image.OPEN[name][1], start) for name in SNIFFED if name in Image.OPEN)
    return False


@cache
def _formats() -> list[str]:
    """Those of `FORMATS` that this build of Pillow and the installed plug-ins read."""
    Image.init()
    for package, function in PLUGINS.items():
        try:
            module = importlib.import_module(package)
        except ImportError:
            continue
        if function:
            getattr(module, function)()
    return [name for name in FORMATS if name in Image.OPEN]


def _recognised(file: IO[bytes]) -> Any:
    """The file as the first format that takes it; Pillow's own search would warn of large images on stderr."""
    start, reason = file.read(16), ""
    for name in _formats():
        factory, accepts = Image.OPEN[name]
        if not _accepted(accepts, start):
            continue
        bands = _tiff_bands(file) if name == "TIFF" else 0
        reason = f"{bands} bands; data.values kept takes them" if bands > 4 else reason
        if bands > 6:  # Pillow reads none of these, and writes a line to stderr
            break
        file.seek(0)
        try:
            return factory(file, "")
        except (SyntaxError, IndexError, TypeError, struct.error):  # what Pillow's own search takes for "not this one"
            continue
    raise ValueError(reason or ("not an image" if start else "empty file"))


def _accepted(accepts: Callable[[bytes], bool | str] | None, start: bytes) -> bool:
    """Whether a format takes a file by its first bytes; it answers with text where it knows the file but cannot."""
    answer = accepts is None or accepts(start)
    return bool(answer) and not isinstance(answer, str)


def _tiff_bands(file: IO[bytes]) -> int:
    """Samples a pixel of the first page; 0 where the file is too damaged to say."""
    try:
        file.seek(0)
        start = file.read(8)
        directory = ImageFileDirectory_v2(start + file.read(8) if start[2] == 43 else start)  # 43: BigTIFF
        file.seek(directory.next)
        directory.load(file)
        return int(directory.get(SAMPLES_PER_PIXEL, 1))
    except (SyntaxError, LookupError, TypeError, ValueError, OSError, struct.error):
        return 0
