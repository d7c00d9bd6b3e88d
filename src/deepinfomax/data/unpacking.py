"""Archives: unpacked once, into a folder of the cache, where later calls find them.

An archive may be from an untrusted source. Only regular files and folders are written, only inside the archive's own
folder, and only if there is enough space on the disk. The folder is written under a temporary name, by one process at a
time, and then renamed, so there is never an incomplete one.
"""

import contextlib
import glob
import gzip
import hashlib
import json
import os
import re
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar, cast

from filelock import FileLock

from deepinfomax import progress
from deepinfomax.data.cache import cache_folder
from deepinfomax.data.parts import PART_OF
from deepinfomax.data.stored import printable, stamp
from deepinfomax.errors import UserError, agreed, count_of

T = TypeVar("T")

SUFFIXES = (".zip", ".tar", ".tgz", ".gz")
MANIFEST = ".unpacked.json"  #: how many files and bytes were written, and what was left out
BLOCK = 2**20  #: bytes that are copied at a time
WORTH_A_BAR = 20 * 2**20  #: bytes of an archive
#: an archive inside of ILSVRC2012_img_train.tar: one class. It is unpacked on the way, into a folder of its name
SYNSET_TAR = re.compile(r"(?:.*/)?n\d{8}\.tar")
#: what Finder and Windows add
CLUTTER = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")
#: what damaged archives raise
DAMAGE = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, EOFError, zlib.error, struct.error)


@dataclass(frozen=True)
class Unpacked:
    """What an archive held."""

    folder: Path  #: all of it, or the only folder that it holds
    notes: tuple[str, ...]  #: what was left out, one line each


@dataclass(frozen=True)
class Member:
    """A file in an archive. `content` can be read until the next member is asked for; None for links and devices."""

    name: str
    size: int
    content: IO[bytes] | None


def is_archive(path: Path) -> bool:
    """Whether a path is called like an archive and is a file."""
    return path.suffix.lower() in SUFFIXES and path.is_file()


def is_gzip(file: Path) -> bool:
    """Whether a file begins like one that gzip has compressed."""
    with file.open("rb") as opened:
        return opened.read(2) == b"\x1f\x8b"


def unpacked(archive: Path) -> Unpacked:
    """The folder with the contents of an archive, which is unpacked if necessary.

    If the archive has changed since, it is unpacked again, and the old contents are removed.

    Raises:
        UserError: it is not an archive, is damaged, has files outside of its folder, or is too large for the disk.
    """
    base = cache_folder() / "unpacked"
    path_hash, stamp_hash = (
        hashlib.sha256(text).hexdigest()[:8] for text in (os.fsencode(archive.resolve()), stamp(archive.resolve()))
    )
    name = f"{printable(archive.name)[:40]}-{path_hash}"
    folder = base / f"{name}-{stamp_hash}"
    notes = _notes_of(folder)
    if notes is None:
        try:
            base.mkdir(parents=True, exist_ok=True)
            with FileLock(base / f".{name}.lock"):
                notes = _notes_of(folder)  # another process may have been faster
                if notes is None:
                    notes = _unpack(archive, folder, base / f".{name}.partial")
                    for other in base.glob(f"{glob.escape(name)}-*"):
                        if other != folder:
                            shutil.rmtree(other, ignore_errors=True)
        except OSError as error:
            reason = error.strerror or str(error)
            raise UserError(
                f"{archive} cannot be unpacked into {base} ({reason}): set DEEPINFOMAX_CACHE, or unpack it yourself "
                "and pass the folder"
            ) from None
    return Unpacked(_only_folder(folder), notes)


def _unpack(archive: Path, folder: Path, partial: Path) -> tuple[str, ...]:
    """Write `folder`; `partial` is its name until it is whole, and what a killed process left there is removed."""
    for left in (partial, folder):
        shutil.rmtree(left, ignore_errors=True)
    partial.mkdir()
    try:
        _check_room(_size_unpacked(archive), partial, archive)
        links: list[str] = []
        with contextlib.ExitStack() as stack:
            if archive.stat().st_size >= WORTH_A_BAR:
                stack.enter_context(progress.shown(f"unpacking {printable(archive.name)}"))
            members = _members(archive, _teller(archive.stat().st_size))
            stack.enter_context(contextlib.closing(members))
            while (member := _undamaged(archive, lambda: next(members, None))) is not None:
                target = _place_of(member.name, partial, archive)
                if target is None:
                    continue
                if member.content is None:
                    links.append(member.name)
                    continue
                _check_room(member.size, partial, archive)
                _copy(member, target, archive)
        notes: tuple[str, ...] = ()
        if links:
            more = f"{count_of(len(links), 'link or device', 'links or devices')} in {printable(archive.name)}"
            notes = (f"{more} {agreed(len(links), 'is', 'are')} left out, first: {printable(links[0])}",)
        files, size = _contents(partial)
        if not files:
            raise UserError(f"{archive} holds no files: it is empty; pack it again, or give another")
        (partial / MANIFEST).write_text(json.dumps({"files": files, "bytes": size, "notes": notes}))
        partial.rename(folder)
        return notes
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _notes_of(folder: Path) -> tuple[str, ...] | None:
    """The notes of an unpacked archive; None if it is not there, or not as it was written.

    Programs that tidy up remove old files out of caches; a power cut leaves empty ones.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        if _contents(folder) == (manifest["files"], manifest["bytes"]):
            return tuple(manifest["notes"])
    except (OSError, ValueError, LookupError, TypeError):
        pass
    return None


def _contents(folder: Path) -> tuple[int, int]:
    """How many files are in a folder and below, and their bytes; the manifest is not counted."""
    files = size = 0
    waiting = [os.fspath(folder)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif entry.name != MANIFEST:
                    files, size = files + 1, size + entry.stat(follow_symlinks=False).st_size
    return files, size


def _only_folder(folder: Path) -> Path:
    """The folder that an archive holds where it holds nothing else, so that pictures.zip is read as pictures/ is."""
    inside = [child for child in folder.iterdir() if child.name != MANIFEST]
    alone = len(inside) == 1 and inside[0].is_dir() and inside[0].name.lower() not in PART_OF
    return inside[0] if alone else folder


def _members(archive: Path, tell: Callable[[int], None]) -> Generator[Member, None, None]:
    """The files of an archive in its own order, read from its beginning to its end; `tell` takes how many bytes were.

    Raises:
        UserError: it is no archive.
    """
    if zipfile.is_zipfile(archive):
        yield from _zip_members(archive, tell)
        return
    if not tarfile.is_tarfile(archive):
        raise UserError(
            f"{archive} is damaged, or neither a .zip nor a .tar archive: download it again, or unpack it yourself and "
            "pass what it holds"
        )
    with archive.open("rb") as file:
        if is_gzip(archive):
            with gzip.GzipFile(fileobj=file) as stream:
                yield from _tar_members(cast(IO[bytes], stream), lambda: tell(file.tell()))
                while stream.read(BLOCK):  # its checksum stands at its end
                    pass
        else:
            yield from _tar_members(file, lambda: tell(file.tell()))


def _zip_members(archive: Path, tell: Callable[[int], None]) -> Iterator[Member]:
    done = 0
    with zipfile.ZipFile(archive) as content:
        for info in content.infolist():
            tell(done)
            done += info.compress_size
            # Some programs of Windows write its own separators, which the format forbids.
            name = info.filename.replace("\\", "/")
            kind = stat.S_IFMT(info.external_attr >> 16)
            if name.endswith("/") or kind == stat.S_IFDIR:
                continue
            if kind not in (0, stat.S_IFREG):
                yield Member(name, 0, None)
                continue
            try:
                with content.open(info) as file:
                    yield Member(name, info.file_size, file)
            except (RuntimeError, NotImplementedError) as error:  # a password, or a rare kind of compression
                raise UserError(
                    f"{archive} cannot be unpacked here ({error}): unpack it yourself and pass the folder"
                ) from None


class _StrictHeader(tarfile.TarInfo):
    """A header of a tar archive. tarfile takes a damaged or missing one for the end; here it is an error."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> "_StrictHeader":
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # the block of zeros that marks the end
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from None


def _tar_members(stream: IO[bytes], tell: Callable[[], None], folder: str = "") -> Iterator[Member]:
    """The files of a tar archive that is read as a stream; `folder` goes before their names."""
    with tarfile.open(fileobj=stream, mode="r|", bufsize=BLOCK, tarinfo=_StrictHeader) as content:
        while (info := content.next()) is not None:
            content.members = []  # type: ignore[attr-defined]  # which keeps every header, a gigabyte of ImageNet's
            tell()
            name = folder + info.name
            if info.isdir():
                continue
            file = content.extractfile(info) if info.isreg() else None
            if file is not None and SYNSET_TAR.fullmatch(info.name):
                yield from _tar_members(file, tell, name.removesuffix(".tar") + "/")
            else:
                yield Member(name, info.size, file)


def _place_of(name: str, folder: Path, archive: Path) -> Path | None:
    """Where a member is written; None if it is left out.

    Raises:
        UserError: outside of the folder.
    """
    path = Path(name)
    if path.is_absolute() or path.drive or ".." in path.parts:
        raise UserError(
            f"{archive} holds {printable(name)}, a path outside of its folder: it is not unpacked; unpack it yourself "
            "where you trust it, and pass the folder"
        )
    if not path.parts or path.parts[0] in CLUTTER or path.name in (*CLUTTER, MANIFEST) or path.name.startswith("._"):
        return None
    return folder / path


def _copy(member: Member, target: Path, archive: Path) -> None:
    assert member.content is not None
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with target.open("wb") as file:
        content = member.content
        while block := _undamaged(archive, lambda: content.read(BLOCK)):
            written += file.write(block)
    if written != member.size:
        raise _damaged(archive, f"{printable(member.name)} has {written:,} of {member.size:,} bytes")


def _undamaged(archive: Path, read: Callable[[], T]) -> T:
    try:
        return read()
    except DAMAGE as error:
        raise _damaged(archive, str(error) or type(error).__name__) from None


def _damaged(archive: Path, reason: str) -> UserError:
    return UserError(f"{archive} is damaged or not complete ({' '.join(reason.split())}): download it again")


def _size_unpacked(archive: Path) -> int:
    """Bytes that an archive takes at least when it is unpacked, as far as that is known without reading all of it."""
    packed = archive.stat().st_size
    if zipfile.is_zipfile(archive):
        with contextlib.suppress(*DAMAGE), zipfile.ZipFile(archive) as content:
            return sum(info.file_size for info in content.infolist())
        return packed
    if not is_gzip(archive) or packed < 4:
        return packed
    with archive.open("rb") as file:
        file.seek(-4, os.SEEK_END)
        size = int.from_bytes(file.read(4), "little")  # modulo 4 GiB
    while size < 0.99 * packed:  # what cannot be compressed grows a little
        size += 2**32
    return size


def _check_room(size: int, folder: Path, archive: Path) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise UserError(
            f"{archive} takes {size / 1e9:.1f} GB unpacked, {folder.parent} has {free / 1e9:.1f} GB free: set "
            "DEEPINFOMAX_CACHE to a larger disk, or unpack it yourself and pass the folder"
        )


def _teller(total: int) -> Callable[[int], None]:
    """Takes how many of `total` bytes are read, and tells whoever watches in megabytes."""
    megabytes = progress.counted(max(1, total >> 20), "MB")
    told = 0

    def tell(done: int) -> None:
        nonlocal told
        for _ in range(told, min(done, total) >> 20):
            next(megabytes, None)
        told = max(told, done >> 20)

    return tell
