"""Time series: real ones, which the wheel of sktime carries, and made-up ones whose answer is known."""

import json
import math

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

import deepinfomax
from deepinfomax import config as configuration
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
    assert set(result) == {"raw", "raw_pca", "catch22", "minirocket", "random_encoder", "dim"}
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


def test_a_set_has_its_tuned_setting_beside_that_of_all(monkeypatch, tmp_path):
    training, test = waves(40, 0), waves(30, 1)
    monkeypatch.setattr(sequences, "SOURCES", {"waves": sequences.Source()})
    monkeypatch.setattr(sequences, "load", lambda name: (training, test))
    monkeypatch.setitem(sequences.OF_A_CLASS, "smoke", None)
    monkeypatch.setitem(sequences.TUNED, "waves", {"training.views": 2, "augmentation.noise": 0.1})
    result = sequences.run("smoke", 0, tmp_path)["waves"]
    used = configuration.load(tmp_path / "waves-tuned" / "config.toml")
    assert (used.training.views, used.training.steps, used.augmentation["noise"]) == (2, sequences.STEPS["smoke"], 0.1)
    assert set(result["dim_tuned"]) == {"conv", "fc", "y"}
    assert result["dim_tuned"] != result["dim"]
    del sequences.TUNED["waves"]
    assert result.items() >= sequences.run("smoke", 0, tmp_path / "without")["waves"].items()


def test_a_closed_outline_is_described_whatever_it_begins_with(monkeypatch, tmp_path):
    training, test = waves(40, 0), waves(30, 1)
    monkeypatch.setattr(sequences, "SOURCES", {"waves": sequences.Source(closed=True)})
    monkeypatch.setattr(sequences, "load", lambda name: (training, test))
    monkeypatch.setitem(sequences.OF_A_CLASS, "smoke", None)
    result = sequences.run("smoke", 0, tmp_path)["waves"]
    assert set(result["dim_turned"]) == {"conv", "fc", "y"} == set(result["random_encoder_turned"])
    assert result["dim_turned"] != result["random_encoder_turned"]
    encoder = deepinfomax.load(tmp_path / "waves-tuned")
    begun = [ImageSet(np.roll(test.images, start, axis=2)) for start in (0, 4, 2)]
    there, quarter, between = (sequences.features(encoder, part, turns=16) for part in begun)
    for level in ("conv", "fc", "y"):  # 16 starts of 64 steps: to begin 4 later changes nothing
        np.testing.assert_allclose(there[level], quarter[level], rtol=1e-3, atol=1e-4)
        assert not np.allclose(there[level], between[level], rtol=1e-3, atol=1e-4)
    with torch.no_grad():
        plain = encoder(torch.from_numpy(test.images))
    np.testing.assert_allclose(sequences.features(encoder, test)["y"], plain.y, atol=1e-6)


def test_an_unknown_set_and_a_missing_dependency(monkeypatch, tmp_path):
    with pytest.raises(UserError, match="choose one of UnitTest"):
        sequences.load("nothing")
    for module, package in (("sktime.datasets", "sktime"), ("sktime_cython", "sktime-cython"), ("pycatch22",) * 2):
        with monkeypatch.context() as absent:
            absent.setitem(__import__("sys").modules, module, None)
            with pytest.raises(UserError, match=f"with {package}, .* pip install 'deepinfomax.sequences.'"):
                sequences.needed(module)
    monkeypatch.setitem(__import__("sys").modules, "pycatch22", None)
    with pytest.raises(UserError, match="pycatch22"):  # before anything is trained
        sequences.run("smoke", 0, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "count", "count_test", "shape", "classes"),
    [
        ("UnitTest", 20, 22, (1, 24), 2),
        ("ItalyPowerDemand", 67, 1029, (1, 24), 2),
        ("SyntheticControl", 300, 300, (1, 60), 6),
        ("CBF", 30, 900, (1, 128), 3),
        ("GunPoint", 50, 150, (1, 150), 2),
        ("ArrowHead", 36, 175, (1, 251), 3),
        ("BasicMotions", 40, 40, (6, 100), 4),
        ("OSULeaf", 200, 242, (1, 427), 6),
        ("ACSF1", 100, 100, (1, 1460), 10),
    ],
)
def test_the_series_are_those_that_the_page_describes(name, count, count_test, shape, classes):
    training, test = sequences.load(name)
    assert (len(training), len(test), training.shape, test.shape) == (count, count_test, shape, shape)
    assert set(training.labels) == set(test.labels) == set(range(classes))
    assert training.images.dtype == np.float32
    np.testing.assert_allclose(training.images.mean((0, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(training.images.std((0, 2)), 1, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "count", "channels", "lengths", "length"),
    [("JapaneseVowels", 270, 12, (7, 26), 29), ("PLAID", 537, 1, (100, 1344), 1344)],
)
def test_shorter_series_end_in_the_mean(name, count, channels, lengths, length):
    (series, _), _ = sequences._shipped(sequences.SOURCES[name])
    assert (min(x.shape[1] for x in series), max(x.shape[1] for x in series)) == lengths
    training, test = sequences.load(name)
    assert training.images.shape == (count, channels, length)
    assert test.shape == (channels, length)
    values = [value for x in series for value in x[0]]
    mean, sd = np.mean(values), np.std(values)
    for x, row in zip(series[:20], training.images, strict=False):
        np.testing.assert_allclose(row[0, : x.shape[1]], (x[0] - mean) / sd, atol=1e-5)
        assert (row[:, x.shape[1] :] == 0).all()


# Error rates of 0.4793, 0.46, 0.2, 0.0867 and 0.0447, "ED (w=0)" of the UCR archive.
@pytest.mark.parametrize(
    ("name", "published"),
    [("OSULeaf", 0.5207), ("ACSF1", 0.54), ("ArrowHead", 0.8), ("GunPoint", 0.9133), ("ItalyPowerDemand", 0.9553)],
)
def test_nearest_neighbours_of_raw_series_are_the_archives_baseline(name, published):
    training, test = sequences.load(name)
    rows = [part.images.reshape(len(part), -1) for part in (training, test)]
    nearest = KNeighborsClassifier(1).fit(rows[0], training.labels).score(rows[1], test.labels)
    assert nearest == pytest.approx(published, abs=1e-3)


@pytest.mark.parametrize(("name", "published", "margin"), [("CBF", 0.852, 0.1), ("SyntheticControl", 0.88, 0.05)])
def test_simulated_sets_are_about_as_hard_as_the_archives(name, published, margin):
    """Other draws by the same formula: 30 training series of CBF leave more to chance than 300."""
    training, test = sequences.load(name)
    rows = [part.images.reshape(len(part), -1) for part in (training, test)]
    nearest = KNeighborsClassifier(1).fit(rows[0], training.labels).score(rows[1], test.labels)
    assert nearest == pytest.approx(published, abs=margin)
    again, _ = sequences.load(name)
    np.testing.assert_array_equal(again.images, training.images)
    assert not np.array_equal(training.images[:10], test.images[:10])


def test_catch22_is_that_of_its_authors_for_each_channel():
    import pycatch22

    series = waves(3, 0).images
    series[1, 1] = 4.0  # nothing there to describe
    features = sequences.catch22(series)
    assert features.shape == (3, 44)
    assert np.isfinite(features).all()
    for item, row in zip(series, features, strict=True):
        for channel, part in zip(item, (row[:22], row[22:]), strict=True):
            expected = pycatch22.catch22_all([float(x) for x in channel])["values"]
            np.testing.assert_allclose(part, [0 if math.isnan(x) else x for x in expected])


def test_minirocket_tells_waves_apart():
    training, test = waves(60, 0), waves(60, 1)
    assert sequences.minirocket(training, test, 0) > 0.95
    assert sequences.minirocket(training, test, 0) == sequences.minirocket(training, test, 0)


def test_a_class_of_few_series_has_as_many_folds():
    training = waves(12, 0)
    few = ImageSet(training.images[:7], np.array([0, 0, 0, 0, 0, 1, 1]))
    assert set(sequences.accuracies(few.images.reshape(7, -1), few.images.reshape(7, -1), few, few)) == {"svm", "knn"}


def test_a_fit_that_would_go_on_for_ever_ends(monkeypatch):
    monkeypatch.setattr(sequences, "SVM_ITERATIONS", 10**4)  # at 1e5 libsvm goes round in circles from C = 0.001
    part = ImageSet(np.zeros((24, 1, 4), np.float32), np.arange(24) % 2)
    rows = 1e5 + np.random.default_rng(3).standard_normal((24, 4))
    assert set(sequences.accuracies(rows, rows, part, part)) == {"svm", "knn"}


def test_the_scale_smoke_has_a_few_short_series_of_every_class():
    training, _ = sequences.load("PLAID")
    few = sequences.small(training, "smoke")
    assert np.bincount(few.labels).tolist() == [3] * 11
    assert few.images.shape == (33, 1, 128)
    np.testing.assert_array_equal(few.images[0, 0], training.images[0, 0, :128])
    assert all(sequences.small(training, scale) is training for scale in ("cpu", "paper"))


def test_smallest_run_and_its_continuation(tmp_path, monkeypatch):
    sets = {name: sequences.SOURCES[name] for name in ("UnitTest", "GunPoint")}
    monkeypatch.setattr(sequences, "SOURCES", sets)
    monkeypatch.setitem(sequences.STEPS, "smoke", 1)
    result = sequences.run("smoke", 0, tmp_path)
    assert set(result) == {"scale", "seed", *sets}
    assert set(result["UnitTest"]) == {"raw", "raw_pca", "catch22", "minirocket", "random_encoder", "dim"}
    assert all(0 <= accuracy <= 1 for name in sets for accuracy in leaves(result[name]))
    file = tmp_path / "sequences.json"
    assert json.loads(file.read_text()) == result
    file.write_text(json.dumps({key: value for key, value in result.items() if key != "GunPoint"}))
    measured = []
    compare = sequences.compare
    monkeypatch.setattr(sequences, "compare", lambda *given: measured.append(given[1].name) or compare(*given))
    assert sequences.run("smoke", 0, tmp_path) == result
    assert measured == ["GunPoint"]
    sequences.run("smoke", 1, tmp_path / "other")
    assert measured == ["GunPoint", "UnitTest", "GunPoint"]
    file.write_text(file.read_text()[:-20])  # as a full disk leaves it
    with pytest.raises(UserError, match="holds no result; move it away"):
        sequences.run("smoke", 0, tmp_path)
