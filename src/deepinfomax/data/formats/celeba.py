"""CelebA as published: aligned faces, a list of forty attributes, and a list of parts.

https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html. The folders img_align_celeba, Anno and Eval, or the images and lists
side by side; the lists as text, or as the comma-separated tables of Kaggle's copy.
"""

import os
from collections.abc import Sequence
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
from deepinfomax.errors import UserError, count_of, first_line

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
    """A list of images."""

    columns: list[str]  #: their names, if the list has a line of names
    files: list[str]
    values: np.ndarray  #: (N, K) int8


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
    notes += unused_lists(folder, OTHER_LISTS)
    attribute_list, part_list = lists[ATTRIBUTE_LIST], lists[PART_LIST]
    assert attribute_list is not None
    assert part_list is not None
    listed = _table(part_list, header=False)
    if listed.values.shape[1] != 1 or not np.isin(listed.values, range(len(PARTS))).all():
        raise UserError(f"{part_list} must give each image a part: 0, 1 or 2")
    part_of = listed.values[:, 0]
    there = {entry.name for entry in os.scandir(images)}
    missing = [name for name in listed.files if name not in there]
    if missing:
        have = f"{len(missing):,} of {len(listed.files):,} images that are not in {images}"
        raise UserError(f"{part_list} lists {have}, first: {printable(missing[0])}; unpack {IMAGES}.zip again")
    unlisted = sum(Path(name).suffix.lower() in extensions() for name in there.difference(listed.files))
    if unlisted:
        notes += (f"{count_of(unlisted, 'image is', 'images are')} not in {part_list.name}: left out",)
    files = np.array(listed.files)
    return {
        part: partial(_part, images, files[part_of == number].tolist(), attribute_list, columns.label, notes)
        for number, part in enumerate(PARTS)
        if (part_of == number).any()
    }


def unused_lists(folder: Path, names: Sequence[str] = (ATTRIBUTE_LIST, PART_LIST, *OTHER_LISTS)) -> tuple[str, ...]:
    """The note on lists of CelebA in a folder that are not read; none if there are none."""
    files = [file.name for file in (_list(folder, name) for name in names) if file is not None]
    return (f"lists not used: {', '.join(files)}",) if files else ()


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
    table = _table(attribute_list, header=True)
    if table.columns != list(ATTRIBUTES) or table.values.shape[1] != len(ATTRIBUTES):
        raise UserError(f"{attribute_list} does not have the {len(ATTRIBUTES)} attributes in their published order")
    row_of = {name: row for row, name in enumerate(table.files)}
    unknown = [name for name in names if name not in row_of]
    if unknown:
        raise UserError(f"{attribute_list} lacks {count_of(len(unknown), 'image')}, first: {printable(unknown[0])}")
    values = as_attributes(table.values[[row_of[name] for name in names]], str(attribute_list))
    files = [images / name for name in names]
    if label is not None:
        (labels,), classes = number_labels([values[:, ATTRIBUTES.index(label)]], ("0", "1"), str(attribute_list))
        return of_files(images.parent, files, labels, classes, notes)
    return of_files(images.parent, files, values, ATTRIBUTES, notes)


def _table(file: Path, header: bool) -> Table:
    """A list as text, or a table with commas if its name ends in .csv.

    A text with a `header` begins with the number of rows and a line of column names. A table with commas always begins
    with a line of column names.

    Raises:
        UserError: no text, another number of rows than it says, or other things than numbers.
    """
    try:
        lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is no text in UTF-8: {error}") from None
    commas = file.suffix == ".csv"
    columns: list[str] = []
    count = lines.pop(0).strip() if header and not commas and lines else ""
    if (header or commas) and lines:
        first = lines.pop(0)
        columns = first.split(",")[1:] if commas else first.split()
    if count and count != str(len(lines)):
        raise UserError(f"{file} says that it has {count} rows, and has {len(lines)}: download it again")
    separator = "," if commas else None
    rows = [[*line.split(separator, 1), ""][:2] for line in lines]
    if not all(rest.strip() for _, rest in rows) or not rows:  # NumPy passes over empty rows, and warns where all are
        raise UserError(f"{file} has no numbers in some of its {len(rows)} rows: download it again")
    try:
        values = np.loadtxt([rest for _, rest in rows], np.int8, delimiter=separator, ndmin=2)
    except ValueError as error:
        raise UserError(f"{file} must hold a name and numbers in each row: {first_line(error)}") from None
    return Table([name.strip() for name in columns], [name.strip() for name, _ in rows], values)


def _list(folder: Path, name: str) -> Path | None:
    files = [folder / place / f"{name}{ending}" for ending in (".txt", ".csv") for place in ("", "Anno", "Eval")]
    return next((file for file in files if file.is_file()), None)


def _images(folder: Path) -> tuple[Path, tuple[str, ...]]:
    """The folder of the images, and the notes on its archive if they were unpacked."""
    place = _place_of_images(folder)
    if place is not None and place.is_dir():
        return place, ()
    if place is not None:
        content = unpacked(place)
        return content.folder, content.notes
    raise UserError(f"{folder} has lists of {TITLE} but no images: put {IMAGES} or {IMAGES}.zip beside them")


def _place_of_images(folder: Path) -> Path | None:
    """Their folder, or the archive of it."""
    folders = (folder / place for place in (f"{IMAGES}/{IMAGES}", IMAGES, f"Img/{IMAGES}"))
    archives = (folder / place for place in (f"{IMAGES}.zip", f"Img/{IMAGES}.zip"))
    there = next((place for place in folders if place.is_dir()), None)
    return there or next((place for place in archives if place.is_file()), None)


def _holds(folder: Path) -> bool:
    """Whether one of the two lists is there; but not if the images are in parquet files, which are read as tables."""
    lists = any(_list(folder, name) is not None for name in (ATTRIBUTE_LIST, PART_LIST))
    return lists and (_place_of_images(folder) is not None or not any(folder.glob("**/*.parquet")))


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
