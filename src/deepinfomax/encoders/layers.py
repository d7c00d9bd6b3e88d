"""The layers that the encoders share: a convolution or a linear layer, then BatchNorm and ReLU, without a bias."""

import math

from torch import nn

from deepinfomax.errors import UserError
from deepinfomax.scales import Scale, Section

#: number of axes besides the channels -> the architecture used if none is named
OF_RANK = {1: "sequence", 2: "dcgan", 3: "volume"}

_CONVOLUTION: dict[int, type[nn.Module]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_TRANSPOSED: dict[int, type[nn.Module]] = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_NORM: dict[int, type[nn.Module]] = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}

#: number of axes -> kernel and padding of a convolution that halves (or, transposed, doubles) each: DCGAN's 4; series 8
HALVING = {1: (8, 3), 2: (4, 1), 3: (4, 1)}


def convolution(
    inputs: int, outputs: int, kernel: int, *, stride: int = 1, padding: int = 0, rank: int = 2
) -> nn.Sequential:
    """Convolution, BatchNorm, ReLU over `rank` axes: (N, inputs, *S) -> (N, outputs, *S')."""
    return nn.Sequential(
        _CONVOLUTION[rank](inputs, outputs, kernel, stride=stride, padding=padding, bias=False),
        *normalised(outputs, rank),
    )


def plain_convolution(
    inputs: int, outputs: int, kernel: int, *, stride: int = 1, padding: int = 0, rank: int = 2
) -> nn.Module:
    """A convolution with a bias over `rank` axes, without BatchNorm or ReLU: (N, inputs, *S) -> (N, outputs, *S')."""
    return _CONVOLUTION[rank](inputs, outputs, kernel, stride=stride, padding=padding)


def doubling(inputs: int, outputs: int, sides: tuple[int, ...]) -> nn.Sequential:
    """Transposed convolution, BatchNorm, ReLU: (N, inputs, *S) -> (N, outputs, *sides), where S is half of `sides`.

    Output padding makes sides of 2·S + 1 where `sides` asks for them.
    """
    rank = len(sides)
    kernel, padding = HALVING[rank]
    odd = tuple(side % 2 for side in sides)
    return nn.Sequential(
        _TRANSPOSED[rank](inputs, outputs, kernel, stride=2, padding=padding, output_padding=odd, bias=False),
        *normalised(outputs, rank),
    )


def normalised(channels: int, rank: int = 2) -> tuple[nn.Module, nn.Module]:
    """BatchNorm and ReLU for maps (N, channels, *S), where S has `rank` axes."""
    return _NORM[rank](channels), nn.ReLU(inplace=True)


def dense(inputs: int, outputs: int) -> nn.Sequential:
    """Linear, BatchNorm, ReLU: (N, inputs) -> (N, outputs)."""
    return nn.Sequential(nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.ReLU(inplace=True))


def out_size(size: int, kernel: int, stride: int = 1, padding: int = 0) -> int:
    """Length of an axis of `size` after a convolution or a pooling."""
    return (size + 2 * padding - kernel) // stride + 1


def channels_and_sides(name: str, shape: tuple[int, ...], axes: str, smallest: int) -> tuple[int, tuple[int, ...]]:
    """Split the shape (C, *S) of an image into C and S, after checking it for the encoder `name`.

    Args:
        axes: a letter for each axis of S, such as "HW".
        smallest: the shortest side that the encoder can take.

    Raises:
        UserError: a wrong number of axes, or a side shorter than `smallest`.
    """
    if len(shape) != 1 + len(axes):
        expected = ", ".join(("C", *axes))
        rank = len(shape) - 1
        other = f"encoder.name {OF_RANK[rank]} takes those" if rank in OF_RANK else "no encoder here takes those"
        raise UserError(f"encoder {name} takes inputs of shape ({expected}), not {tuple(shape)}: {other}")
    channels, *sides = shape
    if min(sides) < smallest:
        raise UserError(
            f"inputs of {'x'.join(map(str, sides))} are too small for {name}: resize to {smallest} or more a side"
        )
    return channels, tuple(sides)


def halvings(side: int) -> int:
    """How many times to halve `side` until it is between 4 and 7."""
    return int(math.log2(side / 4))


def widened(width: int, number: int, rank: int) -> int:
    """Channels of map `number` (from 0) in a stack of layers that each halve the sides: width · 2^number.

    For series (`rank` 1) at most 4 · width, since series are long and are halved far more often than images.
    """
    return width * 2 ** (min(number, 2) if rank == 1 else number)


def small_head(scale: Scale, section: Section) -> Section:
    """An encoder's settings at a scale: at "smoke" a hidden layer of 32 units and a y of 16, else unchanged."""
    return section | {"fc": 32, "y": 16} if scale == "smoke" else section
