import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.nn.functional import normalize

from deepinfomax.objectives.slices import (
    Target,
    characteristic_function,
    quantiles,
    random_slices,
    sigreg,
    standardise,
    visreg,
)

TARGETS: tuple[Target, ...] = ("gaussian", "uniform", "sphere", "ball")


def draw(target: Target, count: int, units: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    if target == "uniform":
        return torch.rand(count, units, generator=generator, dtype=torch.double)
    normal = torch.randn(count, units, generator=generator, dtype=torch.double)
    if target == "gaussian":
        return normal
    radius = torch.rand(count, 1, generator=generator, dtype=torch.double) ** (1 / units)
    return normalize(normal, dim=1) * (radius if target == "ball" else 1)


def directions(units: int, slices: int = 16) -> Tensor:
    like = torch.zeros(1, dtype=torch.double)
    return random_slices(units, slices, like=like, generator=torch.Generator().manual_seed(1))


def test_slices_are_unit_vectors_of_all_directions() -> None:
    a = random_slices(8, 5000, like=torch.zeros(1, dtype=torch.bfloat16))
    assert a.shape == (8, 5000)
    assert a.dtype == torch.float32
    torch.testing.assert_close(a.norm(dim=0), torch.ones(5000))
    torch.testing.assert_close(a @ a.T / 5000, torch.eye(8) / 8, atol=0.01, rtol=0)


@pytest.mark.parametrize("target", TARGETS)
def test_samples_of_the_target_have_its_moments_and_characteristic_function(target: Target) -> None:
    x = standardise(draw(target, 200_000, 5), target)
    a = directions(5, 3)
    slices = x @ a
    torch.testing.assert_close(slices.mean(0), torch.zeros(3, dtype=torch.double), atol=0.02, rtol=0)
    torch.testing.assert_close(slices.var(0), torch.ones(3, dtype=torch.double), atol=0.02, rtol=0)
    t = torch.linspace(0, 3, 7, dtype=torch.double)
    empirical = torch.cos(t[:, None, None] * slices).mean(1)
    torch.testing.assert_close(empirical, characteristic_function(target, t, a), atol=0.01, rtol=0)


def test_the_statistic_is_its_integral_slice_by_slice() -> None:
    x, a = draw("gaussian", 11, 4), directions(4, 3)
    t = np.linspace(0, 3, 17)
    values = []
    for s in range(3):
        projection = (x @ a[:, s]).numpy()
        error = [abs(np.exp(1j * point * projection).mean() - math.exp(-(point**2) / 2)) ** 2 for point in t]
        values.append(11 * 2 * np.trapezoid(np.array(error) * np.exp(-(t**2) / 2), t))
    assert sigreg(x, a).item() == pytest.approx(np.mean(values), rel=1e-12)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("distance", [sigreg, visreg])
def test_samples_of_the_target_are_nearer_than_others(target: Target, distance: object) -> None:
    a = directions(6, 64)
    assert callable(distance)
    own = distance(draw(target, 512, 6), a, target)
    other: Target = "sphere" if target != "sphere" else "gaussian"
    assert own < 0.2 * distance(draw(other, 512, 6, seed=3), a, target)


def test_for_samples_of_the_target_the_statistic_does_not_grow_with_their_number() -> None:
    a = directions(6, 256)
    values = [sigreg(draw("gaussian", n, 6, seed=n), a).item() for n in (64, 4096)]
    assert values[1] == pytest.approx(values[0], rel=0.5)


def test_visreg_slice_by_slice() -> None:
    x, a = draw("sphere", 9, 4), directions(4, 3)
    values = []
    for s in range(3):
        p = (x @ a[:, s]).numpy()
        standard = np.sort((p - p.mean()) / p.std())
        expected = stats.norm.ppf((np.arange(9) + 0.5) / 9)
        values.append(p.mean() ** 2 + (1 - p.std()) ** 2 + np.mean((standard - expected) ** 2))
    assert visreg(x, a).item() == pytest.approx(np.mean(values), rel=1e-9)


@pytest.mark.parametrize("target", ["sphere", "ball"])
def test_quantiles_are_those_of_samples(target: Target) -> None:
    x = standardise(draw(target, 100_000, 5), target)[:, 0].numpy()
    expected = np.quantile(x, (np.arange(10) + 0.5) / 10)
    ours = quantiles(target, 10, directions(5)).squeeze(1).numpy()
    np.testing.assert_allclose(ours, expected, atol=0.03)


@pytest.mark.parametrize("distance", [sigreg, visreg])
def test_gradients(distance: object) -> None:
    assert callable(distance)
    x, a = draw("gaussian", 7, 3).requires_grad_(), directions(3, 4)
    if distance is sigreg:
        assert torch.autograd.gradcheck(lambda v: sigreg(v, a), (x,))
        return
    # The standard deviation by which a slice is divided takes no gradient: compare with the formula that fixes it.
    fixed = (x.detach() @ a).std(0, correction=0)

    def by_hand(v: Tensor) -> Tensor:
        p = v @ a
        shape = (((p - p.mean(0)) / fixed).sort(0).values - quantiles("gaussian", 7, a)).square().mean(0)
        return (p.mean(0).square() + (1 - p.std(0, correction=0)).square() + shape).mean()

    (ours,) = torch.autograd.grad(visreg(x, a), x)
    (expected,) = torch.autograd.grad(by_hand(x), x)
    torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize("measure", [sigreg, visreg])
def test_products_are_float32_under_autocast(measure) -> None:
    generator = torch.Generator().manual_seed(0)
    vectors, directions = torch.randn(50, 6, generator=generator), random_slices(6, 8, like=torch.zeros(1))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = measure(vectors, directions)
    assert torch.equal(mixed, measure(vectors, directions))


def test_a_sphere_of_one_dimension_is_two_points() -> None:
    line = torch.ones(1, 1)
    assert quantiles("sphere", 5, line).flatten().tolist() == [-1, -1, 0, 1, 1]
    assert visreg(torch.tensor([[-1.0], [1.0], [1.0], [-1.0]]), line, "sphere") == 0
