"""y beside its prior: the densities are those of samples, and the numbers tell a match from a miss."""

from pathlib import Path

import fake_run
import numpy as np
import pytest
import torch
from scipy import stats

from deepinfomax.objectives.prior import sample_prior
from deepinfomax.report.distribution import PRIORS, distribution, largest_gaps, target
from deepinfomax.report.reading import Run


def run_with(y: np.ndarray, prior: str | None) -> Run:
    config = {} if prior is None else {"objective": {"prior": {"prior": prior}}}
    return Run(Path("a"), config=config, sample=y.astype(np.float64))


@pytest.fixture(params=PRIORS)
def prior(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("units", [2, 7, 64])
def test_densities_are_those_of_the_samples_that_training_draws(prior: str, units: int) -> None:
    torch.manual_seed(0)
    v = sample_prior(prior, (20_000, units), torch.empty(0, dtype=torch.float64)).numpy()
    aim = target(prior, units)
    assert stats.kstest(v[:, 0], aim.unit.cdf).pvalue > 0.001
    if aim.norm is not None:
        assert stats.kstest(np.linalg.norm(v, axis=1), aim.norm.cdf).pvalue > 0.001
    assert np.isfinite(aim.unit.pdf(np.linspace(aim.low, aim.high, 202)[1:-1])).all()


def test_largest_gaps_are_kolmogorovs(prior: str) -> None:
    y = fake_run.sample(prior, count=200, units=5).astype(np.float64)
    law = target(prior, 5).unit
    slow = [stats.kstest(y[:, unit], law.cdf).statistic for unit in range(5)]
    np.testing.assert_allclose(largest_gaps(y, law), slow)


def test_a_sample_of_the_prior_is_as_near_as_chance_allows(prior: str) -> None:
    torch.manual_seed(0)
    v = sample_prior(prior, (1000, 64), torch.empty(0, dtype=torch.float64)).numpy()
    found = distribution(run_with(np.log(v / (1 - v)) if prior == "uniform" else v, prior))
    assert found is not None
    assert found.gap == pytest.approx(found.gap_by_chance, rel=0.1)
    assert found.correlation == pytest.approx(found.correlation_by_chance, rel=0.15)


def test_a_miss_shows(prior: str) -> None:
    rng = np.random.default_rng(0)
    one = rng.standard_normal((1000, 1))
    found = distribution(run_with(5 * np.repeat(one, 8, axis=1), prior))  # every unit the same, and too wide
    assert found is not None
    assert found.gap is not None
    assert found.gap_by_chance is not None
    assert found.gap > 5 * found.gap_by_chance
    assert found.correlation == pytest.approx(1)


def test_uniform_is_compared_after_the_sigmoid() -> None:
    y = np.random.default_rng(0).logistic(size=(2000, 4))  # the sigmoid of a logistic variable is uniform
    found = distribution(run_with(y, "uniform"))
    assert found is not None
    assert found.gap is not None
    assert found.gap < 0.04
    assert found.norm is None
    assert "sigmoid(y)" in found.pooled


@pytest.mark.parametrize("prior", ["gaussian", "sphere"])
def test_of_a_prior_by_noise_y_is_compared_as_objectives_see_it(prior: str) -> None:
    """Its own scale is free: y is normalised before noise is added."""
    y = 14 + 9 * np.random.default_rng(0).standard_normal((2000, 6))
    y = y - 14 if prior == "sphere" else y
    config = {"objective": {"prior": {"prior": prior, "by": "noise"}}}
    found, without = distribution(Run(Path("a"), config=config, sample=y)), distribution(run_with(y, prior))
    assert found is not None
    assert without is not None
    assert (found.gap or 1) < 0.05 < (without.gap or 0)
    assert found.compared == "y normalised, as objectives see it before noise"
    assert without.compared == ""
    assert "normalised y" in found.pooled


def test_without_a_prior_y_is_shown_as_it_is() -> None:
    found = distribution(run_with(fake_run.sample(units=8), None))
    assert found is not None
    assert (found.prior, found.gap) == ("", None)
    assert found.norm is not None
    assert "prior" not in found.pooled
    assert distribution(Run(Path("a"))) is None


@pytest.mark.parametrize("y", [np.zeros((50, 6)), np.zeros((1, 6)), np.ones((40, 1)), np.full((9, 2), 1e30)])
def test_a_collapsed_or_tiny_sample_is_no_error(prior: str, y: np.ndarray) -> None:
    found = distribution(run_with(y, prior))
    assert found is not None
    assert found.correlation is None
    assert "<svg" in found.single
