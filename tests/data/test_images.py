from pathlib import Path

import numpy as np
import torch

from deepinfomax.data import ImageSet, normalise
from deepinfomax.data.images import denormalise


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


def test_denormalise_undoes_normalise_and_cuts_off_what_no_pixel_has():
    pixels = np.arange(256, dtype=np.uint8).reshape(256, 1, 1)
    for images in (normalise(pixels), normalise(pixels).numpy(), pixels):
        np.testing.assert_array_equal(denormalise(images), pixels)
    np.testing.assert_array_equal(denormalise(np.array([-3.0, 0.0, 3.0])), np.array([0, 128, 255], np.uint8))
