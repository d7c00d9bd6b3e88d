"""The sheet: pictures stored once, labels by name, and a limit on the size of the file."""

import base64
import io
from pathlib import Path
from typing import Any

import fake_run
import numpy as np
import pytest
from PIL import Image

from deepinfomax.report import sheet as sheet_module
from deepinfomax.report.data_uris import SIDE, data_uri
from deepinfomax.report.neighbour_sheet import draw, save
from deepinfomax.report.reading import Gallery, Generated, Metrics, Reconstructions, Run, read
from deepinfomax.report.sheet import pairs, samples, sheet


def decoded(uri: str) -> tuple[str, np.ndarray]:
    kind, _, data = uri.partition(";base64,")
    return kind.removeprefix("data:image/"), np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


@pytest.mark.parametrize("channels", [1, 3])
def test_small_pictures_are_exact(channels: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (channels, 32, 24), dtype=np.uint8)
    kind, pixels = decoded(data_uri(image))
    assert kind == "png"
    np.testing.assert_array_equal(pixels if channels == 3 else pixels[..., None], np.moveaxis(image, 0, -1))


def test_large_pictures_are_shrunk_and_look_the_same() -> None:
    image = fake_run.patches(1, 200, np.random.default_rng(0))[0]
    kind, pixels = decoded(data_uri(image))
    assert kind == "jpeg"
    assert pixels.shape == (SIDE, SIDE, 3)
    assert abs(pixels.mean((0, 1)) - image.mean((1, 2))).max() < 3


@pytest.mark.parametrize("channels", [2, 4, 13])
def test_pictures_of_other_channels_show_the_first(channels: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (channels, 8, 8), dtype=np.uint8)
    _, pixels = decoded(data_uri(image))
    expected = image[0] if channels == 2 else np.moveaxis(image[:3], 0, -1)
    np.testing.assert_array_equal(pixels, expected)


def gallery_run(arrays: dict[str, np.ndarray], classes: Any = fake_run.CLASSES) -> Run:
    neighbours = {key.removeprefix("neighbours_"): rows for key, rows in arrays.items() if key.startswith("neigh")}
    gallery = Gallery(arrays["images"], arrays["query"], neighbours, arrays.get("labels"))
    return Run(Path("a"), gallery=gallery, metrics=Metrics(start=fake_run.start(data={"classes": classes})))


def test_every_picture_is_stored_once_and_shared_labels_are_counted() -> None:
    arrays = fake_run.gallery()
    found = sheet(gallery_run(arrays))
    assert found is not None
    assert len(found.queries) == 12
    shown = {int(p) for key, rows in arrays.items() if key.startswith("neigh") for p in rows.ravel()}
    assert set(found.pictures) == shown | set(arrays["query"].tolist())
    for level in ("conv", "fc", "y"):
        labels = arrays["labels"]
        same = sum(
            int(labels[near] == labels[query])
            for query, row in zip(arrays["query"], arrays[f"neighbours_{level}"], strict=True)
            for near in row
        )
        assert found.shared[level] == (same, 72)
    first = found.queries[0]
    assert first.number == 1
    assert first.picture.label == fake_run.CLASSES[arrays["labels"][arrays["query"][0]]]
    assert [p.position for p in first.neighbours["y"]] == arrays["neighbours_y"][0].tolist()


def test_labels_without_names_and_images_without_labels() -> None:
    arrays = fake_run.gallery(side=8)
    arrays["labels"][:] = 7
    arrays["labels"][arrays["query"][0]] = -1
    found = sheet(gallery_run(arrays))
    assert found is not None
    assert found.queries[0].picture.label == ""
    assert not any(p.same for p in found.queries[0].neighbours["y"])
    assert found.queries[1].picture.label == "class 7"
    assert found.shared["y"][1] == 11 * 6  # without that query, which shares its label with none
    unlabelled = sheet(gallery_run(fake_run.gallery(side=8, labelled=False)))
    assert unlabelled is not None
    assert unlabelled.shared == {}


def test_what_does_not_fit_is_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheet_module, "PICTURES", 60)
    found = sheet(gallery_run(fake_run.gallery()))
    assert found is not None
    assert len(found.pictures) <= 60
    assert len(found.queries) + found.left_out == 12
    assert found.left_out > 0


def test_no_gallery_no_sheet() -> None:
    assert sheet(Run(Path("a"))) is None
    arrays = fake_run.gallery(side=8)
    arrays |= {key: rows[:0] for key, rows in arrays.items() if key not in ("images", "labels")}
    assert sheet(gallery_run(arrays)) is None


def test_pairs_have_their_error() -> None:
    images = np.zeros((3, 1, 8, 8), np.uint8)
    made = images.copy()
    made[1] += 51  # a fifth of the range, everywhere
    found = pairs(Reconstructions(images, made))
    assert [pair.error for pair in found] == pytest.approx([0, 0.2, 0])
    assert not found[0].drawing
    assert pairs(None) == []
    of_numbers = pairs(Reconstructions(images, made, np.array([0.5, 1.5, 2.5])))  # drawings: pixels say nothing
    assert [pair.error for pair in of_numbers] == [0.5, 1.5, 2.5]
    assert of_numbers[0].drawing


def test_samples_are_the_runs_own() -> None:
    made = np.zeros((40, 3, 8, 8), np.uint8)
    found = samples(Run(Path("a"), generated=Generated(samples=made)))
    assert found is not None
    assert len(found.images) == 32
    assert found.exact
    assert samples(Run(Path("a"))) is None


def test_names_are_no_formulas() -> None:
    images = np.zeros((3, 3, 8, 8), dtype=np.uint8)
    odd = ("$a", "\\frac{$", "_b$")
    figure = draw(images, np.array([0]), {"run $x^": np.array([[1, 2]])}, np.arange(3), odd)
    figure.canvas.draw()


def test_queries_come_first_and_are_open_at_first(tmp_path: Path) -> None:
    run = read(fake_run.write_run(tmp_path / "run"))
    found = sheet(run)
    assert found is not None
    assert [query.asked for query in found.queries] == [True] * 2 + [False] * 12
    assert found.first == 1
    first = found.queries[0]
    assert (first.picture.name, first.picture.path) == ("my photo.jpg", "a/my photo.jpg")
    assert {picture.path.split("/")[0] for picture in first.neighbours["y"]} <= {"holiday", "IMG_17.png"}
    assert run.queries is not None
    assert run.gallery is not None
    # Queries and samples are two galleries: a position stands for one picture.
    assert found.pictures[first.picture.position] == data_uri(run.queries.images[0])
    for query, position in zip(found.queries[2:], run.gallery.query, strict=True):
        assert query.picture.position == position
        assert found.pictures[position] == data_uri(run.gallery.images[position])
    # Only samples count for the share of their own class.
    assert found.shared["y"][1] == 12 * 6


def test_the_sample_that_is_open_at_first_is_typical() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    # Of the queries 0, 4 and 1, none, both and one neighbour have their own label: half is the mean.
    nearest = np.array([[4, 5], [6, 7], [0, 5]])
    arrays = {"images": np.zeros((8, 1, 4, 4), np.uint8), "query": np.array([0, 4, 1]), "labels": labels}
    found = sheet(gallery_run(arrays | {"neighbours_y": nearest}))
    assert found is not None
    assert found.first == 3
    del arrays["labels"]
    found = sheet(gallery_run(arrays | {"neighbours_y": nearest}))
    assert found is not None
    assert found.first == 1


def test_pictures_are_drawn_with_their_names() -> None:
    arrays = fake_run.queries()
    names = [f"{i}.jpg" for i in range(len(arrays["images"]))]
    figure = draw(arrays["images"], arrays["query"], {"y": arrays["neighbours_y"]}, names=names)
    written = {text.get_text() for axes in figure.axes for text in axes.texts}
    shown = {*arrays["query"].tolist(), *arrays["neighbours_y"].ravel().tolist()}
    assert {f"{i}.jpg" for i in shown} <= written


def test_a_class_in_chinese_is_drawn_without_a_warning(tmp_path: Path) -> None:
    images = np.zeros((4, 3, 8, 8), np.uint8)
    figure = draw(images, np.array([0]), {"猫": np.array([[1, 2]])}, np.zeros(4, int), ("猫",))
    save(figure, tmp_path / "sheet.png")  # warnings are errors in these tests
    assert (tmp_path / "sheet.png").stat().st_size > 0
