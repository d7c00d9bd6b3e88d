"""ResNet-18 as today's methods use it on small images: the network of the field, for comparisons with them."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from deepinfomax.encoders.layers import channels_and_sides, convolution
from deepinfomax.features import Features
from deepinfomax.scales import Scale, Section
from deepinfomax.settings import Count


class ResNet18(nn.Module):
    """A 3×3 convolution of stride 1, four stages of two basic blocks, global average pooling, a linear `y`.

    The arrangement for small images ("CIFAR stem": no first stride, no max pooling) of He et al. 2016 and Chen et al.
    2020, B.9. With `stem="large"` the first convolution is 7×7 of stride 2 with max pooling behind it.

    | at 32×32, width 64 | shape |
    | --- | --- |
    | local, the third stage | 256×8×8 |
    | conv, the fourth stage | 512×4×4 |
    | fc, pooled | 512 |
    | y, linear | 64 |

    Pooling makes it take images of any size from 8×8, and of sizes that differ from batch to batch.

    A place of the third stage sees 53×53 pixels, at 32×32 the whole image: a local objective then has little to tell.
    Of the first stage it sees 11×11, about as much as in the DCGAN-like network (10×10), of the second 25×25.

    Args:
        image_shape: (C, H, W); only C matters to the weights.
        width: channels of the first stage, each later one has twice as many. 64 is ResNet-18; 16 is a sixteenth of
            its cost, for a CPU.
        stem: "small" for images up to about 64×64, "large" as for ImageNet.
        local_stage: the stage whose map is local: 1 of width×H×W, 2 of 2·width×H/2×W/2, 3 of 4·width×H/4×W/4.
        y: units of the representation.

    Raises:
        UserError: inputs that are no images, or smaller than 8×8.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        width: Count = 64,
        stem: Literal["small", "large"] = "small",
        local_stage: Literal[1, 2, 3] = 3,
        y: Count = 64,
    ) -> None:
        super().__init__()
        channels, _ = channels_and_sides("resnet18", image_shape, "HW", 8)
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
        self.local_stage = local_stage
        self.y = nn.Linear(inputs, y)

    def forward(self, images: Float[Tensor, "N C H W"]) -> Features:
        """Images are in [-1, 1]."""
        local = self.stages[: self.local_stage](self.stem(images))
        conv = self.stages[self.local_stage :](local)
        fc = conv.mean((2, 3))
        return Features(local=local, conv=conv, fc=fc, y=self.y(fc))

    @staticmethod
    def at_scale(scale: Scale, section: Section) -> Section:
        """A quarter of the channels; an eighth of that to see whether it runs."""
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
