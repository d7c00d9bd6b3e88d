"""TIFF files that are more than pictures of bytes: many pages, many bands, more than 8 bits, floats."""

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from deepinfomax.data.formats.needed import needed
from deepinfomax.data.formats.record import Columns, Format, unreadable
from deepinfomax.data.listed import of_files, read_each
from deepinfomax.data.stored import Parts, StoredArrays, StoredImages
from deepinfomax.errors import UserError, first_line

SUFFIXES = (".tif", ".tiff")
CHANNELS = "CS"  #: letters of axes that hold channels; S are the samples of a pixel
DEPTH = "Z"  #: that of an axis of space
COLOURS = (2, 5, 6)  #: TIFF's numbers for RGB, CMYK and YCbCr, which pictures have


class Layout(NamedTuple):
    """What a file's header says of its first series of pages."""

    letters: str  #: tifffile's names of its axes: "YX", "SYX", "ZYX"; "I" and "Q" for pages of no known meaning
    shape: tuple[int, ...]
    type: str  #: of its numbers: "uint16"
    picture: bool  #: whether a picture of bytes holds all of it

    def axes(self, letters: str) -> list[int]:
        """The axes of these names, in their order here."""
        return [axis for axis, letter in enumerate(self.letters) if letter in letters]

    @property
    def pages(self) -> list[int]:
        """The axes that are neither rows and columns nor channels."""
        return [axis for axis in range(len(self.letters)) if axis not in self.axes("YX" + CHANNELS)]


def is_tiff(file: Path) -> bool:
    return file.name.lower().endswith(SUFFIXES)


def read_file(file: Path, columns: Columns) -> Parts:
    """A single file: every page is an image."""
    return {"train": partial(_pages, file)}


def of_numbers(files: Sequence[Path], plain: StoredImages, always: bool) -> StoredArrays | None:
    """The files as arrays of numbers: each an image of its bands, or a volume of its pages.

    None where the first file is a picture of bytes, unless they are asked for `always`, and where it is damaged.
    """
    try:
        first = _layout(files[int(plain.index[0])] if len(plain) else files[0])
    except Exception:  # those who read it say what is wrong
        return None
    if first.picture and not always:
        return None
    known = all(first.letters[axis] == DEPTH for axis in first.pages)
    numbers = read_each(plain, [partial(_array, file, known) for file in files], as_given=not known)
    return replace(numbers, notes=(*numbers.notes, _said(first)))


def _said(first: Layout) -> str:
    """The note on what files are read as that a picture of bytes could not hold."""
    pages = math.prod(first.shape[axis] for axis in first.pages)
    bands = math.prod(first.shape[axis] for axis in first.axes(CHANNELS))
    what = [f"{count} {word}s" for count, word in ((pages, "page"), (bands, "band")) if count > 1]
    return f"TIFF files of {' and '.join([*what, str(first.type)])}: all numbers are kept as they are"


def _layout(file: Path) -> Layout:
    with _opened(file) as content:
        return _layout_of(content)


def _layout_of(content: Any) -> Layout:
    series, page = content.series[0], content.pages[0]
    samples = page.samplesperpixel
    plain = samples in (1, 3) or bool(page.extrasamples) or int(page.photometric) in COLOURS
    flat = math.prod(series.shape) == math.prod(page.shape)
    few = samples <= 4 and page.dtype is not None and page.dtype.name in ("uint8", "bool")
    return Layout(series.axes, series.shape, str(page.dtype), plain and flat and few)


def _array(file: Path, known: bool) -> np.ndarray:
    """(C, H, W), or (C, D, H, W) with an axis of depth; where it is not `known`, pages first, to be put in order."""
    layout, values = _read(file)
    channels, plane = layout.axes(CHANNELS), [layout.letters.index(side) for side in "YX"]
    if not known:
        return values.transpose(*layout.pages, *channels, *plane)
    ordered = values.transpose(*channels, *layout.axes(DEPTH), *plane)
    return ordered.reshape(-1, *ordered.shape[len(channels) :])


def _pages(file: Path) -> StoredArrays:
    """The pages of a stack as images, (C, H, W)."""
    plain = of_files(file.parent, [file], None, (), ())
    try:
        layout = _layout(file)
    except UserError:
        raise
    except Exception as error:
        raise unreadable(file, "TIFF", error) from None
    count = math.prod(layout.shape[axis] for axis in layout.pages)

    def blobs(index: np.ndarray) -> Iterator[np.ndarray]:
        try:
            _, values = _read(file)
        except ValueError as error:
            raise unreadable(file, "TIFF", error) from None
        plane = [layout.letters.index(side) for side in "YX"]
        pages = values.transpose(*layout.pages, *layout.axes(CHANNELS), *plane)
        return iter(pages.reshape(count, -1, *pages.shape[-2:])[index])

    return StoredArrays(file.name, np.arange(count), blobs, lambda i: f"{plain.title(0)} page {i}", plain.identity)


def _read(file: Path) -> tuple[Layout, np.ndarray]:
    """All numbers of the first series of pages.

    Raises:
        ValueError: they cannot be read; the text says why, in a few words.
    """
    try:
        with _opened(file) as content:
            return _layout_of(content), content.series[0].asarray()
    except UserError:
        raise
    except Exception as error:  # its own, and those of codecs
        raise ValueError(first_line(error)) from None


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """A `tifffile.TiffFile`; what is wrong with a file is raised, not written on stderr besides."""
    tifffile = needed("tifffile", file)
    log = tifffile.logger()
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with tifffile.TiffFile(file) as content:
            yield content
    finally:
        log.setLevel(level)


FORMAT = Format("tiff", "one stack: every page is an image of its bands", read_file, SUFFIXES)
