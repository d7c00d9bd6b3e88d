"""Images as arrays: .npy and .npz files, and scikit-learn's digits. Never unpickles anything.

Arrays need no cache on disk: an uint8 .npy is used through a memory map as it is, anything else is converted once in
memory, at a few hundred megabytes a second.
"""

import math
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

from deepinfomax.data.decoding import to_array
from deepinfomax.data.encoded import PART_OF, Source, number_labels
from deepinfomax.data.images import ImageSet, whole_pixels
from deepinfomax.errors import UserError

IMAGE_KEYS = ("images", "x", "data")
LABEL_KEYS = ("labels", "y", "label", "targets")
#: what NumPy and zipfile raise for a file that is not what it says, or protected by a password (RuntimeError)
DAMAGE = (
    *(ValueError, OSError, EOFError, KeyError, RuntimeError, MemoryError),
    *(zipfile.BadZipFile, zlib.error, tokenize.TokenError),
)
DIGITS_TRAIN = 1500  #: of 1797, in their order


def npy_parts(file: Path) -> dict[str, Callable[[], Source]]:
    """One array of images without labels: (N, H, W), (N, H, W, C) or (N, C, H, W), uint8 or floats in [0, 1]."""
    images = _opened(file)
    if not isinstance(images, np.ndarray):
        raise UserError(f"{file} holds several arrays: call it {file.stem}.npz")
    return {"train": partial(_image_set, images, None, (), str(file))}


def npz_parts(file: Path) -> dict[str, Callable[[], Source]]:
    """`images` (or `x`) and optionally `labels` (or `y`); or such a pair for each part: x_train, y_train, x_test, ...

    The part may stand before or behind: `train_images` is read like `images_train`. `classes` may hold the names.
    """
    content = _opened(file)
    if isinstance(content, np.ndarray):
        raise UserError(f"{file} holds a single array: call it {file.stem}.npy")
    keys = {key.lower(): key for key in content.files}
    named: dict[str, tuple[str, str | None]] = {}
    for part in PART_OF:
        image = next((keys[k] for i in IMAGE_KEYS for k in (f"{i}_{part}", f"{part}_{i}") if k in keys), None)
        label = next((keys[k] for i in LABEL_KEYS for k in (f"{i}_{part}", f"{part}_{i}") if k in keys), None)
        if image is not None:
            named[part] = image, label
    if not named:
        image = next((keys[k] for k in IMAGE_KEYS if k in keys), None)
        if image is None:
            held = ", ".join(content.files)
            raise UserError(f"{file} holds the arrays {held}; one must be called images or x (or x_train and x_test)")
        named["train"] = image, next((keys[k] for k in LABEL_KEYS if k in keys), None)
    raw = [None if label is None else _member(content, label, file) for _, label in named.values()]
    names = _names(_member(content, keys["classes"], file), str(file)) if "classes" in keys else ()
    labels, classes = number_labels(raw, names, str(file))
    return {
        part: partial(_of_npz, content, image, part_labels, classes, file)
        for (part, (image, _)), part_labels in zip(named.items(), labels, strict=True)
    }


def digits_parts() -> dict[str, Callable[[], Source]]:
    """scikit-learn's 8x8 digits, grey values 0 .. 16 stretched to 0 .. 255; the last 297 are the test part."""
    from sklearn.datasets import load_digits  # its import is slow, and only needed here

    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[:, None]
    whole = ImageSet(images, bunch.target.astype(np.int64), tuple("0123456789"), name="digits")
    return {
        "train": partial(whole.take, slice(None, DIGITS_TRAIN)),
        "test": partial(whole.take, slice(DIGITS_TRAIN, None)),
    }


def fit(images: ImageSet, size: int | None, channels: int | None) -> ImageSet:
    """The same images with another size or number of channels; as they are where nothing changes."""
    shape = images.shape
    target = shape[0] if channels is None else channels, *(shape[1:] if size is None else (size, size))
    if target[0] not in (1, 3):
        raise UserError(f"channels must be 1 or 3, not {channels}")
    if target[1] < 1:
        raise UserError(f"size must be at least 1 pixel, not {size}")
    if target == shape:
        return images
    need, free = len(images) * math.prod(target), psutil.virtual_memory().available
    if need > free:
        room = f"{need / 1e9:,.1f} GB of memory, {free / 1e9:,.1f} GB are free"
        raise UserError(
            f"{images.name}: images of {target[1]} pixels take {room}; set data.size smaller, or data.limit"
        )
    out = np.empty((len(images), *target), np.uint8)
    for row, image in zip(out, images.images, strict=True):
        row[:] = to_array(_as_picture(image), target[0], (target[2], target[1]))
    return ImageSet(out, images.labels, images.classes, images.name, images.notes)


def from_array(images: Any, labels: Any = None, classes: Sequence[str] = (), name: str = "array") -> ImageSet:
    """Images in memory as a set: (N, H, W), (N, H, W, C) or (N, C, H, W), uint8 or floats in [0, 1].

    Labels are N whole numbers or words; None, or -1, "" and masked for single images, means there are none.

    Raises:
        UserError: wrong rank, type or range, masked pixels, or another number of labels than images.
    """
    whole_pixels(images, name)
    raw = None if labels is None else np.asanyarray(labels)
    (numbers,), names = number_labels([raw], _names(classes, name), name)
    return _image_set(np.asarray(images), numbers, names, name)


def _of_npz(
    content: Mapping[str, np.ndarray], image: str, labels: np.ndarray | None, classes: tuple[str, ...], file: Path
) -> ImageSet:
    return _image_set(_member(content, image, file), labels, classes, str(file))


def _image_set(images: np.ndarray, labels: np.ndarray | None, classes: tuple[str, ...], name: str) -> ImageSet:
    pixels, notes = as_pixels(images, name)
    if labels is not None and len(labels) != len(pixels):
        raise UserError(f"{name} holds {len(pixels):,} images but {len(labels):,} labels")
    return ImageSet(pixels, labels, classes, name, notes)


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
    if images.shape[1] == 4:  # alpha a over white: 255 - a (255 - c) / 255
        colour, alpha = images[:, :3].astype(np.uint16), images[:, 3:].astype(np.uint16)
        images = (255 - ((255 - colour) * alpha + 127) // 255).astype(np.uint8)
        return images, (f"{len(images):,} images have an alpha channel: composited on white",)
    return images, ()


def _as_picture(image: np.ndarray) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)))


def _opened(file: Path) -> Any:
    try:
        return np.load(file, mmap_mode="r" if file.suffix == ".npy" else None, allow_pickle=False)
    except DAMAGE as error:
        raise UserError(f"{file} cannot be read as a NumPy array: {_first_line(error)}") from None


def _member(content: Mapping[str, np.ndarray], key: str, file: Path) -> np.ndarray:
    try:
        return content[key]
    except DAMAGE as error:
        raise UserError(f"{file}: array {key} cannot be read: {_first_line(error)}") from None


def _names(classes: Any, where: str) -> tuple[str, ...]:
    if np.ndim(classes) != 1:
        raise UserError(f"{where}: classes must be a list of names, in the order of their numbers")
    return tuple(str(name) for name in classes)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
