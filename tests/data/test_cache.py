import json
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import needs
from deepinfomax import progress
from deepinfomax.data import blocks, cache, load
from deepinfomax.errors import UserError


@pytest.fixture
def folder(tmp_path: Path, draw) -> Path:
    for seed in range(4):
        draw(tmp_path / "images" / "ab"[seed % 2] / f"{seed}.png", seed)
    return tmp_path / "images"


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the sources that were decoded."""
    names: list[str] = []
    decode = blocks.decode

    def counted(source, *arguments):
        names.append(source.name)
        return decode(source, *arguments)

    monkeypatch.setattr(cache, "decode", counted)
    return names


def entries(base: Path) -> list[str]:
    return sorted(entry.name for entry in base.iterdir())


def test_decoded_once_then_memory_mapped(folder: Path, tmp_path: Path, decodes: list[str]):
    first = load(folder, cache_dir=tmp_path / "cache")
    again = load(folder, cache_dir=tmp_path / "cache")
    assert len(decodes) == 1
    assert isinstance(again.images, np.memmap)
    assert not again.images.flags.writeable
    np.testing.assert_array_equal(first.images, again.images)
    np.testing.assert_array_equal(again.labels, [0, 0, 1, 1])
    assert (again.classes, again.name) == (("a", "b"), str(folder))
    (entry,) = entries(tmp_path / "cache")
    assert entries(tmp_path / "cache" / entry) == ["images.npy", "labels.npy", "meta.json"]
    assert json.loads((tmp_path / "cache" / entry / "meta.json").read_text())["version"] == cache.VERSION


def test_every_setting_that_changes_the_pixels_has_its_own_entry(folder: Path, tmp_path: Path, decodes: list[str]):
    settings = [{}, {"size": 4}, {"channels": 1}, {"skip_bad": True}, {"limit": 2}, {"holdout": 0.5}]
    for given in settings * 2:
        load(folder, cache_dir=tmp_path / "cache", **given)
    assert len(decodes) == len(settings)


def test_what_max_pixels_left_out_is_there_once_it_is_higher(tmp_path: Path, draw):
    draw(tmp_path / "images" / "small.png", size=(4, 4))
    draw(tmp_path / "images" / "large.png", size=(8, 8))
    given = {"size": 4, "skip_bad": True, "cache_dir": tmp_path / "cache"}
    assert len(load(tmp_path / "images", max_pixels=63, **given)) == 1
    assert len(load(tmp_path / "images", max_pixels=64, **given)) == 2


def test_a_changed_added_or_removed_file_is_decoded_again(folder: Path, tmp_path: Path, decodes: list[str], draw):
    where = tmp_path / "cache"
    load(folder, cache_dir=where)
    changed = draw(folder / "a" / "0.png", 77)
    np.testing.assert_array_equal(load(folder, cache_dir=where).images[0], changed.transpose(2, 0, 1))
    draw(folder / "a" / "9.png", 9)
    assert len(load(folder, cache_dir=where)) == 5
    (folder / "a" / "9.png").unlink()
    os.utime(folder / "a" / "2.png", ns=(0, 0))  # as after an edit that keeps the length
    assert len(load(folder, cache_dir=where)) == 4
    assert len(decodes) == 4


def test_other_pixels_of_the_same_length_and_time(tmp_path: Path, draw):
    file = tmp_path / "images" / "a.bmp"
    draw(file, 1)
    before = file.stat()
    load(tmp_path / "images", cache_dir=tmp_path / "cache")
    changed = draw(file, 2)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # as unzip does
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    np.testing.assert_array_equal(
        load(tmp_path / "images", cache_dir=tmp_path / "cache").images[0], changed.transpose(2, 0, 1)
    )


def test_labels_of_a_csv_are_part_of_the_key(tmp_path: Path, draw, decodes: list[str]):
    for seed in range(2):
        draw(tmp_path / f"{seed}.png", seed)
    for labels in ("01", "10"):
        (tmp_path / "list.csv").write_text(f"path,label\n0.png,{labels[0]}\n1.png,{labels[1]}\n")
        np.testing.assert_array_equal(load(tmp_path / "list.csv").labels, [int(label) for label in labels])
    assert len(decodes) == 2


def test_names_of_classes_are_part_of_the_key(tmp_path: Path, draw):
    for seed in range(2):
        draw(tmp_path / f"{seed}.png", seed)
    for words in (("cat", "dog"), ("cow", "dog")):
        (tmp_path / "list.csv").write_text(f"path,label\n0.png,{words[0]}\n1.png,{words[1]}\n")
        assert load(tmp_path / "list.csv", cache_dir=tmp_path / "cache").classes == words


def test_place_of_the_cache(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DEEPINFOMAX_CACHE", str(tmp_path / "environment"))
    assert cache.cache_folder() == tmp_path / "environment"
    assert cache.cache_folder(tmp_path / "argument") == tmp_path / "argument"
    monkeypatch.delenv("DEEPINFOMAX_CACHE")
    assert cache.cache_folder() == Path.home() / ".cache" / "deepinfomax"


def test_a_stop_in_the_middle_leaves_nothing(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupt(*arguments: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cache, "decode", interrupt)
        with pytest.raises(KeyboardInterrupt):
            load(folder, cache_dir=tmp_path / "cache")
    assert entries(tmp_path / "cache") == []
    assert len(load(folder, cache_dir=tmp_path / "cache")) == 4


@pytest.mark.parametrize("name", ["meta.json", "images.npy", "labels.npy"])
@pytest.mark.parametrize("length", [0, 20])
def test_a_damaged_entry_is_decoded_again(folder: Path, tmp_path: Path, decodes: list[str], name: str, length: int):
    first = load(folder, cache_dir=tmp_path / "cache")
    expected = np.array(first.images)
    (entry,) = (tmp_path / "cache").iterdir()
    os.truncate(entry / name, length)
    for _ in range(2):
        again = load(folder, cache_dir=tmp_path / "cache")
        np.testing.assert_array_equal(again.images, expected)
        np.testing.assert_array_equal(again.labels, [0, 0, 1, 1])
    assert len(decodes) == 2


def test_bad_images_leave_no_entry(folder: Path, tmp_path: Path):
    (folder / "a" / "x.png").write_text("no")
    with pytest.raises(UserError):
        load(folder, cache_dir=tmp_path / "cache")
    (unfinished,) = entries(tmp_path / "cache")
    assert unfinished.startswith(cache.WRITING)


def test_of_two_at_once_one_decodes_and_the_other_waits(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    begun, decode, calls = threading.Event(), blocks.decode, []

    def slowly(*arguments):
        calls.append(arguments)
        begun.set()
        assert waiting.wait(10)  # the other has come to the lock
        return decode(*arguments)

    waiting = threading.Event()
    shown = progress.shown

    def waits(what: str):
        if "another process decodes" in what:
            waiting.set()
        return shown(what)

    monkeypatch.setattr(cache, "decode", slowly)
    monkeypatch.setattr(progress, "shown", waits)
    results: list[np.ndarray] = []

    def read() -> None:
        results.append(load(folder, cache_dir=tmp_path / "cache").images)

    threads = [threading.Thread(target=read) for _ in range(2)]
    threads[0].start()
    assert begun.wait(10)
    threads[1].start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(*results)
    assert len(calls) == 1
    assert len(entries(tmp_path / "cache")) == 1


def test_what_cannot_be_locked_is_decoded(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "of another user")

    monkeypatch.setattr(cache.FileLock, "acquire", refused)
    assert len(load(folder, cache_dir=tmp_path / "cache")) == 4


def test_a_place_that_cannot_be_written(folder: Path, tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"cannot be kept in .*: set DEEPINFOMAX_CACHE"):
        load(folder, cache_dir=tmp_path / "file" / "cache")


def test_a_disk_that_is_too_small(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 100}))
    with pytest.raises(UserError, match=r"decoded images take 0\.0 GB, .* has 0\.0 GB free: set DEEPINFOMAX_CACHE"):
        load(folder, cache_dir=tmp_path / "cache")
    assert entries(tmp_path / "cache") == []


def test_what_killed_processes_left_is_removed_a_day_later(folder: Path, tmp_path: Path):
    for name, age in ((".writing-old", 25 * 3600), (".writing-new", 3600)):
        (tmp_path / "cache" / name).mkdir(parents=True)
        then = time.time() - age
        os.utime(tmp_path / "cache" / name, (then, then))
    load(folder, cache_dir=tmp_path / "cache")
    assert [name for name in entries(tmp_path / "cache") if name.startswith(".")] == [".writing-new"]


def test_real_cifar10_twice(decodes: list[str]):
    for _ in range(2):
        images = load("cifar10", "test", root=needs.data("cifar10"), limit=500)
    assert len(decodes) <= 1
    assert images.images.shape == (500, 3, 32, 32)
    assert images.classes[:2] == ("airplane", "automobile")


@pytest.mark.parametrize("place", [0, 60, -1])
def test_one_flipped_bit_is_noticed(folder: Path, tmp_path: Path, decodes: list[str], place: int):
    expected = np.array(load(folder, cache_dir=tmp_path / "cache").images)
    (entry,) = (tmp_path / "cache").iterdir()
    for name in ("images.npy", "labels.npy"):
        content = bytearray((entry / name).read_bytes())
        content[place] ^= 4
        (entry / name).write_bytes(content)
        again = load(folder, cache_dir=tmp_path / "cache")
        np.testing.assert_array_equal(again.images, expected)
        np.testing.assert_array_equal(again.labels, [0, 0, 1, 1])
    assert len(decodes) == 3


def test_another_user_of_the_cache_can_read_its_entries(folder: Path, tmp_path: Path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o777)
    load(folder, cache_dir=tmp_path / "cache")
    (entry,) = (tmp_path / "cache").iterdir()
    assert entry.stat().st_mode & 0o777 == 0o755


def test_an_entry_of_another_user_that_cannot_be_read_is_passed_by(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    load(folder, cache_dir=tmp_path / "cache")
    (theirs,) = (tmp_path / "cache").iterdir()
    read = cache._read

    def refused(entry: Path, name: str):
        if entry == theirs:
            raise PermissionError
        return read(entry, name)

    monkeypatch.setattr(cache, "_read", refused)
    assert len(load(folder, cache_dir=tmp_path / "cache")) == 4
    assert len(entries(tmp_path / "cache")) == 2


def test_a_disk_that_fills_up_while_images_are_decoded(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(UserError, match=r"cannot be kept in .* \(No space left on device\): set DEEPINFOMAX_CACHE"):
        load(folder, cache_dir=tmp_path / "cache")
    assert entries(tmp_path / "cache") == []


def test_notes_survive_the_cache_a_part_and_a_join(tmp_path: Path, draw):
    draw(tmp_path / "images" / "train" / "a.png", 1, mode="RGBA")
    draw(tmp_path / "images" / "train" / "b.png", 2)
    draw(tmp_path / "images" / "unlabeled" / "c.png", 3)
    (tmp_path / "images" / "unlabeled" / "notes.txt").touch()
    for _ in range(2):
        images = load(tmp_path / "images", "train+unlabeled")
        assert images.notes == (
            "files that are no images, not read: 1 .txt",
            "1 of 3 images is transparent: composited on white",
        )
        assert images.take(slice(2)).notes == images.notes
