"""The mean over copies of an image, mirrored and shifted: better vectors of an encoder that is trained already."""

import itertools
from collections.abc import Sequence

import torch
from jaxtyping import Num
from torch import Tensor, nn

from deepinfomax.errors import UserError
from deepinfomax.features import Features

COPIES = ("mirror", "shifts")


class Averaged(nn.Module):
    """Encode an image and its copies, and take the mean of each level.

    EMP-SSL (Tong et al. 2023, section 3) represents an image by the mean over random areas of it. Here the copies are
    fixed, so that the vectors of an image are the same in every call. "mirror": the image and its mirror image.
    "shifts": the image, and the image moved by a sixteenth of its height and width to each of four corners; what comes
    in at the border is reflected. Both: all five and their mirror images. Encoding takes two, five and ten times as
    long; memory is that of the encoder. Maps are averaged as they come, so that a place of a mean over mirror images
    holds the left side and the right.

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
        each = [self.encoder(copy) for copy in copies_of(images, self.copies)]
        return Features(
            *(None if levels[0] is None else torch.stack(levels).mean(0) for levels in zip(*each, strict=True))  # type: ignore[arg-type]
        )

    def extra_repr(self) -> str:
        return f"copies={self.copies}"


def copies_of(images: Num[Tensor, "N C H W"], copies: Sequence[str]) -> list[Num[Tensor, "N C H W"]]:
    """The images themselves first, then those that `copies` asks for."""
    made = [images]
    if "shifts" in copies:
        made += [shifted(images, down, right) for down, right in itertools.product((-1, 1), (-1, 1))]
    if "mirror" in copies:
        made += [copy.flip(-1) for copy in made]
    return made


def shifted(images: Num[Tensor, "N C H W"], down: int, right: int) -> Num[Tensor, "N C H W"]:
    """Moved by so many sixteenths of the height and width (at least a pixel); the border is reflected."""
    rows, columns = (
        _reflected(size, sixteenths * max(1, size // 16), images.device)
        for size, sixteenths in zip(images.shape[-2:], (down, right), strict=True)
    )
    return images[..., rows, :][..., columns]


def _reflected(size: int, by: int, device: torch.device) -> Tensor:
    """Which of `size` rows comes to each row when they move by `by`; beyond the border they run backwards."""
    rows = torch.arange(size, device=device) - by
    last = size - 1
    return last - (last - rows.abs()).abs() if size > 1 else torch.zeros_like(rows)


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
            "leave that out"
        )
