"""STL-10 as published: the folder stl10_binary.

https://cs.stanford.edu/~acoates/stl10 describes it. An image has 27,648 bytes: red, then green, then blue, each column
by column. The files of labels have one byte for each image, 1 to 10.
"""

from functools import partial
from pathlib import Path

import numpy as np

from deepinfomax.data.formats.record import Columns, Layout, one_of, require
from deepinfomax.data.raw import RawFile, of_raw_files
from deepinfomax.data.stored import Parts, StoredImages
from deepinfomax.errors import UserError

SIDE = 96
PIXELS = 3 * SIDE * SIDE
TITLE, ARCHIVE = "STL-10", "stl10_binary.tar.gz"
LABELLED = ("train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin")
UNLABELED, NAMES = "unlabeled_X.bin", "class_names.txt"
#: used if class_names.txt is missing
CLASSES = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")


def read(folder: Path, columns: Columns) -> Parts:
    """The parts train, test and, if unlabeled_X.bin is there, unlabeled.

    The ten folds of the training part are in fold_indices.txt, which `names.read_folds` reads.

    Raises:
        UserError: a file that is missing, not complete or of another kind.
    """
    require(folder, LABELLED, TITLE, f"unpack {ARCHIVE} again")
    names = folder / NAMES
    classes = tuple(names.read_text(encoding="utf-8", errors="replace").split()) if names.is_file() else CLASSES
    if len(classes) != len(CLASSES):
        raise UserError(f"{names} holds {len(classes)} names, {TITLE} has {len(CLASSES)} classes: unpack it again")
    parts: Parts = {name: partial(_part, folder, name, classes) for name in ("train", "test")}
    if (folder / UNLABELED).is_file():
        return parts | {"unlabeled": partial(_part, folder, "unlabeled", classes)}
    return {name: partial(_part, folder, name, classes, (f"there is no {UNLABELED}",)) for name in parts}


def _part(folder: Path, part: str, classes: tuple[str, ...], notes: tuple[str, ...] = ()) -> StoredImages:
    images = folder / f"{part}_X.bin"
    size = images.stat().st_size
    if not size or size % PIXELS:
        raise UserError(
            f"{images} is not complete: {size:,} bytes are no whole images of {PIXELS:,}; unpack {ARCHIVE} again"
        )
    count = size // PIXELS
    labels = None if part == "unlabeled" else _labels(folder / f"{part}_y.bin", count)
    return of_raw_files(folder, [RawFile(images, count, partial(_pixels, images))], labels, classes, notes)


def _pixels(file: Path) -> np.ndarray:
    """(N, 3, 96, 96), a memory map. The file has columns before rows, so the last two axes are swapped."""
    return np.memmap(file, np.uint8, "r").reshape(-1, 3, SIDE, SIDE).transpose(0, 1, 3, 2)


def _labels(file: Path, count: int) -> np.ndarray:
    labels = np.fromfile(file, np.uint8).astype(np.int64) - 1
    if len(labels) != count:
        raise UserError(f"{file} holds {len(labels):,} labels for {count:,} images: unpack {ARCHIVE} again")
    if labels.min() < 0 or labels.max() >= len(CLASSES):
        wrong = labels[(labels < 0) | (labels >= len(CLASSES))][0] + 1
        raise UserError(f"{file} holds the label {wrong}, those of {TITLE} are 1 to 10: unpack {ARCHIVE} again")
    return labels


LAYOUT = Layout(
    "stl10",
    TITLE,
    one_of((*LABELLED, UNLABELED)),
    read,
    ("stl10_binary",),
    (ARCHIVE,),
    sizes={"train": 5_000, "test": 8_000, "unlabeled": 100_000},
)
