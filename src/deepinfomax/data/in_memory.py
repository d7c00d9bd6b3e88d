"""Images that are in memory already: arrays, tensors, lists, PyTorch data sets and loaders, as an `ImageSet`."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from deepinfomax import memory
from deepinfomax.data.decoding import DARK, check_target, dark, to_array
from deepinfomax.data.images import ImageSet, is_tensor, whole_pixels
from deepinfomax.data.labels import class_names, number_labels
from deepinfomax.data.opening import GREY_MODES, as_picture
from deepinfomax.errors import UserError

LOOKED_AT = 1000  #: images that are searched for a bright pixel; a memory map is not read whole for it
IMAGE_NAMES = ("image", "img", "images", "pixel_values", "x", "data")  #: keys of an item that is a dictionary
LABEL_NAMES = ("label", "labels", "y", "target", "targets", "fine_label")


def as_images(images: Any) -> ImageSet:
    """Anything that holds images as a set: an `ImageSet`, what `load` reads, or what `from_dataset` takes.

    Raises:
        UserError: it holds no images, or images that do not fit together.
    """
    if isinstance(images, ImageSet):
        return images
    if isinstance(images, str | Path):
        from deepinfomax.data.loading import load  # which reads arrays by functions of this module

        return load(images)
    return from_dataset(images)


def from_dataset(dataset: Any, name: str = "") -> ImageSet:
    """A PyTorch data set or loader, an array, a tensor, a list of images, or a pair (images, labels), as a set.

    Images are arrays, tensors or PIL images: (H, W), (H, W, C) or (C, H, W), all of one shape. uint8 and floats in
    [0, 1] become uint8 as in `from_array`; other floats are used as they are, and may have any shape (C, *S). Items of
    a data set are images, (image, label, ...) or dictionaries with an image and perhaps a label. Each image is read
    once, a data set in its own order; a loader with its own sampler or collation is read as it runs.

    Raises:
        UserError: no images, images of several shapes, or more than memory holds.
    """
    name = name or type(dataset).__name__
    if isinstance(dataset, tuple) and len(dataset) == 2 and not _is_image(dataset[0]):
        return _from_values(_array_of(dataset[0], name), dataset[1], (), name, ())
    if isinstance(dataset, np.ndarray) or is_tensor(dataset):
        return _from_values(_array_of(dataset, name), None, (), name, ())
    if not hasattr(dataset, "__iter__") and not hasattr(dataset, "__getitem__"):
        raise UserError(
            f"{name} holds no images: pass an ImageSet, an array or tensor (N, C, H, W), a list of images, a "
            "torch.utils.data.Dataset or a DataLoader"
        )
    items, source = _items(dataset)
    count = _size(source)
    pixels: list[np.ndarray] = []
    labels: list[Any] = []
    for item in items:
        image, label = _image_and_label(item, name)
        pixels.append(_array_of(image, name))
        labels.append(label)
        if len(pixels) == 1 and count is not None:
            _refuse_too_large(count * pixels[0].nbytes, name)
    if not pixels:
        raise UserError(f"{name} holds no images")
    known = labels if any(label is not None for label in labels) else None
    notes: tuple[str, ...] = ()
    if getattr(source, "transform", None) is not None:
        notes = ("each image was read once: random transforms of the data set acted once, not anew in each epoch",)
    return _from_values(_stacked(pixels, name), known, _classes_of(source), name, notes)


def from_array(images: Any, labels: Any = None, classes: Sequence[str] = (), name: str = "array") -> ImageSet:
    """Images in memory as a set: (N, H, W), (N, H, W, C) or (N, C, H, W), uint8 or floats in [0, 1].

    Labels are N whole numbers or words; None means there are none, and so does a missing label for a single image (see
    `number_labels`).

    Raises:
        UserError: wrong rank, type or range, masked pixels, or another number of labels than images.
    """
    whole_pixels(images, name)
    (numbers,), names = number_labels([labels], class_names(classes, name), name)
    count = None if labels is None else len(labels)
    return image_set(np.asarray(images), numbers, names, name, count)


def image_set(
    images: np.ndarray,
    labels: np.ndarray | None,
    classes: tuple[str, ...],
    name: str,
    label_count: int | None = None,
    notes: tuple[str, ...] = (),
) -> ImageSet:
    """Pixels of any accepted kind with labels that are numbered already; `label_count`: of the labels as given."""
    pixels, conversions = as_pixels(images, name)
    count = label_count if labels is None else len(labels)
    if count is not None and count != len(pixels):
        raise UserError(f"{name} holds {len(pixels):,} images but {count:,} labels")
    return ImageSet(pixels, labels, classes, name, notes + conversions)


def as_pixels(images: np.ndarray, where: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Any accepted array as (N, C, H, W) uint8 with 1 or 3 channels, and notes on what was converted.

    Raises:
        UserError: wrong rank, channels or type, or floats outside [0, 1].
    """
    accepted = "images must be (N, H, W), (N, H, W, C) or (N, C, H, W) with 1, 3 or 4 channels"
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 4:
        first, last = images.shape[1] in (1, 3, 4), images.shape[3] in (1, 3, 4)
        if not first and not last:
            raise UserError(f"{where} has shape {images.shape}; {accepted}")
        images = images.transpose(0, 3, 1, 2) if last else images
    else:
        raise UserError(f"{where} has shape {images.shape}; {accepted}")
    if not images.size:
        raise UserError(f"{where} holds no images (shape {images.shape})")
    if images.dtype == bool:
        images = images.astype(np.uint8) * np.uint8(255)
    elif images.dtype.kind == "f":
        low, high = float(images.min()), float(images.max())
        if not (low >= 0 and high <= 1):  # also refuses nan
            raise UserError(f"{where} holds floats from {low:g} to {high:g}; floats must lie in [0, 1], or use uint8")
        images = np.rint(images * 255).astype(np.uint8)
    elif images.dtype != np.uint8:
        raise UserError(f"{where} holds {images.dtype}; images must be uint8 in 0..255 or floats in [0, 1]")
    notes: tuple[str, ...] = ()
    if images.shape[1] == 4:  # alpha a over white: 255 - a (255 - c) / 255
        colour, alpha = images[:, :3].astype(np.uint16), images[:, 3:].astype(np.uint16)
        images = (255 - ((255 - colour) * alpha + 127) // 255).astype(np.uint8)
        notes = (f"{len(images):,} images have an alpha channel: composited on white",)
    looked_at = images[:: -(-len(images) // LOOKED_AT)]
    if (brightest := int(looked_at.max())) < DARK:
        notes += (dark("the" if len(looked_at) == len(images) else f"{len(looked_at):,} evenly spaced", brightest),)
    return images, notes


def resized(images: ImageSet, size: int | None, channels: int | None) -> ImageSet:
    """The same images with another size or number of channels; as they are where nothing changes."""
    shape = images.shape
    target = shape[0] if channels is None else channels, *(shape[1:] if size is None else (size, size))
    check_target(size, channels)
    if target == shape:
        return images
    _refuse_too_large(len(images) * math.prod(target), f"{images.name}: images of {target[1]} pixels")
    out = np.empty((len(images), *target), np.uint8)
    for row, image in zip(out, images.images, strict=True):
        row[:] = to_array(as_picture(image), target[0], (target[2], target[1]))
    return ImageSet(out, images.labels, images.classes, images.name, images.notes)


def _from_values(
    images: np.ndarray, labels: Any, classes: tuple[str, ...], name: str, notes: tuple[str, ...]
) -> ImageSet:
    """Pixels, or floats of any range and shape."""
    (numbers,), names = number_labels([labels], classes, name)
    count = None if labels is None else len(labels)
    if images.dtype.kind != "f" or (images.ndim == 4 and images.size and images.min() >= 0 and images.max() <= 1):
        return image_set(images, numbers, names, name, count, notes)
    if images.ndim < 3 or not images.size:
        raise UserError(f"{name} has shape {images.shape}; images must be (N, C, H, W), or floats (N, C, *S)")
    if count is not None and count != len(images):
        raise UserError(f"{name} holds {len(images):,} images but {count:,} labels")
    if images.ndim == 4 and images.shape[3] in (1, 3) and images.shape[1] not in (1, 3):
        images = images.transpose(0, 3, 1, 2)
    used = f"floats from {images.min():.3g} to {images.max():.3g} are used as they are"
    return ImageSet(images, numbers, names, name, (*notes, used))


def _items(dataset: Any) -> tuple[Iterable[Any], Any]:
    """The items of a data set, list or loader, one image each, and the data set that says what they are."""
    from torch.utils import data as torch_data  # to read files needs no torch

    if not isinstance(dataset, torch_data.DataLoader):
        mapped = hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")
        return (dataset[i] for i in range(len(dataset))) if mapped else dataset, dataset
    plain = dataset.collate_fn is torch_data.default_collate or dataset.batch_size is None
    sampler, source = dataset.sampler, dataset.dataset
    in_order = isinstance(sampler, torch_data.SequentialSampler | torch_data.RandomSampler)
    if plain and in_order and not getattr(sampler, "replacement", False) and _size(sampler) == _size(source):
        return _items(source)  # the loader's order is for training, which has its own
    return (item for batch in dataset for item in _of_batch(batch)), source


def _size(items: Any) -> int | None:
    return len(items) if hasattr(items, "__len__") else None


def _of_batch(batch: Any) -> Iterator[Any]:
    """The items of a batch that a loader has put together."""
    if isinstance(batch, Mapping):
        return (dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True))
    return zip(*batch, strict=True) if isinstance(batch, tuple | list) else iter(batch)


def _image_and_label(item: Any, name: str) -> tuple[Any, Any]:
    if isinstance(item, Mapping):
        image = next((item[key] for key in IMAGE_NAMES if key in item), None)
        if image is None:
            raise UserError(f"{name} has items with the keys {', '.join(map(str, item))}; one must be called image")
        return image, _plain_label(next((item[key] for key in LABEL_NAMES if key in item), None))
    if isinstance(item, tuple | list) and item and _is_image(item[0]):
        return item[0], _plain_label(item[1] if len(item) > 1 else None)
    return item, None


def _is_image(value: Any) -> bool:
    return isinstance(value, Image.Image) or (
        (isinstance(value, np.ndarray) or is_tensor(value)) and value.ndim in (2, 3)
    )


def _plain_label(label: Any) -> Any:
    return label.tolist() if isinstance(label, np.ndarray | np.generic) or is_tensor(label) else label


def _array_of(image: Any, name: str) -> np.ndarray:
    if isinstance(image, Image.Image):
        pixels = to_array(image, 1 if image.mode in GREY_MODES else 3, image.size)
        return pixels
    if is_tensor(image):
        import torch

        image = image.detach().cpu()
        return (image.float() if image.dtype in (torch.bfloat16, torch.float16) else image).numpy()
    try:
        whole_pixels(image, name)
        array = np.asarray(image)
    except ValueError:  # lists of several lengths
        raise UserError(f"{name} holds no images: its lists have several lengths") from None
    if array.dtype.kind not in "uifb":
        raise UserError(f"{name} holds {type(image).__name__}, no images")
    listed = isinstance(image, list | tuple) and array.dtype.kind in "ui" and array.size > 0
    if listed and 0 <= array.min() <= array.max() < 256:
        return array.astype(np.uint8)  # Python's own numbers, of no type that says their range
    return array


def _stacked(pixels: list[np.ndarray], name: str) -> np.ndarray:
    shapes = {array.shape: i for i, array in reversed(list(enumerate(pixels)))}
    if len(shapes) == 2 and {shape[0] for shape in shapes} == {1, 3} and len({shape[1:] for shape in shapes}) == 1:
        pixels = [np.repeat(array, 3, 0) if len(array) == 1 else array for array in pixels]  # grey among colour
    elif len(shapes) > 1:
        other = max(shapes, key=lambda shape: shapes[shape])
        raise UserError(
            f"{name}: image {shapes[other]} has shape {other}, the first one {pixels[0].shape}; give all the same shape"
        )
    return np.stack(pixels)


def _classes_of(source: Any) -> tuple[str, ...]:
    """Class names that torchvision's and Hugging Face's data sets carry."""
    names = getattr(source, "classes", None)
    if names is None and isinstance(features := getattr(source, "features", None), Mapping):
        names = next((getattr(features[key], "names", None) for key in LABEL_NAMES if key in features), None)
    return tuple(map(str, names)) if isinstance(names, list | tuple) else ()


def _refuse_too_large(need: int, what: str) -> None:
    free = memory.free()
    if need > free:
        room = f"{need / 1e9:,.1f} GB of memory, {free / 1e9:,.1f} GB are free"
        raise UserError(f"{what} take {room}; set data.size smaller, or data.limit")
