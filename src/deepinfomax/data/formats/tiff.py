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
WHITE_IS_ZERO, PALETTE = 0, 3  #: its numbers for what black and white scans and drawings are often written as


class Layout(NamedTuple):
    """The facts in a file's header about its first series of pages, and about further series of the same kind."""

    letters: str  #: tifffile's names of its axes: "YX", "SYX", "ZYX"; "I" and "Q" for pages of no known meaning
    shape: tuple[int, ...]
    type: str  #: of its numbers: "uint16"
    picture: bool  #: whether a picture of bytes holds all of it
    others: int  #: pages of another size or type, which are not read

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


def of_images(
    root: Path, files: Sequence[Path], labels: np.ndarray | None, classes: tuple[str, ...], notes: tuple[str, ...]
) -> StoredImages:
    """Image files of any format; where all are TIFF they may also be more than pictures of bytes."""
    plain = of_files(root, files, labels, classes, notes)
    return replace(plain, as_numbers=partial(of_numbers, files)) if all(map(is_tiff, files)) else plain


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
    rest = "; pages of another size or type are left out" if first.others else ""
    return f"TIFF files of {' and '.join([*what, str(first.type)])}: all numbers are kept as they are{rest}"


def _layout(file: Path) -> Layout:
    with _opened(file) as content:
        return _layout_of(content)


def _layout_of(content: Any) -> Layout:
    alike, page = _alike(content), content.pages[0]
    letters, shape = alike[0].axes, alike[0].shape
    if len(alike) > 1:
        letters, shape = "I" + letters, (len(alike), *shape)
    samples = page.samplesperpixel
    plain = samples in (1, 3) or bool(page.extrasamples) or int(page.photometric) in COLOURS
    flat = math.prod(shape) == math.prod(page.shape)
    few = samples <= 4 and page.dtype is not None and page.dtype.name in ("uint8", "bool")
    others = sum(len(series.pages) for series in content.series) - sum(len(series.pages) for series in alike)
    return Layout(letters, shape, str(page.dtype), plain and flat and few, others)


def _alike(content: Any) -> list[Any]:
    """The first series of pages, and all series of the same axes, shape and type.

    There are several if a program wrote the file page by page.
    """
    first = content.series[0]
    wanted = (first.axes, first.shape, first.dtype)
    return [series for series in content.series if (series.axes, series.shape, series.dtype) == wanted]


def _array(file: Path, known: bool) -> np.ndarray:
    """(C, H, W), or (C, D, H, W) if there is an axis of depth.

    If it is not `known` what the pages are, they come first: (pages, C, H, W). Later rules decide what the axes mean.
    """
    layout, values = _read(file)
    channels, plane = layout.axes(CHANNELS), [layout.letters.index(side) for side in "YX"]
    if values.dtype == bool:
        values = values.astype(np.int16)  # as `arrays.in_order` has them
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
            plane = [layout.letters.index(side) for side in "YX"]
            pages = values.transpose(*layout.pages, *layout.axes(CHANNELS), *plane)
            return iter(_shown(file, pages.reshape(count, -1, *pages.shape[-2:]))[index])
        except ValueError as error:
            raise unreadable(file, "TIFF", error) from None

    said = (f"pages of another size or type than the first, left out: {layout.others:,}",) if layout.others else ()
    title = plain.title(0)
    return StoredArrays(file.name, np.arange(count), blobs, lambda i: f"{title} page {i}", plain.identity, notes=said)


def _shown(file: Path, pages: np.ndarray) -> np.ndarray:
    """Pages (N, C, H, W) as pictures show them: bits as black and white, numbers of a palette as their colours."""
    with _opened(file) as content:
        first = content.pages[0]
        kind, maps = int(first.photometric), []
        if kind == PALETTE and pages.dtype == np.uint8 and pages.shape[1] == 1:
            own = [page for series in _alike(content) for page in series.pages if page is not None]
            maps = [page.aspage().colormap for page in own] if len(own) == len(pages) else [first.colormap] * len(pages)
    if maps:  # each page may have a palette of its own, of 16 bits a colour
        return np.stack(
            [(colours[:, page[0]] >> 8).astype(np.uint8) for colours, page in zip(maps, pages, strict=True)]
        )
    if pages.dtype == bool:
        pages = pages.astype(np.uint8) * np.uint8(255)
    return 255 - pages if kind == WHITE_IS_ZERO and pages.dtype == np.uint8 else pages


def _read(file: Path) -> tuple[Layout, np.ndarray]:
    """All numbers of the first series of pages, and of those like it.

    Raises:
        ValueError: they cannot be read; the text says why, in a few words.
    """
    try:
        with _opened(file) as content:
            alike = [series.asarray() for series in _alike(content)]
            return _layout_of(content), alike[0] if len(alike) == 1 else np.stack(alike)
    except UserError:
        raise
    except Exception as error:  # its own, and those of codecs
        raise ValueError(first_line(error)) from None


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """A `tifffile.TiffFile`. Its log is silent meanwhile: problems are raised as errors and not also printed."""
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
