"""NDM against the total correlation of Gaussians, which has a closed form."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from deepinfomax.data.images import ImageSet
from deepinfomax.errors import UserError
from deepinfomax.evaluation.ndm import _dv, gaussian, measure, ndm, shuffled
from deepinfomax.features import Features

FAST = {"steps": 120, "batch_size": 300, "lr": 1e-3, "repeats": 1}


def equicorrelated(rho: float, units: int = 6, n: int = 4000) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Two samples of a Gaussian whose units all correlate by rho, and its total correlation, -½ log det, in nats."""
    covariance = torch.full((units, units), rho) + (1 - rho) * torch.eye(units)
    y = torch.randn(n, units, generator=torch.Generator().manual_seed(0)) @ torch.linalg.cholesky(covariance).T
    return y[: n * 3 // 4], y[n * 3 // 4 :], float(-0.5 * torch.logdet(covariance))


@pytest.mark.parametrize("rho", [0.0, 0.4, 0.65])
def test_ndm_finds_the_total_correlation_of_gaussians(rho):
    y, held_out, truth = equicorrelated(rho)
    found = ndm(y, held_out, **FAST)
    assert truth - 0.1 - 0.2 * truth < found.nats < truth + max(0.05, 2 * found.standard_error)
    assert found.lower_bound_nats <= min(found.nats, truth + 2 * found.standard_error)
    assert found.gaussian_nats == pytest.approx(truth, abs=0.05 + 0.05 * truth)  # of a sample
    assert found.warning is None or "standard error" in found.warning


def test_sigmoid_and_units_of_measurement_leave_the_dependence():
    y, held_out, truth = equicorrelated(0.5)
    plain = ndm(y, held_out, **FAST)
    assert ndm(y, held_out, sigmoid=True, **FAST).nats == pytest.approx(plain.nats, abs=0.15)
    scales = torch.tensor([1e-3, 1.0, 50.0, 1e4, 1.0, 2.0])
    assert ndm(scales * y + 3, scales * held_out + 3, **FAST).nats == pytest.approx(plain.nats, abs=0.05)
    assert plain.nats > truth / 2


def test_shuffling_keeps_each_unit_and_breaks_their_ties():
    y = torch.arange(300.0).view(100, 3)
    mixed = shuffled(y, torch.Generator().manual_seed(0))
    assert torch.equal(mixed.sort(0).values, y)
    assert not torch.equal(mixed[:, 0] + 1, mixed[:, 1])


def test_equal_units_have_no_finite_dependence_and_still_give_a_number():
    y = torch.randn(2000, 1, generator=torch.Generator().manual_seed(0)).expand(-1, 3)
    found = ndm(y[:1500], y[1500:], **FAST)
    assert found.nats > 2
    assert math.isfinite(found.nats)
    assert math.isfinite(found.standard_error)


def test_repeats_and_seeds():
    y, held_out, _ = equicorrelated(0.4, n=800)
    settings = {**FAST, "steps": 20}
    before = torch.random.get_rng_state()
    one, other = (ndm(y, held_out, seed=seed, **settings) for seed in (0, 1))
    assert torch.equal(before, torch.random.get_rng_state())
    assert one == ndm(y, held_out, seed=0, **settings)
    both = ndm(y, held_out, **{**settings, "repeats": 2})
    assert both.nats == pytest.approx((one.nats + other.nats) / 2)


@pytest.mark.parametrize(
    ("y", "held_out", "message"),
    [
        (torch.zeros(200, 3), torch.zeros(100, 2), "same D"),
        (torch.zeros(200, 1), torch.zeros(100, 1), "single unit"),
        (torch.zeros(50, 2), torch.zeros(100, 2), "ndm needs 100 training images or more, not 50"),
        (torch.full((200, 2), torch.nan), torch.zeros(100, 2), "not finite"),
    ],
)
def test_mistakes(y, held_out, message):
    with pytest.raises(UserError, match=message):
        ndm(y, held_out)


class Repeating(nn.Module):
    """An encoder whose units are brightness and a copy of it with noise of the image's own."""

    def forward(self, images: torch.Tensor) -> Features:
        brightness = images.flatten(1).mean(1)
        y = torch.stack([brightness, brightness + 0.02 * images[:, 0, 0, 0]], 1)
        return Features(images, images, y, y)


def test_measure_of_an_encoder():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 128, (900, 1, 8, 8)) + rng.integers(0, 128, (900, 1, 1, 1))
    images = ImageSet(pixels.astype(np.uint8))
    result = measure(Repeating(), images.take(slice(700)), images.take(slice(700, None)), scale="smoke")
    assert result["n_train"] == 700
    assert result["n_test"] == 200
    assert result["nats"] > 0.1
    assert {
        "nats_sigmoid",
        "standard_error",
        "lower_bound_nats",
        "gaussian_nats",
        "warning",
        "cap",
        "protocol",
    } <= result.keys()


@pytest.mark.parametrize(("rows", "rho"), [(100, 0.0), (200, 0.0), (200, 0.3)])
def test_the_gaussian_control_is_unbiased_for_few_rows(rows, rho):
    """64 units: without the correction 13.6 nats of 100 independent rows, and 5.8 of 200."""
    covariance = torch.full((64, 64), rho) + (1 - rho) * torch.eye(64)
    root, generator = torch.linalg.cholesky(covariance), torch.Generator().manual_seed(0)
    found = [gaussian(torch.randn(rows, 64, generator=generator) @ root.T) for _ in range(100)]
    mean, error = np.mean(found), np.std(found) / 10
    assert abs(mean - float(-0.5 * torch.logdet(covariance))) < 4 * error
    assert math.isnan(gaussian(torch.randn(65, 64)))


@pytest.mark.parametrize("units", [3, 20])
def test_a_unit_that_another_determines_depends_without_end(units):
    y = torch.randn(500, units, generator=torch.Generator().manual_seed(0))
    assert gaussian(torch.cat([y, -3 * y[:, :1]], 1)) == math.inf
    assert gaussian(torch.cat([y, y.sum(1, keepdim=True)], 1)) == math.inf


def test_the_standard_error_is_near_the_spread_over_fresh_samples():
    """With the true log-ratio for a critic, so that only the held-out rows differ."""
    units, rho = 6, 0.5
    covariance = torch.full((units, units), rho) + (1 - rho) * torch.eye(units)
    precision = torch.linalg.inv(covariance) - torch.eye(units)
    root, generator = torch.linalg.cholesky(covariance), torch.Generator().manual_seed(0)

    def critic(y):
        return -0.5 * (y @ precision * y).sum(1, keepdim=True) - 0.5 * torch.logdet(covariance)

    samples = [torch.randn(1000, units, generator=generator) @ root.T for _ in range(150)]
    values, errors = zip(*(_dv(critic, y, generator)[:2] for y in samples), strict=True)
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(values), rel=0.25)
