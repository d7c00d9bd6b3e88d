import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from planted import images, make_encoder
from skimage.metrics import structural_similarity

from deepinfomax.data.images import normalise
from deepinfomax.encoders.decoders import Decoder, decode
from deepinfomax.errors import UserError
from deepinfomax.evaluation import reconstruction
from deepinfomax.evaluation.embeddings import embed
from deepinfomax.evaluation.frozen import fingerprint
from deepinfomax.evaluation.measure import as_json
from deepinfomax.evaluation.reconstruction import (
    BETAS,
    SETTINGS,
    Settings,
    check_images,
    measure,
    scales,
    similarity,
)
from deepinfomax.evaluation.standardising import Standardiser


def pictures(count: int = 4, side: int = 32, seed: int = 0) -> torch.Tensor:
    """Smooth pictures in [0, 1]."""
    coarse = torch.rand(count, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, (side, side), mode="bicubic").clamp(0, 1)


@pytest.mark.parametrize("side", [16, 28, 32, 64, 96, 180])
def test_identical_images_are_wholly_alike(side: int) -> None:
    x = pictures(side=side)
    result = similarity(x, x.clone())
    assert result["ms_ssim"] == pytest.approx(1, abs=1e-5)
    assert result["ssim"] == pytest.approx(1, abs=1e-5)
    assert result["mse"] == 0


def test_the_more_noise_the_less_alike() -> None:
    x = pictures()
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    result = [similarity(x, (x + s * noise).clamp(0, 1)) for s in (0.02, 0.1, 0.5)]
    for name in ("ms_ssim", "ssim"):
        values = [f[name] for f in result]
        assert 1 > values[0] > values[1] > values[2]
    assert result[0]["mse"] == pytest.approx(0.02**2, rel=0.2)


def test_ssim_is_scikit_images() -> None:
    a, b = pictures(1, seed=0), pictures(1, seed=1)
    _, everywhere = structural_similarity(
        a[0].numpy(),
        b[0].numpy(),
        channel_axis=0,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    assert similarity(a, b)["ssim"] == pytest.approx(
        everywhere.mean(), abs=5e-4
    )  # the borders are mirrored differently


def structure(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) in [0, 1] -> similarity and contrast of the window around each pixel, by the formulas of Wang et al."""
    bell = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window = np.outer(bell, bell) / bell.sum() ** 2
    padded, alike, contrast = [np.pad(x, 5, mode="reflect") for x in (a, b)], np.empty(a.shape), np.empty(a.shape)
    for place in np.ndindex(a.shape):
        p, q = (x[place[0] : place[0] + 11, place[1] : place[1] + 11] for x in padded)
        m, n = (window * p).sum(), (window * q).sum()
        variances = (window * (p - m) ** 2).sum() + (window * (q - n) ** 2).sum()
        contrast[place] = (2 * (window * (p - m) * (q - n)).sum() + 0.03**2) / (variances + 0.03**2)
        alike[place] = contrast[place] * (2 * m * n + 0.01**2) / (m**2 + n**2 + 0.01**2)
    return alike, contrast


def test_similarity_is_that_of_a_plain_loop() -> None:
    a, b = (pictures(1, side=24, seed=seed)[:, :1].double() for seed in (0, 1))
    b = (a + 0.3 * b).clamp(0, 1)
    alike, contrast = structure(a[0, 0].numpy(), b[0, 0].numpy())
    coarse, _ = structure(*(torch.nn.functional.avg_pool2d(x, 2)[0, 0].numpy() for x in (a, b)))
    found = similarity(a, b)
    assert found["ssim"] == pytest.approx(alike.mean(), abs=1e-6)
    fine, coarsest = scales(24)
    assert found["ms_ssim"] == pytest.approx(contrast[5:-5, 5:-5].mean() ** fine * coarse.mean() ** coarsest, abs=1e-6)


@pytest.mark.parametrize(
    ("side", "count"), [(16, 1), (22, 1), (24, 2), (28, 2), (32, 2), (64, 3), (96, 3), (100, 4), (175, 4), (192, 5)]
)
def test_scales_an_image_has_room_for(side: int, count: int) -> None:
    result = scales(side)
    assert len(result) == count
    assert sum(result) == pytest.approx(1)
    assert result[-1] / result[0] == pytest.approx(BETAS[count - 1] / BETAS[0])
    assert side // 2 ** (count - 1) > 11


def test_a_mean_over_images_not_over_blocks() -> None:
    a, b = pictures(3), pictures(3, seed=1)
    single = [similarity(a[i : i + 1], b[i : i + 1])["ms_ssim"] for i in range(3)]
    assert similarity(a, b)["ms_ssim"] == pytest.approx(sum(single) / 3, abs=1e-4)


def test_a_decoder_finds_the_brightness_that_y_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short = replace(SETTINGS["smoke"], most_steps=80, first=16, batch_size=32, lr=3e-3)
    monkeypatch.setitem(SETTINGS, "smoke", short)
    encoder, train, test = make_encoder()(), images(200), images(40, seed=1)
    before = fingerprint(encoder)
    result = measure(encoder, train, test, scale="smoke", folder=tmp_path)
    assert fingerprint(encoder) == before
    assert result.mse < 0.4 * result.mean_image_mse
    json.dumps(as_json(result), allow_nan=False)
    with np.load(tmp_path / "reconstructions.npz", allow_pickle=False) as file:
        originals, made = file["images"], file["reconstructions"]
    assert originals.shape == made.shape == (16, 3, 16, 16)
    assert originals.dtype == made.dtype == np.uint8
    chosen = test.images[np.random.default_rng(0).permutation(40)[:16]]
    np.testing.assert_array_equal(originals, chosen)
    difference = originals.mean((1, 2, 3)) - made.mean((1, 2, 3))
    assert np.abs(difference).mean() < 30  # of brightness that is 30, 125 or 220


def test_floats_are_measured_and_shown_as_the_pixels_they_stand_for(tmp_path: Path) -> None:
    pixels = [images(64), images(20, seed=1)]
    floats = [replace(s, images=normalise(s.images).numpy()) for s in pixels]
    for name, (train, test) in {"pixels": pixels, "floats": floats}.items():
        result = measure(make_encoder()(), train, test, scale="smoke", folder=tmp_path / name)
        assert result.mean_image_mse == pytest.approx(_mean_image_mse(pixels), rel=1e-4)
    shown = [np.load(tmp_path / name / "reconstructions.npz")["images"] for name in ("pixels", "floats")]
    assert shown[1].dtype == np.uint8
    np.testing.assert_array_equal(*shown)


def test_whole_numbers_in_the_range_are_no_bytes(tmp_path: Path) -> None:
    masks = [replace(s, images=(s.images > 127).astype(np.int16)) for s in (images(64), images(20, seed=1))]
    floats = [replace(s, images=s.images.astype(np.float32)) for s in masks]
    results = [measure(make_encoder()(), *sets, scale="smoke", folder=tmp_path) for sets in (floats, masks)]
    assert results[1].mean_image_mse == pytest.approx(results[0].mean_image_mse)
    assert np.load(tmp_path / "reconstructions.npz")["images"].dtype == np.uint8


def _mean_image_mse(pixels) -> float:
    train, test = (s.images / 255 for s in pixels)
    return float(((test - train.mean(0)) ** 2).mean())


def test_nothing_is_written_without_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    measure(make_encoder()(), images(64), images(20), scale="smoke")
    assert list(tmp_path.iterdir()) == []


def test_images_too_small() -> None:
    with pytest.raises(UserError, match="sides above 11 pixels, not 3x8x8"):
        measure(make_encoder()(), images(20, side=8), images(20, side=8), scale="smoke")
    with pytest.raises(UserError, match="sides above 11 pixels, not 8"):
        similarity(torch.zeros(2, 3, 8, 8), torch.zeros(2, 3, 8, 8))


def test_images_are_checked_before_anything_is_computed() -> None:
    good, small = images(20), images(20, side=11)
    check_images(good, good)
    with pytest.raises(UserError, match="sides above 11 pixels, not 3x11x11"):
        check_images(small, small)
    floats = replace(good, images=normalise(good.images).numpy() * 2, name="mine")
    with pytest.raises(UserError, match=r"values in \[-1, 1\], and mine has test images of values up to [\d.]+: scale"):
        check_images(good, floats)
    edge = replace(good, images=np.full(good.images.shape, 1.0009, np.float32))
    check_images(edge, edge)


def test_the_authors_schedule() -> None:
    assert SETTINGS["paper"] == Settings(epochs=150, most_steps=None, batch_size=64, lr=1e-4, first=512, images=None)


def test_the_training_is_this_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    decoders: list[Decoder] = []
    monkeypatch.setattr(reconstruction, "decode", lambda decoder, y: decoders.append(decoder) or decode(decoder, y))
    encoder, train, test = make_encoder()().eval(), images(150), images(20, seed=1)
    measure(encoder, train, test, scale="smoke", seed=6)
    y = embed(encoder, train, levels=("y",))["y"]
    y, x = Standardiser.of(y)(y), normalise(train.images)
    torch.manual_seed(6)
    decoder = Decoder(6, (3, 16, 16), first=64)
    adam = torch.optim.Adam(decoder.parameters(), 1e-3, betas=(0.5, 0.999))
    for step in range(1, 21):
        if step % 2:  # 150 images are two batches, and 22 are left over
            order = torch.randperm(150)
        rows = order[:64] if step % 2 else order[64:128]
        adam.zero_grad()
        torch.nn.functional.mse_loss(decoder(y[rows]), x[rows]).backward()
        adam.step()
        adam.param_groups[0]["lr"] *= 0.1 if step in (6, 13) else 1
    assert all(torch.equal(a, b) for a, b in zip(decoders[0].parameters(), decoder.parameters(), strict=True))
