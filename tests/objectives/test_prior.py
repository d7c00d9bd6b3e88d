import math

import pytest
import torch
from test_local import SHAPES, features
from torch.nn.functional import softplus

from deepinfomax.objectives import Facts, PriorMatching, TwoPlayer
from deepinfomax.objectives.prior import sample_prior, squared_slope


def test_the_players_never_train_each_other() -> None:
    torch.manual_seed(0)
    objective = PriorMatching(Facts(SHAPES))
    assert isinstance(objective, TwoPlayer)
    made, batch = features()
    objective(made, batch)["loss"].backward()
    assert made.y.grad.abs().sum() > 0
    assert all(p.grad is None for p in objective.critic.parameters())
    made.y.grad = None
    sum(objective.adversary(made, batch).values()).backward()
    assert made.y.grad is None
    assert all(p.grad.abs().sum() > 0 for p in objective.critic.parameters() if p.ndim > 1)


def test_both_losses_by_their_formulas() -> None:
    torch.manual_seed(0)
    objective = PriorMatching(Facts(SHAPES), penalty=2.0)
    made, batch = features()
    squashed = 1 / (1 + torch.exp(-made.y.detach()))
    encoder_loss = torch.stack([-torch.log(torch.sigmoid(objective.critic(s))) for s in squashed]).mean()
    torch.testing.assert_close(objective(made, batch)["loss"], encoder_loss)
    torch.manual_seed(1)
    losses = objective.adversary(made.detach(), batch)
    torch.manual_seed(1)
    real = torch.rand(4, 6)
    expected = softplus(-objective.critic(real)).mean() + softplus(objective.critic(squashed)).mean()
    torch.testing.assert_close(losses["critic"], expected)
    slopes = []
    for samples in (real, squashed):
        for sample in samples:
            x = sample.clone().requires_grad_()
            (slope,) = torch.autograd.grad(objective.critic(x).sum(), x)
            slopes.append(slope.square().sum())
    torch.testing.assert_close(losses["penalty"], 2.0 * 0.5 * 2 * torch.stack(slopes).mean())


def test_the_penalty_sees_every_sample() -> None:
    """Earlier code differentiated the last row of a batch only."""
    x = torch.randn(64, 3, requires_grad=True)
    slopes = squared_slope((x**2).sum(1), x)
    torch.testing.assert_close(slopes, 4 * x.square().sum(1))


@pytest.mark.parametrize("prior", ["gaussian", "ball", "sphere"])
def test_only_the_uniform_prior_squashes(prior) -> None:
    y = torch.randn(5, 6)
    assert torch.equal(PriorMatching(Facts(SHAPES), prior=prior).squash(y), y)
    torch.testing.assert_close(PriorMatching(Facts(SHAPES)).squash(y), torch.sigmoid(y))


def test_priors_are_what_they_are_called() -> None:
    torch.manual_seed(0)
    shape, like = (20000, 3), torch.zeros(1)
    uniform = sample_prior("uniform", shape, like)
    assert uniform.min() >= 0
    assert uniform.max() <= 1
    assert uniform.var(0).mean() == pytest.approx(1 / 12, rel=0.03)
    normal = sample_prior("gaussian", shape, like)
    assert normal.var(0).mean() == pytest.approx(1, rel=0.03)
    torch.testing.assert_close(sample_prior("sphere", shape, like).norm(dim=1), torch.ones(20000))
    radius = sample_prior("ball", shape, like).norm(dim=1)
    # Of a ball's volume, r^3 lies within radius r.
    for r in (0.5, 0.8):
        assert (radius < r).float().mean() == pytest.approx(r**3, abs=0.015)


def test_two_players_move_y_to_the_prior() -> None:
    """Played out on a free y, sigmoid(y) ends uniform: mean 1/2, variance 1/12."""
    torch.manual_seed(0)
    shapes = SHAPES._replace(y=(2,))
    objective = PriorMatching(Facts(shapes))
    shift = torch.nn.Parameter(torch.tensor([3.0, -2.0]))
    spread = torch.nn.Parameter(torch.tensor([0.1, 0.3]))
    one = torch.optim.Adam([shift, spread], 0.01, betas=(0.5, 0.999))
    two = torch.optim.Adam(objective.critic.parameters(), 1e-3, betas=(0.5, 0.999))
    made, batch = features(256, shapes)
    for _ in range(600):
        y = shift + spread * torch.randn(256, 2)
        loss = objective(made._replace(y=y), batch)["loss"]
        one.zero_grad()
        loss.backward()
        one.step()
        against = sum(objective.adversary(made._replace(y=y.detach()), batch).values())
        two.zero_grad()
        against.backward()
        two.step()
    squashed = torch.sigmoid(shift + spread * torch.randn(4000, 2)).detach()
    assert squashed.mean(0).tolist() == pytest.approx([0.5, 0.5], abs=0.12)
    # A Gaussian squashed cannot be exactly uniform; it comes near its spread, sd 0.289.
    assert squashed.std(0).tolist() == pytest.approx([math.sqrt(1 / 12)] * 2, abs=0.1)


@pytest.mark.parametrize("prior", ["uniform", "gaussian", "sphere", "ball"])
def test_drawn_representations_are_of_the_prior_and_of_the_seed(prior) -> None:
    objective = PriorMatching(Facts(SHAPES), prior=prior)
    drawn = objective.draw_y(500, seed=3)
    if prior == "uniform":  # only sigmoid(y) is matched to it
        assert drawn is None
        return
    assert drawn.shape == (500, 6)
    torch.manual_seed(3)
    assert torch.equal(drawn, sample_prior(prior, (500, 6), torch.empty(0)))
    assert not torch.equal(drawn, objective.draw_y(500, seed=4))


@pytest.mark.parametrize("penalty", [0.0, 0.5, 1.0])
def test_a_penalty_is_taken_whatever_its_weight(penalty) -> None:
    made, batch = features()
    losses = PriorMatching(Facts(SHAPES), penalty=penalty).adversary(made.detach(), batch)
    assert ("penalty" in losses) == (penalty > 0)
