"""Reading a `Collection`: all parts of a data set, or a file of embeddings with or without images."""

import dataclasses
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
from pyarrow import parquet

from deepinfomax import files
from deepinfomax.config import Config
from deepinfomax.data.configured import load_images, names_of, part_of_each, places_in, sources_of
from deepinfomax.data.decoding import survey, to_array
from deepinfomax.data.description import further_parts
from deepinfomax.data.formats import Columns
from deepinfomax.data.images import ImageSet
from deepinfomax.data.labels import number_labels
from deepinfomax.data.names import find
from deepinfomax.data.opening import MAX_PIXELS, Blob, header, opened
from deepinfomax.data.parts import PARTS, VALIDATION
from deepinfomax.data.pixels import resized
from deepinfomax.data.stored import StoredImages, printable
from deepinfomax.errors import UserError
from deepinfomax.evaluation.embeddings import Embeddings, read_embeddings
from deepinfomax.explore.collection import Collection
from deepinfomax.explore.duplicates import digest

LARGE = 96  #: pixels: where a side is longer, images are resized to `SIDE`
SIDE = 64  #: pixels, on which an encoder trains in minutes
ATTRIBUTES = "attributes are not looked at: labels can be doubted where each image has one class"
LEAST_SIDE = 8  #: pixels; the encoder halves an image three times


def all_parts(config: Config) -> Config:
    """The same data with all its parts as one: "train+test", val included."""
    parts = find(config.data.source, config.data.root, Columns(config.data.image, config.data.label))
    names = [name for name, aliases in PARTS.items() if set(aliases) & parts.keys()]
    names += [name for name in further_parts(parts) if name in VALIDATION]
    return dataclasses.replace(config, data=dataclasses.replace(config.data, split="+".join(names)))


def of_one_size(config: Config) -> tuple[Config, ImageSet]:
    """The images of a configuration at a size that an encoder can be trained on in minutes, and what reads them so.

    Raises:
        UserError: images too small, or data that are no pictures.
    """
    if config.data.size is not None:
        return config, load_images(config)
    sources, images = sources_of(config), None
    if all(isinstance(source, StoredImages) for source in sources):
        sizes = {size for source in sources for size in survey(source).sizes}
    else:  # of arrays it is known which axis is which once they are read
        images = load_images(config)
        _, height, width = pictures_of(images).shape
        sizes = {(width, height)}
    sides = [side for size in sizes for side in size]
    if sides and min(sides) < LEAST_SIDE:
        raise UserError(
            f"{printable(config.data.source)} has images of {min(sides)} pixels: set data.size 16 to enlarge them"
        )
    if len(sizes) <= 1 and max(sides, default=0) <= LARGE:
        return config, load_images(config) if images is None else images
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, size=SIDE))
    return config, load_images(config) if images is None else resized(images, SIDE, config.data.channels)


def pictures_of(images: ImageSet) -> ImageSet:
    """The same images, after checking that a page can show them."""
    if not images.pictures:
        raise no_pictures(f"{images.name} holds {images.images.dtype} of {'x'.join(map(str, images.shape))}")
    return images


def no_pictures(what: str) -> UserError:
    """The line for data that a page cannot show; `what` says what they are."""
    return UserError(
        f"{what}: explore is for pictures of 8 bits, grey or RGB, which data.values bytes makes of TIFF files; of "
        "other data, make embeddings (deepinfomax embed) and explore those, without --images"
    )


def stored_pixels(config: Config, images: ImageSet) -> Callable[[np.ndarray], list[bytes]] | None:
    """A function: positions of images of `load_images` -> a digest of each as it is stored, whole and at full size.

    None if the images are loaded as they are stored.
    """
    if config.data.size is None:
        return None
    sources = sources_of(config)
    ends = np.cumsum([0, *map(len, sources)])
    places = places_in([len(source) for source in sources], config, images)

    def digests(positions: np.ndarray) -> list[bytes]:
        asked = places[positions]
        made: dict[int, bytes] = {}
        for source, (begin, end) in zip(sources, pairwise(ends), strict=True):
            within = np.unique(asked[(asked >= begin) & (asked < end)])
            if isinstance(source, ImageSet):
                made |= {int(i): digest(source.images[i - begin]) for i in within}
                continue
            blobs = source.blobs(source.index[within - begin])
            made |= {int(i): _digest_of(blob, images.shape[0], config) for i, blob in zip(within, blobs, strict=True)}
        return [made[int(i)] for i in asked]

    return digests


def _digest_of(blob: Blob, channels: int, config: Config) -> bytes:
    with opened(blob, config.data.max_pixels or MAX_PIXELS) as image:
        return digest(to_array(image, channels, header(image).size))


def collection_of(config: Config, images: ImageSet) -> Collection:
    """The images that a configuration names, as they are shown."""
    labels, classes, notes = images.labels, images.classes, images.notes
    if labels is not None and labels.ndim > 1:
        labels, classes = None, ()
        notes = (*notes, ATTRIBUTES)
    return Collection(
        title=shortened(config.data.source),
        names=names_of(config, images),
        pictures=np.asarray(pictures_of(images).images),
        parts=part_of_each(config, images),
        labels=labels,
        classes=classes,
        notes=notes,
        stored=stored_pixels(config, images),
    )


def shortened(source: str) -> str:
    """The last part of a path, for a title."""
    return printable(source.rstrip("/").rsplit("/", 1)[-1] or source)


def holds_embeddings(path: Path) -> bool:
    """Whether a file is one of embeddings, by its columns or arrays: nothing of any size is read."""
    if not path.is_file():
        return False
    try:
        if path.suffix == ".parquet":
            names = set(parquet.read_schema(path).names)
            return "embedding" in names and not names & {"image", "img"}
        if path.suffix == ".npy":
            return len(np.load(path, mmap_mode="r", allow_pickle=False).shape) == 2
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return "embedding" in arrays.files
    except Exception:  # a damaged file: whoever reads it in earnest says what is wrong
        return False
    return False


def collection_of_embeddings(path: Path, images: tuple[Config, ImageSet] | None) -> tuple[Collection, Embeddings]:
    """A file of embeddings, and the images that it is of, where they are given.

    Rows find their images by the names in the file; where it has none, or not one of them is an image's, row i is image
    i, and a note says the latter.

    Raises:
        UserError: embeddings and images that do not belong together.
    """
    embeddings = read_embeddings(path)
    count, names = len(embeddings.vectors), names_in(path)
    if embeddings.vectors.shape[1] < 2:
        raise UserError(f"{path} has one number a row: explore goes by directions, so give vectors of two or more")
    if names is not None and len(names) != count:
        raise UserError(f"{path} has {len(names):,} names for {count:,} embeddings")
    labels, classes = _labels(embeddings, path)
    pictures, parts, notes, stored = None, embeddings.split, embeddings.notes, None
    if images is not None:
        config, loaded = images
        of_images = names_of(config, loaded)
        place, by_order = _places(path, names, of_images, count)
        pictures, notes = np.asarray(pictures_of(loaded).images)[place], (*notes, *loaded.notes, *by_order)
        names = [of_images[i] for i in place]
        if (unused := len(loaded) - len(np.unique(place))) > 0:
            notes = (*notes, f"{unused:,} of the {len(loaded):,} images have no embedding in {path}: they are left out")
        if parts is None and (of := part_of_each(config, loaded)) is not None:
            parts = of[place]
        if loaded.labels is not None and loaded.labels.ndim == 1:
            own = loaded.labels[place]
            if embeddings.labels is None or np.array_equal(embeddings.labels, own):  # numbers have no names in the file
                labels, classes = own, loaded.classes
        elif loaded.labels is not None:
            notes = (*notes, ATTRIBUTES)
        if (of_stored := stored_pixels(config, loaded)) is not None:
            stored = lambda positions: of_stored(place[positions])  # noqa: E731
    if embeddings.labels is not None and embeddings.labels.ndim > 1:
        notes = (*notes, ATTRIBUTES)
    collection = Collection(
        title=shortened(str(path)),
        names=[f"row {i}" for i in range(count)] if names is None else [files.printable(name) for name in names],
        pictures=pictures,
        parts=parts,
        labels=labels,
        classes=classes,
        notes=tuple(dict.fromkeys(notes)),
        stored=stored,
    )
    return collection, embeddings


def names_in(path: Path) -> list[str] | None:
    """The names of the images in a file of embeddings, as `write_embeddings` writes them; None: it has none."""
    try:
        if path.suffix == ".parquet":
            if "name" not in parquet.read_schema(path).names:
                return None
            return [str(name) for name in parquet.read_table(path, columns=["name"])["name"].to_pylist()]
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return arrays["name"].astype(str).tolist() if "name" in arrays.files else None
        beside = path.with_name(f"{path.stem}.names.txt")
        return beside.read_text(encoding="utf-8").splitlines() if beside.is_file() else None
    except Exception as error:  # Arrow, zipfile and numpy have errors of their own
        raise UserError(f"cannot read the names in {path}: {' '.join(str(error).split())[:200]}") from None


def _places(
    path: Path, names: list[str] | None, of_images: list[str], count: int
) -> tuple[np.ndarray, tuple[str, ...]]:
    """(N,) the image of each row, and a note where that is not by its name although it has one."""
    notes: tuple[str, ...] = ()
    if names is not None:
        called = [files.printable(name) for name in names]
        if called == of_images:  # a list may have one image twice
            return np.arange(count), ()
        known = {name: i for i, name in enumerate(of_images)}
        places = [known.get(name, -1) for name in called]
        if -1 not in places:
            return np.array(places), ()
        missing = called[places.index(-1)]
        if len(of_images) != count or max(places) >= 0:  # some are found: by their order all could be wrong
            raise UserError(f"--images has no image {missing!r}, which {path} names; give the folder it was made of")
        notes = (
            f"the names in {path}, such as {missing!r}, are not those of the images, such as {of_images[0]!r}: row "
            "i is taken for image i, which is right only if both have the same images in the same order",
        )
    if len(of_images) != count:
        raise UserError(
            f"{path} has {count:,} rows and --images {len(of_images):,} images: give the images it was made of, or a "
            "column `name` with the path of each"
        )
    return np.arange(count), notes


def _labels(embeddings: Embeddings, path: Path) -> tuple[np.ndarray | None, tuple[str, ...]]:
    if embeddings.labels is None or embeddings.labels.ndim > 1:
        return None, ()
    numbers, classes = number_labels([embeddings.labels], where=str(path))
    return numbers[0], classes
