import pytest
import torch
from torch import nn
from torch.nn.functional import softplus
from torch.nn.modules.conv import _ConvNd

from deepinfomax import encoders
from deepinfomax.features import Features, Shapes
from deepinfomax.objectives import Batch, Facts, TwoPlayer
from deepinfomax.objectives.bigan import BiGAN, PairCritic
from play import blobs, energy_test, parameters, play

SHAPES = Shapes(image=(1, 8, 8), local=(4, 2, 2), conv=(4, 2, 2), fc=(6,), y=(3,))


def game(**settings) -> tuple[nn.Module, BiGAN, Batch]:
    torch.manual_seed(0)
    encoder = encoders.build("dcgan", (1, 8, 8), width=4, fc=16, y=3)
    objective = BiGAN(Facts(encoders.shapes_of(encoder, (1, 8, 8))), width=4, **settings)
    return encoder, objective, Batch(blobs(6), None, torch.arange(6))


@pytest.mark.parametrize("spectral_norm", [False, True])
def test_each_player_trains_its_own_networks_only(spectral_norm):
    encoder, objective, batch = game(spectral_norm=spectral_norm)
    assert isinstance(objective, TwoPlayer)
    own, others = parameters(encoder, [objective])
    assert {id(p) for p in others} == {id(p) for p in objective.critic.parameters()}

    features = encoder(batch.images)
    sum(objective(features, batch).values()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in own)  # encoder and generator
    assert all(p.grad is None for p in others)

    encoder.zero_grad()
    objective.zero_grad()
    generator = {k: v.clone() for k, v in objective.generator.state_dict().items()}
    sum(objective.adversary(features.detach(), batch).values()).backward()
    assert all(p.grad is None for p in own)
    assert all(p.grad is not None for p in others)
    assert all(torch.equal(v, generator[k]) for k, v in objective.generator.state_dict().items())


def test_losses_by_their_formulas():
    encoder, objective, batch = game()
    features = encoder(batch.images)
    torch.manual_seed(3)
    terms = objective(features, batch)
    loss = terms["loss"]
    torch.manual_seed(3)
    z = torch.randn(6, 3)
    d_encoder = torch.sigmoid(objective.critic(batch.images, features.y))
    d_generator = torch.sigmoid(objective.critic(objective.generator(z), z))
    torch.testing.assert_close(loss, (-torch.log(1 - d_encoder) - torch.log(d_generator)).mean())
    right = int((d_encoder > 0.5).sum()) + int((d_generator < 0.5).sum())
    assert terms.measured["critic_accuracy"].item() == pytest.approx(right / 12)

    torch.manual_seed(3)
    losses = objective.adversary(features.detach(), batch)
    torch.testing.assert_close(losses["critic"], (-torch.log(d_encoder) - torch.log(1 - d_generator)).mean())


def test_penalty_is_the_mean_over_every_sample():
    encoder, objective, batch = game(penalty=0.7)
    y = encoder(batch.images).y.detach()
    torch.manual_seed(3)
    penalty = objective.adversary(Features(y, y, y, y), batch)["penalty"]
    torch.manual_seed(3)
    z = torch.randn(6, 3)
    generated = objective.generator(z).detach()
    means = []
    for images, codes in ((batch.images, y), (generated, z)):
        slopes = []
        for i in range(6):
            x, c = images[i : i + 1].clone().requires_grad_(True), codes[i : i + 1].clone().requires_grad_(True)
            dx, dc = torch.autograd.grad(objective.critic(x, c).sum(), (x, c))
            slopes.append(dx.square().sum() + dc.square().sum())
        means.append(sum(slopes) / 6)
    torch.testing.assert_close(penalty, 0.7 * 0.5 * (means[0] + means[1]))


def test_without_penalty_there_is_no_such_term():
    encoder, objective, batch = game(penalty=0.0)
    assert set(objective.adversary(encoder(batch.images).detach(), batch)) == {"critic"}


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (2, 16, 24), (3, 33, 50), (2, 101), (1, 17, 16, 20)])
def test_critic_takes_images_of_any_size_and_reads_both_halves(shape):
    torch.manual_seed(0)
    critic = PairCritic(shape, 5, width=4)
    x, z = torch.randn(3, *shape, requires_grad=True), torch.randn(3, 5, requires_grad=True)
    scores = critic(x, z)
    assert scores.shape == (3,)
    softplus(scores).sum().backward()
    assert (x.grad.flatten(1).abs().sum(1) > 0).all()
    assert (z.grad.abs().sum(1) > 0).all()


def test_after_a_short_game_y_has_the_prior_and_the_generator_inverts():
    torch.manual_seed(0)
    images, unseen = blobs(2000), blobs(200, seed=1)
    prior = torch.randn(200, 2, generator=torch.Generator().manual_seed(2))
    encoder = encoders.build("dcgan", (1, 8, 8), width=8, fc=64, y=2)
    objective = BiGAN(Facts(encoders.shapes_of(encoder, (1, 8, 8))), width=8)
    with torch.no_grad():
        assert energy_test(encoder(unseen).y, prior) < 0.01
    play(encoder, {objective: 1.0}, images, steps=200, batch_size=128, lr=3e-3)
    encoder.eval()
    with torch.no_grad():
        features = encoder(unseen)
    assert energy_test(features.y, prior) > 0.01
    by_mean = (unseen - images.mean(0)).square().mean()
    assert (objective.reconstruct(features) - unseen).square().mean() < 0.7 * by_mean
    assert objective.sample(5, torch.Generator().manual_seed(0)).shape == (5, 1, 8, 8)


@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 40), (1, 16, 16, 16)])
def test_spectral_norm_bounds_every_layer_of_the_critic_and_none_else(shape):
    objective = BiGAN(Facts(SHAPES._replace(image=shape)), width=4, spectral_norm=True)
    layers = [m for m in objective.critic.modules() if isinstance(m, nn.Linear | _ConvNd)]
    assert len(layers) > 4
    assert all(nn.utils.parametrize.is_parametrized(layer, "weight") for layer in layers)
    assert not any(nn.utils.parametrize.is_parametrized(m) for m in objective.generator.modules())
    _, plain, _ = game()
    assert not any(nn.utils.parametrize.is_parametrized(m) for m in plain.critic.modules())


def test_losses_are_float32_in_mixed_precision():
    encoder, objective, batch = game()
    with torch.autocast("cpu", torch.bfloat16):
        features = encoder(batch.images)
        assert features.y.dtype == torch.bfloat16
        losses = {**objective(features, batch), **objective.adversary(features.detach(), batch)}
    assert {loss.dtype for loss in losses.values()} == {torch.float32}
