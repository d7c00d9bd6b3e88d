from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepinfomax import plugins
from deepinfomax.data import (
    Columns,
    Format,
    ImageSet,
    all_formats,
    describe_readable,
    formats,
    from_array,
    load,
    render_description,
)
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
        *(".h5", ".hdf5", ".hdf", ".tif", ".tiff", ".ts", ".arff", ".nii", ".nii.gz", ".dcm", ".dicom", ".ima"),
        *(".wav", ".flac", ".ogg", ".zip", ".tar", ".tgz", ".gz"),
    }


def test_the_documentation_names_every_ending_and_the_embedded_sets_have_no_columns():
    text = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    assert all(f"`{suffix}`" in text for suffix in formats.suffixes())
    with pytest.raises(UserError, match="digits has no columns"):
        load("digits", label="y")


GREY = np.random.default_rng(0).integers(16, 256, (3, 1, 4, 4), dtype=np.uint8)


def brings(monkeypatch: pytest.MonkeyPatch, **records: Any) -> None:
    """Makes these the formats of other packages, in this order."""
    points = {name: EntryPoint(name, name, "deepinfomax.data") for name in records}
    monkeypatch.setattr(EntryPoint, "load", lambda point: records[point.name])
    monkeypatch.setattr(plugins, "_plugins", lambda kind: points if kind == "data" else {})
    monkeypatch.setattr(formats._REGISTRY, "_loaded", {})


def marked(mark: int, *suffixes: str, **more: Any) -> Format:
    """A format whose images are all `mark`."""
    images = np.full((2, 1, 4, 4), mark, np.uint8)
    return Format(f"marked {mark}", "", lambda path, columns: {"train": lambda: ImageSet(images)}, suffixes, **more)


def test_an_ending_may_have_two_dots_and_the_longer_one_says_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    brings(monkeypatch, a=marked(50, ".raw", ".npy"), b=marked(60, ".mgh.gz"), c=marked(70, ".raw"))
    for name in ("x.raw", "x.MGH.gz", ".raw", "x.npy", "x.gz"):
        (tmp_path / name).write_bytes(b"")
    assert load(tmp_path / "x.raw").images.max() == 50  # of two that are as long, the first
    assert load(tmp_path / "x.MGH.gz").images.max() == 60
    with pytest.raises(UserError, match="files must be"):
        load(tmp_path / ".raw")  # a hidden file without an ending
    with pytest.raises(UserError, match="cannot be read as a NumPy array"):
        load(tmp_path / "x.npy")  # an ending of the library stays the library's
    with pytest.raises(UserError, match=r"x\.gz is damaged"):
        load(tmp_path / "x.gz")
    with pytest.raises(UserError, match=r"there is no nowhere/x\.mgh\.gz"):
        load("nowhere/x.mgh.gz")  # a mistyped path, no name on the hub


def test_a_format_called_folder_is_not_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = Format("folder", "", marked(90, ".x").read, folder=lambda path: (path / "mark").exists())
    brings(monkeypatch, own=own)
    (tmp_path / "mark").touch()
    assert load(tmp_path).images.max() == 90


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"suffixes": ".raw"}, r"suffixes as a tuple of endings .*, not '\.raw'"),
        ({"suffixes": ("raw",)}, "suffixes as a tuple of endings in small letters"),
        ({"suffixes": (".RAW",)}, "suffixes as a tuple of endings in small letters"),
        ({"suffixes": ()}, "needs a function that reads it, and suffixes of files or a function for folders"),
        ({"read": None}, "needs a function that reads it"),
        ({"suffixes": (), "folder": "scans"}, "needs as `folder` a function"),
    ],
)
def test_an_incomplete_format_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        Format(**({"name": "raw", "title": "", "read": read_raw, "suffixes": (".raw",)} | changes))


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        (ImageSet(GREY), "must return a dictionary {'train': function, ...}, each function without arguments"),
        ({"train": ImageSet(GREY)}, "must return a dictionary"),
        ([lambda: ImageSet(GREY)], "must return a dictionary"),
        ({1: lambda: ImageSet(GREY)}, "must return a dictionary"),
        ({"train": lambda: GREY}, "x.own: the format 'own' gives a ndarray as its part 'train'"),
        ({"train": lambda: ImageSet(GREY[:, 0])}, "x.own has shape (3, 4, 4): images are (N, C, H, W) uint8"),
        ({"train": lambda: ImageSet(GREY.astype(complex))}, "x.own: images are complex128; they must be real numbers"),
        ({"train": lambda: ImageSet(np.zeros((3, 4)))}, "x.own has shape (3, 4): images are (N, C, H, W)"),
    ],
)
def test_what_a_format_must_give_is_said_in_one_line(
    parts: Any, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    brings(monkeypatch, own=Format("own", "", lambda path, columns: parts, (".own",)))
    (tmp_path / "x.own").touch()
    for read in (load, describe_readable):
        with pytest.raises(UserError) as raised:
            read(tmp_path / "x.own")
        assert says in str(raised.value)
        assert "\n" not in str(raised.value)


def test_a_format_may_give_floats_of_any_shape_and_they_are_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    series = ImageSet(np.random.default_rng(0).normal(size=(3, 7, 50)).astype(np.float32))
    brings(monkeypatch, own=Format("own", "", lambda path, columns: {"train": lambda: series}, (".own",)))
    (tmp_path / "x.own").touch()
    assert load(tmp_path / "x.own").shape == (7, 50)
    assert "3 series of 7 channels and 50 steps (shape 7x50), float32" in render_description(
        describe_readable(tmp_path / "x.own")
    )


def test_a_broken_format_is_told_where_nothing_reads_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    brings(monkeypatch, own=marked(50, ".own"), bad=function, worse=function)
    (tmp_path / "x.else").touch()
    for path in (tmp_path / "x.else", tmp_path):
        with pytest.raises(
            UserError, match=r"; the format 'bad' of the package bad, bad, is a function.*1 more formats"
        ):
            load(path)
    (tmp_path / "x.own").touch()
    assert len(load(tmp_path / "x.own")) == 2


def function() -> None: ...
