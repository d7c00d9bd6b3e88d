"""Data formats: one record in one file each, found by the ending of a file or by what a folder holds.

Another package adds a format by an entry point of the group `deepinfomax.data` that names its `Format`.
"""

from pathlib import Path

from deepinfomax import plugins
from deepinfomax.data.formats import csv_list, folder, npy, npz, parquet, published
from deepinfomax.data.formats.record import USUAL, Columns, Format
from deepinfomax.data.stored import Parts
from deepinfomax.data.unpacking import SUFFIXES, unpacked
from deepinfomax.errors import UserError

__all__ = ["USUAL", "Columns", "Format", "all_formats", "format_of", "read_path", "suffixes"]


def _read_archive(archive: Path, columns: Columns) -> Parts:
    """The parts of what an archive holds, or of the published set that it is a piece of."""
    whole = published.copy_with(archive)
    if whole is not None:
        return published.read_copy(whole, columns)
    content = unpacked(archive)
    with published.naming(archive, content):
        return published.of_archive(read_path(content.folder, columns), archive, content)


ARCHIVE = Format(
    "archive", "a folder of one of these kinds, packed; it is unpacked once", _read_archive, SUFFIXES, columns=True
)
_BUILTIN = {
    record.name: record
    for record in (
        *(parquet.FILE, npy.FORMAT, npz.FORMAT, csv_list.FORMAT),
        *(ARCHIVE, published.FORMAT, parquet.FOLDER, folder.FORMAT),
    )
}
_REGISTRY = plugins.registry("data", _BUILTIN)


def all_formats() -> tuple[Format, ...]:
    """The built-in formats and those of plug-ins; the plain folder of images, which every folder is, comes last."""
    return *(record for record in _REGISTRY.working() if record.name != folder.FORMAT.name), folder.FORMAT


def suffixes() -> tuple[str, ...]:
    """Endings of all files that can be read."""
    return tuple(dict.fromkeys(suffix for record in all_formats() for suffix in record.suffixes))


def format_of(path: Path) -> Format:
    """The format of a file or folder that exists.

    Raises:
        UserError: no format reads it.
    """
    if path.is_dir():
        return next(record for record in all_formats() if record.folder is not None and record.folder(path))
    suffix = path.suffix.lower()
    for record in all_formats():
        if suffix in record.suffixes:
            return record
    raise UserError(f"{path}: files must be {', '.join(suffixes())}; for images pass the folder that holds them")


def read_path(path: Path, columns: Columns = USUAL) -> Parts:
    """The parts of a file or folder that exists; nothing is decoded yet.

    Raises:
        UserError: no format reads it, or its format has no columns to be named.
    """
    record = format_of(path)
    if columns != USUAL and not record.columns:
        raise UserError(f"{path} has no columns; data.image and data.label name the columns of a table")
    return record.read(path, columns)
