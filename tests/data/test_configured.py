import dataclasses
import os

import numpy as np
import pytest

from deepinfomax.config import Config
from deepinfomax.data import configured
from deepinfomax.data.configured import as_trained, load_images, titles_of, with_source
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


def test_a_name_that_is_no_utf8_is_refused_because_a_run_cannot_record_it(tmp_path, draw):
    folder = tmp_path / os.fsdecode(b"bad\xff")
    draw(folder / "a.png")
    with pytest.raises(UserError, match=r"bad\\xff is no name in UTF-8, so a run cannot record it"):
        load_images(with_source(Config(), str(folder), None))


def test_columns_and_pixels_reach_the_reader_and_the_names(tmp_path, draw):
    draw(tmp_path / "0.png", size=(9, 9))
    (tmp_path / "list.csv").write_text("scan,kind\n0.png,cat\n")
    config = with_source(Config(), str(tmp_path / "list.csv"), None)
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, image="scan", label="kind"))
    images = load_images(config)
    assert (images.classes, titles_of(config, images)) == (("cat",), ["0.png"])
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, max_pixels=80))
    with pytest.raises(UserError, match=r"9x9 pixels; set data\.max_pixels 81"):
        load_images(config)
