"""ImageNet (ILSVRC 2012) as published: a folder for each synset (class), and lists with their names and val's labels.

Kaggle's copy has LOC_synset_mapping.txt and LOC_val_solution.csv beside the folder ILSVRC. The original one is three
archives, ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar and ILSVRC2012_devkit_t12.tar.gz. Others have the folders
train and val, and a list beside them. A copy may have only some of the classes.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from deepinfomax.data.formats.csv_list import read_table
from deepinfomax.data.formats.folder import image_files
from deepinfomax.data.formats.record import Columns, Layout
from deepinfomax.data.listed import of_files
from deepinfomax.data.listing import listing
from deepinfomax.data.paths import PathTable
from deepinfomax.data.stored import Parts, printable
from deepinfomax.data.unpacking import unpacked
from deepinfomax.errors import UserError, count_of, first_line

SYNSET = re.compile(r"n\d{8}")
IMAGES = "ILSVRC/Data/CLS-LOC"  #: where Kaggle's copy has the folders train, val and test
#: lists of synsets, "n01440764 tench, Tinca tinca" a line
SYNSET_LISTS = ("LOC_synset_mapping.txt", "synset_words.txt", "words.txt")
VAL_TABLE = "LOC_val_solution.csv"  #: ImageId,PredictionString: "ILSVRC2012_val_00048981,n03995372 85 1 499 272"
#: a line for each image of val: its synset, or the number of its synset in meta.mat
VAL_LINES = ("ILSVRC2012_validation_ground_truth.txt", "imagenet_2012_validation_synset_labels.txt")
META = "meta.mat"  #: of the development kit: number, synset and words
DEVKIT = "ILSVRC2012_devkit_t12"
ARCHIVES = {"train": "ILSVRC2012_img_train.tar", "val": "ILSVRC2012_img_val.tar"}
VAL_NUMBER = re.compile(r"(\d+)\.[^.]+$")  #: in the name of an image of val, 1 to 50,000


@dataclass(frozen=True)
class Synsets:
    """What the lists say of the synsets."""

    words: Mapping[str, str]  #: synset -> its synonyms, separated by commas
    numbered: Mapping[int, str]  #: the development kit's number -> synset
    source: str  #: the file's name, "" where there is no list


def read(folder: Path, columns: Columns) -> Parts:
    """The parts train and val. The labels of the test images are not published, so val is the test part.

    Classes are the synsets that have images, in the order of their numbers. The name of a class is its first synonym.

    Raises:
        UserError: no images; lists that are damaged or do not fit the images.
    """
    places = _places_of_lists(folder)
    synsets = _synsets(places)
    folders, notes = _folders(folder)
    train = [(synset.name, file) for synset in _synset_folders(folders["train"]) for file in image_files(synset)]
    if not train:
        raise UserError(f"{folders['train']} holds no folders of images that are named after synsets, as n01440764")
    val: list[tuple[str, Path]] = []
    unlabelled: Sequence[Path] = []
    if "val" in folders:
        val = [(synset.name, file) for synset in _synset_folders(folders["val"]) for file in image_files(synset)]
        files: Sequence[Path] = [] if val else image_files(folders["val"])
        truth = _truth(files, places, synsets) if files else None
        if truth is None:
            unlabelled = files
        else:
            val = list(zip(truth, files, strict=True))
    present = sorted({synset for synset, _ in (*train, *val)})
    number = {synset: i for i, synset in enumerate(present)}
    classes = _names(present, synsets)
    unnamed = [synset for synset in present if synset not in synsets.words]
    if unnamed and synsets.source:
        count = count_of(len(unnamed), "class is", "classes are")
        notes += (f"{count} not in {synsets.source}, first: {unnamed[0]}",)

    def part(name: str, images: Sequence[tuple[str, Path]], notes: tuple[str, ...]) -> partial:
        labels = np.array([number[synset] for synset, _ in images])
        files = PathTable(file for _, file in images)
        return partial(of_files, _above(folders[name], folder), files, labels, classes, notes)

    parts: Parts = {"train": part("train", train, notes)}
    if val:
        parts["val"] = part("val", val, (*notes, "the official validation set is the test part"))
    elif unlabelled:
        no_labels = f"no labels of val: put {VAL_TABLE} or {VAL_LINES[0]} into {folder}"
        parts["val"] = partial(of_files, _above(folders["val"], folder), unlabelled, None, classes, (*notes, no_labels))
    return parts


def _holds(folder: Path) -> bool:
    """Whether there are images by synset, and a list of any kind; without a list this is a plain folder of classes."""
    train = folder / "train" if (folder / "train").is_dir() else folder
    images = (folder / ARCHIVES["train"]).is_file() or bool(_synset_folders(train))
    if not images or (folder / "wnids.txt").is_file():  # a file of Tiny ImageNet
        return False
    lists = (*SYNSET_LISTS, VAL_TABLE, *VAL_LINES, META)
    archives = (ARCHIVES["train"], f"{DEVKIT}.tar.gz")
    return any((place / name).is_file() for place in _named_places(folder) for name in lists) or any(
        (folder / name).is_file() for name in archives
    )


def _named_places(folder: Path) -> list[Path]:
    """Folders that may hold the lists for the images in `folder`."""
    places = [folder, folder / DEVKIT / "data", folder / "data"]
    if folder.name == "CLS-LOC":  # ILSVRC/Data/CLS-LOC; the lists lie beside ILSVRC
        places += folder.resolve().parents[:3]
    return places


def _places_of_lists(folder: Path) -> list[Path]:
    places = [place for place in _named_places(folder) if place.is_dir()]
    kit = folder / f"{DEVKIT}.tar.gz"
    if kit.is_file() and not (folder / DEVKIT).is_dir():
        content = unpacked(kit).folder
        places += [place for place in (content / "data", content / DEVKIT / "data") if place.is_dir()]
    return places


def _folders(folder: Path) -> tuple[dict[str, Path], tuple[str, ...]]:
    """The folders of train and val, and notes; archives are unpacked."""
    folders: dict[str, Path] = {}
    notes: tuple[str, ...] = ()
    for part, archive in ARCHIVES.items():
        if (folder / part).is_dir():
            folders[part] = folder / part
        elif (folder / archive).is_file():
            content = unpacked(folder / archive)
            folders[part] = content.folder
            notes += content.notes
    folders.setdefault("train", folder)
    if (folder / "test").is_dir():
        notes += ("the labels of the test images are not published: not read",)
    return folders, notes


def _synset_folders(folder: Path) -> list[Path]:
    return [folder / name for name in sorted(listing(folder).folders) if SYNSET.fullmatch(name)]


def _synsets(places: Sequence[Path]) -> Synsets:
    words: dict[str, str] = {}
    source = ""
    for file in (place / name for name in SYNSET_LISTS for place in places):
        if file.is_file():
            lines = [re.split(r"[\s,]+", line.strip(), maxsplit=1) for line in _lines(file)]
            words, source = {line[0]: line[1] for line in lines if len(line) == 2}, file.name
            break
    meta = next((place / META for place in places if (place / META).is_file()), None)
    if meta is None:
        return Synsets(words, {}, source)
    numbered, own_words = _meta(meta)
    return Synsets(words or own_words, numbered, source or META)


def _meta(file: Path) -> tuple[dict[int, str], dict[str, str]]:
    """number -> synset, and synset -> words, of the thousand classes; broader synsets of the kit are left out."""
    from scipy.io import loadmat

    try:
        table = loadmat(file, squeeze_me=True, variable_names=["synsets"])["synsets"]
        rows = [row for row in np.atleast_1d(table) if int(row["num_children"]) == 0]
        numbered = {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in rows}
        return numbered, {str(row["WNID"]): str(row["words"]) for row in rows}
    except Exception as error:  # damaged files make SciPy raise errors of many kinds
        raise UserError(f"{file} is damaged or no file of {DEVKIT} ({first_line(error)}): unpack it again") from None


def _truth(files: Sequence[Path], places: Sequence[Path], synsets: Synsets) -> list[str] | None:
    """The synset of each image of val; None if no list says it."""
    for place in places:
        if (place / VAL_TABLE).is_file():
            return _truth_of_table(files, place / VAL_TABLE)
        for name in VAL_LINES:
            if (place / name).is_file():
                return _truth_of_lines(files, place / name, synsets)
    return None


def _truth_of_table(files: Sequence[Path], file: Path) -> list[str]:
    table = read_table(file)
    if not {"imageid", "predictionstring"}.issubset(table.names):
        raise UserError(f"{file} has the columns {', '.join(table.names)}, not ImageId and PredictionString")
    synset_of = {
        name: (answer.split() or [""])[0]
        for name, answer in zip(table.column("imageid"), table.column("predictionstring"), strict=True)
    }
    return _checked(files, [synset_of.get(image.stem, "") for image in files], file)


def _truth_of_lines(files: Sequence[Path], file: Path, synsets: Synsets) -> list[str]:
    lines = [line.strip() for line in _lines(file) if line.strip()]
    if lines and lines[0].isdecimal():
        if not synsets.numbered:
            raise UserError(
                f"{file} gives numbers, and {META} of {DEVKIT} says what they mean: put it beside that file"
            )
        lines = [synsets.numbered.get(int(line) if line.isdecimal() else -1, "") for line in lines]
    numbers = [VAL_NUMBER.search(image.name) for image in files]
    places = [0 if match is None else int(match[1]) for match in numbers]
    return _checked(files, [lines[i - 1] if 0 < i <= len(lines) else "" for i in places], file)


def _checked(files: Sequence[Path], synsets: list[str], file: Path) -> list[str]:
    wrong = [image for image, synset in zip(files, synsets, strict=True) if not SYNSET.fullmatch(synset)]
    if wrong:
        have = f"{len(wrong):,} of {len(files):,} images of val no synset"
        raise UserError(f"{file} gives {have}, first: {printable(wrong[0].name)}; both must be of one copy")
    return synsets


def _names(present: Sequence[str], synsets: Synsets) -> tuple[str, ...]:
    """First synonyms. Two classes are called crane, the bird and the machine: their synset is added."""
    names = [synsets.words.get(synset, synset).split(",")[0].strip() for synset in present]
    count = Counter(names)
    return tuple(f"{name} ({wnid})" if count[name] > 1 else name for name, wnid in zip(names, present, strict=True))


def _above(images: Path, folder: Path) -> Path:
    """The folder that the titles of a part's images start from: that of the set, or that of its unpacked archive."""
    return folder if images == folder or folder in images.parents else images


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is no text in UTF-8: {error}") from None


LAYOUT = Layout(
    "imagenet",
    "ImageNet (ILSVRC 2012)",
    _holds,
    read,
    (IMAGES, "Data/CLS-LOC", "CLS-LOC", "imagenet", "ImageNet", f"imagenet/{IMAGES}", f"ImageNet/{IMAGES}"),
    members=(*ARCHIVES.values(), f"{DEVKIT}.tar.gz"),
    sizes={"train": 1_281_167, "val": 50_000},
)
