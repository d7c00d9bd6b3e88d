import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from deepinfomax import progress
from deepinfomax.data import blocks, cache, load, workers
from deepinfomax.data.blocks import Block, Journal, decode
from deepinfomax.data.decoding import survey
from deepinfomax.data.formats import read_path
from deepinfomax.errors import UserError


@pytest.fixture
def folder(tmp_path: Path, draw) -> Path:
    """Eleven images, the fifth with 16 bits; with the blocks of `small` there are six."""
    for seed in range(11):
        draw(tmp_path / "images" / f"{seed:02}.png", seed, mode="L")
    deep = np.arange(64, dtype=np.uint16).reshape(8, 8) * 900
    Image.fromarray(deep).save(tmp_path / "images" / "04.png")
    return tmp_path / "images"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "ROWS", (2, 2))


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images were in each block that was decoded."""
    sizes: list[int] = []
    plain = blocks.decode_block

    def counted(task: blocks.Task) -> Block:
        sizes.append(len(task.blobs))
        return plain(task)

    monkeypatch.setattr(blocks, "decode_block", counted)
    return sizes


def expected(folder: Path) -> np.ndarray:
    """Image by image, as Pillow gives them; of 16 bits the upper 8."""
    pictures = [np.asarray(Image.open(file)) for file in sorted(folder.iterdir())]
    return np.stack([p if p.dtype == np.uint8 else (p.astype(int) >> 8).astype(np.uint8) for p in pictures])[:, None]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("workers", [1, 2, None])
def test_any_number_of_workers_gives_the_same_bytes(folder: Path, tmp_path: Path, workers: int | None):
    content = (folder / "06.png").read_bytes()
    right = np.delete(expected(folder), 6, axis=0)
    (folder / "06.png").write_bytes(content[: len(content) // 2])  # its header is whole
    source = read_path(folder)["train"]()
    headers = survey(source)
    file, bad = tmp_path / "images.npy", {}
    cache.allocated(file, (11, 1, 8, 8))
    filled = decode(source, headers, (1, 8, 8), file, bad, workers=workers)
    np.testing.assert_array_equal(filled, np.arange(11) != 6)
    assert list(bad) == [6]
    np.testing.assert_array_equal(np.load(file)[filled], right)
    assert (headers.brightest, headers.brightest_deep) == (right.max(), right[4].max())
    found = Journal(tmp_path, json.loads((tmp_path / blocks.JOURNAL).read_text().splitlines()[0])).read()
    assert sorted(found) == list(range(6))


KILLED = """
import os, signal, sys
from deepinfomax.data import blocks, load
blocks.ROWS = (2, 2)
add = blocks.Journal.add
def killed(journal, number, block):
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    add(journal, number, block)
blocks.Journal.add = killed
load(sys.argv[1], cache_dir=sys.argv[2])
"""


@pytest.mark.usefixtures("small")
def test_a_killed_process_loses_no_finished_block(folder: Path, tmp_path: Path, tasks: list[int], capsys):
    ended = subprocess.run([sys.executable, "-c", KILLED, folder, tmp_path / "cache"], check=False)
    assert ended.returncode == -signal.SIGKILL
    images = load(folder, cache_dir=tmp_path / "cache")
    np.testing.assert_array_equal(images.images, expected(folder))
    assert tasks == [2, 2, 1]
    said = capsys.readouterr().err
    assert "6 of 11 images were decoded before; it goes on from there" in said
    (entry,) = (tmp_path / "cache").iterdir()
    assert sorted(file.name for file in entry.iterdir()) == ["images.npy", "meta.json"]


def stopped_after(count: int, folder: Path, base: Path, error: BaseException) -> tuple[Path, str]:
    """Decode until so many blocks are in the journal; returns the unfinished entry, and what is said."""
    add, added = Journal.add, []

    def stopping(journal: Journal, number: int, block: Block) -> None:
        if len(added) == count:
            raise error
        added.append(number)
        add(journal, number, block)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Journal, "add", stopping)
        with pytest.raises((KeyboardInterrupt, UserError)) as raised:
            load(folder, cache_dir=base)
    left = [*base.glob(f"{cache.WRITING}*")]
    return left[0] if left else base, str(raised.value)


@pytest.mark.usefixtures("small")
def test_after_ctrl_c_it_goes_on(folder: Path, tmp_path: Path, tasks: list[int]):
    _, said = stopped_after(4, folder, tmp_path / "cache", KeyboardInterrupt())
    assert "run it again, it goes on" in said
    del tasks[:]
    np.testing.assert_array_equal(load(folder, cache_dir=tmp_path / "cache").images, expected(folder))
    assert tasks == [2, 1]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("damage", ["pixels", "line", "other images", "shorter file"])
def test_what_the_journal_tells_is_not_believed_blindly(folder: Path, tmp_path: Path, tasks: list[int], damage: str):
    left, _ = stopped_after(3, folder, tmp_path / "cache", KeyboardInterrupt())
    del tasks[:]
    journal, file = left / blocks.JOURNAL, left / "images.npy"
    lines = journal.read_text().splitlines(keepends=True)
    if damage == "pixels":  # the second block was not on the disk yet when the power went
        content = bytearray(file.read_bytes())
        content[-11 * 64 + 2 * 64] ^= 1
        file.write_bytes(content)
    elif damage == "line":
        journal.write_text("".join(lines)[:-9])
    elif damage == "other images":
        journal.write_text("".join(line.replace('"files": "', '"files": "0') for line in lines))
    else:
        os.truncate(file, 300)
    np.testing.assert_array_equal(load(folder, cache_dir=tmp_path / "cache").images, expected(folder))
    assert len(tasks) == {"pixels": 4, "line": 4, "other images": 6, "shorter file": 6}[damage]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("begins", ["like an image", "like none"])
@pytest.mark.parametrize("remedy", ["mended", "left out", "removed", "nothing"])
def test_a_broken_image_costs_no_other_block(
    folder: Path, tmp_path: Path, tasks: list[int], begins: str, remedy: str, capsys
):
    file, right = folder / "07.png", expected(folder)
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2] if begins == "like an image" else b"no")
    with pytest.raises(UserError, match=r"1 of 11 images cannot be read, first: 07\.png .*data\.skip_bad true"):
        load(folder, cache_dir=tmp_path / "cache")
    assert sum(tasks) == (11 if begins == "like an image" else 10)
    del tasks[:]
    if remedy == "nothing":
        with pytest.raises(UserError, match="1 of 11 images"):
            load(folder, cache_dir=tmp_path / "cache")
    if remedy == "mended":
        file.write_bytes(content)
    if remedy == "removed":
        file.unlink()
    if remedy != "nothing":
        images = load(folder, cache_dir=tmp_path / "cache", skip_bad=remedy == "left out")
        np.testing.assert_array_equal(images.images, right if remedy == "mended" else np.delete(right, 7, axis=0))
        assert len(list((tmp_path / "cache").iterdir())) == 1
    # Two images a block. Where the number of images changes, those behind the broken one come into other blocks.
    counted = {"like an image": {"removed": [2, 2]}, "like none": {"mended": [2, 2, 1], "left out": [], "nothing": []}}
    assert tasks == counted[begins].get(remedy, [2] if begins == "like an image" else [])
    assert "were decoded before" not in capsys.readouterr().err  # by this process, which has nothing to tell of


@pytest.mark.usefixtures("small")
def test_what_another_process_goes_on_with_is_not_taken_over(folder: Path, tmp_path: Path, tasks: list[int]):
    left, _ = stopped_after(3, folder, tmp_path / "cache", KeyboardInterrupt())
    del tasks[:]
    with FileLock(left.with_name(f".{left.name.removeprefix(cache.WRITING)}.lock")):
        assert len(load(folder, cache_dir=tmp_path / "cache", skip_bad=True)) == 11
    assert len(tasks) == 6
    assert (left / blocks.JOURNAL).is_file()


def test_headers_read_by_two_processes_are_the_same(folder: Path):
    (folder / "06.png").write_text("no")
    source = read_path(folder)["train"]()
    alone, together = survey(source, workers=1), survey(source, workers=2)
    assert alone == together
    assert (alone.readable, list(alone.bad), alone.deep) == (10, [6], {4})


def test_many_files_have_their_headers_read_on_all_cores(folder: Path, monkeypatch: pytest.MonkeyPatch):
    started: list[int] = []

    @contextlib.contextmanager
    def counted(count: int) -> Iterator[Executor]:
        started.append(count)
        with ThreadPoolExecutor(count) as pool:
            yield pool

    monkeypatch.setattr(workers, "processes", counted)
    monkeypatch.setattr(workers, "cores", lambda: 3)
    source = read_path(folder)["train"]()
    survey(source)
    assert started == []  # not worth it
    monkeypatch.setattr(workers, "PAY_ABOVE", 0)
    survey(source)
    assert started == [3]
    survey(replace(source, blobs=lambda index: ((folder / f"{i:02}.png").read_bytes() for i in index)))
    assert started == [3]  # bytes would have to be sent


@pytest.mark.usefixtures("small")
def test_a_disk_that_fills_up_is_one_line(folder: Path, tmp_path: Path):
    _, said = stopped_after(2, folder, tmp_path / "cache", OSError(28, "No space left on device"))
    assert said == (
        f"decoded images cannot be kept in {tmp_path / 'cache'} (No space left on device): set DEEPINFOMAX_CACHE"
    )
    assert list((tmp_path / "cache").iterdir()) == []


def test_memory_holds_a_few_blocks_only(folder: Path, small: None):
    read: list[int] = []

    def blobs():
        for number in range(100):
            read.append(number)
            yield number, blocks.Task(Path(), 0, (), (), (1, 8, 8), 1)

    class Waiting:
        def submit(self, function, task):
            self.number = task[0]
            return copy(self)

        def result(self) -> int:
            return self.number

    results = workers.mapped(Waiting(), blocks.numbered, blobs(), 3)  # type: ignore[arg-type,var-annotated]
    assert next(results) == 0
    assert read == [0, 1, 2]
    assert list(results) == list(range(1, 100))


def test_the_size_is_said_before_and_the_rate_meanwhile(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    monkeypatch.setattr(cache, "WORTH_SAYING", 11 * 64)
    told: list[str] = []
    monkeypatch.setattr(progress, "reached", lambda done, total, text: told.append(f"{done}/{total} {text}"))
    load(folder, cache_dir=tmp_path / "cache")
    assert "note: decoded images take 0.0 GB, " in capsys.readouterr().err
    assert told[-1].startswith("11/11 image 11 of 11, ")
    assert told[-1].endswith(" a second")


def test_blocks_of_a_killed_process_are_kept_for_a_week(folder: Path, tmp_path: Path):
    for name, days, begun in (("old", 8, True), ("kept", 6, True), ("empty", 2, False)):
        left = tmp_path / "cache" / f"{cache.WRITING}{name}"
        left.mkdir(parents=True)
        if begun:
            (left / blocks.JOURNAL).write_text("{}\n")
        for path in (*left.iterdir(), left):
            os.utime(path, (time.time() - days * cache.DAY,) * 2)
    load(folder, cache_dir=tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache").iterdir() if path.name.startswith(".")] == [".writing-kept"]


def test_a_worker_that_is_killed_is_one_line():
    def killed() -> None:
        with workers.processes(1) as pool:
            pool.submit(os._exit, 1).result()

    with pytest.raises(UserError, match="a process that decodes was killed, probably for want of memory"):
        killed()
