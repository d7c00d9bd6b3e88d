"""The sheet of images with their nearest neighbours at every level, from gallery.npz and queries.npz."""

from dataclasses import dataclass, replace
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
    label: str  #: "" if there is none
    same: bool = False  #: whether its label is the query's
    path: str = ""  #: its name in full, "" where it has none

    @property
    def name(self) -> str:
        """The last part of its name, for a caption."""
        return self.path.rstrip("/").rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Query:
    """A sample image, or one that somebody asked for, and its neighbours by level, nearest first."""

    number: int  #: from 1, as in the address #q=1
    picture: Picture
    neighbours: dict[str, list[Picture]]
    asked: bool = False


@dataclass(frozen=True)
class Sheet:
    """The whole sheet; every picture is stored once and referred to by its position."""

    queries: list[Query]
    pictures: dict[int, str]  #: position -> data URI
    levels: list[str]
    #: level -> (neighbours with the query's label, neighbours) of queries that have a label; {}: none has
    shared: dict[str, tuple[int, int]]
    bank: int
    left_out: int  #: queries for which there was no room
    size: tuple[int, int]  #: height and width in pixels, for the aspect
    metric: str
    first: int  #: number of the query that is open at first
    data: str = ""  #: what the bank is called where it is not of the run's own images

    @property
    def exact(self) -> bool:
        """Whether the pictures are kept pixel by pixel, and may be shown so."""
        return max(self.size) <= EXACT_UP_TO


def sheet(run: Run) -> Sheet | None:
    """What somebody asked for, then samples; None if there is no gallery, or an empty one."""
    galleries = [g for g in (run.queries, run.gallery) if g is not None and len(g.query)]
    if not galleries:
        return None
    of_run = at(run.metrics.start, "data", "classes")
    queries: list[Query] = []
    images: dict[int, np.ndarray] = {}
    left_out = 0
    for gallery in galleries:
        asked = gallery is run.queries
        classes = list(gallery.classes) or (None if gallery.data else of_run)
        offset = len(run.gallery.images) if asked and run.gallery is not None else 0
        for i, position in enumerate(gallery.query.tolist()):
            nearest = {level: rows[i, :COLUMNS].tolist() for level, rows in gallery.neighbours.items()}
            wanted = {offset + p: gallery.images[p] for p in {position}.union(*nearest.values())}
            if len(images | wanted) > PICTURES and queries:
                left_out += len(gallery.query) - i
                break
            images |= wanted
            label = _label(gallery, classes, position)
            near = {v: [_picture(gallery, classes, p, label, offset) for p in row] for v, row in nearest.items()}
            queries.append(Query(0, _picture(gallery, classes, position, "", offset), near, asked))
    queries = [replace(query, number=number) for number, query in enumerate(queries, 1)]
    levels = list(galleries[-1].neighbours)
    samples = [query for query in queries if not query.asked]
    labelled = [query for query in samples if query.picture.label]
    shared = {level: _shared(labelled, level) for level in levels} if labelled else {}
    height, width = galleries[-1].images.shape[2:]
    return Sheet(
        queries=queries,
        pictures={position: data_uri(images[position]) for position in sorted(images)},
        levels=levels,
        shared=shared,
        bank=len(galleries[-1].images) if samples else 0,
        left_out=left_out,
        size=(height, width),
        metric=galleries[-1].metric,
        first=queries[0].number if queries[0].asked or not shared else _typical(labelled, levels[-1]),
        data=galleries[-1].data,
    )


def _shared(queries: list[Query], level: str) -> tuple[int, int]:
    """Neighbours with their query's label, and neighbours; the queries have labels."""
    same = [picture.same for query in queries for picture in query.neighbours[level]]
    return sum(same), len(same)


def _typical(queries: list[Query], level: str) -> int:
    """The sample whose share of neighbours with its own label is nearest to the mean; the first of several."""
    shares = {query.number: _shared([query], level) for query in queries}
    same, count = _shared(queries, level)
    mean = same / max(1, count)
    return min(shares, key=lambda number: abs(shares[number][0] / max(1, shares[number][1]) - mean))


def _picture(gallery: Gallery, classes: Any, position: int, of_query: str, offset: int) -> Picture:
    label = _label(gallery, classes, position)
    path = gallery.names[position] if gallery.names else ""
    return Picture(offset + position, label, same=bool(label) and label == of_query, path=path)


def _label(gallery: Gallery, classes: Any, position: int) -> str:
    if gallery.labels is None:
        return ""
    label = int(gallery.labels[position])
    if label < 0:  # images without a label in a set that has some
        return ""
    return str(classes[label]) if isinstance(classes, list) and label < len(classes) else f"class {label}"


@dataclass(frozen=True)
class Pair:
    """An image and what was decoded from its features."""

    image: str
    reconstruction: str
    error: float  #: root of the mean squared error: of pixels as a fraction of the range from black to white
    exact: bool  #: whether both are kept pixel by pixel
    drawing: bool = False  #: whether these are drawings of numbers, and the error is that of the numbers


def pairs(reconstructions: Reconstructions | None, count: int = 16) -> list[Pair]:
    """The first so many reconstructions; empty if there are none."""
    if reconstructions is None:
        return []
    shown, errors = [], reconstructions.errors
    for i, image in enumerate(reconstructions.images[:count]):
        made = reconstructions.reconstructions[i]
        of_pixels = float(np.sqrt(np.mean((image.astype(float) - made.astype(float)) ** 2))) / 255
        error = of_pixels if errors is None else float(errors[i])
        exact = max(image.shape[1:]) <= EXACT_UP_TO
        shown.append(Pair(data_uri(image), data_uri(made), error, exact, drawing=errors is not None))
    return shown


@dataclass(frozen=True)
class Samples:
    """Generated images."""

    images: list[str]
    exact: bool  #: whether they are kept pixel by pixel


def samples(run: Run, count: int = 32) -> Samples | None:
    """The first so many images drawn from the prior; None if there are none."""
    made = run.generated.samples
    if made is None:
        return None
    return Samples([data_uri(image) for image in made[:count]], max(made.shape[2:]) <= EXACT_UP_TO)
