"""The data of a run, or other data, in the form that its encoder takes."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from deepinfomax.config import Config
from deepinfomax.data.arrays import word_of
from deepinfomax.data.configured import as_trained, load_images, with_data_settings, with_source
from deepinfomax.data.images import ImageSet
from deepinfomax.data.stored import printable
from deepinfomax.encoders import storage
from deepinfomax.encoders.standardised import Standardised
from deepinfomax.errors import UserError
from deepinfomax.training import run_folder


def data_of(
    run: Path, config: Config, data: str | None, root: Path | None, limit: int | None, settings: Mapping[str, Any]
) -> Config:
    """The configuration of a run, with other data if given.

    Raises:
        UserError: no other data are given, and those of the run no longer exist.
    """
    if data is None and "data.source" not in settings:
        run_folder.check_data_there(run, config)
    changes: dict[str, Any] = {}
    if data is not None:
        changes |= {"source": data, "limit": None}
    if root is not None:
        changes["root"] = str(root)
    if limit is not None:
        changes["limit"] = limit
    return with_data_settings(replace(config, data=replace(config.data, **changes)), settings)


def are_own(config: Config, changed: Config) -> bool:
    """Whether a changed configuration has the run's own data, even if the path is spelt differently."""
    return with_source(config, changed.data.source, None).data.source == config.data.source


def whole_of_other(
    run: Path, config: Config, data: str | None, root: Path | None, settings: Mapping[str, Any]
) -> Config:
    """`data_of`; nothing is held out of data other than the run's, unless the settings say so."""
    changed = data_of(run, config, data, root, None, settings)
    if "data.holdout" in settings or are_own(config, changed):
        return changed
    return replace(changed, data=replace(changed.data, holdout=None))


def loaded(
    run: Path, encoder: nn.Module, config: Config, split: str | None, read_by: Callable[..., ImageSet] = load_images
) -> ImageSet:
    """Load one part for the encoder; images of another size or number of channels are converted.

    `read_by` reads the images, called as `load_images` is.
    """
    expected = storage.describe(run).image_shape
    channels = encoder.channels if isinstance(encoder, Standardised) else None
    if channels is not None and config.data.values == "auto":  # as they were in training, whatever these few look like
        config = replace(config, data=replace(config.data, values="kept"))
    read = read_by(config, split, channels)
    # What has other axes than the run's images takes no augmentation of theirs, and is told of below.
    images = as_trained(config, read) if len(read.shape) == len(expected) else read
    square = len(expected) == 3 and expected[1] == expected[2]
    if images.shape != expected and read.pictures and square and expected[0] in (1, 3):
        own = replace(config.data, size=expected[2], channels=expected[0])
        images = read_by(replace(config, data=own), split, channels)
    if images.shape != expected:
        shapes = ["x".join(map(str, s)) for s in (images.shape, expected)]
        axes = " (channels, height, width)" if read.pictures else ""
        mend = "bring them to that"
        if images.shape == (*expected[1:], expected[0]) or images.shape == (expected[-1], *expected[:-1]):
            mend = "their channels are on the other side: set data.layout channels-first or channels-last"
        raise UserError(f"{word_of(images.shape)} of {shapes[0]}{axes}, but {run} was trained on {shapes[1]}: {mend}")
    check_scale(run, encoder, config, images)
    return images


def check_scale(run: Path, encoder: nn.Module, config: Config, images: ImageSet) -> None:
    """Raises UserError if the images are pictures but the run was trained on other numbers, or the reverse."""
    name, numbers = printable(config.data.source), isinstance(encoder, Standardised)
    if numbers and images.pictures:
        raise UserError(f"{name} holds pictures of bytes, but {run} was trained on numbers of another scale")
    if not numbers and config.data.standardise and not images.pictures:
        raise UserError(
            f"{name} holds {images.images.dtype}, but {run} was trained on pictures of bytes: set data.values bytes"
        )
