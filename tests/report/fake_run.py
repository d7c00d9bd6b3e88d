"""Run folders as training and evaluation write them, with invented figures and real photographs."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_sample_images

CLASSES = ["roof", "sky", "tree", "petal", "leaf"]

CONFIG = """\
recipe = "cpu"
seed = 3

[data]
source = "photos"
skip_bad = false

[augmentation]
flip = true
padding = 0

[encoder]
name = "dcgan"
width = 64
fc = 1024
y = 64

[objective.local]
weight = 1.0
bound = "infonce"
units = 256
places = 16

[objective.prior]
weight = 0.1
prior = "uniform"

[training]
steps = 2000
batch_size = 128
lr = 0.001
betas = [0.5, 0.999]
trackers = ["tensorboard"]
"""


def start(**changes: Any) -> dict[str, Any]:
    data = {"name": "photos", "count": 5000, "shape": [3, 32, 32], "classes": CLASSES, "labelled": True}
    return {
        "event": "start",
        "step": 0,
        "recipe": "cpu",
        "data": data,
        "encoder": "dcgan",
        "parameters": 4922432,
        "device": "cpu, 2 threads",
        "processes": 1,
        "torch": "2.13.0+cpu",
        **changes,
    }


def step(number: int, rng: np.random.Generator) -> dict[str, Any]:
    """One line as the training loop writes it, the figures rising and falling as they do."""
    done = 1 - math.exp(-number / 600)
    bound = 5.2 * done + 0.12 * rng.standard_normal()
    return {
        "event": "step",
        "step": number,
        "epoch": number / 39,
        "seconds": number * 0.2,
        "local": -bound,
        "prior": 0.75 + 0.5 * math.exp(-number / 200) + 0.05 * rng.standard_normal(),
        "prior_critic": 1.33 - 0.4 * math.exp(-number / 200) + 0.04 * rng.standard_normal(),
        "prior_penalty": 0.06 + 0.01 * rng.standard_normal(),
        "local/bound": bound,
        "local/cap": math.log1p(127 * 16),
        "prior/taken_for_prior": 0.45 + 0.05 * rng.standard_normal(),
        "rank": 9 + 40 * done + rng.standard_normal(),
        "units": 64,
        "images_per_second": 640 + 20 * rng.standard_normal(),
        "peak_memory_mb": 913.5,
        "learning_rate": 0.001,
    }


def metrics_lines(steps: int = 2000, every: int = 20, *, ended: bool = True, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    entries = [start(), *(step(n, rng) for n in range(every, steps + 1, every))]
    if ended:
        entries.append({"event": "end", "step": steps, "seconds": 402.7, "images_per_second": 635.6})
    return [json.dumps(entry) for entry in entries]


def evaluation() -> dict[str, Any]:
    def by_level(conv: float, fc: float, y: float) -> dict[str, dict[str, Any]]:
        return {k: {"accuracy": v, "std": None, "n_test": 1000} for k, v in {"conv": conv, "fc": fc, "y": y}.items()}

    knn = by_level(0.62, 0.59, 0.57)
    for figure in knn.values():
        figure |= {"protocol": "kNN, k = 20, cosine, standardised features", "settings": {"k": 20}, "seconds": 0.4}
    return {
        "schema": 1,
        "data": {
            "train": {"name": "photos", "count": 5000, "classes": 5},
            "test": {"name": "photos", "count": 1000, "classes": 5, "majority": 0.23},
        },
        "scale": "cpu",
        "notes": ["knn fc: 8 units are the same for every training image"],
        "measures": {
            "mlp": {"conv": {"accuracy": 0.731, "std": 0.012}, "fc": {"accuracy": 0.694, "std": 0.009}},
            "linear": by_level(0.70, 0.66, 0.61),
            "knn": knn,
            "linear_10_per_class": by_level(0.34, 0.33, 0.28),
            "reconstruction": {"ms_ssim": 0.521, "ssim": 0.43, "mse": 0.021},
            "mine": {"nats": 8.41},
            "ndm": {"nats": 0.74, "standard_error": 0.26, "warning": "the standard error is large: give more images"},
        },
        "controls": {
            "pixels": {
                "mlp": {"accuracy": 0.42},
                "linear": {"accuracy": 0.41},
                "knn": {"accuracy": 0.20},
                "linear_10_per_class": {"accuracy": 0.33},
            },
            "pixels_pca": {"linear": {"accuracy": 0.39}, "knn": {"accuracy": 0.22}},
            "random_encoder": {
                "mlp": by_level(0.49, 0.45, 0.33),
                "linear": by_level(0.48, 0.44, 0.32),
                "knn": by_level(0.40, 0.38, 0.28),
                "linear_10_per_class": by_level(0.25, 0.24, 0.19),
                "ndm": {"nats": 3.2},
            },
            "supervised": {"accuracy": 0.79, "protocol": "end to end, 800 steps", "10_per_class": {"accuracy": 0.35}},
        },
    }


def patches(count: int, side: int, rng: np.random.Generator) -> np.ndarray:
    """Squares of real photographs: (count, 3, side, side) uint8."""
    photographs = load_sample_images().images
    found = []
    for i in range(count):
        picture = photographs[i % len(photographs)][:: (zoom := 1 + i % 4), ::zoom]
        top, left = (rng.integers(0, size - side) for size in picture.shape[:2])
        found.append(np.moveaxis(picture[top : top + side, left : left + side], -1, 0))
    return np.stack(found)


def gallery(
    *, bank: int = 400, queries: int = 12, count: int = 6, side: int = 32, labelled: bool = True, seed: int = 0
) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    images = patches(bank, side, rng)
    query = rng.permutation(bank)[:queries]
    arrays = {"images": images, "query": query}
    for level, blur in (("conv", 1), ("fc", 4), ("y", 8)):
        seen = images[:, :, ::blur, ::blur].reshape(bank, -1).astype(float)
        distance = np.abs(seen[query, None] - seen[None]).sum(2)
        arrays[f"neighbours_{level}"] = np.argsort(distance, axis=1)[:, 1 : count + 1]
    if labelled:
        arrays["labels"] = (images.mean((2, 3)).argmax(1) + 2 * (images.mean((1, 2, 3)) > 110)).astype(np.int64)
    return arrays


def queries(*, side: int = 32) -> dict[str, np.ndarray]:
    """Two images that somebody asked for, first, and the neighbours of each, with their names."""
    arrays = gallery(bank=9, queries=2, count=3, side=side, seed=7)
    order = np.concatenate([arrays["query"], np.setdiff1d(np.arange(9), arrays["query"])])
    place = np.argsort(order)
    names = np.array(["a/my photo.jpg", "IMG_17.png", *(f"holiday/{i}.jpg" for i in range(7))])
    found = {key: place[rows] for key, rows in arrays.items() if key.startswith("neighbours_")}
    return found | {
        "images": arrays["images"][order],
        "query": np.arange(2),
        "names": names,
        "labels": np.array([-1, 3, *arrays["labels"][order[2:]]]),
        "metric": np.array("L1"),
    }


def sample(prior: str = "uniform", *, count: int = 1000, units: int = 64, seed: int = 0) -> np.ndarray:
    """y near the prior, but not on it: a little narrow, with some units off centre."""
    rng = np.random.default_rng(seed)
    y = rng.standard_normal((count, units)) @ (np.eye(units) + 0.08 * rng.standard_normal((units, units)))
    if prior in ("ball", "sphere"):
        y /= np.linalg.norm(y, axis=1, keepdims=True) * rng.uniform(0.9, 1.1, (count, 1))
    if prior == "uniform":
        y = 1.6 * y + 0.4 * rng.standard_normal(units)
    return y.astype(np.float32)


def write_run(
    folder: Path,
    *,
    side: int = 32,
    lines: list[str] | None = None,
    measured: dict[str, Any] | None = None,
    reconstructed: bool = True,
) -> Path:
    """A complete run."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.toml").write_text(CONFIG, encoding="utf-8")
    (folder / "metrics.jsonl").write_text("\n".join(lines or metrics_lines()) + "\n", encoding="utf-8")
    (folder / "evaluation.json").write_text(json.dumps(measured or evaluation()), encoding="utf-8")
    arrays = gallery(side=side)
    np.savez(folder / "gallery.npz", **arrays)
    np.savez(folder / "queries.npz", **queries(side=side))
    np.savez(folder / "embeddings_sample.npz", y=sample())
    if reconstructed:
        images = arrays["images"][:16]
        made = (images.astype(float).reshape(16, 3, side // 4, 4, side // 4, 4).mean((3, 5))).astype(np.uint8)
        made = made.repeat(4, axis=2).repeat(4, axis=3)
        np.savez(folder / "reconstructions.npz", images=images, reconstructions=made)
        np.savez(folder / "generated.npz", images=images, reconstructions=made, samples=made)
    return folder


def write_small(folder: Path) -> Path:
    """Every file of a run with as little in it as there can be."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.toml").write_text('[objective.prior]\nprior = "uniform"\n', encoding="utf-8")
    lines = ['{"event": "step", "step": 20, "loss": 2.0}', '{"event": "end", "step": 20}']
    (folder / "metrics.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (folder / "evaluation.json").write_text('{"measures": {"knn": {"y": {"accuracy": 0.5}}}}', encoding="utf-8")
    arrays = gallery(bank=9, queries=2, count=3, side=8)
    np.savez(folder / "gallery.npz", **arrays)
    np.savez(folder / "queries.npz", **queries(side=8))
    np.savez(folder / "embeddings_sample.npz", y=sample(count=50, units=2))
    np.savez(folder / "reconstructions.npz", images=arrays["images"], reconstructions=arrays["images"])
    np.savez(folder / "generated.npz", samples=arrays["images"])
    return folder
