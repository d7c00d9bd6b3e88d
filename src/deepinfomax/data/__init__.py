"""Data: from whatever the user points at to uint8 arrays, and from those to batches on the device."""

from deepinfomax.data.arrays import from_array
from deepinfomax.data.augmentation import Augmentation
from deepinfomax.data.batches import Batches
from deepinfomax.data.description import describe, describe_readable, render_description
from deepinfomax.data.images import ImageSet, normalise
from deepinfomax.data.loading import load, titles
from deepinfomax.data.names import NAMES

__all__ = [
    "NAMES",
    "Augmentation",
    "Batches",
    "ImageSet",
    "describe",
    "describe_readable",
    "from_array",
    "load",
    "normalise",
    "render_description",
    "titles",
]
