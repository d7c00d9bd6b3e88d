import time

import numpy as np
import pytest
from PIL import Image

from deepinfomax.data import load, photos
from deepinfomax.errors import UserError


def test_what_it_holds():
    train, test = load("photos"), load("photos", "test")
    assert len(train.classes) == 19
    assert train.classes == test.classes == tuple(photos.FILES)
    assert train.images.shape == (19 * 400, 1, 32, 32)
    assert test.images.shape == (19 * 100, 1, 32, 32)
    assert (np.bincount(train.labels) == 400).all()
    assert (np.bincount(test.labels) == 100).all()


@pytest.mark.parametrize("name", photos.FILES)
def test_test_pixels_are_never_training_pixels(name: str):
    used = {}
    for split in ("train", "test"):
        used[split] = np.zeros(photos.photograph(name).shape, bool)
        for row, column in photos.corners(name, split, photos.PER_PHOTOGRAPH[split]):
            used[split][row : row + 64, column : column + 64] = True
    assert not (used["train"] & used["test"]).any()
    boundary = round(0.6 * used["train"].shape[1])
    assert not used["train"][:, boundary:].any()
    assert not used["test"][:, :boundary].any()


@pytest.mark.parametrize("split", ["train", "test"])
def test_patches_apart_share_no_pixel_and_leave_no_room_for_more(split: str):
    chosen = photos.apart(split)
    count = photos.PER_PHOTOGRAPH[split]
    assert (np.diff(chosen) > 0).all()
    for number, name in enumerate(photos.FILES):
        corners = photos.corners(name, split, count)
        own = chosen[chosen // count == number] - number * count
        assert len(own)
        far = np.abs(corners[:, None] - corners[None, own]).max(2)
        assert (np.sort(far[own], axis=1)[:, 1:] >= 64).all()
        assert (far.min(1) < 64).all()  # each patch is one of them, or shares a pixel with one


def test_a_patch_is_the_mean_of_two_by_two_pixels_and_has_contrast():
    train = load("photos")
    for label, name in enumerate(train.classes):
        picture = photos.photograph(name).astype(float)
        corners = photos.corners(name, "train", 400)
        for k in (0, 7, 399):
            row, column = corners[k]
            crop = picture[row : row + 64, column : column + 64]
            expected = (crop[::2, ::2] + crop[1::2, ::2] + crop[::2, 1::2] + crop[1::2, 1::2]) / 4
            assert np.abs(train.images[400 * label + k, 0] - expected).max() <= 0.51
            assert crop.std() >= photos.CONTRAST
            assert photos.contrast(picture, row, column) == pytest.approx(crop.std())


def test_the_same_on_every_call_and_quick():
    first = load("photos").images.copy()
    photos._patches.cache_clear()
    photos.photograph.cache_clear()
    began = time.process_time()
    again = load("photos").images
    assert time.process_time() - began < 3
    np.testing.assert_array_equal(first, again)
    # pinned, because published figures refer to these very patches; JPEG decoders differ in single grey levels
    assert again.mean() == pytest.approx(109.589, abs=0.02)


def test_they_are_the_pictures_that_scikit_image_shows():
    from skimage import data

    np.testing.assert_array_equal(photos.photograph("camera"), data.camera())
    np.testing.assert_array_equal(photos.photograph("coffee"), np.asarray(Image.fromarray(data.coffee()).convert("L")))


def test_a_wheel_without_the_file(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(photos.FILES, "lost", ("skimage", "data/lost.png"))
    with pytest.raises(UserError, match=r"needs the file data/lost\.png of the installed skimage package"):
        photos.photograph("lost")


def test_it_has_no_other_parts():
    with pytest.raises(UserError, match="has no unlabeled part"):
        load("photos", "unlabeled")
