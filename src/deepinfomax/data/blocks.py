"""Decoding in blocks of rows, on all cores: each block is written where it belongs and entered in a journal.

So a killed process loses no block that was finished, and memory holds a few blocks however large the source is.
"""

import contextlib
import hashlib
import json
import multiprocessing
import signal
import time
import zlib
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from deepinfomax import progress
from deepinfomax.data.decoding import WORTH_A_BAR, Survey, reason, threads, to_array
from deepinfomax.data.opening import MAX_PIXELS, Blob, opened
from deepinfomax.data.stored import StoredImages
from deepinfomax.errors import UserError

JOURNAL = "blocks.jsonl"  #: in the folder of an entry that is being written
BLOCK_BYTES = 2**21  #: of decoded pixels in a block, about
ROWS = (16, 256)  #: of a block, at least and at most
IDLE = 60  #: seconds after which a worker whose parent was killed ends by itself
#: what one core needs, measured: seconds an image, and a pixel in its file. Starting workers takes a second or two
SECONDS_AN_IMAGE, SECONDS_A_PIXEL = 1e-4, 2e-8
PROCESSES_PAY_ABOVE = 4.0  #: seconds of one core


@dataclass(frozen=True)
class Task:
    """Images to decode into rows of a .npy file."""

    file: Path
    offset: int  #: where the block begins in the file, in bytes
    blobs: tuple[Blob, ...]
    deep: tuple[bool, ...]  #: which have more than 8 bits a channel
    shape: tuple[int, int, int]
    max_pixels: int


@dataclass(frozen=True)
class Block:
    """What is known of a block that lies in the file."""

    bad: Mapping[int, str]  #: place in the block -> why its row holds no image
    brightest: int  #: value of any pixel
    brightest_deep: int  #: value of any pixel of those that are deep
    checksum: int  #: of its bytes


class Journal:
    """The finished blocks of an entry, one JSON line each; the first line says of what.

    A line follows the pixels it tells of. After a power cut it may be there without them, so whoever reads it compares
    the checksum.
    """

    def __init__(self, folder: Path, images: Mapping[str, Any]) -> None:
        self.path, self.images = folder / JOURNAL, json.loads(json.dumps(images))

    def read(self) -> dict[int, Block]:
        """The blocks by number; none where the journal is of other images, or there is none."""
        try:
            lines = [json.loads(line) for line in self.path.read_bytes().split(b"\n")[:-1]]  # the last one was cut off
        except (OSError, ValueError):
            return {}
        if not lines or lines[0] != self.images:
            return {}
        return {line.pop("block"): Block({int(k): v for k, v in line.pop("bad").items()}, **line) for line in lines[1:]}

    def begin(self, blocks: Mapping[int, Block]) -> None:
        """Write it anew with these blocks only."""
        self.path.write_text(json.dumps(self.images) + "\n", encoding="utf-8")
        for number, block in blocks.items():
            self.add(number, block)

    def add(self, number: int, block: Block) -> None:
        with self.path.open("ab") as file:
            file.write(json.dumps({"block": number, **asdict(block)}).encode() + b"\n")


def begun(folder: Path) -> bool:
    """Whether a killed process left finished blocks there."""
    return (folder / JOURNAL).is_file()


def rows_of_a_block(row_bytes: int) -> int:
    """How many images are decoded, written and entered together."""
    return int(np.clip(BLOCK_BYTES // max(1, row_bytes), *ROWS))


def decode_block(task: Task) -> Block:
    """Decode the images of a task into its file.

    Raises:
        OSError: the file cannot be written.
    """
    pixels = np.zeros((len(task.blobs), *task.shape), np.uint8)
    bad, brightest, brightest_deep = {}, 0, 0
    channels, height, width = task.shape
    for place, blob in enumerate(task.blobs):
        try:
            if isinstance(blob, np.ndarray) and blob.shape == task.shape:
                pixels[place] = blob
            else:
                with opened(blob, task.max_pixels) as image:
                    pixels[place] = to_array(image, channels, (width, height))
        except Exception as error:  # damaged files make Pillow's decoders raise errors of every kind
            bad[place] = reason(error)
            continue
        most = int(pixels[place].max())
        brightest = max(brightest, most)
        if task.deep[place]:
            brightest_deep = max(brightest_deep, most)
    with task.file.open("rb+") as file:  # not by a memory map: a full disk is an error here, and a signal there
        file.seek(task.offset)
        file.write(pixels.data)
    return Block(bad, brightest, brightest_deep, zlib.crc32(pixels.data))


def decode(
    source: StoredImages,
    headers: Survey,
    shape: tuple[int, int, int],
    file: Path,
    bad: dict[int, str],
    max_pixels: int = MAX_PIXELS,
    workers: int | None = None,
) -> np.ndarray:
    """Decode every image that is not in `bad`, each into its row of a .npy file; the bytes are those of any workers.

    Blocks that a killed process has left in the folder of the file are kept.

    Args:
        shape: (C, H, W) of the decoded images.
        file: (rows, C, H, W) uint8, as many rows as there are images that are not in `bad`.
        bad: place in the source -> what is wrong; images that turn out to be broken are added.
        workers: processes that decode; None: one a core where the source is large enough to be worth it.

    Returns:
        (rows,) bool: which rows hold an image.

    Raises:
        UserError: a worker was killed.
        OSError: the file cannot be written.
    """
    good = np.setdiff1d(np.arange(len(source)), list(bad))
    row = int(np.prod(shape))
    step = rows_of_a_block(row)
    start = file.stat().st_size - len(good) * row  # behind the header
    journal = Journal(file.parent, {"shape": shape, "rows": step, "good": hashlib.sha256(good.tobytes()).hexdigest()})
    done = _still_there(journal, file, start, row * step)
    if done:
        before = f"{min(len(good), len(done) * step):,} of {len(good):,} images"
        progress.announce(f"note: {source.name}: {before} were decoded before; it goes on from there")
    journal.begin(done)
    remaining = [number for number in range(-(-len(good) // step)) if number not in done]
    places = {number: good[number * step : (number + 1) * step] for number in remaining}

    def tasks() -> Iterator[tuple[int, Task]]:
        wanted = source.take(np.concatenate(list(places.values()))) if places else source.take(good[:0])
        blobs = source.blobs(wanted.index)
        for number, of_block in places.items():
            deep = tuple(int(place) in headers.deep for place in of_block)
            read = tuple(islice(blobs, len(of_block)))
            yield number, Task(file, start + number * step * row, read, deep, shape, max_pixels)

    pixels = sum(width * height * count for (width, height), count in headers.sizes.items())
    with contextlib.ExitStack() as stack:
        if len(good) >= WORTH_A_BAR:
            stack.enter_context(progress.shown(f"decoding {source.name}"))
        count = workers or (cores() if _processes_pay(len(good), pixels) else 1)
        pool: Executor | None = None
        if count > 1:
            pool = stack.enter_context(_processes(count))
        elif workers is None and (count := threads(headers)) > 1:
            pool = stack.enter_context(ThreadPoolExecutor(count))
        began, here = time.perf_counter(), 0
        for number, block in in_order(pool, tasks(), 3 * count):
            journal.add(number, block)
            done[number] = block
            here += len(places[number])
            rate = here / (time.perf_counter() - began)
            so_far = min(len(good), len(done) * step)
            progress.reached(so_far, len(good), f"image {so_far:,} of {len(good):,}, {rate:,.0f} a second")
    filled = np.ones(len(good), bool)
    for number, block in done.items():
        headers.brightest = max(headers.brightest, block.brightest)
        headers.brightest_deep = max(headers.brightest_deep, block.brightest_deep)
        for place, why in block.bad.items():
            filled[number * step + place] = False
            bad[int(good[number * step + place])] = why
    return filled


def _still_there(journal: Journal, file: Path, start: int, size: int) -> dict[int, Block]:
    """The blocks of the journal whose bytes are those that were written."""
    blocks = journal.read()
    with file.open("rb") as images:
        for number, block in list(blocks.items()):
            images.seek(start + number * size)
            if zlib.crc32(images.read(size)) != block.checksum:
                del blocks[number]
    return blocks


def _processes_pay(count: int, pixels: int) -> bool:
    """Whether decoding so many images, of so many pixels in all, takes longer than starting processes for it.

    A process that is itself a worker of some pool may start none.
    """
    seconds = count * SECONDS_AN_IMAGE + pixels * SECONDS_A_PIXEL
    return seconds > PROCESSES_PAY_ABOVE and not multiprocessing.current_process().daemon


def cores() -> int:
    """How many cores this process may use, by its affinity and its container's share."""
    import joblib  # a tenth of a second, and only needed here

    return joblib.cpu_count()


@contextlib.contextmanager
def _processes(count: int) -> Iterator[Executor]:
    """A pool of worker processes, ended at once where the block ends by an error.

    joblib's own, as scikit-learn's: its workers are fresh interpreters, which hold no lock of a thread of this process,
    and which do not run the user's script again, so a script needs no `if __name__ == "__main__"`.

    Raises:
        UserError: a worker was killed.
    """
    from joblib.externals.loky import ProcessPoolExecutor
    from joblib.externals.loky.process_executor import BrokenProcessPool

    pool = ProcessPoolExecutor(count, timeout=IDLE, initializer=_leave_ctrl_c_to_the_parent)
    try:
        yield pool
    except BrokenProcessPool:
        pool.shutdown(kill_workers=True)
        raise UserError(
            "a process that decodes was killed, probably for want of memory: run it again, it goes on from there; "
            "LOKY_MAX_CPU_COUNT=1 in the environment lets one process decode"
        ) from None
    except BaseException:
        pool.shutdown(kill_workers=True)
        raise
    pool.shutdown()


def in_order(pool: Executor | None, tasks: Iterator[tuple[int, Task]], ahead: int) -> Iterator[tuple[int, Block]]:
    """Each task's number and block; only `ahead` tasks are read before their turn, so memory stays bounded."""
    if pool is None:
        yield from ((number, decode_block(task)) for number, task in tasks)
        return
    waiting: deque = deque()
    for number, task in tasks:
        waiting.append((number, pool.submit(decode_block, task)))
        if len(waiting) >= ahead:
            first, result = waiting.popleft()
            yield first, result.result()
    for number, result in waiting:
        yield number, result.result()


def _leave_ctrl_c_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
