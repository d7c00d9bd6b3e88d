"""A convolutional encoder for sequences: time series, sound, genomes (the paper's §1 names temporal structure)."""

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

_PLACES = 16  #: the local map is the last map with at least this many places


class Sequence(nn.Module):
    """The DCGAN-like encoder along one axis: strided convolutions, a hidden layer `fc`, a linear `y`.

    There are as many convolutions of kernel 8 and stride 2 as bring the length to between 4 and 7; their channels
    double up to 4·`width`. `local` is the last map with at least 16 places, or the first map if none has as many. Each
    of its places sees about a quarter of the sequence, just as a place of the 8×8 map sees about a quarter (by side)
    of a 32×32 image.

    | sequence | lengths of the maps | local | conv | fc | y |
    | --- | --- | --- | --- | --- | --- |
    | 1×427 | 213, 106, 53, 26, 13, 6 | 256×26 | 256×6 | 512 | 64 |
    | 12×32 | 16, 8, 4 | 64×16 | 256×4 | 512 | 64 |

    Args:
        image_shape: (C, T), T 8 or more.
        width: channels of the first convolution.
        fc: units of the hidden layer.
        y: units of the representation.
    """

    def __init__(self, image_shape: tuple[int, int], *, width: Count = 64, fc: Count = 512, y: Count = 64) -> None:
        super().__init__()
        channels, (length,) = channels_and_sides("sequence", image_shape, "T", 8)
        kernel, padding = HALVING[1]
        self.convolutions = nn.ModuleList()
        self.local_index = 0
        for i in range(halvings(length)):
            outputs = widened(width, i, rank=1)
            self.convolutions.append(convolution(channels, outputs, kernel, stride=2, padding=padding, rank=1))
            channels, length = outputs, out_size(length, kernel, 2, padding)
            if length >= _PLACES:
                self.local_index = i
        self.fc = nn.Sequential(nn.Flatten(), dense(channels * length, fc))
        self.y = nn.Linear(fc, y)

    at_scale = staticmethod(small_head)

    def forward(self, images: Float[Tensor, "N C T"]) -> Features:
        """Sequences of T steps, in [-1, 1] or standardised."""
        maps = []
        x = images
        for layer in self.convolutions:
            x = layer(x)
            maps.append(x)
        fc = self.fc(x)
        return Features(local=maps[self.local_index], conv=x, fc=fc, y=self.y(fc))
