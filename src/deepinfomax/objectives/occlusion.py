"""Occlusion: y and fc see an image with a part hidden, while local features see all of it (paper §4.3, A.7).

This is not an objective. y and fc are computed from the occluded images and the maps from the clean ones; objectives do
not change. To have information about places that it has not seen, y must encode what the parts of an image share.

Each of the two passes is normalised by its own batch. Only the clean pass updates the running averages of BatchNorm,
because measures later use clean images: with both passes, the stored variances were 3 to 13 % too small in
a trial on CIFAR-10, of which no file is kept. The paper does not say how it does this.
"""

import math
from itertools import product

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from deepinfomax.errors import UserError
from deepinfomax.settings import checked

_BLOCK = 10 / 32  #: the paper's 10×10 at 32×32: about what one local feature sees


@checked
class Occlusion(nn.Module):
    """Hides one random rectangle of each image; `forward` takes and returns images (N, C, *S).

    The paper requires only that at least one 10×10 block is fully visible and at least one is fully hidden. Here the
    hidden shape is a rectangle (an interval of a sequence, a box of a volume), drawn for each image with equal
    probability from all rectangles that meet both conditions. The paper does not say what value hidden pixels get.

    Args:
        image_shape: (C, *S).
        fill: value of hidden pixels; 0 is mid grey in [-1, 1].
        block: side of the block in pixels; None: 10/32 of the shortest side.

    Raises:
        UserError: images too small for both conditions: no side is as long as two blocks.
    """

    patterns: Tensor
    weights: Tensor

    def __init__(self, image_shape: tuple[int, ...], *, fill: float = 0.0, block: int | None = None) -> None:
        super().__init__()
        self.sides = tuple(image_shape[1:])
        self.block = max(1, round(_BLOCK * min(self.sides))) if block is None else block
        self.fill = fill
        if max(self.sides) < 2:
            raise UserError("occlusion hides a part of an image, and one of a single pixel has none: leave it out")
        if not 1 <= self.block <= min(self.sides) or max(self.sides) < 2 * self.block:
            raise UserError(
                f"occlusion.block {self.block} does not fit twice into images of {'x'.join(map(str, self.sides))}: "
                f"choose from 1 to {min(min(self.sides), max(self.sides) // 2)}"
            )
        # A rectangle hides a block if each of its sides is at least a block long. It leaves a block visible if, on at
        # least one axis, there is a block's length between it and the border. Rectangles are counted by the pattern of
        # axes that leave such room; the rectangles of one pattern are a product of intervals, one for each axis.
        ways = []
        for axis, side in enumerate(self.sides):
            first, number = stops(side, self.block)
            ways.append(number.sum(1).tolist())
            self.register_buffer(f"first_{axis}", first, persistent=False)
            self.register_buffer(f"number_{axis}", number, persistent=False)
        patterns = [p for p in product((0, 1), repeat=len(self.sides)) if any(p)]
        weights = [math.prod(way[leaves] for way, leaves in zip(ways, p, strict=True)) for p in patterns]
        self.register_buffer("patterns", torch.tensor(patterns), persistent=False)
        self.register_buffer("weights", torch.tensor(weights, dtype=torch.float32), persistent=False)

    def forward(
        self, images: Float[Tensor, "N C *S"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "N C *S"]:
        """The images with a random rectangle of each set to `fill`.

        Args:
            generator: for drawing rectangles; None: torch's global random state.
        """
        if images.shape[2:] != self.sides:
            raise UserError(f"occlusion was made for images of {self.sides}, not {tuple(images.shape[2:])}")
        return images.masked_fill(self.hidden(len(images), generator).unsqueeze(1), self.fill)

    def hidden(self, count: int, generator: torch.Generator | None = None) -> Bool[Tensor, "{count} *S"]:
        """Which pixels are hidden in `count` images."""
        device = self.weights.device
        pattern = self.patterns[torch.multinomial(self.weights, count, replacement=True, generator=generator)]
        hidden = torch.ones(count, *self.sides, dtype=torch.bool, device=device)
        for axis, side in enumerate(self.sides):
            leaves = pattern[:, axis]
            first, number = getattr(self, f"first_{axis}")[leaves], getattr(self, f"number_{axis}")[leaves]
            start = torch.multinomial(number, 1, generator=generator)
            u, stops_here = torch.rand(count, 1, generator=generator, device=device), number.gather(1, start)
            # The product may be rounded up to the number of stops itself.
            stop = first.gather(1, start) + torch.minimum(u * stops_here, stops_here - 1).long()
            position = torch.arange(side, device=device)
            inside = (start <= position) & (position < stop)
            hidden &= inside.view(count, *(side if a == axis else 1 for a in range(len(self.sides))))
        return hidden


def stops(side: int, block: int) -> tuple[Int[Tensor, "2 starts"], Float[Tensor, "2 starts"]]:
    """The intervals [start, stop) of an axis that are at least `block` long, listed by their start.

    Returns:
        For each start, the first allowed stop, and the number of consecutive allowed stops from there (float32). Row 0
        is for intervals that leave less than `block` free on both sides, row 1 for all others.
    """
    start = torch.arange(side - block + 1)
    apart = start >= block  # room before the interval, wherever it stops
    shortest = start + block
    first = torch.stack([shortest.clamp_min(side - block + 1), shortest])
    last = torch.stack([torch.where(apart, 0, side), torch.where(apart, side, side - block)])
    return first, (last - first + 1).clamp_min(0).float()
