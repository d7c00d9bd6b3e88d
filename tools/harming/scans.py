"""Malformed files of science, and tables of numbers, given to the commands that read them."""

import sys
from pathlib import Path

import numpy as np

from harming.running import Place
from harming.spoiling import spoilt
from harming.things import SMALL

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))  # which makes a sound file of each format


def scans(folder: Path, place: Place) -> tuple[str, ...]:
    """One file of a sound data set of HDF5, NIfTI, DICOM, audio, Zarr, ... is spoilt."""
    import other_files

    name = place.rng.choice([name for name in other_files.FORMATS if name not in ("npy", "npz", "parquet")])
    (folder / "d").mkdir()
    given, _ = other_files.FORMATS[name](folder / "d")
    files = sorted(path for path in (folder / "d").rglob("*") if path.is_file() and path.stat().st_size)
    file = place.rng.choice(files)
    content, how = spoilt(file.read_bytes(), place)
    file.write_bytes(content)
    kind = ("data.kind", "volumes") if name == "tiff_volumes" else ()
    window = ("data.window", "0.08") if name == "audio" else ()
    given = given.relative_to(folder)
    words = (
        ("data", given, "--json", *kind, *window),
        ("train", given, "--out", "new", *SMALL[:2], "training.steps", "2", "training.batch_size", "4", *kind, *window),
    )
    return f"{name}: {file.relative_to(folder)}: {how}", *map(str, words[place.rng.random() < 0.3])


CELLS = ("", "nan", "x", "1e400", "-", "1,5", "1.5.5", '"', "\x00", "2024-01-01", "true", "9" * 40, "名", " 3 ")


def columns(folder: Path, place: Place) -> tuple[str, ...]:
    """A CSV of numbers with odd separators, headers, cells, rows and damage."""
    rng = np.random.default_rng(place.rng.randrange(2**32))
    separator = place.rng.choice((",", ";", "\t", "|", " "))
    names = place.rng.choice((["a", "b", "label"], ["a", "a", "label"], ["", "b", "label"], ["1", "2.5", "3"], ["a"]))
    rows = [[f"{value:.4f}" for value in row] for row in rng.normal(size=(80, 3))]
    for i, row in enumerate(rows):
        row[2] = str(i % 3)
    for _ in range(place.rng.choice((0, 1, 5))):
        rows[place.rng.randrange(80)][place.rng.randrange(3)] = place.rng.choice(CELLS)
    if place.rng.random() < 0.3:
        rows[place.rng.randrange(80)] = place.rng.choice(([], [""] * 3, ["1"], ["1"] * 9))
    text = place.rng.choice(("\n", "\r\n")).join(separator.join(cells) for cells in (names, *rows))
    content = text.encode(place.rng.choice(("utf-8", "utf-8-sig", "utf-16", "latin-1")), "replace")
    said = f"{names} by {separator!r}"
    if place.rng.random() < 0.3:
        content, how = spoilt(content, place)
        said += f", {how}"
    (folder / "t.csv").write_bytes(content)
    readers = (
        ("estimate-mi", "t.csv", "--matrix", "--json"),
        ("estimate-mi", "t.csv", "--y", "label", "--drop-missing", "--json"),
        ("estimate-mi", "t.csv", "--x", "a", "--y", "b", "--estimator", "ksg"),
        ("evaluate", "t.csv", "--measures", "knn", "--scale", "smoke"),
    )
    return said, *place.rng.choice(readers)
