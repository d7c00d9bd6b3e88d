"""Series as line plots, volumes as three slices, bands as colours: what the report shows."""

import numpy as np
import pytest

from deepinfomax.data.pictures import COLOURS, PLOT, pictures_of


def rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])


@pytest.mark.parametrize("steps", [12, 96, 5000])
def test_a_line_goes_where_the_series_goes(steps: int):
    rising = np.linspace(-50, 50, steps)
    series = np.stack([np.stack([rising, -rising]), np.stack([-rising, rising])]).astype(np.float64)
    pictures = pictures_of(series)
    assert pictures.shape == (2, 3, PLOT[1], PLOT[0])
    for picture, sign in zip(pictures, (1, -1), strict=True):
        half = PLOT[1] // 2
        for strip, direction, colour in ((picture[:, :half], sign, 0), (picture[:, half:], -sign, 1)):
            ink = (strip < 200).any(0)
            rows = np.array([np.flatnonzero(column).mean() for column in ink.T if column.any()])
            assert len(rows) > 0.9 * PLOT[0]
            assert np.corrcoef(np.arange(len(rows)), -direction * rows)[0, 1] > 0.99
            darkest = strip.reshape(3, -1)[:, strip.sum(0).argmin()]
            assert np.abs(darkest - rgb(COLOURS[colour])).max() < 60


def test_series_of_many_channels_show_the_first():
    assert pictures_of(np.random.default_rng(0).normal(size=(3, 40, 30))).shape == (3, 3, PLOT[1], PLOT[0])


def test_three_slices_of_a_volume():
    volume = np.zeros((2, 1, 8, 8, 8), np.uint16)
    volume[0, 0, 4, :, 0] = 900  # in the slice across D at its left edge; a point of those across H and W
    volume[1, 0, 0, 4, 7] = 900  # only in the slice across H: at D 0, W 7
    first, second = pictures_of(volume)
    assert first.shape == (1, 16, 16)
    assert (first[0, :8, 0] == 255).all()
    assert (first[0, :8, 1:8] == 0).all()
    assert first[0, 4, 8] == 255
    assert second[0, 0, 15] == 255
    assert second[0, :8, 8:15].max() == 0
    assert (second[0, 8:, 8:] == 255).all()  # the empty quarter
    assert pictures_of(np.random.default_rng(0).normal(size=(2, 5, 20, 200, 100))).shape == (2, 3, 96, 96)


def test_images_of_other_numbers_share_one_scale():
    images = np.zeros((2, 1, 10, 10), np.uint16)
    images[0], images[1] = 1000, 3000
    images[0, 0, 0, 0], images[1, 0, 0, 0] = 0, 4000
    dark, light = pictures_of(images)[:, 0, 5, 5]
    assert (dark, light) == (0, 255)
    bands = pictures_of(np.random.default_rng(0).normal(size=(4, 7, 9, 9)))
    assert bands.shape == (4, 3, 9, 9)
    unit = np.full((2, 1, 4, 4), 0.25)
    assert (pictures_of(unit) == 64).all()
    assert pictures_of(np.zeros((2, 2, 30), np.float32)).shape == (2, 3, PLOT[1], PLOT[0])  # nothing but zeros
