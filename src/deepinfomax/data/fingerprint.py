"""Fingerprints: a hash of a set of images, to recognise the same data."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from deepinfomax.data.images import ImageSet

RULE = "blake2b:"  #: begins a fingerprint of the whole set; those of earlier versions have no such beginning
BLOCK = 2**24  #: bytes that are hashed by one thread at a time


class DigestedImages(np.memmap):
    """A memory map of pixels with a known digest; slices and copies do not have one."""

    digest: str | None

    def __array_finalize__(self, whole: Any) -> None:
        super().__array_finalize__(whole)
        self.digest = None


def fingerprint(images: ImageSet, like: str = "") -> str:
    """A hash of the shape, all pixels and all labels; about a gigabyte per second and core.

    Args:
        like: a fingerprint to compare with: the result is computed by the same rule. By the rule of earlier versions,
            which may be in run folders, only one or two thousand images are hashed.
    """
    if like and not like.startswith(RULE):
        return _of_a_thousand(images)
    pixels = images.images
    known = pixels.digest if isinstance(pixels, DigestedImages) else None
    digest = hashlib.blake2b((known or pixel_digest(pixels)).encode(), digest_size=16)
    if images.labels is not None:
        digest.update(np.ascontiguousarray(images.labels).tobytes())
    return RULE + digest.hexdigest()


def identity(images: ImageSet, like: str = "") -> dict[str, Any]:
    """The identity of a training set: its count, shape and fingerprint (by the rule of `like`)."""
    return {"count": len(images), "shape": list(images.shape), "fingerprint": fingerprint(images, like)}


def pixel_digest(pixels: np.ndarray) -> str:
    """A hash of shape, type and all values; a memory map is read in parts."""
    rows = max(1, BLOCK // max(1, pixels[:1].nbytes))

    def hashed(start: int) -> bytes:
        return hashlib.blake2b(np.ascontiguousarray(pixels[start : start + rows]).data).digest()

    digest = hashlib.blake2b(f"{pixels.shape} {pixels.dtype.str}".encode(), digest_size=16)
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # hashing leaves Python's lock
        for block in pool.map(hashed, range(0, len(pixels), rows)):
            digest.update(block)
    return digest.hexdigest()


def _of_a_thousand(images: ImageSet) -> str:
    """The rule of earlier versions: the shape, all labels and one or two thousand evenly spaced images at most."""
    digest = hashlib.sha256(str(images.images.shape).encode())
    step = max(1, len(images) // 1000)
    for start in range(0, len(images), step):
        digest.update(np.ascontiguousarray(images.images[start]).tobytes())
    if images.labels is not None:
        digest.update(np.ascontiguousarray(images.labels).tobytes())
    return digest.hexdigest()[:16]
