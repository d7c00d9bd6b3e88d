"""Occlusion: part of each image hidden from the global path while local features see all of it (paper §4.3, A.7).

No objective of its own: y and fc are taken from the occluded images, the maps from the clean ones, and the objectives
are what they were. A global feature that is to tell of places it has not seen must encode what the image shares.

Each pass is normalised by its own batch, and the clean one alone moves the running averages of BatchNorm, because what
is measured later sees clean images: with both, stored variances were 3 to 13 % below theirs on CIFAR-10. The paper says
nothing of it.
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

    The paper asks of the hidden shape only that at least one 10×10 block stays fully visible and at least one is fully
    hidden. Here the shape is a rectangle (an interval of a sequence, a box of a volume) and all rectangles that meet
    both are equally likely, each image having its own. The paper does not say what takes the place of what is hidden.

    Args:
        image_shape: (C, *S).
        fill: value in the place of hidden pixels; 0 is mid grey in [-1, 1].
        block: side of the block in pixels; None: 10/32 of the shortest side.

    Raises:
        UserError: images in which no rectangle can meet both, having no side of two blocks.
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
        # A rectangle hides a block where every side of it is as long. It leaves one visible where it ends a block's
        # length from the border on at least one axis: a block beside a rectangle is beyond its end on some axis.
        # Rectangles are counted by which axes leave room; those of one pattern are a product of intervals.
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
        """The same images with a rectangle of each at `fill`; `generator` None: torch's global state."""
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
    """The intervals [start, stop) of an axis at least `block` long, by their start.

    Returns:
        The first stop allowed to each start, and how many follow each other from there (float32): in row 0 of the
        intervals that leave less than `block` on either side, in row 1 of the others.
    """
    start = torch.arange(side - block + 1)
    apart = start >= block  # room in front, wherever the interval stops
    shortest = start + block
    first = torch.stack([shortest.clamp_min(side - block + 1), shortest])
    last = torch.stack([torch.where(apart, 0, side), torch.where(apart, side, side - block)])
    return first, (last - first + 1).clamp_min(0).float()
