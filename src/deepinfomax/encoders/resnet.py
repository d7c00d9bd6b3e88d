"""The paper's ResNets for small images: bottleneck blocks, and no pooling before the hidden layer (§4.2, Table 3)."""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from deepinfomax.encoders.layers import channels_and_sides, convolution, dense, out_size, small_head
from deepinfomax.features import Features
from deepinfomax.settings import Count

Depth = Literal[19, 34, 50]

#: depth -> bottleneck blocks of each stage
BLOCKS: dict[int, tuple[int, ...]] = {19: (2, 2, 2), 34: (3, 6, 3), 50: (3, 4, 6, 3)}


class ResNet(nn.Module):
    """A convolution of stride 2, stages of bottleneck blocks, a hidden layer on the flattened last map, a linear `y`.

    | depth | blocks | at 32×32: stages | local | conv | fc | y |
    | --- | --- | --- | --- | --- | --- | --- |
    | 19 | 2, 2, 2 | 256×16×16, 512×8×8, 1024×4×4 | 512×8×8 | 1024×4×4 | 1024 | 64 |
    | 34 | 3, 6, 3 | the same | 512×8×8 | 1024×4×4 | 1024 | 64 |
    | 50 | 3, 4, 6, 3 | and 2048×2×2 | 512×8×8 | 2048×2×2 | 1024 | 64 |

    19 and 34 are the networks in the authors' code; 34 keeps their name, though it has 37 convolutions. The paper calls
    the network of Table 3 a ResNet-50: 50 is the usual ResNet-50 blocks after the same first convolution. `local` is
    the last map of the second stage.

    Args:
        image_shape: (C, H, W), from 8×8.
        depth: 19, 34 or 50.
        width: inner channels of the first stage; each later stage has twice as many. A stage's output has four times as
            many channels as its inner layers.
        fc: units of the hidden layer.
        y: units of the representation.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        depth: Depth = 19,
        width: Count = 64,
        fc: Count = 1024,
        y: Count = 64,
    ) -> None:
        super().__init__()
        channels, sides = channels_and_sides("resnet", image_shape, "HW", 8)
        self.stem, self.stages = resnet_stages(channels, depth, width)
        for _ in self.stages:  # the stem and every stage but the first halve the sides
            sides = tuple(out_size(s, 3, 2, 1) for s in sides)
        outputs = stage_outputs(depth, width)
        self.fc = nn.Sequential(nn.Flatten(), dense(outputs * math.prod(sides), fc))
        self.y = nn.Linear(fc, y)

    at_scale = staticmethod(small_head)

    def forward(self, images: Float[Tensor, "N C H W"]) -> Features:
        """Images are in [-1, 1]."""
        local = self.stages[:2](self.stem(images))
        conv = self.stages[2:](local)
        fc = self.fc(conv)
        return Features(local=local, conv=conv, fc=fc, y=self.y(fc))


class Bottleneck(nn.Module):
    """ReLU( 1×1 -> 3×3 -> 1×1 to four times the width + x ), with a 1×1 convolution of x where the shapes differ."""

    def __init__(self, inputs: int, width: int, stride: int = 1) -> None:
        super().__init__()
        outputs = 4 * width
        self.residual = nn.Sequential(
            convolution(inputs, width, 1),
            convolution(width, width, 3, stride=stride, padding=1),
            nn.Conv2d(width, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Float[Tensor, "N inputs H W"]) -> Float[Tensor, "N outputs rows columns"]:
        """(N, inputs, H, W) -> (N, 4·width, H/stride, W/stride)"""
        return torch.relu(self.residual(x) + self.shortcut(x))


def resnet_stages(channels: int, depth: int, width: int) -> tuple[nn.Sequential, nn.Sequential]:
    """The first convolution, and the stages of blocks. The convolution and every stage but the first halve the sides.

    Args:
        channels: C of the images.
        depth: a key of `BLOCKS`.
        width: inner channels of the first stage.
    """
    stages = []
    inputs = width
    for stage, blocks in enumerate(BLOCKS[depth]):
        inner = width * 2**stage
        first = Bottleneck(inputs, inner, stride=1 if stage == 0 else 2)
        stages.append(nn.Sequential(first, *(Bottleneck(4 * inner, inner) for _ in range(blocks - 1))))
        inputs = 4 * inner
    return convolution(channels, width, 3, stride=2, padding=1), nn.Sequential(*stages)


def stage_outputs(depth: int, width: int) -> int:
    """Number of channels of the last stage's output."""
    return 4 * width * 2 ** (len(BLOCKS[depth]) - 1)
