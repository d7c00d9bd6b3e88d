"""A convolutional encoder for volumes: medical scans, simulations, short clips of video."""

import math

from jaxtyping import Float
from torch import Tensor, nn

from deepinfomax.encoders.layers import (
    HALVING,
    channels_and_sides,
    convolution,
    dense,
    halvings,
    out_size,
    small_head,
    widened,
)
from deepinfomax.features import Features
from deepinfomax.settings import Count


class Volume(nn.Module):
    """The DCGAN-like encoder along three axes: convolutions of kernel 4 and stride 2, a hidden layer, a linear `y`.

    There are as many convolutions as bring the shortest side to between 4 and 7, with `width`, 2·`width`, ... channels.
    `local` is the next-to-last map (the last one if there are only two).

    | volume | sides of the maps | local | conv | fc | y |
    | --- | --- | --- | --- | --- | --- |
    | 32×32×32 | 16, 8, 4 | 64×8×8×8 | 128×4×4×4 | 512 | 64 |
    | 16×16×16 | 8, 4 | 64×4×4×4 | 64×4×4×4 | 512 | 64 |

    Args:
        image_shape: (C, D, H, W), each side 16 or more.
        width: channels of the first convolution.
        fc: units of the hidden layer.
        y: units of the representation.
    """

    def __init__(
        self, image_shape: tuple[int, int, int, int], *, width: Count = 32, fc: Count = 512, y: Count = 64
    ) -> None:
        super().__init__()
        channels, sides = channels_and_sides("volume", image_shape, "DHW", 16)
        kernel, padding = HALVING[3]
        self.convolutions = nn.ModuleList()
        for i in range(halvings(min(sides))):
            outputs = widened(width, i, rank=3)
            self.convolutions.append(convolution(channels, outputs, kernel, stride=2, padding=padding, rank=3))
            channels, sides = outputs, tuple(out_size(s, kernel, 2, padding) for s in sides)
        self.local_index = max(len(self.convolutions) - 2, 1)
        self.fc = nn.Sequential(nn.Flatten(), dense(channels * math.prod(sides), fc))
        self.y = nn.Linear(fc, y)

    at_scale = staticmethod(small_head)

    def forward(self, images: Float[Tensor, "N C D H W"]) -> Features:
        """Volumes are in [-1, 1], or standardised."""
        maps = []
        x = images
        for layer in self.convolutions:
            x = layer(x)
            maps.append(x)
        fc = self.fc(x)
        return Features(local=maps[self.local_index], conv=x, fc=fc, y=self.y(fc))
