"""The figures without labels, of vectors whose figures are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from deepinfomax import encoders
from deepinfomax.data.channels import Channels
from deepinfomax.data.images import ImageSet
from deepinfomax.encoders.standardised import Standardised
from deepinfomax.errors import UserError
from deepinfomax.evaluation import without_labels
from deepinfomax.evaluation.without_labels import alpha, lidar, measure, normality_gap


def test_alpha_is_the_exponent_that_the_vectors_were_made_with() -> None:
    torch.manual_seed(0)
    for exponent in (0.5, 1.0, 2.0):
        orthogonal, _ = torch.linalg.qr(torch.randn(4000, 64, dtype=torch.float64))
        centred = orthogonal - orthogonal.mean(0)
        vectors = centred * torch.arange(1, 65, dtype=torch.float64) ** (-exponent / 2)
        assert alpha(vectors) == pytest.approx(exponent, abs=0.05)
    assert alpha(torch.randn(50, 3)) is None
    assert alpha(torch.ones(50, 64)) is None


def test_lidar_is_the_number_of_directions_that_tell_images_apart() -> None:
    torch.manual_seed(0)
    images = torch.zeros(300, 1, 20)
    images[:, 0, :6] = torch.randn(300, 6)
    views = images + 0.1 * torch.randn(300, 8, 20)
    assert lidar(views) == pytest.approx(6, abs=0.6)
    # Noise that is alike for every unit is no information, however large its rank.
    assert lidar(images + 3.0 * torch.randn(300, 8, 20)) > 6
    with_one_noisy = images.repeat(1, 8, 1)
    with_one_noisy[:, :, 0] += 100 * torch.randn(300, 8)
    assert lidar(with_one_noisy + 0.01 * torch.randn(300, 8, 20)) == pytest.approx(5, abs=0.5)


def test_the_entropy_of_lidar_is_what_the_formula_says() -> None:
    torch.manual_seed(0)
    views = torch.randn(40, 5, 3, dtype=torch.float64)
    middle = views.mean(1)
    within = sum(torch.outer(v - m, v - m) for row, m in zip(views, middle, strict=True) for v in row) / 200
    within = within + 1e-4 * torch.eye(3)
    root = torch.linalg.inv(torch.linalg.cholesky(within))
    values = torch.linalg.eigvalsh(root @ torch.cov(middle.T) @ root.T)
    share = values / values.sum()
    assert lidar(views) == pytest.approx(float(torch.exp(-(share * share.log()).sum())), rel=1e-6)


def test_the_gap_of_one_direction_is_that_of_kolmogorov_and_smirnov() -> None:
    rng = np.random.default_rng(0)
    for values in (rng.standard_normal(500), rng.exponential(size=500), np.sign(rng.standard_normal(500))):
        standard = (values - values.mean()) / values.std(ddof=1)
        wanted = kstest(standard, "norm").statistic
        assert normality_gap(torch.from_numpy(values)[:, None]) == pytest.approx(wanted, abs=1e-9)
    far = torch.from_numpy((1e4 + 0.02 * rng.standard_normal((2000, 8))).astype(np.float32))
    assert normality_gap(far) == pytest.approx(normality_gap(far.double()), abs=1e-6)


def test_normal_vectors_are_normal_and_groups_are_not() -> None:
    torch.manual_seed(0)
    assert normality_gap(torch.randn(2000, 8)) < 0.03
    groups = torch.randn(2000, 8) + 20 * torch.randn(2, 8)[torch.arange(2000) % 2]
    assert normality_gap(groups) > 0.15


def test_every_figure_of_an_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(without_labels, "LIDAR_IMAGES", 30)
    torch.manual_seed(0)
    encoder = encoders.build("dcgan", (3, 16, 16), width=4, fc=16, y=8)
    images = ImageSet(np.random.default_rng(0).integers(0, 256, (80, 3, 16, 16), dtype=np.uint8))
    scores = measure(encoder, images)
    assert scores == measure(encoder, images)
    assert scores.units == 8
    assert 1 <= scores.effective_rank <= 8
    assert scores.lidar is not None
    assert scores.alignment is not None
    assert scores.alignment >= 0
    deep = ImageSet(np.random.default_rng(0).integers(0, 4000, (80, 3, 16, 16), dtype=np.uint16))
    channels = Channels((2000.0,) * 3, (1000.0,) * 3)
    same = replace(deep, images=deep.images.astype(np.float32))
    assert measure(Standardised(encoder, channels), deep) == measure(Standardised(encoder, channels), same)
    wide = ImageSet(np.random.default_rng(0).integers(0, 256, (80, 3, 16, 24), dtype=np.uint8))
    assert measure(encoders.build("dcgan", (3, 16, 24), width=4, fc=16, y=8), wide, level="fc").lidar is None
    with pytest.raises(UserError, match="the data has 1 image, and these figures need 4 or more"):
        measure(encoder, images.take(slice(1)))
