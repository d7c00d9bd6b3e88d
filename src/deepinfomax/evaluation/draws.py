"""Random draws that depend on a seed only, and do not change the global random state."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from deepinfomax.data.images import ImageSet


@contextmanager
def seeded(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Within the block torch draws from `seed`; afterwards its random state is what it was before."""
    device = torch.device(device)
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield


def stream(seed: int, purpose: str) -> np.random.Generator:
    """A generator of numpy for one purpose.

    Not default_rng(seed): a user may have shuffled the rows by that generator, and the same draws here would undo it.
    """
    return np.random.default_rng([seed, zlib.crc32(purpose.encode())])


def sample(images: ImageSet, count: int | None, rng: np.random.Generator) -> ImageSet:
    """`count` random images, in their original order; the set itself if it has no more, or if `count` is None."""
    # Drawn even where all are kept, so that the next draws of rng do not depend on it.
    chosen = np.sort(rng.permutation(len(images))[:count])
    return images if len(chosen) == len(images) else images.take(chosen)
