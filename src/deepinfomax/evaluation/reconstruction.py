"""Reconstruction: how much of the image a decoder finds in frozen y (paper §4.1, "MS-SSIM")."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    structural_similarity_index_measure,
)

from deepinfomax.data.images import ImageSet, denormalise, normalise
from deepinfomax.encoders.decoders import Decoder, decode
from deepinfomax.errors import UserError
from deepinfomax.evaluation.draws import seeded
from deepinfomax.evaluation.embeddings import EmbeddingsOfY
from deepinfomax.evaluation.old import check_counts
from deepinfomax.evaluation.scales import Scale, at_scale
from deepinfomax.evaluation.standardising import Standardiser
from deepinfomax.old_progress import Say, counted, silent

#: The authors' decoder begins with 512 maps, Adam 1e-4, ×0.1 after 50 and 100 epochs, batches of 64; how many epochs
#: in all is not recorded. The smaller scales are ours: `most_steps` ends them, and the rate falls at the same thirds.
RECONSTRUCTION: dict[Scale, dict[str, Any]] = {
    "smoke": {"epochs": 150, "most_steps": 20, "batch_size": 64, "lr": 1e-3, "first": 64, "images": 500},
    "cpu": {"epochs": 150, "most_steps": 400, "batch_size": 64, "lr": 1e-3, "first": None, "images": 2000},
    "paper": {"epochs": 150, "most_steps": None, "batch_size": 64, "lr": 1e-4, "first": 512, "images": None},
}
BETAS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  #: weights of the five scales, finest first (Wang et al. 2003)
KERNEL, SIGMA = 11, 1.5  #: pixels of the Gaussian window, and its standard deviation
SHOWN = 16  #: images kept for the report
FILE = "reconstructions.npz"


def scales(side: int) -> tuple[float, ...]:
    """Weights of the scales that images of that side have room for, summing to 1.

    The side halves from scale to scale and must exceed the window, 11 pixels, at the coarsest; torchmetrics asks for
    a little more from the fourth scale on. All five need 176 pixels; 32×32 has two scales, 64×64 and 96×96 three. So
    figures of images of different size are not comparable. Nor are the authors' own, called MS-SSIM: their code takes
    one scale, a window that is all but flat (σ = 11) and a data range of 1 for images in [-1, 1].
    """
    count = 1
    while count < len(BETAS) and side >> count > KERNEL and side // count**2 >= KERNEL:
        count += 1
    return tuple(b / sum(BETAS[:count]) for b in BETAS[:count])


def similarity(images: Tensor, reconstructions: Tensor) -> dict[str, float]:
    """Means over images (N, C, H, W) in [0, 1]: ms_ssim (see `scales`), ssim (one scale), mse (of values in [0, 1]).

    Raises:
        UserError: a side of 11 pixels or fewer.
    """
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
    progress: Say = silent,
) -> dict[str, Any]:
    """Train a decoder from frozen y to images by squared error, and compare what it makes of test images with them.

    A deviation: y is standardised with the statistics of the training images, so that its scale does not decide how
    well the same learning rate suits it.

    Args:
        folder: where reconstructions.npz goes, some test images and what became of them; None: nowhere.
        y_of: what may have y of whole sets already; None: it is embedded here.

    Returns:
        ms_ssim, ssim, mse (all of values in [0, 1]), mean_image_mse (of answering every image with the mean of the
        training images), n_train, n_test, protocol, settings, seconds.

    Raises:
        UserError: images too small to decode or compare, or fewer than two.
    """
    began = time.perf_counter()
    settings = at_scale(RECONSTRUCTION, scale)
    shape = tuple(train.images.shape[1:])
    if len(shape) != 3 or min(shape[1:]) <= KERNEL:
        raise UserError(
            f"reconstruction needs images with sides above {KERNEL} pixels, not {'x'.join(map(str, shape))}"
        )
    check_counts("reconstruction", "reconstruction", len(train), len(test))
    if settings["images"] is not None:
        test = test.take(np.random.default_rng(seed).permutation(len(test))[: settings["images"]])
    y_of = y_of or EmbeddingsOfY(encoder, device)
    y, y_test = y_of(train), y_of(test)
    standardiser = Standardiser.of(y)
    y, y_test = standardiser(y), standardiser(y_test)
    batch_size = min(settings["batch_size"], len(train))
    per_epoch = len(train) // batch_size
    steps = settings["epochs"] * per_epoch
    if settings["most_steps"] is not None:
        steps = min(steps, settings["most_steps"])
    with seeded(seed, device):
        decoder = Decoder(y.shape[1], shape, first=settings["first"]).to(device)
        adam = torch.optim.Adam(decoder.parameters(), lr=settings["lr"], betas=(0.5, 0.999))
        schedule = torch.optim.lr_scheduler.MultiStepLR(adam, [steps // 3, 2 * steps // 3], gamma=0.1)
        order = torch.empty(0, dtype=torch.int64)
        for _ in counted(steps, "step", progress):
            if len(order) < batch_size:
                order = torch.randperm(len(train))
            index, order = order[:batch_size], order[batch_size:]
            images = normalise(np.array(train.images[index.numpy()])).to(device)
            adam.zero_grad()
            mse_loss(decoder(y[index].to(device)), images).backward()
            adam.step()
            schedule.step()
    decoded = torch.cat([decode(decoder, part.to(device)).cpu() for part in y_test.split(500)])
    originals = normalise(np.array(test.images)).add(1).div(2)
    decoded = decoded.add(1).div(2)
    mean = np.asarray(train.images).mean(0, dtype=np.float64)
    mean_image = torch.from_numpy((mean + 1) / 2 if train.images.dtype.kind == "f" else mean / 255).float()
    if folder is not None:
        _save(folder / FILE, denormalise(test.images[:SHOWN]), decoded[:SHOWN])
    betas = scales(min(shape[1:]))
    return similarity(originals, decoded) | {
        "mean_image_mse": float((originals - mean_image).square().mean()),
        "n_train": len(train),
        "n_test": len(test),
        "protocol": (
            f"decoder of frozen y by squared error, {steps} steps; MS-SSIM of {len(betas)} scales with weights "
            f"{', '.join(f'{b:.3f}' for b in betas)}, Gaussian window {KERNEL} with sigma {SIGMA}, values in [0, 1]"
        ),
        "settings": settings | {"scale": scale, "steps": steps, "betas": betas, "kernel": KERNEL, "sigma": SIGMA},
        "seconds": time.perf_counter() - began,
    }


def _save(path: Path, images: np.ndarray, reconstructions: Tensor) -> None:
    pixels = reconstructions.mul(255).round().clamp(0, 255).to(torch.uint8).numpy()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.partial.npz")
    np.savez_compressed(partial, images=images, reconstructions=pixels)
    partial.replace(path)
