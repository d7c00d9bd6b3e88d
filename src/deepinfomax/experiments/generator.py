"""A generator by prior matching: an encoder alone, not a critic, tells generated images from real ones (paper A.8).

The encoder sends images to one number. It is trained, by prior matching as in DIM, to send real images to N(μ_P, 1) and
generated ones to N(μ_Q, 1); the generator moves the mean code of its images to μ_P:

    encoder against D_P:    codes of real images        ~  N(μ_P, 1)
    encoder against D_Q:    codes of generated images   ~  N(μ_Q, 1)
    generator:              min (mean E(G(z)) - μ_P)²

No critic has to be trained to its optimum. The more the two Gaussians overlap, the less strictly the encoder can judge.
The method is compared with a GAN: it has the same generator, and its critic is the same network as the encoder.

The paper uses ResNets for 64×64 images, Inception scores and FID. Here the networks are DCGANs of any size, and both
scores use the features of a classifier that is trained on the same data. So compare scores only within one run.
"""

import json
import math
from collections.abc import Callable, Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softplus

from deepinfomax import data as datasets
from deepinfomax import encoders
from deepinfomax.data.batches import Batches
from deepinfomax.data.images import ImageSet, normalise
from deepinfomax.devices import choose_device
from deepinfomax.encoders.decoders import Decoder, decode
from deepinfomax.encoders.layers import halvings, out_size
from deepinfomax.errors import UserError
from deepinfomax.information.critics import Mlp
from deepinfomax.objectives.players import read, squared_slope
from deepinfomax.recipes import Scale

REAL_MEAN, GENERATED_MEAN = 1.0, -1.0  #: μ_P and μ_Q; the paper does not name its own
Z_UNITS = 64
BATCH = 64


class Size(NamedTuple):
    """How long both generators and the classifier are trained, and how wide their networks are."""

    steps: int
    width: int  #: channels of the first convolution of each network
    classifier_steps: int
    samples: int  #: images measured, of each kind


SIZES: dict[Scale, Size] = {
    "smoke": Size(steps=3, width=8, classifier_steps=5, samples=128),
    "cpu": Size(steps=1000, width=16, classifier_steps=500, samples=2000),
    "paper": Size(steps=50_000, width=64, classifier_steps=5000, samples=10_000),
}


class Turn(NamedTuple):
    """What one player does in a step."""

    player: nn.Module
    loss: Callable[[Tensor, Tensor], Tensor]  #: of real images (N, C, H, W) and z (N, Z_UNITS)
    lr: float  #: of Adam
    clip: float = math.inf  #: greatest norm of the gradient


def run(
    scale: Scale,
    seed: int,
    out: str | Path,
    *,
    data: str = "cifar10",
    root: str | Path | None = None,
    device: str | None = None,
) -> dict[str, Any]:
    """Train both generators on `data` and measure them; see `compare`. The paper's images are of Tiny ImageNet."""
    training, test = (datasets.load(data, split=split, root=root) for split in ("train", "test"))
    return compare(training, test, scale, seed, out, device=device)


def compare(
    training: ImageSet, test: ImageSet, scale: Scale, seed: int, out: str | Path, *, device: str | None = None
) -> dict[str, Any]:
    """Write `generator.json`, and 64 samples of each generator as `prior_matching.png` and `gan.png`, into `out`.

    Returns:
        {"prior_matching": {"score": ..., "frechet": ...}, "gan": the same, "real": the same for test images, which is
        what a perfect generator would get, "classifier": {"accuracy": ...}}. `score`: exp of the mean KL(p(class |
        image) || p(class)), from 1 to the number of classes, higher is better; `frechet`: squared Fréchet distance to
        training images of Gaussians fitted to the features, lower is better. Beside them scale, seed, data, settings.

    Raises:
        UserError: images without one class each, too few of them, or no such device.
    """
    if training.labels is None or training.labels.ndim != 1:
        raise UserError("generators are measured by a classifier trained here: it needs images with one class each")
    size, out, on = SIZES[scale], Path(out), choose_device(device)
    torch.manual_seed(seed)
    classifier = train_classifier(training, size, seed, on)
    some, held_out = _some(training, size.samples, seed), _some(test, size.samples, seed)
    known, _ = describe(classifier, normalise(some.images))
    _, logits = describe(classifier, normalise(held_out.images))
    result: dict[str, Any] = {
        "scale": scale,
        "seed": seed,
        "data": {"name": training.name, "train": len(training), "test": len(test), "measured": len(held_out)},
        "settings": size._asdict() | {"batch": BATCH, "z_units": Z_UNITS},
        "classifier": {"accuracy": float(np.mean(logits.argmax(1).numpy() == held_out.labels))},
        "real": measure(classifier, normalise(held_out.images), known),
    }
    out.mkdir(parents=True, exist_ok=True)
    models: dict[str, PriorMatchingGenerator | Gan] = {
        "prior_matching": PriorMatchingGenerator(training.shape, size.width),
        "gan": Gan(training.shape, size.width),
    }
    for name, model in models.items():
        torch.manual_seed(seed)  # the same z for both
        train(model, training, size.steps, seed, on)
        codes = torch.randn(size.samples, Z_UNITS).split(256)
        samples = torch.cat([decode(model.generator, z.to(on)).cpu() for z in codes])
        result[name] = measure(classifier, samples, known)
        save_grid(samples[:64], out / f"{name}.png")
    (out / "generator.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return result


class PriorMatchingGenerator(nn.Module):
    """The generator, the encoder to one number, and the critics D_P and D_Q, which compare its codes with Gaussians."""

    def __init__(self, image_shape: tuple[int, ...], width: int, penalty: float = 0.1) -> None:
        super().__init__()
        self.generator = Decoder(Z_UNITS, image_shape, width=width)
        self.encoder = image_to_number(image_shape, width)
        self.critics = nn.ModuleDict({"real": Mlp(1, (64, 64)), "generated": Mlp(1, (64, 64))})
        self.penalty = penalty

    def turns(self) -> list[Turn]:
        """In the order of a step; the paper clips the gradients of the two critics, but does not say where.

        Each player must be quicker than the one that it judges: with the same rate for all, codes never come near their
        Gaussians and the images collapse to one.
        """
        return [
            Turn(self.critics, self.critics_loss, lr=1e-3, clip=1.0),
            Turn(self.encoder, self.encoder_loss, lr=5e-4),
            Turn(self.generator, self.generator_loss, lr=1e-4),
        ]

    def critics_loss(self, images: Tensor, z: Tensor) -> Tensor:
        """-log D(v) - log(1 - D(E(x))) for D_P, v from N(μ_P, 1), and images; likewise D_Q and generated images.

        And ½ (|∂D|² at v + |∂D|² at E(x)) of each, as in `objectives.PriorMatching`; the paper has clipping only.
        """
        with torch.no_grad():
            codes = {"real": self.encoder(images), "generated": self.encoder(read(self.generator, z))}
        means = {"real": REAL_MEAN, "generated": GENERATED_MEAN}
        losses = []
        for kind, code in codes.items():
            for sign, x in ((-1, means[kind] + torch.randn_like(code)), (1, code)):
                x = x.requires_grad_()
                score = self.critics[kind](x)
                losses += [softplus(sign * score).mean(), 0.5 * squared_slope(score, x).mean()]
        return torch.stack(losses).sum()

    def encoder_loss(self, images: Tensor, z: Tensor) -> Tensor:
        """-log D_P(E(x)) - log D_Q(E(G(z))) + contractive penalty, ½ (|∂E/∂x|² at real + at generated images)."""
        losses = []
        for kind, x in (("real", images), ("generated", read(self.generator, z))):
            x = x.detach().requires_grad_()
            code = self.encoder(x)
            losses.append(softplus(-read(self.critics[kind], code)).mean())
            losses.append(self.penalty * 0.5 * squared_slope(code, x).mean())
        return torch.stack(losses).sum()

    def generator_loss(self, images: Tensor, z: Tensor) -> Tensor:
        """(mean E(G(z)) - μ_P)²"""
        return (read(self.encoder, self.generator(z)).mean() - REAL_MEAN).square()


class Gan(nn.Module):
    """Generator and critic, both with the non-saturating loss; the critic has the same contractive penalty."""

    def __init__(self, image_shape: tuple[int, ...], width: int, penalty: float = 1.0) -> None:
        super().__init__()
        self.generator = Decoder(Z_UNITS, image_shape, width=width)
        self.critic = image_to_number(image_shape, width)
        self.penalty = penalty

    def turns(self) -> list[Turn]:
        """In the order of a step."""
        return [Turn(self.critic, self.critic_loss, lr=2e-4), Turn(self.generator, self.generator_loss, lr=2e-4)]

    def critic_loss(self, images: Tensor, z: Tensor) -> Tensor:
        """-log D(x) - log(1 - D(G(z))) + ½ (|∂D/∂x|² at real + at generated images)"""
        losses = []
        for sign, x in ((-1, images), (1, read(self.generator, z))):
            x = x.detach().requires_grad_()
            score = self.critic(x)
            losses.append(softplus(sign * score).mean())
            losses.append(self.penalty * 0.5 * squared_slope(score, x).mean())
        return torch.stack(losses).sum()

    def generator_loss(self, images: Tensor, z: Tensor) -> Tensor:
        """-log D(G(z))"""
        return softplus(-read(self.critic, self.generator(z))).mean()


def image_to_number(image_shape: tuple[int, ...], width: int) -> nn.Sequential:
    """(N, C, H, W) -> (N, 1): DCGAN's convolutions with leaky ReLU; no BatchNorm: the penalty is of single images."""
    channels, *sides = image_shape
    layers: list[nn.Module] = []
    for i in range(halvings(min(sides))):
        layers += [nn.Conv2d(channels, width * 2**i, 4, stride=2, padding=1), nn.LeakyReLU(0.2, inplace=True)]
        channels, sides = width * 2**i, [out_size(side, 4, 2, 1) for side in sides]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * math.prod(sides), 1))


def train(
    model: PriorMatchingGenerator | Gan, images: ImageSet, steps: int, seed: int, device: torch.device | str = "cpu"
) -> None:
    """Train the players in turn for this many steps, each with its own Adam optimizer."""
    turns = model.to(device).turns()
    optimizers = [torch.optim.Adam(turn.player.parameters(), lr=turn.lr, betas=(0.5, 0.999)) for turn in turns]
    for batch, _ in islice(_endlessly(images, seed, device), steps):
        for turn, optimizer in zip(turns, optimizers, strict=True):
            optimizer.zero_grad()
            turn.loss(batch, torch.randn(len(batch), Z_UNITS, device=device)).backward()
            nn.utils.clip_grad_norm_(turn.player.parameters(), turn.clip)
            optimizer.step()


class Classifier(nn.Module):
    """The DCGAN encoder and a linear layer; its `y` is the space in which images are compared."""

    def __init__(self, image_shape: tuple[int, ...], classes: int, width: int) -> None:
        super().__init__()
        self.encoder = encoders.build("dcgan", image_shape, width=width)
        self.head = nn.Linear(64, classes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """images (N, C, H, W) -> features (N, 64), logits (N, classes)"""
        y = self.encoder(images).y
        return y, self.head(y)


def train_classifier(images: ImageSet, size: Size, seed: int, device: torch.device | str = "cpu") -> Classifier:
    """A classifier trained with the labels, in eval mode."""
    assert images.labels is not None
    classifier = Classifier(images.shape, int(images.labels.max()) + 1, 2 * size.width).to(device)
    optimizer = torch.optim.Adam(classifier.parameters(), lr=1e-3)
    for batch, labels in islice(_endlessly(images, seed, device), size.classifier_steps):
        optimizer.zero_grad()
        cross_entropy(classifier(batch)[1], labels).backward()
        optimizer.step()
    return classifier.eval()


@torch.no_grad()
def describe(classifier: Classifier, images: Tensor) -> tuple[Tensor, Tensor]:
    """images (N, C, H, W) in [-1, 1] -> features (N, 64) and logits (N, classes), float64 on the CPU."""
    device = classifier.head.weight.device
    parts = [classifier(part.to(device)) for part in images.split(256)]
    return torch.cat([p[0] for p in parts]).cpu().double(), torch.cat([p[1] for p in parts]).cpu().double()


def measure(classifier: Classifier, images: Tensor, known: Tensor) -> dict[str, float]:
    """Score and Fréchet distance of images (N, C, H, W) in [-1, 1]; `known` are features of training images."""
    features, logits = describe(classifier, images)
    return {"score": class_score(logits), "frechet": frechet_distance(features, known)}


def class_score(logits: Tensor) -> float:
    """exp(mean KL(p(class | image) || p(class))): Inception score, by this classifier. logits (N, classes)"""
    log_p = logits.log_softmax(1)
    log_marginal = log_p.logsumexp(0) - math.log(len(log_p))
    return math.exp((log_p.exp() * (log_p - log_marginal)).sum(1).mean())


def frechet_distance(x: Tensor, y: Tensor) -> float:
    """|m_x - m_y|² + tr(C_x + C_y - 2 (C_x C_y)^½) of features (N, D), (N', D): squared, as in FID."""
    cov_x, cov_y = x.T.cov(), y.T.cov()
    # The product of two covariances has real eigenvalues, none negative, and a trace of its root is a sum of roots.
    root = torch.linalg.eigvals(cov_x @ cov_y).real.clamp_min(0).sqrt().sum()
    return float((x.mean(0) - y.mean(0)).square().sum() + cov_x.trace() + cov_y.trace() - 2 * root)


def save_grid(images: Tensor, path: Path, columns: int = 8) -> None:
    """Images (N, C, H, W) in [-1, 1], N a multiple of `columns`, row by row -> one PNG."""
    pixels = ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    rows = [torch.cat(list(row), dim=2) for row in pixels.split(columns)]
    grid = torch.cat(rows, dim=1).permute(1, 2, 0).numpy()
    Image.fromarray(grid if grid.shape[2] == 3 else grid[:, :, 0]).save(path)


def _endlessly(images: ImageSet, seed: int, device: torch.device | str = "cpu") -> Iterator[tuple[Tensor, Tensor]]:
    """Shuffled batches of (images, labels), epoch after epoch."""
    batches = Batches(images, BATCH, seed=seed, device=device)
    for epoch in count():
        for batch, labels, _ in batches(epoch):
            assert labels is not None
            yield batch, labels


def _some(images: ImageSet, number: int, seed: int) -> ImageSet:
    """`count` images, drawn at random; all of them if there are fewer."""
    return images.take(np.sort(np.random.default_rng(seed).permutation(len(images))[:number]))
