"""Decoding in blocks of rows, on all cores: each block is written to its place in the file, and noted in a journal.

So a killed process loses no finished block, and only a few blocks are in memory, however large the source is.
"""

import contextlib
import hashlib
import json
import time
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from deepinfomax import progress
from deepinfomax.data import workers as worker_processes
from deepinfomax.data.decoding import WORTH_A_BAR, Survey, reason, threads, to_array
from deepinfomax.data.opening import MAX_PIXELS, Blob, opened
from deepinfomax.data.stored import StoredImages

VERSION = 5  #: raise it when decoding changes, so that no old blocks are read
JOURNAL = "blocks.jsonl"  #: in the folder of an entry that is being written
BLOCK_BYTES = 2**21  #: approximate bytes of decoded pixels in a block
ROWS = (16, 256)  #: smallest and largest number of rows of a block
#: measured time of one core: seconds per image, and per pixel in its file
SECONDS_AN_IMAGE, SECONDS_A_PIXEL = 1e-4, 2e-8
#: `Block.files` of the blocks that this process has decoded: reading these again is not announced as "going on"
decoded_here: set[str] = set()


@dataclass(frozen=True)
class Task:
    """Images to decode into rows of a .npy file."""

    file: Path
    offset: int  #: where the block begins in the file, in bytes
    blobs: tuple[Blob, ...]
    deep: tuple[bool, ...]  #: which images have more than 8 bits per channel
    shape: tuple[int, int, int]
    max_pixels: int
    files: str = ""  #: as in `Block`


@dataclass(frozen=True)
class Block:
    """The facts about a finished block."""

    bad: Mapping[int, str]  #: place in the block -> why its row has no image
    brightest: int  #: the largest value of any pixel
    brightest_deep: int  #: the largest value of any pixel of images with more than 8 bits
    checksum: int  #: of its bytes
    files: str = ""  #: identifies the files that it was decoded from; changes if they change


class Journal:
    """The finished blocks of an entry, one JSON line each; the first line has the settings of decoding.

    A line is written after its pixels. After a power cut the line may exist without them, so readers must compare the
    checksum.
    """

    def __init__(self, folder: Path, how: Mapping[str, Any]) -> None:
        self.path, self.how = folder / JOURNAL, json.loads(json.dumps(how))

    def read(self) -> dict[int, Block]:
        """The blocks by number; empty if there is no journal, or if its blocks were decoded with other settings."""
        try:
            lines = [json.loads(line) for line in self.path.read_bytes().split(b"\n")[:-1]]  # the last one was cut off
        except (OSError, ValueError):
            return {}
        if not lines or lines[0] != self.how:
            return {}
        return {line.pop("block"): Block({int(k): v for k, v in line.pop("bad").items()}, **line) for line in lines[1:]}

    def begin(self, blocks: Mapping[int, Block]) -> None:
        """Begin a new journal that has only these blocks."""
        self.path.write_text(json.dumps(self.how) + "\n", encoding="utf-8")
        for number, block in blocks.items():
            self.add(number, block)

    def add(self, number: int, block: Block) -> None:
        with self.path.open("ab") as file:
            file.write(json.dumps({"block": number, **asdict(block)}).encode() + b"\n")


def begun(folder: Path) -> bool:
    """Whether a folder has finished blocks of an earlier process."""
    return (folder / JOURNAL).is_file()


def rows_of_a_block(row_bytes: int) -> int:
    """How many images form a block."""
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
    return Block(bad, brightest, brightest_deep, zlib.crc32(pixels.data), task.files)


def journal_of(folder: Path, shape: tuple[int, int, int], max_pixels: int) -> Journal:
    """The journal in a folder, for images decoded with these settings."""
    rows = rows_of_a_block(int(np.prod(shape)))
    return Journal(folder, {"version": VERSION, "shape": shape, "rows": rows, "max_pixels": max_pixels})


def files_of_blocks(source: StoredImages, bad: Mapping[int, str], rows: int) -> list[str]:
    """`Block.files` for each block of `rows` images, without the images in `bad`."""
    good = np.setdiff1d(np.arange(len(source)), list(bad))
    stamp = source.stamp_at
    whole = "" if stamp is not None else source.identified()

    def files(places: np.ndarray) -> str:
        positions = source.index[places]
        digest = hashlib.sha256(whole.encode())
        if stamp is None:  # the source can only tell whether any of its files changed
            digest.update(positions.tobytes())
        else:
            for position in positions:
                digest.update(b"\n" + stamp(int(position)))
        return digest.hexdigest()[:32]

    return [files(good[first : first + rows]) for first in range(0, len(good), rows)]


def decode(
    source: StoredImages,
    headers: Survey,
    shape: tuple[int, int, int],
    file: Path,
    bad: dict[int, str],
    max_pixels: int = MAX_PIXELS,
    workers: int | None = None,
) -> np.ndarray:
    """Decode every image that is not in `bad` into its row of a .npy file.

    The bytes do not depend on the number of workers. Finished blocks that an earlier process left in the folder are
    kept if their files have not changed.

    Args:
        shape: (C, H, W) of the decoded images.
        file: (rows, C, H, W) uint8, as many rows as there are images that are not in `bad`.
        bad: place in the source -> what is wrong; images that turn out to be broken are added.
        workers: processes that decode; None: one per core if the source is large, else one.

    Returns:
        (rows,) bool: which rows have an image.

    Raises:
        UserError: a worker was killed.
        OSError: the file cannot be written.
    """
    good = np.setdiff1d(np.arange(len(source)), list(bad))
    row = int(np.prod(shape))
    step = rows_of_a_block(row)
    start = file.stat().st_size - len(good) * row  # behind the header
    journal = journal_of(file.parent, shape, max_pixels)
    files = files_of_blocks(source, bad, step)
    done = _still_there(journal.read(), files, file, start, step * row)
    earlier = [number for number in done if files[number] not in decoded_here]
    if earlier:
        before = f"{min(len(good), len(earlier) * step):,} of {len(good):,} images"
        progress.announce(f"note: {source.name}: {before} were decoded before; it goes on from there")
    journal.begin(done)
    remaining = [number for number in range(len(files)) if number not in done]
    places = {number: good[number * step : (number + 1) * step] for number in remaining}

    def tasks() -> Iterator[tuple[int, Task]]:
        wanted = source.take(np.concatenate(list(places.values()))) if places else source.take(good[:0])
        blobs = source.blobs(wanted.index)
        for number, of_block in places.items():
            deep = tuple(int(place) in headers.deep for place in of_block)
            read = tuple(islice(blobs, len(of_block)))
            yield number, Task(file, start + number * step * row, read, deep, shape, max_pixels, files[number])

    pixels = sum(width * height * count for (width, height), count in headers.sizes.items())
    with contextlib.ExitStack() as stack:
        if len(good) >= WORTH_A_BAR:
            stack.enter_context(progress.shown(f"decoding {source.name}"))
        seconds = len(good) * SECONDS_AN_IMAGE + pixels * SECONDS_A_PIXEL
        count = workers or (worker_processes.cores() if worker_processes.pay(seconds) else 1)
        pool: Executor | None = None
        if count > 1:
            pool = stack.enter_context(worker_processes.processes(count))
        elif workers is None and (count := threads(headers)) > 1:
            pool = stack.enter_context(ThreadPoolExecutor(count))
        began, here = time.perf_counter(), 0
        for number, block in worker_processes.mapped(pool, numbered, tasks(), 3 * count):
            journal.add(number, block)
            decoded_here.add(files[number])
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


def numbered(task: tuple[int, Task]) -> tuple[int, Block]:
    """`decode_block`, with the number that came with the task."""
    return task[0], decode_block(task[1])


def _still_there(blocks: Mapping[int, Block], files: list[str], file: Path, start: int, size: int) -> dict[int, Block]:
    """The journal's blocks whose files have not changed and whose bytes in the file are intact.

    A block with an unreadable image is decoded again: the cause may have been the disk, or a missing package.
    """
    same = {
        number: block
        for number, block in blocks.items()
        if number < len(files) and block.files == files[number] and not block.bad
    }
    with file.open("rb") as images:
        for number, block in list(same.items()):
            images.seek(start + number * size)
            if zlib.crc32(images.read(size)) != block.checksum:
                del same[number]
    return same
