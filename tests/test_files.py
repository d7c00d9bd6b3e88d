from pathlib import Path

import pytest

from deepinfomax import files


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
