"""MINE: how much y tells of the image, as a network estimates it (paper §4.1 and Table 4; Belghazi et al. 2018).

The critic reads images and representations, T(x, y): convolutions bring an image to 256 units, which stand beside y in
front of 512, 128 and 1 units, the network of the authors' framework (`ali.py` of cortex; the paper does not describe
its own). It is trained by DV with the bias-corrected gradient and a learning rate that falls to zero, stopped by
images of its own, and read out on test images that nothing has seen.

What the number means. y is a function of x, so I(x; y) is the entropy of y: infinite for a continuous y, or log N when
only N images exist. What is measured is how much of it a critic of this size can show; it compares encoders under one
protocol and says nothing alone. DV's value on a sample can exceed log n, as the paper's own figures do (up to 101.65
nats); no sample of n images supports such a number (McAllester & Stratos 2020), and the warning says so.
"""

import math
import time
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from deepinfomax.data.images import ImageSet, normalise
from deepinfomax.evaluation.draws import sample, seeded
from deepinfomax.evaluation.embeddings import EmbeddingsOfY
from deepinfomax.evaluation.old import check_counts
from deepinfomax.evaluation.scales import Scale, at_scale
from deepinfomax.evaluation.standardising import Standardiser
from deepinfomax.information.estimation import ESTIMATORS, Advice, mean_and_error, read_critic, summarise, train_critic
from deepinfomax.information.vector_critics import JointCritic
from deepinfomax.old_progress import Say, after, silent

# The paper gives no schedule for MINE; "paper" is the size of its other measures.
SETTINGS: dict[Scale, dict[str, Any]] = {
    "smoke": {"images": 500, "test_images": 200, "width": 8, "steps": 20, "batch_size": 32, "lr": 5e-4, "repeats": 2},
    "cpu": {
        "images": 10_000,
        "test_images": 1000,
        "width": 32,
        "steps": 600,
        "batch_size": 64,
        "lr": 5e-4,
        "repeats": 2,
    },
    "paper": {
        "images": None,
        "test_images": None,
        "width": 64,
        "steps": 50_000,
        "batch_size": 64,
        "lr": 1e-4,
        "repeats": 5,
    },
}
_CONVOLUTION: dict[int, type[nn.Module]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


class ImageCritic(nn.Module):
    """Images and representations -> the scores of all pairs.

    No BatchNorm, which cortex has: with it the score of a pair would depend on the rest of the batch, and a bound
    needs a function of the pair.
    """

    def __init__(self, image_shape: tuple[int, ...], y_units: int, width: int = 64) -> None:
        """image_shape (C, *S): strided convolutions, three at most, halve the sides while they are 8 or longer."""
        super().__init__()
        channels, *sides = image_shape
        halvings = min(3, max(0, int(math.log2(min(sides))) - 2))
        widths = [channels, *(width * 2**i for i in range(halvings))]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layers += [_CONVOLUTION[len(sides)](inputs, outputs, 4, stride=2, padding=1), nn.ReLU()]
        flat = widths[-1] * math.prod(side // 2**halvings for side in sides)
        self.image = nn.Sequential(*layers, nn.Flatten(), nn.Linear(flat, 256), nn.ReLU())
        self.joint = JointCritic(256, y_units, hidden=(512, 128))

    def forward(self, images: Tensor, y: Tensor) -> Tensor:
        """images uint8 (N, C, *S), y (M, D) -> scores (N, M)"""
        return self.joint(self.image(normalise(images)), y)


def measure(
    encoder: nn.Module,
    train: ImageSet,
    test: ImageSet,
    *,
    scale: Scale = "cpu",
    seed: int = 0,
    device: torch.device | str = "cpu",
    y_of: EmbeddingsOfY | None = None,
    progress: Say = silent,
) -> dict[str, Any]:
    """I(x; y) of an encoder by DV, in nats.

    The critic is trained on `train` but for a tenth, which stops it, and read out on `test`.

    Args:
        y_of: what may have y of whole sets already; None: it is embedded here.

    Returns:
        nats (DV on test images, the paper's figure), standard_error, lower_bound_nats (DV with its log by the tangent
        laid at the stopping images: at most nats, and a lower bound in expectation), lower_bound_standard_error,
        train_nats, cap (log of the test images in a block), warning, n_train, n_test, seeds, seconds, protocol.

    Raises:
        UserError: too few images.
    """
    started = time.monotonic()
    settings = at_scale(SETTINGS, scale)
    check_counts("mine", "mine", len(train), len(test))
    rng = np.random.default_rng(seed)
    images, held_out = (
        sample(data, settings[limit], rng) for data, limit in ((train, "images"), (test, "test_images"))
    )
    y_of = y_of or EmbeddingsOfY(encoder, device)
    y = y_of(images)
    standardise = Standardiser.of(y)
    y_test = standardise(y_of(held_out))
    pairs = [torch.from_numpy(np.array(images.images)).to(device), standardise(y).to(device)]
    test_pairs = [torch.from_numpy(np.array(held_out.images)).to(device), y_test.to(device)]
    results, seeds = [], tuple(range(seed, seed + settings["repeats"]))
    for one_seed in seeds:
        generator = torch.Generator().manual_seed(one_seed)
        order = torch.randperm(len(images), generator=generator).to(device)
        stop, rest = order.tensor_split([min(1000, len(order) // 10)])
        with seeded(one_seed):
            critic = ImageCritic(images.shape, y.shape[1], settings["width"]).to(device)
        fit = train_critic(
            critic,
            ESTIMATORS["mine"],
            *(side[rest] for side in pairs),
            *(side[stop][:256] for side in pairs),
            steps=settings["steps"],
            batch_size=settings["batch_size"],
            lr=settings["lr"],
            patience=10,
            generator=generator,
            evaluations=20,
            progress=after(f"critic {one_seed - seed + 1} of {len(seeds)}", progress),
        )
        parts = [test_pairs, [side[stop] for side in pairs], [side[rest[: len(held_out)]] for side in pairs]]
        results.append((fit, read_critic(critic, ESTIMATORS["mine"], *parts)))
    # The paper's figure is the plain DV value, so that is what is summed up and warned about.
    larger = "" if scale == "paper" else "measure at a larger scale"
    advice = Advice(steady=larger, longer=larger)
    estimate = summarise("mine", "image", ESTIMATORS["mine"], results, seeds, len(rest), started, advice, plain=True)
    lower, lower_error = mean_and_error([(reading.nats, reading.standard_error) for _, reading in results])
    return {
        "nats": estimate.nats,
        "standard_error": estimate.standard_error,
        "lower_bound_nats": lower,
        "lower_bound_standard_error": lower_error,
        "train_nats": estimate.train_nats,
        "cap": estimate.cap,
        "warning": estimate.warning,
        "n_train": estimate.n_train,
        "n_test": estimate.n_test,
        "seeds": list(seeds),
        "seconds": estimate.seconds,
        "protocol": f"DV of test images, MINE's gradient, {settings['steps']} steps of {settings['batch_size']} images "
        f"at most, scale {scale}",
    }
