"""gallery.npz -> the sheet: sample images, each with its nearest neighbours at every level."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from deepinfomax.report.data_uris import EXACT_UP_TO, data_uri
from deepinfomax.report.reading import Gallery, Reconstructions, Run, at

PICTURES = 300  #: different pictures at most, so that the file stays a file one can send
COLUMNS = 8  #: neighbours shown of each query at most


@dataclass(frozen=True)
class Picture:
    """One image of the bank, wherever it appears."""

    position: int
    label: str  #: "" where there is none
    same: bool = False  #: whether its label is the query's


@dataclass(frozen=True)
class Query:
    """A sample image and its neighbours by level, nearest first."""

    number: int  #: from 1, as in the address #q=1
    picture: Picture
    neighbours: dict[str, list[Picture]]


@dataclass(frozen=True)
class Sheet:
    """The whole sheet; every picture is stored once and referred to by its position."""

    queries: list[Query]
    pictures: dict[int, str]  #: position -> data URI
    levels: list[str]
    shared: dict[str, tuple[int, int]]  #: level -> (neighbours with the query's label, neighbours); {} without labels
    bank: int
    left_out: int  #: queries for which there was no room
    size: tuple[int, int]  #: height and width in pixels, for the aspect
    metric: str

    @property
    def exact(self) -> bool:
        """Whether the pictures are kept pixel by pixel, and may be shown so."""
        return max(self.size) <= EXACT_UP_TO


def sheet(run: Run) -> Sheet | None:
    """None where there is no gallery, or an empty one."""
    gallery = run.gallery
    if gallery is None or len(gallery.query) == 0:
        return None
    names = at(run.metrics.start, "data", "classes")
    queries: list[Query] = []
    used: set[int] = set()
    for i, position in enumerate(gallery.query.tolist()):
        nearest = {level: rows[i, :COLUMNS].tolist() for level, rows in gallery.neighbours.items()}
        wanted = used.union([position], *nearest.values())
        if len(wanted) > PICTURES and queries:
            break
        used = wanted
        own = _label(gallery, names, position)
        near = {level: [_picture(gallery, names, p, own) for p in row] for level, row in nearest.items()}
        queries.append(Query(len(queries) + 1, Picture(position, own), near))
    levels = list(gallery.neighbours)
    shared = {}
    if gallery.labels is not None:
        for level in levels:
            same = [p.same for query in queries for p in query.neighbours[level]]
            shared[level] = (sum(same), len(same))
    height, width = gallery.images.shape[2:]
    return Sheet(
        queries=queries,
        pictures={p: data_uri(gallery.images[p]) for p in sorted(used)},
        levels=levels,
        shared=shared,
        bank=len(gallery.images),
        left_out=len(gallery.query) - len(queries),
        size=(height, width),
        metric=gallery.metric,
    )


def _picture(gallery: Gallery, names: Any, position: int, of_query: str) -> Picture:
    label = _label(gallery, names, position)
    return Picture(position, label, same=bool(label) and label == of_query)


def _label(gallery: Gallery, names: Any, position: int) -> str:
    if gallery.labels is None:
        return ""
    label = int(gallery.labels[position])
    if label < 0:  # images without a label in a set that has some
        return ""
    return str(names[label]) if isinstance(names, list) and label < len(names) else f"class {label}"


@dataclass(frozen=True)
class Pair:
    """An image and what was decoded from its features."""

    image: str
    reconstruction: str
    error: float  #: root of the mean squared error, as a fraction of the range from black to white
    exact: bool  #: whether both are kept pixel by pixel


def pairs(reconstructions: Reconstructions | None, count: int = 16) -> list[Pair]:
    """The first so many reconstructions; empty where there are none."""
    if reconstructions is None:
        return []
    shown = []
    for image, made in zip(reconstructions.images[:count], reconstructions.reconstructions[:count], strict=True):
        error = float(np.sqrt(np.mean((image.astype(float) - made.astype(float)) ** 2))) / 255
        shown.append(Pair(data_uri(image), data_uri(made), error, max(image.shape[1:]) <= EXACT_UP_TO))
    return shown


@dataclass(frozen=True)
class Samples:
    """Images that no one photographed."""

    images: list[str]
    exact: bool  #: whether they are kept pixel by pixel


def samples(run: Run, count: int = 32) -> Samples | None:
    """The first so many images drawn from the prior; None where there are none."""
    made = run.generated.samples
    if made is None:
        return None
    return Samples([data_uri(image) for image in made[:count]], max(made.shape[2:]) <= EXACT_UP_TO)
