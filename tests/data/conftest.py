from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Draw = Callable[..., np.ndarray]


@pytest.fixture
def draw() -> Draw:
    """Writes a small lossless picture whose pixels `seed` decides, and returns them: (H, W) or (H, W, C) uint8."""

    def picture(
        path: Path, seed: int = 0, size: tuple[int, int] = (8, 8), mode: str = "RGB", **options: object
    ) -> np.ndarray:
        channels = {"L": (), "RGB": (3,), "RGBA": (4,), "LA": (2,)}[mode]
        pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], *channels), dtype=np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels, mode=None).save(path, **options)
        return pixels

    return picture
