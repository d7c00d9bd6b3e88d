"""The results as tables: a CSV for each question, and one with a row for every image."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from deepinfomax import files
from deepinfomax.explore.analysis import Exploration

Row = Sequence[object]


def write_tables(exploration: Exploration, page: Path) -> dict[str, Path]:
    """Write PAGE-images.csv and so on beside the page; returns them by what they hold."""
    tables: dict[str, tuple[Row, Iterable[Row]]] = {
        "images": (_images_header(exploration), _images(exploration)),
        "clusters": (("group", "images", "rank", "name", "part", "class"), _clusters(exploration)),
        "duplicates": (DUPLICATES, _duplicates(exploration)),
        "outliers": (("rank", "name", "part", "class", "score", "score_by_control"), _outliers(exploration)),
    }
    if exploration.main.doubts is not None:
        tables["labels"] = (LABELS, _labels(exploration))
    written = {}
    for name, (header, rows) in tables.items():
        path = table_file(page, name)
        with files.replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows(rows)
        written[name] = path
    return written


NAMES = ("images", "clusters", "duplicates", "outliers", "labels")  #: of all tables


def table_file(page: Path, name: str) -> Path:
    """The file of a table."""
    return page.with_name(f"{page.stem}-{name}.csv")


DUPLICATES = (
    "rank", "first", "second", "alike", "identical", "first_part", "second_part", "first_class", "second_class",
    "found_by",
)  # fmt: skip
LABELS = (
    "rank", "name", "part", "label", "suggested", "probability_of_label", "probability_of_suggested",
    "doubted_by_control",
)  # fmt: skip


def _images_header(exploration: Exploration) -> list[str]:
    header = ["name", "part", "class", "group", "outlier_score", "probability_of_label"]
    return header + [f"{axis}_by_{view.name}" for view in exploration.views for axis in "xy"]


def _images(exploration: Exploration) -> Iterator[Row]:
    collection, main = exploration.collection, exploration.main
    for i, name in enumerate(collection.names):
        likely = "" if main.doubts is None or np.isnan(main.doubts.likely[i]) else f"{main.doubts.likely[i]:.4f}"
        group = int(main.clusters.of[i])
        places = [f"{one:.4f}" for view in exploration.views for one in view.places[i]]
        about = (collection.part_of(i), collection.class_of(i), group + 1 if group >= 0 else "")
        yield name, *about, f"{main.outliers[i]:.4f}", likely, *places


def _clusters(exploration: Exploration) -> Iterator[Row]:
    collection = exploration.collection
    for group, members in enumerate(exploration.main.clusters.central, 1):
        for rank, i in enumerate(members.tolist(), 1):
            yield group, len(members), rank, collection.names[i], collection.part_of(i), collection.class_of(i)


def _duplicates(exploration: Exploration) -> Iterator[Row]:
    collection, copies = exploration.collection, exploration.main.duplicates
    for rank, (pair, by) in enumerate(zip(copies.pairs.tolist(), exploration.found_by.tolist(), strict=True), 1):
        a, b = pair
        yield (
            rank,
            collection.names[a],
            collection.names[b],
            f"{copies.alike[rank - 1]:.4f}",
            "yes" if copies.identical[rank - 1] else "no",
            *(collection.part_of(i) for i in pair),
            *(collection.class_of(i) for i in pair),
            searches(exploration, by),
        )


def searches(exploration: Exploration, by: int) -> str:
    """Which search found a pair, in words."""
    names = [view.name for view in exploration.views]
    return " and ".join(name for bit, name in zip((1, 2), names, strict=False) if by & bit)


def _outliers(exploration: Exploration) -> Iterator[Row]:
    collection, scores = exploration.collection, exploration.main.outliers
    for rank, i in enumerate(np.argsort(-scores, kind="stable").tolist(), 1):
        other = "" if exploration.control is None else f"{exploration.control.outliers[i]:.4f}"
        about = (collection.names[i], collection.part_of(i), collection.class_of(i))
        yield rank, *about, f"{scores[i]:.4f}", other


def _labels(exploration: Exploration) -> Iterator[Row]:
    collection, doubts = exploration.collection, exploration.main.doubts
    assert doubts is not None
    control = None if exploration.control is None else exploration.control.doubts
    too = set() if control is None else set(control.doubtful.tolist())
    for rank, i in enumerate(doubts.doubtful.tolist(), 1):
        yield (
            rank,
            collection.names[i],
            collection.part_of(i),
            collection.class_of(i),
            collection.class_name(int(doubts.suggested[i])),
            f"{doubts.likely[i]:.4f}",
            f"{doubts.suggested_likely[i]:.4f}",
            "" if control is None else "yes" if i in too else "no",
        )
