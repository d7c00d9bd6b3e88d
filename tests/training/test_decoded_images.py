"""Pictures of a run: written where an objective can decode or sample, the same for the same seed, nothing elsewhere."""

from pathlib import Path

import numpy as np
import pytest
import torch

from deepinfomax import config, recipes
from deepinfomax.data import ImageSet
from deepinfomax.data.augmentation import Augmentation
from deepinfomax.objectives.game import play_all
from deepinfomax.objectives.protocol import Batch
from deepinfomax.training.building import build_game
from deepinfomax.training.decoded_images import made_by
from deepinfomax.training.loop import train


@pytest.mark.parametrize("prior", ["gaussian", "uniform", "sphere"])
def test_what_is_decoded_is_the_y_that_the_decoder_was_trained_on(prior: str) -> None:
    """Trained on y with noise, which is normalised; the encoder's own y has another scale, and decodes to nothing."""
    pixels = np.kron(np.random.default_rng(0).integers(0, 256, (60, 1, 4, 4)), np.ones((1, 1, 4, 4))).astype(np.uint8)
    settings = config.override(
        recipes.recipe("ae", "smoke"),
        {"encoder.y": 16, "prior.by": "noise", "prior.prior": prior, "training.trackers": [], "seed": 0},
    )
    images = ImageSet(pixels)
    game = build_game(settings, images.shape, images)
    optimizers = {player: torch.optim.Adam(its, 3e-3) for player, its in game.players().items()}
    batch = Batch(torch.from_numpy(pixels / np.float32(127.5) - 1))
    for _ in play_all(game, [batch] * 200, optimizers):
        pass
    made = made_by(game, images, Augmentation(), 0, None)
    error = (made["images"] - made["reconstructions"]).square().mean()
    assert error < 0.5 * made["images"].var()
    assert made["samples"].shape == (32, 1, 16, 16)


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


def test_of_several_globals_samples_are_drawn_of_them_all(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 3, 32, 32), dtype=np.uint8)
    encoder = {"encoder.name": "strided", "encoder.globals": "blocks", "encoder.width": 4, "encoder.y": 4}
    settings = config.override(recipes.recipe("aae", "smoke"), {"training.trackers": [], **encoder})
    train(settings, ImageSet(pixels), tmp_path / "run", quiet=True, device="cpu")
    with np.load(tmp_path / "run" / "generated.npz") as made:
        assert made["samples"].shape == (32, 3, 32, 32)
