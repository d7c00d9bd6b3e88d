"""Tiny ImageNet as its authors pack it."""

from functools import partial
from pathlib import Path

import numpy as np

from deepinfomax.data.formats.folder import image_files
from deepinfomax.data.formats.record import Columns, Layout
from deepinfomax.data.listed import of_files
from deepinfomax.data.paths import PathTable
from deepinfomax.data.stored import Parts
from deepinfomax.errors import UserError, count_of


def read(root: Path, columns: Columns) -> Parts:
    """The parts train and val of tiny-imagenet-200. The labels of `test` are not published, so it is not read.

    Raises:
        UserError: a list that is no text, or annotations of a class that is not listed.
    """
    table, annotations = root / "words.txt", root / "val" / "val_annotations.txt"
    words = dict(line.split("\t", 1) for line in (_lines(table) if table.is_file() else []) if "\t" in line)
    wnids = sorted(word for line in _lines(root / "wnids.txt") for word in line.split())
    number = {wnid: i for i, wnid in enumerate(wnids)}
    classes = tuple(words.get(wnid, wnid).split(",")[0] for wnid in wnids)
    train = PathTable(file for wnid in wnids for file in image_files(root / "train" / wnid))
    annotated = [(line + "\t").split("\t")[:2] for line in _lines(annotations) if line]
    unknown = [name for name, wnid in annotated if wnid not in number]
    if unknown:
        have = f"{len(unknown):,} of {count_of(len(annotated), 'image')} a class that wnids.txt does not list"
        raise UserError(f"{annotations} gives {have}, first: {unknown[0]}")
    places = {wnid: _images_of_val(root / "val", wnid) for wnid in wnids}
    val = [places[wnid] / name for name, wnid in annotated]
    train_labels = np.array([number[file.relative_to(root / "train").parts[0]] for file in train])
    val_labels = np.array([number[wnid] for _, wnid in annotated])
    notes = ("the official validation set is the test part",)
    return {
        "train": partial(of_files, root, train, train_labels, classes, ()),
        "val": partial(of_files, root, val, val_labels, classes, notes),
    }


def _images_of_val(val: Path, wnid: str) -> Path:
    """The folder with the images of a class: one for all classes as published; some scripts sort them by class."""
    own = [val / wnid / "images", val / wnid]
    return next((place for place in [val / "images", *own] if place.is_dir()), val / "images")


def _is_tiny_imagenet(folder: Path) -> bool:
    return (folder / "wnids.txt").is_file() and (folder / "val" / "val_annotations.txt").is_file()


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is no text in UTF-8: {error}") from None


LAYOUT = Layout(
    "tiny-imagenet",
    "Tiny ImageNet",
    _is_tiny_imagenet,
    read,
    ("tiny-imagenet-200",),
    ("tiny-imagenet-200.zip",),
)
