"""Records of a description of data: `DataDescription`, with a `PartDescription` for each part."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from deepinfomax.data.channels import Channels
from deepinfomax.data.images import ImageSet
from deepinfomax.data.stored import Source


@dataclass
class PartDescription:
    """One part, such as train. Fields that are None are not known, and are left out of the JSON."""

    images: int
    shape: tuple[int, ...] | None = None  #: of one image; None: there are several, or nothing could be read
    type: str | None = None  #: of the numbers
    bytes: int | None = None  #: when decoded
    notes: list[str] = field(default_factory=list)
    labelled: int | None = None  #: how many have a label; None: the part is not there
    per_class: dict[str, int] | None = None  #: images of each class, or with each attribute; None: there are no labels

    @classmethod
    def of_stored(cls, source: Source) -> "PartDescription":
        """Describe images of which some cannot be read."""
        return cls(len(source), None, None, None, list(source.notes), *_counted(source))

    @classmethod
    def of_images(cls, images: ImageSet) -> "PartDescription":
        kind, size = images.images.dtype.name, images.images.nbytes
        return cls(len(images), tuple(images.shape), kind, size, list(images.notes), *_counted(images))

    def as_tree(self) -> dict[str, Any]:
        """For JSON."""
        tree = asdict(self) | ({} if self.shape is None else {"shape": list(self.shape)})
        return {name: value for name, value in tree.items() if value is not None}


def _counted(source: Source | ImageSet) -> tuple[int, dict[str, int] | None]:
    """How many images have labels, and how many of them are of each class (or have each attribute)."""
    labels, classes = source.labels, source.classes
    if labels is None:
        return 0, None
    if labels.ndim > 1:
        return len(labels), dict(zip(classes, labels.sum(0).tolist(), strict=True))
    counts = np.bincount(labels[labels >= 0], minlength=len(classes)).tolist()
    return int((labels >= 0).sum()), dict(zip(classes, counts, strict=True))


@dataclass
class DataDescription:
    """How `load` reads the data."""

    data: str  #: DATA, as the user gave it
    published: str | None = None  #: title of the set whose own files these are
    classes: list[str] = field(default_factory=list)  #: or attributes
    attributes: bool = False
    #: train, test and unlabeled, then parts that the source has under other names
    parts: dict[str, PartDescription] = field(default_factory=dict)
    channels: Channels | None = None  #: of the training part, where its numbers are standardised
    folds: list[int] = field(default_factory=list)  #: images in each
    problems: list[str] = field(default_factory=list)
    size: int | None = None  #: what `data.size` may be, where the training part is of several sizes
    next: str | None = None  #: the command that trains on these images

    def __getitem__(self, name: str) -> Any:
        """description["parts"]["train"]["notes"]: as in the JSON."""
        return self.as_tree()[name]

    @property
    def labels(self) -> bool:
        """Whether any image has one."""
        return any(part.labelled for part in self.parts.values())

    def as_tree(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "data": self.data,
            "published": self.published,
            "labels": self.labels,
            "classes": self.classes,
            "attributes": self.attributes,
            "parts": {name: part.as_tree() for name, part in self.parts.items()},
            "channels": None if self.channels is None else self.channels.as_tree(),
            "folds": self.folds,
            "problems": self.problems,
        } | ({} if self.next is None else {"next": [self.next]})
