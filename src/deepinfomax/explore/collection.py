"""`Collection`: the images to explore, with names, parts and, if there are any, labels."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from deepinfomax.errors import UserError, count_of
from deepinfomax.explore.duplicates import twins

LEAST = 10  #: images; fewer have no neighbours worth a page


@dataclass(frozen=True)
class Collection:
    """N images as they are shown; the encoder may have seen other views of them."""

    title: str
    names: list[str]  #: of each image, as a person finds it
    pictures: np.ndarray | None = None  #: (N, C, H, W) uint8; None: vectors of images that are not at hand
    parts: np.ndarray | None = None  #: (N,) words such as "train"; None: there is one part
    labels: np.ndarray | None = None  #: (N,) int64, -1 for none; None: no image has a label
    classes: tuple[str, ...] = ()  #: names in label order
    notes: tuple[str, ...] = field(default=())  #: what was converted or left out on the way, one line each
    #: positions -> a digest of each image as it is stored, whole and at its full size: equal only where no pixel
    #: differs. None: `pictures` are the stored images
    stored: Callable[[np.ndarray], list[bytes]] | None = None

    def __post_init__(self) -> None:
        if len(self) < LEAST:
            raise UserError(
                f"{self.title} has {count_of(len(self), 'image')}; there is something to explore from {LEAST} on"
            )
        if self.pictures is not None and not self.twins.any():
            raise UserError(f"{self.title} has {len(self):,} images, all of them the same: there is nothing to explore")

    @cached_property
    def twins(self) -> np.ndarray:
        """(N,) for each picture the first identical one, see `duplicates.twins`. Needs pictures."""
        assert self.pictures is not None
        return twins(self.pictures)

    def __len__(self) -> int:
        return len(self.names)

    def part_of(self, position: int) -> str:
        """The part of an image; "" where there is only one."""
        return "" if self.parts is None else str(self.parts[position])

    def class_of(self, position: int) -> str:
        """The name of an image's class; "" where it has none."""
        return "" if self.labels is None else self.class_name(int(self.labels[position]))

    def class_name(self, label: int) -> str:
        """The name of a class; "" for -1, no class."""
        if label < 0:
            return ""
        return self.classes[label] if label < len(self.classes) else f"class {label}"
