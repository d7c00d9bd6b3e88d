"""Strided crops: an encoder that sees an image only through overlapping crops, as CPC does (paper §4.2, Table 3).

The side of a crop is a quarter of the image's, and the next crop begins half a crop further: 8×8 every 4 pixels at
32×32, 16×16 every 8 at 64×64, so there are 7×7 = 49 crops. Each crop passes the same convolutions by itself, with its
own padding, down to 1×1. The 49 results, arranged as a 7×7 map, are the local features: each depends on its crop only.
"""

import math
from itertools import pairwise
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from deepinfomax.encoders.alexnet import alexnet_convolutions
from deepinfomax.encoders.layers import channels_and_sides, convolution, dense, out_size, small_head
from deepinfomax.encoders.resnet import resnet_stages, stage_outputs
from deepinfomax.errors import UserError
from deepinfomax.features import Features
from deepinfomax.scales import Scale, Section
from deepinfomax.settings import Count

Stack = Literal["dcgan", "alexnet", "resnet19", "resnet34", "resnet50"]
Globals = Literal["one", "blocks"]

_WIDTHS = {"dcgan": 64, "alexnet": 96, "resnet19": 64, "resnet34": 64, "resnet50": 64}
_BLOCK = 3  #: one global for every 3×3 block of places


class StridedCrops(nn.Module):
    """One of the other encoders' convolutions on each crop, then one global for the image, or one for each 3×3 block.

    | stack | image | crop | local | globals="one": conv, fc, y | globals="blocks": conv, fc, y |
    | --- | --- | --- | --- | --- | --- |
    | dcgan | 32×32 | 8×8 | 256×7×7 | 256×7×7, 1024, 64 | 256×7×7, 256·25, 64×25 |
    | dcgan | 64×64 | 16×16 | 512×7×7 | 512×7×7, 1024, 64 | 512×7×7, 512·25, 64×25 |
    | alexnet | 64×64 | 16×16 | 192×7×7 | 384×3×3, 4096, 64 | 192×7×7, 192·25, 64×25 |
    | resnet19, resnet34 | 32×32 | 8×8 | 1024×7×7 | 1024×7×7, 1024, 64 | 1024×7×7, 1024·25, 64×25 |
    | resnet50 | 32×32 | 8×8 | 2048×7×7 | 2048×7×7, 1024, 64 | 2048×7×7, 2048·25, 64×25 |

    With one global, `y` is made as in the other encoders: a hidden layer, then a linear one. "alexnet" has one more
    convolution before them, and dropout of 0.1 after it and after the hidden layer (published: 17.9 million parameters;
    ResNet-19 54.9).

    With blocks, a 3×3 convolution without padding and a linear 1×1 convolution give 25 globals `y` (N, D, 25). All 25
    share one critic. There is no hidden layer, so `fc`, which probes read, is the flattened map between the two
    convolutions (published, AlexNet with y = 192: 3.19 million parameters). The authors' globals end in BatchNorm and
    ReLU; here y is linear, as in all other encoders.

    The authors' code for `resnet34` omits the blocks of stride 2 (it repeats them 0 times), so its maps never reach 1×1
    and places are treated as if they were images. Here those blocks are present. If a crop's map is still larger than
    1×1 (images larger than those above), it is averaged. BatchNorm's batch is the crops of all images.

    Args:
        image_shape: (C, H, W); the shorter side is a multiple of 8, the longer one a multiple of an eighth of the
            shorter one.
        stack: which convolutions each crop passes.
        globals: "one" for the image, or "blocks": one for every 3×3 block of places.
        width: channels of the first convolution; None: the stack's own (64, AlexNet 96). 32 with "dcgan" at 32×32 costs
            about as much as the plain DCGAN encoder.
        fc: units of the hidden layer, for one global; None: the stack's own (1024, AlexNet 4096).
        y: units of each global.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        stack: Stack = "dcgan",
        globals: Globals = "one",
        width: Count | None = None,
        fc: Count | None = None,
        y: Count = 64,
    ) -> None:
        super().__init__()
        channels, sides = channels_and_sides("strided", image_shape, "HW", 32)
        self.crop, self.stride = crop_and_stride(sides)
        self.grid = tuple(out_size(s, self.crop, self.stride) for s in sides)
        self.convolutions, local = crop_stack(stack, channels, _WIDTHS[stack] if width is None else width, self.crop)
        self.summary: nn.Module = nn.Identity()
        self.fc: nn.Module
        self.y: nn.Module
        if globals == "blocks":
            self.fc = convolution(local, local, _BLOCK)
            self.y = nn.Conv2d(local, y, 1)
        elif stack == "alexnet":
            conv, fc = 2 * local, fc or 4096
            self.summary = nn.Sequential(convolution(local, conv, 3, stride=2), nn.Dropout2d(0.1))
            places = math.prod(out_size(s, 3, 2) for s in self.grid)
            self.fc = nn.Sequential(nn.Flatten(), dense(conv * places, fc), nn.Dropout(0.1))
            self.y = nn.Linear(fc, y)
        else:
            fc = fc or 1024
            self.fc = nn.Sequential(nn.Flatten(), dense(local * math.prod(self.grid), fc))
            self.y = nn.Linear(fc, y)

    @staticmethod
    def at_scale(scale: Scale, section: Section) -> Section:
        """Below the paper's scale plain convolutions: a ResNet-50 on 49 crops per image is too slow on two cores."""
        return small_head(scale, section | {"stack": "dcgan", "width": 4 if scale == "smoke" else 32})

    def forward(self, images: Float[Tensor, "N C H W"]) -> Features:
        """Images are in [-1, 1]."""
        embedded = self.convolutions(crops(images, self.crop, self.stride))
        count = images.shape[0]  # not len(images), which would make an exported program one of a single batch size
        local = embedded.view(count, -1, embedded.shape[1]).transpose(1, 2).unflatten(2, self.grid)
        conv = self.summary(local)
        fc = self.fc(conv)
        y = self.y(fc)
        return Features(local=local, conv=conv, fc=fc.flatten(1), y=y.flatten(2) if y.ndim > 2 else y)


def crop_and_stride(sides: tuple[int, ...]) -> tuple[int, int]:
    """Side and stride of the crops in pixels: a quarter and an eighth of the image's shorter side.

    Raises:
        UserError: such crops do not cover an image of these sides exactly.
    """
    shorter = min(sides)
    stride = shorter // 8
    if shorter % 8 or any((side - 2 * stride) % stride for side in sides):
        raise UserError(
            f"images of {'x'.join(map(str, sides))} do not divide into strided crops: make the shorter side a multiple "
            f"of 8 and the longer one a multiple of an eighth of it (32x32 and 64x64 are the paper's)"
        )
    return 2 * stride, stride


def crops(images: Float[Tensor, "N C H W"], size: int, stride: int) -> Float[Tensor, "NL C {size} {size}"]:
    """All crops of all images, row by row, as one batch: (N, C, H, W) -> (N·L, C, size, size)."""
    windows = images.unfold(2, size, stride).unfold(3, size, stride)  # (N, C, rows, columns, size, size), a view
    return windows.permute(0, 2, 3, 1, 4, 5).flatten(0, 2)


def crop_stack(stack: str, channels: int, width: int, crop: int) -> tuple[nn.Sequential, int]:
    """The network for one crop, (N, C, crop, crop) -> (N, K), and K."""
    if stack == "dcgan":
        depth = int(math.log2(crop))
        widths = [channels, *(width * 2**i for i in range(depth))]
        layers = [convolution(a, b, 4, stride=2, padding=1) for a, b in pairwise(widths)]
        outputs = widths[-1]
    elif stack == "alexnet":
        if crop < 15:
            raise UserError(f"crops of {crop}x{crop} are too small for three poolings: resize to 64x64 for alexnet")
        layers, outputs = [alexnet_convolutions(channels, width)], 2 * width
    else:
        depth = int(stack.removeprefix("resnet"))
        layers, outputs = list(resnet_stages(channels, depth, width)), stage_outputs(depth, width)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), outputs
