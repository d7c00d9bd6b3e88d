import math

import numpy as np
import pytest
import torch
from gaussians import by_loops

from deepinfomax.information import readouts
from deepinfomax.information.readouts import Scores


@pytest.mark.parametrize("name", ["infonce", "dv", "nwj", "jsd_nwj", "smile", "cross_entropy"])
def test_readouts_are_their_formulas(name):
    u = 2 * torch.randn(6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    readout = (lambda s: readouts.smile(s, 2.0)) if name == "smile" else getattr(readouts, name)
    assert float(readout(Scores(u))) == pytest.approx(by_loops(name, u.tolist()), abs=1e-12)


def test_scores_of_a_thousand_stay_finite_and_pairs_never_enter_the_negatives():
    u = torch.randn(8, 8, generator=torch.Generator().manual_seed(1))
    large = 1000 * u + torch.diag(torch.full((8,), 1e4))
    assert math.isfinite(readouts.dv(Scores(large)))
    assert math.isfinite(readouts.infonce(Scores(large)))
    assert float(readouts.log_normaliser(Scores(large))) == float(readouts.log_normaliser(Scores(1000 * u)))
    assert float(readouts.infonce(Scores(large))) == pytest.approx(math.log(8))  # its cap, and not a bit more


def test_tangents_touch_at_the_sample_and_lie_below_elsewhere():
    u = torch.randn(9, 9, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    scores = Scores(u + 3 * torch.eye(9))
    for readout, touch in ((readouts.dv, readouts.log_normaliser), (readouts.jsd_lb, readouts.cross_entropy)):
        plain, at = float(readout(scores)), float(touch(scores))
        assert float(readout(scores, at=at)) == pytest.approx(plain, abs=1e-9)
        for shift in (-0.3, 0.05, 0.4):
            assert float(readout(scores, at=at + shift)) < plain


def test_least_kl_is_a_bound_for_any_two_distributions_and_attained():
    rng = np.random.default_rng(0)
    gaps = []
    for _ in range(500):
        size = rng.integers(2, 8)
        p, q = (np.maximum(rng.dirichlet(np.full(size, 10 ** rng.uniform(-1, 1))), 1e-12) for _ in range(2))
        p, q = p / p.sum(), q / q.sum()
        mixture = (p + q) / 2
        jsd = 0.5 * np.sum(p * np.log(p / mixture)) + 0.5 * np.sum(q * np.log(q / mixture))
        gaps.append(np.sum(p * np.log(p / q)) - readouts.least_kl(math.log(2) - jsd))
    assert min(gaps) > -1e-7
    for s in (0.9, 0.3, 1e-2, 1e-9):  # p = (1, 0), q = (s, 1 - s)
        jsd = 0.5 * math.log(2 / (1 + s)) + 0.5 * (s * math.log(2 * s / (1 + s)) + (1 - s) * math.log(2))
        assert readouts.least_kl(math.log(2) - jsd) == pytest.approx(-math.log(s), rel=1e-6)


@pytest.mark.parametrize("entropy", [1e-6, 0.01, 0.3, 0.69, 0.8])
def test_slope_of_least_kl(entropy):
    step = 1e-4 * entropy
    difference = (readouts.least_kl(entropy + step) - readouts.least_kl(entropy - step)) / (2 * step)
    assert readouts.least_kl_slope(entropy) == pytest.approx(difference, rel=1e-3)


def test_equal_scores_rest_on_every_combination_and_one_large_score_on_itself():
    assert readouts.effective_negatives(Scores(torch.full((5, 5), 3.0))) == pytest.approx(20)
    one = torch.zeros(5, 5)
    one[0, 1] = 50
    assert readouts.effective_negatives(Scores(one)) == pytest.approx(1)


def test_the_least_kl_of_scores_is_that_of_their_cross_entropy():
    u = torch.randn(7, 7, generator=torch.Generator().manual_seed(3), dtype=torch.float64) + 2 * torch.eye(7)
    entropy = by_loops("cross_entropy", u.tolist())
    assert float(readouts.jsd_lb(Scores(u))) == pytest.approx(readouts.least_kl(entropy), abs=1e-9)


def test_smile_clips_at_e_to_the_five_where_nothing_is_said():
    u = torch.tensor([[0.0, 9.0], [-9.0, 0.0]])
    assert float(readouts.smile(Scores(u))) == pytest.approx(-math.log((math.exp(5) + math.exp(-5)) / 2), rel=1e-6)
