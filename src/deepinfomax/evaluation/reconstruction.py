"""Reconstruction: how well a decoder can make the image from frozen y (paper §4.1, "MS-SSIM")."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from deepinfomax.data.images import ImageSet, normalise
from deepinfomax.encoders.decoders import Decoder, decode
from deepinfomax.errors import UserError
from deepinfomax.evaluation.draws import seeded
from deepinfomax.evaluation.embeddings import EmbeddingsOfY
from deepinfomax.evaluation.measure import Figure, Measure
from deepinfomax.evaluation.scales import Scale, at_scale
from deepinfomax.evaluation.standardising import Standardiser
from deepinfomax.files import RECONSTRUCTIONS, replacing
from deepinfomax.fitting import ScheduledAdam, mini_batches, steps_of, tenth_after
from deepinfomax.progress import counted


@dataclass(frozen=True)
class Settings:
    """How the decoder is trained, by Adam; the rate falls to a tenth after each third of the steps."""

    epochs: int
    most_steps: int | None  #: ends the training before `epochs`; None: no limit
    batch_size: int
    lr: float
    first: int | None  #: maps that the decoder begins with; None: as many as it needs (see `Decoder`)
    images: int | None  #: test images that are compared; None: all


#: The authors' decoder begins with 512 maps, Adam 1e-4, ×0.1 after 50 and 100 epochs, batches of 64. The total number
#: of epochs is not recorded: 150 here. The smaller scales are ours.
SETTINGS: dict[Scale, Settings] = {
    "smoke": Settings(epochs=150, most_steps=20, batch_size=64, lr=1e-3, first=64, images=500),
    "cpu": Settings(epochs=150, most_steps=400, batch_size=64, lr=1e-3, first=None, images=2000),
    "paper": Settings(epochs=150, most_steps=None, batch_size=64, lr=1e-4, first=512, images=None),
}
BETAS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  #: weights of the five scales, finest first (Wang et al. 2003)
KERNEL, SIGMA = 11, 1.5  #: pixels of the Gaussian window, and its standard deviation
SHOWN = 16  #: images kept for the report


@dataclass(frozen=True, kw_only=True)
class Result:
    """How close decoded test images are to the originals; all of values in [0, 1]."""

    ms_ssim: float  #: see `scales`; 1: identical
    ssim: float  #: of a single scale
    mse: float  #: mean over pixels
    mean_image_mse: float  #: of the mean of the training images as the answer for every image
    n_train: int
    n_test: int
    protocol: str
    settings: dict[str, Any]
    seconds: float


def scales(side: int) -> tuple[float, ...]:
    """Weights of the scales that images with sides of `side` pixels have room for; they sum to 1.

    The side halves from scale to scale. At the coarsest scale it must exceed the window of 11 pixels; torchmetrics asks
    for a little more from the fourth scale on. All five scales need 192 pixels; 32×32 has two, 64×64 and 96×96 three.
    So figures of images of different size do not compare. The authors' own figures, called MS-SSIM, do not compare
    either: their code takes one scale, a nearly flat window (σ = 11) and a data range of 1 for images in [-1, 1].
    """
    count = 1
    while count < len(BETAS) and side >> count > KERNEL and side // count**2 >= KERNEL:
        count += 1
    return tuple(b / sum(BETAS[:count]) for b in BETAS[:count])


def similarity(images: Float[Tensor, "N C H W"], reconstructions: Float[Tensor, "N C H W"]) -> dict[str, float]:
    """Means over images in [0, 1] of ms_ssim (see `scales`), ssim (a single scale) and mse, by name.

    The ssim of an image is the mean over channels and over a window around every pixel; for that, images are mirrored
    at their edges, as torchmetrics does. Wang et al. (2004) take only the windows that lie inside the image, at 32×32
    half of them, with the same window and constants (0.01² and 0.03²). The two differ by 0.01 to 0.08 on images of
    CIFAR-10, so these figures compare only with others whose edges are mirrored. Of ms_ssim this holds for the coarsest
    scale; the contrasts of the finer ones are of windows inside the image.

    Raises:
        UserError: a side of 11 pixels or fewer.
    """
    # All measures are imported together, and torchmetrics takes long to import.
    from torchmetrics.functional.image import (
        multiscale_structural_similarity_index_measure,
        structural_similarity_index_measure,
    )

    side = min(images.shape[2:])
    if side <= KERNEL:
        raise UserError(f"reconstruction needs images with sides above {KERNEL} pixels, not {side}: resize them")
    betas = scales(side)
    totals = {"ms_ssim": 0.0, "ssim": 0.0, "mse": 0.0}
    for a, b in zip(images.split(500), reconstructions.split(500), strict=True):
        ssim = structural_similarity_index_measure(b, a, sigma=SIGMA, kernel_size=KERNEL, data_range=1.0)
        ms_ssim = (
            multiscale_structural_similarity_index_measure(
                b, a, sigma=SIGMA, kernel_size=KERNEL, data_range=1.0, betas=betas, normalize="relu"
            )
            if len(betas) > 1
            else ssim
        )
        for name, value in (("ms_ssim", ms_ssim), ("ssim", ssim), ("mse", mse_loss(b, a))):
            assert isinstance(value, Tensor)
            totals[name] += float(value) * len(a)
    return {name: total / len(images) for name, total in totals.items()}


def measure(
    encoder: nn.Module,
    train: ImageSet,
    test: ImageSet,
    *,
    scale: Scale = "cpu",
    seed: int = 0,
    device: torch.device | str = "cpu",
    folder: Path | None = None,
    y_of: EmbeddingsOfY | None = None,
) -> Result:
    """Train a decoder from frozen y to images by squared error, and compare decoded test images with the originals.

    A deviation: y is standardised with the statistics of the training images. Otherwise the scale of y would decide
    how well a learning rate suits it.

    Args:
        folder: where reconstructions.npz goes, with some test images and their reconstructions; None: no file.
        y_of: gives y of both sets; None: they are embedded here.

    Raises:
        UserError: images too small to decode or compare, or fewer than two.
    """
    began = time.perf_counter()
    settings = at_scale(SETTINGS, scale)
    shape = train.shape
    _check_sides(shape)
    MEASURE.check_counts(len(train), len(test))
    if settings.images is not None:
        test = test.take(np.random.default_rng(seed).permutation(len(test))[: settings.images])
    y_of = y_of or EmbeddingsOfY(encoder, device)
    y, y_test = y_of(train), y_of(test)
    standardiser = Standardiser.of(y)
    y, y_test = standardiser(y), standardiser(y_test)
    steps = steps_of(settings.epochs, len(train), settings.batch_size, at_most=settings.most_steps)
    with seeded(seed, device):
        decoder = Decoder(y.shape[1], shape, first=settings.first).to(device)
        schedule = tenth_after(steps // 3, 2 * steps // 3)
        adam = ScheduledAdam(decoder, lr=settings.lr, betas=(0.5, 0.999), schedule=schedule)
        batches = mini_batches(len(train), settings.batch_size)
        for _ in counted(steps, "step"):
            rows = next(batches)
            images = normalise(np.array(train.images[rows.numpy()])).to(device)
            adam.step(mse_loss(decoder(y[rows].to(device)), images))
    decoded = torch.cat([decode(decoder, part.to(device)).cpu() for part in y_test.split(500)])
    originals = normalise(np.array(test.images)).add(1).div(2)
    decoded = decoded.add(1).div(2)
    mean = np.asarray(train.images).mean(0, dtype=np.float64)
    mean_image = torch.from_numpy(mean / 255 if train.images.dtype == np.uint8 else (mean + 1) / 2).float()
    if folder is not None:
        shown, made = (part[:SHOWN].mul(255).round().clamp(0, 255).byte().numpy() for part in (originals, decoded))
        with replacing(folder / RECONSTRUCTIONS) as path:
            np.savez_compressed(path, images=shown, reconstructions=made)
    betas = scales(min(shape[1:]))
    return Result(
        **similarity(originals, decoded),
        mean_image_mse=float((originals - mean_image).square().mean()),
        n_train=len(train),
        n_test=len(test),
        protocol=(
            f"decoder of frozen y by squared error, {steps} steps; MS-SSIM of {len(betas)} scales with weights "
            f"{', '.join(f'{b:.3f}' for b in betas)}, Gaussian window {KERNEL} with sigma {SIGMA}, values in [0, 1]"
        ),
        settings=asdict(settings) | {"scale": scale, "steps": steps, "betas": betas, "kernel": KERNEL, "sigma": SIGMA},
        seconds=time.perf_counter() - began,
    )


def _check_sides(shape: tuple[int, ...]) -> None:
    """Raises UserError for items of this shape that are no images (C, H, W), or that the window has no room in."""
    if len(shape) != 3:
        items = "x".join(map(str, shape))
        raise UserError(f"reconstruction compares images (channels, height, width), not items of {items}: leave it out")
    if min(shape[1:]) <= KERNEL:
        raise UserError(
            f"reconstruction needs images with sides above {KERNEL} pixels, not {'x'.join(map(str, shape))}"
        )


def check_images(train: ImageSet, test: ImageSet) -> None:
    """Raises UserError for images with sides of 11 pixels or fewer, or with values beyond [-1, 1]."""
    _check_sides(train.shape)
    for which, images in (("training", train), ("test", test)):
        if images.images.dtype == np.uint8:
            continue
        blocks = range(0, len(images), 1000)  # so that a memory map is not read at once
        largest = max(
            (
                float(np.abs(np.asarray(images.images[start : start + 1000], dtype=np.float64)).max())
                for start in blocks
            ),
            default=0.0,
        )
        if largest > 1.001:  # room for rounding
            raise UserError(
                f"reconstruction needs values in [-1, 1], and {images.name or 'the data'} has {which} images of values "
                f"up to {largest:.3g}: scale them"
            )


MEASURE = Measure(
    name="reconstruction",
    title="Reconstruction",
    of="encoder",
    labels=None,
    figures=(
        Figure("ms_ssim", "MS-SSIM", "", "higher", "likeness of images decoded from y and the originals; 1: identical"),
        Figure("ssim", "SSIM", "", "higher", "the same at a single scale"),
        Figure("mse", "Squared error", "", "lower", "mean over pixels"),
        Figure(
            "mean_image_mse",
            "Squared error of the mean image",
            "",
            None,
            "if every answer were the mean of the training images",
        ),
    ),
    function=measure,
    least=(2, 1),
    takes=("y_of", "folder"),
    check=check_images,
)
