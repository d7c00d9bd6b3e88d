"""Listing folders. While data are searched, each folder is listed only once, however many formats need it.

Folders of runs are listed as empty: they may be inside the folder of the images, and their pictures and tables are not
data.
"""

import contextlib
import os
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from deepinfomax.files import CONFIG, METRICS


@dataclass(frozen=True)
class Listing:
    """The names in a folder, in the file system's order, hidden ones left out; none in the folder of a run."""

    folders: tuple[str, ...]  #: links to folders among them
    links: frozenset[str]  #: those of `folders` that are links
    packed: bytes  #: the other names, a NUL between them: a list of a million names would take 60 MB more

    @property
    def files(self) -> list[str]:
        return list(map(os.fsdecode, self.packed.split(b"\0"))) if self.packed else []


_listed: ContextVar[dict[Path, Listing] | None] = ContextVar("_listed", default=None)


@contextlib.contextmanager
def listed_once() -> Iterator[None]:
    """While the block runs, what `listing` has read is not read again; what is added meanwhile is not seen.

    A block within another is part of it.
    """
    if _listed.get() is not None:
        yield
        return
    token = _listed.set({})
    try:
        yield
    finally:
        _listed.reset(token)


def listing(folder: Path) -> Listing:
    """What lies in a folder; nothing where it is none.

    Raises:
        OSError: it cannot be listed.
    """
    known = _listed.get()
    if known is None:
        return _read(folder)
    if folder not in known:
        known[folder] = _read(folder)
    return known[folder]


def files_below(folder: Path, ending: str) -> list[Path]:
    """The files of that ending, in small letters or capitals, in a folder and below, sorted by path.

    Links to folders are not followed.
    """
    found, waiting = [], [folder]
    while waiting:
        place = waiting.pop()
        with contextlib.suppress(PermissionError):
            inside = listing(place)
            found += [place / name for name in inside.files if name.lower().endswith(ending)]
            waiting += [place / name for name in inside.folders if name not in inside.links]
    return sorted(found)


def _read(folder: Path) -> Listing:
    folders, links, files = [], set(), []
    if folder.is_dir():
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if _is_folder(entry):
                    folders.append(entry.name)
                    if entry.is_symlink():
                        links.add(entry.name)
                else:
                    files.append(os.fsencode(entry.name))
    if all(os.fsencode(name) in files for name in (CONFIG, METRICS)):
        return Listing((), frozenset(), b"")
    return Listing(tuple(folders), frozenset(links), b"\0".join(files))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """The file system says what is a folder as it lists the names, so no file is asked."""
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False
