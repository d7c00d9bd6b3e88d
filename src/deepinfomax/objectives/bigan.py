"""BiGAN: an encoder and a generator against one critic of pairs (x, z) (Donahue et al. 2016; a baseline of §4.1)."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import softplus

from deepinfomax.encoders.decoders import Decoder, decode
from deepinfomax.encoders.layers import HALVING, halvings, plain_convolution, widened
from deepinfomax.features import Features
from deepinfomax.information.pairs import at_least_float32
from deepinfomax.objectives.players import normalise_spectrally, read, squared_slope
from deepinfomax.objectives.protocol import Batch, Facts, Terms
from deepinfomax.scales import Scale, Section
from deepinfomax.settings import Count, NotNegative, checked


@checked
class BiGAN(nn.Module):
    """min over E and G, max over D of  E_x log D(x, E(x)) + E_z log(1 - D(G(z), z)),  z ~ N(0, I).

    If D cannot distinguish the two kinds of pairs, E inverts G and y has the distribution of the prior. The encoder E
    is deterministic, E(x) = y. The first player is the encoder *and* the generator G; the second player is D.

    Args:
        facts: the shapes of the images and of the encoder's features.
        penalty: weight of the gradient penalty on D, ½ (|∂D|² at the encoder's pairs + |∂D|² at the generator's pairs),
            averaged over samples, with the gradient by x and z together; 0: no penalty.
        spectral_norm: divide D's weights by their largest singular value.
        width: channels of D's first convolution, and the least number of channels of the generator's maps.
    """

    compares_processes = False

    def __init__(
        self, facts: Facts, *, penalty: NotNegative = 1.0, spectral_norm: bool = False, width: Count = 64
    ) -> None:
        super().__init__()
        self.penalty, shapes = penalty, facts.shapes
        self.units = torch.Size(shapes.y).numel()
        self.generator = Decoder(self.units, shapes.image, width=width, bounded=facts.bounded)
        self.critic = PairCritic(shapes.image, self.units, width=width)
        if spectral_norm:
            normalise_spectrally(self.critic)

    def forward(self, features: Features, batch: Batch) -> Terms:
        """The first player's loss: -log(1 - D(x, E(x))) - log D(G(z), z).

        It is D's loss with the labels exchanged (Donahue et al.). The authors' framework has the minimax loss itself,
        whose gradient vanishes when D wins.
        """
        y = at_least_float32(features.y.flatten(1))
        z = torch.randn_like(y)
        encoded, generated = read(self.critic, batch.images, y), read(self.critic, self.generator(z), z)
        right = torch.cat([encoded.detach() > 0, generated.detach() < 0])
        loss = softplus(encoded).mean() + softplus(-generated).mean()
        return Terms({"loss": loss}, {"critic_accuracy": right.float().mean()})

    def players(self) -> list[nn.Module]:
        return [self.critic]

    def adversary(self, features: Features, batch: Batch) -> Terms:
        """D's loss: -log D(x, E(x)) - log(1 - D(G(z), z)) + penalty."""
        y = at_least_float32(features.y.flatten(1).detach())
        z = torch.randn_like(y)
        with torch.no_grad():
            images = read(self.generator, z)
        encoded = [t.detach().requires_grad_(self.penalty > 0) for t in (batch.images, y)]
        generated = [t.detach().requires_grad_(self.penalty > 0) for t in (images, z)]
        score_encoded, score_generated = self.critic(*encoded), self.critic(*generated)
        losses = {"critic": softplus(-score_encoded).mean() + softplus(score_generated).mean()}
        if self.penalty > 0:
            slopes = (squared_slope(score_encoded, *encoded), squared_slope(score_generated, *generated))
            losses["penalty"] = self.penalty * 0.5 * (slopes[0].mean() + slopes[1].mean())
        return Terms(losses)

    def reconstruct(self, features: Features) -> Float[Tensor, "N C *S"]:
        """G(E(x)), images of the encoder's scale. Training never compares pixels, so they resemble x only roughly."""
        return decode(self.generator, features.y.flatten(1))

    @staticmethod
    def at_scale(scale: Scale, section: Section) -> Section:
        """Fewer channels: otherwise a step takes up to ten times as long as one of DIM(L)."""
        return section | {"width": 8 if scale == "smoke" else 32}

    def sample(self, count: int, generator: torch.Generator | None = None) -> Float[Tensor, "{count} C *S"]:
        """`count` images G(z), of the encoder's scale."""
        z = torch.randn(count, self.units, generator=generator)  # on the CPU: the same images on any device
        return decode(self.generator, z.to(next(self.generator.parameters())))


class PairCritic(nn.Module):
    """The critic D: strided convolutions of x to 256 units, joined with z, then layers of 512, 128 and 1 units.

    The sizes are those of the authors' framework. Activations are leaky ReLU. There is no BatchNorm: it would mix
    samples, and the gradient penalty is computed for each sample by itself.
    """

    def __init__(self, image_shape: tuple[int, ...], units: int, *, width: int = 64) -> None:
        super().__init__()
        channels, *sides = image_shape
        rank = len(sides)
        kernel, padding = HALVING[rank]
        layers: list[nn.Module] = []
        for i in range(halvings(min(sides))):
            outputs = widened(width, i, rank)
            layers += [
                plain_convolution(channels, outputs, kernel, stride=2, padding=padding, rank=rank),
                nn.LeakyReLU(0.2),
            ]
            channels, sides = outputs, [side // 2 for side in sides]
        self.image = nn.Sequential(
            *layers, nn.Flatten(), nn.Linear(channels * math.prod(sides), 256), nn.LeakyReLU(0.2)
        )
        self.pair = nn.Sequential(
            nn.Linear(256 + units, 512), nn.LeakyReLU(0.2), nn.Linear(512, 128), nn.LeakyReLU(0.2), nn.Linear(128, 1)
        )

    def forward(self, images: Float[Tensor, "N C *S"], z: Float[Tensor, "N D"]) -> Float[Tensor, "N"]:
        """Logits, one for each pair; positive means: a pair (x, E(x)) of the encoder."""
        return at_least_float32(self.pair(torch.cat([self.image(images), z], dim=1)).squeeze(1))
