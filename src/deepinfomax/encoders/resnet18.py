"""ResNet-18 as today's methods use it on small images, for comparisons with their published results."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from deepinfomax.encoders.layers import channels_and_sides, convolution
from deepinfomax.features import Features
from deepinfomax.scales import Scale, Section
from deepinfomax.settings import Count

#: stem -> stage -> receptive field of one place of its map (side in pixels)
PIXELS_SEEN = {"small": {1: 11, 2: 25, 3: 53}, "large": {1: 43, 2: 99, 3: 211}}


class ResNet18(nn.Module):
    """A 3×3 convolution of stride 1, four stages of two basic blocks, global average pooling, a linear `y`.

    The arrangement for small images ("CIFAR stem": no first stride, no max pooling) of He et al. 2016 and Chen et al.
    2020, B.9. With `stem="large"` the first convolution is 7×7 of stride 2, followed by max pooling.

    | at 32×32, width 64 | shape |
    | --- | --- |
    | local, the first stage | 64×32×32 |
    | conv, the fourth stage | 512×4×4 |
    | fc, pooled | 512 |
    | y, linear | 64 |

    Pooling makes it take images of any size from 8×8, and of sizes that differ from batch to batch.

    A local objective learns little if each place of the local map sees the whole image (`docs/league.md`). So `local`
    is the map of the last stage whose places see at most half of the image's shorter side, or of the first stage if
    none does. With the small stem a place of the first three stages sees 11×11, 25×25 and 53×53 pixels (10×10 in the
    DCGAN-like network), with the large stem 43×43, 99×99 and 211×211.

    Args:
        image_shape: (C, H, W). The weights depend on C only; H and W decide which map is `local`.
        width: channels of the first stage, each later one has twice as many. 64 is ResNet-18; 16 is a sixteenth of
            its cost, for a CPU.
        stem: "small" for images up to about 64×64, "large" as for ImageNet.
        local_stage: the stage whose map is local: 1 of width×H×W, 2 of 2·width×H/2×W/2, 3 of 4·width×H/4×W/4 (with
            the large stem H/4, H/8, H/16). None: chosen by the size of the images, as above.
        y: units of the representation.

    Raises:
        UserError: data that are not images, or images smaller than 8×8.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        width: Count = 64,
        stem: Literal["small", "large"] = "small",
        local_stage: Literal[1, 2, 3] | None = None,
        y: Count = 64,
    ) -> None:
        super().__init__()
        channels, sides = channels_and_sides("resnet18", image_shape, "HW", 8)
        if stem == "small":
            self.stem: nn.Sequential = convolution(channels, width, 3, padding=1)
        else:
            self.stem = nn.Sequential(
                convolution(channels, width, 7, stride=2, padding=3), nn.MaxPool2d(3, stride=2, padding=1)
            )
        stages, inputs = [], width
        for stage in range(4):
            outputs = width * 2**stage
            first = BasicBlock(inputs, outputs, stride=1 if stage == 0 else 2)
            stages.append(nn.Sequential(first, BasicBlock(outputs, outputs)))
            inputs = outputs
        self.stages = nn.Sequential(*stages)
        self.local_stage: int = local_stage or max(
            (stage for stage, seen in PIXELS_SEEN[stem].items() if seen <= min(sides) / 2), default=1
        )
        self.y = nn.Linear(inputs, y)

    def forward(self, images: Float[Tensor, "N C H W"]) -> Features:
        """Images are in [-1, 1]."""
        maps = [self.stem(images)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        fc = maps[-1].mean((2, 3))
        return Features(local=maps[self.local_stage], conv=maps[-1], fc=fc, y=self.y(fc))

    @staticmethod
    def at_scale(scale: Scale, section: Section) -> Section:
        """A quarter of the channels at "cpu" (width 16), an eighth of that at "smoke" (width 2)."""
        return section | {"width": 2 if scale == "smoke" else 16}


class BasicBlock(nn.Module):
    """ReLU( 3×3 -> 3×3 + x ), with a 1×1 convolution of x where the shapes differ."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            convolution(inputs, outputs, 3, stride=stride, padding=1),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Float[Tensor, "N inputs H W"]) -> Float[Tensor, "N outputs rows columns"]:
        """(N, inputs, H, W) -> (N, outputs, H/stride, W/stride)"""
        return torch.relu(self.residual(x) + self.shortcut(x))
