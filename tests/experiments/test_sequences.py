"""Time series: real ones, which the wheel of sktime carries, and made-up ones whose answer is known."""

import json
import math

import numpy as np
import pytest

from deepinfomax.data.images import ImageSet
from deepinfomax.errors import UserError
from deepinfomax.experiments import sequences


def waves(count, seed):
    """Two classes that differ in the length of a wave, at a random phase: (count, 2, 64)."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    phase = rng.uniform(0, 2 * np.pi, (count, 2, 1))
    period = np.where(labels == 0, 8, 12)[:, None, None]
    series = np.sin(2 * np.pi * np.arange(64) / period + phase) + 0.3 * rng.standard_normal((count, 2, 64))
    return ImageSet(series.astype(np.float32), labels, ("short", "long"), "waves")


def leaves(tree):
    return [x for v in tree.values() for x in leaves(v)] if isinstance(tree, dict) else [tree]


def test_compare_puts_dim_beside_its_controls(tmp_path):
    training, test = waves(80, 0), waves(60, 1)
    result = sequences.compare(training, training, test, "smoke", 0, tmp_path / "a")
    assert set(result) == {"raw", "raw_pca", "random_encoder", "dim"}
    assert set(result["dim"]) == {"conv", "fc", "y"} == set(result["random_encoder"])
    assert all(0 <= accuracy <= 1 for accuracy in leaves(result))
    assert result["dim"] != result["random_encoder"]  # it was trained
    assert result == sequences.compare(training, training, test, "smoke", 0, tmp_path / "b")
    assert (tmp_path / "a" / "encoder.safetensors").is_file()  # a run folder like any other


def test_the_classifiers_find_what_is_there_and_nothing_where_nothing_is():
    training, test = waves(200, 0), waves(200, 1)
    told = sequences.accuracies(training.labels[:, None] * 1.0, test.labels[:, None] * 1.0, training, test)
    assert told == {"svm": 1.0, "knn": 1.0}
    noise = np.random.default_rng(2).standard_normal((2, 200, 10))
    untold = sequences.accuracies(*noise, training, test)
    assert all(abs(accuracy - 0.5) < 4 * 0.5 / math.sqrt(200) for accuracy in untold.values())


def test_random_starts_are_rotations_of_the_same_series():
    closed = waves(3, 0)
    views = sequences.with_random_starts(closed, seed=0)
    assert len(views) == 3 * sequences.STARTS
    for i, view in enumerate(views.images):
        original = closed.images[i // sequences.STARTS]
        assert any(np.array_equal(view, np.roll(original, s, axis=1)) for s in range(64))
        assert views.labels[i] == closed.labels[i // sequences.STARTS]
    assert not np.array_equal(views.images, sequences.with_random_starts(closed, seed=1).images)


def test_an_unknown_set_and_a_missing_dependency(monkeypatch):
    with pytest.raises(UserError, match="choose one of OSULeaf"):
        sequences.load("nothing")
    monkeypatch.setitem(__import__("sys").modules, "sktime.datasets", None)
    with pytest.raises(UserError, match="pip install sktime"):
        sequences.load("ACSF1")


@pytest.mark.parametrize(
    ("name", "count", "count_test", "shape", "classes"),
    [("OSULeaf", 200, 242, (1, 427), 6), ("ACSF1", 100, 100, (1, 1460), 10), ("BasicMotions", 40, 40, (6, 100), 4)],
)
def test_the_series_are_those_that_the_page_describes(name, count, count_test, shape, classes):
    training, test = sequences.load(name)
    assert (len(training), len(test), training.shape, test.shape) == (count, count_test, shape, shape)
    assert set(training.labels) == set(test.labels) == set(range(classes))
    assert training.images.dtype == np.float32
    np.testing.assert_allclose(training.images.mean((0, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(training.images.std((0, 2)), 1, atol=1e-4)


@pytest.mark.parametrize(("name", "published"), [("OSULeaf", 0.521), ("ACSF1", 0.54)])
def test_nearest_neighbours_of_raw_series_are_the_archives_baseline(name, published):
    """Error rates of 0.479 and 0.46, "ED (w=0)" of the UCR archive."""
    training, test = sequences.load(name)
    rows = [part.images.reshape(len(part), -1) for part in (training, test)]
    assert sequences.accuracies(*rows, training, test)["knn"] == pytest.approx(published, abs=5e-4)


def test_smallest_run(tmp_path):
    result = sequences.run("smoke", 0, tmp_path)
    assert set(result) == {"scale", "seed", *sequences.SOURCES}
    assert json.loads((tmp_path / "sequences.json").read_text()) == result
