"""Names of the files in a run folder, and atomic replacement of files: after a kill there is the old or the new file.

A run folder has a journal, `.sums`, with a line "DIGEST NAME" for each file each time it is replaced, written before
the file itself. So damage, or a file of another run, can be detected: see `as_written`. Files that are not in the
journal, as in folders of earlier versions, are accepted.
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
FOLDERS = (CHECKPOINT, "tensorboard")  #: those that training makes
WEIGHTS, DESCRIPTION = "encoder.safetensors", "encoder.json"
EVALUATION = "evaluation.json"
GALLERY, SAMPLE = "gallery.npz", "embeddings_sample.npz"
QUERIES = "queries.npz"  #: the queries of `deepinfomax neighbours --report`
RECONSTRUCTIONS, GENERATED = "reconstructions.npz", "generated.npz"
REPORT = "report.html"
LOCK = ".lock"  #: held while a process trains in the folder
JOURNAL = ".sums"
LINE_SUMS = ".metrics.sums"  #: digests of the lines of metrics.jsonl, see `line_sums`
PARTIAL = "partial"  #: part of the name of an unfinished file

OTHERWISE = "it is not what was written there: damaged, changed by hand, or of another run"
ABANDONED = 600.0  #: an unfinished file that is older, in seconds, belongs to a killed process


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a temporary path to write to; if the block ends without an error, that file replaces `path`.

    The folder is created if necessary. After an error in the block `path` has not changed. The temporary name is random
    and the file is newly created, so that no link placed there is followed.

    Raises:
        OSError: an error of the file system, with the name of `path`.
        UserError: `path` is a pipe or a device such as /dev/null, which must not be replaced by a file.
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
    """Check that a file can be written, before anything is computed. Nothing is created.

    Raises:
        UserError: `file` is a folder, a pipe or a device, or its folder cannot be written.
    """
    if file.is_dir():
        raise UserError(f"--out {file} is a folder: give the name of a file")
    _check_no_device(file)
    _check_writable(file, file.parents)


def check_folder(folder: Path) -> None:
    """Check that a folder can be created or written in, before anything is computed. Nothing is created.

    Raises:
        UserError: `folder` or one of its parents is a file, or the user may not write there.
    """
    _check_writable(folder, (folder, *folder.parents))


def _check_writable(out: Path, folders: Sequence[Path]) -> None:
    """Raises UserError if the first existing path of `folders` is not a folder, or cannot be written in."""
    there = next((place for place in folders if place.exists()), folders[0])
    if not there.is_dir():
        raise UserError(f"--out {out} cannot be written: {there} is a file and no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"--out {out} cannot be written: {there} is not yours to write in")


def check_apart(out: Path, written: Iterable[Path], *read: str | Path | None) -> None:
    """Check that no output file is also an input file.

    Args:
        out: the output as the user gave it.
        written: the files that would be written.
        read: names or paths of data; names that are not files are ignored.

    Raises:
        UserError: one of `written` is one of `read`.
    """
    taken = [Path(one) for one in read if one is not None and Path(one).exists()]
    for file in written:
        if file.exists() and any(file.samefile(one) for one in taken):
            raise UserError(f"--out {out} would replace {file}, which is read: choose another --out")


def begin_journal(folder: Path) -> None:
    """Start a journal in `folder`: from now on it records the files that are written there."""
    (folder / JOURNAL).touch()


def as_written(path: Path, name: str = "") -> bool:
    """Whether a file is undamaged, by its folder's journal; True if the journal does not have it.

    Args:
        name: the name under which it was written, if it has been renamed.
    """
    sums = _journalled(path.parent, name or path.name)
    return not sums or _digest(path) in sums


def is_gone(path: Path) -> bool:
    """Whether a file is in its folder's journal but no longer exists."""
    return not path.exists() and bool(_journalled(path.parent, path.name))


def remove_abandoned(folder: Path) -> None:
    """Delete unfinished files of killed processes in a folder."""
    for file in folder.glob(f".*.{PARTIAL}*"):
        with suppress(OSError):
            if time.time() - file.stat().st_mtime > ABANDONED:
                file.unlink()


def check_plain(folder: Path) -> None:
    """Check that a run folder has no pipe or device, which could block for ever when opened.

    Raises:
        UserError: there is one; the message names it.
    """
    for place in (folder, folder / CHECKPOINT):
        for path in sorted(place.iterdir()) if place.is_dir() else ():
            with suppress(OSError):
                kind = path.stat().st_mode
                if stat.S_ISFIFO(kind) or stat.S_ISCHR(kind) or stat.S_ISBLK(kind):
                    raise UserError(f"{path} is a pipe or a device, and no file: move it away")


def is_leftover(path: Path) -> bool:
    """Whether a file is a lock, a journal, or an unfinished file of a killed process, and so not a user's file."""
    return path.name in (LOCK, JOURNAL, LINE_SUMS) or (path.name.startswith(".") and f".{PARTIAL}" in path.name)


#: control characters, which can rewrite what a terminal shows
_ESCAPED = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}


def plain(text: str) -> str:
    """A text that can be printed safely: control characters as \\x.., except ends of lines and tabs."""
    return text.translate({code: escaped for code, escaped in _ESCAPED.items() if chr(code) not in "\n\t"})


def printable(name: str | Path) -> str:
    """A path as text that can be printed and stored: bytes that are not UTF-8 and control characters as \\x.."""
    return os.fsencode(name).decode("utf-8", "backslashreplace").translate(_ESCAPED)


def _check_no_device(path: Path) -> None:
    if path.exists() and not path.is_file() and not path.is_dir():
        raise UserError(f"{path} is a pipe or a device, and no file: give another name to write to")


def _journalled(folder: Path, name: str) -> set[str]:
    """All digests in the folder's journal for this name."""
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
