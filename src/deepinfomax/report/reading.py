"""What lies in a run folder, read as it is: every file may be missing, cut short or of another version."""

import json
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from deepinfomax.errors import UserError
from deepinfomax.features import LEVELS

CONFIG, METRICS, EVALUATION = "config.toml", "metrics.jsonl", "evaluation.json"
GALLERY, SAMPLE, QUERIES = "gallery.npz", "embeddings_sample.npz", "queries.npz"
RECONSTRUCTIONS, GENERATED = "reconstructions.npz", "generated.npz"
FILES = (CONFIG, METRICS, EVALUATION, GALLERY, QUERIES, SAMPLE, RECONSTRUCTIONS, GENERATED)

SCHEMA = 1  #: of evaluation.json

Contents = TypeVar("Contents")


@dataclass(frozen=True)
class Metrics:
    """metrics.jsonl: what a run wrote as it went."""

    start: dict[str, Any] = field(default_factory=dict)
    steps: tuple[dict[str, Any], ...] = ()  #: by rising step, each step once
    end: dict[str, Any] = field(default_factory=dict)  #: empty where the run did not finish


@dataclass(frozen=True)
class Gallery:
    """gallery.npz: a bank of K images, and the nearest neighbours in it of Q of them."""

    images: np.ndarray  #: (K, C, H, W) uint8
    query: np.ndarray  #: (Q,) positions in the bank
    neighbours: dict[str, np.ndarray]  #: level -> (Q, k) positions in the bank, nearest first
    labels: np.ndarray | None = None  #: (K,) whole numbers
    metric: str = ""  #: of the distance, where the file names it
    names: tuple[str, ...] = ()  #: of the images, where the file has them


@dataclass(frozen=True)
class Reconstructions:
    """reconstructions.npz: images and what a decoder made of their features."""

    images: np.ndarray  #: (n, C, H, W) uint8
    reconstructions: np.ndarray  #: (n, C, H, W) uint8


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
    """Everything readable in a run folder; what is not, is named in `unreadable`.

    Raises:
        UserError: no folder, or one with none of a run's files.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise UserError(f"{folder} {what}; give a run folder, as `deepinfomax train DATA --out {folder}` makes one")
    if not any((folder / name).is_file() for name in FILES):
        raise UserError(f"{folder} is no run folder: it has no {CONFIG}; `deepinfomax train DATA --out RUN` makes one")
    unreadable: dict[str, str] = {}

    def attempt(name: str, reader: Callable[[Path], Contents], otherwise: Contents) -> Contents:
        if not (folder / name).is_file():
            return otherwise
        try:
            return reader(folder / name)
        except KeyError as error:
            unreadable[name] = f"it has no {error.args[0]!r}"
        except RecursionError:
            unreadable[name] = "it is nested too deep"
        except Exception as error:  # a damaged file makes numpy, zipfile and tokenize raise errors of every kind
            unreadable[name] = " ".join(str(error).split()) or type(error).__name__
        return otherwise

    return Run(
        folder=folder,
        config=attempt(CONFIG, _config, {}),
        metrics=attempt(METRICS, read_metrics, Metrics()),
        evaluation=attempt(EVALUATION, _evaluation, {}),
        gallery=attempt(GALLERY, _gallery, None),
        queries=attempt(QUERIES, _gallery, None),
        sample=attempt(SAMPLE, _sample, None),
        reconstructions=attempt(RECONSTRUCTIONS, _reconstructions, None),
        generated=attempt(GENERATED, _generated, Generated()),
        unreadable=unreadable,
    )


def at(tree: Any, *path: str) -> Any:
    """The value at a path through nested dictionaries; None where the path ends early."""
    for key in path:
        if not isinstance(tree, dict):
            return None
        tree = tree.get(key)
    return tree


def table(tree: Any, *path: str) -> dict[str, Any]:
    """The dictionary at a path; an empty one where there is none."""
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
    """metrics.jsonl, also one that a kill has cut short."""
    start: dict[str, Any] = {}
    end: dict[str, Any] = {}
    steps: dict[float, dict[str, Any]] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue  # most often the line that was being written when the run was killed
        event, step = at(entry, "event"), number(at(entry, "step"))
        if event == "start":
            start = entry
        elif event == "end":
            end = entry
        elif event == "step" and step is not None:
            steps[step] = entry  # of a step written twice, before and after a resume, the later counts
    return Metrics(start, tuple(steps[step] for step in sorted(steps)), end)


def _evaluation(path: Path) -> dict[str, Any]:
    tree = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(at(tree, "measures"), dict):
        raise ValueError("it has no 'measures'")
    if tree.get("schema", SCHEMA) != SCHEMA:
        raise ValueError(f"its schema is {tree['schema']!r}, this version reads {SCHEMA}")
    return tree


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
    for level, rows in neighbours.items():
        if len(rows) != len(query):
            raise ValueError(f"neighbours_{level} has {len(rows)} rows for {len(query)} queries")
    if labels is not None and (labels.shape != (len(images),) or labels.dtype.kind not in "iu"):
        raise ValueError(f"labels are not one whole number for each of {len(images)} images")
    if names is not None and (names.shape != (len(images),) or names.dtype.kind != "U"):
        raise ValueError(f"names are not one text for each of {len(images)} images")
    return Gallery(images, query, neighbours, labels, metric, () if names is None else tuple(names.tolist()))


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
    return Reconstructions(images, reconstructions)


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
