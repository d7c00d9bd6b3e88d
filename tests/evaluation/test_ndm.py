"""NDM against total correlations that have a closed form."""

import math
import time

import numpy as np
import pytest
import torch
from torch import nn

from deepinfomax.data.images import ImageSet
from deepinfomax.errors import UserError
from deepinfomax.evaluation.measure import as_json
from deepinfomax.evaluation.ndm import SETTINGS, Settings, _read, _train, by_mixture, gaussian, measure, ndm
from deepinfomax.features import Features
from deepinfomax.information.cautions import OF_DEPENDENCE, Evidence, cautions
from deepinfomax.information.density import AutoregressiveDensity, normal_scores

FAST = {"steps": 40, "batch_size": 250, "repeats": 1}


def of_covariance(covariance: torch.Tensor, n: int) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Two samples of a Gaussian of unit variances, and its total correlation, -½ log det, in nats."""
    root, generator = torch.linalg.cholesky(covariance), torch.Generator().manual_seed(0)
    y = torch.randn(n, len(covariance), generator=generator) @ root.T
    return y[: n * 3 // 4], y[n * 3 // 4 :], float(-0.5 * torch.logdet(covariance.double()))


def equicorrelated(rho: float, units: int = 6, n: int = 4000) -> tuple[torch.Tensor, torch.Tensor, float]:
    return of_covariance(torch.full((units, units), rho) + (1 - rho) * torch.eye(units), n)


@pytest.mark.parametrize("rho", [0.0, 0.4, 0.65])
def test_ndm_finds_the_total_correlation_of_gaussians(rho):
    y, held_out, truth = equicorrelated(rho)
    result = ndm(y, held_out, **FAST)
    assert truth - 0.05 - 0.05 * truth < result.nats < truth + max(0.05, 2 * result.standard_error)
    assert result.gaussian_nats == pytest.approx(truth, abs=0.05 + 0.05 * truth)  # of a sample
    assert result.warning is None or "standard error" in result.warning


@pytest.mark.parametrize("truth", [2.0, 30.0, 100.0])
def test_of_64_units_any_amount_is_read_far_above_the_log_of_the_rows(truth):
    factors = torch.randn(64, 8, generator=torch.Generator().manual_seed(1))

    def covariance(strength: float) -> torch.Tensor:
        full = strength * factors @ factors.T + torch.eye(64)
        return full / torch.outer(full.diagonal().sqrt(), full.diagonal().sqrt())

    low, high = 0.0, 1000.0
    for _ in range(60):
        middle = (low + high) / 2
        enough = -0.5 * torch.logdet(covariance(middle).double()) > truth
        low, high = (low, middle) if enough else (middle, high)
    y, held_out, exact = of_covariance(covariance(low), 8000)
    assert exact == pytest.approx(truth, rel=1e-2)
    result = ndm(y, held_out, **FAST)
    assert exact - max(0.5, 0.1 * exact) < result.nats < exact + 2 * result.standard_error + 0.1
    assert result.warning is None
    assert 0 < result.mixture_nats < exact


def test_rows_that_fall_into_groups_are_told():
    """Ten groups far apart: a density that goes unit by unit learns them slowly, a mixture at once."""
    rng = np.random.default_rng(0)
    centres = 2 * rng.normal(size=(10, 64))
    rows = torch.tensor(centres[rng.integers(10, size=4000)] + rng.normal(size=(4000, 64)), dtype=torch.float32)
    result = ndm(rows[:3000], rows[3000:], **FAST)
    assert 38 < result.mixture_nats < 41  # of 40.8, with other centres
    assert result.mixture_nats > result.nats + 1
    assert f"a mixture of Gaussians shows {result.mixture_nats:.2f} nats of the same rows" in result.warning


def test_every_seed_that_the_library_takes_is_one_of_the_mixture() -> None:
    """scikit-learn takes none above 2^32 - 1."""
    y, held_out, _ = equicorrelated(0.5, n=400)
    assert math.isfinite(by_mixture(y, held_out, 2**40).mean())


def test_a_mixture_sees_nothing_in_independent_units():
    y, held_out, _ = equicorrelated(0.0)
    assert ndm(y, held_out, **FAST).mixture_nats == pytest.approx(0, abs=0.01)
    few = torch.randn(150, 64, generator=torch.Generator().manual_seed(0))
    result = ndm(few[:100], few[100:], **FAST)
    assert result.mixture_nats == pytest.approx(0, abs=0.3)
    assert "mixture" not in (result.warning or "")


def test_what_no_correlation_shows_is_learned_and_a_lower_bound():
    """z = x² + noise: no correlation, and a mutual information that a grid gives."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(6000, generator=generator)
    y = torch.stack([x, x.square() + 0.5 * torch.randn(6000, generator=generator)], 1)
    grid = np.linspace(-8, 8, 4001)
    weight = np.exp(-(grid**2) / 2) / np.exp(-(grid**2) / 2).sum()
    densities = [
        weight @ np.exp(-((z - grid**2) ** 2) / 0.5) / math.sqrt(0.5 * math.pi) for z in y[4000:, 1].double().numpy()
    ]
    truth = -float(np.mean(np.log(densities))) - 0.5 * math.log(2 * math.pi * math.e * 0.25)
    result = ndm(y[:4000], y[4000:], steps=300, batch_size=250, repeats=1)
    assert 0.75 * truth < result.nats < truth + 3 * result.standard_error + 0.05
    assert abs(result.gaussian_nats) < 0.05


def test_any_increasing_change_of_a_unit_leaves_the_dependence():
    y, held_out, _ = equicorrelated(0.5)
    plain = ndm(y, held_out, **FAST).nats
    assert ndm(y.sigmoid(), held_out.sigmoid(), **FAST).nats == pytest.approx(plain, abs=1e-3)
    scales = torch.tensor([1e-3, 1.0, 50.0, 1e4, 1.0, 2.0])
    assert ndm((scales * y) ** 3, (scales * held_out) ** 3, **FAST).nats == pytest.approx(plain, abs=1e-3)


def test_equal_units_have_no_finite_dependence_and_that_is_said():
    y = torch.randn(2000, 1, generator=torch.Generator().manual_seed(0)).expand(-1, 3)
    result = ndm(y[:1500], y[1500:], **FAST)
    assert result.nats > 4
    assert math.isfinite(result.nats)
    assert "the dependence has no end" in result.warning


def test_a_unit_that_never_moves_depends_on_nothing():
    y, held_out, _ = equicorrelated(0.4)
    plain = ndm(y, held_out, **FAST).nats
    still = ndm(torch.cat([y, y[:, :1] * 0], 1), torch.cat([held_out, held_out[:, :1] * 0], 1), **FAST)
    assert still.nats == pytest.approx(plain, abs=0.05)
    assert still.warning.startswith("1 of 7 units of y are the same in every row")


def test_a_collapsed_y_is_not_praised_as_independent():
    same = ndm(torch.ones(200, 4), torch.ones(100, 4), **{**FAST, "steps": 20})
    assert abs(same.nats) < 0.1
    assert "4 of 4 units of y are the same in every row" in same.warning


def test_repeats_and_seeds():
    y, held_out, _ = equicorrelated(0.4, n=800)
    settings = {**FAST, "steps": 20}
    before = torch.random.get_rng_state()
    one, other = (ndm(y, held_out, seed=seed, **settings) for seed in (0, 1))
    assert torch.equal(before, torch.random.get_rng_state())
    assert one == ndm(y, held_out, seed=0, **settings)
    both = ndm(y, held_out, **{**settings, "repeats": 2})
    assert both.nats == pytest.approx((one.nats + other.nats) / 2)
    assert both.train_nats == pytest.approx((one.train_nats + other.train_nats) / 2)
    rows = (one.standard_error**2 + other.standard_error**2) / 2
    between = np.var([one.nats, other.nats], ddof=1) / 2
    # The densities share their held-out rows, so those errors do not shrink with the number of trainings.
    assert both.standard_error == pytest.approx(math.sqrt(rows + between))


@pytest.mark.parametrize(
    ("y", "held_out", "message"),
    [
        (torch.zeros(200, 3), torch.zeros(100, 2), "same D"),
        (torch.zeros(200, 1), torch.zeros(100, 1), "single unit"),
        (torch.zeros(50, 2), torch.zeros(100, 2), "ndm needs 100 training images or more, not 50"),
        (torch.full((200, 2), torch.nan), torch.zeros(100, 2), "not finite"),
    ],
)
@pytest.mark.usefixtures("any_shape")
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
    began = time.monotonic()
    result = measure(Repeating(), images.take(slice(700)), images.take(slice(700, None)), scale="smoke")
    assert 0 <= result.seconds <= time.monotonic() - began
    assert result.n_train == 700
    assert result.n_test == 200
    assert result.nats > 0.5
    assert {"standard_error", "gaussian_nats", "mixture_nats", "train_nats", "warning", "protocol"} <= as_json(
        result
    ).keys()


@pytest.mark.parametrize(("rows", "rho"), [(100, 0.0), (200, 0.0), (200, 0.3)])
def test_the_gaussian_control_is_unbiased_for_few_rows(rows, rho):
    """64 units: without the correction 13.6 nats of 100 independent rows, and 5.8 of 200."""
    covariance = torch.full((64, 64), rho) + (1 - rho) * torch.eye(64)
    root, generator = torch.linalg.cholesky(covariance), torch.Generator().manual_seed(0)
    result = [gaussian(torch.randn(rows, 64, generator=generator) @ root.T) for _ in range(100)]
    mean, error = np.mean(result), np.std(result) / 10
    assert abs(mean - float(-0.5 * torch.logdet(covariance))) < 4 * error
    assert math.isnan(gaussian(torch.randn(65, 64)))


def test_of_long_tails_the_gaussian_control_is_above_the_truth_and_that_of_ranks_is_not():
    """One row in a hundred is far out in every unit, all else is independent: 7 times its entropy at most."""
    generator, units = torch.Generator().manual_seed(0), 8
    far = torch.rand(4000, 1, generator=generator) < 0.01
    y = torch.randn(4000, units, generator=generator) + 20 * far
    entropy = -sum(p * math.log(p) for p in (0.01, 0.99))
    most = (units - 1) * entropy
    assert gaussian(y) > 10 * most
    assert gaussian(normal_scores(y, generator)) < most
    assert ndm(y[:3000], y[3000:], **FAST).nats < most + 0.1


@pytest.mark.parametrize("units", [3, 20])
def test_a_unit_that_another_determines_depends_without_end(units):
    y = torch.randn(500, units, generator=torch.Generator().manual_seed(0))
    assert gaussian(torch.cat([y, -3 * y[:, :1]], 1)) == math.inf
    assert gaussian(torch.cat([y, y.sum(1, keepdim=True)], 1)) == math.inf


def test_the_lengths_of_training():
    assert {
        "smoke": Settings(steps=60, batch_size=250, lr=2e-3, repeats=1),
        "cpu": Settings(steps=600, batch_size=500, lr=2e-3, repeats=2),
        "paper": Settings(steps=5000, batch_size=500, lr=2e-3, repeats=10),
    } == SETTINGS


def test_the_density_is_left_with_the_weights_that_held_out_rows_find_likeliest():
    y, stop, _ = equicorrelated(0.4, n=400)
    torch.manual_seed(0)
    density = AutoregressiveDensity(torch.eye(6), hidden=32, dropout=0.0)

    def step_and_read(steps: int) -> float:
        torch.manual_seed(0)
        density = AutoregressiveDensity(torch.eye(6), hidden=32, dropout=0.0)
        _train(density, y, stop, steps, 64, 0.05, torch.Generator().manual_seed(1))
        return float(_read(density, stop).mean())

    values = [float(_read(density, stop).mean())] + [step_and_read(steps) for steps in (1, 200)]
    assert values[0] <= values[1]
    assert values[2] > 0.2  # learned from no correlation at all


@pytest.mark.parametrize(
    ("nats", "error", "train_nats", "gaussian_nats", "warning"),
    [
        (3.0, 0.3, 3.5, 3.0, None),
        (3.0, 0.3, 3.51, 3.0, "3.51 nats on training rows: the truth may lie between, and more images tell"),
        (30.0, 0.3, 33.0, 3.0, None),
        (30.0, 0.3, 33.1, 3.0, "33.10 nats on training rows: the truth may lie between, and more images tell"),
        (2.0, 0.21, 2.0, 2.0, "the standard error of 0.21 nats is large"),
        (0.1, 0.11, 0.1, 0.1, "the standard error of 0.11 nats is large"),
        (2.0, 0.1, 2.0, math.inf, "a unit is a linear function of others"),
    ],
)
def test_warnings(nats, error, train_nats, gaussian_nats, warning):
    evidence = Evidence(
        nats=nats, standard_error=error, train_nats=train_nats, gaussian=gaussian_nats, pairs="rows", more="images"
    )
    warned = cautions(OF_DEPENDENCE, evidence)
    assert warned == warning if warning is None else warned.startswith(warning)
    assert warning is None or ";" not in warned


def test_rows_are_for_training_for_stopping_or_for_reading(monkeypatch):
    """Every row has a rank of its own in each unit, which tells what it was used for."""
    y, held_out, _ = equicorrelated(0.4, n=1200)
    used: dict[str, torch.Tensor] = {}
    read: list[torch.Tensor] = []

    def train(density, z, stop, *settings):
        used.update(trained=z, stopped=stop)

    def noted(density, z):
        read.append(z)
        return _read(density, z)

    monkeypatch.setattr("deepinfomax.evaluation.ndm._train", train)
    monkeypatch.setattr("deepinfomax.evaluation.ndm._read", noted)
    ndm(y, held_out, **FAST)
    on_held_out, on_training = read
    rows = [used["trained"], used["stopped"], on_held_out]
    assert [len(part) for part in rows] == [810, 90, 300]
    for unit in torch.cat(rows).T:
        assert len(unit.unique()) == 1200  # no row has two uses
    assert torch.equal(on_held_out.argsort(0), held_out.argsort(0))  # the held-out rows, and in their order
    assert torch.isin(on_training, used["trained"]).all()
