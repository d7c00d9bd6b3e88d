import math

import pytest
import torch
from test_local import SHAPES, features
from torch.nn.functional import softplus

from deepinfomax import encoders
from deepinfomax.errors import UserError
from deepinfomax.features import Features, effective_rank
from deepinfomax.information.pairs import local_infomax
from deepinfomax.objectives import BYOL, Batch, Facts, Game, LocalInfoMax, PriorMatching, Terms, TwoPlayer, play
from deepinfomax.objectives.prior import sample_prior, squared_slope
from deepinfomax.objectives.slices import random_slices, sigreg, visreg


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
    made, batch = features(64, shapes)
    for _ in range(600):
        y = shift + spread * torch.randn(64, 2)
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


@pytest.mark.parametrize(("by", "distance"), [("sigreg", sigreg), ("visreg", visreg)])
@pytest.mark.parametrize("prior", ["gaussian", "sphere", "ball", "uniform"])
def test_a_distance_in_random_directions(by, distance, prior) -> None:
    if (by, prior) == ("visreg", "uniform"):
        with pytest.raises(UserError, match="visreg needs the quantiles"):
            PriorMatching(Facts(SHAPES), by=by, prior=prior)
        return
    objective = PriorMatching(Facts(SHAPES), by=by, prior=prior, slices=16)
    made, batch = features()
    torch.manual_seed(3)
    terms = objective(made, batch)
    torch.manual_seed(3)
    directions = random_slices(6, 16, like=made.y)
    rows = torch.sigmoid(made.y) if prior == "uniform" else made.y
    torch.testing.assert_close(terms["loss"], distance(rows, directions, prior))
    terms["loss"].backward()
    assert made.y.grad.abs().sum() > 0


@pytest.mark.parametrize("by", ["sigreg", "visreg", "noise"])
def test_without_an_adversary_there_is_one_player(by) -> None:
    encoder = encoders.build("dcgan", (3, 16, 16), width=4, fc=8, y=6)
    prior = PriorMatching(Facts.of(encoder, (3, 16, 16)), by=by, prior="gaussian")
    assert list(prior.parameters()) == []
    game = Game(encoder, {"prior": (1.0, prior)})
    assert game.opponents is None
    assert set(game.players()) == {"encoder"}
    drawn = prior.draw_y(500, 0)
    assert drawn.shape == (500, 6)
    assert drawn.std() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(("by", "prior"), [("sigreg", "gaussian"), ("sigreg", "uniform"), ("visreg", "gaussian")])
def test_a_distance_moves_y_to_the_prior(by, prior) -> None:
    """Played out on a free y, off by mean, spread and correlation."""
    torch.manual_seed(0)
    objective = PriorMatching(Facts(SHAPES._replace(y=(2,))), by=by, prior=prior, slices=32)
    shift, mix = (
        torch.nn.Parameter(torch.tensor([3.0, -2.0])),
        torch.nn.Parameter(torch.tensor([[0.1, 0.3], [0.0, 2.0]])),
    )
    optimizer = torch.optim.Adam([shift, mix], 0.02)
    made, batch = features(256)
    for _ in range(800):
        loss = objective(made._replace(y=shift + torch.randn(256, 2) @ mix), batch)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    y = objective.squash((shift + torch.randn(20000, 2) @ mix).detach())
    mean, sd = (0.5, math.sqrt(1 / 12)) if prior == "uniform" else (0.0, 1.0)
    assert y.mean(0).tolist() == pytest.approx([mean] * 2, abs=0.1)
    assert y.std(0).tolist() == pytest.approx([sd] * 2, abs=0.1)
    assert torch.corrcoef(y.T)[0, 1] == pytest.approx(0, abs=0.12)


def test_noise_is_added_to_a_normalised_y() -> None:
    torch.manual_seed(0)
    y = 5 + 3 * torch.randn(4000, 6)
    gaussian = PriorMatching(Facts(SHAPES), by="noise", prior="gaussian", noise=0.5).y_shown(y)
    assert gaussian.mean(0).abs().max() < 0.05
    torch.testing.assert_close(gaussian.var(0), torch.full((6,), 1 + 0.25), rtol=0.1, atol=0)
    sphere = PriorMatching(Facts(SHAPES), by="noise", prior="sphere", noise=1e-6).y_shown(y)
    torch.testing.assert_close(sphere.norm(dim=1), torch.full((4000,), math.sqrt(6)))
    uniform = PriorMatching(Facts(SHAPES), by="noise", noise=0.25).y_shown(y)
    distance = uniform - torch.sigmoid(y)
    assert distance.abs().max() <= 0.25 + 1e-6
    assert distance.var() == pytest.approx(0.5**2 / 12, rel=0.05)
    several = PriorMatching(Facts(SHAPES._replace(y=(6, 3))), by="noise", prior="gaussian", noise=1e-6)
    shown = several.y_shown(5 + torch.randn(500, 6, 3))
    torch.testing.assert_close(shown.transpose(1, 2).flatten(0, 1).var(0), torch.ones(6), rtol=0.01, atol=0)
    for prior, clean in (("sphere", math.sqrt(6) * torch.nn.functional.normalize(y)), ("uniform", torch.sigmoid(y))):
        without = PriorMatching(Facts(SHAPES), by="noise", prior=prior).eval()
        torch.testing.assert_close(without.y_shown(y), clean)
    y.requires_grad_()
    assert PriorMatching(Facts(SHAPES)).y_shown(y) is y


def test_what_is_drawn_of_a_prior_by_noise_is_what_objectives_see() -> None:
    def drawn(prior: str) -> torch.Tensor:
        made = PriorMatching(Facts(SHAPES), by="noise", prior=prior).draw_y(2000, seed=0)
        assert made is not None
        return made

    torch.testing.assert_close(drawn("sphere").norm(dim=1), torch.full((2000,), math.sqrt(6)))
    assert drawn("gaussian").var() == pytest.approx(1, abs=0.05)
    uniform = drawn("uniform")
    assert (uniform.min() >= 0) & (uniform.max() <= 1)
    assert uniform.var() == pytest.approx(1 / 12, abs=0.01)


def test_a_copy_of_the_encoder_would_not_see_a_changed_y() -> None:
    encoder = encoders.build("dcgan", (3, 16, 16), width=4, fc=8, y=6)
    facts = Facts.of(encoder, (3, 16, 16))
    byol = BYOL(facts, hidden=8, outputs=4)
    Game(encoder, {"byol": (1.0, byol), "prior": (1.0, PriorMatching(facts))})
    with pytest.raises(UserError, match="byol copies the encoder, and prior changes its y"):
        Game(encoder, {"byol": (1.0, byol), "prior": (1.0, PriorMatching(facts, by="noise"))})


def test_every_objective_sees_the_noise() -> None:
    class Keeps(torch.nn.Module):
        def forward(self, features: Features, batch: Batch) -> Terms:
            self.y = features.y
            return Terms({"loss": features.y.sum()})

    torch.manual_seed(0)
    encoder = encoders.build("dcgan", (3, 16, 16), width=4, fc=8, y=6)
    prior = PriorMatching(Facts.of(encoder, (3, 16, 16)), by="noise", prior="gaussian")
    first = Keeps()
    turn = Game(encoder, {"first": (1.0, first), "prior": (1.0, prior)})(Batch(torch.rand(32, 3, 16, 16)))
    assert first.y.mean(0).abs().max() < 0.1
    assert turn.losses.keys() == {"first/loss"}
    assert turn.measured["prior/cap"] == pytest.approx(3 * math.log(1 + 100))


def test_caps_of_noise() -> None:
    """Gaussian: the mutual information of y and y + noise in closed form. Uniform: by a histogram."""
    settings = {"by": "noise", "noise": 0.5}
    assert PriorMatching(Facts(SHAPES), prior="gaussian", **settings).information_cap() == pytest.approx(
        3 * math.log(5)
    )
    several = PriorMatching(Facts(SHAPES._replace(y=(6, 3))), prior="gaussian", **settings)
    assert several.information_cap() == pytest.approx(9 * math.log(5))  # the channels of all three side by side
    cap = PriorMatching(Facts(SHAPES._replace(y=(1,))), **settings).information_cap()
    # The largest I(y; y + noise) has y + noise uniform on [-1/2, 3/2]: here y is 0 or 1, and the noise fills each half.
    torch.manual_seed(0)
    shown = torch.randint(2, (100_000,)) + 0.5 * (2 * torch.rand(100_000) - 1)
    counts = torch.histc(shown, 40, -0.5, 1.5) / len(shown)
    entropy = -(counts * (counts / 0.05).log()).sum()
    assert cap == pytest.approx(float(entropy) - math.log(1.0), abs=0.01)


def test_raising_the_information_of_a_noisy_y_makes_it_gaussian() -> None:
    """Noise alone says nothing; with infoNCE beside it y leaves two points for a spread."""
    torch.manual_seed(0)
    prior = PriorMatching(Facts(SHAPES._replace(y=(1,))), by="noise", prior="gaussian", noise=0.3)
    x = torch.rand(256, 1) * 2 - 1
    y = torch.nn.Parameter(torch.sign(x) + 0.05 * x)
    optimizer = torch.optim.Adam([y], 0.02)
    for _ in range(300):
        shown, clean = prior.y_shown(y), prior.y_shown(y).detach()
        # A critic that knows the noise: the score is its logarithmic density.
        a = torch.stack([shown[:, 0], torch.ones(256), shown[:, 0].square()], 1)
        normal = (y - y.mean()) / y.std(correction=0)
        b = torch.stack([normal[:, 0] / 0.09, -normal[:, 0].square() / 0.18, torch.full((256,), -1 / 0.18)], 1)
        loss = -local_infomax(b.unsqueeze(1), a.unsqueeze(1), pairing="global")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    kurtosis = float((((clean - clean.mean()) / clean.std()) ** 4).mean())
    assert 2.2 < kurtosis < 3.6  # of two points it is 1, of a Gaussian 3


def test_mistakes_of_a_prior_without_a_game() -> None:
    with pytest.raises(UserError, match="gaussian, uniform and sphere"):
        PriorMatching(Facts(SHAPES), by="noise", prior="ball")
    with pytest.raises(UserError, match=r"PriorMatching\.by must be 'adversary', 'sigreg'"):
        PriorMatching(Facts(SHAPES), by="sigregs")
    with pytest.raises(UserError, match=r"prior.penalty is for prior.by adversary, not for sigreg: leave it out"):
        PriorMatching(Facts(SHAPES), by="sigreg", penalty=0.0)
    with pytest.raises(UserError, match=r"prior.slices is for prior.by sigreg and visreg, not for adversary"):
        PriorMatching(Facts(SHAPES), slices=64)
    with pytest.raises(UserError, match=r"prior.noise is for prior.by noise, not for adversary"):
        PriorMatching(Facts(SHAPES), noise=0.3)
    with pytest.raises(UserError, match=r"prior.spectral_norm is for prior.by adversary, not for noise"):
        PriorMatching(Facts(SHAPES), by="noise", spectral_norm=True)


@pytest.mark.parametrize("by", ["adversary", "sigreg", "noise"])
def test_of_several_globals_each_is_a_sample(by) -> None:
    objective = PriorMatching(Facts(SHAPES._replace(y=(6, 3))), by=by, prior="sphere")
    drawn = objective.draw_y(200, seed=3)
    assert drawn.shape == (200, 6, 3)
    lengths = math.sqrt(6) if by == "noise" else 1.0
    torch.testing.assert_close(drawn.norm(dim=1), torch.full((200, 3), lengths))
    assert drawn.mean(0).abs().max() < 0.25 * lengths


def test_how_many_directions_y_uses_is_of_y_without_noise() -> None:
    """y of a collapsed encoder is the same for all images; normalised and with noise it would fill all directions."""
    torch.manual_seed(0)
    encoder = encoders.build("dcgan", (1, 16, 16), width=4, fc=8, y=6)
    facts = Facts.of(encoder, (1, 16, 16))
    objectives = {"local": LocalInfoMax(facts, units=8), "prior": PriorMatching(facts, by="noise", prior="gaussian")}
    game = Game(encoder, {name: (1.0, objective) for name, objective in objectives.items()})
    images = torch.rand(1, 1, 16, 16).expand(32, -1, -1, -1)
    optimizers = {"encoder": torch.optim.SGD(game.players()["encoder"], 1e-9)}
    turn = play(game, Batch(images), optimizers)
    assert effective_rank(turn.features.y) > 5
    assert effective_rank(turn.y) == pytest.approx(1.0, abs=1e-3)
    assert not turn.y.requires_grad


def test_losses_of_the_game_are_float32_in_mixed_precision() -> None:
    made, batch = features(64)
    objective = PriorMatching(Facts(SHAPES), prior="gaussian")
    half = made.detach()._replace(y=made.y.detach().bfloat16())
    with torch.autocast("cpu", torch.bfloat16):
        losses = {**objective(half, batch), **objective.adversary(half, batch)}
    assert {loss.dtype for loss in losses.values()} == {torch.float32}
