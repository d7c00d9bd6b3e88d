"""Arrays that are no pictures: kept bit by bit, axes put in order, channels measured, what is missing filled."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deepinfomax.data import describe, from_array, load, render_description
from deepinfomax.data.arrays import Reading, axes_of
from deepinfomax.data.channels import Channels
from deepinfomax.data.images import ImageSet
from deepinfomax.encoders.standardised import Standardised
from deepinfomax.errors import UserError

RNG = np.random.default_rng(0)


def saved(tmp_path: Path, array: np.ndarray) -> Path:
    np.save(tmp_path / "x.npy", array)
    return tmp_path / "x.npy"


@pytest.mark.parametrize("kind", ["int16", "uint16", "uint32", "float32", "float64", ">f4", "float16"])
@pytest.mark.parametrize("shape", [(4, 2, 30), (4, 12, 9, 20), (4, 1, 8, 8, 8), (4, 20)])
def test_numbers_come_back_bit_by_bit_and_from_the_disk(tmp_path: Path, kind: str, shape: tuple[int, ...]):
    array = (RNG.random(shape) * 1000).astype(kind)
    kept = load(saved(tmp_path, array), cache_dir=tmp_path / "cache").images
    expected = array[:, None] if len(shape) == 2 else array
    assert kept.dtype == array.dtype
    assert kept.tobytes() == expected.tobytes()
    assert isinstance(kept.base, np.memmap) or isinstance(kept, np.memmap)
    assert not (tmp_path / "cache").exists()


#: shape and type of a file -> shape of the set
CASES = [
    ((4, 50), float, {}, (1, 50)),
    ((4, 6, 100), float, {}, (6, 100)),
    ((4, 100, 6), float, {}, (6, 100)),
    ((4, 28, 28), float, {}, (1, 28, 28)),
    ((4, 28, 40), np.uint16, {}, (1, 28, 40)),
    ((4, 28, 28), float, {"kind": "series", "layout": "channels-last"}, (28, 28)),
    ((4, 100, 6), float, {"layout": "channels-first"}, (100, 6)),
    ((4, 12, 16, 16), float, {}, (12, 16, 16)),
    ((4, 16, 16, 12), float, {}, (12, 16, 16)),
    ((4, 16, 16, 12), float, {"kind": "volumes"}, (1, 16, 16, 12)),
    ((4, 40, 64, 64), float, {}, (1, 40, 64, 64)),
    ((4, 40, 64, 64), float, {"layout": "channels-first"}, (40, 64, 64)),
    ((4, 2, 9, 10, 11), np.int16, {}, (2, 9, 10, 11)),
    ((4, 9, 10, 11, 2), np.int16, {}, (2, 9, 10, 11)),
    ((4, 9, 9, 9, 9), np.int16, {"layout": "channels-first"}, (9, 9, 9, 9)),
    ((4, 8, 8), np.uint8, {}, (1, 8, 8)),
    ((4, 3, 40), np.uint8, {"kind": "series"}, (3, 40)),
    ((4, 8, 8, 2), np.uint8, {}, (2, 8, 8)),
    ((4, 8, 8, 4), np.uint8, {}, (3, 8, 8)),
    ((4, 8, 8, 4), np.uint8, {"values": "kept"}, (4, 8, 8)),
]


@pytest.mark.parametrize(("shape", "kind", "settings", "expected"), CASES)
def test_what_the_axes_are(tmp_path: Path, shape: tuple, kind: Any, settings: dict[str, Any], expected: tuple):
    array = (RNG.random(shape) * 200 + 7).astype(kind)
    images = load(saved(tmp_path, array), **settings)
    assert images.shape == expected
    if images.images.dtype == array.dtype and array.size == images.images.size:  # not composited on white
        assert sorted(images.images.ravel().tolist()) == sorted(array.ravel().tolist())


def test_a_guess_is_told_with_the_setting_that_says_otherwise(tmp_path: Path):
    assert load(saved(tmp_path, RNG.normal(size=(4, 100, 6)))).notes == (
        "items of shape 100x6 are taken as series of 6 channels and 100 steps: the shorter axis holds the channels; "
        "data.kind or data.layout say otherwise, in Python kind= or layout= of from_array",
    )
    assert load(tmp_path / "x.npy", layout="channels-last").notes == ()
    moved = load(tmp_path / "x.npy").images
    np.testing.assert_array_equal(moved, np.load(tmp_path / "x.npy").transpose(0, 2, 1))


def test_what_nothing_fits():
    for settings in ({"kind": "images"}, {"kind": "volumes", "layout": "channels-first"}):
        with pytest.raises(UserError, match="items of shape 7, which fits nothing of"):
            axes_of((7,), Reading(**settings), "x")
    with pytest.raises(UserError, match="series of shape 9x9, which does not show where the channels are"):
        axes_of((9, 9), Reading(kind="series"), "x")


def test_floats_that_are_bytes_are_pictures_and_others_are_kept():
    pixels = RNG.integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    assert from_array((pixels / 255).astype(np.float32)).pictures
    unit = RNG.random((5, 8, 8, 3))
    images = from_array(unit)
    np.testing.assert_array_equal(images.images, unit.transpose(0, 3, 1, 2))
    assert from_array(unit, values="bytes").images.dtype == np.uint8
    assert not from_array(np.eye(4)[RNG.integers(0, 4, (5, 60))]).pictures  # one-hot letters
    with pytest.raises(UserError, match=r"for bytes they must lie in \[0, 1\]: data.values kept"):
        from_array(unit * 3, values="bytes")


def test_the_mean_and_the_deviation_of_each_channel():
    values = RNG.normal([[[5.0]], [[-2e6]], [[0.0]]], [[[1.0]], [[1e5]], [[1e-3]]], (700, 3, 40, 5)).transpose(
        0, 1, 2, 3
    )
    for kind in (np.float64, np.float32):
        images = ImageSet(values.astype(kind))
        channels = Channels.of(images)
        np.testing.assert_allclose(
            channels.mean, images.images.mean((0, 2, 3), dtype=np.float64), rtol=1e-9, atol=1e-12
        )
        np.testing.assert_allclose(channels.sd, images.images.std((0, 2, 3), dtype=np.float64), rtol=1e-9)
        out = channels(torch.from_numpy(images.images).float())
        np.testing.assert_allclose(out.mean((0, 2, 3)), 0, atol=1e-3)
        np.testing.assert_allclose(out.std((0, 2, 3)), 1, atol=1e-3)


def test_channels_are_measured_in_parts_as_in_one(monkeypatch: pytest.MonkeyPatch):
    drift = np.linspace(-3, 5, 70).reshape(70, 1, 1)  # so that the parts differ
    values = RNG.normal([[2.0], [-40.0]], [[1.0], [6.0]], (70, 2, 5)) + drift
    monkeypatch.setattr("deepinfomax.data.images.BLOCK", 30 * 2 * 5)  # 30, 30 and 10 rows
    channels = Channels.of(ImageSet(values))
    np.testing.assert_allclose(channels.mean, values.mean((0, 2)), rtol=1e-12)
    np.testing.assert_allclose(channels.sd, values.std((0, 2)), rtol=1e-12)


def test_what_channels_are_standardised_by_goes_to_the_device_once(monkeypatch: pytest.MonkeyPatch):
    channels = Channels((3.5, -2.0), (0.25, 7.0))
    first = channels(torch.ones(4, 2, 5))
    monkeypatch.setattr(torch, "tensor", None)
    np.testing.assert_array_equal(channels(torch.ones(4, 2, 5)), first)


def test_bytes_of_many_bands_are_measured_in_the_units_of_pictures():
    images = ImageSet(RNG.integers(0, 256, (20, 5, 8, 8), dtype=np.uint8))
    scaled = images.images / 127.5 - 1
    np.testing.assert_allclose(Channels.of(images).mean, scaled.mean((0, 2, 3)))
    encoder = Standardised(torch.nn.Identity(), Channels.of(images))
    np.testing.assert_allclose(encoder(torch.from_numpy(images.images)).std((0, 2, 3)), 1, atol=1e-3)


@pytest.mark.parametrize(
    ("channel", "message"),
    [
        (
            np.full((9, 40), 7.3),
            r"channel 1 of 2 is 7.3 everywhere in the training part; leave it out of the data, .* by np.delete\(x, 1,",
        ),
        (
            RNG.normal(1.7e9, 0.5, (9, 40)),
            "channel 1 of 2 lies around 1.7e.09 and varies by 0.5.*, which float32 cannot",
        ),
    ],
)
def test_channels_that_say_nothing(tmp_path: Path, channel: np.ndarray, message: str):
    array = np.stack([RNG.normal(size=(9, 40)), channel], 1)
    images = load(saved(tmp_path, array))
    with pytest.raises(UserError, match=message):
        Channels.of(images)
    assert re.search(message, describe(tmp_path / "x.npy").problems[-1])


def test_what_is_missing_is_refused_or_filled_and_told(tmp_path: Path):
    array = RNG.normal([[10.0], [-5.0]], size=(6, 2, 30))
    array[1, 0, 3:5] = np.nan
    array[4, 1, 0] = np.nan
    with pytest.raises(UserError, match="3 of 360 values, in 2 of 6, are NaN, first in number 1: set"):
        load(saved(tmp_path, array))
    images = load(tmp_path / "x.npy", missing="mean")
    expected = np.where(np.isnan(array), np.nanmean(array, (0, 2), keepdims=True), array)
    np.testing.assert_allclose(images.images, expected, rtol=1e-12)
    assert images.notes[-1] == "3 of 360 values, in 2 of 6, were NaN: the mean of their channel is in their place"
    known = load(tmp_path / "x.npy", missing=(1.0, 2.0))
    np.testing.assert_array_equal(known.images[1, 0, 3:5], [1, 1])
    assert known.images[4, 1, 0] == 2
    for other in ((1.0,), (1.0, 2.0, 3.0)):
        told = f"holds series of 2 channels and 30 steps, and data.missing has the numbers of {len(other)} channels"
        with pytest.raises(UserError, match=told):
            load(tmp_path / "x.npy", missing=other)
    array[:, 1] = np.nan
    with pytest.raises(UserError, match="channel 1 has no value at all"):
        load(saved(tmp_path, array), missing="mean")


def test_images_of_numbers_at_another_size(tmp_path: Path):
    array = RNG.normal(500, 20, (3, 2, 12, 10)).astype(np.uint16)
    images = load(saved(tmp_path, array), size=6)
    assert images.shape == (2, 6, 6)
    assert images.images.dtype == np.float32
    assert abs(images.images.mean() - array.mean()) < 2
    with pytest.raises(UserError, match=r"data\.size is for images, and .* holds series of 2 channels and 40 steps"):
        load(saved(tmp_path, RNG.normal(size=(3, 2, 40))), size=8)
    with pytest.raises(UserError, match=r"data\.channels 3 is for pictures of bytes"):
        load(tmp_path / "x.npy", channels=3)


def test_what_they_are_is_described(tmp_path: Path):
    said = render_description(describe(saved(tmp_path, RNG.normal(3, 2, (20, 2, 50)).astype(np.float32))))
    assert "20 series of 2 channels and 50 steps (shape 2x50), float32, 0.0 MB, no labels" in said
    assert "values     kept as they are; training brings each channel to mean 0, deviation 1, from" in said
    assert "0: 3.0" in said.splitlines()[-1]


def test_rows_of_numbers_may_be_embeddings_and_the_note_says_where_those_go(tmp_path: Path):
    note = "rows of 12 numbers are taken as series of 12 steps; embeddings are for evaluate and explore"
    assert load(saved(tmp_path, RNG.normal(size=(6, 12)))).notes == (note,)
    assert load(saved(tmp_path, RNG.normal(size=(6, 1, 12)))).notes != (note,)
