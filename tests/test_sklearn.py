import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from deepinfomax.errors import UserError
from deepinfomax.sklearn import DeepInfoMax

SETTINGS = {"encoder.width": 4, "encoder.fc": 16, "encoder.y": 8}


def data(count: int = 60, channels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Light and dark noise."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 2
    pixels = rng.normal(80 + 90 * labels[:, None, None, None], 25, (count, 16, 16, channels)).clip(0, 255)
    return pixels.astype(np.uint8), labels


def model(**changes: object) -> DeepInfoMax:
    return DeepInfoMax(**({"scale": "smoke", "steps": 5, "device": "cpu", "settings": SETTINGS} | changes))


class OfAnyRows(DeepInfoMax):
    """The transformer on scikit-learn's own test data, whose rows of one to ten numbers are no images: each row is
    squeezed into [0, 1] and repeated until it fills 16 by 16 pixels. All the rest is as it is."""

    def _folded(self, rows: np.ndarray) -> np.ndarray:
        repeated = np.tile(rows, -(-64 // rows.shape[1]))[:, :64].reshape(-1, 8, 8)
        return (1 / (1 + np.exp(-repeated.astype(np.float64)))).repeat(2, 1).repeat(2, 2)


# All of them apply, on rows that are folded, see above. What scikit-learn has no check of, images (N, H, W, C) and
# (N, C, H, W), is tested below.
@parametrize_with_checks([OfAnyRows(scale="smoke", steps=2, device="cpu", settings=SETTINGS)])
@pytest.mark.filterwarnings("ignore:Can't check dok sparse matrix:UserWarning", "ignore:.*brightness:UserWarning")
def test_what_scikit_learn_asks_of_an_estimator(
    estimator: Any, check: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")  # without it scikit-learn skips its check of the array API
    check(estimator)


def test_fit_and_transform() -> None:
    images, labels = data()
    fitted = model()
    y = fitted.fit_transform(images)
    assert y.shape == (60, 8)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, fitted.transform(images))
    np.testing.assert_array_equal(y, model().fit(images, labels).transform(images))
    assert not np.array_equal(y, model(random_state=1).fit_transform(images))
    assert fitted.n_features_in_ == 16 * 16 * 3
    assert list(fitted.get_feature_names_out()) == [f"deepinfomax{i}" for i in range(8)]
    assert model(level="fc").fit_transform(images).shape == (60, 16)


def test_in_a_pipeline() -> None:
    images, labels = data()
    pipeline = make_pipeline(model(steps=30), LogisticRegression())
    assert pipeline.fit(images[:40], labels[:40]).score(images[40:], labels[40:]) > 0.9


def test_parameters_and_clones() -> None:
    original = model(level="fc", random_state=3)
    copy = clone(original)
    assert copy is not original
    assert copy.get_params() == original.get_params()
    copy.set_params(level="y", steps=2)
    assert copy.level == "y"
    assert original.level == "fc"
    fitted = original.fit(data()[0])
    assert not hasattr(clone(fitted), "encoder_")


def test_a_fitted_transformer_can_be_pickled_by_its_owner() -> None:
    images, _ = data()
    fitted = model().fit(images)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).transform(images), fitted.transform(images))


def test_every_shape_of_x() -> None:
    images, _ = data(channels=1)
    grey = images[..., 0]
    first = model().fit_transform(grey)
    assert first.std(0).min() > 1e-3
    others = (images, {}), (images.transpose(0, 3, 1, 2), {}), (grey.reshape(60, -1), {"image_shape": (16, 16)})
    for x, changes in others:
        np.testing.assert_array_equal(model(**changes)._as_set(model(**changes)._array(x), None).images, grey[:, None])
        # The pixels are equal, but torch may add them up in another order where they lie in memory otherwise.
        np.testing.assert_allclose(first, model(**changes).fit_transform(x), atol=1e-4)
    np.testing.assert_allclose(first, model().fit_transform(grey / 255), atol=1e-4)


def test_what_was_cropped_at_random_is_transformed_at_its_centre() -> None:
    images, _ = data()
    fitted = model(settings=SETTINGS | {"augmentation.crop": 12}).fit(images)
    y = fitted.transform(images)
    assert y.shape == (60, 8)
    framed = images.copy()
    framed[:, :2], framed[:, -2:], framed[:, :, :2], framed[:, :, -2:] = 0, 0, 0, 0
    np.testing.assert_array_equal(fitted.transform(framed), y)


@pytest.mark.parametrize("y", [np.linspace(0, 1, 60), np.array([{}] * 60), np.zeros(7)])
def test_targets_of_any_kind_are_ignored_where_no_objective_asks_for_labels(y: np.ndarray) -> None:
    images, labels = data()
    np.testing.assert_array_equal(model().fit(images, y).transform(images), model().fit(images).transform(images))
    assert model(recipe="supervised").fit(images, labels).transform(images).shape == (60, 8)


def test_random_states_are_scikit_learns_and_torchs_own_state_stays() -> None:
    images, _ = data()
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    first = model(random_state=np.random.RandomState(3)).fit(images).transform(images)
    assert torch.rand(1) == expected
    np.testing.assert_array_equal(first, model(random_state=np.random.RandomState(3)).fit(images).transform(images))
    np.random.seed(0)  # noqa: NPY002 - what None stands for
    a = model(random_state=None).fit(images).transform(images)
    assert (a != model(random_state=None).fit(images).transform(images)).any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"level": "z"}, "unknown level 'z'; choose y, fc or conv"),
        ({"settings": {"data.size": 8}}, "settings 'data.size' has no effect on arrays"),
        ({"settings": {"data.limit": 8}}, "settings 'data.limit' has no effect on arrays"),
        ({"settings": {"recipe": "cpu"}}, "recipe is no setting"),
        ({"settings": {"data": {"split": "test"}}}, "settings 'data' has no effect on arrays"),
        ({"batch_size": 0}, "training.batch_size must be 2 or more, not 0"),
    ],
)
def test_what_would_be_ignored_is_refused_before_training(
    changes: dict, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deepinfomax.sklearn.train", lambda *_, **__: pytest.fail("it trained"))
    with pytest.raises(UserError, match=message):
        model(**changes).fit(data()[0])


@pytest.mark.parametrize("kind", [np.bytes_, object])
def test_labels_of_bytes_are_words(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr("deepinfomax.sklearn.train", lambda _, images, *__, **___: seen.append(images) or 1 / 0)
    y = np.array([b"cat", "dög".encode()] * 30, kind)
    with pytest.raises(ZeroDivisionError):
        model(recipe="supervised").fit(data()[0], y)
    assert seen[0].classes == ("cat", "dög")
    with pytest.raises(UserError, match="is not UTF-8"):
        model(recipe="supervised").fit(data()[0], np.array([b"cat", b"\xff"] * 30))


def test_mistakes() -> None:
    images, _ = data()
    with pytest.raises(UserError, match="say image_shape"):
        model().fit(images.reshape(60, -1))
    with pytest.raises(UserError, match="does not hold"):
        model(image_shape=(8, 8)).fit(images.reshape(60, -1))
    for sides in (256, "16x16", (16.0, 16.0), (16, None), (-16, -16), (256, True)):
        with pytest.raises(
            UserError, match=r"image_shape must be \(H, W\) or \(H, W, C\), whole numbers above 0, not "
        ):
            model(image_shape=sides).fit(images.reshape(60, -1))
    fitted = model().fit(images)
    with pytest.raises(UserError, match="was fitted on"):
        fitted.transform(images[:, :8])
    with pytest.raises(UserError, match="unknown recipe"):
        model(recipe="dim").fit(images)
    with pytest.raises(UserError, match="recipe must be the name of one"):
        model(recipe=None).fit(images)
    for settings in (["training.lr"], {3: 1}):
        with pytest.raises(UserError, match="settings must be like"):
            DeepInfoMax(settings=settings).fit(images)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="needs labels"):
        model(recipe="supervised").fit(images)
    failed = model(batch_size=61)
    with pytest.raises(UserError, match="fewer than a batch"):
        failed.fit(images)
    for one in (model(), failed):
        with pytest.raises(NotFittedError):
            one.transform(images)


def test_pandas_output_set_before_fit() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)
    model = DeepInfoMax(scale="smoke", steps=2, device="cpu").set_output(transform="pandas")
    frame = model.fit_transform(pixels)
    assert list(frame.columns[:2]) == ["deepinfomax0", "deepinfomax1"]
    assert len(frame) == 40
    frame = model.set_params(level="fc").transform(pixels)
    assert frame.shape == (40, model.encoder_(torch.zeros(1, 3, 16, 16)).fc.shape[1])
    assert list(frame.columns) == [f"deepinfomax{i}" for i in range(frame.shape[1])]
    with pytest.raises(UserError, match="unknown level 'z'"):
        model.set_params(level="z").get_feature_names_out()


def test_names_of_columns_are_those_of_the_last_fit() -> None:
    images, _ = data()
    frame = pandas.DataFrame(images.reshape(60, -1)).rename(columns=str)
    fitted = model(image_shape=(16, 16, 3)).fit(frame)
    assert len(fitted.feature_names_in_) == 768
    assert not hasattr(fitted.fit(images), "feature_names_in_")


def test_a_grid_search_over_its_settings(tmp_path: Path) -> None:
    images, labels = data()
    pipeline = make_pipeline(model(), LogisticRegression())
    grid = {"deepinfomax__steps": [2, 4], "deepinfomax__level": ["y", "fc"]}
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(images, labels)
    assert search.best_score_ > 0.9
    assert search.best_estimator_.n_features_in_ == 16 * 16 * 3


def test_a_grid_search_with_frames_and_rows() -> None:
    images, labels = data()
    rows = pandas.DataFrame(images.reshape(60, -1)).rename(columns=str)
    folded = model(image_shape=(16, 16, 3), steps=2)
    search = GridSearchCV(
        make_pipeline(folded, LogisticRegression()).set_output(transform="pandas"),
        {"deepinfomax__level": ["y", "fc"]},
        cv=2,
        error_score="raise",
    ).fit(rows, labels)
    frame = search.best_estimator_[0].transform(rows)
    assert list(frame.columns[:2]) == ["deepinfomax0", "deepinfomax1"]
    assert list(search.best_estimator_[0].feature_names_in_[:2]) == ["0", "1"]
    with pytest.raises(ValueError, match="feature names"):
        search.best_estimator_[0].transform(rows[rows.columns[::-1]])


def test_a_fitted_transformer_survives_joblib(tmp_path: Path) -> None:
    images, _ = data()
    fitted = model().fit(images)
    joblib.dump(fitted, tmp_path / "fitted.joblib")
    np.testing.assert_array_equal(joblib.load(tmp_path / "fitted.joblib").transform(images), fitted.transform(images))


def test_the_same_numbers_of_another_type_are_the_same_images() -> None:
    pixels, _ = data(40)
    numbers = pixels.astype(np.float32)
    layout = SETTINGS | {"data.layout": "channels-last", "data.kind": "images"}
    of_numbers = model(settings=layout).fit(numbers + np.float32(0.25))  # no bytes, so kept as they are
    np.testing.assert_allclose(of_numbers.transform(pixels), of_numbers.transform(numbers), rtol=1e-5, atol=1e-5)
    of_bytes = model().fit(pixels)
    np.testing.assert_allclose(of_bytes.transform(pixels / 255), of_bytes.transform(pixels), rtol=1e-5, atol=1e-6)
    with pytest.raises(UserError, match="no bytes divided by 255, but it was fitted on pictures of bytes: give uint8"):
        of_bytes.transform(pixels / 255 + 1e-3)


def test_tensors_masks_and_gaps() -> None:
    images, _ = data()
    fitted = model().fit(torch.from_numpy(images))
    np.testing.assert_array_equal(fitted.transform(images), fitted.transform(torch.from_numpy(images)))
    with pytest.raises(UserError, match="3 of 60 images have masked pixels"):
        model().fit(np.ma.array(images, mask=np.arange(images.size).reshape(images.shape) < 3 * 16 * 16 * 3))
    with pytest.raises(UserError, match=r"X contains NaN: fit with settings=\{'data.missing': 'mean'\}"):
        model().fit(np.full((60, 16, 16), np.nan))
    with pytest.raises(ValueError, match="1 sample"):
        model().fit(images[:1])
