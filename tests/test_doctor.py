"""`deepinfomax doctor` says what is here and what stands in the way, and changes nothing."""

import os
from pathlib import Path

import pytest

from deepinfomax import doctor


def test_it_says_what_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cifar10").mkdir()
    monkeypatch.setenv("DEEPINFOMAX_DATA", str(tmp_path))
    monkeypatch.setenv("DEEPINFOMAX_CACHE", str(tmp_path / "not" / "there" / "yet"))
    found = doctor.doctor()
    assert found["data"] == {"root": str(tmp_path), "there": True, "found": ["cifar10"]}
    assert found["cache"]["writable"]
    assert not (tmp_path / "not").exists()
    assert found["extras"]["test"]["pytest"] == doctor.version("pytest")
    assert all(str(found[name]) in found["text"] for name in ("torch", "python", "threads", "device"))


def test_it_says_what_stands_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPINFOMAX_DATA", str(tmp_path / "nowhere"))
    monkeypatch.setattr(doctor, "free", lambda: 5e8)
    monkeypatch.setattr(doctor, "cache", lambda: {"folder": "/x", "writable": False, "used_gb": 0, "free_gb": 9})
    monkeypatch.setattr(
        doctor.metadata, "requires", lambda name: ["numpy>=1", "nothing-of-that-name>=2; extra == 'onnx'"]
    )
    found = doctor.doctor()
    told = "\n".join(found["problems"])
    for words in ("which is no folder", "0.5 GB of memory", "set DEEPINFOMAX_CACHE"):
        assert words in told
    assert "without nothing-of-that-name: pip install 'deepinfomax[onnx]'" in found["text"]
    monkeypatch.undo()
    monkeypatch.setenv("DEEPINFOMAX_CACHE", "~nobody-of-that-name/x")
    assert doctor.cache()["problem"].startswith("decoded images cannot be kept")


def test_the_cache_is_measured_while_others_write_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "inside").mkdir()
    for name in ("a", "inside/b", "inside/gone"):
        (tmp_path / name).write_bytes(bytes(10_000_000))
    monkeypatch.setenv("DEEPINFOMAX_CACHE", str(tmp_path))
    sizes = Path.stat

    def removed_meanwhile(path: Path, **how: bool) -> os.stat_result:
        if path.name == "gone" and looked:
            raise FileNotFoundError(path)
        looked.append(path)
        return sizes(path, **how)

    looked: list[Path] = []
    monkeypatch.setattr(Path, "stat", removed_meanwhile)
    assert doctor.cache()["used_gb"] == 0.02
    monkeypatch.setenv("DEEPINFOMAX_CACHE", str(tmp_path / "a"))
    assert not doctor.cache()["writable"]
    assert "a cannot be written to: set DEEPINFOMAX_CACHE to a folder" in "\n".join(doctor.doctor()["problems"])
