import os
from pathlib import Path

import pytest

from deepinfomax import files
from deepinfomax.encoders import storage
from deepinfomax.errors import UserError
from deepinfomax.report import reading
from deepinfomax.training import run_folder


def test_what_was_written_takes_the_place_of_the_file_and_nothing_else_stays(tmp_path: Path) -> None:
    path = tmp_path / "new" / "evaluation.json"
    files.write_text(path, "one")
    files.write_text(path, "two é")
    assert path.read_bytes() == "two é".encode()
    assert list(path.parent.iterdir()) == [path]


def test_after_an_error_the_file_is_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "gallery.npz"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), files.replacing(path) as partial:  # noqa: PT012
        assert partial.suffix == ".npz"  # numpy adds the suffix to a name without it
        partial.write_bytes(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_that_waits_at_the_name_of_the_unfinished_file_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda _: "guessed")
    (tmp_path / "victim").write_text("precious")
    (tmp_path / ".e.guessed.partial.txt").symlink_to(tmp_path / "victim")
    with pytest.raises(FileExistsError):
        files.write_text(tmp_path / "e.txt", "other")
    assert (tmp_path / "victim").read_text() == "precious"


def test_a_pipe_or_a_device_is_not_replaced(tmp_path: Path) -> None:
    """Root may put a file in the place of /dev/null, and everything else that writes there would fill the disk."""
    os.mkfifo(tmp_path / "pipe")
    for refuse in (files.check_place, lambda path: files.write_text(path, "text")):
        with pytest.raises(UserError, match="pipe is a pipe or a device, and no file: give another name"):
            refuse(tmp_path / "pipe")
    assert [path.is_fifo() for path in tmp_path.iterdir()] == [True]


def test_an_error_of_the_file_system_names_the_file_that_is_replaced(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space") as error, files.replacing(tmp_path / "x.npz"):
        raise OSError(28, "No space left on device")
    assert error.value.filename == str(tmp_path / "x.npz")
    with pytest.raises(OSError, match="No space") as error, files.replacing(tmp_path / "x.npz") as partial:
        raise OSError(28, "No space left on device", "source.npz", None, str(partial))  # as a copy to a full disk says
    assert (error.value.filename, error.value.filename2) == (str(tmp_path / "x.npz"), None)
    with pytest.raises(FileNotFoundError) as error, files.replacing(tmp_path / "in" / "x.npz") as partial:  # noqa: PT012
        partial.unlink()
        partial.parent.rmdir()  # the folder vanishes while it is written
    assert error.value.filename == str(tmp_path / "in" / "x.npz")


def test_one_flipped_bit_or_another_files_content_is_not_what_was_written(tmp_path: Path) -> None:
    path, other = tmp_path / "evaluation.json", tmp_path / "config.toml"
    files.write_text(path, "unknown to any journal")
    assert files.as_written(path)
    files.begin_journal(tmp_path)
    assert files.as_written(path)
    files.write_text(path, "first")
    first = path.read_bytes()
    files.write_text(path, "second")
    files.write_text(other, "another file")
    assert files.as_written(path)
    path.write_bytes(first)  # a backup put back is what was once written
    assert files.as_written(path)
    path.write_bytes(bytes([first[0] ^ 1]) + first[1:])
    assert not files.as_written(path)
    path.write_bytes(other.read_bytes())
    assert not files.as_written(path)
    assert files.as_written(path, "config.toml")
    (tmp_path / files.JOURNAL).write_bytes(b"\xff\0\n no lines of a journal")
    assert files.as_written(path)


def test_a_killed_process_leaves_either_file_known_to_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.toml"
    files.begin_journal(tmp_path)
    files.write_text(path, "old")
    monkeypatch.setattr(Path, "replace", lambda *_: pytest.fail("killed here"))
    with pytest.raises(pytest.fail.Exception):
        files.write_text(path, "new")
    assert path.read_text() == "old"
    assert files.as_written(path)


def test_unfinished_files_of_long_ago_are_removed_and_young_ones_stay(tmp_path: Path) -> None:
    old, young = tmp_path / ".gallery.1.partial.npz", tmp_path / ".gallery.2.partial.npz"
    for file in (old, young, tmp_path / ".lock"):
        file.touch()
    os.utime(old, (0, 0))
    files.remove_abandoned(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == [young.name, ".lock"]


@pytest.mark.parametrize("name", ["metrics.jsonl", "encoder.json", "checkpoint/state.safetensors"])
def test_a_pipe_in_a_run_folder_is_refused_and_not_opened(tmp_path: Path, name: str) -> None:
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "config.toml").touch()
    (tmp_path / "gone").symlink_to("nowhere")
    files.check_plain(tmp_path)
    files.check_plain(tmp_path / "config.toml")
    os.mkfifo(tmp_path / name)
    for read in (files.check_plain, storage.load, reading.read, run_folder.hold):
        with pytest.raises(UserError, match=f"{name} is a pipe or a device, and no file: move it away"):
            read(tmp_path)
