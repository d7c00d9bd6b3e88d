"""The mean over copies of an image, mirrored and shifted: better vectors of an encoder that is trained already."""

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
    """Encode an image and its copies, and take the mean of each level.

    EMP-SSL (Tong et al. 2023, section 3) represents an image by the mean over random areas of it. Here the copies are
    fixed, so that the vectors of an image are the same in every call. "mirror": the image and its mirror image.
    "shifts": the image, and the image moved by a sixteenth of its height and width to each of four corners; what comes
    in at the border is reflected. Both: all five and their mirror images. Encoding takes two, five and ten times as
    long. Memory: the encoder's for one copy, and twice its `Features`. Maps are averaged as they come, so that a place
    of a mean over mirror images holds the left side and the right.

    The mean helps as far as a mirrored or shifted image has the same meaning: not for letters or numerals.

    Args:
        encoder: images (N, C, H, W) -> Features.
        copies: of "mirror" and "shifts".

    Raises:
        UserError: another name or none; in `forward`, images that have not two spatial axes.
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
    """A function of each level that the encoder has."""
    levels = zip(*features, strict=True)
    return Features(*(None if same[0] is None else function(*same) for same in levels))  # type: ignore[arg-type]


def copies_of(images: Num[Tensor, "N C H W"], copies: Sequence[str]) -> Iterator[Num[Tensor, "N C H W"]]:
    """The images themselves first, then those that `copies` asks for, one after the other."""
    for copy in itertools.chain([images], shifted(images) if "shifts" in copies else []):
        yield copy
        if "mirror" in copies:
            yield copy.flip(-1)


def shifted(images: Num[Tensor, "N C H W"]) -> Iterator[Num[Tensor, "N C H W"]]:
    """Moved to each of four corners by a sixteenth of the height and width, by a pixel at least; a side of 1 stays."""
    height, width = images.shape[2:]
    down, right = (min(max(1, side // 16), side - 1) for side in (height, width))
    padded = reflected(images, (down, right))
    for top, left in itertools.product((0, 2 * down), (0, 2 * right)):
        yield padded[..., top : top + height, left : left + width]


def check_copies(copies: Sequence[str]) -> tuple[str, ...]:
    """Raises UserError for an unknown name, or none."""
    if isinstance(copies, str):
        copies = copies.split(",")
    unknown = [name for name in copies if name not in COPIES]
    if unknown or not copies:
        said = f"unknown copies {unknown[0]!r}" if unknown else "no copies to average"
        raise UserError(f"{said}; choose of {', '.join(COPIES)}")
    return tuple(name for name in COPIES if name in copies)


def check_pictures(shape: tuple[int, ...]) -> None:
    """Raises UserError for data of another shape (C, *S) than pictures have."""
    if len(shape) != 3:
        raise UserError(
            f"only pictures (channels, height, width) can be averaged over copies, and these have the shape {shape}: "
            "leave the averaging out"
        )
