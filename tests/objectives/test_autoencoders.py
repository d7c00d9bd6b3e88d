import math

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from deepinfomax import encoders
from deepinfomax.features import Features, Shapes
from deepinfomax.objectives import Batch, Facts, PriorMatching
from deepinfomax.objectives.autoencoders import (
    Autoencoder,
    VariationalAutoencoder,
    half_squared_error,
    kl_from_standard_normal,
)
from play import blobs, energy_test, parameters, play

SHAPES = Shapes(image=(1, 8, 8), local=(4, 2, 2), conv=(4, 2, 2), fc=(6,), y=(3,))


def features(n: int) -> Features:
    torch.manual_seed(1)
    return Features(*(torch.randn(n, *shape, requires_grad=True) for shape in SHAPES[1:]))


def test_kl_is_that_of_torch_and_of_samples():
    torch.manual_seed(0)
    mean, log_variance = torch.randn(5, 3, dtype=torch.double), torch.randn(5, 3, dtype=torch.double)
    q = Independent(Normal(mean, (log_variance / 2).exp()), 1)
    p = Independent(Normal(torch.zeros_like(mean), torch.ones_like(mean)), 1)
    value = kl_from_standard_normal(mean, log_variance).double()
    torch.testing.assert_close(value, kl_divergence(q, p), atol=1e-5, rtol=1e-5)
    z = q.sample((50_000,))
    ratio = q.log_prob(z) - p.log_prob(z)
    error = ratio.std(0) / math.sqrt(len(z))
    assert ((ratio.mean(0) - value).abs() < 5 * error).all()


def test_reconstruction_is_a_sum_over_pixels():
    torch.manual_seed(0)
    a, b = torch.rand(3, 2, 4, 4), torch.rand(3, 2, 4, 4)
    expected = [sum((x - y) ** 2 for x, y in zip(a[i].flatten(), b[i].flatten(), strict=True)) / 2 for i in range(3)]
    torch.testing.assert_close(half_squared_error(a, b), torch.stack(expected))
    log_density = Independent(Normal(a, 1.0), 3).log_prob(b)
    torch.testing.assert_close(-half_squared_error(a, b) - 16 * math.log(2 * math.pi), log_density)


def linear_vae(weight: torch.Tensor, log_variance: torch.Tensor) -> VariationalAutoencoder:
    """A VAE whose decoder is z -> W z and whose log-variance is a constant: all is Gaussian, all is known."""
    vae = VariationalAutoencoder(Facts(SHAPES), width=4)
    vae.decoder = nn.Sequential(nn.Linear(3, 64, bias=False), nn.Unflatten(1, (1, 8, 8)))
    with torch.no_grad():
        vae.decoder[0].weight.copy_(weight)
        vae.log_variance.weight.zero_()
        vae.log_variance.bias.copy_(log_variance)
    return vae


def test_elbo_terms_of_a_linear_gaussian_model():
    """E |x - W z|² = |x - W y|² + tr(W diag(variance) Wᵀ), by many draws of z for one image."""
    torch.manual_seed(0)
    weight, log_variance, n = torch.randn(64, 3) * 0.3, torch.tensor([-1.0, 0.0, -2.0]), 5_000
    x, y = torch.randn(1, 1, 8, 8), torch.randn(1, 3)
    vae = linear_vae(weight, log_variance)
    f = Features(*(torch.zeros(n, *shape) for shape in SHAPES[1:4]), y.expand(n, -1))
    losses = vae(f, Batch(x.expand(n, -1, -1, -1), None, torch.arange(n)))
    spread = (weight.square() * log_variance.exp()).sum()
    expected = ((x.flatten() - weight @ y[0]).square().sum() + spread) / 2
    assert losses["reconstruction"].item() == pytest.approx(expected.item(), rel=0.01)
    kl = kl_from_standard_normal(y, log_variance[None])
    torch.testing.assert_close(losses["kl"], kl.squeeze())


@pytest.mark.parametrize("exact", [True, False])
def test_elbo_is_at_most_the_log_likelihood_and_equal_at_the_true_posterior(exact):
    torch.manual_seed(0)
    # Orthogonal columns, so that the true posterior has a diagonal covariance.
    weight, n = torch.linalg.qr(torch.randn(64, 3)).Q * torch.tensor([0.5, 1.0, 2.0]), 5_000
    x = torch.randn(64)
    variance = 1 / (1 + weight.square().sum(0))
    mean = variance * (weight.T @ x)
    if not exact:
        mean = mean + 0.5
    vae = linear_vae(weight, variance.log())
    f = Features(*(torch.zeros(n, *shape) for shape in SHAPES[1:4]), mean.expand(n, -1))
    terms = vae(f, Batch(x.view(1, 1, 8, 8).expand(n, -1, -1, -1), None, torch.arange(n)))
    likelihood = MultivariateNormal(torch.zeros(64), weight @ weight.T + torch.eye(64)).log_prob(x).item()
    elbo = terms.measured["elbo"].item()
    if exact:
        assert elbo == pytest.approx(likelihood, abs=0.05)
    else:
        assert elbo < likelihood - 0.3


def test_beta_weighs_the_kl_alone():
    f, images = features(4), torch.rand(4, 1, 8, 8)
    losses = []
    for beta in (1.0, 4.0):
        torch.manual_seed(0)
        losses.append(
            VariationalAutoencoder(Facts(SHAPES), beta=beta, width=4)(f, Batch(images, None, torch.arange(4)))
        )
    torch.testing.assert_close(losses[1]["kl"], 4 * losses[0]["kl"])
    torch.testing.assert_close(losses[1]["reconstruction"], losses[0]["reconstruction"])


def test_cost_is_per_image_whatever_the_batch():
    """The authors' framework divides by the batch size twice; here copies of a batch cost what it costs."""
    torch.manual_seed(0)
    objective, f, images = Autoencoder(Facts(SHAPES), width=4).eval(), features(4), torch.rand(4, 1, 8, 8)
    terms = objective(f, Batch(images, None, torch.arange(4)))
    once = terms["loss"]
    thrice = Features(*(t.repeat(3, *(1,) * (t.ndim - 1)) for t in f))
    again = objective(thrice, Batch(images.repeat(3, 1, 1, 1), None, torch.arange(12)))["loss"]
    torch.testing.assert_close(once, again)
    mean_of_images = (objective.reconstruct(f) - images).square().flatten(1).sum(1).mean() / 2
    torch.testing.assert_close(once, mean_of_images)
    assert terms.measured["mse"].item() == pytest.approx(2 * once.item() / 64)


@pytest.mark.parametrize("objective", [Autoencoder, VariationalAutoencoder])
def test_every_parameter_gets_a_gradient_and_y_may_be_several(objective):
    torch.manual_seed(0)
    shapes = SHAPES._replace(y=(3, 2))
    module = objective(Facts(shapes), width=4)
    f = Features(*(torch.randn(4, *shape, requires_grad=True) for shape in shapes[1:]))
    sum(module(f, Batch(torch.rand(4, 1, 8, 8), None, torch.arange(4))).values()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())
    assert f.y.grad.abs().sum() > 0
    assert module.reconstruct(f).shape == (4, 1, 8, 8)


def digits() -> torch.Tensor:
    """1797 real handwritten digits, (N, 1, 8, 8) in [-1, 1]."""
    return torch.tensor(load_digits().images, dtype=torch.float).unsqueeze(1) / 8 - 1


# β is 0.1: an 8×8 image is worth 10 nats of squared error only, of which a β of 1 leaves little.
@pytest.mark.parametrize(("objective", "settings"), [(Autoencoder, {}), (VariationalAutoencoder, {"beta": 0.1})])
def test_digits_are_reconstructed_better_than_by_their_mean(objective, settings):
    torch.manual_seed(0)
    images = digits()
    train, held_out = images[:1500], images[1500:]
    encoder = encoders.build("dcgan", (1, 8, 8), width=16, fc=64, y=16)
    module = objective(Facts(encoders.shapes_of(encoder, (1, 8, 8))), width=16, **settings)
    play(encoder, {module: 1.0}, train, steps=150, lr=3e-3)
    encoder.eval()
    with torch.no_grad():
        reconstruction = module.reconstruct(encoder(held_out))
    by_mean = (held_out - train.mean(0)).square().mean()
    assert (held_out - reconstruction).square().mean() < 0.5 * by_mean
    assert reconstruction.abs().max() <= 1
    if isinstance(module, VariationalAutoencoder):
        drawn = module.sample(64, torch.Generator().manual_seed(0))
        assert torch.equal(drawn, module.sample(64, torch.Generator().manual_seed(0)))
        nearest = torch.cdist(drawn.flatten(1), train.flatten(1)).min(1).values.square().mean() / 64
        assert nearest < by_mean  # nearer to some digit than the mean image is


def test_an_adversarial_autoencoder_is_an_autoencoder_beside_a_prior():
    """Its y is told from the prior before training, and no more after; and it still reconstructs."""
    torch.manual_seed(0)
    images, unseen = blobs(2000), blobs(200, seed=1)
    prior = torch.randn(200, 2, generator=torch.Generator().manual_seed(2))
    encoder = encoders.build("dcgan", (1, 8, 8), width=8, fc=64, y=2)
    shapes = encoders.shapes_of(encoder, (1, 8, 8))
    reconstruction, matching = Autoencoder(Facts(shapes), width=8), PriorMatching(Facts(shapes), prior="gaussian")

    def y() -> torch.Tensor:
        encoder.eval()
        with torch.no_grad():
            result = encoder(unseen).y
        encoder.train()
        return result

    assert energy_test(y(), prior) < 0.01
    play(encoder, {reconstruction: 1.0, matching: 20.0}, images, steps=200, lr=3e-3)
    assert energy_test(y(), prior) > 0.01
    measured = reconstruction(encoder(images[:64]), Batch(images[:64])).measured
    assert measured["mse"] < 0.5 * (images - images.mean(0)).square().mean()
    own, others = parameters(encoder, [reconstruction, matching])
    assert not {id(p) for p in own} & {id(p) for p in others}


@pytest.mark.parametrize("objective", [Autoencoder, VariationalAutoencoder])
def test_the_error_measured_is_that_of_one_pixel(objective):
    torch.manual_seed(0)
    built = objective(Facts(SHAPES), width=4).eval()
    f, images = features(4), torch.rand(4, *SHAPES.image)
    if objective is VariationalAutoencoder:
        with torch.no_grad():
            built.log_variance.weight.zero_()
            built.log_variance.bias.fill_(-60.0)  # no noise
    terms = built(f, Batch(images))
    expected = torch.nn.functional.mse_loss(built.reconstruct(f), images)
    torch.testing.assert_close(terms.measured["mse"], expected)
