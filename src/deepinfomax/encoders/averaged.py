"""Averaging features over mirrored and shifted copies of an image: better vectors from a trained encoder."""

import itertools
from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Num
from torch import Tensor, nn

from deepinfomax.data.augmentation import reflected
from deepinfomax.errors import UserError
from deepinfomax.features import Features

COPIES = ("mirror", "shifts")


class Averaged(nn.Module):
    """Encode an image and copies of it, and return the mean of each level of `Features`.

    EMP-SSL (Tong et al. 2023, section 3) represents an image by the mean over random areas of it. Here the copies are
    fixed, so the same image always gets the same vectors:

    * "mirror": the image and its mirror image; encoding takes twice as long.
    * "shifts": the image, and the image moved towards each of the four corners by a sixteenth of its height and width;
      the free border is filled by reflection; five times as long.
    * both: these five and their mirror images; ten times as long.

    Memory: what the encoder needs for one copy, and two `Features`. Maps are averaged place by place and are not
    mirrored back, so with "mirror" each place is a mean of the left and the right side of the image.

    Averaging helps if a mirrored or shifted image means the same. For letters and digits a mirror image does not.

    Args:
        encoder: images (N, C, H, W) -> Features.
        copies: "mirror", "shifts" or both.

    Raises:
        UserError: an unknown name, or no name; in `forward`, data that are not images (N, C, H, W).
    """

    def __init__(self, encoder: nn.Module, copies: Sequence[str] = COPIES) -> None:
        super().__init__()
        self.copies = check_copies(copies)
        self.encoder = encoder

    def forward(self, images: Num[Tensor, "N C H W"]) -> Features:
        check_pictures(tuple(images.shape[1:]))
        copies = copies_of(images, self.copies)
        total, number = self.encoder(next(copies)), 1
        for copy in copies:  # one after the other, so that only the sum is kept
            total, number = _each_level(torch.add, total, self.encoder(copy)), number + 1
        return _each_level(lambda level: level / number, total)

    def extra_repr(self) -> str:
        return f"copies={self.copies}"


def _each_level(function: Callable[..., Tensor], *features: Features) -> Features:
    """Apply a function to each level of `Features` that the encoder has."""
    levels = zip(*features, strict=True)
    return Features(*(None if same[0] is None else function(*same) for same in levels))  # type: ignore[arg-type]


def copies_of(images: Num[Tensor, "N C H W"], copies: Sequence[str]) -> Iterator[Num[Tensor, "N C H W"]]:
    """Yields the images themselves, then each of the requested copies."""
    for copy in itertools.chain([images], shifted(images) if "shifts" in copies else []):
        yield copy
        if "mirror" in copies:
            yield copy.flip(-1)


def shifted(images: Num[Tensor, "N C H W"]) -> Iterator[Num[Tensor, "N C H W"]]:
    """Yields the images moved towards each corner by a sixteenth of each side, but at least 1 pixel.

    A side of 1 pixel is not moved.
    """
    height, width = images.shape[2:]
    down, right = (min(max(1, side // 16), side - 1) for side in (height, width))
    padded = reflected(images, (down, right))
    for top, left in itertools.product((0, 2 * down), (0, 2 * right)):
        yield padded[..., top : top + height, left : left + width]


def check_copies(copies: Sequence[str]) -> tuple[str, ...]:
    """The names in the order of `COPIES`. Raises UserError for an unknown name, or if there is no name."""
    if isinstance(copies, str):
        copies = copies.split(",")
    unknown = [name for name in copies if name not in COPIES]
    if unknown or not copies:
        said = f"unknown copies {unknown[0]!r}" if unknown else "no copies to average"
        raise UserError(f"{said}; choose of {', '.join(COPIES)}")
    return tuple(name for name in COPIES if name in copies)


def check_pictures(shape: tuple[int, ...]) -> None:
    """Raises UserError if `shape` is not (C, H, W)."""
    if len(shape) != 3:
        raise UserError(
            f"only pictures (channels, height, width) can be averaged over copies, and these have the shape {shape}: "
            "leave the averaging out"
        )
