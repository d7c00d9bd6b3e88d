"""Data formats: one record in one file each, found by the ending of a file or by what a folder holds.

Another package adds a format by an entry point of the group `deepinfomax.data` that names its `Format`.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from deepinfomax import plugins
from deepinfomax.data.formats import (
    audio,
    csv_list,
    dicom,
    folder,
    hdf5,
    nifti,
    npy,
    npz,
    parquet,
    published,
    tiff,
    time_series,
    webdataset,
    zarr_store,
)
from deepinfomax.data.formats.record import USUAL, Columns, Format
from deepinfomax.data.images import ImageSet, check_kind
from deepinfomax.data.stored import Parts, Read, Source, StoredImages
from deepinfomax.data.unpacking import SUFFIXES, is_archive, unpacked
from deepinfomax.errors import UserError

__all__ = ["USUAL", "Columns", "Format", "all_formats", "format_of", "is_packed_folder", "read_path", "suffixes"]


def _read_archive(archive: Path, columns: Columns) -> Parts:
    """The parts of the folder that is packed in an archive.

    If the archive is only one piece of a published set (as img_align_celeba.zip is), the parts of the whole set.
    """
    whole = published.copy_with(archive)
    if whole is not None:
        return published.read_copy(whole, columns)
    if webdataset.is_shard(archive):
        return webdataset.read_shards(archive, columns)
    single, _, ending = archive.name.rpartition(".")
    files = tuple(suffix for suffix in suffixes() if suffix not in SUFFIXES)
    if ending.lower() == "gz" and single.lower().endswith(files):
        raise UserError(f"{archive} is a single compressed file: unpack it, gunzip {archive.name}, and pass {single}")
    content = unpacked(archive)
    with published.naming(archive, content):
        return published.of_archive(read_path(content.folder, columns), archive, content)


ARCHIVE = Format(
    "archive", "a folder of one of these kinds, packed; it is unpacked once", _read_archive, SUFFIXES, columns=True
)
_BUILTIN = {
    record.name: record
    for record in (
        *(parquet.FILE, npy.FORMAT, npz.FORMAT, csv_list.FORMAT, hdf5.FORMAT, tiff.FORMAT, time_series.FORMAT),
        *(nifti.FILE, dicom.FILE, audio.FILE),
        *(ARCHIVE, published.FORMAT, parquet.FOLDER, zarr_store.FORMAT, webdataset.FOLDER),
        *(nifti.FOLDER, dicom.FOLDER, audio.FOLDER, folder.FORMAT),
    )
}
_REGISTRY = plugins.registry("data", _BUILTIN, lambda name, thing: plugins.no_record(Format, thing))


def all_formats() -> tuple[Format, ...]:
    """The built-in formats and those of plug-ins. The plain folder of images comes last, since it takes any folder."""
    return *(record for record in _REGISTRY.working() if record is not folder.FORMAT), folder.FORMAT


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
    name, records = path.name.lower(), all_formats()
    fitting = [(record, s) for record in records for s in record.suffixes if name.endswith(s) and len(name) > len(s)]
    if not fitting:
        may = f"files must be {', '.join(suffixes())}; for images pass the folder that holds them"
        raise UserError(f"{path}: {may}{_broken()}")
    # The longest ending says most: .nii.gz before .gz. Of two that are the same, the built-in format's comes first.
    return max(fitting, key=lambda pair: len(pair[1]))[0]


def is_packed_folder(path: Path) -> bool:
    """Whether a path is an archive that is unpacked to be read.

    A scan (.nii.gz) ends like one, and a tar shard of samples is one that is read where it lies.
    """
    return is_archive(path) and format_of(path) is ARCHIVE and not webdataset.is_shard(path)


def read_path(path: Path, columns: Columns = USUAL) -> Parts:
    """The parts of a file or folder that exists; nothing is decoded yet.

    Raises:
        UserError: no format reads it, or its format has no columns to be named.
    """
    record = format_of(path)
    if columns.named and not record.columns:
        raise columns.refused(f"{path} has no columns")
    if record is folder.FORMAT:
        try:
            return record.read(path, columns)
        except UserError as error:  # the folder may be one that a broken package would have known
            raise UserError(f"{error}{_broken()}") from None
    parts = record.read(path, columns)
    return parts if record in _BUILTIN.values() else _checked(record, path, parts)


def _broken() -> str:
    """The end of a message about a path that no format reads: which plug-in formats could not be loaded. Or ""."""
    first, *others = _REGISTRY.broken() or [""]
    more = f" (and {len(others)} more formats)" if others else ""
    return f"; the format {first}{more}" if first else ""


def _checked(record: Format, path: Path, parts: Any) -> Parts:
    """The parts that a format of another package gives, each checked when it is read.

    Raises:
        UserError: at once, where they are no functions by name; when one is called, where it gives no images.
    """
    if not isinstance(parts, Mapping) or not all(isinstance(n, str) and callable(f) for n, f in parts.items()):
        gives = "a dictionary {'train': function, ...}, each function without arguments"
        raise UserError(f"{path}: the function that reads the format {record.name!r} must return {gives}")

    def checked(part: str, read: Read) -> Source:
        source = read()
        if not isinstance(source, ImageSet | StoredImages):
            way = "deepinfomax.data.from_array makes one of an array"
            raise UserError(
                f"{path}: the format {record.name!r} gives a {type(source).__name__} as its part {part!r}, but must "
                f"give an ImageSet ({way}) or StoredImages"
            )
        if isinstance(source, ImageSet):
            check_kind(replace(source, name=source.name or str(path)))
        return source

    return {part: partial(checked, part, read) for part, read in parts.items()}
