import dataclasses

import numpy as np
import pytest

from deepinfomax.config import Config
from deepinfomax.data import configured
from deepinfomax.data.configured import as_trained
from deepinfomax.data.images import ImageSet
from deepinfomax.errors import UserError

CROPPED = Config(augmentation={"crop": 4})  # the centre of 6 x 8 begins at row 1, column 2


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return ImageSet(rng.integers(0, 256, (9, 3, 6, 8), dtype=np.uint8), np.arange(9), notes=("a note",))


def test_views_are_the_centres_and_keep_labels_and_notes(images):
    views = as_trained(CROPPED, images)
    np.testing.assert_array_equal(views.images, images.images[:, :, 1:5, 2:6])
    np.testing.assert_array_equal(views.labels, images.labels)
    assert views.notes == images.notes


def test_the_set_itself_where_training_changes_no_shape(images):
    assert as_trained(Config(augmentation={"flip": True}), images) is images


def test_views_larger_than_memory_lie_in_a_file_without_a_name(images, monkeypatch, tmp_path):
    monkeypatch.setenv("DEEPINFOMAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(configured, "fits", lambda *arguments: False)
    views = as_trained(CROPPED, images)
    assert isinstance(views.images, np.memmap)
    np.testing.assert_array_equal(views.images, images.images[:, :, 1:5, 2:6])
    assert not list((tmp_path / "cache").iterdir())


def test_views_that_fit_nowhere_are_refused(images, monkeypatch, tmp_path):
    monkeypatch.setenv("DEEPINFOMAX_CACHE", str(tmp_path))
    monkeypatch.setattr(configured, "fits", lambda *arguments: False)
    usage = dataclasses.make_dataclass("Usage", ["free"])
    monkeypatch.setattr(configured.shutil, "disk_usage", lambda folder: usage(0))
    with pytest.raises(UserError, match="more than is free in memory"):
        as_trained(CROPPED, images)
