"""What objectives of two players share: reading the other player's network, and the gradient penalty."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.parametrizations import spectral_norm


def read(network: nn.Module, *inputs: Tensor) -> Tensor:
    """`network(*inputs)` as the other player sees it: gradients reach the inputs, never the network.

    Its buffers stay as they are too: neither BatchNorm's averages nor spectral norm's vectors move.
    """
    parameters = {name: p.detach() for name, p in network.named_parameters()}
    buffers = {name: b.clone() for name, b in network.named_buffers()}
    return functional_call(network, {**parameters, **buffers}, inputs)


def squared_slope(score: Float[Tensor, "N *one"], *inputs: Float[Tensor, "N ..."]) -> Float[Tensor, "N"]:
    """|∂ score / ∂ inputs|² of each sample, differentiable; the network must not mix samples (no BatchNorm)."""
    slopes = torch.autograd.grad(score.sum(), inputs, create_graph=True)
    return torch.stack([slope.flatten(1).square().sum(1) for slope in slopes]).sum(0)


def normalise_spectrally(network: nn.Module) -> None:
    """Divide every linear and convolutional weight by its largest singular value (Miyato et al. 2018), in place."""
    for layer in list(network.modules()):
        if isinstance(layer, nn.Linear | _ConvNd):
            spectral_norm(layer)
