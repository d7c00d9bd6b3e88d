"""Generators: who is trained by which loss, the two scores against known values, and the smallest comparison."""

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.linalg import sqrtm
from torch.nn.functional import binary_cross_entropy_with_logits

from deepinfomax.data.images import ImageSet
from deepinfomax.errors import UserError
from deepinfomax.experiments import generator
from deepinfomax.experiments.generator import Gan, PriorMatchingGenerator, class_score, frechet_distance


def blobs(count, seed):
    """Bright and dark noise, one class each: (count, 3, 16, 16) uint8."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    mean = np.where(labels == 0, 60, 190)[:, None, None, None]
    pixels = (mean + rng.normal(0, 20, (count, 3, 16, 16))).clip(0, 255)
    return ImageSet(pixels.astype(np.uint8), labels, ("dark", "bright"), "blobs")


@pytest.mark.parametrize("model_type", [PriorMatchingGenerator, Gan])
def test_every_loss_trains_its_player_and_nobody_else(model_type):
    torch.manual_seed(0)
    model = model_type((3, 16, 16), width=8)
    images, z = torch.rand(8, 3, 16, 16) * 2 - 1, torch.randn(8, generator.Z_UNITS)
    for turn in model.turns():
        model.zero_grad()
        turn.loss(images, z).backward()
        own = {id(p) for p in turn.player.parameters()}
        for name, p in model.named_parameters():
            moved = p.grad is not None and bool(p.grad.any())
            assert moved == (id(p) in own), name


def test_losses_of_prior_matching_are_those_of_the_formulas():
    torch.manual_seed(0)
    model = PriorMatchingGenerator((1, 16, 16), width=8, penalty=0.5)
    images, z = torch.rand(6, 1, 16, 16) * 2 - 1, torch.randn(6, generator.Z_UNITS)
    generated = model.generator(z).detach()
    torch.testing.assert_close(model.generator_loss(images, z), (model.encoder(generated).mean() - 1).square())

    slow = torch.tensor(0.0)
    for kind, batch in (("real", images), ("generated", generated)):
        for x in batch:
            x = x.unsqueeze(0).clone().requires_grad_()
            code = model.encoder(x).squeeze()
            (slope,) = torch.autograd.grad(code, x)
            taken_for_prior = torch.sigmoid(model.critics[kind](code.view(1, 1))).squeeze()
            slow = slow + (-taken_for_prior.log() + 0.5 * 0.5 * slope.square().sum()) / 6
    torch.testing.assert_close(model.encoder_loss(images, z), slow.detach(), rtol=1e-4, atol=1e-5)

    torch.manual_seed(1)
    fast = model.critics_loss(images, z)
    torch.manual_seed(1)
    slow = torch.tensor(0.0)
    for kind, batch, mean in (("real", images, 1.0), ("generated", generated, -1.0)):
        code = model.encoder(batch).detach()
        prior = mean + torch.randn_like(code)
        for label, rows in ((1.0, prior), (0.0, code)):
            for row in rows:
                row = row.clone().requires_grad_()
                score = model.critics[kind](row).squeeze()
                (slope,) = torch.autograd.grad(score, row, retain_graph=True)
                slow = slow + binary_cross_entropy_with_logits(score, torch.tensor(label)) / 6
                slow = slow + 0.5 * slope.square().sum() / 6
    torch.testing.assert_close(fast, slow)


def test_the_encoder_tells_real_from_generated_and_the_generator_follows():
    """Bright images against a generator that begins grey: codes part, then the generator's images turn bright."""
    bright = ImageSet(np.full((64, 1, 16, 16), 230, np.uint8), np.zeros(64, np.int64), ("bright",), "bright")
    torch.manual_seed(0)
    model = PriorMatchingGenerator((1, 16, 16), width=8)
    z = torch.randn(64, generator.Z_UNITS)
    before = model.generator(z).mean().item()
    generator.train(model, bright, steps=120, seed=0)
    assert model.generator(z).mean().item() > before + 0.25


def test_class_score_between_nothing_told_and_every_class_told():
    assert class_score(torch.zeros(20, 5)) == pytest.approx(1)
    certain = 100.0 * torch.eye(5).repeat(4, 1)
    assert class_score(certain) == pytest.approx(5)
    one_class_only = 100.0 * torch.eye(5)[:1].repeat(20, 1)
    assert class_score(one_class_only) == pytest.approx(1)
    logits = torch.randn(30, 4, dtype=torch.double, generator=torch.Generator().manual_seed(0))
    p = logits.softmax(1)
    marginal = p.mean(0)
    kl = [sum(row[k] * math.log(row[k] / marginal[k]) for k in range(4)) for row in p]
    assert class_score(logits) == pytest.approx(math.exp(sum(kl) / 30))


def test_frechet_distance_equals_the_formula_and_known_shifts():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((300, 6)) @ rng.standard_normal((6, 6)), 1.5 * rng.standard_normal((200, 6)) + 0.5
    cov_x, cov_y = np.cov(x.T), np.cov(y.T)
    slow = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(cov_x + cov_y - 2 * sqrtm(cov_x @ cov_y).real)
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    assert frechet_distance(x, y) == pytest.approx(slow)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-8)
    assert frechet_distance(x, x + 2) == pytest.approx(4 * 6)
    assert frechet_distance(x, 3 * (x - x.mean(0)) + x.mean(0)) == pytest.approx(4 * x.T.cov().trace().item())


@pytest.mark.parametrize("channels", [1, 3])
def test_grid(tmp_path, channels):
    images = torch.stack([torch.full((channels, 2, 3), 2 * i / 15 - 1) for i in range(16)])
    generator.save_grid(images, tmp_path / "grid.png")
    with Image.open(tmp_path / "grid.png") as grid:
        pixels = np.asarray(grid)
    assert pixels.shape[:2] == (2 * 2, 8 * 3)
    first_channel = pixels if channels == 1 else pixels[:, :, 0]
    assert first_channel[::2, ::3].flatten().tolist() == [17 * i for i in range(16)]


def test_smallest_comparison(tmp_path):
    training, test = blobs(160, 0), blobs(80, 1)
    result = generator.compare(training, test, "smoke", 0, tmp_path / "a")
    assert set(result) == {"scale", "seed", "data", "settings", "classifier", "real", "prior_matching", "gan"}
    assert (result["data"]["train"], result["data"]["test"], result["data"]["measured"]) == (160, 80, 80)
    assert result["classifier"]["accuracy"] > 0.9  # bright or dark
    for name in ("real", "prior_matching", "gan"):
        assert 1 <= result[name]["score"] <= 2
    assert result["real"]["frechet"] < min(result["prior_matching"]["frechet"], result["gan"]["frechet"])
    assert json.loads((tmp_path / "a" / "generator.json").read_text()) == result
    with Image.open(tmp_path / "a" / "prior_matching.png") as grid:
        assert grid.size == (8 * 16, 8 * 16)
    assert result == generator.compare(training, test, "smoke", 0, tmp_path / "b")


def test_images_without_classes(tmp_path):
    unlabelled = ImageSet(blobs(64, 0).images)
    with pytest.raises(UserError, match="one class each"):
        generator.compare(unlabelled, unlabelled, "smoke", 0, tmp_path)
