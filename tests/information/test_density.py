"""The autoregressive density against integrals, loops and Gaussians."""

import math

import pytest
import torch
from scipy import stats

from deepinfomax.information.density import AutoregressiveDensity, correlations, mixture_log_ratio, normal_scores


def wild(units: int) -> AutoregressiveDensity:
    """A density whose network says something, after a seed."""
    torch.manual_seed(0)
    mixed = torch.randn(units, units, dtype=torch.float64)
    covariance = mixed @ mixed.T + units * torch.eye(units)
    deviation = covariance.diagonal().sqrt()
    density = AutoregressiveDensity(covariance / torch.outer(deviation, deviation), hidden=24, mixture=3)
    torch.nn.init.normal_(density.last.weight, std=0.7)
    return density.double().eval()


def log_normal(z: torch.Tensor) -> torch.Tensor:
    return -0.5 * (z.square() + math.log(2 * math.pi)).sum(1)


def test_it_integrates_to_one():
    density = wild(2)
    grid = torch.linspace(-14, 14, 561, dtype=torch.float64)
    z = torch.cartesian_prod(grid, grid)
    with torch.no_grad():
        q = (density(z) + log_normal(z)).exp()
    assert float(q.sum() * (grid[1] - grid[0]) ** 2) == pytest.approx(1, abs=5e-3)


def test_each_unit_is_read_from_those_before_it():
    """The log-ratio of the first k units alone does not change with the units after them."""
    density = wild(5)
    z = torch.randn(1, 5, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda z: density.last(torch.relu(density.first(z))).view(5, -1), z)
    reached = jacobian[:, :, 0].abs().sum(1) > 0  # (unit, of z)
    assert torch.equal(reached, torch.ones(5, 5, dtype=torch.bool).tril(-1))
    two_layers = torch.autograd.functional.jacobian(
        lambda z: density.last(density.second(density.first(z))).view(5, -1), z
    )
    assert torch.equal(two_layers[:, :, 0].abs().sum(1) > 0, reached)


def test_the_log_ratio_is_that_of_a_loop_over_units():
    density = wild(4)
    rows = torch.randn(6, 4, dtype=torch.float64)
    with torch.no_grad():
        hidden = density.first(rows).relu()
        said = density.last(hidden + density.second(hidden).relu()).view(6, 4, 3, 3)
        linear, deviation = density.linear.tril(-1), density.log_deviation.exp()
        for row, out, ratio in zip(rows, said, density(rows), strict=True):
            total = 0.0
            for i in range(4):
                middle = sum(float(linear[i, j] * row[j]) for j in range(i))
                weights = out[i, :, 2].softmax(0)
                parts = [
                    float(w) * stats.norm.pdf(float(row[i]), middle + float(d * m), float(d * s.exp()))
                    for w, m, s, d in zip(weights, out[i, :, 0], out[i, :, 1], [deviation[i]] * 3, strict=True)
                ]
                total += math.log(sum(parts)) - stats.norm.logpdf(float(row[i]))
            assert float(ratio) == pytest.approx(total, abs=1e-9)


def test_it_begins_as_the_gaussian_of_the_correlations():
    covariance = torch.tensor([[1.0, 0.6, 0.3], [0.6, 1.0, -0.2], [0.3, -0.2, 1.0]])
    density = AutoregressiveDensity(covariance).eval()
    z = torch.randn(20_000, 3, generator=torch.Generator().manual_seed(0)) @ torch.linalg.cholesky(covariance).T
    with torch.no_grad():
        assert float(density(z).mean()) == pytest.approx(float(-0.5 * torch.logdet(covariance)), abs=0.02)
        single = AutoregressiveDensity(covariance, mixture=1).eval()(z[:50])
    exact = torch.distributions.MultivariateNormal(torch.zeros(3), covariance).log_prob(z[:50]) - log_normal(z[:50])
    torch.testing.assert_close(single, exact, atol=1e-4, rtol=1e-4)


def test_normal_scores_are_the_quantiles_of_ranks():
    rows = torch.tensor([[3.0, 1.0], [1.0, 1.0], [2.0, 1.0]])
    scores = normal_scores(rows, torch.Generator().manual_seed(0))
    levels = stats.norm.ppf([1 / 6, 1 / 2, 5 / 6])
    assert scores[:, 0].tolist() == pytest.approx([levels[2], levels[0], levels[1]], abs=1e-6)
    assert sorted(scores[:, 1].tolist()) == pytest.approx(sorted(levels), abs=1e-6)
    orders = {tuple(normal_scores(rows, torch.Generator().manual_seed(s))[:, 1].tolist()) for s in range(60)}
    assert len(orders) == 6  # equal values take every order


def test_correlations_of_few_rows_are_shrunk_and_of_many_kept():
    rows = torch.randn(5000, 20, generator=torch.Generator().manual_seed(0))
    rows[:, 1::2] += 2 * rows[:, ::2]
    few = correlations(rows[:60], rows[60:2000] / rows[60:2000].std(0))
    plain = torch.corrcoef(rows[:60].double().T)
    share = 1 - float(few[0, 5] / plain[0, 5])
    assert 0.005 < share < 0.5
    held_out = rows[3000:] / rows[3000:].std(0)
    kept = correlations(rows[:3000], held_out)
    assert float(kept[0, 1]) == pytest.approx(float(torch.corrcoef(rows[:3000].T)[0, 1]), rel=0.02)


def test_correlations_of_units_that_are_equal_have_a_root():
    rows = torch.randn(200, 1, generator=torch.Generator().manual_seed(0)).expand(-1, 3)
    torch.linalg.cholesky(correlations(rows[:150], rows[150:]))


def test_one_unit_has_nothing_to_depend_on():
    with pytest.raises(ValueError, match="one unit"):
        AutoregressiveDensity(torch.ones(1, 1))


def test_a_mixture_shows_what_a_group_in_common_tells():
    """Two groups, of which every unit says the same: log 2 nats for each unit but the first, where none is in doubt."""
    generator = torch.Generator().manual_seed(0)
    group = torch.randint(0, 2, (3000, 1), generator=generator)
    rows = normal_scores(100.0 * group + torch.randn(3000, 4, generator=generator), generator)
    parts = rows.split([2000, 500, 500])
    ratio = mixture_log_ratio(*parts, seed=0)
    assert ratio.shape == (500,)
    truth = 3 * math.log(2)
    assert truth - 0.5 < float(ratio.mean()) < truth + 0.02  # half a normal is no normal
    assert torch.equal(ratio, mixture_log_ratio(*parts, seed=0))
    assert float(mixture_log_ratio(rows[:30], rows[30:60], rows[60:90], seed=0).abs().max()) == 0  # too few for two
