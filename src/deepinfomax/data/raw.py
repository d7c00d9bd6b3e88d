"""Plain pixels of many images in one file as stored images: nothing to decode, but copied into the cache like others.

So a set that is larger than memory (the unlabeled images of STL-10) is read image by image, and pixels that lie in
another order than the encoders take them are put in order once.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepinfomax.data.opening import Blob
from deepinfomax.data.stored import StoredImages, printable, stamp


@dataclass(frozen=True)
class RawFile:
    """A file of plain pixels."""

    file: Path
    count: int  #: images in it
    pixels: Callable[[], np.ndarray]  #: reads them: (count, C, H, W) uint8, a memory map where that is possible


def of_raw_files(
    root: Path,
    files: Sequence[RawFile],
    labels: np.ndarray | None,
    classes: tuple[str, ...],
    notes: tuple[str, ...] = (),
) -> StoredImages:
    """The images of these files, one file after the other; each is called "FILE row 17"."""
    starts = np.concatenate([[0], np.cumsum([raw.count for raw in files])]).astype(np.int64)

    def blobs(index: np.ndarray) -> Iterator[Blob]:
        for raw, start in zip(files, starts, strict=False):
            wanted = index[(index >= start) & (index < start + raw.count)] - start
            if len(wanted):
                pixels = raw.pixels()
                yield from (pixels[row] for row in wanted)

    def title(i: int) -> str:
        place = int(np.searchsorted(starts, i, side="right")) - 1
        return f"{printable(files[place].file.name)} row {i - starts[place]}"

    digest = hashlib.sha256(b"plain pixels")
    for raw in files:
        digest.update(b"\n" + stamp(raw.file.resolve()))
    return StoredImages(root.name, np.arange(starts[-1]), blobs, title, digest.hexdigest(), labels, classes, notes)
