"""Deep InfoMax on time series: local features are stretches of time, and nothing else changes.

Eleven labelled sets. The wheel of sktime carries nine, from the archives UCR and UEA, each with its official split; two
of the archives' sets are simulated, and simulated here again by their authors' formulas:

| set | train + test | channels × length | classes | what |
| --- | --- | --- | --- | --- |
| UnitTest | 20 + 22 | 1 × 24 | 2 | pedestrians in a street by the hour, part of the set Chinatown |
| ItalyPowerDemand | 67 + 1029 | 1 × 24 | 2 | electric power of a day |
| SyntheticControl | 300 + 300 | 1 × 60 | 6 | simulated control charts (Alcock and Manolopoulos 1999) |
| CBF | 30 + 900 | 1 × 128 | 3 | simulated cylinders, bells and funnels (Saito 1994) |
| GunPoint | 50 + 150 | 1 × 150 | 2 | a hand that draws a gun, or points |
| ArrowHead | 36 + 175 | 1 × 251 | 3 | outline of an arrow head, as its angles |
| BasicMotions | 40 + 40 | 6 × 100 | 4 | accelerometer and gyroscope on a wrist |
| JapaneseVowels | 270 + 370 | 12 × 7 to 29 | 9 | a vowel of nine speakers, as cepstral coefficients |
| OSULeaf | 200 + 242 | 1 × 427 | 6 | outline of a leaf, as its distance from the middle |
| ACSF1 | 100 + 100 | 1 × 1460 | 10 | power drawn by household appliances |
| PLAID | 537 + 537 | 1 × 100 to 1344 | 11 | power drawn by household appliances |

The encoder is trained on the training part without its labels. Then the same two classifiers, fitted on the training
part, are measured on the test part for the raw series, for its principal components, for the encoder as it was before
training and for the encoder after; and for catch22, 22 features that people chose. MiniRocket, 10,000 random
convolutions, is measured with the ridge classifier that its authors use.

All sets have one setting. OSULeaf has a second one beside it, `dim_tuned`, chosen among a few by the labels of its
training part alone (`TUNED`; results/sequences.json lists what was tried).

Where a closed outline begins means nothing, but an encoder sees it. So each outline of OSULeaf is also described by the
mean of its features over `TURNS` starts: `dim_turned`, and `random_encoder_turned`, the encoder before training.
"""

import dataclasses
import importlib
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import RidgeClassifierCV
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch import nn

from deepinfomax import encoders
from deepinfomax.config import Config, Data, Training, override, resolve
from deepinfomax.data.images import ImageSet, normalise
from deepinfomax.errors import UserError
from deepinfomax.evaluation.controls import random_encoder
from deepinfomax.experiments.provenance import read, write
from deepinfomax.features import LEVELS
from deepinfomax.recipes import Scale
from deepinfomax.seeds import random_state
from deepinfomax.training.building import begin
from deepinfomax.training.loop import train
from deepinfomax.training.run_folder import CONFIG

STARTS = 16  #: copies of each closed outline, begun at as many random points
TURNS = 16  #: starts, evenly spaced, over which the features of a closed outline are averaged
RESULT = "sequences.json"  #: in the folder of a run
#: most iterations of a fit, libsvm's own limit, which scikit-learn lifts: some fits with a large C go on for ever
SVM_ITERATIONS = 10**7

#: one part of a set: its series, each (C, T), and a label for each
Part = tuple[list[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Source:
    """Where a set comes from, and what is known of it."""

    loader: str | None = None  #: function of sktime.datasets
    simulated: Callable[[], tuple[Part, Part]] | None = None  #: makes the training and the test part
    closed: bool = False  #: the end is joined to the beginning, and where it begins means nothing


def cylinder_bell_funnel() -> tuple[Part, Part]:
    """CBF: a plateau, a rise or a fall of height 6 + η from a to b in noise, 128 steps (Saito 1994), 30 + 900.

    a is uniform in 16 to 32, b - a in 32 to 96, η and the noise are N(0, 1). As in the archive each series has mean 0
    and standard deviation 1.
    """
    rng, t = np.random.default_rng(1994), np.arange(1, 129)

    def one(kind: int) -> np.ndarray:
        a = int(rng.integers(16, 33))
        b = a + int(rng.integers(32, 97))
        shape = (np.ones(128), (t - a) / (b - a), (b - t) / (b - a))[kind]
        return (6 + rng.standard_normal()) * shape * ((t >= a) & (t <= b)) + rng.standard_normal(128)

    return _simulated(one, 3, 10), _simulated(one, 3, 300)


def control_charts() -> tuple[Part, Part]:
    """SyntheticControl: six kinds of charts of 60 steps (Alcock and Manolopoulos 1999), 300 + 300.

    30 + 2 r, r uniform in [-3, 3]; then a wave of height and period 10 to 15, a slope of 0.2 to 0.5 up or down, or a
    step of 7.5 to 20 up or down in the middle third. As in the archive each series has mean 0 and standard deviation 1.
    """
    rng, t = np.random.default_rng(1999), np.arange(1, 61)

    def one(kind: int) -> np.ndarray:
        chart = 30 + 2 * rng.uniform(-3, 3, 60)
        if kind == 1:
            chart += rng.uniform(10, 15) * np.sin(2 * np.pi * t / rng.uniform(10, 15))
        elif kind in (2, 3):
            chart += (1 if kind == 2 else -1) * rng.uniform(0.2, 0.5) * t
        elif kind in (4, 5):
            chart += (1 if kind == 4 else -1) * rng.uniform(7.5, 20) * (t >= rng.uniform(20, 40))
        return chart

    return _simulated(one, 6, 50), _simulated(one, 6, 50)


def _simulated(one: Callable[[int], np.ndarray], classes: int, each: int) -> Part:
    """So many series of each class, standardised one by one."""
    labels = np.repeat(np.arange(classes), each)
    series = [one(int(label)) for label in labels]
    return [((x - x.mean()) / x.std())[None] for x in series], labels


SOURCES = {  # the cheapest first
    "UnitTest": Source("load_unit_test"),
    "ItalyPowerDemand": Source("load_italy_power_demand"),
    "SyntheticControl": Source(simulated=control_charts),
    "CBF": Source(simulated=cylinder_bell_funnel),
    "GunPoint": Source("load_gunpoint"),
    "JapaneseVowels": Source("load_japanese_vowels"),
    "BasicMotions": Source("load_basic_motions"),
    "ArrowHead": Source("load_arrow_head"),
    "OSULeaf": Source("load_osuleaf", closed=True),
    "ACSF1": Source("load_acsf1"),
    "PLAID": Source("load_plaid"),
}
#: what was chosen for a set on its training part: changes of the setting of all
TUNED: dict[str, dict[str, Any]] = {
    "OSULeaf": {"training.schedule": "cosine", "training.first_layer": "whitening"},
}
STEPS: dict[Scale, int] = {"smoke": 4, "cpu": 300, "paper": 2000}
TUNED_STEPS: dict[Scale, int] = {"smoke": 4, "cpu": 1000, "paper": 6000}  #: of sets in `TUNED`
WIDTH: dict[Scale, int] = {"smoke": 8, "cpu": 32, "paper": 64}
OF_A_CLASS: dict[Scale, int | None] = {"smoke": 3, "cpu": None, "paper": None}  #: series of each part; None: all
LONGEST: dict[Scale, int | None] = {"smoke": 128, "cpu": None, "paper": None}  #: steps of a series; None: all


def run(scale: Scale, seed: int, out: str | Path | None = None) -> dict[str, Any]:
    """Train and measure on every set.

    The file in `out` is written after every set and continued where it is of this scale and seed: remove it to begin
    anew.

    Args:
        scale: how long, how wide and on how much, see `STEPS`, `WIDTH`, `OF_A_CLASS` and `LONGEST`.
        seed: of weights, order of batches and random starts.
        out: folder for the run folders and `sequences.json`; None: they are thrown away.

    Returns:
        {"OSULeaf": {"raw": {"svm": ..., "knn": ...}, "raw_pca": ..., "catch22": ..., "minirocket": {"ridge": ...},
        "random_encoder": {"conv": {"svm": ..., "knn": ...}, "fc": ..., "y": ...}, "dim": the same, "dim_tuned" where
        `TUNED` has the set, "dim_turned" and "random_encoder_turned" where it is of closed outlines}, ...}, accuracies
        as fractions of the test part.

    Raises:
        UserError: sktime, sktime-cython or pycatch22 is not installed.
    """
    if out is None:
        with tempfile.TemporaryDirectory() as folder:
            return run(scale, seed, folder)
    for package in ("sktime", "sktime_cython", "pycatch22"):
        needed(package)
    out = Path(out)
    path = out / RESULT
    result: dict[str, Any] = {"scale": scale, "seed": seed}
    if path.is_file():
        earlier = read(path)
        if result.items() <= earlier.items():
            result = earlier
    for name, source in SOURCES.items():
        if name in result:
            continue
        training, test = (small(part, scale) for part in load(name))
        views = with_random_starts(training, seed) if source.closed else training
        result[name] = compare(views, training, test, scale, seed, out / name)
        if name in TUNED:
            result[name]["dim_tuned"] = tuned(views, training, test, scale, seed, out / f"{name}-tuned")
        if source.closed:
            result[name] |= turned(views, training, test, scale, seed, out / f"{name}-tuned")
        write(path, result)
    return result


def compare(
    views: ImageSet, training: ImageSet, test: ImageSet, scale: Scale, seed: int, out: str | Path
) -> dict[str, Any]:
    """DIM trained on `views` beside its controls, by classifiers fitted on `training` and measured on `test`."""
    settings = configuration(len(views), scale, seed)
    name, arguments = settings.encoder["name"], {k: v for k, v in settings.encoder.items() if k != "name"}
    untrained = random_encoder(lambda: encoders.build(name, training.shape, **arguments), training, seed=seed)
    trained = trained_on(views, settings, out)
    flat, flat_test = (s.images.reshape(len(s), -1) for s in (training, test))
    units = min(64, *flat.shape)  # as many as y has, where there are
    components = PCA(units, random_state=random_state(seed)).fit(flat)
    chosen = StandardScaler().fit(described := catch22(training.images))
    return {
        "raw": accuracies(flat, flat_test, training, test),
        "raw_pca": accuracies(components.transform(flat), components.transform(flat_test), training, test),
        "catch22": accuracies(chosen.transform(described), chosen.transform(catch22(test.images)), training, test),
        "minirocket": {"ridge": minirocket(training, test, seed)},
        "random_encoder": measure(untrained, training, test),
        "dim": measure(trained, training, test),
    }


def tuned(
    views: ImageSet, training: ImageSet, test: ImageSet, scale: Scale, seed: int, out: str | Path
) -> dict[str, dict[str, float]]:
    """DIM in the setting that `TUNED` has for the set, measured as `compare` measures it."""
    return measure(trained_on(views, tuned_configuration(views, scale, seed), out), training, test)


def turned(
    views: ImageSet, training: ImageSet, test: ImageSet, scale: Scale, seed: int, out: str | Path
) -> dict[str, dict[str, dict[str, float]]]:
    """The encoder of `tuned`, and the same before training, by features that are means over `TURNS` starts.

    Outlines are closed, so this takes out what means nothing. The encoder in `out` is not trained again.
    """
    settings = tuned_configuration(views, scale, seed)
    name, arguments = settings.encoder["name"], {k: v for k, v in settings.encoder.items() if k != "name"}

    def fresh() -> nn.Module:
        encoder = encoders.build(name, training.shape, **arguments)
        begin(encoder, settings, views)
        return encoder

    untrained, trained = random_encoder(fresh, training, seed=seed), trained_on(views, settings, out)
    return {
        "random_encoder_turned": measure(untrained, training, test, TURNS),
        "dim_turned": measure(trained, training, test, TURNS),
    }


def configuration(count: int, scale: Scale, seed: int) -> Config:
    """The setting of all sets, for so many series."""
    return resolve(
        Config(
            seed=seed,
            data=Data(standardise=False),  # `load` has done it
            encoder={"name": "sequence", "width": WIDTH[scale]},
            objective={"local": {"bound": "infonce", "units": 256}},
            training=Training(
                epochs=STEPS[scale],  # each has at least one step
                steps=STEPS[scale],
                batch_size=min(64, count),
                lr=1e-3,
                log_every=max(1, STEPS[scale] // 20),
                trackers=(),
            ),
        )
    )


def tuned_configuration(views: ImageSet, scale: Scale, seed: int) -> Config:
    """The setting that was chosen for a set; that of all where none was."""
    settings = configuration(len(views), scale, seed)
    if views.name not in TUNED:
        return settings
    steps = {"training.epochs": TUNED_STEPS[scale], "training.steps": TUNED_STEPS[scale]}
    return override(settings, steps | TUNED[views.name])


def trained_on(views: ImageSet, settings: Config, out: str | Path) -> nn.Module:
    """Train in the folder `out`, or go on with what lies there."""
    return train(settings, views, out, resume=(Path(out) / CONFIG).is_file(), quiet=True, device="cpu")


def measure(encoder: nn.Module, training: ImageSet, test: ImageSet, turns: int = 1) -> dict[str, dict[str, float]]:
    """Accuracies at the levels conv, fc and y of a frozen encoder, see `features`."""
    rows, rows_test = (features(encoder, s, turns) for s in (training, test))
    return {level: accuracies(rows[level], rows_test[level], training, test) for level in LEVELS}


def features(encoder: nn.Module, series: ImageSet, turns: int = 1) -> dict[str, np.ndarray]:
    """Level -> (N, units), the mean over as many starts of each series, evenly spaced; 1: as the series are."""
    length = series.shape[1]
    sums: dict[str, np.ndarray] = {}
    for turn in range(turns):
        begun = np.roll(series.images, turn * length // turns, axis=2)
        with torch.no_grad():
            seen = encoder(normalise(begun))
        for level in LEVELS:
            rows = getattr(seen, level).flatten(1).numpy()
            sums[level] = sums[level] + rows if turn else rows
    return {level: rows / turns for level, rows in sums.items()}


def accuracies(x: np.ndarray, x_test: np.ndarray, training: ImageSet, test: ImageSet) -> dict[str, float]:
    """Rows (N, D) -> test accuracy of a linear SVM and of the nearest neighbour (L2), as fractions.

    Rows are scaled by one number, so the nearest neighbours of raw series are the baseline that the archives of time
    series print. The SVM's C is chosen by cross-validation within the training part: five folds, or as many as the
    smallest class has series. A fit of it ends after `SVM_ITERATIONS` at the latest.
    """
    assert training.labels is not None
    scale = x.std()
    folds = max(2, min(5, int(np.bincount(training.labels).min())))
    scorers = {
        "svm": GridSearchCV(SVC(kernel="linear", max_iter=SVM_ITERATIONS), {"C": np.logspace(-4, 2, 7)}, cv=folds),
        "knn": KNeighborsClassifier(1),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return {
            name: float(scorer.fit(x / scale, training.labels).score(x_test / scale, test.labels))
            for name, scorer in scorers.items()
        }


def catch22(series: np.ndarray) -> np.ndarray:
    """(N, C, T) -> (N, 22·C): the canonical features of each channel (Lubba et al. 2019), in the authors' code.

    What they leave undefined, as of a channel that does not change, is 0.
    """
    describe = needed("pycatch22").catch22_all
    rows = [
        [value for channel in item for value in describe(channel.tolist())["values"]]
        for item in np.asarray(series, np.float64)
    ]
    return np.nan_to_num(np.array(rows), nan=0.0, posinf=0.0, neginf=0.0)


def minirocket(training: ImageSet, test: ImageSet, seed: int) -> float:
    """Test accuracy of MiniRocket (Dempster et al. 2020) by sktime, with its authors' ridge classifier."""
    needed("sktime_cython")
    rocket = needed("sktime.transformations.rocket").MiniRocketMultivariateCython(random_state=seed % 2**31)
    x = rocket.fit_transform(training.images).to_numpy()
    x_test = rocket.transform(test.images).to_numpy()
    classifier = make_pipeline(StandardScaler(with_mean=False), RidgeClassifierCV(alphas=np.logspace(-3, 3, 10)))
    return float(classifier.fit(x, training.labels).score(x_test, test.labels))


def load(name: str) -> tuple[ImageSet, ImageSet]:
    """The training and the test part, (N, C, T) float32, each channel standardised by the training part.

    Series shorter than the longest of both parts end in zeros, the mean.

    Raises:
        UserError: an unknown name, or sktime is not installed.
    """
    if name not in SOURCES:
        raise UserError(f"unknown time series {name!r}; choose one of {', '.join(SOURCES)}")
    source = SOURCES[name]
    (series, labels), (series_test, labels_test) = source.simulated() if source.simulated else _shipped(source)
    every = np.concatenate(series, axis=1)
    mean, sd = every.mean(1, keepdims=True), every.std(1, keepdims=True)
    classes, index = np.unique(labels, return_inverse=True)
    length = max(x.shape[1] for x in (*series, *series_test))

    def part(series: list[np.ndarray], labels: np.ndarray) -> ImageSet:
        whole = np.zeros((len(series), len(mean), length), np.float32)
        for row, x in zip(whole, series, strict=True):
            row[:, : x.shape[1]] = (x - mean) / sd
        return ImageSet(whole, labels, tuple(map(str, classes)), name)

    return part(series, index), part(series_test, np.searchsorted(classes, labels_test))


def _shipped(source: Source) -> tuple[Part, Part]:
    """The training and the test part as sktime carries them."""
    datasets = needed("sktime.datasets")

    def part(split: str) -> Part:
        table, labels = getattr(datasets, str(source.loader))(split=split, return_type="nested_univ")
        return [np.stack([np.asarray(channel, np.float64) for channel in row]) for row in table.to_numpy()], labels

    return part("train"), part("test")


def needed(module: str) -> Any:
    """A module of the packages that this experiment needs beside the library's own. UserError where it is absent."""
    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.split(".")[0].replace("_", "-")
        raise UserError(
            f"time series are loaded and measured with {package}, which is not installed: pip install "
            "'deepinfomax[sequences]'"
        ) from None


def small(series: ImageSet, scale: Scale) -> ImageSet:
    """The first series of each class, and the beginning of each, as much as the scale has; or all."""
    most, longest = OF_A_CLASS[scale], LONGEST[scale]
    if most is None or series.labels is None:
        return series
    first = np.sort(np.concatenate([np.flatnonzero(series.labels == of)[:most] for of in np.unique(series.labels)]))
    part = series.take(first)
    return dataclasses.replace(part, images=part.images[:, :, :longest])


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
