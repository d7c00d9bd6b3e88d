"""Data: from whatever the user points at to uint8 arrays, and from those to batches on the device."""

from deepinfomax.data.augmentation import Augmentation
from deepinfomax.data.batches import Batches
from deepinfomax.data.description import describe, describe_readable, render_description
from deepinfomax.data.formats import Columns, Format, all_formats
from deepinfomax.data.images import ImageSet, normalise
from deepinfomax.data.in_memory import as_images, from_array, from_dataset
from deepinfomax.data.loading import load, titles
from deepinfomax.data.names import NAMES

__all__ = [
    "NAMES",
    "Augmentation",
    "Batches",
    "Columns",
    "Format",
    "ImageSet",
    "all_formats",
    "as_images",
    "describe",
    "describe_readable",
    "from_array",
    "from_dataset",
    "load",
    "normalise",
    "render_description",
    "titles",
]
