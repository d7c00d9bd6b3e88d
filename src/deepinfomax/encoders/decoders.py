"""Decoder: a vector -> an image, a series or a volume; the generator and decoder of every baseline (paper A.2)."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from deepinfomax.encoders.layers import doubling, halvings, normalised, plain_convolution, widened
from deepinfomax.errors import UserError

_KINDS = {1: "series (channels, steps)", 2: "images (channels, height, width)", 3: "volumes (channels, D, H, W)"}


class Decoder(nn.Module):
    """A linear layer to a small map, transposed convolutions that double its sides, a convolution of kernel 3, tanh.

    It mirrors the encoder for such data (DCGAN, `Sequence`, `Volume`): the first map's shortest side is between 4 and
    7. BatchNorm and ReLU follow every hidden layer, which has no bias. Channels halve from `first` on, but not below
    `width`:

    | what | first map | transposed convolutions |
    | --- | --- | --- |
    | 32×32 image | 256×4×4 | 128, 64, 64 |
    | 28×28 image | 128×7×7 | 64, 64 |
    | 64×64 image | 512×4×4 | 256, 128, 64, 64 |
    | series of 427 | 256×6 | 128, 64, 64, 64, 64, 64 |
    | 32×32×32 volume | 256×4×4×4 | 128, 64, 64 |

    Kernels have the size of the encoders': 8 for series, 4 otherwise. For 32×32 this is the decoder of the authors'
    framework. `first=512` is the decoder of their MS-SSIM evaluation, 512×4×4 then 256, 128, 64, at three times the
    cost. Output padding gives odd sides their exact length, so any size from 8 works.

    Args:
        units: D of the vectors.
        image_shape: (C, *S), S of one to three axes.
        width: the least number of channels of a hidden map.
        first: channels of the first map; None: width · 2^(doublings - 1), for series at most width · 4.
        bounded: whether images are in [-1, 1]. False leaves out the tanh, for numbers standardised by channel.

    Raises:
        UserError: data with no axis, or with more than three axes besides the channels; a side shorter than 8.
    """

    def __init__(
        self,
        units: int,
        image_shape: tuple[int, ...],
        *,
        width: int = 64,
        first: int | None = None,
        bounded: bool = True,
    ) -> None:
        super().__init__()
        kept, *whole = image_shape
        rank = len(whole)
        if rank not in _KINDS or min(whole) < 8:
            raise UserError(
                f"items of {'x'.join(map(str, image_shape))} cannot be decoded: they must be "
                f"{', '.join(_KINDS.values())}, with sides of at least 8"
            )
        depth = halvings(min(whole))
        channels = first or widened(width, depth - 1, rank)
        self.first_map = (channels, *(side >> depth for side in whole))
        self.first = nn.Linear(units, math.prod(self.first_map), bias=False)
        layers = [*normalised(channels, rank)]
        for i in reversed(range(depth)):
            fewer = max(width, channels // 2)
            layers += [*doubling(channels, fewer, tuple(side >> i for side in whole))]
            channels = fewer
        layers.append(plain_convolution(channels, kept, 3, padding=1, rank=rank))
        self.layers = nn.Sequential(*layers, *([nn.Tanh()] if bounded else []))

    def forward(self, vectors: Float[Tensor, "N D"]) -> Float[Tensor, "N C *S"]:
        """Returns images in (-1, 1), or unbounded numbers if not `bounded`."""
        return self.layers(self.first(vectors).unflatten(1, self.first_map))


@torch.no_grad()
def decode(decoder: nn.Module, vectors: Float[Tensor, "N D"]) -> Float[Tensor, "N C *S"]:
    """Decode vectors in eval mode, without gradients; the state of `decoder` does not change."""
    was_training = decoder.training
    decoder.eval()
    try:
        return decoder(vectors)
    finally:
        decoder.train(was_training)
