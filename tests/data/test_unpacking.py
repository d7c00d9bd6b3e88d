"""Archives are strangers' files: what they may write, what a damaged one says, and what a killed process leaves."""

import gzip
import io
import json
import multiprocessing
import os
import shutil
import stat
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from published_layouts import png, tarred, zipped
from rich.console import Console

from deepinfomax import progress
from deepinfomax.data import describe, load, unpacking
from deepinfomax.data.loading import titles
from deepinfomax.data.unpacking import MANIFEST, unpacked
from deepinfomax.errors import UserError

Pack = Callable[[Path, Path], Path]
every_kind = pytest.mark.parametrize("ending", [".zip", ".tar", ".tar.gz", ".tgz"])


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEEPINFOMAX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "here" / "pictures"
    for i, name in enumerate(["cat/a.png", "cat/b.png", "dog/deep/c.png"]):
        png(folder / name, i)
    return folder


def packed(folder: Path, ending: str) -> Path:
    return (zipped if ending == ".zip" else tarred)(folder, folder.parent.parent / f"x{ending}")


def a_zip(file: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(file, "w") as content:
        for name, text in members.items():
            content.writestr(zipfile.ZipInfo(name), text)
    return file


def a_tar(file: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(file, "w") as content:
        for name, text in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            content.addfile(info, io.BytesIO(text))
    return file


def written(cache: Path) -> list[str]:
    """Names below the folder of unpacked archives, without manifests and locks."""
    base = cache / "unpacked"
    names = (str(file.relative_to(base)) for file in base.rglob("*") if not file.name.endswith((MANIFEST, ".lock")))
    return sorted(names) if base.is_dir() else []


@every_kind
def test_a_packed_folder_is_the_folder(pictures: Path, ending: str):
    archive = packed(pictures, ending)
    for settings in ({}, {"holdout": 0.5}):
        expected, images = (load(data, **settings) for data in (pictures, archive))
        np.testing.assert_array_equal(images.images, expected.images)
        np.testing.assert_array_equal(images.labels, expected.labels)
        assert (images.classes, images.notes) == (("cat", "dog"), ())
        assert titles(archive, images, **settings) == titles(pictures, expected, **settings)
    assert describe(archive).published is None


def test_parts_in_an_archive(tmp_path: Path):
    for i, name in enumerate(["train/a/0.png", "train/b/0.png", "test/b/0.png"]):
        png(tmp_path / "set" / name, i)
    with tarfile.open(tmp_path / "x.tar", "w") as content:  # without a folder around them
        for name in ("train", "test"):
            content.add(tmp_path / "set" / name, name)
    np.testing.assert_array_equal(load(tmp_path / "x.tar", "test").labels, [1])
    with tarfile.open(tmp_path / "y.tar", "w") as content:
        content.add(tmp_path / "set" / "train", "train")
    images = load(tmp_path / "y.tar")
    assert images.classes == ("a", "b")
    assert titles(tmp_path / "y.tar", images) == ["train/a/0.png", "train/b/0.png"]  # as in the folder that has train


def test_it_is_unpacked_once_and_again_when_it_changes(pictures: Path, cache: Path):
    archive = packed(pictures, ".zip")
    first = unpacked(archive).folder
    before = [(file, file.stat().st_mtime_ns) for file in sorted(first.rglob("*"))]
    assert unpacked(archive).folder == first
    assert [(file, file.stat().st_mtime_ns) for file in sorted(first.rglob("*"))] == before
    png(pictures / "cat" / "new.png", 9)
    packed(pictures, ".zip")
    assert len(load(archive)) == 4
    assert not first.exists()  # what the earlier archive held is of no use any more
    other = shutil.copy(archive, archive.with_name("copy.zip"))
    assert unpacked(Path(other)).folder != unpacked(archive).folder
    assert unpacked(archive).folder.is_dir()


@pytest.mark.parametrize("damage", ["lost", "shorter", "no manifest", "another manifest"])
def test_what_was_lost_from_the_cache_is_unpacked_again(pictures: Path, damage: str):
    archive = packed(pictures, ".zip")
    folder = unpacked(archive).folder
    if damage == "lost":
        (folder / "cat" / "a.png").unlink()
    elif damage == "shorter":
        (folder / "cat" / "a.png").write_bytes(b"")
    elif damage == "no manifest":
        (folder.parent / MANIFEST).unlink()
    else:
        (folder.parent / MANIFEST).write_text(json.dumps([]))
    np.testing.assert_array_equal(load(archive).images, load(pictures).images)


def _killed(archive: Path, base: Path) -> None:
    os.environ["DEEPINFOMAX_CACHE"] = str(base)
    copy, count = unpacking._copy, 0

    def dies(*arguments: object) -> None:
        nonlocal count
        copy(*arguments)  # type: ignore[arg-type]
        count += 1
        if count == 2:
            os._exit(9)

    unpacking._copy = dies  # type: ignore[assignment]
    unpacked(archive)


def test_what_a_killed_process_left_is_removed_and_unpacked_again(pictures: Path, cache: Path):
    archive = packed(pictures, ".tar.gz")
    process = multiprocessing.get_context("spawn").Process(target=_killed, args=(archive, cache))
    process.start()
    process.join()
    assert process.exitcode == 9
    assert len([name for name in written(cache) if name.endswith(".png")]) == 2
    assert all(".partial" in name for name in written(cache))
    assert len(load(archive)) == 3
    assert not any(".partial" in name for name in written(cache))


@pytest.mark.parametrize("pack", [a_zip, a_tar])
@pytest.mark.parametrize("name", ["../out.png", "a/../../out.png", "/tmp/out.png", "a/..", "..\\out.png"])
def test_nothing_is_written_outside_of_its_folder(tmp_path: Path, cache: Path, pack: Pack, name: str):
    archive = pack(tmp_path / "x.archive.zip", {"a.png": b"x", name: b"x"})
    if pack is a_tar and "\\" in name:
        unpacked(archive)  # a plain name here, with a character that Windows takes for a separator
        return
    with pytest.raises(UserError, match=r"holds .*, a path outside of its folder: it is not unpacked") as error:
        load(archive)
    assert "\n" not in str(error.value)
    assert written(cache) == []
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_a_tar_are_left_out_and_told(pictures: Path, kind: bytes):
    archive = packed(pictures, ".tar")
    with tarfile.open(archive, "a") as content:
        info = tarfile.TarInfo("pictures/cat/z.png")
        info.type, info.linkname = kind, "/etc/passwd" if kind == tarfile.SYMTYPE else "pictures/cat/a.png"
        content.addfile(info)
        for name in ("pictures/up", "pictures/up/below.png"):  # a link, and a file that would be written through it
            info = tarfile.TarInfo(name)
            info.type, info.linkname = (tarfile.SYMTYPE, "../../..") if name.endswith("up") else (tarfile.REGTYPE, "")
            content.addfile(info)
    images = load(archive, skip_bad=True)
    assert len(images) == 3
    assert images.notes[0] == "2 links or devices in x.tar are left out, first: pictures/cat/z.png"
    folder = unpacked(archive).folder
    assert not any(file.is_symlink() or not (file.is_file() or file.is_dir()) for file in folder.rglob("*"))
    assert (folder / "up" / "below.png").is_file()


def test_links_in_a_zip_are_left_out_and_told(pictures: Path):
    archive = packed(pictures, ".zip")
    with zipfile.ZipFile(archive, "a") as content:
        info = zipfile.ZipInfo("pictures/cat/z.png")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        content.writestr(info, "/etc/passwd")
    images = load(archive)
    assert (len(images), images.notes) == (
        3,
        ("1 link or device in x.zip is left out, first: pictures/cat/z.png",),
    )


def test_separators_of_windows_and_what_finder_adds(tmp_path: Path):
    pixels = png(tmp_path / "a.png", 1)
    content = (tmp_path / "a.png").read_bytes()
    names = {"set\\cat\\a.png": content, "__MACOSX/set/cat/._a.png": b"x", "set/.DS_Store": b"x", "set\\dog\\": b""}
    archive = a_zip(tmp_path / "x.zip", names | {"set/dog/b.png": content, "set/dog/._b.png": b"x"})
    images = load(archive)
    assert images.classes == ("cat", "dog")
    np.testing.assert_array_equal(images.images[0], pixels)
    assert sorted(file.name for file in unpacked(archive).folder.rglob("*") if file.is_file()) == ["a.png", "b.png"]


def test_a_later_file_of_the_same_name_wins_as_tar_has_it(tmp_path: Path):
    png(tmp_path / "a.png", 1)
    second = png(tmp_path / "b.png", 2)
    with tarfile.open(tmp_path / "x.tar", "w") as content:
        content.add(tmp_path / "a.png", "set/a.png")
        content.add(tmp_path / "b.png", "set/a.png")
    np.testing.assert_array_equal(load(tmp_path / "x.tar").images[0], second)


@every_kind
def test_a_truncated_archive_is_named_and_leaves_nothing(pictures: Path, cache: Path, ending: str):
    archive = packed(pictures, ending)
    content = archive.read_bytes()
    whole = len(content) if ending != ".tar" else content.rstrip(b"\0").__len__()
    lengths = {1, 100, whole // 3, whole // 2, whole - 30, whole - 1}
    if ending == ".tar":
        lengths |= set(range(512, whole, 512))  # between two files, or behind a header
    for length in sorted(lengths):
        archive.write_bytes(content[:length])
        with pytest.raises(UserError, match=rf"x{ending} is damaged") as error:
            load(archive)
        assert "\n" not in str(error.value)
        assert "download it again" in str(error.value)
        assert written(cache) == []
    archive.write_bytes(b"")
    with pytest.raises(UserError, match=r"is damaged, or neither a \.zip nor a \.tar archive"):
        load(archive)


@pytest.mark.parametrize("ending", [".zip", ".tar", ".tar.gz"])
def test_a_changed_byte_is_noticed_where_the_archive_has_checksums(pictures: Path, cache: Path, ending: str):
    archive = packed(pictures, ending)
    content = bytearray(archive.read_bytes())
    header = content.index(b"pictures/dog") if ending == ".tar" else len(content) // 3
    content[header] ^= 1
    archive.write_bytes(content)
    with pytest.raises(UserError, match="is damaged"):
        load(archive)
    assert written(cache) == []


def test_a_file_that_is_no_archive(tmp_path: Path):
    for name, content in (("x.zip", b"no zip"), ("x.tar", b"no tar" * 500), ("x.gz", gzip.compress(b"text" * 500))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=rf"{name} is damaged, or neither a \.zip nor a \.tar archive"):
            load(tmp_path / name)


def test_a_single_compressed_file_is_to_be_unpacked(tmp_path: Path):
    (tmp_path / "x.h5.gz").write_bytes(gzip.compress(b"numbers"))
    with pytest.raises(UserError, match=r"x\.h5\.gz is a single compressed file: unpack it, .*, and pass x\.h5$"):
        load(tmp_path / "x.h5.gz")


@pytest.mark.parametrize("names", [["a_TRAIN.ts", "a_TEST.ts", "a.txt"], ["a.npy"]])
def test_an_archive_of_files_that_hold_a_data_set_each_says_what_to_do(names: list[str], tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name in names:
            archive.writestr(name, b"numbers")
    with pytest.raises(UserError, match="give that file itself$" if len(names) == 1 else "give one of them$"):
        load(tmp_path / "x.zip")


def test_what_is_wrong_in_an_archive_is_said_of_the_archive(tmp_path: Path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.txt").write_text("no image")
    archive = zipped(tmp_path / "set", tmp_path / "x.zip")
    with pytest.raises(UserError, match=f"^{archive} holds no images .* it has 1 .txt"):
        load(archive)
    png(tmp_path / "set" / "a.png", 1)
    (tmp_path / "set" / "b.png").write_bytes(b"x")
    with pytest.raises(UserError, match=r"1 of 2 images cannot be read, first: b\.png \(not an image\)"):
        load(zipped(tmp_path / "set", tmp_path / "x.zip"))


def test_an_encrypted_archive(tmp_path: Path):
    archive = a_zip(tmp_path / "x.zip", {"a.png": b"x"})
    content = bytearray(archive.read_bytes())
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + place] |= 1
    archive.write_bytes(content)
    with pytest.raises(
        UserError, match=r"cannot be unpacked here \(.*encrypted.*\): unpack it yourself and pass the fo"
    ):
        load(archive)


@every_kind
def test_room_is_looked_for_first(tmp_path: Path, cache: Path, ending: str, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "here" / "noise"
    folder.mkdir(parents=True)
    for i in range(3):  # each has room, and all together have none
        (folder / f"{i}.bin").write_bytes(np.random.default_rng(i).bytes(15_000))
    archive = packed(folder, ending)
    monkeypatch.setattr(unpacking.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 20_000}))
    monkeypatch.setattr(unpacking, "_copy", lambda *arguments: pytest.fail("nothing may be written"))
    with pytest.raises(
        UserError, match=r"GB unpacked, .*/unpacked has 0\.0 GB free: set DEEPINFOMAX_CACHE to a larger"
    ):
        load(archive)
    assert written(cache) == []


def test_room_is_looked_for_again_before_each_file(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch):
    archive = a_tar(tmp_path / "x.tar", {"a.png": b"x", "b.png": b"x" * 30000})
    monkeypatch.setattr(unpacking, "_size_unpacked", lambda archive: 0)  # of a .tar.gz it is known modulo 4 GiB
    monkeypatch.setattr(unpacking.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 20000}))
    with pytest.raises(UserError, match="GB free: set DEEPINFOMAX_CACHE"):
        load(archive)
    assert written(cache) == []


@pytest.mark.parametrize("size", [0, 10, 100_000])
def test_the_size_of_what_gzip_compressed(tmp_path: Path, size: int):
    (tmp_path / "x.gz").write_bytes(gzip.compress(bytes(size)))
    assert unpacking._size_unpacked(tmp_path / "x.gz") >= size
    noise = np.random.default_rng(0).bytes(size)
    (tmp_path / "x.gz").write_bytes(gzip.compress(noise))
    assert size <= unpacking._size_unpacked(tmp_path / "x.gz") < max(2 * size, 2**33)


def test_a_cache_that_cannot_be_written(pictures: Path, cache: Path):
    cache.write_text("a file where the folder belongs")
    with pytest.raises(
        UserError, match=r"x\.zip cannot be unpacked into .*: set DEEPINFOMAX_CACHE, or unpack it yours"
    ):
        load(packed(pictures, ".zip"))


@every_kind
def test_a_large_archive_shows_how_far_it_is(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "a" / "set").mkdir(parents=True)
    for i in range(4):
        (tmp_path / "a" / "set" / f"{i}.bin").write_bytes(np.random.default_rng(i).bytes(2**20))
    archive = packed(tmp_path / "a" / "set", ending)
    told: list[tuple[int, int | None]] = []
    monkeypatch.setattr(unpacking, "WORTH_A_BAR", 2**20)
    monkeypatch.setattr(progress, "_tell", lambda text, done, total: told.append((done, total)))
    shown: list[str] = []
    plain = progress.shown
    monkeypatch.setattr(progress, "shown", lambda what: shown.append(what) or plain(what, Console(quiet=True)))
    unpacked(archive)
    assert shown == [f"unpacking x{ending}"]
    assert {total for _, total in told} == {4}
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert len(told) >= 3


def test_a_file_is_copied_block_by_block(tmp_path: Path):
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz", compresslevel=1) as content:
        info = tarfile.TarInfo("large.bin")
        info.size = 2**27
        content.addfile(info, _Zeros(2**27))
    tracemalloc.start()
    unpacked(tmp_path / "x.tar.gz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**24


def test_headers_of_a_tar_archive_are_forgotten():
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as content:
        for i in range(8_000):
            content.addfile(tarfile.TarInfo(f"{i}.png"))
    packed.seek(0)
    tracemalloc.start()
    assert sum(1 for _ in unpacking._tar_members(packed, lambda: None)) == 8_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**22


def test_the_checksum_at_the_very_end_is_read(tmp_path: Path, cache: Path):
    """Also where the blocks that are read end exactly with the archive."""
    content = b"\0" * (5 * 2**20 - 2048)
    archive = tmp_path / "x.tar.gz"
    archive.write_bytes(gzip.compress(a_tar(tmp_path / "x.tar", {"a.bin": content}).read_bytes()))
    assert len(gzip.decompress(archive.read_bytes())) % 2**20 == 0
    damaged = bytearray(archive.read_bytes())
    damaged[-8] ^= 1
    archive.write_bytes(damaged)
    with pytest.raises(UserError, match="is damaged"):
        unpacked(archive)
    assert written(cache) == []


def test_a_file_of_another_length_than_the_archive_says(tmp_path: Path, cache: Path):
    archive = a_zip(tmp_path / "x.zip", {"a.png": b"x" * 100})
    content = bytearray(archive.read_bytes())
    for signature, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        content[content.index(signature) + place] = 200
    archive.write_bytes(content)
    with pytest.raises(UserError, match=r"is damaged or not complete"):
        unpacked(archive)
    assert written(cache) == []


@pytest.mark.parametrize("other_was_faster", [True, False])
def test_one_process_at_a_time_unpacks(pictures: Path, monkeypatch: pytest.MonkeyPatch, other_was_faster: bool):
    archive = packed(pictures, ".zip")
    events: list[str] = []
    unpack, lock = unpacking._unpack, unpacking.FileLock

    def told(*arguments: Path) -> tuple[str, ...]:
        events.append("unpacks")
        return unpack(*arguments)

    class Lock:
        def __init__(self, file: Path) -> None:
            assert file.name.endswith(".lock")

        def __enter__(self) -> None:
            if other_was_faster:  # while this process waited
                with monkeypatch.context() as other:
                    other.setattr(unpacking, "FileLock", lock)
                    unpacked(archive)
            events.append("locked")

        def __exit__(self, *_: object) -> None:
            events.append("free")

    monkeypatch.setattr(unpacking, "FileLock", Lock)
    monkeypatch.setattr(unpacking, "_unpack", told)
    unpacked(archive)
    assert events == (["unpacks", "locked", "free"] if other_was_faster else ["locked", "unpacks", "free"])


class _Zeros(io.RawIOBase):
    def __init__(self, left: int) -> None:
        self.left = left

    def read(self, size: int = -1) -> bytes:
        count = min(self.left, size)
        self.left -= count
        return bytes(count)
