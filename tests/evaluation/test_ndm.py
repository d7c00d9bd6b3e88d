"""NDM against the total correlation of Gaussians, which has a closed form."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from deepinfomax.data.images import ImageSet
from deepinfomax.errors import UserError
from deepinfomax.evaluation import ndm as module
from deepinfomax.evaluation.measure import as_json
from deepinfomax.evaluation.ndm import (
    SETTINGS,
    Settings,
    _read,
    _Reading,
    _train,
    gaussian,
    measure,
    ndm,
    shuffled,
)
from deepinfomax.features import Features
from deepinfomax.information.cautions import OF_DEPENDENCE, Evidence, cautions


def caution(nats: float, error: float, train_nats: float, effective: float, cap: float) -> str | None:
    evidence = Evidence(
        nats=nats,
        standard_error=error,
        train_nats=train_nats,
        effective=effective,
        cap=cap,
        pairs="rows",
        combinations="shuffled rows",
        more="images",
    )
    return cautions(OF_DEPENDENCE, evidence)


FAST = {"steps": 120, "batch_size": 300, "lr": 1e-3, "repeats": 1}


def equicorrelated(rho: float, units: int = 6, n: int = 4000) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Two samples of a Gaussian whose units all correlate by rho, and its total correlation, -½ log det, in nats."""
    covariance = torch.full((units, units), rho) + (1 - rho) * torch.eye(units)
    y = torch.randn(n, units, generator=torch.Generator().manual_seed(0)) @ torch.linalg.cholesky(covariance).T
    return y[: n * 3 // 4], y[n * 3 // 4 :], float(-0.5 * torch.logdet(covariance))


@pytest.mark.parametrize("rho", [0.0, 0.4, 0.65])
def test_ndm_finds_the_total_correlation_of_gaussians(rho):
    y, held_out, truth = equicorrelated(rho)
    result = ndm(y, held_out, **FAST)
    assert truth - 0.1 - 0.2 * truth < result.nats < truth + max(0.05, 2 * result.standard_error)
    assert result.lower_bound_nats <= min(result.nats, truth + 2 * result.standard_error)
    assert result.gaussian_nats == pytest.approx(truth, abs=0.05 + 0.05 * truth)  # of a sample
    assert result.warning is None or "standard error" in result.warning


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
    result = ndm(y[:1500], y[1500:], **FAST)
    assert result.nats > 2
    assert math.isfinite(result.nats)
    assert math.isfinite(result.standard_error)


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
    assert result.n_train == 700
    assert result.n_test == 200
    assert result.nats > 0.1
    assert {
        "nats_sigmoid",
        "standard_error",
        "lower_bound_nats",
        "gaussian_nats",
        "warning",
        "cap",
        "protocol",
    } <= as_json(result).keys()


@pytest.mark.parametrize(("rows", "rho"), [(100, 0.0), (200, 0.0), (200, 0.3)])
def test_the_gaussian_control_is_unbiased_for_few_rows(rows, rho):
    """64 units: without the correction 13.6 nats of 100 independent rows, and 5.8 of 200."""
    covariance = torch.full((64, 64), rho) + (1 - rho) * torch.eye(64)
    root, generator = torch.linalg.cholesky(covariance), torch.Generator().manual_seed(0)
    result = [gaussian(torch.randn(rows, 64, generator=generator) @ root.T) for _ in range(100)]
    mean, error = np.mean(result), np.std(result) / 10
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
    readings = [_read(critic, y, generator) for y in samples]
    errors, values = [r.standard_error for r in readings], [r.nats for r in readings]
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(values), rel=0.25)


def test_the_authors_schedule():
    assert SETTINGS["paper"] == Settings(steps=5000, batch_size=10_000, lr=1e-4, repeats=10)


@pytest.mark.parametrize(("steps", "every", "slope"), [(53, 2, 3), (10, 1, 3), (81, 4, 0)])
def test_the_critic_is_trained_by_this_loop(steps, every, slope):
    """With the loop's own draws: three shuffles of the stopping rows, then a batch and its shuffle for each step."""
    generator = torch.Generator().manual_seed(1)
    y, stop = torch.randn(200, 2, generator=generator), torch.randn(40, 2, generator=generator)
    y[:, 1] += slope * y[:, 0]
    stop[:, 1] += slope * stop[:, 0]
    critic, other = (nn.Sequential(nn.Linear(2, 30), nn.ReLU(), nn.Linear(30, 1)) for _ in range(2))
    other.load_state_dict(critic.state_dict())
    _train(critic, y, stop, steps, 64, 0.03, torch.Generator().manual_seed(2))

    def kl(joint, product):
        return other(joint).mean() - (other(product) - 1).exp().mean()

    generator = torch.Generator().manual_seed(2)
    stop_product = torch.cat([shuffled(stop, generator) for _ in range(3)])
    adam = torch.optim.Adam(other.parameters(), 0.03)
    evaluated = []
    for step in range(1, steps + 1):
        batch = y[torch.randperm(200, generator=generator)[:64]]
        adam.zero_grad()
        (-kl(batch, shuffled(batch, generator))).backward()
        nn.utils.clip_grad_norm_(other.parameters(), 5.0)
        adam.step()
        adam.param_groups[0]["lr"] *= 0.1 if step in (steps // 2, 3 * steps // 4) else 1
        if step % every == 0 or step == steps:
            with torch.no_grad():
                evaluated.append((float(kl(stop, stop_product)), step, [p.clone() for p in other.parameters()]))
    _, step, best = max(evaluated, key=lambda e: e[0])
    assert slope or 1 < step < steps  # of independent units a critic learns nothing for long
    for ours, theirs in zip(critic.parameters(), best, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_the_readout_is_dv_of_ten_shuffles_in_slow_loops():
    y = torch.randn(30, 2, generator=torch.Generator().manual_seed(0))
    y[:, 1] += y[:, 0]

    def critic(rows):
        return (rows[:, :1] * rows[:, 1:]).clamp(-2, 2)

    reading = _read(critic, y, torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(1)
    product = [row for _ in range(10) for row in shuffled(y, generator)]
    joint_scores = [critic(row[None]).item() for row in y]
    weights = [math.exp(critic(row[None]).item()) for row in product]
    mean_weight = sum(weights) / 300
    assert reading.nats == pytest.approx(sum(joint_scores) / 30 - math.log(mean_weight), abs=1e-5)
    assert reading.log_normaliser == pytest.approx(math.log(mean_weight), abs=1e-5)
    assert reading.effective_rows == pytest.approx(sum(weights) ** 2 / sum(w**2 for w in weights), rel=1e-4)
    variance = np.var(joint_scores, ddof=1) / 30 + np.var([w / mean_weight for w in weights], ddof=1) / 300
    assert reading.standard_error == pytest.approx(math.sqrt(variance), rel=1e-4)


@pytest.mark.parametrize(("count", "stopping"), [(700, 70), (6000, 500)])
def test_what_becomes_of_the_readings_of_two_critics(count, stopping, monkeypatch):
    readings = iter(
        [
            # value, error, log-normaliser, rows it rests on; of held-out, stopping and training rows
            (3.0, 0.1, 1.0, 50.0), (9.0, 9.0, 0.5, 9.0), (3.2, 9.0, 9.0, 9.0),
            (4.0, 0.3, 0.2, 29.0), (9.0, 9.0, 0.6, 9.0), (4.4, 9.0, 9.0, 9.0),
        ]
    )  # fmt: skip
    rows = []

    def reading(critic, y, generator):
        rows.append(len(y))
        return _Reading(*next(readings))

    monkeypatch.setattr(module, "_read", reading)
    monkeypatch.setattr(module, "_train", lambda critic, y, stop, *_: rows.append((len(y), len(stop))))
    result = ndm(torch.randn(count, 2), torch.randn(1200, 2), repeats=2)
    training = min(count - stopping, 1200)
    assert rows == 2 * [(count - stopping, stopping), 1200, stopping, training]
    assert result.nats == 3.5
    first, second = (nats + log_z - at - math.expm1(log_z - at) for nats, log_z, at in ((3, 1, 0.5), (4, 0.2, 0.6)))
    assert result.lower_bound_nats == pytest.approx((first + second) / 2)
    # The critics share their held-out rows, so those errors do not shrink with the number of critics.
    assert result.standard_error == pytest.approx(math.sqrt((0.1**2 + 0.3**2) / 2 + 0.5 / 2))
    assert result.train_nats == pytest.approx(3.8)
    assert result.cap == pytest.approx(math.log(1200))
    assert (result.n_train, result.n_test) == (count, 1200)
    assert "rests on 29 shuffled rows" in result.warning


def test_as_many_training_rows_as_held_out_ones_are_read_but_1000_at_least(monkeypatch):
    rows = []
    monkeypatch.setattr(module, "_read", lambda critic, y, generator: rows.append(len(y)) or _Reading(0, 0, 0, 99))
    monkeypatch.setattr(module, "_train", lambda *_: None)
    ndm(torch.randn(2000, 2), torch.randn(100, 2), repeats=1)
    assert rows == [100, 200, 1000]


@pytest.mark.parametrize(
    ("figures", "warning"),
    [
        ((3.0, 0.3, 3.5, 30.0, 3.0), None),
        ((0.5, 0.1, 0.79, 30.0, 3.0), None),
        ((3.01, 0.1, 3.1, 99.0, 3.0), "above 3.00 nats, the log of the held-out rows"),
        ((2.0, 0.1, 2.0, 29.9, 3.0), "the normaliser rests on 30 shuffled rows"),
        ((2.0, 0.21, 2.0, 99.0, 3.0), "the standard error of 0.21 nats is large"),
        ((0.1, 0.11, 0.1, 99.0, 3.0), "the standard error of 0.11 nats is large"),
        ((0.5, 0.1, 0.81, 99.0, 3.0), "0.81 nats on training rows: the critic overfits"),
        ((2.0, 0.1, 2.41, 99.0, 3.0), "2.41 nats on training rows: the critic overfits"),
        ((2.0, 0.1, 2.39, 99.0, 3.0), None),
    ],
)
def test_warnings(figures, warning):
    warned = caution(*figures)
    assert warned == warning if warning is None else warned.startswith(warning)
    assert warning is None or ";" not in warned


def test_several_warnings_stand_in_one_line():
    assert caution(4.0, 1.0, 6.0, 5.0, 3.0).count("; ") == 3
