"""DeepInfoMax as a scikit-learn transformer: arrays of images in, embeddings out."""

import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags, check_array, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from deepinfomax import config as configuration
from deepinfomax.data.configured import as_trained
from deepinfomax.data.images import ImageSet, is_tensor, whole_pixels
from deepinfomax.devices import choose_device
from deepinfomax.encoders import of_rank
from deepinfomax.encoders.standardised import Standardised
from deepinfomax.errors import UserError
from deepinfomax.evaluation.embeddings import embed
from deepinfomax.recipes import recipe
from deepinfomax.training.building import needs_labels
from deepinfomax.training.loop import train

#: settings of the data that apply to arrays in memory
OF_ARRAYS = ("data.values", "data.kind", "data.layout", "data.missing", "data.standardise")


class DeepInfoMax(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Learn an encoder of images, series or volumes without labels; transform them to its representation.

    X is an array of images, (N, H, W), (N, H, W, C) or (N, C, H, W), of series (N, C, T) or (N, T, C), or of volumes
    (N, C, D, H, W), as for `deepinfomax.data.from_array`; or of rows, which are reshaped to `image_shape`.

    Args:
        recipe: what to train, see `deepinfomax.recipes`.
        scale: "smoke", "cpu" or "paper"; None: the recipe's own.
        steps: training steps; None: the recipe's.
        batch_size: images per step; None: the recipe's, or all of X if these are fewer.
        level: what `transform` returns: "y", "fc" or "conv" (flattened).
        image_shape: (H, W) or (H, W, C) of the images in rows, (T,) or (T, C) of series.
        settings: further settings, {"training.lr": 3e-4, "local.bound": "jsd", "data.layout": "channels-last"}.
        device: "cpu", "cuda", ...; None: a GPU if there is one.
        random_state: seed, a whole number; with a RandomState or None a seed is drawn.
        verbose: show progress on stderr.

    Attributes:
        encoder_: the trained `nn.Module`.
        config_: the settings it was trained with.
        image_shape_: (C, *S) of the images, before any crop: (C, H, W), (C, T) of series, (C, D, H, W) of volumes.
        n_features_in_: number of values of one image.

    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> model = make_pipeline(DeepInfoMax(steps=200), LogisticRegression(max_iter=500))
    """

    def __init__(
        self,
        *,
        recipe: str = "dim-fast",
        scale: str | None = None,
        steps: int | None = None,
        batch_size: int | None = None,
        level: Literal["y", "fc", "conv"] = "y",
        image_shape: tuple[int, ...] | None = None,
        settings: dict[str, Any] | None = None,
        device: str | None = None,
        random_state: int | np.random.RandomState | None = 0,
        verbose: bool = False,
    ) -> None:
        self.recipe = recipe
        self.scale = scale
        self.steps = steps
        self.batch_size = batch_size
        self.level = level
        self.image_shape = image_shape
        self.settings = settings
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train on X. y (labels) is ignored, except by recipes that need labels."""
        self._check_level()
        if not isinstance(self.recipe, str):
            raise UserError(f"recipe must be the name of one, such as 'dim-fast', not {self.recipe!r}")
        if not isinstance(self.settings, Mapping | None) or not all(
            isinstance(name, str) for name in self.settings or ()
        ):
            raise UserError(f"settings must be like {{'training.lr': 3e-4}}, not {self.settings!r}")
        given = dict(self.settings or {})
        of_data = [name for name in given if name.split(".")[0] == "data" and name not in OF_ARRAYS]
        if of_data:
            raise UserError(f"settings {of_data[0]!r} has no effect on arrays: bring X itself to the form you want")
        array = self._array(X, fitting=True)
        images = self._as_set(array, None)
        for note in images.notes:
            warnings.warn(note, UserWarning, stacklevel=2)
        config = recipe(self.recipe, self.scale)  # type: ignore[arg-type]
        seed = self.random_state if isinstance(self.random_state, int | np.integer) else None
        if seed is None:  # None is numpy's global state, as everywhere in scikit-learn
            seed = check_random_state(self.random_state).randint(2**31)
        changes: dict[str, Any] = {"seed": int(seed), "training.trackers": []}
        if self.steps is not None:
            changes |= {"training.steps": self.steps, "training.epochs": 1_000_000}
        fitting = min(config.training.batch_size, len(images))
        changes["training.batch_size"] = fitting if self.batch_size is None else self.batch_size
        config = configuration.override(config, changes | given)
        if needs_labels(config):
            images = self._as_set(array, y)
        # The caller's own draws stay what they were.
        with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng():
            self.encoder_ = train(config, images, Path(folder) / "run", device=self.device, quiet=not self.verbose)
        self.config_ = replace(config, encoder=of_rank(config.encoder, images.shape))  # dcgan is sequence for series
        self.image_shape_ = images.shape
        first = embed(self.encoder_, as_trained(config, images.take(slice(0, 1))), device=choose_device(self.device))
        self._units = {level: vectors.shape[1] for level, vectors in first.items()}
        return self

    @property
    def _n_features_out(self) -> int:
        """Units of the level that `transform` returns, which may be changed after `fit`."""
        units = self._units  # first: without a fit this is an AttributeError, which scikit-learn asks for
        self._check_level()
        if self.level not in units:
            raise UserError(f"the encoder has no {self.level}: choose {' or '.join(units)}")
        return units[self.level]

    def transform(self, X: Any) -> np.ndarray:
        """Vectors (N, units) float32. If training crops at random, those of the centre of each image.

        Raises:
            UserError: the images have another shape, or another scale of numbers, than in `fit`.
        """
        check_is_fitted(self, "encoder_")  # n_features_in_ is there after a fit that failed, too
        array, of_numbers = self._array(X), isinstance(self.encoder_, Standardised)
        if of_numbers and array.dtype.kind in "ub":  # bytes would be taken for pictures, which have another scale
            array = array.astype(np.float32)
        images = self._as_set(array, None, **self._as_fitted())
        if not of_numbers and self.config_.data.standardise and not images.pictures:
            raise UserError(
                f"X holds {array.dtype} that are no bytes divided by 255, but it was fitted on pictures of bytes: give "
                "uint8, or set data.values bytes"
            )
        if images.shape != self.image_shape_:
            raise UserError(f"images of shape {images.shape}, but it was fitted on {self.image_shape_}")
        return self._vectors(images)

    def _vectors(self, images: ImageSet) -> np.ndarray:
        """`transform` of images, without scikit-learn's wrapping of its output, which asks for the fitted names."""
        self._check_level()
        images = as_trained(self.config_, images)
        device = choose_device(self.device)
        return embed(self.encoder_, images, levels=(self.level,), device=device)[self.level].numpy()

    def _check_level(self) -> None:
        if self.level not in ("y", "fc", "conv"):
            raise UserError(f"unknown level {self.level!r}; choose y, fc or conv")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True  # (N, H, W); of four dimensions scikit-learn has no word
        tags.transformer_tags.preserves_dtype = []  # float32, whatever comes in
        return tags

    def _array(self, X: Any, *, fitting: bool = False) -> np.ndarray:
        """X checked by scikit-learn, with rows reshaped to images: finite real numbers, no masks (NaN if it is filled).

        Raises:
            ValueError: scikit-learn refuses X; the message is its own.
            UserError: masked or missing pixels, or rows that do not fit `image_shape`.
        """
        whole_pixels(X, "X")
        if is_tensor(X):
            X = X.detach().cpu().numpy()
        asked: dict[str, Any] = {"ensure_all_finite": "allow-nan" if self._fills else True}
        asked["ensure_min_samples"] = 2 if fitting else 1  # there is nothing to contrast a single image with
        try:
            if np.asarray(X).ndim > 2:
                images = check_array(X, allow_nd=True, estimator=self, input_name="X", **asked)
                if fitting:
                    self.n_features_in_ = int(np.prod(images.shape[1:]))
                    self.__dict__.pop("feature_names_in_", None)  # of an earlier fit on rows with names
                return images
            rows = validate_data(self, X, reset=fitting, **asked)  # also the names of columns
        except ValueError as error:
            if "contains NaN" not in str(error):
                raise
            raise UserError(  # scikit-learn names other estimators, and not the setting that fills gaps
                "X contains NaN: fit with settings={'data.missing': 'mean'} to put the mean of its channel in the "
                "place of each, or leave these out"
            ) from None
        return self._folded(rows)

    def _folded(self, rows: np.ndarray) -> np.ndarray:
        """Rows (N, values) as images (N, *image_shape)."""
        sides = self.image_shape
        if sides is None:
            raise UserError(
                f"X has rows of {rows.shape[1]} values: say image_shape=(H, W) or (H, W, C), or (T,) or (T, C) for "
                "series"
            )
        if not isinstance(sides, tuple | list | np.ndarray) or not all(
            isinstance(n, int | np.integer) and not isinstance(n, bool) and n > 0 for n in sides
        ):
            raise UserError(
                f"image_shape must be (H, W) or (H, W, C), whole numbers above 0, not {sides!r}; (T,) or (T, C) for "
                "series"
            )
        if np.prod(sides) != rows.shape[1]:
            raise UserError(f"image_shape {sides} does not hold the {rows.shape[1]} values of a row")
        return rows.reshape(len(rows), *sides)

    def _as_set(self, array: np.ndarray, y: Any, **as_fitted: Any) -> ImageSet:
        """The array as an `ImageSet`, read by the settings of the data, and in the same way as in `fit`."""
        from deepinfomax.data import from_array

        given = self.settings or {}
        told = {name.removeprefix("data."): given[name] for name in OF_ARRAYS if name in given}
        told.pop("standardise", None)
        if array.ndim == 2:  # folded by an image_shape of (T,)
            told.setdefault("kind", "series")
        return from_array(array, None if y is None else _text(np.asarray(y)), name="array", **(told | as_fitted))

    def _as_fitted(self) -> dict[str, Any]:
        """Settings for reading new arrays in the same way as those in `fit`."""
        if not isinstance(self.encoder_, Standardised):
            return {}
        filling = {"missing": self.encoder_.channels.mean} if self._fills else {}
        return {"values": "kept"} | filling

    @property
    def _fills(self) -> bool:
        return (self.settings or {}).get("data.missing") == "mean"


def _text(labels: np.ndarray) -> np.ndarray:
    """Decode labels of bytes to words; other labels are unchanged."""
    if labels.dtype.kind not in "SO":
        return labels
    decoded = np.frompyfunc(lambda word: word.decode() if isinstance(word, bytes) else word, 1, 1)
    try:
        return decoded(labels.astype(object))
    except UnicodeDecodeError as error:
        raise UserError(f"y holds {error.object!r}, which is not UTF-8: give words as str") from None
