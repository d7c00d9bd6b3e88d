"""Decoded once: a source's pixels as one memory-mapped array in a folder named after the source's content."""

import hashlib
import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from deepinfomax.data.decoding import broken, common_shape, conversions, decode, survey, unreadable
from deepinfomax.data.encoded import Encoded
from deepinfomax.data.images import ImageSet
from deepinfomax.errors import UserError

WRITING = ".writing-"  #: name of an entry that is not finished
VERSION = 3  #: raise it when decoding changes, and nothing old is read again


def cache_folder(cache_dir: str | Path | None = None) -> Path:
    """Where decoded images are kept: `cache_dir`, else DEEPINFOMAX_CACHE, else ~/.cache/deepinfomax."""
    chosen = cache_dir or os.environ.get("DEEPINFOMAX_CACHE")
    try:
        return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "deepinfomax"
    except RuntimeError as error:  # nobody of that name, or no home
        raise UserError(f"decoded images cannot be kept in {chosen or '~'} ({error}): set DEEPINFOMAX_CACHE") from None


def key(source: Encoded, size: int | None, channels: int | None, skip_bad: bool) -> str:
    """Name of the cache entry: everything that the decoded pixels, labels and notes depend on."""
    digest = hashlib.sha256(source.index.tobytes())
    digest.update(b"no labels" if source.labels is None else source.labels.tobytes())
    text = json.dumps([VERSION, source.identity, source.classes, source.notes, size, channels, skip_bad])
    digest.update(text.encode())
    return digest.hexdigest()[:24]


def decoded(
    source: Encoded,
    size: int | None = None,
    channels: int | None = None,
    skip_bad: bool = False,
    cache_dir: str | Path | None = None,
) -> ImageSet:
    """The decoded images of a source, memory-mapped; decoded on the first call only.

    An entry appears whole or not at all: it is written under a temporary name and renamed. Of two processes that
    decode the same source at once, the second finds the first one's entry and drops its own.

    Raises:
        UserError: images that cannot be read (unless `skip_bad`), images of several sizes (unless `size`), no space.
    """
    base = cache_folder(cache_dir)
    entry = base / key(source, size, channels, skip_bad)
    kept = _read(entry, source.name)
    if kept is None:
        try:
            base.mkdir(parents=True, exist_ok=True)
            _remove_abandoned(base)
            temporary = Path(tempfile.mkdtemp(prefix=WRITING, dir=base))
        except OSError as error:
            raise UserError(
                f"decoded images cannot be kept in {base} ({error.strerror}): set DEEPINFOMAX_CACHE"
            ) from None
        try:
            _write(temporary, source, size, channels, skip_bad)
            try:
                temporary.rename(entry)
            except OSError:
                kept = _read(entry, source.name)  # another process was faster
                if kept is None:
                    raise
        except OSError as error:
            raise UserError(
                f"decoded images cannot be kept in {base} ({error.strerror}): set DEEPINFOMAX_CACHE"
            ) from None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    if kept is None:
        kept = _read(entry, source.name)
    if kept is None:
        raise UserError(f"decoded images in {entry} cannot be read again: set DEEPINFOMAX_CACHE to another disk")
    return kept


def _write(folder: Path, source: Encoded, size: int | None, channels: int | None, skip_bad: bool) -> None:
    if not len(source):
        raise UserError(f"{source.name} holds no images")
    found = survey(source)
    if found.bad and not (skip_bad and found.readable):
        raise UserError(_stopped(source, broken(source, found)))
    shape = common_shape(source, found, size, channels)
    bad = dict(found.bad)
    _need(folder, (len(source) - len(bad)) * shape[0] * shape[1] * shape[2])
    images = np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, (len(source) - len(bad), *shape))
    count = decode(source, found, shape, images, bad)
    images.flush()
    if bad and not (skip_bad and count):
        raise UserError(_stopped(source, bad))
    if count < len(images):
        _shorten(folder / "images.npy", count)
    notes = [*source.notes, *conversions(found, shape[0])]
    if bad:
        notes.append(f"{unreadable(source, bad)}: left out")
    if source.labels is not None:
        kept = np.setdiff1d(np.arange(len(source)), list(bad))
        np.save(folder / "labels.npy", source.labels[kept])
    meta = {"version": VERSION, "source": source.name, "classes": source.classes, "notes": notes}
    meta["left_out"] = sorted(bad)
    meta["sizes"] = {f"{width}x{height}": n for (width, height), n in found.sizes.most_common(20)}
    (folder / "meta.json").write_text(json.dumps(meta, indent=1))


def _need(folder: Path, size: int) -> None:
    """Refuse in time: a memory map on a disk that fills up ends the process without a word."""
    free = shutil.disk_usage(folder).free
    if size > free:
        room = f"decoded images take {size / 1e9:.1f} GB, {folder.parent} has {free / 1e9:.1f} GB free"
        raise UserError(f"{room}: set DEEPINFOMAX_CACHE to a larger disk, or pass a smaller size")


def _remove_abandoned(base: Path) -> None:
    """Remove what processes that were killed left half written, a day later."""
    for folder in base.glob(f"{WRITING}*"):
        if time.time() - folder.stat().st_mtime > 24 * 3600:
            shutil.rmtree(folder, ignore_errors=True)


def _shorten(file: Path, count: int) -> None:
    """Keep the first `count` rows of a .npy file."""
    rows = np.load(file, mmap_mode="r")
    short = np.lib.format.open_memmap(file.with_suffix(".short"), "w+", rows.dtype, (count, *rows.shape[1:]))
    short[:] = rows[:count]
    short.flush()
    file.with_suffix(".short").replace(file)


def _read(entry: Path, name: str) -> ImageSet | None:
    """An entry, or None where there is none; one that is damaged is removed."""
    if not entry.is_dir():
        return None
    try:
        meta: dict[str, Any] = json.loads((entry / "meta.json").read_text())
        labels = np.load(entry / "labels.npy") if (entry / "labels.npy").is_file() else None
        images = np.load(entry / "images.npy", mmap_mode="r")
        notes, left_out = tuple(meta["notes"]), tuple(meta["left_out"])
        if labels is not None and len(labels) != len(images):
            raise ValueError("another number of labels than images")
        return ImageSet(images, labels, tuple(meta["classes"]), name=name, notes=notes, left_out=left_out)
    except (FileNotFoundError, ValueError, EOFError, LookupError, TypeError):
        shutil.rmtree(entry, ignore_errors=True)
        return None


def _stopped(source: Encoded, bad: dict[int, str]) -> str:
    mend = "" if len(bad) == len(source) else "; set data.skip_bad true to leave them out"
    return f"{source.name}: {unreadable(source, bad)}{mend}"
