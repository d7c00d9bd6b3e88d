"""Streaming: a data set is read shard by shard during training; nothing is unpacked or decoded in advance.

Hugging Face's `datasets` reads the shards: of a data set on the hub, tar files of webdataset, or parquet files. This
module finds the shards, refuses what cannot be streamed before training begins, and keeps a sample of limited size for
the report and the measures, which need the same images more than once.
"""

import hashlib
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from deepinfomax.data.decoding import common_shape, conversions, reason, survey, to_array
from deepinfomax.data.formats.hub import features_of, opened_hub
from deepinfomax.data.formats.parquet import SPLIT, part_name, rows_of_parts
from deepinfomax.data.formats.record import IMAGE_COLUMNS, LABEL_COLUMNS
from deepinfomax.data.formats.webdataset import LOOKED_AT, is_file
from deepinfomax.data.images import ImageSet
from deepinfomax.data.labels import integers_of
from deepinfomax.data.listing import files_below
from deepinfomax.data.names import PUBLISHED, place_of
from deepinfomax.data.opening import MAX_PIXELS, extensions, header, opened
from deepinfomax.data.parts import PARTS, VALIDATION
from deepinfomax.data.section import Data
from deepinfomax.data.stored import StoredImages, printable
from deepinfomax.errors import UserError, count_of, first_line

KINDS = {".tar": "webdataset", ".parquet": "parquet"}  #: ending of a shard -> what `datasets` calls its reader
SAMPLE, SAMPLE_BYTES = 10_000, 2**29  #: largest number of images in the sample, and their largest size in bytes
ROWS = 64  #: rows that are read together
FIRST = 256  #: the first images, from which the shape of all is found
TAR_END = bytes(tarfile.BLOCKSIZE)  #: what every whole tar file ends with


@dataclass(frozen=True)
class Shards:
    """The shards of one part, as `datasets` streams them."""

    name: str  #: what the user called it
    part: str
    dataset: Any  #: a `datasets.IterableDataset` with the columns `image` and perhaps `label`
    image: str
    label: str  #: "" if there is none
    classes: tuple[str, ...]
    identity: str  #: changes with the names of the shards; one that was mended keeps its name
    count: int | None  #: images in all shards; None: not known
    exact: bool  #: whether they were counted, not estimated by the first shard

    def __len__(self) -> int:
        return int(self.dataset.num_shards)

    def cells(self, shard: int) -> Iterator[tuple[bytes, Any]]:
        """The encoded image and the label of each sample of a shard, as they stand there.

        Raises:
            UserError: a shard that cannot be read to its end.
        """
        try:
            # By `iter`, for a plain loop would give each worker of a DataLoader a part of the shard only.
            for rows in self.dataset.shard(num_shards=len(self), index=shard).iter(ROWS):
                for place, cell in enumerate(rows[self.image]):
                    content = cell.get("bytes") if isinstance(cell, Mapping) else cell
                    if isinstance(content, str):
                        raise UserError(
                            f"{self.name}: the column {self.image} names files, and a stream reads images in the "
                            "shards themselves: write them there, or set data.stream false"
                        )
                    yield content or b"", rows[self.label][place] if self.label else None
        except UserError:
            raise
        except Exception as error:  # tarfile, pyarrow, fsspec and the hub's client raise many kinds of their own
            raise UserError(f"{self.name}: shard {shard + 1} of {len(self)} is damaged ({first_line(error)})") from None


@dataclass(frozen=True)
class Stream:
    """A stream of training images: the shards, and how to decode their images."""

    shards: Shards
    shape: tuple[int, int, int]  #: (C, H, W) of every image
    sized: bool  #: whether images of other sizes are brought to it
    skip_bad: bool
    max_pixels: int
    sample: ImageSet  #: some of the images, for whatever needs the same ones twice

    def decode(self, content: bytes) -> np.ndarray:
        """(C, H, W) uint8 of an encoded image.

        Raises:
            ValueError: it cannot be read, or has another size than the first ones and no `data.size` brings it there.
        """
        channels, height, width = self.shape
        with opened(content, self.max_pixels) as image:
            wide, high = header(image).size
            if not self.sized and (wide, high) != (width, height):
                raise ValueError(f"{wide}x{high} pixels, and {width}x{height} before: set data.size")
            return to_array(image, channels, (width, height))

    @property
    def data(self) -> dict[str, Any]:
        """What tells it from other data, in the form of `fingerprint.identity`."""
        return {"count": len(self.shards), "shape": list(self.shape), "fingerprint": f"stream:{self.shards.identity}"}


def stream_of(data: Data, split: str | None = None, count: int = SAMPLE) -> Stream:
    """The stream that a section `data` describes; with `count` images as its sample, fewer where they are large.

    Raises:
        UserError: what cannot be streamed, shards that are damaged or hold no images, images of several sizes.
    """
    shards = shards_of(data, split or data.split)
    max_pixels = data.max_pixels or MAX_PIXELS
    cells = shuffled(_all_cells(shards, data.skip_bad), min(data.shuffle_buffer, 4 * count), np.random.default_rng(0))
    first = list(islice(cells, min(FIRST, count)))
    if not first:
        raise UserError(f"{shards.name} holds no images")
    stored = StoredImages(
        shards.name,
        np.arange(len(first)),
        lambda index: (first[i][0] for i in index),
        lambda i: f"image {i} of the stream",
        shards.identity,
    )
    headers = survey(stored, max_pixels)
    if not headers.readable or (headers.bad and not data.skip_bad):
        why = next(iter(headers.bad.values()))
        mend = "; set data.skip_bad true to leave such images out" if headers.readable else ""
        raise UserError(
            f"{shards.name}: {len(headers.bad)} of the first {len(first)} images cannot be read ({why}){mend}"
        )
    shape = common_shape(stored, headers, data.size, data.channels)
    count = max(1, min(count, SAMPLE_BYTES // int(np.prod(shape))))
    plain = Stream(
        shards, shape, data.size is not None, data.skip_bad, max_pixels, ImageSet(np.empty((0, *shape), "u1"))
    )
    pixels, labels = np.empty((count, *shape), np.uint8), []
    taken = left_out = 0
    for content, label in (pair for part in (first, cells) for pair in part):
        if taken == count:
            break
        try:
            pixels[taken] = plain.decode(content)
        except Exception as error:  # damaged files make Pillow's decoders raise errors of every kind
            if data.skip_bad:
                left_out += 1
                continue
            raise UserError(
                f"{shards.name}: an image cannot be read ({reason(error)}); set data.skip_bad true to leave such out"
            ) from None
        labels.append(label)
        taken += 1
    said = (
        f"{shards.name} is streamed: a sample of {count_of(taken, 'image')} of its part {shards.part} is kept for this"
    )
    numbers = _numbers(labels)
    notes: tuple[str, ...] = (said,)
    if numbers is None and any(label not in (None, "") for label in labels):
        notes += (f"its labels ({shards.label}) are no whole numbers: a stream is read without them",)
    if left_out:
        notes += (f"{left_out:,} of {taken + left_out:,} images that were looked at cannot be read: left out",)
    headers.brightest = headers.brightest_deep = int(pixels[:taken].max(initial=0))
    notes += tuple(f"of those looked at first, {note}" for note in conversions(headers, shape[0]))
    sample = ImageSet(pixels[:taken], numbers, shards.classes if numbers is not None else (), shards.name, notes)
    return replace(plain, sample=sample)


def shuffled(items: Iterator[Any], buffer: int, rng: np.random.Generator) -> Iterator[Any]:
    """Yields the items in random order within a buffer: each new item replaces a random one, which is yielded."""
    waiting = list(islice(items, buffer))
    for item in items:
        place = int(rng.integers(len(waiting)))
        yield waiting[place]
        waiting[place] = item
    yield from (waiting[place] for place in rng.permutation(len(waiting)))


def shards_of(data: Data, split: str) -> Shards:
    """The shards of one part of the data; nothing is read but their beginnings.

    Raises:
        UserError: data without shards; a part that does not exist; settings that a stream cannot use.
    """
    settings = {"data.holdout": data.holdout is not None, "data.window": data.window is not None}
    settings |= {"data.values kept": data.values == "kept"}
    if of_no_use := [name for name, given in settings.items() if given]:
        raise UserError(f"{of_no_use[0]} needs all images at hand: set data.stream false, or leave it out")
    place = place_of(data.source, data.root)
    columns = PUBLISHED[data.source] if data.source in PUBLISHED and isinstance(place, str) else None
    if isinstance(place, str):
        parts = opened_hub(place)
        part = _part(parts, split, data.source)
        dataset, identity = parts[part], hashlib.sha256(f"{place}|{part}".encode()).hexdigest()[:32]
        splits = getattr(dataset.info, "splits", None) or {}
        counted = splits.get(part)
        count, exact = (getattr(counted, "num_examples", None) or None), True
    else:
        by_part = _files(place)
        part = _part(by_part, split, str(place))
        files = by_part[part]
        kind = KINDS[files[0].suffix.lower()]
        count, exact = _checked(files)
        if kind == "parquet" and len(by_part) == 1 and len(rows_of_parts(files)) > 1:
            raise UserError(
                f"{printable(data.source)} says the part of each row in the column {SPLIT}, and a stream reads whole "
                "files: write files for each part, or set data.stream false"
            )
        dataset = _opened(kind, files)
        names = [file.relative_to(place).as_posix() if place.is_dir() else file.name for file in files]
        identity = hashlib.sha256("\n".join(map(printable, names)).encode()).hexdigest()[:32]
    features = features_of(dataset)
    image = data.image or (columns.image if columns else "") or _image_column(features)
    label = data.label or (columns.label if columns and columns.label else "") or _label_column(features)
    for setting, name in (("data.image", image), ("data.label", label)):
        if name and name not in features:
            inside = "; fields of a .json are read by data.stream false" if "json" in features else ""
            raise UserError(f"{data.source} has no column {name} ({setting}); it has: {', '.join(features)}{inside}")
    if not image:
        raise UserError(f"{data.source} has no column of images; it has: {', '.join(features)}; data.image names one")
    classes = tuple(getattr(features.get(label), "names", None) or ())
    plain = _undecoded(dataset.select_columns([image, *([label] if label else [])]), image, features)
    return Shards(printable(data.source), part, plain, image, label, classes, identity, count, exact)


def has_part(data: Data, split: str) -> bool:
    """Whether a streamed source has a part; nothing of it is read."""
    try:
        place = place_of(data.source, data.root)
        _part(opened_hub(place) if isinstance(place, str) else _files(place), split, "")
    except UserError:
        return False
    return True


def _all_cells(shards: Shards, skip_bad: bool) -> Iterator[tuple[bytes, Any]]:
    """Of all shards, in an order that is always the same and by chance."""
    for shard in np.random.default_rng(0).permutation(len(shards)):
        yield from shards.cells(int(shard))


def _files(place: Path) -> dict[str, list[Path]]:
    """The shards of each part, sorted by path.

    Raises:
        UserError: no shards, or shards of two kinds.
    """
    if place.is_dir():
        by_ending = {ending: files_below(place, ending) for ending in KINDS}
        kinds = [ending for ending, files in by_ending.items() if files]
        if len(kinds) > 1:
            raise UserError(f"{place} holds .tar and .parquet files: name a folder of one kind to stream it")
        files = by_ending[kinds[0]] if kinds else []
    else:
        files = [place] if place.suffix.lower() in KINDS else []
    if not files:
        raise UserError(
            f"{place} has no shards to stream: data.stream reads .tar files of webdataset, .parquet files and data "
            "sets of the hub; anything else is decoded once, without data.stream"
        )
    parts: dict[str, list[Path]] = {}
    for file in files:
        parts.setdefault(part_name(file.relative_to(place)) if place.is_dir() else "train", []).append(file)
    return parts


def _part(parts: Mapping[str, Any], split: str, where: str) -> str:
    """The source's own name of a part.

    Raises:
        UserError: there is none.
    """
    if split in parts:
        return split
    names = [name for name in PARTS.get(split, ()) if name in parts]
    names = [name for name in names if name not in VALIDATION] or names
    if not names and split == "train" and len(parts) == 1 and not any(name in parts for name in PARTS["test"]):
        names = list(parts)
    if not names:
        together = "; data.stream false reads parts together" if "+" in split else ""
        raise UserError(f"{where} has no part {split} to stream; it has: {', '.join(parts)}{together}")
    return names[0]


def _checked(files: Sequence[Path]) -> tuple[int | None, bool]:
    """How many images the shards hold, and whether that is exact.

    A parquet file says it; of tar files the first is counted, and the others by their length.

    Raises:
        UserError: a shard that is empty, cut off or without images.
    """
    if files[0].suffix.lower() == ".parquet":
        rows = []
        for file in files:
            try:
                rows.append(pq.read_metadata(file).num_rows)
            except Exception as error:  # pyarrow's own, and those of the system
                raise UserError(f"{file} is damaged: {first_line(error)}; mend it or move it away") from None
        if empty := next((file for file, count in zip(files, rows, strict=True) if not count), None):
            raise UserError(f"{empty} holds no images: move it away")
        return sum(rows), True
    for file in files:
        _check_tar(file)
    try:
        with tarfile.open(files[0], "r:") as first:
            images = sum(_is_image_member(member) for member in first)
    except (tarfile.TarError, OSError) as error:
        raise UserError(f"{files[0]} is damaged: {first_line(error)}; mend it or move it away") from None
    sizes = [file.stat().st_size for file in files]
    return max(1, round(images * sum(sizes) / sizes[0])), len(files) == 1


def _check_tar(file: Path) -> None:
    """Look at a shard's beginning and end.

    Raises:
        UserError: it is empty, cut off or damaged, or its first files are no images.
    """
    try:
        with file.open("rb") as shard:
            size = shard.seek(0, 2)
            shard.seek(max(0, size - tarfile.BLOCKSIZE))
            end = shard.read()
        with tarfile.open(file, "r:") as content:
            names = [member.name for member in islice(content, LOOKED_AT) if is_file(member)]
            images = sum(map(_named_like_an_image, names))
    except (tarfile.TarError, OSError) as error:
        what = "is empty" if not file.stat().st_size else f"is damaged: {first_line(error)}"
        raise UserError(f"{file} {what}; mend it or move it away") from None
    if not names:
        raise UserError(f"{file} holds no samples: the archive is empty; move it away")
    if size % tarfile.BLOCKSIZE or end != TAR_END:
        raise UserError(f"{file} is damaged: it is cut off; mend it or move it away")
    if not images:
        seen = ", ".join(sorted({Path(name).suffix or "no ending" for name in names}))
        raise UserError(f"{file} is a shard without images (its first files: {seen}); move it away")
    if images == len(names) > 1 and len({sample_name(name) for name in names}) == 1:
        one = printable(sample_name(names[0]))
        raise UserError(
            f"{file}: a stream reads files that have one name up to its first dot as one sample, and these images are "
            f"all called {one}: set data.stream false, or write names without such dots"
        )


def sample_name(name: str) -> str:
    """What the files of one sample of webdataset have in common: "a/000017" of "a/000017.seg.png"."""
    folder, slash, last = name.rpartition("/")
    return folder + slash + last.partition(".")[0]


def _is_image_member(member: tarfile.TarInfo) -> bool:
    return is_file(member) and _named_like_an_image(member.name)


def _named_like_an_image(name: str) -> bool:
    return Path(name).suffix.lower() in extensions()


def _opened(kind: str, files: Sequence[Path]) -> Any:
    """A streaming data set of these files.

    Raises:
        UserError: `datasets` is not installed, or cannot read the first of them.
    """
    try:
        import datasets
    except ImportError:
        raise UserError("data.stream needs one more package: pip install 'deepinfomax[hub]'") from None
    try:
        return datasets.load_dataset(kind, data_files={"train": list(map(str, files))}, split="train", streaming=True)
    except Exception as error:  # those of the readers, and of what they read with
        raise UserError(f"{files[0]} cannot be streamed: {first_line(error)}") from None


def _undecoded(dataset: Any, image: str, features: Mapping[str, Any]) -> Any:
    """With encoded images, which are decoded here as everywhere."""
    import datasets

    return dataset.cast_column(image, datasets.Image(decode=False)) if _is_image(features[image]) else dataset


def _image_column(features: Mapping[str, Any]) -> str:
    usual = [name for name in IMAGE_COLUMNS if name in features]
    return next((name for name in (*usual, *features) if _is_image(features[name]) or name in usual), "")


def _label_column(features: Mapping[str, Any]) -> str:
    return next((name for name in (*LABEL_COLUMNS, "cls") if name in features), "")


def _is_image(feature: Any) -> bool:
    return type(feature).__name__ == "Image"


def _numbers(labels: Sequence[Any]) -> np.ndarray | None:
    """(N,) int64, -1 if there is none; None if they are no numbers, or there are none at all."""
    # 1.0 too, as pandas writes them beside missing ones
    numbers = integers_of(["" if label is None else str(label).strip() for label in labels])
    return numbers if numbers.dtype.kind == "i" and (numbers != -1).any() else None
