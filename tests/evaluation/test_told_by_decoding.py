"""Decoding: exact where the truth is known, nothing for a y that knows nothing."""

import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from deepinfomax.data.images import ImageSet
from deepinfomax.errors import UserError
from deepinfomax.evaluation import decoding
from deepinfomax.evaluation.measure import as_json
from deepinfomax.features import Features


def linear_gaussian(count: int, noise: float) -> tuple[torch.Tensor, torch.Tensor, float]:
    """y (count, 4) = A p + noise of a correlated Gaussian p (count, 6), and I(p; y)."""
    generator = torch.Generator().manual_seed(3)
    root, matrix = torch.randn(6, 6, generator=generator), torch.randn(4, 6, generator=generator)
    p = torch.randn(count, 6, generator=generator) @ root.T
    y = p @ matrix.T + noise * torch.randn(count, 4, generator=generator)
    covariance = matrix @ root @ root.T @ matrix.T / noise**2 + torch.eye(4)
    return y, p, 0.5 * float(torch.logdet(covariance.double()))


@pytest.mark.parametrize(("noise", "steps"), [(3.0, 0), (0.3, 0), (3.0, 40)])
def test_of_a_linear_gaussian_it_is_the_information(noise: float, steps: int) -> None:
    y, p, truth = linear_gaussian(12_000, noise)
    found = decoding.decode(y[:8000], p[:8000], y[8000:], p[8000:], steps=steps)
    assert found.nats == pytest.approx(truth, abs=4 * found.standard_error)
    assert found.standard_error < 0.05
    assert found.nats == pytest.approx(found.entropy_nats - found.reconstruction_nats)
    assert found.lower_bound_nats < truth + 2 * found.lower_bound_standard_error
    assert found.lower_bound_nats > 0.8 * min(truth, found.cap)
    assert found.cap == math.log(1000)
    entropy = 3 * math.log(2 * math.pi * math.e) + 0.5 * float(torch.logdet(torch.cov(p.double().T)))
    assert found.entropy_nats == pytest.approx(entropy, abs=0.1)  # in units of p, whatever the decoder's are


def test_the_decoder_as_critic_equals_the_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    p, answers = (torch.randn(5, 3, generator=generator, dtype=torch.double) for _ in range(2))
    root = torch.randn(3, 3, generator=generator, dtype=torch.double)
    noise = torch.distributions.MultivariateNormal(torch.zeros(3).double(), root @ root.T + torch.eye(3))
    expected = []
    for i in range(5):
        densities = [noise.log_prob(p[i] - answers[j]).exp() for j in range(5)]
        expected.append((densities[i] / (sum(densities) / 5)).log())
    torch.testing.assert_close(decoding.told_among(p, answers, noise), torch.stack(expected))


def test_what_is_not_linear_is_learned() -> None:
    """y = p³ + noise: the network finds what least squares do not."""
    generator = torch.Generator().manual_seed(0)
    p = torch.randn(3000, 1, generator=generator)
    y = p**3 + 0.1 * torch.randn(3000, 1, generator=generator)
    parts = y[:2000], p[:2000], y[2000:], p[2000:]
    linear, trained = (decoding.decode(*parts, steps=steps) for steps in (0, 400))
    assert trained.nats > linear.nats + 0.3


class Encoder(nn.Module):
    """y is the mean of each quarter of the image, or nothing of it."""

    def __init__(self, keeps: bool) -> None:
        super().__init__()
        self.keeps = keeps
        self.generator = torch.Generator().manual_seed(0)

    def forward(self, images: torch.Tensor) -> Features:
        y = nn.functional.adaptive_avg_pool2d(images, 2).flatten(1)
        y = y if self.keeps else torch.randn(y.shape, generator=self.generator)
        return Features(images, images, y, y)


def quarters(count: int, seed: int) -> ImageSet:
    rng = np.random.default_rng(seed)
    flat = rng.integers(40, 216, (count, 1, 2, 2)).repeat(4, 2).repeat(4, 3)
    return ImageSet((flat + rng.integers(-40, 40, flat.shape)).astype(np.uint8))


def test_an_encoder_that_keeps_the_image_and_one_that_does_not() -> None:
    train, test = quarters(400, 0), quarters(200, 1)
    keeps, forgets = (decoding.measure(Encoder(which), train, test, scale="smoke") for which in (True, False))
    assert keeps.nats > 3
    assert 1 < keeps.lower_bound_nats <= keeps.cap == math.log(200)
    assert forgets.nats < 0.1
    assert forgets.lower_bound_nats < 0.1
    assert (keeps.components, keeps.n_train, keeps.n_test) == (16, 400, 200)
    again = decoding.measure(Encoder(True), train, test, scale="smoke")
    assert again.nats == keeps.nats
    json.dumps(as_json(keeps), allow_nan=False)


@pytest.mark.parametrize("kind", [np.uint8, np.int16])
def test_whole_numbers_of_any_unit_get_noise_of_one_step(kind: type) -> None:
    class Everything(nn.Module):
        def forward(self, x: torch.Tensor) -> Features:
            return Features(x, x, None, x.flatten(1))

    rng = np.random.default_rng(0)
    train, test = (ImageSet(rng.integers(0, 2, (count, 1, 8)).astype(kind)) for count in (500, 200))
    told = decoding.measure(Everything(), train, test, scale="smoke")
    # 8 yes-or-no numbers; with full noise of one step a uniform density is left, that a Gaussian nearly describes.
    assert 0.7 * 8 * math.log(2) < told.nats < 1.3 * 8 * math.log(2)


def test_images_that_are_all_the_same() -> None:
    same = ImageSet(np.zeros((100, 1, 8, 8), np.float32))
    with pytest.raises(UserError, match="all training images of the data are the same"):
        decoding.measure(Encoder(True), same, same, scale="smoke")
    with pytest.raises(UserError, match="decoding needs 100 training images"):
        decoding.measure(Encoder(True), quarters(50, 0), quarters(60, 1), scale="smoke")
