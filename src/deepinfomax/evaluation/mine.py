"""MINE: how much y tells about the image, as a network estimates it (paper §4.1 and Table 4; Belghazi et al. 2018).

The critic T(x, y) reads images and representations. Convolutions turn an image into 256 units; layers of 512, 128 and
1 units read them together with y. This is the network of the authors' framework (`ali.py` of cortex); the paper does
not describe its own. The critic is trained by DV with the bias-corrected gradient and a learning rate that falls to
zero. Images that it is not trained on stop it, and its value is taken on test images that nothing has seen.

What the number means: y is a function of x, so I(x; y) is the entropy of y. It is infinite for a continuous y, and
log N where only N images exist. The figure is the part of it that a critic of this size can show. It compares encoders
under one protocol and tells nothing alone. The DV value of a sample can exceed log n, and the paper's figures do (up
to 101.65 nats). No sample of n images supports such a number (McAllester & Stratos 2020), and the warning says so.
"""

import math
import time
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from deepinfomax.data.channels import Channels
from deepinfomax.data.images import ImageSet, as_tensor, normalise
from deepinfomax.evaluation.draws import sample, seeded
from deepinfomax.evaluation.embeddings import EmbeddingsOfY
from deepinfomax.evaluation.measure import Figure, Measure, Remark
from deepinfomax.evaluation.scales import Scale, at_scale
from deepinfomax.evaluation.standardising import Standardiser
from deepinfomax.information.cautions import Advice
from deepinfomax.information.critic_reading import mean_and_error, read_critic
from deepinfomax.information.critic_training import train_critic
from deepinfomax.information.estimation import summarise
from deepinfomax.information.estimators import ESTIMATORS
from deepinfomax.information.vector_critics import JointCritic
from deepinfomax.progress import within


@dataclass(frozen=True)
class Settings:
    """The size of the critic, and how long it is trained."""

    images: int | None  #: training images, of which a tenth stops the critic; None: all
    test_images: int | None  #: None: all
    width: int  #: channels of the first convolution
    steps: int  #: at most
    batch_size: int
    lr: float  #: of Adam; falls to zero along a cosine
    repeats: int  #: critics, with seeds seed, seed + 1, ...


#: The paper gives no schedule for MINE; "paper" is as large as its other measures.
SETTINGS: dict[Scale, Settings] = {
    "smoke": Settings(images=500, test_images=200, width=8, steps=20, batch_size=32, lr=5e-4, repeats=2),
    "cpu": Settings(images=10_000, test_images=1000, width=32, steps=600, batch_size=64, lr=5e-4, repeats=2),
    "paper": Settings(images=None, test_images=None, width=64, steps=50_000, batch_size=64, lr=1e-4, repeats=5),
}
#: rank of the image without its channels -> the convolution
_CONVOLUTION: dict[int, type[nn.Module]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


@dataclass(frozen=True, kw_only=True)
class Result:
    """I(x; y) in nats, as critics estimate it: means over the critics."""

    nats: float  #: DV on test images, the paper's figure
    standard_error: float  #: of the test images, together with the spread between critics
    lower_bound_nats: float  #: DV with its log by the tangent at the stopping images: a lower bound in expectation
    lower_bound_standard_error: float
    train_nats: float | None  #: DV on training images
    cap: float  #: log of the test images in a block; a value above it should not be believed
    warning: str | None
    n_train: int  #: images that a critic is trained on
    n_test: int
    seeds: list[int]
    seconds: float
    protocol: str


class ImageCritic(nn.Module):
    """Images and representations -> the scores of all pairs.

    A deviation from cortex: no BatchNorm. With it the score of a pair would depend on the rest of the batch, and a
    bound needs a function of the pair.
    """

    def __init__(self, image_shape: tuple[int, ...], y_units: int, width: int = 64) -> None:
        """image_shape (C, *S). Up to three strided convolutions halve the sides while they are 8 or longer."""
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

    def forward(self, images: UInt8[Tensor, "N C *S"], y: Float[Tensor, "M D"]) -> Float[Tensor, "N M"]:
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
) -> Result:
    """I(x; y) of an encoder by DV, in nats.

    A critic is trained on nine tenths of `train`, the last tenth stops it, and its value is taken on `test`.

    Args:
        y_of: gives y of whole sets; None: they are embedded here.

    Raises:
        UserError: too few images.
    """
    started = time.monotonic()
    settings = at_scale(SETTINGS, scale)
    MEASURE.check_counts(len(train), len(test))
    rng = np.random.default_rng(seed)
    images, held_out = sample(train, settings.images, rng), sample(test, settings.test_images, rng)
    y_of = y_of or EmbeddingsOfY(encoder, device)
    y = y_of(images)
    standardise = Standardiser.of(y)
    y_test = standardise(y_of(held_out))
    channels = Channels.to_compare(images)
    pairs = [_numbers(images, channels).to(device), standardise(y).to(device)]
    test_pairs = [_numbers(held_out, channels).to(device), y_test.to(device)]
    results, seeds = [], tuple(range(seed, seed + settings.repeats))
    for number, one_seed in enumerate(seeds, 1):
        generator = torch.Generator().manual_seed(one_seed)
        order = torch.randperm(len(images), generator=generator).to(device)
        stop, rest = order.tensor_split([min(1000, len(order) // 10)])
        with seeded(one_seed):
            critic = ImageCritic(images.shape, y.shape[1], settings.width).to(device)
        with within(f"critic {number} of {len(seeds)}"):
            fit = train_critic(
                critic,
                ESTIMATORS["mine"],
                *(side[rest] for side in pairs),
                *(side[stop][:256] for side in pairs),
                steps=settings.steps,
                batch_size=settings.batch_size,
                lr=settings.lr,
                patience=10,
                generator=generator,
                evaluations=20,
            )
        parts = [test_pairs, [side[stop] for side in pairs], [side[rest[: len(held_out)]] for side in pairs]]
        results.append((fit, read_critic(critic, ESTIMATORS["mine"], *parts)))
    # The paper's figure is the plain DV value, so the mean and the warning are of that.
    larger = "" if scale == "paper" else "measure at a larger scale"
    advice = Advice(steady=larger, longer=larger)
    estimate = summarise("mine", "image", ESTIMATORS["mine"], results, seeds, len(rest), started, advice, plain=True)
    lower, lower_error = mean_and_error([(reading.nats, reading.standard_error) for _, reading in results])
    return Result(
        nats=estimate.nats,
        standard_error=estimate.standard_error,
        lower_bound_nats=lower,
        lower_bound_standard_error=lower_error,
        train_nats=estimate.train_nats,
        cap=estimate.cap,
        warning=estimate.warning,
        n_train=estimate.n_train,
        n_test=estimate.n_test,
        seeds=list(seeds),
        seconds=estimate.seconds,
        protocol=f"DV of test images, MINE's gradient, {settings.steps} steps of {settings.batch_size} images "
        f"at most, scale {scale}",
    )


def _numbers(images: ImageSet, channels: Channels | None) -> Tensor:
    """Bytes as they are, other numbers standardised."""
    values = as_tensor(np.array(images.images))
    return values if channels is None else channels(normalise(values))


MEASURE = Measure(
    name="mine",
    title="MINE",
    of="encoder",
    labels=None,
    figures=(
        Figure(
            "nats",
            "I(x; y)",
            "nats",
            "higher",
            "what y tells of the image, as a network estimates it",
            error="standard_error",
        ),
        Figure(
            "lower_bound_nats",
            "Lower bound",
            "nats",
            "higher",
            "the same by a stricter formula: never higher, and on average below the truth",
            error="lower_bound_standard_error",
        ),
        Figure("cap", "Cap", "nats", None, "log of the number of test images in a block: they cannot show more"),
    ),
    function=measure,
    least=(100, 50),
    takes=("y_of",),
    remarks=(Remark("warning", "warning: {warning}", "nats", "{warning}"),),
)
