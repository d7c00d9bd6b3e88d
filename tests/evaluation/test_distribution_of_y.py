"""The distribution of y beside each prior: vectors of the prior are not told from it, others are."""

import numpy as np
import pytest
import torch
from scipy import stats

from deepinfomax.data.images import ImageSet
from deepinfomax.encoders import build
from deepinfomax.errors import UserError
from deepinfomax.evaluation import distribution
from deepinfomax.evaluation.distribution import (
    PRIORS,
    EncoderDistribution,
    encoder_distribution,
    kernel_distance,
    rejected,
    told_apart,
    wasserstein,
)
from deepinfomax.objectives.prior import sample_prior


def of_prior(prior: str, count: int, units: int, seed: int) -> torch.Tensor:
    torch.manual_seed(seed)
    drawn = sample_prior(prior, (count, units), torch.empty(0))
    return torch.logit(drawn.double()).float() if prior == "uniform" else drawn


@pytest.mark.parametrize("prior", PRIORS)
def test_vectors_of_a_prior_are_not_told_from_it_and_those_of_another_are(prior):
    of_y = EncoderDistribution(of_prior(prior, 600, 8, seed=0))
    own = of_y.distance(prior, steps=100, slices=100)
    assert own.classifier_p > 1e-3
    assert own.kernel_p > 1e-3
    assert own.slices_rejected < 0.2
    assert own.sliced < 1.5 * own.sliced_of_prior
    for other in PRIORS:
        if other != prior:
            far = of_y.distance(other, steps=100, slices=100)
            assert far.sliced > 1.5 * far.sliced_of_prior, other
            assert min(far.classifier_p, far.kernel_p) < 0.01, other


def test_p_values_of_the_prior_itself_are_uniform():
    """Thirty pairs of samples of the prior."""
    kernel, classifier = [], []
    for seed in range(30):
        torch.manual_seed(seed)
        a, b = torch.randn(200, 4), torch.randn(200, 4)
        kernel.append(kernel_distance(a, b, seed=seed, shuffles=60)[1])
        classifier.append(told_apart(a, b, steps=20)[1])
    assert stats.kstest(kernel, "uniform").pvalue > 0.01
    assert stats.kstest(classifier, "uniform").pvalue > 0.001  # shares are few numbers, so their steps are coarse


def test_vectors_drawn_with_the_seed_of_the_measure_do_not_meet_themselves():
    torch.manual_seed(0)
    assert EncoderDistribution(torch.randn(200, 4)).distance("gaussian", seed=0, steps=20).sliced > 0.01


def test_kernel_distance_against_a_loop():
    torch.manual_seed(1)
    a, b = torch.randn(20, 3).double(), 1.5 * torch.randn(20, 3).double()
    rng = distribution.stream(0, "kernel")
    a_rows, b_rows = (rows[np.sort(rng.permutation(20)[:20])] for rows in (a, b))
    rows = torch.cat([a_rows, b_rows])
    width = torch.cdist(rows, rows).square().median()

    def k(u, v):
        return float(torch.exp(-(u - v).square().sum() / width))

    within = sum(k(a[i], a[j]) + k(b[i], b[j]) for i in range(20) for j in range(20) if i != j) / (20 * 19)
    across = 2 * sum(k(u, v) for u in a for v in b) / 400
    assert kernel_distance(a, b)[0] == pytest.approx(within - across, rel=1e-9)


def test_the_p_value_of_a_share_is_that_of_coins(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("deepinfomax.evaluation.distribution.accuracy", lambda classify, labels: 31 / 50)
    share, p_value = told_apart(torch.randn(50, 2), torch.randn(50, 2), steps=1)
    assert (share, p_value) == (0.62, pytest.approx(stats.binomtest(31, 50, alternative="greater").pvalue))


def test_slices_against_scipy():
    torch.manual_seed(2)
    a, b = torch.randn(300, 20).double(), 1.15 * torch.randn(300, 20).double()
    expected = np.mean([stats.ks_2samp(x, y, method="asymp").pvalue < 0.05 for x, y in zip(a.T, b.T, strict=True)])
    assert 0 < expected < 1
    assert rejected(a.sort(0).values, b.sort(0).values) == pytest.approx(expected, abs=0.051)
    few, same = torch.randint(0, 2, (2, 300, 20)).double()  # as of a sphere with one unit
    for x, y in ((few, same), (few, few + (torch.rand(300, 20) < 0.1))):
        expected = np.mean([stats.ks_2samp(i, j, method="asymp").pvalue < 0.05 for i, j in zip(x.T, y.T, strict=True)])
        assert rejected(x.sort(0).values, y.sort(0).values) == pytest.approx(expected, abs=0.051)
    one, other = a[:, :1].sort(0).values, b[:, :1].sort(0).values
    assert wasserstein(one, other) == pytest.approx(float((one - other).square().mean().sqrt()))


def test_moments_and_samples():
    torch.manual_seed(3)
    vectors = torch.randn(150, 3) + torch.tensor([1.0, 2.0, 3.0])
    of_y = EncoderDistribution(vectors)
    assert np.allclose(of_y.mean, vectors.double().numpy().mean(0))
    assert np.allclose(of_y.covariance, np.cov(vectors.double().numpy().T))
    drawn = of_y.sample(1000, seed=5)
    assert drawn.shape == (1000, 3)
    assert torch.equal(drawn, of_y.sample(1000, seed=5))
    assert all((vectors == row).all(1).any() for row in drawn[:20])


def test_of_an_encoder_and_of_its_measure():
    torch.manual_seed(4)
    encoder = build("dcgan", (3, 16, 16), width=4, fc=16, y=8).eval()
    images = ImageSet(np.random.default_rng(0).integers(0, 256, (150, 3, 16, 16), dtype=np.uint8))
    of_y = encoder_distribution(encoder, images)
    assert of_y.vectors.shape == (150, 8)
    result = distribution.measure(encoder, images, images, scale="smoke")
    assert set(result.priors) == set(PRIORS)
    assert result.gaussian == result.priors["gaussian"]["classifier"] > 0.6  # an untrained y is narrow
    again = distribution.measure(encoder, images, images, scale="smoke")
    assert again.priors == result.priors


def test_errors_say_what_to_do():
    with pytest.raises(UserError, match="50 vectors"):
        EncoderDistribution(torch.randn(40, 3))
    with pytest.raises(UserError, match="unknown prior 'cube'"):
        EncoderDistribution(torch.randn(100, 3)).distance("cube")
