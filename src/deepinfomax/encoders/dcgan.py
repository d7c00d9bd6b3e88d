"""The DCGAN-like encoder of the paper's CIFAR tables, for any image size and number of channels (A.2)."""

import math

from jaxtyping import Float
from torch import Tensor, nn

from deepinfomax.encoders.layers import channels_and_sides, out_size, small_head
from deepinfomax.features import Features
from deepinfomax.scales import Scale, Section
from deepinfomax.settings import Count


class DCGAN(nn.Module):
    """Strided convolutions `width`, 2·`width`, ..., then a hidden layer `fc` and a linear `y`.

    There are as many convolutions as bring the shorter side to between 4 and 7:

    | image | convolutions | local | conv | fc | y |
    | --- | --- | --- | --- | --- | --- |
    | 32×32 | 64, 128, 256 | 128×8×8 | 256×4×4 | 1024 | 64 |
    | 28×28 | 64, 128 (kernel 5) | 128×7×7 | 128×7×7 | 1024 | 64 |
    | 64×64 | 64, 128, 256, 512 | 256×8×8 | 512×4×4 | 1024 | 64 |

    Every hidden layer is followed by BatchNorm and ReLU and has no bias; maps are taken after the ReLU. `local` is the
    next-to-last map (the last one if there are only two). `y` has neither normalisation nor activation.

    Args:
        image_shape: (C, H, W).
        width: channels of the first convolution.
        fc: units of the hidden layer.
        y: units of the representation.
    """

    def __init__(
        self, image_shape: tuple[int, int, int], *, width: Count = 64, fc: Count = 1024, y: Count = 64
    ) -> None:
        super().__init__()
        channels, sides = channels_and_sides("dcgan", image_shape, "HW", 8)
        depth = max(2, int(math.log2(min(sides) / 4)))
        # The authors' code has kernel 5 for 28×28; all other sizes have DCGAN's kernel 4.
        kernel, padding = (5, 2) if min(sides) == 28 else (4, 1)
        self.convolutions = nn.ModuleList()
        for i in range(depth):
            self.convolutions.append(
                nn.Sequential(
                    nn.Conv2d(channels, width * 2**i, kernel, stride=2, padding=padding, bias=False),
                    nn.BatchNorm2d(width * 2**i),
                    nn.ReLU(inplace=True),
                )
            )
            channels = width * 2**i
            sides = tuple(out_size(side, kernel, 2, padding) for side in sides)
        self.fc = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * math.prod(sides), fc, bias=False),
            nn.BatchNorm1d(fc),
            nn.ReLU(inplace=True),
        )
        self.y = nn.Linear(fc, y)
        self.local_index = depth - 2 if depth > 2 else depth - 1

    @staticmethod
    def at_scale(scale: Scale, section: Section) -> Section:
        return small_head(scale, section) | ({"width": 8} if scale == "smoke" else {})

    def forward(self, images: Float[Tensor, "N C H W"]) -> Features:
        """Images are in [-1, 1]."""
        maps = []
        x = images
        for convolution in self.convolutions:
            x = convolution(x)
            maps.append(x)
        fc = self.fc(x)
        return Features(local=maps[self.local_index], conv=x, fc=fc, y=self.y(fc))
