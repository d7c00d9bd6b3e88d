"""Images that are in memory already: arrays, tensors, lists, PyTorch data sets and loaders, as an `ImageSet`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from deepinfomax.data.arrays import Kind, Layout, Missing, Reading, Values, arranged, axes_of, check_numbers
from deepinfomax.data.decoding import to_array
from deepinfomax.data.images import ImageSet, is_tensor, whole_pixels
from deepinfomax.data.labels import class_names, number_labels
from deepinfomax.data.opening import GREY_MODES, header
from deepinfomax.data.pixels import refuse_too_large
from deepinfomax.errors import UserError

IMAGE_NAMES = ("image", "img", "images", "pixel_values", "x", "data")  #: keys of an item that is a dictionary
LABEL_NAMES = ("label", "labels", "y", "target", "targets", "fine_label")


def as_images(images: Any) -> ImageSet:
    """Convert anything with images to an `ImageSet`: an `ImageSet`, DATA for `load`, or an input of `from_dataset`.

    Raises:
        UserError: it has no images, or images of different shapes.
    """
    if isinstance(images, ImageSet):
        return images
    if isinstance(images, str | Path):
        from deepinfomax.data.loading import load  # which reads arrays by functions of this module

        return load(images)
    return from_dataset(images)


def from_dataset(dataset: Any, name: str = "") -> ImageSet:
    """A PyTorch data set or loader, an array, a tensor, a list of images, or a pair (images, labels), as a set.

    Images are arrays, tensors or PIL images: (H, W), (H, W, C) or (C, H, W), all of one shape. Bytes, whole numbers,
    floats in [0, 1], series, grey images and channels behind are read as in `from_array`; other floats may have any
    shape (C, *S), such as maps of more channels than places. Items of a data set are
    images, (image, label, ...) or dictionaries with an image and perhaps a label. Each image is read once. The images
    of a loader are read in the order of its data set, unless it has its own sampler or collation.

    Raises:
        UserError: no images, images of several shapes, or more than memory holds.
    """
    name = name or type(dataset).__name__
    if _is_pair(dataset):
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
            refuse_too_large(count * pixels[0].nbytes, name)
    if not pixels:
        raise UserError(f"{name} holds no images")
    known = labels if any(label is not None for label in labels) else None
    notes: tuple[str, ...] = ()
    if getattr(source, "transform", None) is not None:
        notes = ("each image was read once: random transforms of the data set acted once, not anew in each epoch",)
    return _from_values(_stacked(pixels, name), known, _classes_of(source), name, notes)


def from_array(
    images: Any,
    labels: Any = None,
    classes: Sequence[str] = (),
    name: str = "array",
    *,
    values: Values = "auto",
    kind: Kind = "auto",
    layout: Layout = "auto",
    missing: Missing | tuple[float, ...] = "refuse",
) -> ImageSet:
    """An array in memory as a set: pictures, images of many channels, series or volumes of any type of number.

    Pictures are (N, H, W), (N, H, W, C) or (N, C, H, W), uint8, or floats that are bytes divided by 255. For all other
    arrays `arrays.axes_of` describes how the axes are understood.

    Args:
        images: the array.
        labels: N whole numbers or words; None: no labels. Single images may have no label, see `number_labels`.
        classes: names of the classes, in the order of their numbers.
        name: of the data, for messages.
        values, kind, layout, missing: as in `load`.

    Raises:
        UserError: an array that is not of numbers, or with axes that fit no kind; masked or missing values; or a number
            of labels that differs from that of images.
    """
    whole_pixels(images, name)
    try:
        images = np.asarray(images)
    except ValueError:
        raise UserError(f"{name} is no array: its items have several lengths; cut or pad them to one") from None
    (numbers,), names = number_labels([labels], class_names(classes, name), name)
    count = None if labels is None else len(labels)
    reading = Reading(values, kind, layout, missing)
    return arranged(image_set(images, numbers, names, name, count), reading)


def image_set(
    images: np.ndarray,
    labels: np.ndarray | None,
    classes: tuple[str, ...],
    name: str,
    label_count: int | None = None,
    notes: tuple[str, ...] = (),
) -> ImageSet:
    """An array as it was given, with labels that are numbered already; `label_count`: of the labels as given."""
    check_numbers(images, name)
    count = label_count if labels is None else len(labels)
    if count is not None and count != len(images):
        raise UserError(f"{name} holds {len(images):,} images but {count:,} labels")
    return ImageSet(images, labels, classes, name, notes, as_given=True)


def _from_values(
    images: np.ndarray, labels: Any, classes: tuple[str, ...], name: str, notes: tuple[str, ...]
) -> ImageSet:
    """Pixels, or floats of any range and shape."""
    (numbers,), names = number_labels([labels], classes, name)
    count = None if labels is None else len(labels)
    if images.dtype.kind != "f" or _has_axes_to_find(images):
        return arranged(image_set(images, numbers, names, name, count, notes), Reading())
    if images.ndim < 3 or not images.size:
        raise UserError(f"{name} has shape {images.shape}; images must be (N, C, H, W), or floats (N, C, *S)")
    if count is not None and count != len(images):
        raise UserError(f"{name} holds {len(images):,} images but {count:,} labels")
    if images.ndim == 4 and images.shape[3] in (1, 3) and images.shape[1] not in (1, 3):
        images = images.transpose(0, 3, 1, 2)
    used = f"floats from {images.min():.3g} to {images.max():.3g} are kept as they are"
    return ImageSet(images, numbers, names, name, (*notes, used))


def _has_axes_to_find(images: np.ndarray) -> bool:
    """Whether floats may be bytes divided by 255, or have other axes than (N, C, *S), which `arranged` finds."""
    if images.ndim == 4 and images.size and images.min() >= 0 and images.max() <= 1:
        return True
    try:
        return images.ndim == 3 or axes_of(images.shape[1:], Reading(), "").channels == -1
    except UserError:  # axes that nothing can be told of
        return False


def _is_pair(dataset: Any) -> bool:
    """Whether a tuple is (images, labels), not two images. Grey images (N, H, W) look like one, but have labels."""
    if not isinstance(dataset, tuple) or len(dataset) != 2:
        return False
    images, labels = dataset
    if not _is_image(images):
        return True
    axes = getattr(labels, "ndim", 1 if hasattr(labels, "__len__") else 0)
    return not isinstance(images, Image.Image) and 1 <= axes < images.ndim


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
        return to_array(image, 1 if image.mode in GREY_MODES else 3, header(image).size)
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
