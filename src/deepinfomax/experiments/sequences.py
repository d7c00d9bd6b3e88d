"""Deep InfoMax on time series: local features are stretches of time, and nothing else changes.

Three labelled sets that the wheel of sktime carries, each with its official split:

| set | train + test | channels × length | classes | what |
| --- | --- | --- | --- | --- |
| OSULeaf | 200 + 242 | 1 × 427 | 6 | outline of a leaf, as its distance from the middle |
| ACSF1 | 100 + 100 | 1 × 1460 | 10 | power drawn by household appliances |
| BasicMotions | 40 + 40 | 6 × 100 | 4 | accelerometer and gyroscope on a wrist |

The encoder is trained on the training part without its labels. Then the same two classifiers, fitted on the training
part, are measured on the test part for the raw series, for its principal components, for the encoder as it was before
training and for the encoder after.
"""

import importlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC
from torch import nn

from deepinfomax import encoders
from deepinfomax.config import Config, Data, Training, resolve
from deepinfomax.data.images import ImageSet, normalise
from deepinfomax.errors import UserError
from deepinfomax.evaluation.controls import random_encoder
from deepinfomax.features import LEVELS
from deepinfomax.recipes import Scale
from deepinfomax.training.loop import train
from deepinfomax.training.run_folder import CONFIG

STARTS = 16  #: copies of each closed outline, begun at as many random points


@dataclass(frozen=True)
class Source:
    """Where sktime keeps a set, and what is known of it."""

    loader: str  #: function of sktime.datasets
    closed: bool = False  #: the end is joined to the beginning, and where it begins means nothing


SOURCES = {
    "OSULeaf": Source("load_osuleaf", closed=True),
    "ACSF1": Source("load_acsf1"),
    "BasicMotions": Source("load_basic_motions"),
}
STEPS: dict[Scale, int] = {"smoke": 4, "cpu": 300, "paper": 2000}
WIDTH: dict[Scale, int] = {"smoke": 8, "cpu": 32, "paper": 64}


def run(scale: Scale, seed: int, out: str | Path | None = None) -> dict[str, Any]:
    """Train and measure on every set.

    Args:
        scale: how long and how wide, see `STEPS` and `WIDTH`.
        seed: of weights, order of batches and random starts.
        out: folder for the run folders and `sequences.json`; None: they are thrown away.

    Returns:
        {"OSULeaf": {"raw": {"svm": ..., "knn": ...}, "raw_pca": ..., "random_encoder": {"conv": ..., "fc": ...,
        "y": ...}, "dim": the same}, ...}, accuracies as fractions of the test part.

    Raises:
        UserError: sktime is not installed.
    """
    if out is None:
        with tempfile.TemporaryDirectory() as folder:
            return run(scale, seed, folder)
    out = Path(out)
    result: dict[str, Any] = {"scale": scale, "seed": seed}
    for name, source in SOURCES.items():
        training, test = load(name)
        views = with_random_starts(training, seed) if source.closed else training
        result[name] = compare(views, training, test, scale, seed, out / name)
    (out / "sequences.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return result


def compare(
    views: ImageSet, training: ImageSet, test: ImageSet, scale: Scale, seed: int, out: str | Path
) -> dict[str, Any]:
    """DIM trained on `views` beside its controls, by classifiers fitted on `training` and measured on `test`."""
    settings = resolve(
        Config(
            seed=seed,
            data=Data(standardise=False),  # `load` has done it
            encoder={"name": "sequence", "width": WIDTH[scale]},
            objective={"local": {"bound": "infonce", "units": 256}},
            training=Training(
                epochs=STEPS[scale],  # each has at least one step
                steps=STEPS[scale],
                batch_size=min(64, len(views)),
                lr=1e-3,
                log_every=max(1, STEPS[scale] // 20),
                trackers=(),
            ),
        )
    )
    name, arguments = settings.encoder["name"], {k: v for k, v in settings.encoder.items() if k != "name"}
    untrained = random_encoder(lambda: encoders.build(name, training.shape, **arguments), training, seed=seed)
    trained = train(settings, views, out, resume=(Path(out) / CONFIG).is_file(), quiet=True, device="cpu")
    flat, flat_test = (s.images.reshape(len(s), -1) for s in (training, test))
    units = min(64, *flat.shape)  # as many as y has, where there are
    components = PCA(units, random_state=seed % 2**32).fit(flat)
    return {
        "raw": accuracies(flat, flat_test, training, test),
        "raw_pca": accuracies(components.transform(flat), components.transform(flat_test), training, test),
        "random_encoder": measure(untrained, training, test),
        "dim": measure(trained, training, test),
    }


def measure(encoder: nn.Module, training: ImageSet, test: ImageSet) -> dict[str, dict[str, float]]:
    """Accuracies at the levels conv, fc and y of a frozen encoder."""
    with torch.no_grad():
        features, features_test = (encoder(normalise(s.images)) for s in (training, test))
    return {
        level: accuracies(
            getattr(features, level).flatten(1).numpy(),
            getattr(features_test, level).flatten(1).numpy(),
            training,
            test,
        )
        for level in LEVELS
    }


def accuracies(x: np.ndarray, x_test: np.ndarray, training: ImageSet, test: ImageSet) -> dict[str, float]:
    """Rows (N, D) -> test accuracy of a linear SVM and of the nearest neighbour (L2), as fractions.

    Rows are scaled by one number, so the nearest neighbours of raw series are the baseline that the archives of time
    series print. The SVM's C is chosen by cross-validation within the training part.
    """
    scale = x.std()
    scorers = {
        "svm": GridSearchCV(SVC(kernel="linear"), {"C": np.logspace(-4, 2, 7)}, cv=5),
        "knn": KNeighborsClassifier(1),
    }
    return {
        name: float(scorer.fit(x / scale, training.labels).score(x_test / scale, test.labels))
        for name, scorer in scorers.items()
    }


def load(name: str) -> tuple[ImageSet, ImageSet]:
    """The training and the test part, (N, C, T) float32, each channel standardised by the training part.

    Raises:
        UserError: an unknown name, or sktime is not installed.
    """
    if name not in SOURCES:
        raise UserError(f"unknown time series {name!r}; choose one of {', '.join(SOURCES)}")
    try:
        datasets = importlib.import_module("sktime.datasets")
    except ImportError:
        raise UserError("the time series come with sktime, which is not installed: pip install sktime") from None
    loader = getattr(datasets, SOURCES[name].loader)
    (x, labels), (x_test, labels_test) = (loader(split=part, return_type="numpy3D") for part in ("train", "test"))
    mean, sd = x.mean((0, 2), keepdims=True), x.std((0, 2), keepdims=True)
    classes, index = np.unique(labels, return_inverse=True)

    def part(series: np.ndarray, labels: np.ndarray) -> ImageSet:
        return ImageSet(((series - mean) / sd).astype(np.float32), labels, tuple(map(str, classes)), name)

    return part(x, index), part(x_test, np.searchsorted(classes, labels_test))


def with_random_starts(closed: ImageSet, seed: int) -> ImageSet:
    """Each closed series `STARTS` times, begun at random points.

    Two copies of one series may then meet in a batch as a negative pair: among the 63 others of a batch of 64 from 200
    series, there are 0.3 copies of the same on average.
    """
    rng = np.random.default_rng(seed)
    length = closed.images.shape[2]

    def rolled() -> Iterator[np.ndarray]:
        for series in closed.images:
            for start in rng.integers(length, size=STARTS):
                yield np.roll(series, start, axis=1)

    labels = None if closed.labels is None else closed.labels.repeat(STARTS)
    return ImageSet(np.stack(list(rolled())), labels, closed.classes, closed.name)
