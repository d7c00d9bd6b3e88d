"""Small pictures with what is to be found planted in them."""

import numpy as np


def pictures(count: int, seed: int = 0, side: int = 16) -> np.ndarray:
    """(count, 3, side, side) uint8: smooth random patterns, no two alike."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 3, 4, 4))
    return np.kron(coarse, np.ones((1, 1, side // 4, side // 4))).astype(np.uint8)


def groups(counts: tuple[int, ...], units: int = 12, apart: float = 6.0) -> tuple[np.ndarray, np.ndarray]:
    """Vectors (N, units) around one centre for each count, and which centre each is from."""
    rng = np.random.default_rng(0)
    of = np.repeat(np.arange(len(counts)), counts)
    centres = rng.standard_normal((len(counts), units)) * apart
    return (centres[of] + rng.standard_normal((len(of), units))).astype(np.float32), of


def shifted(picture: np.ndarray, x: int, y: int) -> np.ndarray:
    """A picture (C, H, W) moved by some pixels; its edge is repeated."""
    reach = max(abs(x), abs(y))
    wide = np.pad(picture, ((0, 0), (reach, reach), (reach, reach)), mode="edge")
    height, width = picture.shape[1:]
    return wide[:, reach + y : reach + y + height, reach + x : reach + x + width]
