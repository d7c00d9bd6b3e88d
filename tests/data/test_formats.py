from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

from deepinfomax import plugins
from deepinfomax.data import Columns, Format, all_formats, formats, from_array, load
from deepinfomax.errors import UserError


def read_raw(file: Path, columns: Columns):
    pixels = np.frombuffer(file.read_bytes(), np.uint8).reshape(-1, 4, 4)
    return {"train": lambda: from_array(pixels, name=str(file))}


RAW = Format("raw", "4 x 4 bytes an image", read_raw, (".raw",))
BESIDE = Format(
    "scans",
    "a folder of scans",
    lambda path, columns: read_raw(path / "scans", columns),
    folder=lambda path: (path / "scans").is_file(),
)


@pytest.fixture
def _plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    points = {name: EntryPoint(name, f"{__name__}:{name.upper()}", "deepinfomax.data") for name in ("raw", "beside")}
    monkeypatch.setattr(plugins, "_plugins", lambda kind: points if kind == "data" else {})


@pytest.mark.usefixtures("_plugins")
def test_a_format_of_another_package_is_one_record(tmp_path: Path):
    pixels = np.random.default_rng(0).integers(16, 256, (3, 1, 4, 4), dtype=np.uint8)
    for file in (tmp_path / "a.RAW", tmp_path / "scans"):
        file.write_bytes(pixels.tobytes())
        np.testing.assert_array_equal(load(file if file.suffix else tmp_path).images, pixels)
    with pytest.raises(UserError, match=r"files must be .*\.raw;"):
        load(Path(__file__))
    with pytest.raises(UserError, match=r"a\.RAW has no columns; data\.image and data\.label"):
        load(tmp_path / "a.RAW", label="x")


def test_each_format_says_what_it_reads_and_the_plain_folder_comes_last():
    records = all_formats()
    assert records[-1].name == "folder"
    assert len({record.name for record in records}) == len(records)
    for record in records:
        assert record.title
        assert bool(record.suffixes) != (record.folder is not None)
    assert set(formats.suffixes()) == {
        *(".parquet", ".npy", ".npz", ".csv", ".tsv"),
        *(".zip", ".tar", ".tgz", ".gz"),
    }


def test_the_documentation_names_every_ending_and_the_embedded_sets_have_no_columns():
    text = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    assert all(f"`{suffix}`" in text for suffix in formats.suffixes())
    with pytest.raises(UserError, match="digits has no columns"):
        load("digits", label="y")
