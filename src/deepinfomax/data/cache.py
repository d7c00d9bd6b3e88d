"""The cache of decoded images: one memory-mapped array per source, in a folder named by the source's content."""

import contextlib
import getpass
import hashlib
import io
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from filelock import FileLock, Timeout

from deepinfomax import progress
from deepinfomax.data.blocks import (
    JOURNAL,
    VERSION,
    begun,
    decode,
    files_of_blocks,
    journal_of,
    rows_of_a_block,
)
from deepinfomax.data.decoding import broken, common_shape, conversions, survey, unreadable
from deepinfomax.data.fingerprint import DigestedImages, pixel_digest
from deepinfomax.data.images import CHUNK, ImageSet
from deepinfomax.data.opening import MAX_PIXELS
from deepinfomax.data.stored import StoredImages
from deepinfomax.errors import UserError

META = "meta.json"
IMAGES = "images.npy"
WRITING = ".writing-"  #: the name of an unfinished entry begins with this
UNLOCKED = "unlocked-"  #: follows it in the name of an entry that other processes may be writing too
WORTH_SAYING = 2**28  #: if an entry needs more bytes, that is announced before it is made
DAY = 24 * 3600  #: seconds


class BrokenImages(UserError):
    """Some images cannot be read. The others were decoded, and their pixels are kept until these are fixed."""


def cache_folder(cache_dir: str | Path | None = None) -> Path:
    """Where decoded images are kept: `cache_dir`, else DEEPINFOMAX_CACHE, else ~/.cache/deepinfomax."""
    chosen = cache_dir or os.environ.get("DEEPINFOMAX_CACHE")
    try:
        return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "deepinfomax"
    except RuntimeError as error:  # there is no such user, or no home
        raise UserError(f"decoded images cannot be kept in {chosen or '~'} ({error}): set DEEPINFOMAX_CACHE") from None


def key(source: StoredImages, size: int | None, channels: int | None, skip_bad: bool, max_pixels: int) -> str:
    """Name of the cache entry: everything that the decoded pixels, labels and notes depend on."""
    digest = hashlib.sha256(source.index.tobytes())
    digest.update(b"no labels" if source.labels is None else source.labels.tobytes())
    settings = [VERSION, source.identified(), source.classes, source.notes, size, channels, skip_bad, max_pixels]
    digest.update(json.dumps(settings).encode())
    return digest.hexdigest()[:24]


def decoded(
    source: StoredImages,
    size: int | None = None,
    channels: int | None = None,
    skip_bad: bool = False,
    max_pixels: int = MAX_PIXELS,
    cache_dir: str | Path | None = None,
) -> ImageSet:
    """The decoded images of a source, memory-mapped; decoded on the first call only.

    An entry is written under a temporary name and then renamed, so there is never an incomplete one. If a process is
    killed or finds a broken image, its finished blocks stay under the temporary name, and the next call goes on from
    them (also with `skip_bad`, or after the image was replaced or removed): a block is valid as long as its files have
    not changed. If several processes need an entry at the same time, one decodes and the others wait. A damaged entry
    is decoded again.

    Raises:
        UserError: images that cannot be read (unless `skip_bad`), images of several sizes (unless `size`), no space.
    """
    name = key(source, size, channels, skip_bad, max_pixels)
    return through_cache(
        name, source, lambda folder: _write(folder, source, size, channels, skip_bad, max_pixels), cache_dir
    )


def through_cache(
    name: str, source: StoredImages, write: Callable[[Path], None], cache_dir: str | Path | None
) -> ImageSet:
    """The entry with this name; if there is none, `write` is called to fill its folder.

    Raises:
        UserError: in the cases of `write`; or the cache cannot be written or read.
    """
    base = cache_folder(cache_dir)
    entry = base / name
    try:
        images = _read(entry, source.name)
    except PermissionError:  # of another user, who shares the cache but not its entries
        entry = entry.with_name(f"{entry.name}-{getpass.getuser()}")
        images = _read(entry, source.name)
    if images is not None:
        return images
    try:
        base.mkdir(parents=True, exist_ok=True)
        with _decoding_alone(base / f".{entry.name}.lock", source.name) as alone:
            images = _read(entry, source.name)
            if images is not None:  # another process has decoded it in the meantime
                return images
            _remove_abandoned(base)
            temporary = _begun(base / f"{WRITING}{entry.name}") if alone else None
            temporary = temporary or Path(tempfile.mkdtemp(prefix=WRITING + UNLOCKED, dir=base))
            try:
                write(temporary)
                temporary.chmod(base.stat().st_mode & 0o755)  # whoever may read the cache may read its entries
                with contextlib.suppress(OSError):  # another machine, on a disk that has no locks, was faster
                    temporary.rename(entry)
                    (entry / JOURNAL).unlink(missing_ok=True)  # last, so that a kill before it costs no block
                images = _read(entry, source.name)
            except KeyboardInterrupt as stop:
                if begun(temporary) and alone:
                    raise KeyboardInterrupt("stopped; what was decoded is kept: run it again, it goes on") from stop
                shutil.rmtree(temporary, ignore_errors=True)
                raise
            except BrokenImages:
                if not alone:
                    shutil.rmtree(temporary, ignore_errors=True)
                raise
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise UserError(f"decoded images cannot be kept in {base} ({error.strerror}): set DEEPINFOMAX_CACHE") from None
    if images is None:
        raise UserError(f"decoded images in {entry} cannot be read again: set DEEPINFOMAX_CACHE to another disk")
    return images


@contextlib.contextmanager
def _decoding_alone(file: Path, name: str) -> Iterator[bool]:
    """Lock an entry within the block. Gives whether that was possible.

    If it is not possible, two processes may decode the same entry, one of them in vain.
    """
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        with progress.shown(f"another process decodes {name}: waiting for it"):
            lock.acquire()
    except PermissionError:  # what another user's process left when it was killed
        pass
    try:
        yield lock.is_locked
    finally:
        if lock.is_locked:
            lock.release()
            file.unlink(missing_ok=True)


def _write(
    folder: Path, source: StoredImages, size: int | None, channels: int | None, skip_bad: bool, max_pixels: int
) -> None:
    if not len(source):
        raise UserError(f"{source.name} holds no images")
    headers = survey(source, max_pixels)
    if headers.bad and not headers.readable:
        raise UserError(stopped(source, headers.bad))
    try:
        shape = common_shape(source, headers, size, channels)
    except UserError:  # they cannot be decoded
        if headers.bad and not skip_bad:
            raise UserError(stopped(source, broken(source, headers, max_pixels))) from None
        raise
    bad = dict(headers.bad)
    rows = (len(source) - len(bad), *shape)
    file = folder / IMAGES
    if not begun(folder):
        _take_over(folder, source, shape, bad, max_pixels)
    if not (begun(folder) and _with_rows(file, rows)):
        need(folder, int(np.prod(rows)))
        (folder / JOURNAL).unlink(missing_ok=True)
        allocated(file, rows)
    filled = decode(source, headers, shape, file, bad, max_pixels)
    if bad and not (skip_bad and filled.any()):
        raise BrokenImages(stopped(source, bad))
    images = np.load(file, mmap_mode="r") if filled.all() else kept_rows(file, filled)
    sizes = {f"{width}x{height}": n for (width, height), n in headers.sizes.most_common(20)}
    write_facts(folder, source, images, bad, conversions(headers, shape[0]), {"sizes": sizes})


def _take_over(
    folder: Path, source: StoredImages, shape: tuple[int, int, int], bad: Mapping[int, str], max_pixels: int
) -> None:
    """Move the finished blocks of another unfinished entry, decoded from the same files, into this folder.

    Such an entry is of the same images with other labels, without `skip_bad`, or before some of them were fixed.
    """
    best, most = None, 0
    left = [*folder.parent.glob(f"{WRITING}*/{JOURNAL}")]
    files = files_of_blocks(source, bad, rows_of_a_block(int(np.prod(shape)))) if left else []
    for other in (journal.parent for journal in left):
        if other.name.startswith(WRITING + UNLOCKED):
            continue
        blocks = journal_of(other, shape, max_pixels).read()
        usable = sum(number < len(files) and block.files == files[number] for number, block in blocks.items())
        if usable > most:
            best, most = other, usable
    if best is None:
        return
    lock = FileLock(best.with_name(f".{best.name.removeprefix(WRITING)}.lock"))
    with contextlib.suppress(OSError), lock.acquire(timeout=0):  # another process goes on with it where that fails
        (best / IMAGES).replace(folder / IMAGES)
        (best / JOURNAL).replace(folder / JOURNAL)
        shutil.rmtree(best, ignore_errors=True)
        Path(lock.lock_file).unlink(missing_ok=True)


def _with_rows(file: Path, shape: tuple[int, ...]) -> bool:
    """Change the number of rows of a .npy file of bytes, at its end; returns whether the file has this shape now.

    It is not changed if it differs in more than the number of rows.
    """
    try:
        images = np.load(file, mmap_mode="r")
    except (OSError, ValueError):
        return False
    if images.shape[1:] != shape[1:] or images.dtype != np.uint8:
        return False
    if len(images) == shape[0]:
        return True
    start, size = images.offset, int(np.prod(shape))
    need(file.parent, size - images.nbytes)
    del images  # it shows the file as it was
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    if len(header.getvalue()) != start:  # NumPy leaves room for a longer number, so it is the same
        return False
    with file.open("rb+") as opened:
        opened.write(header.getvalue())
        opened.truncate(start + size)
        _take_space(opened)
    return True


def write_facts(
    folder: Path,
    source: StoredImages,
    images: np.ndarray,
    bad: Mapping[int, str],
    notes: Sequence[str],
    more: Mapping[str, Any],
) -> None:
    """Write the labels and the facts of an entry into its folder, after its images.

    Args:
        bad: place in the source -> why that item was left out.
        notes: about conversions, in addition to those of the source.
        more: further facts.
    """
    notes = [*source.notes, *notes]
    if bad:
        notes.append(f"{unreadable(source, dict(bad))}: left out")
    labels = None
    if source.labels is not None:
        readable = np.setdiff1d(np.arange(len(source)), list(bad))
        labels = source.labels[readable]
        np.save(folder / "labels.npy", labels)
    meta = {"version": VERSION, "source": source.name, "classes": source.classes, "notes": notes}
    meta["left_out"] = sorted(bad)
    meta |= more
    meta["pixels"] = pixel_digest(images)
    meta["labels"] = None if labels is None else pixel_digest(labels)
    meta["facts"] = _digest(meta)
    (folder / META).write_text(json.dumps(meta, indent=1), encoding="utf-8")


def allocated(file: Path, shape: tuple[int, ...], kind: np.dtype | type = np.uint8) -> np.memmap:
    """An array in a new .npy file, whose space on the disk is reserved.

    Otherwise, if the disk became full later, writing to the memory map would kill the process without a message.
    """
    images = np.lib.format.open_memmap(file, "w+", kind, shape)
    with file.open("rb+") as opened:
        _take_space(opened)
    return images


def _take_space(file: BinaryIO) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)


def need(folder: Path, size: int) -> None:
    """Print how much space is needed, and raise UserError now, before hours of decoding, if there is too little."""
    free = shutil.disk_usage(folder).free
    room = f"decoded images take {size / 1e9:.1f} GB, {folder.parent} has {free / 1e9:.1f} GB free"
    if size >= WORTH_SAYING:
        progress.announce(f"note: {room}")
    if size > free:
        raise UserError(f"{room}: set DEEPINFOMAX_CACHE to a larger disk, or pass a smaller size")


def _begun(folder: Path) -> Path:
    """The folder of an unfinished entry, with the blocks of an earlier process if there are any."""
    if not begun(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _remove_abandoned(base: Path) -> None:
    """Remove unfinished entries of killed processes: after a day, or after a week if decoding can go on from them."""
    for folder in base.glob(f"{WRITING}*"):
        with contextlib.suppress(OSError):  # another process removes it too, or renames it now
            last = max(file.stat().st_mtime for file in (folder, *folder.iterdir()))
            if time.time() - last > (7 if begun(folder) else 1) * DAY:
                shutil.rmtree(folder, ignore_errors=True)


def kept_rows(file: Path, which: np.ndarray) -> np.memmap:
    """Keep only some rows of a .npy file; `which`: (rows,) bool."""
    rows = np.load(file, mmap_mode="r")
    places = np.flatnonzero(which)
    short = allocated(file.with_suffix(".short"), (len(places), *rows.shape[1:]), rows.dtype)
    for start in range(0, len(places), CHUNK):
        short[start : start + CHUNK] = rows[places[start : start + CHUNK]]
    short.flush()
    file.with_suffix(".short").replace(file)
    return short


def _read(entry: Path, name: str) -> ImageSet | None:
    """An entry, or None if there is none; one that is damaged is removed.

    Raises:
        PermissionError: the entry belongs to another user.
    """
    if not entry.is_dir():
        return None
    try:
        meta: dict[str, Any] = json.loads((entry / META).read_text(encoding="utf-8"))
        # Entries of earlier versions have no digest of their facts.
        if (facts := meta.pop("facts", None)) is not None and facts != _digest(meta):
            raise ValueError("other facts than were written")
        labels = np.load(entry / "labels.npy") if meta["labels"] is not None else None
        images = np.load(entry / IMAGES, mmap_mode="r").view(DigestedImages)
        if labels is not None and (len(labels) != len(images) or pixel_digest(labels) != meta["labels"]):
            raise ValueError("other labels than were written")
        if pixel_digest(images) != meta["pixels"]:
            raise ValueError("other pixels than were written")
        images.digest = meta["pixels"]
        notes, left_out = tuple(meta["notes"]), tuple(meta["left_out"])
        return ImageSet(images, labels, tuple(meta["classes"]), name=name, notes=notes, left_out=left_out)
    except PermissionError:
        raise
    except Exception:  # a damaged header makes NumPy raise errors of ten kinds
        shutil.rmtree(entry, ignore_errors=True)
        return None


def _digest(meta: dict[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(meta).encode(), digest_size=16).hexdigest()


def stopped(source: StoredImages, bad: Mapping[int, str]) -> str:
    """The message of the error about items that cannot be read."""
    mend = "" if len(bad) == len(source) else "; set data.skip_bad true to leave them out"
    return f"{source.name}: {unreadable(source, dict(bad))}{mend}"
