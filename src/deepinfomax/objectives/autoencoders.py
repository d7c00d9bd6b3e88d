"""Autoencoders: AE and VAE (paper §4.1's baselines); an AAE is the AE beside `PriorMatching(prior="gaussian")`.

Every term is a sum over the pixels and units of an image, in nats, and a mean over images. The likelihood is a Gaussian
of unit variance around the decoder's image, so a reconstruction costs ½ |x - x̂|² nats and stands in the right
proportion to the KL, and an AAE's reconstruction to its prior. The authors' framework has |x - x̂|² + β KL, which is
ours with half the β (variance ½); its AAE divides an averaged error by the batch size once more, N times too little.
"""

import math

import torch
from torch import Tensor, nn

from deepinfomax.encoders.decoders import Decoder, decode
from deepinfomax.features import Features
from deepinfomax.information.pairs import at_least_float32
from deepinfomax.objectives.protocol import Batch, Shapes


class Autoencoder(nn.Module):
    """½ |x - decoder(y)|².

    Args:
        shapes: of the encoder's features.
        width: the least number of channels of the decoder's maps.
    """

    def __init__(self, shapes: Shapes, *, width: int = 64) -> None:
        super().__init__()
        self.decoder = Decoder(torch.Size(shapes.y).numel(), shapes.image, width=width)
        self.measured: dict[str, Tensor] = {}

    def forward(self, features: Features, batch: Batch) -> dict[str, Tensor]:
        cost = half_squared_error(self.decoder(features.y.flatten(1)), batch.images).mean()
        self.measured = {"mse": 2 * cost.detach() / batch.images[0].numel()}
        return {"autoencoder": cost}

    def reconstruct(self, features: Features) -> Tensor:
        """Images (N, C, H, W) in (-1, 1) from y."""
        return decode(self.decoder, features.y.flatten(1))


class VariationalAutoencoder(nn.Module):
    """-ELBO = E_q ½ |x - decoder(z)|² + β KL(q(z|x) || N(0, I)), with q(z|x) = N(y, exp(log variance)).

    y is the mean; the log-variance is a second linear head beside it on fc, owned here. One z per image is drawn, as
    y + deviation · noise, so that gradients pass.

    Args:
        shapes: of the encoder's features.
        beta: β; 1 is the VAE, the paper's β-VAEs have 0.1 to 4 (A.6).
        width: the least number of channels of the decoder's maps.
    """

    def __init__(self, shapes: Shapes, *, beta: float = 1.0, width: int = 64) -> None:
        super().__init__()
        self.beta = beta
        units = torch.Size(shapes.y).numel()
        self.log_variance = nn.Linear(torch.Size(shapes.fc).numel(), units)
        self.decoder = Decoder(units, shapes.image, width=width)
        self.measured: dict[str, Tensor] = {}

    def forward(self, features: Features, batch: Batch) -> dict[str, Tensor]:
        mean, log_variance = features.y.flatten(1), self.log_variance(features.fc.flatten(1))
        z = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        cost = half_squared_error(self.decoder(z), batch.images).mean()
        kl = kl_from_standard_normal(mean, log_variance).mean()
        pixels = batch.images[0].numel()
        elbo = -cost - kl - pixels / 2 * math.log(2 * math.pi)  # of log p(x), whatever β
        self.measured = {"elbo": elbo.detach(), "kl": kl.detach(), "mse": 2 * cost.detach() / pixels}
        return {"vae_reconstruction": cost, "vae_kl": self.beta * kl}

    def reconstruct(self, features: Features) -> Tensor:
        """Images (N, C, H, W) in (-1, 1) from y, the mean of q(z|x)."""
        return decode(self.decoder, features.y.flatten(1))

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """`count` images (count, C, H, W) in (-1, 1) from z ~ N(0, I)."""
        weight = self.log_variance.weight
        z = torch.randn(count, len(weight), generator=generator)  # on the CPU: the same images on any device
        return decode(self.decoder, z.to(weight))


def half_squared_error(predicted: Tensor, images: Tensor) -> Tensor:
    """½ |x - x̂|² of each image, (N, C, *S) twice -> (N,): -log N(x; x̂, I) less its constant."""
    return (at_least_float32(predicted) - images).square().flatten(1).sum(1) / 2


def kl_from_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, diag exp(log_variance)) || N(0, I)) of each row, in nats: (N, D), (N, D) -> (N,)."""
    mean, log_variance = at_least_float32(mean), at_least_float32(log_variance)
    return (mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / 2
