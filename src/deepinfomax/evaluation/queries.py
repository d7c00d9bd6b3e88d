"""Neighbours of images that somebody asks for: as records with names, as a table, and as pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepinfomax import files
from deepinfomax.data.images import ImageSet
from deepinfomax.data.pictures import drawable, pictures_of
from deepinfomax.evaluation.gallery import METRIC_NAMES, save_arrays
from deepinfomax.evaluation.neighbours import neighbours, other_neighbours
from deepinfomax.report.neighbour_sheet import draw, save

SHEET = "neighbours-queries.png"  #: in the run folder


@dataclass(frozen=True)
class Asked:
    """Images to search for, and what to call them."""

    pictures: ImageSet  #: Q of them, of the bank's shape
    words: tuple[str, ...]  #: as typed: an index, or the path of a file
    index: tuple[int | None, ...]  #: position in the bank of a query that is one of its images


@dataclass(frozen=True)
class Neighbours:
    """The neighbours of each query at each level, nearest first."""

    asked: Asked
    bank: ImageSet
    names: Sequence[str]  #: of the bank's images
    index: dict[str, list[np.ndarray]]  #: level -> for each query (k,) positions in the bank
    distance: dict[str, list[np.ndarray]]  #: level -> for each query (k,)
    metric: str

    def name(self, i: int) -> str:
        """What query `i` is called: the name of an image of the bank, or the file as typed."""
        own = self.asked.index[i]
        return self.asked.words[i] if own is None else self.names[own]

    def class_of(self, position: int) -> str:
        """The name of an image's class; "" where it has none."""
        labels = self.bank.labels
        if labels is None or labels.ndim > 1 or labels[position] < 0:
            return ""
        label = int(labels[position])
        return self.bank.classes[label] if label < len(self.bank.classes) else f"class {label}"


def search(
    asked: Asked, bank: ImageSet, vectors: Mapping[str, Tensor], of_asked: Mapping[str, Tensor], names: Sequence[str],
    count: int, metric: str,
) -> Neighbours:  # fmt: skip
    """The `count` nearest images of the bank to each query; a query by index is not its own neighbour.

    A file that holds an image of the bank is at distance 0 from it: batches of other sizes round differently, and what
    is computed may be 1e-7.

    Args:
        vectors: level -> (N, units), of the bank.
        of_asked: level -> (Q, units), of the queries.

    Raises:
        UserError: as `neighbours`.
    """
    answers = Neighbours(asked, bank, names, {level: [] for level in vectors}, {level: [] for level in vectors}, metric)
    for level, of_bank in vectors.items():
        for i, own in enumerate(asked.index):
            if own is not None:
                nearest = other_neighbours(of_bank, torch.tensor([own]), min(count, len(bank) - 1), metric)
            else:
                nearest = neighbours(of_asked[level][i : i + 1], of_bank, min(count, len(bank)), metric)
            index, distance = nearest[0][0].numpy(), nearest[1][0].numpy()
            if own is None:
                picture = asked.pictures.images[i]
                distance[[np.array_equal(bank.images[position], picture) for position in index]] = 0
                order = np.argsort(distance, kind="stable")
                index, distance = index[order], distance[order]
            answers.index[level].append(index)
            answers.distance[level].append(distance)
    return answers


def as_records(answers: Neighbours) -> list[dict[str, Any]]:
    """For JSON: of each query its words and name, and at each level indices, distances, names, and labels if any."""
    labels = answers.bank.labels
    records = []
    for i, words in enumerate(answers.asked.words):
        record: dict[str, Any] = {"query": words, "name": answers.name(i)}
        for level, nearest in answers.index.items():
            index = nearest[i]
            record[level] = {
                "index": index.tolist(),
                "distance": [float(f"{d:.6g}") for d in answers.distance[level][i]],
                "name": [answers.names[position] for position in index],
            }
            if labels is not None:
                record[level]["label"] = np.asarray(labels[index]).tolist()
            if labels is not None and labels.ndim == 1:
                record[level]["class"] = [answers.class_of(position) for position in index]
        records.append(record)
    return records


def as_table(answers: Neighbours, level: str = "y") -> str:
    """For a terminal: under each query its neighbours at one level, with distance, class and name."""
    lines = []
    for i in range(len(answers.asked.words)):
        own = answers.asked.index[i]
        of_class = "" if own is None else answers.class_of(own)
        called = f"{answers.name(i)} ({of_class})" if of_class else answers.name(i)
        lines.append(f"{called}: nearest in {level} by {METRIC_NAMES[answers.metric]}")
        index, distance = answers.index[level][i], answers.distance[level][i]
        classes = [answers.class_of(position) for position in index]
        width = max([len(name) for name in classes] or [0])
        for rank, (position, far, name) in enumerate(zip(index, distance, classes, strict=True), 1):
            lines.append(f"  {rank:3d}  {far:10.4g}  {name:{width}s}{'  ' if width else ''}{answers.names[position]}")
        lines.append("")
    return "\n".join(lines[:-1])


def as_pictures(answers: Neighbours) -> dict[str, np.ndarray] | None:
    """The arrays of a gallery that holds the queries, first, and their neighbours; None for what cannot be drawn."""
    bank, asked = answers.bank, answers.asked
    count = min((len(index) for nearest in answers.index.values() for index in nearest), default=0)
    if not drawable(bank.shape) or count == 0:
        return None
    used = sorted({int(position) for nearest in answers.index.values() for index in nearest for position in index})
    place = {position: len(asked.words) + i for i, position in enumerate(used)}
    arrays = {
        "images": pictures_of(np.concatenate([asked.pictures.images, bank.images[np.array(used)]])),
        "query": np.arange(len(asked.words)),
        "names": np.array([*(answers.name(i) for i in range(len(asked.words))), *(answers.names[p] for p in used)]),
        "metric": np.array(METRIC_NAMES[answers.metric]),
    }
    for level, nearest in answers.index.items():
        arrays[f"neighbours_{level}"] = np.array([[place[int(p)] for p in index[:count]] for index in nearest])
    if bank.labels is not None and bank.labels.ndim == 1:
        of_asked = [-1 if own is None else bank.labels[own] for own in asked.index]
        arrays["labels"] = np.array([*of_asked, *bank.labels[np.array(used)]], dtype=np.int64)
        arrays["classes"] = np.array(bank.classes, dtype=np.str_)
    return arrays


def write_sheet(answers: Neighbours, arrays: Mapping[str, np.ndarray], run: Path) -> Path:
    """A picture of the queries with their neighbours in y, into the run folder."""
    figure = draw(
        arrays["images"],
        arrays["query"],
        {f"nearest in y by {METRIC_NAMES[answers.metric]}": arrays["neighbours_y"]},
        arrays.get("labels"),
        answers.bank.classes,
        names=[shortened(name) for name in arrays["names"]],
    )
    save(figure, run / SHEET)
    return run / SHEET


def write_queries(arrays: Mapping[str, np.ndarray], run: Path) -> None:
    """What the report shows of the queries."""
    save_arrays(run / files.QUERIES, **arrays)


def shortened(name: str, width: int = 16) -> str:
    """The last part of a path, its middle left out where it is long."""
    last = name.rsplit("/", 1)[-1]
    return last if len(last) <= width else f"{last[: width // 2 - 1]}…{last[-width // 2 :]}"
