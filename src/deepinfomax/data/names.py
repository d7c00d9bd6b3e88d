"""Finding data: DATA is a name, a path or a hub id; this module decides which reader reads it."""

import contextlib
import difflib
import os
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from deepinfomax.data.digits import digits_parts
from deepinfomax.data.formats import USUAL, Columns, is_packed_folder, read_path, suffixes
from deepinfomax.data.formats.celeba import ATTRIBUTES
from deepinfomax.data.formats.hub import hub_parts
from deepinfomax.data.formats.published import Copy, copies_at, copies_in, copy_with, folder_of, read_copy
from deepinfomax.data.listing import listed_once
from deepinfomax.data.opening import extensions
from deepinfomax.data.photos import photos
from deepinfomax.data.stored import Parts, Source, StoredArrays
from deepinfomax.data.unpacking import unpacked
from deepinfomax.errors import UserError


@dataclass(frozen=True)
class Published:
    """A published data set: its id on the hub, its columns there, and the folders a local copy may be in."""

    hub: str | None  #: None if the hub has no copy of this form
    image: str = "image"
    label: str | None = "label"
    attributes: tuple[str, ...] = ()  #: columns of 0 and 1 instead of a label
    folders: tuple[str, ...] = ()
    classes: int = 0  #: of the whole, where part of it is in use under the same name


PUBLISHED = {
    "cifar10": Published("uoft-cs/cifar10", image="img"),
    "cifar100": Published("uoft-cs/cifar100", image="img", label="fine_label"),
    "stl10": Published("jxie/stl10"),  # the copy that has the 100,000 unlabeled images too
    "tiny-imagenet": Published(
        "zh-plus/tiny-imagenet", folders=("tiny-imagenet-200", "tiny_imagenet", "tiny-imagenet-subset"), classes=200
    ),
    "celeba": Published("flwrlabs/celeba", label=None, attributes=ATTRIBUTES),
    "fashion-mnist": Published("zalando-datasets/fashion_mnist", folders=("fashion_mnist",)),
    "mnist": Published("ylecun/mnist"),
    "kmnist": Published(None),
    **{f"emnist-{name}": Published(None) for name in ("balanced", "byclass", "bymerge", "digits", "letters", "mnist")},
    "svhn": Published(None),
    "imagenet": Published(None),
}
#: carried by the dependencies, no download
EMBEDDED: dict[str, Callable[[], Parts]] = {
    "photos": lambda: {"train": partial(photos, "train"), "test": partial(photos, "test")},
    "digits": digits_parts,
}
FOLDS = "fold_indices.txt"  #: STL-10's own name
ARCHIVES = (".zip", ".tar.gz", ".tgz", ".tar")  #: endings of an archive that is called like a set
NAMES = (*PUBLISHED, *EMBEDDED)


_known: ContextVar[dict[tuple[Any, ...], Parts] | None] = ContextVar("_known", default=None)


@contextlib.contextmanager
def found_once() -> Iterator[None]:
    """Within the block `find` searches the same data only once; files added in the meantime are not found.

    A command searches several times: for the images, for a test part, for names. A folder of a million files takes ten
    seconds each time.
    """
    if _known.get() is not None:
        yield
        return
    token = _known.set({})
    try:
        with listed_once():
            yield
    finally:
        _known.reset(token)


def find(data: str | Path, root: str | Path | None = None, columns: Columns = USUAL) -> Parts:
    """Find the parts of DATA: name of a part -> a function that reads it. Nothing is decoded yet.

    For a name, a local copy is searched first (under `root`, or else under the environment variable DEEPINFOMAX_DATA),
    then the hub. A name has priority over a folder of the same name; ./photos always means the folder.

    Raises:
        UserError: it is nothing that can be read; the message suggests similar names.
    """
    asked, known = (type(data), str(data), root and str(root), columns), _known.get()
    if known is None or asked not in known:
        with listed_once():
            parts = _found(data, root, columns)
        if columns.window is not None:
            parts = {part: partial(_in_windows, read) for part, read in parts.items()}
        if known is None:
            return parts
        known[asked] = parts
    return dict(known[asked])


def _found(data: str | Path, root: str | Path | None, columns: Columns) -> Parts:
    if not str(data):
        raise UserError(f"no data given: pass a folder, a file, a Hugging Face id or one of {', '.join(NAMES)}")
    name = str(data)
    path = _expanded(data)
    if data in EMBEDDED:
        if columns.named:
            raise columns.refused(f"{name} has no columns")
        return EMBEDDED[name]()
    if data in PUBLISHED:
        copy = _local_copy(name, root)
        published = PUBLISHED[name]
        if copy is None:
            if published.hub is None:
                folder = f"; ./{name} is the folder of that name" if path.exists() else ""
                raise UserError(
                    f"there is no {name} here: put its files as published into a folder, and set --data-root / "
                    f"DEEPINFOMAX_DATA to that folder{folder}"
                )
            its_columns = Columns(columns.image or published.image, columns.label or published.label)
            return hub_parts(published.hub, its_columns, published.attributes if columns.label is None else ())
        parts = read_copy(copy, columns) if isinstance(copy, Copy) else read_path(copy, columns)
        return {part: partial(_counted, read, published) for part, read in parts.items()}
    if path.exists():
        _check_kind(path)
        return read_path(path, columns)
    if _is_hub_id(name):
        return hub_parts(name, columns)
    raise _unknown(name, path)


def place_of(data: str, root: str | Path | None = None) -> Path | str:
    """Where the files are that `find` would read: a path that exists, or else the id of a data set of the hub.

    Raises:
        UserError: it is nothing that has files.
    """
    check_there(data)
    if data in EMBEDDED:
        raise UserError(f"{data} has no files to stream: set data.stream false, or leave it out")
    if data not in PUBLISHED:
        path = _expanded(data)
        return path if path.exists() else data
    copy = _local_copy(data, root)
    if copy is not None:
        return folder_of(copy) if isinstance(copy, Copy) else copy
    hub = PUBLISHED[data].hub
    if hub is None:
        raise UserError(f"there is no {data} here: set --data-root / DEEPINFOMAX_DATA to the folder of its files")
    return hub


def check_there(data: str) -> None:
    """A quick check of DATA, before anything is read or slowly imported.

    Raises:
        UserError: it is not a name, an existing path or a hub id; or it is a pipe or a device.
    """
    path = _expanded(data)
    if data and data not in NAMES and not path.exists() and not _is_hub_id(data):
        raise _unknown(data, path)
    if data not in NAMES:
        _check_kind(path)


def published_copy(data: str | Path, root: str | Path | None = None) -> Copy | None:
    """The data set in its published files that `find` reads; None if it reads something else.

    Raises:
        UserError: an archive that cannot be unpacked.
    """
    if data in PUBLISHED:
        copy = _local_copy(str(data), root)
        return copy if isinstance(copy, Copy) else None
    path = _expanded(data)
    if data in EMBEDDED or not path.exists():
        return None
    if is_packed_folder(path):
        whole = copy_with(path)
        if whole is not None:
            return whole
        path = unpacked(path).folder
    copies = copies_at(path) if path.is_dir() else []
    return copies[0] if len(copies) == 1 else None


def read_folds(data: str | Path, root: str | Path | None = None) -> list[np.ndarray]:
    """Folds of the labelled training images, from a file fold_indices.txt in the folder of the data.

    As STL-10 publishes them: a line for each fold, positions among the labelled training images, the first being 0.

    Returns:
        one (n,) int64 array a fold; none where there is no such file.

    Raises:
        UserError: a line that holds something else.
    """
    copy = published_copy(data, root)
    path = _local_copy(str(data), root) if data in PUBLISHED else _expanded(data)
    if copy is not None:
        folder: Path | None = folder_of(copy)
    elif isinstance(path, Path) and is_packed_folder(path):
        folder = unpacked(path).folder
    else:
        folder = path if isinstance(path, Path) and path.is_dir() else None
    file = folder / FOLDS if folder is not None else None
    if file is None or not file.is_file():
        return []
    folds = []
    for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        words = line.split()
        if not all(word.isdecimal() and len(word) < 19 for word in words):
            raise UserError(f"{file}, line {number}: a fold is a line of whole numbers, positions of training images")
        if words:
            folds.append(np.array(words, dtype=np.int64))
    return folds


def _counted(read: Callable[[], Source], published: Published) -> Source:
    """With a note where a local copy holds only some of the classes."""
    source = read()
    if not published.classes or not source.classes or len(source.classes) == published.classes:
        return source
    note = f"{len(source.classes)} of {published.classes} classes: not comparable with figures for all of them"
    return replace(source, notes=(note, *source.notes))


def _in_windows(read: Callable[[], Source]) -> Source:
    """With a note where the windows that were asked for mean nothing."""
    source = read()
    if isinstance(source, StoredArrays) and source.whole is not None:
        return source
    note = "data.window cuts recordings, and these are none: it is not used"
    return replace(source, notes=(*source.notes, note))


def _check_kind(path: Path) -> None:
    """Refuse pipes and devices: to open one may wait for ever."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise UserError(f"{path} is neither a file nor a folder, but a pipe or a device: save what it gives as a file")


def _expanded(path: str | Path) -> Path:
    """`~` and `~name` replaced; the home of a user who is unknown is a path that does not exist."""
    return Path(os.path.expanduser(path))


def _local_copy(name: str, root: str | Path | None) -> Copy | Path | None:
    """A published set in its own files, or a folder or an archive that is called like the set; None without either."""
    place = root or os.environ.get("DEEPINFOMAX_DATA")
    if not place:
        return None
    base = _expanded(place)
    if not base.is_dir():
        where = "root / --data.root" if root else "the environment variable DEEPINFOMAX_DATA"
        raise UserError(f"{where} says {base}, which is no folder")
    names = (name, *PUBLISHED[name].folders)
    own = next((base / folder for folder in names if (base / folder).is_dir()), None)
    copies = copies_in(base if own is None else own)
    copy = next((copy for copy in copies if copy.layout.name == name), None)
    if copy is not None or own is not None:
        return copy or own
    archives = (base / f"{called}{ending}" for called in names for ending in ARCHIVES)
    return next((archive for archive in archives if archive.is_file()), None)


def _is_hub_id(name: str) -> bool:
    """Whether it reads like "owner/name" and not like a mistyped path: a file we know, or in a folder that is here."""
    owner, slash, rest = name.partition("/")
    plain = all(part.replace("-", "").replace("_", "").replace(".", "").isalnum() for part in (owner, rest))
    if not slash or not plain or owner.startswith(".") or Path(owner).exists():
        return False
    return not rest.endswith(tuple(extensions() | set(suffixes())))  # asked last: it loads every reader of Pillow


def _unknown(name: str, path: Path) -> UserError:
    return UserError(f"there is no {name}: it is neither a file, a folder nor a known name{_close(name, path)}")


def _close(name: str, path: Path) -> str:
    """ "; did you mean ...?" from the known names and from what lies where the path points."""
    beside = (
        {entry.name: str(path.parent / entry.name) for entry in path.parent.iterdir()} if path.parent.is_dir() else {}
    )
    close = difflib.get_close_matches(name, NAMES, 2, 0.6)
    close += [
        beside[match] for match in difflib.get_close_matches(path.name, beside, 2, 0.6) if beside[match] not in close
    ]
    if close:
        return f"; did you mean {' or '.join(close)}?"
    return f"; names are {', '.join(NAMES)}"
