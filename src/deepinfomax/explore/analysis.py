"""Answers all questions about a collection, for one representation and for a control."""

from dataclasses import dataclass, replace

import numpy as np
from sklearn.metrics import adjusted_mutual_info_score

from deepinfomax.errors import UserError
from deepinfomax.evaluation.neighbours import agreement
from deepinfomax.explore import duplicates as near_copies
from deepinfomax.explore.clusters import Clusters, clusters
from deepinfomax.explore.collection import Collection
from deepinfomax.explore.duplicates import Duplicates
from deepinfomax.explore.label_doubts import LabelDoubts, label_doubts
from deepinfomax.explore.map import kept_neighbours, layout
from deepinfomax.explore.outliers import outlier_scores
from deepinfomax.explore.representation import Representation
from deepinfomax.progress import within

VOTERS = 10  #: nearest neighbours among which the share of an image's own class is counted
UNUSUAL = 1.5  #: images with at least this local outlier factor are counted as outliers


@dataclass(frozen=True)
class View:
    """All results for one representation of a collection."""

    representation: Representation
    places: np.ndarray  #: (N, 2) on the map
    map_keeps: float  #: share of neighbours that are neighbours on the map
    clusters: Clusters
    outliers: np.ndarray  #: (N,) scores
    duplicates: Duplicates
    doubts: LabelDoubts | None  #: None: there are no labels to doubt
    same_class: float | None  #: share of the nearest that have an image's own class
    cluster_agreement: float | None  #: adjusted mutual information of groups and classes; 0 by chance, 1: the same

    @property
    def name(self) -> str:
        return self.representation.name


@dataclass(frozen=True)
class Exploration:
    """All results for a collection: by an encoder, and by a control."""

    collection: Collection
    main: View
    control: View | None
    #: of each pair of near-copies what found it: 1: the encoder's neighbours, 2: the control's, 3: both
    found_by: np.ndarray

    @property
    def voters(self) -> int:
        """How many neighbours of an image are counted: `VOTERS`, or all others if there are fewer."""
        return min(VOTERS, len(self.collection) - 1)

    @property
    def views(self) -> list[View]:
        return [self.main] if self.control is None else [self.main, self.control]


def explore(
    collection: Collection,
    main: Representation,
    control: Representation | None = None,
    *,
    proposals: tuple[np.ndarray, ...] = (),
    seed: int = 0,
) -> Exploration:
    """Ask every question.

    Args:
        proposals: (P, 2) candidates for near-copies, of the encoder and of the control; () takes the neighbours by the
            representations. Those by levelled images hold darkened copies too.
        seed: of the map, the groups and the folds of the labels.

    Raises:
        UserError: all rows are the same.
    """
    representations = [main] if control is None else [main, control]
    first = near_copies.twins(main.vectors) if collection.pictures is None else collection.twins
    if not first.any():
        raise UserError(f"all {len(first):,} rows of {collection.title} are the same: there is nothing to explore")
    views = []
    for i, representation in enumerate(representations):
        pairs = proposals[i] if i < len(proposals) else near_copies.proposed(representation.unit, first)
        with within(f"by {representation.name}"):
            views.append(view(collection, representation, first, pairs, seed=seed))
    if control is None:
        return Exploration(collection, views[0], None, np.ones(len(views[0].duplicates), np.int64))
    both, found_by = united(views[0].duplicates, views[1].duplicates)
    return Exploration(collection, replace(views[0], duplicates=both), views[1], found_by)


def view(
    collection: Collection, representation: Representation, first: np.ndarray, pairs: np.ndarray, *, seed: int
) -> View:
    """Every question of one representation; `first`: twins of the images, `pairs`: candidates for near-copies."""
    near, unit = representation.nearest, representation.unit
    places = layout(unit, near, seed=seed)
    groups = clusters(unit, seed=seed)
    if collection.pictures is None:
        copies = near_copies.duplicates_by_vectors(unit, first)
    else:
        copies = near_copies.duplicates(collection.pictures, pairs, first=first, stored=collection.stored)
    doubts = same = agreed = None
    if collection.labels is not None:
        labels, known = collection.labels, np.flatnonzero(collection.labels >= 0)
        doubts = label_doubts(representation.vectors, labels, seed=seed)
        same = agreement(labels, known, near.index[known, :VOTERS])
        agreed = float(adjusted_mutual_info_score(labels[known], groups.of[known]))
    return View(
        representation=representation,
        places=places,
        map_keeps=kept_neighbours(places, near),
        clusters=groups,
        outliers=_outliers(representation.vectors, first),
        duplicates=copies,
        doubts=doubts,
        same_class=same,
        cluster_agreement=agreed,
    )


def _outliers(vectors: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Outlier scores of all images. Twins count as one image, or 20 copies would make their neighbours strange."""
    distinct, of = np.unique(first, return_inverse=True)
    return outlier_scores(vectors[distinct])[of]


def united(first: Duplicates, second: Duplicates) -> tuple[Duplicates, np.ndarray]:
    """The pairs of both, the most similar first; and for each 1, 2 or 3: found by the first, the second, or both."""
    if not first.checked:  # likeness by two kinds of vectors is not to be mixed
        known = {tuple(pair) for pair in second.pairs.tolist()}
        return first, np.array([1 + 2 * (tuple(pair) in known) for pair in first.pairs.tolist()], np.int64)
    pairs = np.concatenate([first.pairs, second.pairs])
    _, kept, where = np.unique(pairs, axis=0, return_index=True, return_inverse=True)
    by = np.zeros(len(kept), np.int64)
    np.bitwise_or.at(by, where.ravel()[: len(first)], 1)
    np.bitwise_or.at(by, where.ravel()[len(first) :], 2)
    alike = np.concatenate([first.alike, second.alike])[kept]
    identical = np.concatenate([first.identical, second.identical])[kept]
    order = np.lexsort((-alike, ~identical))
    return Duplicates(pairs[kept][order], alike[order], identical[order], True), by[order]
