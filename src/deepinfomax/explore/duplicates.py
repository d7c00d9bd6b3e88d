"""Which images are nearly the same: stored twice, compressed, shifted by some pixels, lightened or darkened.

Neighbours propose, pixels decide. The candidates of an image are its nearest neighbours by the vectors. A candidate is
a near-copy if the middle of one image, shifted by some pixels, correlates almost fully with a part of the other.
Vectors alone cannot decide: two pictures of the sky may be closer than a photograph and its compressed copy.

Twins (identical images) are found without neighbours. Only one of them is used in the search: otherwise an image that
is stored a hundred times would have no other neighbours.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor
from torch.nn.functional import conv2d, interpolate

from deepinfomax.data.images import ImageSet
from deepinfomax.explore.nearest import Nearest, nearest
from deepinfomax.progress import counted, say

CANDIDATES = 8  #: nearest images that are compared with each image
LEAST_CORRELATION = 0.94  #: chosen on copies planted among 8,000 images of CIFAR-10; no file is kept of that
CLOSE = 0.35  #: without pixels: two images must be at least so much nearer than the tenth neighbour is
SIDE, REACH = 32, 4  #: pixels: images are compared at this size, shifted by at most so much
FLAT = 2.0  #: images with a smaller standard deviation, in grey levels, are too flat to compare
PAIRS_AT_ONCE = 2000
MOST_TWINS = 30  #: for up to this many twins all pairs are listed; for more, each is paired with the first only


@dataclass(frozen=True)
class Duplicates:
    """Pairs of images that are nearly the same, the most alike first."""

    pairs: np.ndarray  #: (P, 2) int64, the smaller position first
    alike: np.ndarray  #: (P,) correlation of pixels; without pixels 1 - the share of the other neighbours' distance
    identical: np.ndarray  #: (P,) bool: not one pixel of the stored images differs; all False without pixels
    checked: bool  #: whether pixels decided

    def __len__(self) -> int:
        return len(self.pairs)

    def groups(self) -> list[np.ndarray]:
        """Images connected by pairs, as sorted positions; larger groups first."""
        if not len(self):
            return []
        size = int(self.pairs.max()) + 1
        edges = coo_array((np.ones(len(self)), self.pairs.T), shape=(size, size))
        _, of = connected_components(edges, directed=False)
        members = np.unique(self.pairs)
        order = members[np.argsort(of[members], kind="stable")]
        groups = np.split(order, np.flatnonzero(np.diff(of[order])) + 1)
        return sorted(groups, key=lambda group: (-len(group), int(group[0])))

    def groups_with_pairs(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Each of `groups`, and the rows of `pairs` that connect it."""
        groups = self.groups()
        number = {int(i): n for n, members in enumerate(groups) for i in members}
        rows: list[list[int]] = [[] for _ in groups]
        for row, first in enumerate(self.pairs[:, 0].tolist()):
            rows[number[first]].append(row)
        yield from zip(groups, map(np.array, rows), strict=True)

    def across(self, parts: np.ndarray | None) -> np.ndarray:
        """(P,) bool: whether the two are of different parts, as a training image among the test images is."""
        if parts is None:
            return np.zeros(len(self), bool)
        return np.asarray(parts[self.pairs[:, 0]] != parts[self.pairs[:, 1]])


def twins(rows: np.ndarray) -> np.ndarray:
    """(N,) for each picture, or vector, the first identical one, which may be itself."""
    first: dict[bytes, int] = {}
    return np.array([first.setdefault(digest(row), i) for i, row in enumerate(rows)], np.int64)


def digest(row: np.ndarray) -> bytes:
    """A digest that is equal for arrays with the same shape and numbers only."""
    return hashlib.blake2b(repr(row.shape).encode() + np.ascontiguousarray(row).tobytes(), digest_size=16).digest()


def levelled(images: ImageSet) -> ImageSet:
    """Images with equal mean and spread of brightness, so that a darkened copy has the same vector."""
    pixels = np.asarray(images.images)
    axes = tuple(range(1, pixels.ndim))
    mean = pixels.mean(axes, keepdims=True, dtype=np.float32)
    spread = pixels.std(axes, keepdims=True, dtype=np.float32)
    level = (pixels - mean) * (64 / np.maximum(spread, 1)) + 128
    return ImageSet(level.clip(0, 255).round().astype(np.uint8), images.labels, images.classes, images.name)


def candidates(near: Nearest, count: int = CANDIDATES) -> np.ndarray:
    """(P, 2) each image with its nearest, every pair once."""
    index = near.index[:, :count]
    own = np.repeat(np.arange(len(index)), index.shape[1])
    pairs = np.sort(np.stack([own, index.ravel()], 1), 1)
    return np.unique(pairs, axis=0)


def proposed(unit: np.ndarray, first: np.ndarray, count: int = CANDIDATES) -> np.ndarray:
    """(P, 2) candidates by vectors (N, D): each image with its nearest ones; only the first of twins is used."""
    distinct = np.unique(first)
    near = nearest(unit[distinct], min(count, len(distinct) - 1))
    return distinct[candidates(near, count)]


def duplicates(
    pictures: np.ndarray,
    pairs: np.ndarray,
    *,
    first: np.ndarray | None = None,
    stored: Callable[[np.ndarray], list[bytes]] | None = None,
) -> Duplicates:
    """Those of the candidate pairs (P, 2) that are nearly the same picture, and all twins.

    Args:
        pictures: (N, C, H, W) uint8.
        first: `twins` of the pictures, where they are known already.
        stored: positions -> a digest of each image as it is stored, for pictures that are smaller or cut out; digests
            are equal only where no pixel differs. None: the pictures are the whole images.
    """
    say("near-copies")
    first = twins(pictures) if first is None else first
    pairs = np.unique(np.sort(first[pairs], 1), axis=0)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    correlation = correlations(pictures, pairs)
    kept = np.flatnonzero(correlation >= LEAST_CORRELATION)
    similar, of = _of_all_twins(pairs[kept], first)
    same = pairs_of_twins(first)
    identical = np.concatenate([_identical(same, stored), np.zeros(len(similar), bool)])
    pairs = np.concatenate([same, similar])
    alike = np.concatenate([np.ones(len(same)), correlation[kept][of]])
    order = np.lexsort((-alike, ~identical))
    return Duplicates(pairs[order], alike[order], identical[order], True)


def pairs_of_twins(first: np.ndarray) -> np.ndarray:
    """(P, 2) all pairs of the same; of more than `MOST_TWINS` each with the first."""
    pairs: list[tuple[int, int]] = []
    for members in _members(first).values():
        if len(members) > MOST_TWINS:
            pairs += [(members[0], other) for other in members[1:]]
        else:
            pairs += combinations(members, 2)
    return np.array(pairs, np.int64).reshape(-1, 2)


def _of_all_twins(pairs: np.ndarray, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of firsts, each also for their twins, and the row of `pairs` that each comes from."""
    members = _members(first)

    def like(i: int) -> list[int]:
        return members[i] if i in members and len(members[i]) <= MOST_TWINS else [i]

    every = [(sorted((i, j)), row) for row, (a, b) in enumerate(pairs.tolist()) for i in like(a) for j in like(b)]
    rows = np.array([row for _, row in every], np.int64)
    return np.array([pair for pair, _ in every], np.int64).reshape(-1, 2), rows


def _members(first: np.ndarray) -> dict[int, list[int]]:
    """Of each image that has twins, and is their first: all of them, itself included."""
    members: dict[int, list[int]] = {}
    twin_of = np.flatnonzero(first != np.arange(len(first)))
    for i in twin_of.tolist():
        members.setdefault(int(first[i]), [int(first[i])]).append(i)
    return members


def _identical(pairs: np.ndarray, stored: Callable[[np.ndarray], list[bytes]] | None) -> np.ndarray:
    """(P,) bool: which pairs of identical pictures are also identical in their files."""
    if stored is None or not len(pairs):
        return np.ones(len(pairs), bool)
    positions, of = np.unique(pairs, return_inverse=True)
    _, number = np.unique(np.array(stored(positions), object), return_inverse=True)
    a, b = number[of.reshape(pairs.shape)].T
    return np.asarray(a == b)


def duplicates_by_vectors(unit: np.ndarray, first: np.ndarray | None = None) -> Duplicates:
    """Pairs of vectors (N, D) that are much closer to each other than to their other neighbours; without pixels.

    In few dimensions independent points are often that close. So they must also be closer than chance would bring any
    two of these vectors, see `_closer_than_chance`. Of more than ten near-copies none is found, since the tenth
    neighbour is one too: by vectors alone they cannot be told from a small group.
    """
    first = twins(unit) if first is None else first
    distinct, same = np.unique(first), pairs_of_twins(first)
    if len(distinct) < 2:
        return Duplicates(same, np.ones(len(same)), np.zeros(len(same), bool), False)
    near = nearest(unit[distinct], min(10, len(distinct) - 1))
    pairs = candidates(near, 3)
    a, b = unit[distinct][pairs[:, 0]], unit[distinct][pairs[:, 1]]
    usual = np.minimum(near.distance[pairs[:, 0], -1], near.distance[pairs[:, 1], -1])
    share = np.linalg.norm(a - b, axis=1) / np.maximum(usual, 1e-12)
    kept = np.flatnonzero(share <= min(CLOSE, _closer_than_chance(near)))
    similar, of = _of_all_twins(distinct[pairs[kept]], first)
    pairs = np.concatenate([same, similar])
    alike = np.concatenate([np.ones(len(same)), 1 - share[kept][of]])
    order = np.argsort(-alike, kind="stable")
    return Duplicates(pairs[order], alike[order], np.zeros(len(order), bool), False)


def _closer_than_chance(near: Nearest) -> float:
    """The share of the k-th neighbour's distance below which chance brings one of all these points, on average.

    Of independent points in d dimensions, the k - 1 inside the ball of a point's k-th neighbour lie in it uniformly. So
    one of them is within a share c of its radius with a probability of at most (k - 1) c^d. The ratio of the volumes of
    the j-th and the (j + 2)-th has the distribution Beta(j, 2), whose median is about (j - 1/3) / (j + 4/3). So each j
    gives an estimate of d. Groups of copies make those too small at which the group ends: the upper quartile is taken.
    """
    count, k = near.distance.shape
    if k < 3:  # of two or three points no dimension can be told
        return CLOSE
    distance = np.maximum(near.distance.astype(np.float64), 1e-12)
    ratio = np.minimum(np.median(distance[:, :-2] / distance[:, 2:], axis=0), 1 - 1e-9)
    j = np.arange(1, k - 1)
    dimensions = np.quantile(np.log((j - 1 / 3) / (j + 4 / 3)) / np.log(ratio), 0.75)
    return float(((k - 1) * count) ** (-1 / dimensions))


def correlations(pictures: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """(P,) the similarity of the two pictures of each pair: the highest correlation, see below."""
    correlation = np.empty(len(pairs))
    for number in counted(-(-len(pairs) // PAIRS_AT_ONCE), "block of pairs"):
        rows = slice((number - 1) * PAIRS_AT_ONCE, number * PAIRS_AT_ONCE)
        a, b = (np.asarray(pictures[pairs[rows, i]]) for i in (0, 1))
        correlation[rows] = best_correlation(_small(a), _small(b)).numpy()
    return correlation


def best_correlation(
    a: Float[Tensor, "P C H W"], b: Float[Tensor, "P C H W"], reach: int = REACH
) -> Float[Tensor, "P"]:
    """The highest correlation of the middle of a with any part of b as large, at most `reach` pixels away.

    Correlation does not depend on brightness and contrast. It is 0 if either part is flat.
    """
    reach = min(reach, (min(a.shape[2:]) - 1) // 4)
    height, width = (side - 2 * reach for side in a.shape[2:])
    middle = a[:, :, reach : reach + height, reach : reach + width]
    values = middle[0].numel()
    middle = middle - middle.mean((1, 2, 3), keepdim=True)
    length = middle.flatten(1).norm(dim=1)
    pairs, channels = a.shape[:2]
    # Σ middle · part over all parts at once; the part's mean drops out, for the middle has mean 0.
    products = conv2d(b.reshape(1, pairs * channels, *b.shape[2:]), middle, groups=pairs)[0]
    ones = torch.ones(1, channels, height, width)
    total = conv2d(b, ones)[:, 0]
    squares = conv2d(b.square(), ones)[:, 0]
    spread = (squares - total.square() / values).clamp_min(0).sqrt()
    floor = FLAT * values**0.5
    enough = (spread > floor) & (length > floor)[:, None, None]
    correlation = products / (spread * length[:, None, None]).clamp_min(1e-9)
    return torch.where(enough, correlation, 0.0).flatten(1).amax(1).clamp(max=1)


def _small(pictures: np.ndarray) -> Tensor:
    """Floats around 0, at most `SIDE` pixels a side."""
    pixels = torch.from_numpy(pictures).float() - 128
    side = max(pixels.shape[2:])
    if side <= SIDE:
        return pixels
    sides = [max(1, round(one * SIDE / side)) for one in pixels.shape[2:]]
    return interpolate(pixels, sides, mode="bilinear", antialias=True, align_corners=False)
