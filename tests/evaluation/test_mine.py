"""MINE: an encoder that keeps the image tells of it, one that forgets it does not."""

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from deepinfomax.data.images import ImageSet
from deepinfomax.errors import UserError
from deepinfomax.evaluation import mine
from deepinfomax.evaluation.measure import as_json
from deepinfomax.evaluation.mine import Settings
from deepinfomax.features import Features
from deepinfomax.information.critic_reading import Reading
from deepinfomax.information.critic_training import Fit, MovingAverage


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
    settings = Settings(images=700, test_images=250, width=8, steps=150, batch_size=32, lr=2e-3, repeats=1)
    monkeypatch.setitem(mine.SETTINGS, "smoke", settings)


def test_what_y_keeps_is_found_and_what_it_lacks_is_not(small):
    images = quarters(1000)
    train, test = images.take(slice(700)), images.take(slice(700, None))
    keeps = mine.measure(Encoder(), train, test, scale="smoke")
    forgets = mine.measure(Encoder(forgets=True), train, test, scale="smoke")
    assert keeps.nats > 1
    assert abs(forgets.nats) < 0.1
    assert keeps.lower_bound_nats <= keeps.nats + 1e-6
    assert 0 < keeps.lower_bound_standard_error < 2  # about 1; it differs from CPU to CPU
    assert keeps.cap == pytest.approx(math.log(250))
    assert keeps.n_test == 250
    assert keeps.n_train == 630  # a tenth decides when to stop
    json.dumps(as_json(keeps), allow_nan=False)


def test_same_seed_same_number_and_more_seeds_an_error(small, monkeypatch):
    monkeypatch.setitem(mine.SETTINGS, "smoke", replace(mine.SETTINGS["smoke"], steps=10))
    images = quarters(400)
    first, again, other = (mine.measure(Encoder(), images, images, scale="smoke", seed=seed) for seed in (3, 3, 4))
    assert first.nats == again.nats != other.nats
    monkeypatch.setitem(mine.SETTINGS, "smoke", replace(mine.SETTINGS["smoke"], repeats=2))
    both = mine.measure(Encoder(), images, images, scale="smoke", seed=3)
    assert both.seeds == [3, 4]
    assert math.isfinite(both.standard_error)


def test_the_average_of_the_denominator_moves_by_a_hundredth_at_each_step() -> None:
    average = MovingAverage()
    for _ in range(2):
        average.loss(torch.zeros(2, 1), torch.zeros(2, 3))
    negative = torch.full((2, 3), math.log(101.0), requires_grad=True)
    average.loss(torch.zeros(2, 1), negative).backward()
    torch.testing.assert_close(negative.grad, torch.full((2, 3), 101 / 6 / (0.99 * 1 + 0.01 * 101)))


@pytest.mark.parametrize(("count", "stopping", "seen"), [(700, 70, 70), (5000, 500, 256), (12_000, 1000, 256)])
def test_which_images_train_stop_and_measure(
    count: int, stopping: int, seen: int, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(mine.SETTINGS["smoke"], images=None, steps=1, repeats=2)
    monkeypatch.setitem(mine.SETTINGS, "smoke", settings)
    trained: list[dict[str, Any]] = []

    def train(critic: nn.Module, estimator: Any, *sides: torch.Tensor, **arguments: Any) -> Fit:
        assert estimator.averaged
        assert estimator.trained_by == "dv"
        assert [len(side) for side in sides] == [count - stopping] * 2 + [seen] * 2
        trained.append(arguments)
        return Fit(steps=1, skipped=0, stopping=(0.0,), gave_up=False)

    def read(critic: nn.Module, estimator: Any, *parts: list[torch.Tensor]) -> Reading:
        assert [[len(side) for side in part] for part in parts] == [[250] * 2, [stopping] * 2, [250] * 2]
        return Reading(
            nats=1.0, standard_error=0.1, plain=1.0, plain_error=0.1, train_nats=1.0, cap=5.0, n_test=250,
            effective_negatives=1000.0,
        )  # fmt: skip

    monkeypatch.setattr(mine, "train_critic", train)
    monkeypatch.setattr(mine, "read_critic", read)
    images = quarters(count)
    result = mine.measure(Encoder(), images, images.take(slice(300)), scale="smoke", seed=7)
    assert result.seeds == [7, 8]
    assert (result.n_train, result.n_test) == (count - stopping, 250)
    for arguments in trained:
        names = ("steps", "batch_size", "lr", "patience", "evaluations")
        assert [arguments[name] for name in names] == [1, 32, 2e-3, 10, 20]


@pytest.mark.parametrize(
    ("side", "maps"), [(4, []), (8, [8]), (15, [8]), (16, [8, 16]), (32, [8, 16, 32]), (64, [8, 16, 32])]
)
def test_layers_of_the_critic(side: int, maps: list[int]) -> None:
    critic = mine.ImageCritic((3, side, side), 5, width=8)
    convolutions = [layer for layer in critic.image if isinstance(layer, nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == maps
    (linear,) = (layer for layer in critic.image if isinstance(layer, nn.Linear))
    last = side // 2 ** len(maps)
    assert (linear.in_features, linear.out_features) == ([3, *maps][-1] * last**2, 256)
    shapes = [tuple(p.shape) for p in critic.joint.parameters() if p.ndim == 2]
    assert [shape[0] for shape in shapes][-2:] == [128, 1]
    assert {512} <= {n for shape in shapes for n in shape}


def test_a_normaliser_that_drifts_is_told(small, monkeypatch):
    """DV of the test images is 3 nats, by the tangent at the stopping images -5 and -6: they disagree by 8 and 9."""
    monkeypatch.setitem(mine.SETTINGS, "smoke", replace(mine.SETTINGS["smoke"], steps=1, repeats=2))
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
    assert "two held-out parts disagree on the normaliser by 9.00 nats" in result.warning
    assert result.nats == 3.0
    assert result.standard_error == pytest.approx(1.0)
    assert "1 nats is large: measure at a larger scale" in result.warning
    assert "use infonce" not in result.warning  # there is nothing to choose from
    assert result.lower_bound_nats == -5.5
    within, between = 0.25**2, 0.5 / 2  # the variance of two values that lie 1 apart, over two
    assert result.lower_bound_standard_error == pytest.approx(math.sqrt(within + between))


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
