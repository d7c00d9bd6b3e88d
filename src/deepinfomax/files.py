"""The files of a run folder by name, and how any file is replaced: a kill at any moment leaves the old or the new.

A run folder keeps a journal of what was written in it: `.sums`, a line "DIGEST NAME" for each file each time it is
replaced, written before the file is. So a flipped bit, a lost block or a file of another run is told from what was
written: see `as_written`. A file that the journal does not know, as in folders of earlier versions, is taken as it is.
"""

import hashlib
import os
import secrets
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from deepinfomax.errors import UserError

CONFIG = "config.toml"
METRICS = "metrics.jsonl"
CHECKPOINT = "checkpoint"
WEIGHTS, DESCRIPTION = "encoder.safetensors", "encoder.json"
EVALUATION = "evaluation.json"
GALLERY, SAMPLE = "gallery.npz", "embeddings_sample.npz"
QUERIES = "queries.npz"  #: images somebody asked the neighbours of, for the report
RECONSTRUCTIONS, GENERATED = "reconstructions.npz", "generated.npz"
REPORT = "report.html"
LOCK = ".lock"  #: held while a process trains in the folder
JOURNAL = ".sums"
LINE_SUMS = ".metrics.sums"  #: of the lines of metrics.jsonl, see `line_sums`
PARTIAL = "partial"  #: in the name of a file that is not finished

OTHERWISE = "it is not what was written there: damaged, changed by hand, or of another run"
ABANDONED = 600.0  #: seconds after which an unfinished file is a killed process's


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to in place of `path`; what was written takes the place of `path` when the block ends well.

    The folder is made if there is none. After an error in the block `path` is as it was. The name of the unfinished
    file is drawn at random and the file is made by no other, so that no link that waits there is followed.

    Raises:
        OSError: of the file system, with the name of `path`.
        UserError: `path` is a pipe or a device such as /dev/null, whose place a file would take.
    """
    _check_no_device(path)
    partial = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.{PARTIAL}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())  # else a power cut may leave the new name on an empty file
        if (path.parent / JOURNAL).is_file():
            _enter(path, _digest(partial))
        partial.replace(path)
    except OSError as error:
        unnamed = error.errno is not None and error.filename is None
        named = (error.filename, error.filename2)  # of a copy: from where, and to where
        if unnamed or any(
            isinstance(name, str | bytes | os.PathLike) and Path(os.fsdecode(name)) == partial for name in named
        ):
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        with suppress(OSError):
            partial.unlink()


def write_text(path: Path, text: str) -> None:
    """Replace the file by `text` in UTF-8."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def check_place(file: Path) -> None:
    """Refuse a file that cannot be written where it is asked for, before anything is computed; nothing is made.

    Raises:
        UserError: it is a folder, a pipe or a device, or the folder that it would be in cannot hold it.
    """
    if file.is_dir():
        raise UserError(f"--out {file} is a folder: give the name of a file")
    _check_no_device(file)
    _check_writable(file, file.parents)


def check_folder(folder: Path) -> None:
    """Refuse a folder that cannot be made or written in, before anything is computed; nothing is made.

    Raises:
        UserError: it is a file, lies in one, or is not the user's to write in.
    """
    _check_writable(folder, (folder, *folder.parents))


def _check_writable(out: Path, folders: Sequence[Path]) -> None:
    """The first of the folders that is there is one, and can be written in."""
    there = next((place for place in folders if place.exists()), folders[0])
    if not there.is_dir():
        raise UserError(f"--out {out} cannot be written: {there} is a file and no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"--out {out} cannot be written: {there} is not yours to write in")


def check_apart(out: Path, written: Iterable[Path], *read: str | Path | None) -> None:
    """Refuse to write over what is read.

    Args:
        out: as it was asked for.
        written: the files that come of it.
        read: names or paths of data; what is no file is left alone.

    Raises:
        UserError: one of `written` is one of `read`.
    """
    taken = [Path(one) for one in read if one is not None and Path(one).exists()]
    for file in written:
        if file.exists() and any(file.samefile(one) for one in taken):
            raise UserError(f"--out {out} would replace {file}, which is read: choose another --out")


def begin_journal(folder: Path) -> None:
    """From now on `folder` keeps a journal of what is written in it."""
    (folder / JOURNAL).touch()


def as_written(path: Path, name: str = "") -> bool:
    """Whether a file is what was once written under its name; True where its folder's journal does not know it.

    Args:
        name: under which it was written, where it has another one now.
    """
    sums = _journalled(path.parent, name or path.name)
    return not sums or _digest(path) in sums


def is_gone(path: Path) -> bool:
    """Whether a file was written once, as its folder's journal knows, and is there no more."""
    return not path.exists() and bool(_journalled(path.parent, path.name))


def remove_abandoned(folder: Path) -> None:
    """Delete what processes that were killed left unfinished in a folder."""
    for file in folder.glob(f".*.{PARTIAL}*"):
        with suppress(OSError):
            if time.time() - file.stat().st_mtime > ABANDONED:
                file.unlink()


def check_plain(folder: Path) -> None:
    """Refuse a run folder in which something is a pipe or a device: to open one may wait for ever.

    Raises:
        UserError: the line names the first of them.
    """
    for place in (folder, folder / CHECKPOINT):
        for path in sorted(place.iterdir()) if place.is_dir() else ():
            with suppress(OSError):
                kind = path.stat().st_mode
                if stat.S_ISFIFO(kind) or stat.S_ISCHR(kind) or stat.S_ISBLK(kind):
                    raise UserError(f"{path} is a pipe or a device, and no file: move it away")


def is_leftover(path: Path) -> bool:
    """Whether a file is none of a user's: a lock, a journal, or what a killed process left unfinished."""
    return path.name in (LOCK, JOURNAL, LINE_SUMS) or (path.name.startswith(".") and f".{PARTIAL}" in path.name)


#: control characters, which can rewrite what a terminal shows
_ESCAPED = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}


def plain(text: str) -> str:
    """A text of several lines as it can be printed: control characters as \\x.., but for ends of lines and tabs."""
    return text.translate({code: escaped for code, escaped in _ESCAPED.items() if chr(code) not in "\n\t"})


def printable(name: str | Path) -> str:
    """A path as text that can be printed and stored: bytes that are not UTF-8 and control characters as \\x.."""
    return os.fsencode(name).decode("utf-8", "backslashreplace").translate(_ESCAPED)


def _check_no_device(path: Path) -> None:
    if path.exists() and not path.is_file() and not path.is_dir():
        raise UserError(f"{path} is a pipe or a device, and no file: give another name to write to")


def _journalled(folder: Path, name: str) -> set[str]:
    """The digests of all that was written under a name, as far as the journal of the folder knows."""
    try:
        lines = (folder / JOURNAL).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return set()
    entries = (line.split(" ", 1) for line in lines if " " in line)
    return {digest for digest, written in entries if written == name}


def _enter(path: Path, digest: str) -> None:
    # In one write at the end of the file, so that several processes may do it at once.
    journal = os.open(path.parent / JOURNAL, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(journal, f"{digest} {path.name}\n".encode())
        os.fsync(journal)
    finally:
        os.close(journal)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
