"""Decoder: a vector -> an image in [-1, 1]; the generator and decoder of every baseline (paper A.2: DCGAN)."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from deepinfomax.errors import UserError


class Decoder(nn.Module):
    """Linear -> a small map, transposed convolutions that double its sides, a 3×3 convolution, tanh.

    The mirror of the DCGAN encoder: as many doublings as bring the shorter side down to between 4 and 7, BatchNorm and
    ReLU after every hidden layer and no bias before it. Channels halve from `first`, but never below `width`:

    | image | first map | transposed convolutions |
    | --- | --- | --- |
    | 32×32 | 256×4×4 | 128, 64, 64 |
    | 28×28 | 128×7×7 | 64, 64 |
    | 64×64 | 512×4×4 | 256, 128, 64, 64 |

    That is the decoder of the authors' framework for 32×32. `first=512` gives the one of their MS-SSIM evaluation,
    512×4×4 then 256, 128, 64, at three times the cost. An odd side is met by output padding, so any size will do.

    Args:
        units: D of the vectors.
        image_shape: (C, H, W).
        width: the least number of channels of a hidden map.
        first: channels of the first map; None: width · 2^(doublings - 1).

    Raises:
        UserError: images that are not (C, H, W), or have a side shorter than 8.
    """

    def __init__(self, units: int, image_shape: tuple[int, ...], *, width: int = 64, first: int | None = None) -> None:
        super().__init__()
        if len(image_shape) != 3 or min(image_shape[1:]) < 8:
            raise UserError(
                f"images of {'x'.join(map(str, image_shape))} cannot be decoded: they must be (channels, height, "
                "width) with sides of at least 8"
            )
        depth = int(math.log2(min(image_shape[1:]) / 4))
        channels = first or width * 2 ** (depth - 1)
        sides = [(image_shape[1] >> i, image_shape[2] >> i) for i in range(depth, -1, -1)]
        self.first_map = (channels, *sides[0])
        self.first = nn.Linear(units, math.prod(self.first_map), bias=False)
        layers: list[nn.Module] = [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
        for height, w in sides[1:]:
            fewer = max(width, channels // 2)
            odd = (height % 2, w % 2)
            layers += [
                nn.ConvTranspose2d(channels, fewer, 4, stride=2, padding=1, output_padding=odd, bias=False),
                nn.BatchNorm2d(fewer),
                nn.ReLU(inplace=True),
            ]
            channels = fewer
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels, image_shape[0], 3, padding=1), nn.Tanh())

    def forward(self, vectors: Float[Tensor, "N D"]) -> Float[Tensor, "N C H W"]:
        """Images in (-1, 1)."""
        return self.layers(self.first(vectors).unflatten(1, self.first_map))


@torch.no_grad()
def decode(decoder: nn.Module, vectors: Float[Tensor, "N D"]) -> Float[Tensor, "N C H W"]:
    """Images to look at: in eval mode, without gradients, `decoder` left as it was."""
    was_training = decoder.training
    decoder.eval()
    try:
        return decoder(vectors)
    finally:
        decoder.train(was_training)
