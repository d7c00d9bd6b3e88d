"""The first layer that begins as a whitening of patches: against a slow covariance, on any rank, and its refusals."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from deepinfomax import config, recipes
from deepinfomax.data.images import ImageSet, normalise
from deepinfomax.devices import has_fast_bfloat16
from deepinfomax.encoders import build
from deepinfomax.encoders.whitening import first_convolution, patches, whiten_first_layer
from deepinfomax.errors import UserError
from deepinfomax.evaluation.evaluate_command import maker
from deepinfomax.training.loop import train
from deepinfomax.training.run_folder import read_config, read_data_config


def smooth(count: int, *sides: int, channels: int = 3, seed: int = 0) -> torch.Tensor:
    """Images whose neighbouring pixels are alike: cumulative sums of noise."""
    x = torch.randn(count, channels, *sides, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    for axis in range(2, x.ndim):
        x = x.cumsum(axis)
    return (x / x.std()).float()


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_outputs_are_white_and_come_with_both_signs(rank):
    kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[rank - 1]
    images = smooth(400, *[12] * rank, channels=2)
    layer = kind(2, 8, 3, bias=True)
    assert whiten_first_layer(nn.Sequential(nn.Identity(), layer), images) is True
    seen = patches(images, layer, np.random.default_rng(5)).float()
    out = seen @ layer.weight.flatten(1).T + layer.bias
    assert torch.allclose(out[:, :4], -out[:, 4:], atol=1e-5)
    covariance = torch.cov(out[:, :4].T)
    assert torch.allclose(covariance, torch.diag(covariance.diagonal()), atol=0.15)
    assert 0.3 < covariance.diagonal().min() <= covariance.diagonal().max() < 1.3
    assert out.mean(0).abs().max() < 0.25


def test_a_bias_takes_the_mean_off():
    images = smooth(400, 12, 12, channels=2) + 3
    layer = nn.Conv2d(2, 8, 3)
    whiten_first_layer(layer, images)
    assert layer.bias is not None
    seen = patches(images, layer, np.random.default_rng(5)).float()
    assert (seen @ layer.weight.flatten(1).T + layer.bias).mean(0).abs().max() < 0.25


def test_the_first_direction_is_that_of_a_slow_covariance():
    images = smooth(300, 6, 6)
    layer = nn.Conv2d(3, 4, 6, bias=False)  # one patch an image: the whole of it
    whiten_first_layer(layer, images)
    rows = images.double().flatten(1)
    centred = [row - rows.mean(0) for row in rows]
    covariance = sum(torch.outer(row, row) for row in centred) / len(rows)
    values, vectors = torch.linalg.eigh(covariance)
    first = layer.weight[0].detach().double().flatten()
    assert abs(torch.dot(first / first.norm(), vectors[:, -1])) == pytest.approx(1, abs=1e-4)
    assert float(first.norm()) == pytest.approx(float((values[-1] + 1e-2 * values.mean()).rsqrt()), rel=1e-3)


def test_every_direction_is_scaled_by_its_variance_and_a_share_of_the_mean_one():
    images = 10 * smooth(500, 4, 4, channels=1)
    layer = nn.Conv2d(1, 32, 4, bias=False)
    whiten_first_layer(layer, images)
    rows = images.double().flatten(1)
    values = torch.linalg.eigvalsh(torch.cov(rows.T, correction=0)).flip(0)
    expected = (values + 1e-2 * values.mean()).rsqrt()
    assert torch.allclose(layer.weight[:16].detach().double().flatten(1).norm(dim=1), expected, rtol=1e-3)


def test_few_images_give_many_patches_and_many_give_one_each():
    layer, rng = nn.Conv2d(3, 4, 3), np.random.default_rng(0)
    assert patches(smooth(10, 8, 8), layer, rng).shape == (540, 27)  # 20 for each number of a patch
    assert patches(smooth(600, 8, 8), layer, rng).shape == (600, 27)


def test_filters_beyond_the_directions_keep_their_weights():
    layer = nn.Conv2d(1, 30, 3, bias=False)
    before = layer.weight.detach().clone()
    whiten_first_layer(layer, smooth(200, 8, 8, channels=1))
    assert torch.equal(layer.weight[18:], before[18:])  # 9 directions, twice
    assert not torch.equal(layer.weight[:18], before[:18])


def test_the_same_seed_takes_the_same_patches():
    images, weights = smooth(100, 10, 10), []
    for seed in (0, 0, 1):
        torch.manual_seed(3)
        layer = nn.Conv2d(3, 6, 3)
        whiten_first_layer(layer, images, seed=seed)
        weights.append(layer.weight.detach())
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize(
    ("encoder", "images", "words"),
    [
        (nn.Linear(3, 3), smooth(20, 8, 8), "no convolution"),
        (nn.Conv2d(1, 4, 3), smooth(20, 8, 8), "takes 1 channels in 1 groups"),
        (nn.Conv1d(3, 4, 3), smooth(20, 8, 8), "over 1 axes"),
    ],
)
def test_what_cannot_be_whitened_is_refused(encoder, images, words):
    with pytest.raises(UserError, match=words):
        whiten_first_layer(encoder, images)


@pytest.mark.parametrize(("kernel", "images"), [(9, smooth(20, 8, 8)), (3, torch.zeros(20, 3, 8, 8))])
def test_where_there_is_nothing_to_take_the_layer_keeps_its_weights(kernel, images):
    layer = nn.Conv2d(3, 4, kernel)
    before = layer.weight.detach().clone()
    assert whiten_first_layer(layer, images) is False
    assert torch.equal(layer.weight, before)


PICTURES = ImageSet(np.random.default_rng(0).integers(0, 256, (64, 3, 16, 16), dtype=np.uint8))
SMALL = config.override(recipes.recipe("dim-local", "smoke"), {"training.trackers": [], "training.steps": 2})


def test_a_run_begins_whitened_and_its_random_encoder_too(tmp_path):
    settings = config.override(SMALL, {"training.first_layer": "whitening", "training.lr": 1e-12})
    encoder = train(settings, PICTURES, tmp_path / "run", quiet=True)
    torch.manual_seed(0)
    expected = build("dcgan", (3, 16, 16), **{k: v for k, v in settings.encoder.items() if k != "name"})
    whiten_first_layer(expected, normalise(PICTURES.images), seed=settings.seed)
    assert torch.allclose(first_convolution(encoder).weight, first_convolution(expected).weight, atol=1e-6)
    control = maker(tmp_path / "run", read_data_config(tmp_path / "run"), PICTURES, encoder)()
    assert torch.equal(first_convolution(control).weight, first_convolution(expected).weight)


def test_an_encoder_that_is_given_keeps_its_weights(tmp_path):
    torch.manual_seed(1)
    own = build("dcgan", (3, 16, 16), **{k: v for k, v in SMALL.encoder.items() if k != "name"})
    before = first_convolution(own).weight.detach().clone()
    settings = config.override(SMALL, {"training.first_layer": "whitening", "training.lr": 1e-12})
    trained = train(settings, PICTURES, tmp_path / "run", encoder=own, quiet=True)
    assert torch.allclose(first_convolution(trained).weight, before, atol=1e-6)
    assert read_config(tmp_path / "run").training.first_layer == "default"


def test_precision_auto_is_written_out_and_kept_on_resume(tmp_path, monkeypatch):
    settings = config.override(SMALL, {"training.precision": "auto"})
    monkeypatch.setattr("deepinfomax.training.loop.has_fast_bfloat16", lambda device: False)
    train(settings, PICTURES, tmp_path / "run", quiet=True)
    assert read_config(tmp_path / "run").training.precision == "no"
    monkeypatch.setattr("deepinfomax.training.loop.has_fast_bfloat16", lambda device: True)
    longer = dataclasses.replace(settings, training=dataclasses.replace(settings.training, steps=3))
    train(longer, PICTURES, tmp_path / "run", resume=True, quiet=True)
    assert read_config(tmp_path / "run").training.precision == "no"


def test_bfloat16_of_a_cpu(monkeypatch):
    amd, intel = {"cpu_name": "AMD Genoa"}, {"cpu_name": "Intel Xeon"}
    cases = (
        (amd | {"avx512_bf16": True}, True),
        (amd | {"avx512_bf16": False}, False),
        (intel | {"avx512_bf16": True}, False),  # twice as slow as float32
        (intel | {"avx512_bf16": True, "amx_bf16": True}, True),
        ({"bf16": True}, True),
        ({}, False),
    )
    for has, expected in cases:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda has=has: has, raising=False)
        assert has_fast_bfloat16(torch.device("cpu")) is expected
    assert has_fast_bfloat16(torch.device("meta")) is False
