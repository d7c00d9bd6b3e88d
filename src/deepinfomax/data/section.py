"""The section `data` of a configuration: which images, and how they are read. To describe data needs no torch."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pydantic
from pydantic.dataclasses import dataclass

from deepinfomax.data.arrays import Kind, Layout, Missing, Values
from deepinfomax.data.names import NAMES
from deepinfomax.data.stored import printable
from deepinfomax.errors import UserError
from deepinfomax.settings import Count, Positive, one_line, parse_value

STREAMING = ("stream", "shuffle_buffer", "workers")  #: fields that say nothing of how `load` reads


@one_line("data")
@dataclass(frozen=True, config=pydantic.ConfigDict(extra="forbid", coerce_numbers_to_str=True))  # data.label 3
class Data:
    """What to train on, see `deepinfomax.data.load`."""

    source: str = ""  #: a name, a folder, a file or a Hugging Face id
    split: str = "train"  #: the part to train on; "train+unlabeled" of STL-10, as in the paper
    root: str | None = None  #: folder of local copies of named data sets; None: $DEEPINFOMAX_DATA, then the hub
    size: int | None = None  #: pixels; None: as they are
    channels: int | None = None  #: 1 or 3; None: as they are
    limit: int | None = None  #: how many training images to use at most, drawn by a fixed seed; None: all
    skip_bad: bool = False  #: leave out images that cannot be read, instead of stopping
    holdout: float | None = None  #: fraction kept as the test part where the source has none
    image: str | None = None  #: column (or array) of the images in a table; None: a usual name
    label: str | None = None  #: column (or array) of the labels in a table; None: a usual name
    window: Positive | None = None  #: seconds of the pieces that recordings are cut into; None: they stay whole
    max_pixels: int | None = None  #: of the largest image that is decoded; None: 179 million, against broken files
    values: Values = "auto"  #: of arrays: bytes, pictures in 8 bits; kept, numbers as they are; auto: see `load`
    kind: Kind = "auto"  #: of arrays: images, series or volumes; auto: by the shape, and told
    layout: Layout = "auto"  #: of arrays: channels-first or channels-last; auto: by the shape, and told
    missing: Missing = "refuse"  #: what becomes of NaN: refuse it, or put the mean of its channel there
    stream: bool = False  #: read shards while training, see `streaming`; nothing is decoded ahead or kept on the disk
    shuffle_buffer: Count = 4096  #: of a stream: images that wait in each process to be drawn by chance
    workers: Count | None = None  #: of a stream: processes that read and decode for each process; None: one a core
    standardise: bool = True  #: bring each channel of what is no picture to mean 0 and s.d. 1, by the training part


def from_source(data: Data, source: str, root: Path | None) -> Data:
    """The same settings of other data.

    A path is stored whole, so that the run finds its data from any folder, however the path was typed. A name stays as
    it is: it wins over a folder that is called like it. `root` None keeps the root that there is.
    """
    root_text = data.root if root is None else str(root)
    if source and source not in NAMES and (path := Path(source).expanduser()).exists():
        source = str(path.resolve())
    return dataclasses.replace(data, source=source, root=root_text)


def changed(data: Data, settings: Mapping[str, Any]) -> Data:
    """The section with other fields, as they are named and typed on a command line: {"data.size": "32"}.

    Raises:
        UserError: a setting of another section, an unknown field or a wrong value.
    """
    others = [name for name in settings if not name.startswith("data.")]
    if others:
        raise UserError(f"{others[0]} is a setting of training; only data.FIELD VALUE can follow this command")
    fields = {
        name.removeprefix("data."): parse_value(value) if isinstance(value, str) else value
        for name, value in settings.items()
    }
    return Data(**(dataclasses.asdict(data) | fields))


def check_recordable(source: str) -> None:
    """Refuse data whose name config.toml cannot hold.

    Raises:
        UserError: its name is not UTF-8.
    """
    try:
        source.encode()
    except UnicodeEncodeError:
        name = printable(source)
        raise UserError(f"{name} is no name in UTF-8, so a run cannot record it: rename it, or link to it") from None
