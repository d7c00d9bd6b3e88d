"""Autoencoders: AE and VAE (paper §4.1's baselines); an AAE is the AE beside `PriorMatching(prior="gaussian")`.

Every term is summed over the pixels and units of an image, in nats, and averaged over images. The likelihood is a
Gaussian of unit variance around the decoder's image, so a reconstruction costs ½ |x - x̂|² nats and has the right
proportion to the KL (or, in an AAE, to the prior term). The authors' framework has |x - x̂|² + β KL, which is the loss
here with half that β (variance ½). Its AAE divides an averaged error by the batch size once more, so it is N times too
small.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from deepinfomax.encoders.decoders import Decoder, decode
from deepinfomax.errors import UserError
from deepinfomax.features import Features
from deepinfomax.information.pairs import at_least_float32
from deepinfomax.objectives.protocol import Batch, Facts, Terms
from deepinfomax.scales import Scale, Section
from deepinfomax.settings import Count, NotNegative, checked


@checked
class Autoencoder(nn.Module):
    """½ |x - decoder(y)|².

    Args:
        facts: the shapes of the images and of the encoder's features.
        width: the least number of channels of the decoder's maps.
    """

    compares_processes = False

    def __init__(self, facts: Facts, *, width: Count = 64) -> None:
        super().__init__()
        shapes = facts.shapes
        self.decoder = Decoder(torch.Size(shapes.y).numel(), shapes.image, width=width, bounded=facts.bounded)

    def forward(self, features: Features, batch: Batch) -> Terms:
        cost = half_squared_error(self.decoder(features.y.flatten(1)), batch.images).mean()
        return Terms({"loss": cost}, {"mse": 2 * cost / batch.images[0].numel()})

    def reconstruct(self, features: Features) -> Float[Tensor, "N C *S"]:
        """Decode y to images of the encoder's scale: in (-1, 1), or standardised."""
        return decode(self.decoder, features.y.flatten(1))

    @staticmethod
    def at_scale(scale: Scale, section: Section) -> Section:
        """Fewer channels: otherwise a step takes up to ten times as long as one of DIM(L)."""
        return section | {"width": 8 if scale == "smoke" else 32}


@checked
class VariationalAutoencoder(nn.Module):
    """-ELBO = E_q ½ |x - decoder(z)|² + β KL(q(z|x) || N(0, I)), with q(z|x) = N(y, exp(log variance)).

    y is the mean. The log-variance is a second linear layer on fc, which belongs to this objective. One z is drawn for
    each image as y + deviation · noise, so that gradients pass through it.

    Args:
        facts: the shapes of the images and of the encoder's features.
        beta: β; 1 is the VAE, the paper's β-VAEs have 0.1 to 4 (A.6).
        width: the least number of channels of the decoder's maps.
    """

    compares_processes = False

    def __init__(self, facts: Facts, *, beta: NotNegative = 1.0, width: Count = 64) -> None:
        super().__init__()
        self.beta, shapes = beta, facts.shapes
        if shapes.fc is None:
            raise UserError(
                "vae needs an encoder with an fc level, where its variance comes from, and this one has none"
            )
        units = torch.Size(shapes.y).numel()
        self.log_variance = nn.Linear(torch.Size(shapes.fc).numel(), units)
        self.decoder = Decoder(units, shapes.image, width=width, bounded=facts.bounded)

    def forward(self, features: Features, batch: Batch) -> Terms:
        assert features.fc is not None
        mean, log_variance = features.y.flatten(1), self.log_variance(features.fc.flatten(1))
        z = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        cost = half_squared_error(self.decoder(z), batch.images).mean()
        kl = kl_from_standard_normal(mean, log_variance).mean()
        pixels = batch.images[0].numel()
        elbo = (
            -cost - kl - pixels / 2 * math.log(2 * math.pi)
        )  # a bound on log p(x): β is 1 here, whatever the loss has
        return Terms({"reconstruction": cost, "kl": self.beta * kl}, {"elbo": elbo, "kl": kl, "mse": 2 * cost / pixels})

    def reconstruct(self, features: Features) -> Float[Tensor, "N C *S"]:
        """Decode y, the mean of q(z|x), to images of the encoder's scale."""
        return decode(self.decoder, features.y.flatten(1))

    def sample(self, count: int, generator: torch.Generator | None = None) -> Float[Tensor, "{count} C *S"]:
        """`count` images from z ~ N(0, I), as the encoder sees them."""
        weight = self.log_variance.weight
        z = torch.randn(count, len(weight), generator=generator)  # on the CPU: the same images on any device
        return decode(self.decoder, z.to(weight))

    @staticmethod
    def at_scale(scale: Scale, section: Section) -> Section:
        """Fewer channels: otherwise a step takes up to ten times as long as one of DIM(L)."""
        return section | {"width": 8 if scale == "smoke" else 32}


def half_squared_error(predicted: Float[Tensor, "N C *S"], images: Float[Tensor, "N C *S"]) -> Float[Tensor, "N"]:
    """½ |x - x̂|² of each image: -log N(x; x̂, I) without its constant, in nats."""
    return (at_least_float32(predicted) - images).square().flatten(1).sum(1) / 2


def kl_from_standard_normal(mean: Float[Tensor, "N D"], log_variance: Float[Tensor, "N D"]) -> Float[Tensor, "N"]:
    """KL(N(mean, diag exp(log_variance)) || N(0, I)) of each row, in nats."""
    mean, log_variance = at_least_float32(mean), at_least_float32(log_variance)
    return (mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / 2
