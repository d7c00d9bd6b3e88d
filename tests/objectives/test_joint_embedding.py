"""Every loss against the slow loop that its paper describes."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from deepinfomax.objectives import joint_embedding as je


def embeddings(views: int = 2, images: int = 5, units: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(views, images, units, generator=generator, dtype=torch.double)


def cosine(a: Tensor, b: Tensor) -> float:
    return float(a @ b / (a.norm() * b.norm()))


@pytest.mark.parametrize("views", [2, 3])
def test_nt_xent(views: int) -> None:
    z, losses = embeddings(views), []
    rows = [(v, n) for v in range(views) for n in range(5)]
    for v, n in rows:
        denominator = sum(math.exp(cosine(z[v, n], z[w, m]) / 0.1) for w, m in rows if (w, m) != (v, n))
        for w in range(views):
            if w != v:
                losses.append(-math.log(math.exp(cosine(z[v, n], z[w, n]) / 0.1) / denominator))
    assert je.nt_xent(z, 0.1).item() == pytest.approx(sum(losses) / len(losses), rel=1e-12)


@pytest.mark.parametrize("views", [2, 3])
def test_vicreg(views: int) -> None:
    z = embeddings(views)
    pairs = [(i, j) for i in range(views) for j in range(i)]
    invariance = sum(float((z[i] - z[j]).square().mean()) for i, j in pairs) / len(pairs)
    variance = covariance = 0.0
    for v in range(views):
        c = torch.cov(z[v].T)
        variance += sum(max(0.0, 1 - math.sqrt(float(c[d, d]) + 1e-4)) for d in range(3)) / 3 / views
        covariance += sum(float(c[d, e]) ** 2 for d in range(3) for e in range(3) if d != e) / 3 / views
    ours = [term.item() for term in je.vicreg(z)]
    assert ours == pytest.approx([invariance, variance, covariance], rel=1e-10)


def test_barlow_twins() -> None:
    z = embeddings()
    total = 0.0
    for i in range(3):
        for j in range(3):
            correlation = float(torch.corrcoef(torch.stack([z[0, :, i], z[1, :, j]]))[0, 1])
            total += (1 - correlation) ** 2 if i == j else 0.01 * correlation**2
    assert je.barlow_twins(z, 0.01).item() == pytest.approx(total, rel=1e-10)


def test_cosine_to_target() -> None:
    p, t = embeddings(), embeddings().flip(2)
    terms = [2 - 2 * cosine(p[i, n], t[j, n]) for i, j in ((0, 1), (1, 0)) for n in range(5)]
    assert je.cosine_to_target(p, t).item() == pytest.approx(sum(terms) / len(terms), rel=1e-12)
    t.requires_grad_()
    p.requires_grad_()
    je.cosine_to_target(p, t).backward()
    assert t.grad is None
    assert p.grad is not None


@pytest.mark.parametrize(("images", "units"), [(5, 3), (3, 5)])
def test_coding_rate(images: int, units: int) -> None:
    z = embeddings(2, images, units)
    for v in range(2):
        rows = z[v] / z[v].norm(dim=1, keepdim=True)
        matrix = torch.eye(units, dtype=torch.double) + units / (images * 0.2**2) * rows.T @ rows
        assert je.coding_rate(z)[v].item() == pytest.approx(math.log(float(torch.det(matrix))) / 2, rel=1e-10)


def test_distances_to_the_mean_of_the_views() -> None:
    z = embeddings(3)
    mean = (z[0] + z[1] + z[2]) / 3
    squared = [float((z[v, n] - mean[n]).square().sum()) / 3 for v in range(3) for n in range(5)]
    assert je.spread_around_mean(z).item() == pytest.approx(sum(squared) / 15, rel=1e-12)
    cosines = [cosine(z[v, n], mean[n]) for v in range(3) for n in range(5)]
    assert je.cosine_to_mean(z).item() == pytest.approx(sum(cosines) / 15, rel=1e-12)


@pytest.mark.parametrize(
    "loss",
    [
        je.nt_xent,
        lambda z: sum(je.vicreg(z)),
        je.barlow_twins,
        lambda z: je.coding_rate(z).sum(),
        je.spread_around_mean,
        je.cosine_to_mean,
    ],
)
def test_gradients(loss: object) -> None:
    assert torch.autograd.gradcheck(loss, (embeddings().requires_grad_(),))


@pytest.mark.parametrize("loss", [je.nt_xent, lambda z: sum(je.vicreg(z)), je.barlow_twins, je.coding_rate])
def test_products_are_float32_under_autocast(loss: Callable[[Tensor], Tensor]) -> None:
    z = embeddings(images=20, units=8).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = loss(z)
    assert torch.equal(mixed, loss(z))


def test_barlow_twins_with_a_unit_that_is_the_same_for_all_images() -> None:
    z = embeddings()
    z[0, :, 1] = 3.0
    z.requires_grad_()
    je.barlow_twins(z).backward()
    assert z.grad is not None
    assert z.grad.isfinite().all()
