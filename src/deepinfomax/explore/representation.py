"""Vectors of the images: from an encoder, from their pixels, or embeddings from elsewhere."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from sklearn.decomposition import PCA
from torch import nn

from deepinfomax.data.images import ImageSet
from deepinfomax.evaluation.embeddings import embed, levels_of
from deepinfomax.explore.nearest import Nearest, nearest
from deepinfomax.progress import counted, say
from deepinfomax.seeds import random_state

COMPONENTS = 128  #: principal components kept of a longer vector
SAMPLE = 5000  #: the components are found on so many images, drawn at random; on all images of a smaller set
BLOCK = 2000  #: images embedded together
NEIGHBOURS = 90  #: of each image: three times the map's perplexity of 30

Vectors = Callable[[ImageSet], np.ndarray]  #: images -> (N, units) float32


@dataclass(frozen=True)
class Representation:
    """One vector for each image, and the nearest other images by it."""

    name: str  #: a word for the page: "encoder", "pixels"
    says: str  #: what the vectors are, in one line
    vectors: np.ndarray  #: (N, D) float32

    @cached_property
    def unit(self) -> np.ndarray:
        """(N, D) of length 1: distances between them are those of directions."""
        return unit(self.vectors)

    @cached_property
    def nearest(self) -> Nearest:
        """Up to `NEIGHBOURS` other images, by direction."""
        say(f"nearest images by {self.name}")
        return nearest(self.unit, min(NEIGHBOURS, len(self.vectors) - 1))


def unit(vectors: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N D"]:
    """Scaled to length 1; a vector of zeros stays one."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.maximum(length, 1e-12)).astype(np.float32)


def of_encoder(encoder: nn.Module, images: ImageSet, *, name: str, device: torch.device | str | None, seed: int) -> Representation:  # fmt: skip  # noqa: E501
    """The last convolutional map of an encoder (or the nearest level that it has), reduced to `COMPONENTS` numbers.

    The map has more information about the look of an image than y: it finds more wrong labels and changed copies.
    """
    level = levels_of(encoder, images)[0]

    def vectors(part: ImageSet) -> np.ndarray:
        return embed(encoder, part, levels=(level,), device=device)[level].numpy()

    reduced, said = reduced_vectors(vectors, images, seed=seed, standardise=True)
    return Representation(name, f"level {level} of the {name}, {said}", reduced)


def of_pixels(images: ImageSet, *, seed: int) -> Representation:
    """The pixels themselves, a control without learning."""

    def vectors(part: ImageSet) -> np.ndarray:
        return np.asarray(part.images).reshape(len(part), -1).astype(np.float32)

    reduced, said = reduced_vectors(vectors, images, seed=seed, standardise=False)
    return Representation("pixels", f"raw pixels, {said}", reduced)


def of_vectors(vectors: np.ndarray, *, seed: int) -> Representation:
    """Given embeddings (N, units), standardised in the same way as an encoder's."""
    standard = _standard(vectors)
    if vectors.shape[1] > COMPONENTS:
        standard, said = _components(standard[_drawn(len(standard), seed)], standard, seed)
        return Representation("embeddings", f"embeddings of {vectors.shape[1]:,} units, {said}", standard)
    return Representation("embeddings", f"embeddings of {vectors.shape[1]:,} units, standardised", standard)


def reduced_vectors(vectors: Vectors, images: ImageSet, *, seed: int, standardise: bool) -> tuple[np.ndarray, str]:
    """The principal components of what `vectors` makes of the images, and a line that says so.

    The components are found on `SAMPLE` images drawn by `seed` and then taken of all, block by block, so that memory
    never holds the long vectors of a large set. `standardise`: units first get mean 0 and standard deviation 1.
    """
    sample = vectors(images.take(_drawn(len(images), seed)))
    mean, scale = sample.mean(0), _scale(sample) if standardise else np.float32(1)
    standard = (sample - mean) * scale
    if not standard.any():  # images of one colour, levelled
        return np.zeros((len(images), 1), np.float32), "the same for all images"
    if sample.shape[1] <= COMPONENTS:
        return np.concatenate([(v - mean) * scale for v in _blocks(vectors, images)]), f"{sample.shape[1]} units"
    pca = PCA(min(COMPONENTS, len(sample) - 1), random_state=random_state(seed), svd_solver="randomized").fit(standard)
    parts = [pca.transform((part - mean) * scale).astype(np.float32) for part in _blocks(vectors, images)]
    return np.concatenate(parts), _said(pca)


def _blocks(vectors: Vectors, images: ImageSet) -> Iterator[np.ndarray]:
    for number in counted(-(-len(images) // BLOCK), "block of images"):
        yield vectors(images.take(slice((number - 1) * BLOCK, number * BLOCK)))


def _components(sample: np.ndarray, vectors: np.ndarray, seed: int) -> tuple[np.ndarray, str]:
    pca = PCA(min(COMPONENTS, len(sample) - 1), random_state=random_state(seed), svd_solver="randomized").fit(sample)
    return pca.transform(vectors).astype(np.float32), _said(pca)


def _drawn(count: int, seed: int) -> np.ndarray:
    """Positions of the rows that components are found on: `SAMPLE` of `count`, at random; all of fewer."""
    return np.sort(np.random.default_rng(seed).permutation(count)[:SAMPLE])


def _said(pca: PCA) -> str:
    return f"{pca.n_components_} principal components with {pca.explained_variance_ratio_.sum():.0%} of the variance"


def _scale(vectors: np.ndarray) -> np.ndarray:
    """1 / standard deviation; 0 for units that are the same for every image, as far as float32 can tell."""
    deviation = vectors.std(0, dtype=np.float64)
    constant = deviation <= 1e-6 * np.abs(vectors).max(0)
    return np.where(constant, 0, 1 / np.where(constant, 1, deviation)).astype(np.float32)


def _standard(vectors: np.ndarray) -> np.ndarray:
    return ((vectors - vectors.mean(0)) * _scale(vectors)).astype(np.float32)
