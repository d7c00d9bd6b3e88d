"""MINE: an encoder that keeps the image tells of it, one that forgets it does not."""

import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from deepinfomax.data.images import ImageSet
from deepinfomax.errors import UserError
from deepinfomax.evaluation import mine
from deepinfomax.features import Features
from deepinfomax.information.estimation import Reading


class Encoder(nn.Module):
    """y is the mean of each quarter of the image; or, forgetting, noise that the image has no part in."""

    def __init__(self, forgets: bool = False) -> None:
        super().__init__()
        self.forgets = forgets
        self.generator = torch.Generator().manual_seed(0)

    def forward(self, images: torch.Tensor) -> Features:
        y = nn.functional.adaptive_avg_pool2d(images[:, :1], 2).flatten(1)
        if self.forgets:
            y = torch.randn(y.shape, generator=self.generator)
        return Features(images, images, y, y)


def quarters(n: int) -> ImageSet:
    """Images (n, 1, 16, 16) of four flat quarters with noise."""
    rng = np.random.default_rng(0)
    flat = rng.integers(40, 216, (n, 1, 2, 2)).repeat(8, 2).repeat(8, 3)
    return ImageSet((flat + rng.integers(-40, 40, flat.shape)).astype(np.uint8))


@pytest.fixture
def small(monkeypatch):
    settings = {
        "images": 700, "test_images": 250, "width": 8, "steps": 150, "batch_size": 32, "lr": 2e-3, "repeats": 1,
    }  # fmt: skip
    monkeypatch.setitem(mine.SETTINGS, "smoke", settings)


def test_what_y_keeps_is_found_and_what_it_lacks_is_not(small):
    images = quarters(1000)
    train, test = images.take(slice(700)), images.take(slice(700, None))
    keeps = mine.measure(Encoder(), train, test, scale="smoke")
    forgets = mine.measure(Encoder(forgets=True), train, test, scale="smoke")
    assert keeps["nats"] > 1
    assert abs(forgets["nats"]) < 0.1
    assert keeps["lower_bound_nats"] <= keeps["nats"] + 1e-6
    assert 0 < keeps["lower_bound_standard_error"] < 1
    assert keeps["cap"] == pytest.approx(math.log(250))
    assert keeps["n_test"] == 250
    assert keeps["n_train"] == 630  # a tenth decides when to stop
    json.dumps(keeps, allow_nan=False)


def test_same_seed_same_number_and_more_seeds_an_error(small, monkeypatch):
    monkeypatch.setitem(mine.SETTINGS["smoke"], "steps", 10)
    images = quarters(400)
    first, again, other = (mine.measure(Encoder(), images, images, scale="smoke", seed=seed) for seed in (3, 3, 4))
    assert first["nats"] == again["nats"] != other["nats"]
    monkeypatch.setitem(mine.SETTINGS["smoke"], "repeats", 2)
    both = mine.measure(Encoder(), images, images, scale="smoke", seed=3)
    assert both["seeds"] == [3, 4]
    assert math.isfinite(both["standard_error"])


def test_a_normaliser_that_drifts_is_told(small, monkeypatch):
    """DV of the test images is 3 nats, by the tangent at the stopping images -5 and -6: they disagree by 8 and 9."""
    monkeypatch.setitem(mine.SETTINGS["smoke"], "steps", 1)
    monkeypatch.setitem(mine.SETTINGS["smoke"], "repeats", 2)
    values = iter([(-5.0, 0.25), (-6.0, 0.25)])

    def reading(*_):
        nats, error = next(values)
        return Reading(
            nats=nats, standard_error=error, plain=3.0, plain_error=1.0, train_nats=3.0, cap=5.0, n_test=250,
            effective_negatives=1000.0,
        )  # fmt: skip

    monkeypatch.setattr(mine, "read_critic", reading)
    images = quarters(400)
    result = mine.measure(Encoder(), images, images, scale="smoke")
    assert "two held-out parts disagree on the normaliser by 9.00 nats" in result["warning"]
    assert result["nats"] == 3.0
    assert result["standard_error"] == pytest.approx(1.0)
    assert "1 nats is large: measure at a larger scale" in result["warning"]
    assert "use infonce" not in result["warning"]  # there is nothing to choose from
    assert result["lower_bound_nats"] == -5.5
    within, between = 0.25**2, 0.5 / 2  # the variance of two values that lie 1 apart, over two
    assert result["lower_bound_standard_error"] == pytest.approx(math.sqrt(within + between))


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 8, 8), (1, 4, 4), (2, 64), (1, 8, 16, 16)])
def test_critic_takes_signals_of_any_rank(shape):
    torch.manual_seed(0)
    critic = mine.ImageCritic(shape, 5, width=4)
    images = torch.randint(0, 256, (3, *shape), dtype=torch.uint8)
    y = torch.randn(2, 5)
    scores = critic(images, y).detach()
    assert scores.shape == (3, 2)
    alone = critic(images[1:2], y[:1]).detach()
    torch.testing.assert_close(scores[1:2, :1], alone)  # a score depends on its pair only


def test_too_few_images():
    with pytest.raises(UserError, match="mine needs 100 training images or more, not 60"):
        mine.measure(Encoder(), quarters(60), quarters(60), scale="smoke")
