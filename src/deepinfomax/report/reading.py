"""Reading a run folder. Every file may be missing, truncated or of another version."""

import json
import math
import sys
import tomllib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np

from deepinfomax import files, line_sums
from deepinfomax.errors import UserError
from deepinfomax.features import LEVELS
from deepinfomax.files import (
    CONFIG,
    DESCRIPTION,
    EVALUATION,
    GALLERY,
    GENERATED,
    METRICS,
    QUERIES,
    RECONSTRUCTIONS,
    SAMPLE,
)

FILES = (CONFIG, METRICS, EVALUATION, GALLERY, QUERIES, SAMPLE, RECONSTRUCTIONS, GENERATED)

SCHEMA = 1  #: of evaluation.json
MOST_COLUMNS = 200  #: different quantities in the steps of a run; further ones are passed over

Contents = TypeVar("Contents")


class Steps(Sequence[dict[str, float]]):
    """The logged steps of a run, in ascending order without repetitions: one column of numbers for each quantity.

    A million steps of twenty quantities take 160 MB in this form, but two gigabytes as dictionaries. `steps[-1]` is the
    last one, as a dictionary of its quantities.
    """

    def __init__(self, columns: dict[str, np.ndarray] | None = None) -> None:
        self.columns = columns or {}  #: name -> (n,) float64, NaN where a step has none; "step" among them

    def __len__(self) -> int:
        return len(self.columns.get("step", ()))

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        place = range(len(self))[place]  # IndexError past the end, also where there is no column to raise it
        row = {name: float(values[place]) for name, values in self.columns.items()}
        return {name: value for name, value in row.items() if value == value}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Steps) and list(self) == list(other)

    @classmethod
    def of(cls, entries: Iterable[dict[str, Any]]) -> Self:
        """Of entries in any order; of a step that is there twice the later counts."""
        columns: dict[str, array[float]] = {"step": array("d")}
        for entry in entries:
            _add(columns, entry)
        return cls(_by_step(columns))


@dataclass(frozen=True)
class Metrics:
    """metrics.jsonl: what a run wrote as it went."""

    start: dict[str, Any] = field(default_factory=dict)
    steps: Sequence[dict[str, Any]] = ()  #: by rising step, each step once; kept as `Steps`
    end: dict[str, Any] = field(default_factory=dict)  #: empty where the run did not finish
    damaged: int = field(default=0, compare=False)  #: lines that are not what the run wrote
    missing: int = field(default=0, compare=False)  #: lines that the run wrote and are gone

    def __post_init__(self) -> None:
        if not isinstance(self.steps, Steps):
            object.__setattr__(self, "steps", Steps.of(self.steps))

    @property
    def columns(self) -> dict[str, np.ndarray]:
        """The steps as `Steps` keeps them."""
        assert isinstance(self.steps, Steps)
        return self.steps.columns


@dataclass(frozen=True)
class Gallery:
    """gallery.npz: a bank of K images, and the nearest neighbours in it of Q of them."""

    images: np.ndarray  #: (K, C, H, W) uint8
    query: np.ndarray  #: (Q,) positions in the bank
    neighbours: dict[str, np.ndarray]  #: level -> (Q, k) positions in the bank, nearest first
    labels: np.ndarray | None = None  #: (K,) whole numbers
    metric: str = ""  #: of the distance, where the file names it
    names: tuple[str, ...] = ()  #: of the images, where the file has them
    classes: tuple[str, ...] = ()  #: names of the labels; of the training images where the file has none
    data: str = ""  #: what the images are called where they are not the run's own


@dataclass(frozen=True)
class Reconstructions:
    """reconstructions.npz: images and what a decoder made of their features."""

    images: np.ndarray  #: (n, C, H, W) uint8
    reconstructions: np.ndarray  #: (n, C, H, W) uint8
    #: (n,) root mean squared errors, where pictures are drawings of the numbers; None: those of the pixels count
    errors: np.ndarray | None = None


@dataclass(frozen=True)
class Generated:
    """generated.npz: what the run's own decoder or generator makes."""

    reconstructions: Reconstructions | None = None
    samples: np.ndarray | None = None  #: (m, C, H, W) uint8


@dataclass(frozen=True)
class Run:
    """Everything the report is made of."""

    folder: Path
    config: dict[str, Any] = field(default_factory=dict)
    metrics: Metrics = field(default_factory=Metrics)
    evaluation: dict[str, Any] = field(default_factory=dict)
    gallery: Gallery | None = None
    queries: Gallery | None = None  #: images that somebody asked the neighbours of
    sample: np.ndarray | None = None  #: (n, D) float, y of n images
    reconstructions: Reconstructions | None = None
    generated: Generated = field(default_factory=Generated)
    unreadable: dict[str, str] = field(default_factory=dict)  #: file -> why it could not be read


def read(folder: Path) -> Run:
    """Read everything that can be read in a run folder; `unreadable` names the other files.

    Raises:
        UserError: no folder, or one with none of a run's files.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise UserError(f"{folder} {what}; give a run folder, as `deepinfomax train DATA --out {folder}` makes one")
    files.check_plain(folder)
    if not any((folder / name).is_file() for name in FILES):
        raise UserError(f"{folder} is no run folder: it has no {CONFIG}; `deepinfomax train DATA --out RUN` makes one")
    unreadable: dict[str, str] = {}

    def attempt(name: str, reader: Callable[[Path], Contents], otherwise: Contents) -> Contents:
        if not (folder / name).is_file():
            if files.is_gone(folder / name):
                unreadable[name] = "it was written there and is gone"
            return otherwise
        try:
            contents = reader(folder / name)
            if name != METRICS and not files.as_written(folder / name):
                raise ValueError(files.OTHERWISE)
            return contents
        except KeyError as error:
            unreadable[name] = f"it has no {error.args[0]!r}"
        except RecursionError:
            unreadable[name] = "it is nested too deep"
        except Exception as error:  # a damaged file makes numpy, zipfile and tokenize raise errors of every kind
            unreadable[name] = " ".join(str(error).split()) or type(error).__name__
        return otherwise

    evaluation: dict[str, Any] = attempt(EVALUATION, _evaluation, {})
    if not _is_of_this_encoder(evaluation, folder / DESCRIPTION):
        unreadable[EVALUATION] = "its figures are of another encoder, or of this one before it was trained on"
        evaluation = {}
    metrics = attempt(METRICS, read_metrics, Metrics())
    if metrics.damaged or metrics.missing:
        counts = {"are damaged or changed by hand, and left out": metrics.damaged, "are gone": metrics.missing}
        said = [f"{count:,} of its lines {what}" for what, count in counts.items() if count]
        unreadable[METRICS] = " and ".join(said)
    return Run(
        folder=folder,
        config=attempt(CONFIG, _config, {}),
        metrics=metrics,
        evaluation=evaluation,
        gallery=attempt(GALLERY, _gallery, None),
        queries=attempt(QUERIES, _gallery, None),
        sample=attempt(SAMPLE, _sample, None),
        reconstructions=attempt(RECONSTRUCTIONS, _reconstructions, None),
        generated=attempt(GENERATED, _generated, Generated()),
        unreadable=unreadable,
    )


def at(tree: Any, *path: str) -> Any:
    """The value at a path through nested dictionaries; None if the path ends early."""
    for key in path:
        if not isinstance(tree, dict):
            return None
        tree = tree.get(key)
    return tree


def table(tree: Any, *path: str) -> dict[str, Any]:
    """The dictionary at a path; an empty one if there is none."""
    section = at(tree, *path)
    return section if isinstance(section, dict) else {}


def number(value: Any) -> float | None:
    """A finite number, or None."""
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max:
        return float(value)
    return None


def _config(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def read_metrics(path: Path) -> Metrics:
    """metrics.jsonl, also one that a kill has cut short; line by line, since a long run has a million of them."""
    start: dict[str, Any] = {}
    end: dict[str, Any] = {}
    damaged, found, known = 0, 0, line_sums.read(path.parent)

    def steps() -> Iterator[dict[str, Any]]:
        nonlocal start, end, damaged, found
        with path.open("rb") as lines:
            for line, written in line_sums.checked(lines, known):
                found += written
                damaged += not written and line.endswith(b"\n")  # else it was being written when the run was killed
                if not written:
                    continue
                try:
                    entry = json.loads(line)
                except (ValueError, RecursionError):
                    damaged += line.endswith(b"\n")
                    continue
                event, step = at(entry, "event"), number(at(entry, "step"))
                if event == "start":
                    start = entry
                elif event == "end":
                    end = entry
                elif event == "step" and step is not None:
                    yield entry

    kept = Steps.of(steps())
    missing = 0 if known is None else max(0, len(known) - found - damaged)
    return Metrics(start, kept, end, damaged, missing if missing > 1 else 0)


def _add(columns: dict[str, "array[float]"], entry: dict[str, Any]) -> None:
    """A step's numbers at the end of their columns; what it has none of is NaN."""
    count = len(columns["step"])
    for name, value in entry.items():
        given = number(value)
        if given is None or (name not in columns and len(columns) == MOST_COLUMNS):
            continue
        column = columns.setdefault(name, array("d"))
        column.extend([math.nan] * (count - len(column)))
        column.append(given)


def _by_step(columns: dict[str, "array[float]"]) -> dict[str, np.ndarray]:
    """Columns by rising step; of a step written twice, before and after a resume, the later counts."""
    count = len(columns["step"])
    if not count:
        return {}
    for column in columns.values():
        column.extend([math.nan] * (count - len(column)))
    arrays = {name: np.frombuffer(column, np.float64) for name, column in columns.items()}
    steps = arrays["step"]
    if (np.diff(steps) > 0).all():
        return arrays
    order = np.argsort(steps, kind="stable")
    last = order[np.append(np.diff(steps[order]) > 0, True)]
    return {name: values[last] for name, values in arrays.items()}


def _evaluation(path: Path) -> dict[str, Any]:
    tree = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(at(tree, "measures"), dict):
        raise ValueError("it has no 'measures'")
    if tree.get("schema", SCHEMA) != SCHEMA:
        raise ValueError(f"its schema is {tree['schema']!r}, this version reads {SCHEMA}")
    return tree


def _is_of_this_encoder(evaluation: dict[str, Any], description: Path) -> bool:
    """Whether figures are of the weights that lie in the folder; True where either does not say."""
    try:
        weights = at(json.loads(description.read_text(encoding="utf-8")), "fingerprint", "sha256")
    except (OSError, ValueError, RecursionError):
        return True
    return not isinstance(weights, str) or evaluation.get("weights", weights) == weights


@contextmanager
def _arrays(path: Path) -> Iterator[np.lib.npyio.NpzFile]:
    """The arrays of an .npz file; the file is closed whatever happens, which np.load by name does not promise."""
    with path.open("rb") as stream:
        file = np.load(stream, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise ValueError("it holds a single array without a name, not an .npz archive")
        with file:
            yield file


def _gallery(path: Path) -> Gallery:
    with _arrays(path) as file:
        images = _images(file["images"], "images")
        query = _positions(file["query"], len(images), "query", ndim=1)
        neighbours = {
            level: _positions(file[f"neighbours_{level}"], len(images), f"neighbours_{level}", ndim=2)
            for level in LEVELS
            if f"neighbours_{level}" in file
        }
        labels = file.get("labels")
        metric = str(file["metric"]) if "metric" in file else ""
        names = file.get("names")
        classes = tuple(str(name) for name in file["classes"]) if "classes" in file else ()
        data = str(file["data"]) if "data" in file else ""
    for level, rows in neighbours.items():
        if len(rows) != len(query):
            raise ValueError(f"neighbours_{level} has {len(rows)} rows for {len(query)} queries")
    if labels is not None and (labels.shape != (len(images),) or labels.dtype.kind not in "iu"):
        raise ValueError(f"labels are not one whole number for each of {len(images)} images")
    if names is not None and (names.shape != (len(images),) or names.dtype.kind != "U"):
        raise ValueError(f"names are not one text for each of {len(images)} images")
    named = () if names is None else tuple(names.tolist())
    return Gallery(images, query, neighbours, labels, metric, named, classes, data)


def _sample(path: Path) -> np.ndarray:
    with _arrays(path) as file:
        y = file["y"]
    if y.ndim < 2 or y.dtype.kind != "f" or y.size == 0:
        raise ValueError(f"y is {y.dtype} of shape {y.shape}, not numbers of shape (n, D)")
    if y.ndim > 2:  # (n, D, M): every global is a sample of its own, as the prior's critic sees it
        y = np.moveaxis(y, 1, -1).reshape(-1, y.shape[1])
    y = y[np.isfinite(y).all(axis=1)].astype(np.float64)
    if len(y) == 0:
        raise ValueError("y has no finite row")
    return y


def _reconstructions(path: Path) -> Reconstructions:
    with _arrays(path) as file:
        return _pairs(file)


def _generated(path: Path) -> Generated:
    with _arrays(path) as file:
        return Generated(
            reconstructions=_pairs(file) if "reconstructions" in file else None,
            samples=_images(file["samples"], "samples") if "samples" in file else None,
        )


def _pairs(file: np.lib.npyio.NpzFile) -> Reconstructions:
    images = _images(file["images"], "images")
    reconstructions = _images(file["reconstructions"], "reconstructions")
    if images.shape != reconstructions.shape:
        raise ValueError(f"images {images.shape} and reconstructions {reconstructions.shape} differ in shape")
    errors = file.get("errors")
    if errors is not None and (errors.shape != (len(images),) or errors.dtype.kind != "f"):
        raise ValueError(f"errors are {errors.dtype} of shape {errors.shape}, not one number an image")
    return Reconstructions(images, reconstructions, errors)


def _images(array: np.ndarray, name: str) -> np.ndarray:
    if array.ndim != 4 or array.dtype != np.uint8 or 0 in array.shape:
        raise ValueError(f"{name} are {array.dtype} of shape {array.shape}, not uint8 pictures (K, C, H, W)")
    return array


def _positions(array: np.ndarray, count: int, name: str, *, ndim: int) -> np.ndarray:
    if array.ndim != ndim or array.dtype.kind not in "iu":
        raise ValueError(f"{name} is {array.dtype} of shape {array.shape}, not {ndim}-d positions")
    if array.size and not 0 <= array.min() <= array.max() < count:
        raise ValueError(f"{name} points outside the {count} images")
    return array
