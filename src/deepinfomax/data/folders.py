"""Images as files: folders (flat, by class, with train and test inside), CSV lists, and Tiny ImageNet's own layout."""

import csv
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from deepinfomax.data.encoded import PART_OF, Encoded, Source, number_labels, shown, stamp
from deepinfomax.errors import UserError

EXTENSIONS = frozenset(
    (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".jp2", ".avif")
)
PATH_COLUMNS = ("path", "image", "file", "filename")


def folder_parts(root: Path) -> dict[str, Callable[[], Source]]:
    """The parts of a folder of images.

    Sub-folders called train, test, val, ... are parts, unless one of them stands alone among other folders of images:
    car, plane and train are classes. A folder without parts is one part, `train`. Inside a part, images directly in it
    have no labels; images in sub-folders have the sub-folder's name as label. Classes are the sorted names of the
    sub-folders that hold an image in any part, so an empty folder shifts no label and a label means the same in train
    and test.

    Raises:
        UserError: no image anywhere.
    """
    if (root / "wnids.txt").is_file() and (root / "val" / "val_annotations.txt").is_file():
        return _tiny_imagenet_parts(root)
    files = {
        child.name: image_files(child, frozenset((root.resolve(),))) for child in _children(root) if child.is_dir()
    }
    cases = [(name.lower(), name) for name, found in files.items() if found and name.lower() in PART_OF]
    named = dict(cases)
    others = [name for name, found in files.items() if found and name.lower() not in PART_OF]
    if len({PART_OF[part] for part in named}) < 2 and (others or not named):
        folders, files = {"train": root}, {"train": image_files(root)}
    else:
        if len(named) < len(cases):
            twice = sorted(name for part, name in cases if named[part] != name)[0]
            raise UserError(f"{root} holds both {twice} and {named[twice.lower()]}: put their images into one of them")
        folders = {part: root / name for part, name in named.items()}
        files = {part: files[name] for part, name in named.items()}
    if not any(files.values()):
        raise UserError(f"{root} holds no images ({', '.join(sorted(EXTENSIONS))}; hidden files are not looked at)")
    words = {name: _sub_folder_names(folders[name], found) for name, found in files.items()}
    labels, classes = number_labels([None if w is None else np.array(w) for w in words.values()], where=str(root))
    notes = {name: () if words[name] or _flat(folders[name], files[name]) else (MIXED,) for name in files}
    if len(classes) < 2:  # a single sub-folder is a place to keep images, not a label
        labels, classes = [None] * len(labels), ()
    return {
        name: partial(_of_files, root, files[name], part_labels, classes, notes[name])
        for name, part_labels in zip(files, labels, strict=True)
    }


MIXED = "images lie both beside and inside sub-folders: read without labels"


def csv_parts(file: Path) -> dict[str, Callable[[], Source]]:
    """A CSV list: columns path (or image, file), optionally label and split; paths are relative to the CSV.

    Raises:
        UserError: no such column, or a file that does not exist (the first is named and all are counted).
    """
    with open(file, newline="", encoding="utf-8-sig") as lines:
        try:
            reader = csv.DictReader(lines)
            columns = [c.strip().lower() for c in reader.fieldnames or ()]
            reader.fieldnames = columns
            rows = list(reader)
        except (csv.Error, UnicodeDecodeError) as error:
            raise UserError(f"{file} is no CSV file in UTF-8: {error}") from None
    column = next((c for c in PATH_COLUMNS if c in columns), None)
    if column is None:
        raise UserError(f"{file} has the columns {', '.join(columns)}; one must be called path, image or file")
    if not rows:
        raise UserError(f"{file} lists no images")
    paths = [file.parent / (row[column] or "") for row in rows]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise UserError(f"{file} lists {len(missing):,} of {len(paths):,} files that do not exist, first: {missing[0]}")
    part_names = [(row.get("split") or "train").strip().lower() for row in rows]
    unknown = sorted(set(part_names) - set(PART_OF))
    if unknown:
        raise UserError(f"{file}: split is {unknown[0]!r} in some rows; it must be one of {', '.join(PART_OF)}")
    where = {name: [i for i, part in enumerate(part_names) if part == name] for name in dict.fromkeys(part_names)}
    words = [(row.get("label") or "").strip() for row in rows] if "label" in columns else None
    raw = None if words is None else _as_integers(words)
    labels, classes = number_labels([raw], where=str(file))
    every = labels[0]
    return {
        name: partial(
            _of_files,
            file.parent,
            [paths[i] for i in rows_here],
            None if every is None else every[rows_here],
            classes,
            (),
        )
        for name, rows_here in where.items()
    }


def _of_files(
    root: Path, files: Sequence[Path], labels: np.ndarray | None, classes: tuple[str, ...], notes: tuple[str, ...]
) -> Encoded:
    def blobs(index: np.ndarray) -> Iterator[Path]:
        return (files[i] for i in index)

    def title(i: int) -> str:
        try:
            return shown(files[i].relative_to(root).as_posix())
        except ValueError:  # a CSV may list files from anywhere
            return shown(files[i])

    digest = hashlib.sha256(os.fsencode(root.resolve()))
    for file in files:
        digest.update(b"\n" + stamp(file))
    return Encoded(root.name, np.arange(len(files)), blobs, title, digest.hexdigest(), labels, classes, notes)


def _tiny_imagenet_parts(root: Path) -> dict[str, Callable[[], Source]]:
    """tiny-imagenet-200 as its authors pack it: the labels of `val` are in a table, `test` has none and is not used."""
    table, annotations = root / "words.txt", root / "val" / "val_annotations.txt"
    words = dict(line.split("\t", 1) for line in (_lines(table) if table.is_file() else []) if "\t" in line)
    wnids = sorted(word for line in _lines(root / "wnids.txt") for word in line.split())
    number = {wnid: i for i, wnid in enumerate(wnids)}
    classes = tuple(words.get(wnid, wnid).split(",")[0] for wnid in wnids)
    train = [file for wnid in wnids for file in image_files(root / "train" / wnid)]
    annotated = [(line + "\t").split("\t")[:2] for line in _lines(annotations) if line]
    unknown = [name for name, wnid in annotated if wnid not in number]
    if unknown:
        have = f"{len(unknown):,} of {len(annotated):,} images a class that wnids.txt does not list"
        raise UserError(f"{annotations} gives {have}, first: {unknown[0]}")
    val = [root / "val" / "images" / name for name, _ in annotated]
    train_labels = np.array([number[file.relative_to(root / "train").parts[0]] for file in train])
    val_labels = np.array([number[wnid] for _, wnid in annotated])
    notes = ("the official validation set is the test part",)
    return {
        "train": partial(_of_files, root, train, train_labels, classes, ()),
        "val": partial(_of_files, root, val, val_labels, classes, notes),
    }


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is no text in UTF-8: {error}") from None


def _as_integers(words: list[str]) -> np.ndarray:
    """Numbers where all words are numbers, so that 10 comes after 9; empty is -1.

    010 and 1_0 are words, as is a number that no int64 holds: else different labels would become one.
    """
    try:
        numbers = np.array([int(word) if word else -1 for word in words], np.int64)
    except (ValueError, OverflowError):
        return np.array(words)
    same = all(str(number) == word for number, word in zip(numbers, words, strict=True) if word)
    return numbers if same else np.array(words)


def image_files(folder: Path, above: frozenset[Path] = frozenset()) -> list[Path]:
    """Image files in a folder and below, sorted by path, hidden ones left out.

    A link back to a folder `above`, or to this one, is not followed.
    """
    place = folder.resolve()
    if place in above:
        return []
    found = []
    for child in _children(folder):
        if child.is_dir():
            found += image_files(child, above | {place})
        elif child.suffix.lower() in EXTENSIONS:
            found.append(child)
    return found


def _children(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(child for child in folder.iterdir() if not child.name.startswith("."))


def _flat(folder: Path, files: Sequence[Path]) -> bool:
    return all(file.parent == folder for file in files)


def _sub_folder_names(folder: Path, files: Sequence[Path]) -> list[str] | None:
    """The name of the sub-folder each image is in, or None where some image is in none."""
    parts = [file.relative_to(folder).parts for file in files]
    return [shown(part[0]) for part in parts] if all(len(part) > 1 for part in parts) else None
