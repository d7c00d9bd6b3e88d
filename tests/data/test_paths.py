import hashlib
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from deepinfomax.data import loading, stored
from deepinfomax.data.formats import folder as folders
from deepinfomax.data.formats import read_path
from deepinfomax.data.listed import of_files
from deepinfomax.data.loading import has_test_part, suggested_holdout
from deepinfomax.data.paths import PathTable

PATHS = [Path("a/b/x.png"), Path("a/ü.png"), Path("a/b/y.png"), Path("/z"), Path("plain.jpg"), Path("../up.jpg")]


def test_a_table_is_the_same_paths():
    table = PathTable(PATHS)
    assert list(table) == PATHS
    assert len(table) == len(PATHS)
    assert [table[i] for i in range(-6, 6)] == PATHS + PATHS
    assert table[1:4] == PATHS[1:4]
    assert table[::-2] == PATHS[::-2]
    assert [table.folders[number] for number in table.folder_of] == [path.parent for path in PATHS]
    with pytest.raises(IndexError):
        table[6]


def test_names_that_are_no_utf8_come_back():
    path = Path(os.fsdecode(b"a/\xff.png"))
    assert list(PathTable([path])) == [path]


def test_a_path_takes_forty_bytes():
    tracemalloc.start()
    table = PathTable()
    for i in range(20_000):
        table.add(Path("folder") / str(i % 10), f"n01440764_{i:05}.JPEG")
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size / len(table) < 45


def test_files_are_asked_when_the_cache_needs_it_and_no_sooner(tmp_path: Path, draw, monkeypatch: pytest.MonkeyPatch):
    """Listing for the parts, for a fraction to hold out and for names reads no file's times."""
    for seed in range(12):
        draw(tmp_path / "ab"[seed % 2] / f"{seed}.png", seed)
    asked: list[bytes] = []
    stamp_of = stored.stamp_of
    monkeypatch.setattr("deepinfomax.data.listed.stamp_of", lambda path: asked.append(path) or stamp_of(path))
    walks: list[object] = []
    find = loading.find
    monkeypatch.setattr(loading, "find", lambda *told: walks.append(told) or find(*told))
    assert not has_test_part(tmp_path)
    assert suggested_holdout(tmp_path) is not None
    assert len(walks) == 2
    source = read_path(tmp_path)["train"]()
    assert asked == []
    digest = hashlib.sha256(os.fsencode(tmp_path.resolve()))
    for file in sorted(tmp_path.rglob("*.png")):
        digest.update(b"\n" + stored.stamp(file))
    assert source.identified() == digest.hexdigest()
    assert len(asked) == 12


def test_a_file_that_is_not_there_has_a_stamp(tmp_path: Path):
    missing = of_files(tmp_path, [tmp_path / "none.png"], None, (), ())
    before = missing.identified()
    (tmp_path / "none.png").touch()
    assert missing.identified() != before


def test_labels_are_those_of_each_path_alone(tmp_path: Path, draw):
    """Folder by folder as path by path, also where files lie before, between and behind folders."""
    for name in ("b/2.png", "a/deep/1.png", "a/0.png", "c/x/y/3.png"):
        draw(tmp_path / name)
    files = folders.image_files(tmp_path)
    assert [file.relative_to(tmp_path).as_posix() for file in files] == [
        "a/0.png",
        "a/deep/1.png",
        "b/2.png",
        "c/x/y/3.png",
    ]
    source = read_path(tmp_path)["train"]()
    np.testing.assert_array_equal(source.labels, [0, 0, 1, 2])
    assert source.classes == ("a", "b", "c")
    draw(tmp_path / "aa.png")
    assert read_path(tmp_path)["train"]().labels is None


def test_links_that_lead_to_themselves_are_left(tmp_path: Path, draw):
    draw(tmp_path / "images" / "a.png")
    (tmp_path / "images" / "loop").symlink_to("loop")
    (tmp_path / "images" / "back").symlink_to(tmp_path / "images")
    assert len(read_path(tmp_path / "images")["train"]()) == 1
