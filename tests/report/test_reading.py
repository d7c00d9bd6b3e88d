"""Every file of a run may be missing, cut short or wrong; what is readable is read."""

import json
import struct
import zipfile
from pathlib import Path

import fake_run
import numpy as np
import pytest

from deepinfomax.errors import UserError
from deepinfomax.report import page
from deepinfomax.report.reading import Steps, at, number, read


def only(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_a_complete_run(tmp_path: Path) -> None:
    run = read(fake_run.write_run(tmp_path / "run"))
    assert run.config["objective"]["local"]["bound"] == "infonce"
    assert run.metrics.start["parameters"] == 4922432
    assert [entry["step"] for entry in run.metrics.steps] == list(range(20, 2001, 20))
    assert run.metrics.end["seconds"] == 402.7
    assert run.evaluation["measures"]["knn"]["y"]["accuracy"] == 0.57
    assert run.gallery is not None
    assert run.gallery.neighbours["fc"].shape == (12, 6)
    assert run.sample is not None
    assert run.sample.shape == (1000, 64)
    assert run.reconstructions is not None
    assert run.unreadable == {}


@pytest.mark.parametrize("make", ["nothing", "file", "empty", "other"])
def test_no_run_is_one_line(tmp_path: Path, make: str) -> None:
    folder = tmp_path / "there"
    if make == "file":
        folder.write_text("")
    elif make != "nothing":
        folder.mkdir()
    if make == "other":
        (folder / "holiday.jpg").write_bytes(b"")
    with pytest.raises(UserError) as error:
        read(folder)
    assert "there" in str(error.value)
    assert "deepinfomax train" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_killed_run_keeps_its_whole_lines(tmp_path: Path) -> None:
    lines = fake_run.metrics_lines(200, ended=False)
    cut = "\n".join(lines)[:-40]
    run = read(only(tmp_path / "run", "metrics.jsonl", cut))
    assert [entry["step"] for entry in run.metrics.steps] == list(range(20, 181, 20))
    assert run.metrics.end == {}
    assert run.unreadable == {}


def test_a_step_written_twice_counts_once(tmp_path: Path) -> None:
    lines = [{"event": "step", "step": 20, "loss": 3.0}, {"event": "step", "step": 40, "loss": 2.0}]
    lines += [{"event": "step", "step": 20, "loss": 1.0}]  # written again after a resume
    run = read(only(tmp_path / "run", "metrics.jsonl", "\n".join(map(json.dumps, lines))))
    assert [(entry["step"], entry["loss"]) for entry in run.metrics.steps] == [(20, 1.0), (40, 2.0)]


def test_no_steps_come_to_an_end() -> None:
    none = Steps()
    assert list(none) == []
    assert none == Steps.of([])
    assert none[:3] == []
    assert [entry["step"] for entry in reversed(Steps.of([{"step": 2}, {"step": 1}]))] == [2, 1]
    for place in (0, -1):
        with pytest.raises(IndexError):
            none[place]


def test_lines_of_another_kind_are_passed_over(tmp_path: Path) -> None:
    strange = ["[1, 2]", '"text"', "", '{"event": "step"}', '{"event": "step", "step": "five"}', "nonsense"]
    strange += ['{"event": "note", "step": 3}', '{"event": "step", "step": 7, "new": [1]}']
    run = read(only(tmp_path / "run", "metrics.jsonl", "\n".join(strange)))
    assert [entry["step"] for entry in run.metrics.steps] == [7]


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("config.toml", "= 3", "Invalid"),
        ("evaluation.json", '{"measures": {"knn"', "delimiter"),
        ("evaluation.json", "[]", "it has no 'measures'"),
        ("evaluation.json", '{"schema": 9, "measures": {}}', "schema is 9"),
        ("gallery.npz", "not a zip file", ""),
        ("embeddings_sample.npz", "", ""),
        ("reconstructions.npz", "PK\x03\x04 and no more", ""),
    ],
)
def test_an_unreadable_file_is_named_and_the_rest_is_read(tmp_path: Path, name: str, text: str, why: str) -> None:
    folder = fake_run.write_run(tmp_path / "run")
    run = read(only(folder, name, text))
    assert list(run.unreadable) == [name]
    assert why in run.unreadable[name]
    assert run.metrics.steps


@pytest.mark.parametrize("errors", [np.zeros(3, np.float32), np.zeros(4, np.int64)])
def test_errors_of_drawings_are_one_number_an_image(tmp_path: Path, errors: np.ndarray) -> None:
    folder = fake_run.write_run(tmp_path / "run")
    pictures = np.zeros((4, 3, 8, 8), np.uint8)
    for given, why in ((np.ones(4, np.float32), None), (errors, f"errors are {errors.dtype} of shape {errors.shape}")):
        np.savez(folder / "generated.npz", images=pictures, reconstructions=pictures, errors=given)
        run = read(folder)
        if why is None:
            assert run.generated.reconstructions is not None
            np.testing.assert_array_equal(run.generated.reconstructions.errors, given)
        else:
            assert why in run.unreadable["generated.npz"]


def test_pickled_objects_are_refused(tmp_path: Path) -> None:
    folder = only(tmp_path / "run", "config.toml", "")
    np.savez(folder / "embeddings_sample.npz", y=np.array([{"a": 1}], dtype=object))
    assert "allow_pickle=False" in read(folder).unreadable["embeddings_sample.npz"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"images": np.zeros((4, 8, 8), np.uint8)}, "not uint8 pictures"),
        ({"images": np.zeros((400, 3, 8, 8), np.float32)}, "not uint8 pictures"),
        ({"query": np.arange(12.0)}, "positions"),
        ({"query": np.arange(11)}, "12 rows for 11 queries"),
        ({"neighbours_y": np.full((12, 6), 400)}, "outside the 400 images"),
        ({"neighbours_y": np.full((12, 6), -1)}, "outside the 400 images"),
        ({"labels": np.zeros((400, 5), np.int64)}, "one whole number for each"),
    ],
)
def test_a_gallery_that_does_not_fit_together(tmp_path: Path, change: dict[str, np.ndarray], why: str) -> None:
    folder = only(tmp_path / "run", "config.toml", "")
    np.savez(folder / "gallery.npz", **(fake_run.gallery(side=8) | change))
    run = read(folder)
    assert run.gallery is None
    assert why in run.unreadable["gallery.npz"]


def test_a_gallery_may_lack_labels_and_levels(tmp_path: Path) -> None:
    folder = only(tmp_path / "run", "config.toml", "")
    arrays = fake_run.gallery(side=8, labelled=False)
    del arrays["neighbours_fc"]
    np.savez(folder / "gallery.npz", **arrays)
    gallery = read(folder).gallery
    assert gallery is not None
    assert gallery.labels is None
    assert list(gallery.neighbours) == ["conv", "y"]


def test_several_globals_are_samples_of_their_own(tmp_path: Path) -> None:
    folder = only(tmp_path / "run", "config.toml", "")
    y = np.random.default_rng(0).standard_normal((10, 4, 3)).astype(np.float32)
    y[2, 1, 0] = np.nan  # of a run that diverged: the row goes, the others stay
    np.savez(folder / "embeddings_sample.npz", y=y)
    sample = read(folder).sample
    assert sample is not None
    rows = [y[n, :, m] for n in range(10) for m in range(3) if np.isfinite(y[n, :, m]).all()]
    assert len(rows) == 29
    np.testing.assert_array_equal(sample, np.stack(rows).astype(np.float64))


def test_at_and_number() -> None:
    tree = {"a": {"b": {"c": 1}}, "x": 3}
    assert at(tree, "a", "b", "c") == 1
    assert at(tree, "x", "b") is None
    assert at(None, "a") is None
    assert number(True) is None
    assert number("3") is None
    assert number(float("nan")) is None
    assert number(3) == 3.0


def npz(file: Path, header: str) -> bytes:
    """An archive whose only array has that header."""
    words = header.encode() + b"\n"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("images.npy", b"\x93NUMPY\1\0" + struct.pack("<H", len(words)) + words + b"x" * 100)
    return file.read_bytes()


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("gallery.npz", "{'descr': '|u1'", ""),
        ("gallery.npz", "{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000, 3, 32, 32), }", ""),
        ("config.toml", "a = " + "[" * 5000 + "]" * 5000, "nested too deep"),
        ("evaluation.json", "[" * 100_000, "nested too deep"),
    ],
)
def test_a_malformed_file_is_named_whatever_error_it_makes(tmp_path: Path, name: str, content: str, why: str) -> None:
    folder = fake_run.write_run(tmp_path / "run")
    (folder / name).write_bytes(npz(tmp_path / "t.npz", content) if name.endswith("npz") else content.encode())
    page.write(folder)
    assert why in read(folder).unreadable[name]


@pytest.mark.parametrize("line", ["[" * 100_000, '{"event": "step", "step": 1' + "0" * 400 + "}", "5", "\0"])
def test_a_malformed_line_is_passed_over(tmp_path: Path, line: str) -> None:
    folder = fake_run.write_run(tmp_path / "run")
    whole = read(folder).metrics
    with (folder / "metrics.jsonl").open("a", encoding="utf-8") as lines:
        lines.write(line + "\n")
    assert read(folder).metrics == whole


@pytest.mark.parametrize(
    "measures", ['{"knn": {"accuracy": 0.5, "std": -1}}', '{"a\\ud800": {"accuracy": 0.5}}'], ids=["std", "surrogate"]
)
def test_odd_figures_still_make_a_page(tmp_path: Path, measures: str) -> None:
    folder = fake_run.write_run(tmp_path / "run")
    (folder / "evaluation.json").write_text(f'{{"measures": {measures}}}', encoding="utf-8")
    assert page.write(folder).read_text(encoding="utf-8").startswith("<!")
