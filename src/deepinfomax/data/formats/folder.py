"""A folder of images or of other files: flat, one folder for each class, or train and test inside."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from deepinfomax.data.formats import tiff
from deepinfomax.data.formats.csv_list import listed_path, read_table
from deepinfomax.data.formats.record import PATH_COLUMNS, Columns, Format, no_classes, unused_columns
from deepinfomax.data.labels import NO_LABEL_WORDS, are_quantities, integers_of, number_labels
from deepinfomax.data.listing import listing
from deepinfomax.data.opening import PLUGIN_EXTENSIONS, extensions, is_image
from deepinfomax.data.parts import PART_OF
from deepinfomax.data.paths import PathTable, in_table
from deepinfomax.data.stored import Parts, Source, printable
from deepinfomax.errors import UserError, agreed, count_of

METADATA = "metadata.csv"  #: Hugging Face's name of a list of the images in a folder
#: endings of files that hold a data set each
WHOLE = (".npy", ".npz", ".h5", ".hdf5", ".hdf", ".ts", ".arff")
#: ending of files that are not read from a folder -> what the user can do to have them read
MENDS = {
    **dict.fromkeys(WHOLE, "give one of them"),
    ".npy": "stack them into one .npy file, numpy.stack, and give that",
    ".csv": "read them, stack them into one array, numpy.stack, and give that as .npy",
    ".tar": "give one of them, or unpack them; empty ones hold nothing",
    ".zip": "give one of them, or unpack them; empty ones hold nothing",
}
MOST_VISITS = 100  #: of one folder, by links from several places


@dataclass(frozen=True)
class Files:
    """The files that a folder is read for."""

    what: str  #: "images"
    endings: Callable[[], Iterable[str]]  #: of such files, for a message
    wanted: Callable[[Path], bool]  #: whether a file is one
    #: folder, files, labels, classes and notes -> the items in them
    stored: Callable[[Path, Sequence[Path], np.ndarray | None, tuple[str, ...], tuple[str, ...]], Source]
    #: what the items are called, where several files are one: the path of each, in the order of `stored`
    items: Callable[[Sequence[Path]], Sequence[Path]] = in_table


IMAGES = Files("images", extensions, is_image, tiff.of_images)


@dataclass
class Walk:
    """What lies in a folder and below it, hidden files and folders left out."""

    wanted: Callable[[Path], bool] = is_image
    images: PathTable = field(default_factory=PathTable)  #: the wanted files, sorted by path
    others: PathTable = field(default_factory=PathTable)  #: files of other endings
    links: list[Path] = field(default_factory=list)  #: links that were not followed any more
    visits: Counter[Path] = field(default_factory=Counter)  #: how often each real folder was walked


def read(root: Path, columns: Columns, files: Files = IMAGES) -> Parts:
    """The parts of a folder of images, or of other files.

    Sub-folders called train, test, val, ... are parts, unless one of them stands alone among other folders of images:
    car, plane and train are classes. A folder without parts is one part, `train`. A folder that holds nothing but one
    folder of images is looked into. Inside a part, images directly in it have no labels; images in sub-folders have
    the sub-folder's name as label, unless `metadata.csv` in the part or in the folder gives them. Classes are the
    sorted names of the sub-folders that hold an image in any part, so an empty folder shifts no label and a label
    means the same in train and test.

    Raises:
        UserError: no image anywhere; columns named where there is no metadata.csv; an image with two labels there.
    """
    base, folders, beside = _parts_of(root, files)
    walks = {name: walk_folder(folder, Walk(files.wanted)) for name, folder in folders.items()}
    if not any(walk.images for walk in walks.values()):
        other = counted_endings([file for walk in walks.values() for file in walk.others])
        may = ", ".join(sorted(files.endings()))
        have = f"{root} holds no {files.what} ({may}; hidden files are not looked at)"
        raise UserError(f"{have}; it has {other}{_mend(walks)}" if other else have)
    items = {name: files.items(walk.images) for name, walk in walks.items()}
    listed = _listed([root, base, *folders.values()], columns)
    words = {name: _words(folders[name], items[name], listed) for name in walks}
    by_list = listed is not None and listed.label is not None
    labels, classes = number_labels(
        list(words.values()), where=str(root), no_label_words=NO_LABEL_WORDS if by_list else frozenset()
    )
    if len(classes) < 2 and not by_list:  # a single sub-folder is a place to keep images, not a label
        labels, classes = [None] * len(labels), ()
    notes = {}
    for name, walk in walks.items():
        mixed = words[name] is None and any(folders[name] in inside.parents for inside in in_table(items[name]).folders)
        notes[name] = (
            *((f"{files.what} lie both beside and inside sub-folders: read without labels",) if mixed else ()),
            *_passed_over(folders[name], walk, _others_above(root, folders[name], files), beside, files),
            *(() if listed is None else listed.notes_on(items[name], items.values())),
        )
    return {
        name: partial(files.stored, root, walk.images, part_labels, classes, notes[name])
        for (name, walk), part_labels in zip(walks.items(), labels, strict=True)
    }


def image_files(folder: Path) -> PathTable:
    """Image files in a folder and below, sorted by path, hidden ones left out."""
    return walk_folder(folder, Walk()).images


def walk_folder(folder: Path, walk: Walk, above: frozenset[Path] = frozenset()) -> Walk:
    """Add what lies in a folder and below it to `walk`.

    A link back to a folder `above`, or to this one, is not followed. Links from several places to one folder are, but
    only `MOST_VISITS` times: two links in each of forty folders would lead to a trillion places.
    """
    place = folder.resolve()
    if place in above:
        return walk
    if walk.visits[place] == MOST_VISITS:
        walk.links.append(folder)
        return walk
    walk.visits[place] += 1
    for name, is_folder in _children(folder):
        child = folder / name
        if is_folder:
            walk_folder(child, walk, above | {place})
        else:
            (walk.images if walk.wanted(child) else walk.others).add(folder, name)
    return walk


def _holds_any(folder: Path, wanted: Callable[[Path], bool], seen: set[Path]) -> bool:
    """Whether a wanted file lies in a folder or below it; each real folder is looked into once.

    Args:
        seen: real folders that are not looked into; those that were are added.
    """
    place = folder.resolve()
    if place in seen:
        return False
    seen.add(place)
    inside = listing(folder)
    if any(wanted(folder / name) for name in inside.files):
        return True
    return any(_holds_any(folder / name, wanted, seen) for name in sorted(inside.folders))


def _parts_of(root: Path, files: Files) -> tuple[Path, dict[str, Path], list[str]]:
    """The folder that holds the parts, the folder of each part, and the names of what else is there and is not read."""
    base, holding = _base(root, files)
    cases = [(name.lower(), name) for name in holding if name.lower() in PART_OF]
    named = dict(cases)
    others = [name for name in holding if name.lower() not in PART_OF]
    if len({PART_OF[part] for part in named}) < 2 and (others or not named):
        return base, {"train": base}, []
    if len(named) < len(cases):
        twice = sorted(name for part, name in cases if named[part] != name)[0]
        both = f"{base} holds both {twice} and {named[twice.lower()]}"
        raise UserError(f"{both}: put their {files.what} into one of them")
    loose = sum(files.wanted(base / name) for name in listing(base).files)
    beside = [*(f"{name}/" for name in others), *([count_of(loose, files.what.removesuffix("s"))] if loose else [])]
    return base, {part: base / name for part, name in named.items()}, beside


def _base(root: Path, files: Files) -> tuple[Path, list[str]]:
    """The folder that holds the parts or classes, and the names of its sub-folders with images.

    It is `root`, or further down where images lie in a single sub-folder of another name than a part's.
    """
    base, seen = root, set()
    while True:
        place = base.resolve()
        seen.add(place)
        inside = listing(base)
        holding = [name for name in sorted(inside.folders) if _holds_any(base / name, files.wanted, {place})]
        flat = any(files.wanted(base / name) for name in inside.files)
        if flat or len(holding) != 1 or holding[0].lower() in PART_OF or (base / holding[0]).resolve() in seen:
            return base, holding
        base = base / holding[0]


@dataclass(frozen=True)
class Listed:
    """What the metadata.csv files of a folder say of its images."""

    label: str | None  #: the column of labels
    labels: dict[Path, str]  #: file -> label as written, of every listed file
    notes: tuple[str, ...]

    def notes_on(self, images: Sequence[Path], parts: Iterable[Sequence[Path]]) -> tuple[str, ...]:
        """Notes on the images of one of the parts."""
        if self.label is None:
            return self.notes
        notes = []
        missing = sum(file not in self.labels for file in images)
        if missing:
            count = f"{missing:,} of {count_of(len(images), 'image')} {agreed(missing, 'is', 'are')}"
            notes.append(f"{count} not in {METADATA}: read without a label")
        lost = self.labels.keys() - {file for part in parts for file in part}
        if lost:
            count = f"{len(lost):,} of {len(self.labels):,} names in {METADATA}"
            notes.append(f"{count} are of no image here, first: {printable(min(lost).name)}")
        return (*self.notes, *notes)


def _listed(folders: Sequence[Path], columns: Columns) -> Listed | None:
    """The metadata.csv of these folders together; None if there is none that lists images."""
    label: str | None = None
    labels: dict[Path, str] = {}
    notes: tuple[str, ...] = ()
    listing, point = False, "."
    for file in dict.fromkeys(folder / METADATA for folder in folders):
        if not file.is_file():
            continue
        table = read_table(file)
        image, column = columns.in_small_letters().choose(table.names, str(file), PATH_COLUMNS)
        if not image:
            continue
        listing = True
        label = column or label
        if table.point == ",":
            point = ","
        notes += unused_columns(table.names, {image, column})
        texts = table.column(column) if column else [""] * len(table.rows)
        pairs = [(listed_path(file.parent, name), text) for name, text in zip(table.column(image), texts, strict=True)]
        own = dict(pairs)
        odd = next((pair for pair in pairs if own[pair[0]] != pair[1]), None)
        if odd is not None:
            two = f"{odd[1]!r} and {own[odd[0]]!r}"
            raise UserError(f"{file} gives {printable(odd[0].name)} two labels, {two}: leave one of them")
        labels |= own
    if label is not None and are_quantities(integers_of(list(labels.values())), point):
        notes += (no_classes(f"column {label} of {METADATA}"),)
        labels = dict.fromkeys(labels, "")
    if not listing and columns.named:
        raise columns.refused(f"{folders[0]} has no {METADATA}")
    return Listed(label, labels, tuple(dict.fromkeys(notes))) if listing else None


def _words(folder: Path, files: Sequence[Path], listed: Listed | None) -> np.ndarray | None:
    """The label of each image as it is written: in the list, or as the name of the sub-folder that the image is in."""
    if listed is not None and listed.label is not None:
        return integers_of([listed.labels.get(file, "") for file in files])
    table = in_table(files)
    # The path of a scan may be the folder itself, which lies in none.
    tops = [inside.relative_to(folder).parts[:1] if inside.is_relative_to(folder) else () for inside in table.folders]
    if all(tops):
        return np.array([printable(top[0]) for top in tops])[table.folder_of] if tops else np.array([])
    if not any(tops) or not all(
        tops[place] or path.is_dir() for place, path in zip(table.folder_of, table, strict=True)
    ):
        return None  # some lie directly in the folder
    # The only scan of a class has the path of that class.
    return np.array(
        [printable((tops[place] or (path.name,))[0]) for place, path in zip(table.folder_of, table, strict=True)]
    )


def _others_above(root: Path, folder: Path, files: Files) -> list[Path]:
    """What lies in the folders from `root` down to the one around `folder` and is none of the wanted files."""
    around = [above for above in folder.parents if above.is_relative_to(root)]
    return [above / name for above in around for name in listing(above).files if not files.wanted(above / name)]


def _passed_over(
    folder: Path, walk: Walk, above: Sequence[Path], beside: Sequence[str], files: Files
) -> tuple[str, ...]:
    """Notes on what is not read: files of other endings, classes that have no images for it, folders, links."""
    others_inside = [file for file in walk.others if file.name != METADATA]
    others = [*others_inside, *(file for file in above if file.name != METADATA)]
    what, one = files.what, "an image" if files is IMAGES else files.what
    notes = []
    if others:
        of_plug_ins = {*PLUGIN_EXTENSIONS} - extensions()
        lacking = any(file.suffix.lower() in of_plug_ins for file in others)
        mend = "; to read HEIC and AVIF, pip install pillow-heif" if lacking else ""
        notes.append(f"files that are no {what}, not read: {counted_endings(others)}{mend}")
    full = {part for inside in walk.images.folders for part in inside.relative_to(folder).parts[:1]}
    empty = {file.relative_to(folder).parts[0] for file in others_inside if file.parent != folder} - full
    if empty:
        notes.append(f"folders without {one} that can be read here: {', '.join(map(printable, sorted(empty)))}")
    if beside:
        notes.append(f"beside the folders of the parts, not read: {', '.join(map(printable, beside))}")
    if walk.links:
        first = printable(walk.links[0].relative_to(folder))
        are, count = agreed(len(walk.links), "is", "are"), count_of(len(walk.links), "link")
        notes.append(f"{count} to folders that were read {MOST_VISITS} times {are} left, first: {first}")
    return tuple(notes)


def _mend(walks: Mapping[str, Walk]) -> str:
    """What to do with the files that a folder has instead."""
    there = Counter(file.suffix.lower() for walk in walks.values() for file in walk.others)
    ending = next((ending for ending in MENDS if ending in there), None)
    if ending is None:
        return ""
    alone = ending in WHOLE and there[ending] == 1
    return f": {'give that file itself' if alone else MENDS[ending]}"


def counted_endings(files: Sequence[Path]) -> str:
    """ "4 .heic, 2 without an ending" """
    endings = Counter(printable(file.suffix.lower()) or "without an ending" for file in files)
    common = [f"{count:,} {ending}" for ending, count in endings.most_common(6)]
    rest = len(files) - sum(count for _, count in endings.most_common(6))
    return ", ".join(common) + (f", {rest:,} more" if rest else "")


def _children(folder: Path) -> list[tuple[str, bool]]:
    """Name of each file and folder in a folder, sorted, and whether it is a folder; hidden ones left out."""
    inside = listing(folder)
    return sorted([*((name, True) for name in inside.folders), *((name, False) for name in inside.files)])


FORMAT = Format(
    "folder",
    "images in it; or one folder per class; or `train` and `test` inside, each of either kind",
    read,
    folder=lambda folder: True,
    columns=True,
)
