from pathlib import Path

import numpy as np
import pytest
import torch

from deepinfomax.config import Config
from deepinfomax.data import ImageSet, normalise
from deepinfomax.data.images import denormalise, trainable
from deepinfomax.errors import UserError
from deepinfomax.training.loop import train


def test_normalise_maps_0_and_255_to_the_ends(tmp_path: Path):
    pixels = np.array([0, 51, 255], np.uint8).reshape(3, 1, 1, 1)
    for images in (pixels, torch.from_numpy(pixels)):
        out = normalise(images)
        assert out.dtype == torch.float32
        torch.testing.assert_close(out.flatten(), torch.tensor([-1.0, -0.6, 1.0]))
    np.testing.assert_array_equal(pixels.ravel(), [0, 51, 255])  # the input is left alone


def test_normalise_takes_a_read_only_memory_map(tmp_path: Path):
    np.save(tmp_path / "x.npy", np.full((2, 1, 2, 2), 255, np.uint8))
    assert (normalise(np.load(tmp_path / "x.npy", mmap_mode="r")) == 1).all()


def test_a_part_of_a_set():
    images = ImageSet(np.arange(12, dtype=np.uint8).reshape(3, 1, 2, 2), np.array([5, 6, 7]), ("a",), "x", ("note",))
    assert (len(images), images.shape) == (3, (1, 2, 2))
    part = images.take(np.array([2, 0]))
    np.testing.assert_array_equal(part.labels, [7, 5])
    np.testing.assert_array_equal(part.images[0], images.images[2])
    assert (part.classes, part.name, part.notes) == (("a",), "x", ("note",))


def test_masks_are_refused():
    pixels = np.ma.array(np.zeros((3, 1, 2, 2), np.uint8), mask=False)
    assert len(ImageSet(pixels)) == 3
    labels = np.ma.array([0, 1, 0], mask=[False, True, False])
    with pytest.raises(UserError, match=r"has masked labels: give them the number -1"):
        ImageSet(pixels, labels)
    pixels[1, 0, 0, 0] = np.ma.masked
    with pytest.raises(UserError, match="mine: 1 of 3 images has masked pixels; fill them, or leave them out"):
        ImageSet(pixels, name="mine")


def test_fewer_labels_than_images():
    with pytest.raises(UserError, match="the set holds 3 images but 2 labels"):
        trainable(ImageSet(np.zeros((3, 1, 2, 2), np.uint8), np.array([0, 1])))


@pytest.mark.parametrize("kind", ["uint16", ">u2", "int16", "int64", "uint32", "uint64", "float16"])
def test_numbers_of_every_type_reach_a_network_as_they_are(kind: str):
    numbers = np.array([0, 3, 60_000 if "u" in kind else 1000]).reshape(3, 1, 1, 1).astype(kind)
    assert trainable(ImageSet(numbers)).images.dtype == kind
    np.testing.assert_array_equal(normalise(numbers).numpy(), numbers.astype(np.float32))


@pytest.mark.parametrize("kind", ["bool", "complex64"])
def test_what_is_no_number_does_not(kind: str):
    values = np.ones((3, 1, 2, 2), kind)
    for use in (lambda: trainable(ImageSet(values)), lambda: normalise(values)):
        with pytest.raises(UserError, match=rf"images are .*{kind}; they must be real numbers") as error:
            use()
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", [">f4", ">f8", "longdouble"])
def test_floats_that_torch_does_not_know(kind: str):
    pixels = np.random.default_rng(0).random((3, 1, 2, 2)).astype(kind)
    images = trainable(ImageSet(pixels, np.array([0, 1, 2], ">i4")))
    torch.testing.assert_close(torch.from_numpy(images.images), torch.from_numpy(pixels.astype(np.float32)))
    torch.testing.assert_close(torch.from_numpy(images.labels), torch.arange(3))


def test_normalise_takes_foreign_byte_orders():
    pixels = np.array([[0.5, -1]], ">f4")
    torch.testing.assert_close(normalise(pixels), torch.tensor([[0.5, -1]]))


def test_pixels_that_are_not_finite_are_counted():
    pixels = np.zeros((3000, 1, 2, 2), np.float32)
    assert trainable(ImageSet(pixels)).images is pixels
    pixels[[1500, 2900], 0, 1, 1] = np.nan, np.inf
    with pytest.raises(UserError, match="2 of 3,000 images have pixels that are NaN or infinite, first: number 1500;"):
        trainable(ImageSet(pixels))


def test_training_asks_before_it_makes_a_folder(tmp_path: Path):
    bad = ImageSet(np.full((8, 1, 8, 8), np.nan, np.float32))
    with pytest.raises(UserError, match="8 of 8 images have pixels that are NaN or infinite"):
        train(Config(objective={"local": {}}), bad, tmp_path / "run", device="cpu", quiet=True)
    assert not (tmp_path / "run").exists()


def test_labels_that_are_words_are_refused_for_training():
    with pytest.raises(UserError, match="labels are <U1; number them"):
        trainable(ImageSet(np.zeros((2, 1, 2, 2), np.uint8), np.array(["a", "b"])))


def test_denormalise_undoes_normalise_and_cuts_off_what_no_pixel_has():
    pixels = np.arange(256, dtype=np.uint8).reshape(256, 1, 1)
    for images in (normalise(pixels), normalise(pixels).numpy(), pixels):
        np.testing.assert_array_equal(denormalise(images), pixels)
    np.testing.assert_array_equal(denormalise(np.array([-3.0, 0.0, 3.0])), np.array([0, 128, 255], np.uint8))
