"""CelebA as published: aligned faces, a list of forty attributes, and a list of parts.

https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html. The folders img_align_celeba, Anno and Eval, or the images and lists
side by side; the lists as text, or as the comma-separated tables of Kaggle's copy.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from deepinfomax.data.formats.record import Columns, Layout
from deepinfomax.data.labels import number_labels
from deepinfomax.data.listed import of_files
from deepinfomax.data.opening import extensions
from deepinfomax.data.stored import Parts, StoredImages, printable
from deepinfomax.data.unpacking import unpacked
from deepinfomax.errors import UserError

TITLE = "CelebA"
_NAMES = (
    "5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose Black_Hair Blond_Hair "
    "Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee Gray_Hair Heavy_Makeup High_Cheekbones Male "
    "Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard Oval_Face Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks "
    "Sideburns Smiling Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick Wearing_Necklace "
    "Wearing_Necktie Young"
)
ATTRIBUTES = tuple(_NAMES.split())  #: in their published order
PARTS = ("train", "valid", "test")  #: 0, 1 and 2 in the list of parts
ATTRIBUTE_LIST, PART_LIST = "list_attr_celeba", "list_eval_partition"
IMAGES = "img_align_celeba"
#: lists that are published beside these two
OTHER_LISTS = ("identity_CelebA", "list_bbox_celeba", "list_landmarks_align_celeba", "list_landmarks_celeba")


@dataclass(frozen=True)
class Table:
    """A list: the names of its columns where it has a line of them, and the words of each file."""

    names: list[str]
    rows: Mapping[str, list[str]]


def read(folder: Path, columns: Columns) -> Parts:
    """The parts train, valid and test. Labels are (N, 40) of 0 and 1, or the attribute that `data.label` names.

    Raises:
        UserError: no images or one of the two lists is missing; a list that is damaged or names other files.
    """
    lists = {name: _list(folder, name) for name in (ATTRIBUTE_LIST, PART_LIST)}
    for name, file in lists.items():
        if file is None:
            raise UserError(f"{folder} lacks {name}.txt of {TITLE}: put it beside {IMAGES}")
    if columns.image is not None or columns.label not in (None, *ATTRIBUTES):
        wrong = columns.image or columns.label
        raise UserError(f"{folder} has no column {wrong}: data.label names one of the attributes, as Smiling")
    images, notes = _images(folder)
    ignored = [file.name for file in (_list(folder, name) for name in OTHER_LISTS) if file is not None]
    if ignored:
        notes += (f"lists not used: {', '.join(ignored)}",)
    attribute_list, part_list = lists[ATTRIBUTE_LIST], lists[PART_LIST]
    assert attribute_list is not None
    assert part_list is not None
    part_table = _table(part_list, 0)
    names_of: dict[str, list[str]] = {part: [] for part in PARTS}
    for name, words in part_table.rows.items():
        if len(words) != 1 or words[0] not in ("0", "1", "2"):
            raise UserError(f"{part_list}: {printable(name)} has {' '.join(words)!r} where a part, 0, 1 or 2, belongs")
        names_of[PARTS[int(words[0])]].append(name)
    there = {entry.name for entry in os.scandir(images)}
    missing = [name for name in part_table.rows if name not in there]
    if missing:
        have = f"{len(missing):,} of {len(part_table.rows):,} images that are not in {images}"
        raise UserError(f"{part_list} lists {have}, first: {printable(missing[0])}; unpack {IMAGES}.zip again")
    unlisted = sum(Path(name).suffix.lower() in extensions() for name in there - part_table.rows.keys())
    if unlisted:
        notes += (f"{unlisted:,} images are not in {part_list.name}: left out",)
    return {
        part: partial(_part, images, names, attribute_list, columns.label, notes)
        for part, names in names_of.items()
        if names
    }


def as_attributes(values: np.ndarray, where: str) -> np.ndarray:
    """-1 and +1, 0 and 1, or False and True, as int64 of 0 and 1.

    Raises:
        UserError: other values.
    """
    numbers = values.astype(np.int64)
    if not np.isin(numbers, (-1, 0, 1)).all():
        raise UserError(f"{where}: attributes must be -1 and 1, or 0 and 1")
    return (numbers > 0).astype(np.int64)


def _part(
    images: Path, names: list[str], attribute_list: Path, label: str | None, notes: tuple[str, ...]
) -> StoredImages:
    table = _table(attribute_list, 1)
    if table.names != list(ATTRIBUTES):
        raise UserError(f"{attribute_list} does not begin with the names of the {len(ATTRIBUTES)} attributes")
    unknown = [name for name in names if name not in table.rows]
    if unknown:
        raise UserError(f"{attribute_list} lacks {len(unknown):,} images, first: {printable(unknown[0])}")
    values = np.empty((len(names), len(ATTRIBUTES)), np.int64)
    for row, name in zip(values, names, strict=True):
        words = table.rows[name]
        if len(words) != len(row) or not {"-1", "1"}.issuperset(words):
            raise UserError(f"{attribute_list}: {printable(name)} must have {len(row)} attributes of -1 and 1")
        row[:] = [word == "1" for word in words]
    files = [images / name for name in names]
    if label is not None:
        (labels,), classes = number_labels([values[:, ATTRIBUTES.index(label)]], ("0", "1"), str(attribute_list))
        return of_files(images.parent, files, labels, classes, notes)
    return of_files(images.parent, files, values, ATTRIBUTES, notes)


def _table(file: Path, header: int) -> Table:
    """A list as text, whose first line may be the number of rows, then `header` lines of names; or with commas.

    Raises:
        UserError: no text, or another number of rows than the first line says.
    """
    try:
        lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is no text in UTF-8: {error}") from None
    names: list[str] = []
    if file.suffix == ".csv":
        names, lines = (lines[0].split(",")[1:] if lines else []), lines[1:]
        split = [[word.strip() for word in line.split(",")] for line in lines]
    else:
        count = lines.pop(0).strip() if header and lines else ""
        if header:
            names, lines = (lines[0].split() if lines else []), lines[1:]
        if header and count != str(len(lines)):
            raise UserError(f"{file} says that it has {count} rows, and has {len(lines)}: download it again")
        split = [line.split() for line in lines]
    return Table(names, {words[0]: words[1:] for words in split})


def _list(folder: Path, name: str) -> Path | None:
    files = [folder / place / f"{name}{ending}" for ending in (".txt", ".csv") for place in ("", "Anno", "Eval")]
    return next((file for file in files if file.is_file()), None)


def _images(folder: Path) -> tuple[Path, tuple[str, ...]]:
    """The folder of the images, and notes on its archive where it had to be unpacked."""
    for place in (f"{IMAGES}/{IMAGES}", IMAGES, f"Img/{IMAGES}"):
        if (folder / place).is_dir():
            return folder / place, ()
    for archive in (folder / f"{IMAGES}.zip", folder / "Img" / f"{IMAGES}.zip"):
        if archive.is_file():
            content = unpacked(archive)
            return content.folder, content.notes
    raise UserError(f"{folder} has lists of {TITLE} but no images: put {IMAGES} or {IMAGES}.zip beside them")


def _holds(folder: Path) -> bool:
    return any(_list(folder, name) is not None for name in (ATTRIBUTE_LIST, PART_LIST))


LAYOUT = Layout(
    "celeba",
    f"{TITLE}, aligned faces",
    _holds,
    read,
    ("celeba", "CelebA"),
    members=(f"{IMAGES}.zip",),
    sizes=dict(zip(PARTS, (162_770, 19_867, 19_962), strict=True)),
    columns=True,
)
