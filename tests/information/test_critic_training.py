import math

import pytest
import torch
from gaussians import gaussians

from deepinfomax.information import readouts
from deepinfomax.information.critic_training import Fit, MovingAverage, off_diagonal, train_critic
from deepinfomax.information.estimators import ESTIMATORS
from deepinfomax.information.readouts import Scores
from deepinfomax.information.vector_critics import SeparableCritic


def test_off_diagonal_keeps_rows():
    scores = torch.arange(16.0).view(4, 4)
    for i in range(4):
        assert off_diagonal(scores)[i].tolist() == [float(scores[i, j]) for j in range(4) if j != i]


def test_moving_average_gives_the_gradient_of_mine_in_log_space():
    average, decay, mean = MovingAverage(decay=0.9), 0.9, None
    generator = torch.Generator().manual_seed(0)
    for _ in range(4):
        positive = torch.randn(3, 1, generator=generator, dtype=torch.float64, requires_grad=True)
        negative = torch.randn(3, 2, generator=generator, dtype=torch.float64, requires_grad=True)
        average.loss(positive, negative).backward()
        batch_mean = float(negative.detach().exp().mean())
        mean = batch_mean if mean is None else decay * mean + (1 - decay) * batch_mean
        torch.testing.assert_close(positive.grad, torch.full_like(positive, -1 / 3))
        torch.testing.assert_close(negative.grad, negative.detach().exp() / 6 / mean)


def test_moving_average_cannot_overflow():
    average = MovingAverage(decay=0.99)
    for size in (1.0, 1000.0, -1000.0, 3000.0):
        negative = torch.full((4, 3), size, requires_grad=True)
        loss = average.loss(torch.zeros(4, 1), negative)
        loss.backward()
        assert math.isfinite(loss.detach())
        assert float(negative.grad.sum()) <= 100.1  # 1 / (1 - decay), in fp32


def test_rise_of_the_stopping_values():
    def rise(*values, gave_up=False):
        return Fit(steps=100, skipped=0, stopping=values, gave_up=gave_up).rise

    assert rise(0.0, 1.0, 2.0, 3.0, 4.5) == 2.5  # the middle one is where the second half begins
    assert rise(0.0, 1.0, 2.0, 4.5) == 3.5
    assert rise(0.0, 3.0, 2.0, 1.0, 3.25, 2.0) == 0.25  # of the best so far: what is kept
    assert rise(math.nan, 1.0, math.nan, 2.0) == 1.0
    assert rise(0.0, 1.0, 2.0, 3.0, 4.5, gave_up=True) == 0.0
    assert rise(1.0, 3.0) == 2.0
    assert rise(2.0) == rise() == 0.0


def test_stopping_values_are_the_training_bound_and_of_jsd_what_it_allows():
    x, y = (torch.from_numpy(side).float() for side in gaussians(1.0, 2, 300))
    for name in ("nwj", "jsd-dv"):
        torch.manual_seed(0)
        critic = SeparableCritic(2, 2, hidden=(8,))
        estimator, generator = ESTIMATORS[name], torch.Generator().manual_seed(0)
        settings = {"batch_size": 64, "lr": 1e-3, "patience": 10, "generator": generator}
        fit = train_critic(critic, estimator, x, y, x[:100], y[:100], steps=2, **settings)
        scores = Scores(critic(x[:100], y[:100]).detach().double())
        bound = readouts.jsd_lb if name == "jsd-dv" else readouts.nwj
        assert len(fit.stopping) == 2
        assert max(fit.stopping) == pytest.approx(float(bound(scores)), abs=1e-5)
        assert not fit.gave_up


def test_training_gives_up_after_its_patience_in_evaluations():
    """At a rate of 0 no stopping value is better than the first: of 400 steps, those of three evaluations are done."""
    x, y = (torch.from_numpy(side).float() for side in gaussians(1.0, 2, 300))
    settings = {"batch_size": 64, "lr": 0.0, "generator": torch.Generator().manual_seed(0)}
    for patience, steps in ((2, 30), (1000, 400)):
        critic = SeparableCritic(2, 2, hidden=(8,))
        fit = train_critic(
            critic, ESTIMATORS["infonce"], x, y, x[:100], y[:100], steps=400, patience=patience, **settings
        )
        assert fit.steps == steps
        assert len(fit.stopping) == steps // 10  # evaluated forty times over all steps
        assert fit.gave_up == (patience == 2)
    assert Fit(steps=1, skipped=0, stopping=(1.0, 3.0), gave_up=False).rise == 2.0


def test_how_far_the_stopping_value_fell_back():
    def fit(*stopping: float) -> Fit:
        return Fit(steps=10, skipped=0, stopping=stopping, gave_up=True)

    assert fit(0.1, 0.5, 0.4, 0.2).fall == pytest.approx(0.3)
    assert fit(0.1, 0.5, 0.2, math.nan, -math.inf).fall == pytest.approx(0.3)
    assert fit(0.1, 0.5).fall == 0
    assert fit(math.nan).fall == fit().fall == 0
