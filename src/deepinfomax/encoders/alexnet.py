"""The AlexNet-like encoder of the paper's Tiny ImageNet and STL-10 tables, for any image size (A.2)."""

import math

from jaxtyping import Float
from torch import Tensor, nn

from deepinfomax.encoders.layers import channels_and_sides, convolution, dense, out_size, small_head
from deepinfomax.features import Features
from deepinfomax.settings import Count


class AlexNet(nn.Module):
    """Five convolutions of 3×3, the first, second and last with a max pooling, then two hidden layers and a linear `y`.

    | image | after each convolution (and pooling) | local | conv | fc | y |
    | --- | --- | --- | --- | --- | --- |
    | 64×64 | 96×31×31, 192×15×15, 384×15×15, 384×15×15, 192×7×7 | 384×15×15 | 192×7×7 | 4096 | 64 |

    58.4 million parameters at 64×64, nearly all of them in the two hidden layers. `local` is the third map; each of its
    225 places sees 21×21 pixels. Weights have PyTorch's default initialisation, as in the authors' later code; their
    first release drew them from N(0, 0.02).

    Args:
        image_shape: (C, H, W), from 15×15.
        width: channels of the first convolution; the others have 2, 4, 4 and 2 times as many.
        fc: units of each of the two hidden layers.
        y: units of the representation.
    """

    def __init__(
        self, image_shape: tuple[int, int, int], *, width: Count = 96, fc: Count = 4096, y: Count = 64
    ) -> None:
        super().__init__()
        channels, sides = channels_and_sides("alexnet", image_shape, "HW", 15)
        self.convolutions = alexnet_convolutions(channels, width)
        for _ in range(3):
            sides = tuple(out_size(s, 3, 2) for s in sides)
        self.fc = nn.Sequential(nn.Flatten(), dense(2 * width * math.prod(sides), fc), dense(fc, fc))
        self.y = nn.Linear(fc, y)

    at_scale = staticmethod(small_head)

    def forward(self, images: Float[Tensor, "N C H W"]) -> Features:
        """Images are in [-1, 1]."""
        local = self.convolutions[:3](images)
        conv = self.convolutions[3:](local)
        fc = self.fc(conv)
        return Features(local=local, conv=conv, fc=fc, y=self.y(fc))


def alexnet_convolutions(channels: int, width: int) -> nn.Sequential:
    """The five convolutions, (N, C, H, W) -> (N, 2·width, H', W'); three are followed by 3×3 max pooling, stride 2."""
    return nn.Sequential(
        nn.Sequential(convolution(channels, width, 3, padding=1), nn.MaxPool2d(3, 2)),
        nn.Sequential(convolution(width, 2 * width, 3, padding=1), nn.MaxPool2d(3, 2)),
        convolution(2 * width, 4 * width, 3, padding=1),
        convolution(4 * width, 4 * width, 3, padding=1),
        nn.Sequential(convolution(4 * width, 2 * width, 3, padding=1), nn.MaxPool2d(3, 2)),
    )
