"""The gallery: pictures that the report can show, neighbours by the metric asked for."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from planted import Flat, images, make_encoder

from deepinfomax import encoders
from deepinfomax.data import load
from deepinfomax.data.images import ImageSet, normalise
from deepinfomax.errors import UserError
from deepinfomax.evaluation.embeddings import embed
from deepinfomax.evaluation.gallery import one_of_each, write_gallery
from deepinfomax.evaluation.neighbours import neighbours
from deepinfomax.evaluation.neighbours_command import _queries
from deepinfomax.evaluation.queries import Asked, as_records, search
from deepinfomax.report.reading import _gallery, _sample


@pytest.mark.parametrize(("metric", "name"), [("l1", "L1"), ("cosine", "cosine")])
def test_neighbours_are_by_the_metric_asked_for(tmp_path: Path, metric: str, name: str) -> None:
    data, encoder = images(30), Flat()
    write_gallery(encoder, data, tmp_path, count=4, metric=metric)
    found = _gallery(tmp_path / "gallery.npz")
    assert found.metric == name
    y = embed(encoder, data, levels=("y",))["y"]
    nearest = neighbours(y[torch.from_numpy(found.query)], y, 5, metric)[0].numpy()
    assert [row[row != own].tolist() for row, own in zip(nearest, found.query, strict=True)] == [
        row.tolist() for row in found.neighbours["y"]
    ]
    with pytest.raises(UserError, match="unknown metric 'l2'"):
        write_gallery(encoder, data, tmp_path, metric="l2")


def test_floats_are_shown_as_the_pixels_they_stand_for(tmp_path: Path) -> None:
    data = images(30)
    for name, one in {"pixels": data, "floats": replace(data, images=normalise(data.images).numpy())}.items():
        (tmp_path / name).mkdir()
        write_gallery(make_encoder()(), one, tmp_path / name)
    pixels, floats = (_gallery(tmp_path / name / "gallery.npz") for name in ("pixels", "floats"))
    np.testing.assert_array_equal(pixels.images, floats.images)


def test_what_cannot_be_drawn_has_a_sample_of_y_and_no_sheet(tmp_path: Path) -> None:
    data = ImageSet(np.random.default_rng(0).normal(size=(30, 9)).astype(np.float32))
    write_gallery(Flat(), data, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["embeddings_sample.npz"]
    assert _sample(tmp_path / "embeddings_sample.npz").shape == (30, 6)


@pytest.mark.parametrize("shape", [(2, 40), (1, 6, 6, 6), (5, 8, 8)])
def test_series_volumes_and_bands_are_drawn(tmp_path: Path, shape: tuple[int, ...]) -> None:
    data = ImageSet(np.random.default_rng(0).normal(size=(30, *shape)).astype(np.float32))
    write_gallery(Flat(), data, tmp_path)
    found = _gallery(tmp_path / "gallery.npz")
    assert (found.images.dtype, len(found.images)) == (np.uint8, 30)


def test_each_of_several_globals_is_a_sample_of_y_as_the_prior_sees_it(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = encoders.build("strided", (3, 32, 32), width=4, fc=8, y=6, globals="blocks").eval()
    data = images(10, side=32)
    write_gallery(encoder, data, tmp_path)
    with torch.no_grad():
        y = encoder(normalise(data.images)).y  # (10, 6, 25)
    found = _sample(tmp_path / "embeddings_sample.npz")
    np.testing.assert_allclose(found, y.transpose(1, 2).flatten(0, 1), atol=1e-5)


def test_only_the_bank_is_brought_to_what_the_encoder_takes(tmp_path: Path) -> None:
    seen = []

    def view(part: ImageSet) -> ImageSet:
        seen.append(len(part))
        return replace(part, images=part.images[:, :, 2:-2, 2:-2])

    write_gallery(make_encoder(side=12)(), images(50), tmp_path, bank=20, view=view)
    assert seen == [20]
    assert _gallery(tmp_path / "gallery.npz").images.shape == (20, 3, 12, 12)


def test_queries_of_unlabelled_images_are_drawn_from_all() -> None:
    drawn = [one_of_each(None, 1000, 12, np.random.default_rng(seed)) for seed in range(20)]
    assert all(len(set(d.tolist())) == 12 and (np.diff(d) > 0).all() for d in drawn)
    assert 400 < np.mean(drawn) < 600
    assert len({tuple(d) for d in drawn}) == 20


def test_images_without_a_label_are_no_class_of_the_queries() -> None:
    labels = np.repeat([-1, 0, 1], [90, 5, 5])
    assert sorted(labels[one_of_each(labels, 100, 4, np.random.default_rng(0))]) == [0, 0, 1, 1]


def test_small_distances_keep_their_digits() -> None:
    data = images(3)
    answers = search(
        Asked(data.take(slice(0, 1)), ("0",), (0,)),
        data,
        {"y": torch.tensor([[1.0, 0], [1, 2e-4], [1, 3e-4]])},
        {},
        ["a", "b", "c"],
        2,
        "cosine",
    )
    assert as_records(answers)[0]["y"]["distance"] == pytest.approx([2e-8, 4.5e-8], rel=1e-5)


def test_queries_of_what_is_no_picture_are_by_index(tmp_path: Path) -> None:
    data = ImageSet(np.random.default_rng(0).normal(size=(30, 2, 40)).astype(np.float32))
    np.testing.assert_array_equal(_queries(["3", "29"], data).pictures.images, data.images[[3, 29]])
    with pytest.raises(UserError, match=r"--query cat.jpg is no index, and data of 2x40 are no images: give an index"):
        _queries(["cat.jpg"], data)
    with pytest.raises(
        UserError, match=r"--query cat.jpg is a picture, and the data are none: give an index, or a file"
    ):
        _queries(["cat.jpg"], data, load)
