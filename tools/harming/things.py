"""What is harmed: a small data set, pictures in folders, a run that was trained and measured, and its embeddings."""

from pathlib import Path

import numpy as np
from PIL import Image

from harming.running import Place, run

SMALL = ("--scale", "smoke", "training.steps", "10", "training.log_every", "2", "local.places", "4")
#: saves after each step, so that a kill may come while it saves
TRAIN = ("train", "a.npz", *SMALL, "training.checkpoint_every", "0", "data.holdout", "0.25")
EVALUATE = ("evaluate", "--measures", "linear,knn", "--scale", "smoke", "--controls", "pixels,random_encoder")
COUNT, SIDE, CLASSES = 64, 32, 3


def things(place: Place) -> Path:
    """The folder that holds them; made on the first call."""
    folder = place.folder / "things"
    if not folder.is_dir():
        folder.mkdir()
        _make(folder)  # in its place: a run keeps the whole path of its data
    return folder


def _make(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for first, name in enumerate("ab"):
        labels = (first + np.arange(COUNT)) % CLASSES  # those of b are others, so that a mix of both is seen
        pixels = rng.integers(0, 160, (COUNT, SIDE, SIDE, 3)) + 40 * labels[:, None, None, None]
        np.savez(folder / f"{name}.npz", images=pixels.astype(np.uint8), labels=labels)
    for i in range(24):
        part = folder / "pictures" / "xy"[i % 2]
        part.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)).save(part / f"{i:02d}.png")
    commands = (
        (*TRAIN, "--out", "run"),
        (*EVALUATE, "run"),
        ("evaluate", "run", "--measures", "reconstruction", "--scale", "smoke", "--controls", "none"),
        ("train", "a.npz", "--recipe", "vae", *SMALL, "--out", "vae"),
        ("train", "a.npz", *SMALL, "data.holdout", "0.25", "--seed", "1", "--out", "other"),
        ("embed", "run", "b.npz", "--out", "e.npy"),
        ("embed", "run", "b.npz", "--out", "e.npz"),
        ("embed", "run", "b.npz", "--out", "e.parquet"),
        ("evaluate", "e.npz", "--measures", "knn", "--scale", "smoke"),
    )
    for words in commands:
        ended = run(words, folder, environment={"DEEPINFOMAX_CACHE": str(folder / "cache")})
        assert ended.code == 0, ended
