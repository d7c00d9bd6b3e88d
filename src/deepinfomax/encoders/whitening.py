"""A first layer that begins with the principal directions of small image patches, instead of at random.

Neighbouring pixels are much alike, so a random filter mostly sees the mean brightness of its patch, and an encoder
spends its first thousands of steps on undoing that. Here the first convolution begins with the principal directions of
the training images' patches, each scaled to variance 1, and with their negatives, which a ReLU keeps apart: it whitens
its input. No label and no step of training is needed. Source: the first layer of K. Jordan, "94% on CIFAR-10 in 3.29
seconds on a single GPU" (arXiv 2404.00498, section 3.1), where it is frozen; here it is trained on like any other.
"""

from typing import cast

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from deepinfomax.errors import UserError

IMAGES = 4000  #: how many training images patches are taken from
LEAST_PATCHES = 20  #: patches for each number in a patch: enough to estimate directions of small variance too
FLOOR = 1e-2  #: added to all variances, as a fraction of their mean, so that directions without variance stay small

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def whiten_first_layer(encoder: nn.Module, images: Float[Tensor, "N C *S"], *, seed: int = 0) -> bool:
    """Set the weights of the encoder's first convolution from patches of images, in place.

    With K filters on patches of P numbers, min(P, K/2) directions of the largest variance are taken, each with both
    signs; filters beyond these keep their weights. A bias makes the mean of every filter's output 0.

    Args:
        encoder: the first convolution among its modules must be the one that takes the images.
        images: as the encoder gets them; `IMAGES` of them are enough.
        seed: seed for drawing the places of the patches.

    Returns:
        Whether the weights were set: False if images are smaller than a filter, or if all patches are equal.

    Raises:
        UserError: there is no convolution, or it does not take images of this shape.
    """
    layer = first_convolution(encoder)
    channels, axes = images.shape[1], images.ndim - 2
    if layer.groups != 1 or layer.in_channels != channels or len(layer.kernel_size) != axes:
        raise UserError(
            f"training.first_layer whitening: the first convolution takes {layer.in_channels} channels in "
            f"{layer.groups} groups over {len(layer.kernel_size)} axes, the images have {channels} channels and {axes} "
            'axes: set training.first_layer to "default"'
        )
    rows = patches(images, layer, np.random.default_rng([seed, 0x77686974]))
    if not len(rows):
        return False
    rows, mean = rows - rows.mean(0), rows.mean(0)
    variances, directions = torch.linalg.eigh(rows.T @ rows / len(rows))
    if not variances[-1] > 1e-12:
        return False
    scale = (variances + FLOOR * variances.mean()).rsqrt()
    filters = (directions * scale).flip(1).T  # the largest variance first
    count = min(len(filters), layer.out_channels // 2)
    both = torch.cat([filters[:count], -filters[:count]]).to(layer.weight)
    with torch.no_grad():
        layer.weight[: 2 * count] = both.view(-1, *layer.weight.shape[1:])
        if layer.bias is not None:
            layer.bias[: 2 * count] = -both @ mean.to(both)
    return True


def first_convolution(encoder: nn.Module) -> _ConvNd:
    """The first convolution in the order of the encoder's modules.

    Raises:
        UserError: there is none.
    """
    for module in encoder.modules():
        if isinstance(module, _CONVOLUTIONS):
            return module
    raise UserError('training.first_layer whitening: the encoder has no convolution: set it to "default"')


def patches(
    images: Float[Tensor, "N C *S"], layer: _ConvNd, rng: np.random.Generator
) -> Float64[Tensor, "rows numbers"]:
    """Patches (rows, C·k·...) that the layer's filters see at random places of the images, without padding.

    There are no rows if the images are smaller than a filter.
    """
    dilated = [d * (k - 1) + 1 for d, k in zip(cast(tuple[int, ...], layer.dilation), layer.kernel_size, strict=True)]
    sides = images.shape[2:]
    if any(side < size for side, size in zip(sides, dilated, strict=True)):
        return torch.empty(0, 0, dtype=torch.float64)
    size = images.shape[1] * int(np.prod(layer.kernel_size))
    times = max(1, -(-LEAST_PATCHES * size // len(images)))
    rows = []
    for number in range(times * len(images)):
        window: Tensor = images[number // times]
        for axis, (side, length) in enumerate(zip(sides, dilated, strict=True), start=1):
            start = int(rng.integers(side - length + 1))
            window = window.narrow(axis, start, length)
        steps = tuple(slice(None, None, d) for d in cast(tuple[int, ...], layer.dilation))
        rows.append(window[(slice(None), *steps)].reshape(-1))
    return torch.stack(rows).double()
