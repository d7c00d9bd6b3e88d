import math
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch
from planted import Flat, images, make_encoder
from torch import nn

from deepinfomax.data.channels import Channels
from deepinfomax.data.images import ImageSet
from deepinfomax.encoders.standardised import Standardised
from deepinfomax.errors import UserError
from deepinfomax.evaluation import rank
from deepinfomax.evaluation.draws import stream
from deepinfomax.evaluation.measure import as_json
from deepinfomax.evaluation.rank import IMAGES, alignment, describe, effective_rank, uniformity


def measure(*arguments: Any, **settings: Any) -> dict[str, Any]:
    return as_json(rank.measure(*arguments, **settings))


def of_vectors(*arguments: Any, **settings: Any) -> dict[str, Any]:
    return as_json(rank.of_vectors(*arguments, **settings))


def with_spectrum(singular: list[float], count: int = 50) -> torch.Tensor:
    """Centred vectors of exactly these singular values."""
    rng = np.random.default_rng(0)
    left = rng.normal(size=(count, len(singular)))
    left = np.linalg.qr(left - left.mean(0))[0]
    left -= left.mean(0)
    right = np.linalg.qr(rng.normal(size=(len(singular), len(singular))))[0]
    return torch.from_numpy(left * singular @ right)


@pytest.mark.parametrize(
    ("singular", "rank"),
    [([1, 1, 1, 1], 4), ([5, 0, 0, 0], 1), ([3, 3, 0, 0], 2), ([2, 1, 1, 0], math.exp(1.5 * math.log(2)))],
)
def test_effective_rank_of_known_spectra(singular: list[float], rank: float) -> None:
    x = with_spectrum(singular)
    assert float(effective_rank(x)) == pytest.approx(rank, rel=1e-6)
    assert float(effective_rank(x * 1000 + 7)) == pytest.approx(rank, rel=1e-6)  # neither scale nor mean counts


def test_uniformity_and_alignment_are_those_of_slow_loops() -> None:
    x, y = torch.randn(12, 5), torch.randn(12, 5)
    u, v = ([row / row.norm() for row in t] for t in (x, y))
    pairs = [math.exp(-2 * float((u[i] - u[j]).square().sum())) for i in range(12) for j in range(i)]
    assert float(uniformity(x)) == pytest.approx(math.log(sum(pairs) / len(pairs)), abs=1e-5)
    squares = [float((a - b).square().sum()) for a, b in zip(u, v, strict=True)]
    assert float(alignment(x, y)) == pytest.approx(sum(squares) / 12, abs=1e-5)
    assert float(alignment(x, 3 * x)) == pytest.approx(0, abs=1e-6)
    whole = (5 * x).round()
    assert float(uniformity(whole.long())) == pytest.approx(float(uniformity(whole)), abs=1e-6)
    assert float(alignment(whole.long(), y)) == pytest.approx(float(alignment(whole, y)), abs=1e-6)
    for few in (lambda: uniformity(x[:1]), lambda: alignment(x, y[:1])):
        with pytest.raises(UserError, match="two"):
            few()


def test_a_healthy_representation() -> None:
    found = describe(torch.randn(1000, 16, generator=torch.Generator().manual_seed(0)))
    assert not found.collapsed
    assert found.effective_rank > 15.5
    assert found.mean_cosine == pytest.approx(0, abs=0.02)
    assert found.dead_units == 0
    assert found.uniformity < -3


@pytest.mark.parametrize("kind", ["one point", "one point but for rounding", "one line"])
def test_collapse_is_seen(kind: str) -> None:
    noise = torch.randn(200, 8, generator=torch.Generator().manual_seed(0))
    x = {
        "one point": torch.ones(200, 8),
        "one point but for rounding": 1000 + 1e-4 * noise,
        "one line": noise[:, :1] * torch.arange(1.0, 9.0),
    }[kind]
    assert describe(x).collapsed


def test_a_mean_far_from_0_is_no_collapse() -> None:
    """Probes and distances are the same with it: vectors that tell classes apart still do."""
    noise = torch.randn(200, 8, generator=torch.Generator().manual_seed(0))
    found, moved = describe(noise), describe(1000 + noise)
    assert moved.mean_cosine > 0.999
    assert not moved.collapsed
    assert moved.effective_rank == pytest.approx(found.effective_rank, rel=1e-3)


def test_mean_cosine_is_over_pairs_and_dead_units_are_counted() -> None:
    x = torch.randn(9, 4)
    x[:, 1] = 3.0
    found = describe(x)
    u = x / x.norm(dim=1, keepdim=True)
    cosines = [float(u[i] @ u[j]) for i in range(9) for j in range(9) if i != j]
    assert found.mean_cosine == pytest.approx(sum(cosines) / 72, abs=1e-6)
    assert (found.dead_units, found.units) == (1, 4)


def test_vectors_are_described_on_as_many_as_images_are() -> None:
    x = torch.randn(IMAGES["smoke"] + 100, 4, generator=torch.Generator().manual_seed(0))
    found = of_vectors(x, scale="smoke", seed=2)
    drawn = np.sort(stream(2, "rank").permutation(len(x))[: IMAGES["smoke"]])
    assert found["n_test"] == IMAGES["smoke"]
    assert found.items() >= asdict(describe(x[drawn])).items()


def test_rows_put_in_order_by_the_same_seed_are_drawn_like_any() -> None:
    """Rows scattered by default_rng(0): drawn by that again they would come back sorted, the first kind alone."""
    kinds = torch.cat([torch.ones(1000, 4), torch.randn(4000, 4, generator=torch.Generator().manual_seed(0))])
    scattered = torch.empty_like(kinds)
    scattered[np.random.default_rng(0).permutation(5000)] = kinds
    cosine = [of_vectors(scattered, scale="smoke", seed=seed)["mean_cosine"] for seed in range(3)]
    assert max(cosine) < 0.1


@pytest.mark.parametrize("scale", [1e-20, 1e-14, 1.0, 1e20, 1e30])
def test_directions_have_no_scale(scale: float) -> None:
    x = torch.randn(60, 8, generator=torch.Generator().manual_seed(0))
    y = x + 0.5 * torch.randn(60, 8, generator=torch.Generator().manual_seed(1))
    assert float(uniformity(scale * x)) == pytest.approx(float(uniformity(x)), abs=1e-5)
    assert float(alignment(scale * x, scale * y)) == pytest.approx(float(alignment(x, y)), abs=1e-5)
    assert describe(scale * x).mean_cosine == pytest.approx(describe(x).mean_cosine, abs=1e-5)


def test_of_an_encoder_without_labels() -> None:
    encoder, data = make_encoder()(), images(80, labels=False)
    found = measure(encoder, data, data, scale="smoke", seed=1)
    assert found["n_test"] == 80
    assert 1 <= found["effective_rank"] <= 6
    assert found["alignment"] > 0
    again = measure(encoder, data, data, scale="smoke", seed=1)
    assert found | {"seconds": 0} == again | {"seconds": 0}


@pytest.mark.parametrize("kind", ["uint16", "uint32", ">u2", ">f4", "float16"])
def test_alignment_of_numbers_of_any_type(kind: str) -> None:
    """PyTorch flips none of 16 bits without a sign, and reads none of another byte order."""
    pixels = np.random.default_rng(0).integers(0, 4000, (20, 3, 8, 8))
    encoder, channels = Flat(), Channels((2000.0,) * 3, (1000.0,) * 3)
    found, expected = (
        measure(Standardised(encoder, channels), data, data, scale="smoke")
        for data in (ImageSet(pixels.astype(kind)), ImageSet(pixels.astype(np.float32)))
    )
    assert found["alignment"] == pytest.approx(expected["alignment"], rel=1e-3)


def test_an_encoder_that_ignores_the_image_has_collapsed_and_aligns() -> None:
    encoder = Flat()
    nn.init.zeros_(encoder.weight)
    rng = np.random.default_rng(0)
    data = ImageSet(rng.integers(0, 255, (20, 3, 8, 8)).astype(np.uint8))
    found = measure(encoder, data, data, scale="smoke")
    assert found["collapsed"]
    assert found["alignment"] == 0
    assert found["dead_units"] == 6


def test_the_protocol_says_what_was_measured() -> None:
    series = ImageSet(np.random.default_rng(0).normal(size=(20, 2, 16)).astype(np.float32))
    found = measure(Flat(), series, series, scale="smoke")
    assert found["protocol"] == "y of 20 test images"
    assert "alignment" not in found


def test_too_few_images() -> None:
    with pytest.raises(UserError, match="3 test images or more, not 2"):
        describe(torch.randn(2, 4))


@pytest.mark.parametrize(("count", "units"), [(300, 1), (300, 2), (3, 20)])
def test_few_units_or_images_are_no_collapse(count: int, units: int) -> None:
    """The effective rank could not be above 2 then, however well the units are used."""
    x = torch.randn(count, units, generator=torch.Generator().manual_seed(0))
    assert not describe(x).collapsed
    assert describe(torch.ones_like(x)).collapsed
