"""Published data sets in their own files: which of them a folder or an archive holds, and how it is read."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from deepinfomax.data.formats import celeba, cifar, idx, imagenet, stl10, svhn, tiny_imagenet
from deepinfomax.data.formats.record import USUAL, Columns, Format, Layout
from deepinfomax.data.opening import is_image
from deepinfomax.data.stored import Parts, Read, Source
from deepinfomax.data.unpacking import Unpacked, unpacked
from deepinfomax.errors import UserError, count_of

LAYOUTS = (
    *cifar.LAYOUTS,
    stl10.LAYOUT,
    svhn.LAYOUT,
    *idx.LAYOUTS,
    celeba.LAYOUT,
    tiny_imagenet.LAYOUT,
    imagenet.LAYOUT,
)


@dataclass(frozen=True)
class Copy:
    """A published set on this machine."""

    layout: Layout
    path: Path  #: the folder that holds its files, or the archive of it


def copies_in(root: Path) -> list[Copy]:
    """The published sets that a folder holds, one copy of each: files come before archives."""
    copies: dict[str, Copy] = {}
    for layout in LAYOUTS:
        place = next((root / inside for inside in ("", *layout.folders) if layout.holds(root / inside)), None)
        if place is not None:
            copies.setdefault(layout.name, Copy(layout, place))
    for layout in LAYOUTS:
        archive = next((root / name for name in layout.archives if (root / name).is_file()), None)
        if archive is not None:
            copies.setdefault(layout.name, Copy(layout, archive))
    return list(copies.values())


def copies_at(folder: Path) -> list[Copy]:
    """The published sets that are meant if a user passes this folder.

    An archive of a set counts only if the folder has no images or sub-folders besides.
    """
    copies = copies_in(folder)
    if all(copy.path.is_dir() for copy in copies):
        return copies
    shown = (child for child in folder.iterdir() if not child.name.startswith("."))
    mixed = any(child.is_dir() or is_image(child) for child in shown)
    return [copy for copy in copies if copy.path.is_dir() or not mixed]


def copy_with(archive: Path) -> Copy | None:
    """The published set that an archive is only a piece of, as img_align_celeba.zip is of CelebA."""
    copies = (copy for copy in copies_in(archive.parent) if archive.name in copy.layout.members)
    return next(copies, None)


def read(folder: Path, columns: Columns) -> Parts:
    """The parts of the set in a folder.

    Raises:
        UserError: several sets, or a file of the set is missing or damaged.
    """
    copies = copies_at(folder)
    if len(copies) > 1:
        names = ", ".join(copy.layout.name for copy in copies)
        raise UserError(
            f"{folder} holds several data sets: pass one of the names {names} with data.root {folder}, or the folder "
            "of one of them"
        )
    return read_copy(copies[0], columns)


def read_copy(copy: Copy, columns: Columns = USUAL) -> Parts:
    """The parts of a copy.

    Raises:
        UserError: a file is missing or damaged.
    """
    if not copy.path.is_dir():
        content = unpacked(copy.path)
        with naming(copy.path, content):
            return of_archive(read_copy(_inside(copy, content), columns), copy.path, content)
    if columns.named and not copy.layout.columns:
        raise columns.refused(f"{copy.path} has no columns")
    return _counted(copy.layout.read(copy.path, columns), copy.layout.sizes)


def folder_of(copy: Copy) -> Path:
    """The folder that holds the files; an archive is unpacked.

    Raises:
        UserError: the archive holds something else.
    """
    return copy.path if copy.path.is_dir() else _inside(copy, unpacked(copy.path)).path


@contextlib.contextmanager
def naming(archive: Path, content: Unpacked) -> Iterator[None]:
    """In error messages, replace the folder in the cache by the archive, because users know only the archive."""
    try:
        yield
    except UserError as error:
        raise UserError(str(error).replace(str(content.folder), str(archive))) from None


def of_archive(parts: Parts, archive: Path, content: Unpacked) -> Parts:
    """The parts of what an archive holds, with the notes on its unpacking."""

    def named(read: Read) -> Source:
        with naming(archive, content):
            source = read()
        return replace(source, notes=(*source.notes, *content.notes))

    return {name: partial(named, read) for name, read in parts.items()}


def _inside(copy: Copy, content: Unpacked) -> Copy:
    """The set in the unpacked archive. Its layout may be another one than the name of the archive says."""
    copies = copies_in(content.folder)
    found = (inside for inside in copies if inside.layout.name == copy.layout.name and inside.path.is_dir())
    inside = next(found, None)
    if inside is None:
        raise UserError(f"{copy.path} does not hold {copy.layout.title}: download it again")
    return inside


def _counted(parts: Parts, sizes: Mapping[str, int]) -> Parts:
    """The same parts; one that has another number of images than the published part gets a note."""

    def counted(read: Read, published: int | None) -> Source:
        source = read()
        if published is None or len(source) == published:
            return source
        note = f"{count_of(len(source), 'image')}, {published:,} were published: not comparable with figures for those"
        return replace(source, notes=(*source.notes, note))

    return {name: partial(counted, read, sizes.get(name)) for name, read in parts.items()}


FORMAT = Format(
    "published",
    "CIFAR, STL-10, SVHN, MNIST and its kin, CelebA, Tiny ImageNet, ImageNet as published",
    read,
    folder=lambda folder: bool(copies_at(folder)),
    columns=True,
)
