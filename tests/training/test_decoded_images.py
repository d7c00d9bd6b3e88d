"""Pictures of a run: written where an objective can decode or sample, the same for the same seed, nothing elsewhere."""

from pathlib import Path

import numpy as np
import pytest

from deepinfomax import config, recipes
from deepinfomax.data import ImageSet
from deepinfomax.training.loop import train


@pytest.mark.parametrize(
    ("recipe", "holds"),
    [
        ("vae", {"images", "reconstructions", "samples"}),
        ("bigan", {"images", "reconstructions", "samples"}),
        ("aae", {"images", "reconstructions", "samples"}),
        ("dim-local", set()),
    ],
)
def test_what_a_run_can_make_is_kept(tmp_path: Path, recipe: str, holds: set[str]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 3, 16, 16), dtype=np.uint8)
    settings = config.override(recipes.recipe(recipe, "smoke"), {"training.trackers": []})
    for name in "ab":
        train(settings, ImageSet(pixels), tmp_path / name, quiet=True, device="cpu")
    file = tmp_path / "a" / "generated.npz"
    if not holds:
        assert not file.exists()
        return
    with np.load(file) as a, np.load(tmp_path / "b" / "generated.npz") as b:
        assert set(a.files) == holds
        assert all((a[k] == b[k]).all() for k in holds)
        assert a["reconstructions"].shape == a["images"].shape == (16, 3, 16, 16)
        assert (pixels[None] == a["images"][:, None]).all((2, 3, 4)).any(1).all()  # training images, untouched
        if "samples" in holds:
            assert a["samples"].shape == (32, 3, 16, 16)
            assert a["samples"].std(0).max() > 0
