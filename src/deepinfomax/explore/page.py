"""The page: all results in one HTML file that needs no other file and no network."""

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepinfomax import __version__
from deepinfomax.explore.analysis import UNUSUAL, Exploration, View
from deepinfomax.explore.collection import Collection
from deepinfomax.explore.label_doubts import FOLDS
from deepinfomax.explore.sheets import COLUMNS, Sheets, sheets
from deepinfomax.explore.tables import searches
from deepinfomax.report import rendering
from deepinfomax.report.data_uris import EXACT_UP_TO, data_uri
from deepinfomax.report.rendering import script, templates

CENTRAL, OUTLIERS, DOUBTS = 8, 48, 60  #: pictures shown at most; the tables have all
GROUPS, COPIES = 60, 6  #: groups of near-copies shown at most, and pictures of each
NEAR = 6  #: neighbours shown of the chosen image


@dataclass(frozen=True)
class Item:
    """One image of a list."""

    position: int
    name: str
    part: str
    label: str

    @property
    def short(self) -> str:
        return self.name.rstrip("/").rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Row:
    """A figure of the encoder beside that of the control."""

    what: str
    says: str
    values: list[str]
    better: int | None  #: which of the values is the better one; None: neither


def write_page(exploration: Exploration, path: Path, *, about: list[tuple[str, str]], tables: Iterable[Path], seed: int) -> Path:  # fmt: skip  # noqa: E501
    """Write the page.

    Args:
        about: how it was made, lines of a name and a value.
        tables: CSV files beside it.
        seed: draws the images that have a picture on the map, where there are too many for all.
    """
    environment = templates("deepinfomax.explore")
    lists = Lists(exploration)
    sheet = None
    if exploration.collection.pictures is not None:
        sheet = sheets(exploration.collection.pictures, np.array(sorted(lists.shown), np.int64), seed=seed)
    text = environment.get_template("explore.html").render(
        exploration=exploration,
        collection=exploration.collection,
        lists=lists,
        main=exploration.main.name,
        control=None if exploration.control is None else exploration.control.name,
        sentence=sentence(exploration),
        added=added(exploration),
        rows=compared(exploration),
        facts=facts(exploration),
        gain=gain(exploration),
        groups=len(exploration.main.duplicates.groups()),
        pictures=_stored(exploration.collection, lists.shown),
        size=(1, 1) if exploration.collection.pictures is None else exploration.collection.pictures.shape[2:],
        exact_up_to=EXACT_UP_TO,
        data=json.dumps(map_data(exploration, sheet), allow_nan=False).replace("<", "\\u003c"),
        about=about,
        tables=[table.name for table in tables],
        version=__version__,
        unusual=UNUSUAL,
        **script(environment, "explore.js"),
    )
    return rendering.write_page(path, text)


class Lists:
    """The heads of all lists, as the page shows them, and which images they need."""

    def __init__(self, exploration: Exploration) -> None:
        self.shown: set[int] = set()
        collection, main = exploration.collection, exploration.main
        self.clusters: list[dict[str, Any]] = [
            {
                "number": number,
                "count": len(members),
                "central": [self._item(collection, i) for i in members[:CENTRAL].tolist()],
                "classes": _commonest(collection, members),
            }
            for number, members in enumerate(main.clusters.central, 1)
        ]
        self.left_over = int((main.clusters.of < 0).sum())
        self.copies = self._copies(exploration)
        self.outliers = [self._outliers(exploration, view) for view in exploration.views]
        self.doubts = self._doubts(exploration)
        kept = {item.position for group in self.clusters for item in group["central"]}
        kept |= {item.position for group in self.copies for item in group["images"]}
        kept |= {entry["image"].position for entries in self.outliers for entry in entries}
        self.shown = kept | {entry["image"].position for entry in self.doubts}

    def _item(self, collection: Collection, i: int) -> Item:
        return Item(i, collection.names[i], collection.part_of(i), collection.class_of(i))

    def _copies(self, exploration: Exploration) -> list[dict[str, Any]]:
        """Groups of near-copies: those across parts first, then the most alike."""
        collection, copies = exploration.collection, exploration.main.duplicates
        groups: list[dict[str, Any]] = []
        for members, rows in copies.groups_with_pairs():
            by = int(np.bitwise_or.reduce(exploration.found_by[rows]))
            groups.append(
                {
                    "images": [self._item(collection, i) for i in members[:COPIES].tolist()],
                    "count": len(members),
                    "alike": float(copies.alike[rows].max()),
                    "identical": bool(copies.identical[rows].all()),
                    "across": len({collection.part_of(i) for i in members.tolist()}) > 1,
                    "by": "" if exploration.control is None or by == 3 else searches(exploration, by),
                    "classes": sorted({collection.class_of(i) for i in members.tolist()} - {""}),
                }
            )
        return sorted(groups, key=lambda g: (not g["across"], not g["identical"], -g["alike"]))[:GROUPS]

    def _outliers(self, exploration: Exploration, view: View) -> list[dict[str, Any]]:
        """The most unusual by one view; of each its rank by the other."""
        other = next((v for v in exploration.views if v is not view), None)
        ranks = None if other is None else np.argsort(np.argsort(-other.outliers, kind="stable"))
        order = np.argsort(-view.outliers, kind="stable")[: OUTLIERS if view is exploration.main else OUTLIERS // 4]
        return [
            {
                "image": self._item(exploration.collection, i),
                "score": float(view.outliers[i]),
                "other_rank": None if ranks is None else int(ranks[i]) + 1,
            }
            for i in order.tolist()
        ]

    def _doubts(self, exploration: Exploration) -> list[dict[str, Any]]:
        doubts, collection = exploration.main.doubts, exploration.collection
        if doubts is None:
            return []
        control = None if exploration.control is None else exploration.control.doubts
        too = set() if control is None else set(control.doubtful.tolist())
        return [
            {
                "image": self._item(collection, i),
                "suggested": collection.class_name(int(doubts.suggested[i])),
                "likely": float(doubts.likely[i]),
                "suggested_likely": float(doubts.suggested_likely[i]),
                "too": i in too,
            }
            for i in doubts.doubtful[:DOUBTS].tolist()
        ]


def sentence(exploration: Exploration) -> str:
    """What is in the folder, in one sentence."""
    main, collection = exploration.main, exploration.collection
    if main.clusters.method == "hdbscan":
        groups = _counted(len(main.clusters), "group", "groups")
    else:
        parts = _counted(len(main.clusters), "part", "parts")
        groups = f"no groups with gaps between them (cut into {parts})"
    across = int(main.duplicates.across(collection.parts).sum())
    copies = _counted(len(main.duplicates), "pair of near-copies", "pairs of near-copies")
    if across:
        copies += f", {across:,} of them across {_and(list(dict.fromkeys(collection.parts)))}"  # type: ignore[arg-type]
    said = [groups, copies, _counted(int((main.outliers >= UNUSUAL).sum()), "outlier", "outliers")]
    if main.doubts is not None:
        said.append(
            f"{len(main.doubts.doubtful):,} of {main.doubts.judged:,} labels{_judged(exploration)} in doubt, by a "
            f"classifier that gives "
            f"{main.doubts.accuracy:.0%} of them the label that they have"
        )
    what = "rows of vectors" if collection.pictures is None else "images"
    return f"{len(collection):,} {what}: {'; '.join(said)}."


def _judged(exploration: Exploration) -> str:
    """ " (of classes with 5 images or more)", where some labels cannot be judged; otherwise ""."""
    doubts = exploration.main.doubts
    return f" (of classes with {FOLDS} images or more)" if doubts is not None and doubts.too_few else ""


def added(exploration: Exploration) -> str:
    """What the encoder adds to the control, in words, also if it adds nothing."""
    if exploration.control is None:
        images = " To compare, give the images they were made of: --images IMAGES."
        more = images if exploration.collection.pictures is None else ""
        return f"There is no control beside these vectors, so nothing says what they add to plain pixels.{more}"
    main, control = exploration.main, exploration.control
    said = []
    if main.same_class is not None and control.same_class is not None:
        gain = main.same_class - control.same_class
        words = "more than" if gain > 0.005 else "fewer than" if gain < -0.005 else "as many as"
        said.append(
            f"Of an image's {exploration.voters} nearest, {main.same_class:.1%} have its class by the {main.name}, "
            f"{words} by {control.name} ({control.same_class:.1%})."
        )
    only = [int((exploration.found_by == by).sum()) for by in (1, 2)]
    if len(main.duplicates):
        said.append(
            f"Near-copies found by the {main.name} alone: {only[0]:,} of {len(main.duplicates):,}; by {control.name} "
            f"alone: {only[1]:,}."
        )
    return " ".join(said) or f"Nothing here can be counted that tells the {main.name} from {control.name}."


def gain(exploration: Exploration) -> tuple[str, str]:
    """The tile of what the encoder adds: a number and what it counts; without labels or a control, names alone."""
    main, control = exploration.main, exploration.control
    if control is None:
        return main.name, "without a control"
    if main.same_class is None or control.same_class is None:
        return main.name, f"beside {control.name}"
    points = round(100 * (main.same_class - control.same_class))
    return f"{points:+d}".replace("-", "−") + " points", f"own class, beside {control.name}"


def compared(exploration: Exploration) -> list[Row]:
    """Figures of the encoder beside the control's."""
    views = exploration.views
    rows: list[Row] = []

    def row(what: str, says: str, values: list[float | None], form: str) -> None:
        if any(value is None for value in values):
            return
        numbers = [value for value in values if value is not None]
        shown = [format(value, form) for value in numbers]
        better = int(np.argmax(numbers)) if len(set(shown)) > 1 else None
        rows.append(Row(what, says, shown, better))

    chance = _chance(exploration.collection)
    by_chance = "" if chance is None else f"; by chance {chance:.0%}"
    row("own class", f"share of the {exploration.voters} nearest with an image's class{by_chance}", [v.same_class for v in views], ".1%")  # fmt: skip  # noqa: E501
    row("groups and classes", "adjusted mutual information; 0: by chance, 1: the same", [v.cluster_agreement for v in views], ".2f")  # fmt: skip  # noqa: E501
    row("classes told", "labels that the others give rightly, out of sample", [None if v.doubts is None else v.doubts.accuracy for v in views], ".1%")  # fmt: skip  # noqa: E501
    if exploration.control is not None:
        finds = [float(((exploration.found_by & by) > 0).sum()) for by in (1, 2)]
        row("near-copies", "pairs that the pixels confirm", [*finds], ",.0f")
    row(
        "map",
        f"neighbours that are neighbours on the map, of {exploration.voters}",
        [v.map_keeps for v in views],
        ".0%",
    )
    return rows


def facts(exploration: Exploration) -> list[tuple[str, str, str]]:
    """Tiles of the head: a number, what it counts, and where on the page."""
    main = exploration.main
    kind = "group" if main.clusters.method == "hdbscan" else "part"
    tiles = [
        (len(exploration.collection), "images", "images", "map"),
        (len(main.clusters), kind, f"{kind}s", "clusters"),
        (len(main.duplicates), "near-copy", "near-copies", "duplicates"),
        (int((main.outliers >= UNUSUAL).sum()), "outlier", "outliers", "outliers"),
    ]
    if main.doubts is not None:
        tiles.append((len(main.doubts.doubtful), "label in doubt", "labels in doubt", "labels"))
    return [(f"{count:,}", one if count == 1 else many, where) for count, one, many, where in tiles]


def map_data(exploration: Exploration, sheet: Sheets | None) -> dict[str, Any]:
    """What the script draws; arrays of numbers in base64, little-endian."""
    collection, main = exploration.collection, exploration.main
    colours: dict[str, Any] = {}
    if collection.labels is not None:
        names = [collection.class_name(k) for k in range(int(collection.labels.max()) + 1)]
        colours["class"] = {"of": _packed(collection.labels, "<i4"), "names": names}
    word = "group" if main.clusters.method == "hdbscan" else "part"
    colours["group"] = {
        "of": _packed(main.clusters.of, "<i4"),
        "names": [f"{word} {k + 1}" for k in range(len(main.clusters))],
    }
    if collection.parts is not None:
        parts, of = np.unique(collection.parts, return_inverse=True)
        colours["split"] = {"of": _packed(of, "<i4"), "names": parts.tolist()}
    near = min(NEAR, main.representation.nearest.index.shape[1])
    return {
        "count": len(collection),
        "names": collection.names,
        "colours": colours,
        "outliers": _packed(np.round(main.outliers * 100).clip(0, 65535), "<u2"),
        "likely": None if main.doubts is None else _packed(_per_mille(main.doubts.likely), "<i2"),
        "near": near,
        "views": [
            {
                "name": view.name,
                "places": _packed(np.round((view.places + 1) * 32767.5).clip(0, 65535), "<u2"),
                "nearest": _packed(view.representation.nearest.index[:, :near], "<u4"),
            }
            for view in exploration.views
        ],
        "sheets": None
        if sheet is None
        else {
            "side": sheet.side,
            "columns": COLUMNS,
            "uris": sheet.uris,
            "pictured": None if len(sheet.pictured) == len(collection) else _packed(sheet.pictured, "<u4"),
        },
    }


def _per_mille(likely: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(likely), -1, np.round(np.nan_to_num(likely) * 1000))


def _packed(values: np.ndarray, kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values).astype(kind).tobytes()).decode("ascii")


def _stored(collection: Collection, shown: set[int]) -> dict[int, str]:
    if collection.pictures is None:
        return {}
    return {i: data_uri(np.asarray(collection.pictures[i])) for i in sorted(shown)}


def _commonest(collection: Collection, members: np.ndarray) -> list[tuple[str, float]]:
    """The three commonest classes of a group, each with its share of the labelled members."""
    if collection.labels is None:
        return []
    labels = collection.labels[members]
    numbers, counts = np.unique(labels[labels >= 0], return_counts=True)
    order = np.argsort(-counts, kind="stable")[:3]
    return [(collection.class_name(int(numbers[i])), float(counts[i] / counts.sum())) for i in order]


def _chance(collection: Collection) -> float | None:
    """The share of neighbours with an image's own class, were they drawn at random."""
    if collection.labels is None:
        return None
    counts = np.bincount(collection.labels[collection.labels >= 0])
    # Neighbours without a label have no class to share.
    return float((counts * (counts - 1)).sum() / (counts.sum() * (len(collection) - 1)))


def _counted(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _and(words: list[str]) -> str:
    words = [str(word) for word in words]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
