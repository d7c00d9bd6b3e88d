"""The images of a configuration: set the source, load them, name them, and make the views for an encoder."""

import dataclasses
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from deepinfomax import files
from deepinfomax.config import Config
from deepinfomax.data.arrays import word_of
from deepinfomax.data.augmentation import Augmentation
from deepinfomax.data.batches import fits
from deepinfomax.data.cache import cache_folder
from deepinfomax.data.channels import Channels
from deepinfomax.data.formats import Columns
from deepinfomax.data.images import CHUNK, ImageSet, as_tensor
from deepinfomax.data.loading import choose, load, titles
from deepinfomax.data.names import find
from deepinfomax.data.parts import PARTS, limited
from deepinfomax.data.section import STREAMING, changed, check_recordable, from_source
from deepinfomax.data.stored import printable
from deepinfomax.data.streaming import SAMPLE, stream_of
from deepinfomax.errors import UserError
from deepinfomax.started_together import speaks


def with_source(config: Config, source: str, root: Path | None) -> Config:
    """The configuration with other data, see `section.from_source`."""
    return dataclasses.replace(config, data=from_source(config.data, source, root))


def with_data_settings(config: Config, settings: Mapping[str, Any]) -> Config:
    """The configuration with other fields in its section `data`: {"data.size": 32}.

    Raises:
        UserError: a setting of another section, an unknown field or a wrong value.
    """
    return dataclasses.replace(config, data=changed(config.data, settings))


class Noted(Protocol):
    """Anything with notes: images, or results of them."""

    @property
    def notes(self) -> tuple[str, ...]: ...


def tell_notes(*sets: Noted) -> None:
    """Print the notes of data on stderr (what was converted or left out), each note once."""
    if not speaks():
        return
    for note in dict.fromkeys(note for images in sets for note in images.notes):
        print(f"note: {files.plain(note)}", file=sys.stderr)


def tell_other_parts(config: Config, split: str) -> None:
    """Print on stderr which parts of the data are not read with `split`, and how all are."""
    data = config.data
    if data.stream:
        return
    names = find(data.source, data.root, Columns(data.image, data.label)).keys()
    there = [part for part, aliases in PARTS.items() if any(alias in names for alias in aliases)]
    if data.holdout is not None and there == ["train"]:
        there.append("test")
    others = [part for part in there if part not in split.split("+")]
    if others:
        all_parts = "+".join((split, *others))
        note = f"note: only the part {split} is read; with {' and '.join(others)}: --split {all_parts}"
        print(note, file=sys.stderr)


def load_images(config: Config, split: str | None = None, channels: Channels | None = None) -> ImageSet:
    """The images that a configuration names; of a stream, a sample, and a note that says so.

    `data.limit` applies to all parts that are read together, but never to the test part alone.

    Args:
        split: the part; None: the part to train on.
        channels: those of the training part, whose means replace NaN if `data.missing` is "mean"; None: those of the
            part that is read.
    """
    if config.data.stream:
        return stream_of(config.data, split, config.data.limit or SAMPLE).sample
    fields = dataclasses.asdict(config.data)
    source, own_split, limit = fields.pop("source"), fields.pop("split"), fields.pop("limit")
    for name in ("standardise", *STREAMING):
        fields.pop(name)
    if channels is not None and config.data.missing == "mean":
        fields["missing"] = channels.mean
    check_recordable(source)
    return load(source, split=split or own_split, limit=None if split == "test" else limit, **fields)


def titles_of(config: Config, images: ImageSet, split: str | None = None) -> list[str] | None:
    """The names in the source of the images that `load_images` returned; None if images have no names."""
    data = config.data
    if data.stream:
        return None
    split = split or data.split
    limit = None if split == "test" else data.limit
    return titles(
        data.source,
        images,
        split,
        root=data.root,
        limit=limit,
        holdout=data.holdout,
        image=data.image,
        label=data.label,
        window=data.window,
    )


def names_of(config: Config, images: ImageSet, split: str | None = None) -> list[str]:
    """A name for each image: its path, or its number if it has no name."""
    try:
        names = titles_of(config, images, split)
    except UserError:  # the source has changed since, or is gone; the pictures can be shown all the same
        names = None
    one = word_of(images.shape, 1)
    return [f"{one} {i}" for i in range(len(images))] if names is None else [printable(name) for name in names]


def sources_of(config: Config) -> list[Any]:
    """The `Source` of each part that `data.split` names, not decoded."""
    data = config.data
    parts = find(data.source, data.root, Columns(data.image, data.label, data.window))
    return [choose(parts, name, printable(data.source), None, data.holdout) for name in data.split.split("+")]


def places_in(lengths: list[int], config: Config, images: ImageSet) -> np.ndarray:
    """(N,) where each image of `load_images` is in its sources, one after the other."""
    chosen = limited(sum(lengths), config.data.limit)
    return np.delete(np.arange(sum(lengths)) if chosen is None else chosen, list(images.left_out))


def part_of_each(config: Config, images: ImageSet) -> np.ndarray | None:
    """(N,) the part of each image of `load_images`, as `data.split` calls it; None if there is only one."""
    names = config.data.split.split("+")
    if len(names) < 2:
        return None
    lengths = [len(source) for source in sources_of(config)]
    return np.repeat(names, lengths)[places_in(lengths, config, images)]


def as_trained(config: Config, images: ImageSet) -> ImageSet:
    """Each image in the shape of the training views, without random changes.

    If training crops at random, this is the centre. If training does not change the shape, the set itself is returned.
    Otherwise a copy is made: in memory if it fits (`batches.fits`), else in a temporary file in the cache folder, which
    is deleted with the set.

    Raises:
        UserError: the crop is larger than the images; neither memory nor the disk of the cache holds the views.
    """
    view = Augmentation(**config.augmentation).eval()
    shape = view.output_shape(images.shape)
    if shape == images.shape:
        return images
    pixels = images.images
    kind = pixels.dtype if pixels.dtype in (np.uint8, np.float64) else np.dtype(np.float32)
    views = _room_for((len(images), *shape), kind)
    for start in range(0, len(images), CHUNK):  # the images may be a memory map larger than memory
        part = as_tensor(np.array(pixels[start : start + CHUNK]))
        part = part if kind == np.uint8 else part.float()  # torch crops and resizes floats of every device
        views[start : start + len(part)] = view(part).numpy()
    return dataclasses.replace(images, images=views)


def _room_for(shape: tuple[int, ...], kind: np.dtype) -> np.ndarray:
    """An empty array, in memory or mapped to a temporary file."""
    size = int(np.prod(shape)) * kind.itemsize
    if fits(size, torch.device("cpu")):
        return np.empty(shape, kind)
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    if size > shutil.disk_usage(folder).free:
        raise UserError(
            f"views of {shape[0]:,} images take {size / 1e9:.1f} GB, more than is free in memory or in {folder}: "
            "set data.limit, or DEEPINFOMAX_CACHE to a larger disk"
        )
    with tempfile.TemporaryFile(dir=folder) as file:
        return np.memmap(file, kind, "w+", shape=shape)
