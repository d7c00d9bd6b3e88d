import mmap
from pathlib import Path

import numpy as np
import pytest
import torch

from deepinfomax.data import Batches, ImageSet, normalise
from deepinfomax.data.batches import RESIDENT_SHARE, fits, read_ahead
from deepinfomax.data.channels import Channels
from deepinfomax.errors import UserError

PIXELS = np.random.default_rng(0).integers(0, 256, (50, 3, 4, 5), dtype=np.uint8)
IMAGES = ImageSet(PIXELS, np.arange(50) % 7)

RESIDENT = pytest.mark.parametrize("resident", [True, False])


@RESIDENT
def test_a_batch_holds_the_images_labels_and_index_of_the_set(resident: bool):
    batches = Batches(IMAGES, 8, seed=3, resident=resident)
    assert len(batches) == 6
    steps = list(batches(0))
    assert len(steps) == 6
    for images, labels, index in steps:
        assert images.shape == (8, 3, 4, 5)
        assert images.dtype == torch.float32
        assert index.dtype == torch.int64
        for image, label, i in zip(images, labels, index, strict=True):
            assert torch.equal(image, normalise(PIXELS[i]))
            assert label == i % 7


@RESIDENT
def test_an_epoch_shows_each_image_once_at_most_and_epochs_differ(resident: bool):
    batches = Batches(IMAGES, 8, seed=3, resident=resident)
    epochs = [torch.cat([index for _, _, index in batches(epoch)]) for epoch in range(3)]
    for seen in epochs:
        assert len(seen.unique()) == len(seen) == 48
    assert not torch.equal(epochs[0], epochs[1])
    assert len(torch.cat(epochs).unique()) == 50  # those left out change from epoch to epoch


def test_seed_and_epoch_alone_decide_the_order():
    torch.manual_seed(1)
    first = Batches(IMAGES, 8, seed=3).order(5)
    torch.manual_seed(2)
    again = Batches(IMAGES, 8, seed=3)
    list(again(4))
    np.testing.assert_array_equal(first, again.order(5))
    assert not np.array_equal(first, Batches(IMAGES, 8, seed=4).order(5))


@RESIDENT
@pytest.mark.parametrize("start", [0, 1, 4, 6])
def test_an_epoch_continues_at_any_step(resident: bool, start: int):
    whole = list(Batches(IMAGES, 8, seed=3, resident=resident)(2))
    rest = list(Batches(IMAGES, 8, seed=3, resident=resident)(2, start=start))
    assert len(rest) == 6 - start
    for (images, labels, index), (images_again, labels_again, index_again) in zip(whole[start:], rest, strict=True):
        assert torch.equal(images, images_again)
        assert torch.equal(labels, labels_again)
        assert torch.equal(index, index_again)


def test_resident_and_streamed_batches_are_the_same():
    for resident, streamed in zip(
        Batches(IMAGES, 8, resident=True)(1), Batches(IMAGES, 8, resident=False)(1), strict=True
    ):
        assert all(torch.equal(a, b) for a, b in zip(resident, streamed, strict=True))


def test_processes_share_each_batch_of_one_process_without_overlap():
    alone = Batches(IMAGES, 12, seed=3)
    three = [Batches(IMAGES, 4, seed=3, rank=rank, world_size=3) for rank in range(3)]
    assert {len(part) for part in three} == {len(alone)} == {4}
    for step in range(4):
        together = np.concatenate([part.order(1)[step] for part in three])
        np.testing.assert_array_equal(together, alone.order(1)[step])
        assert len(set(together)) == 12


def test_a_set_without_labels_gives_none():
    assert next(iter(Batches(ImageSet(PIXELS), 8)(0)))[1] is None


def test_attributes_come_whole():
    attributes = np.random.default_rng(1).integers(0, 2, (50, 40))
    _, labels, index = next(iter(Batches(ImageSet(PIXELS, attributes), 8)(0)))
    np.testing.assert_array_equal(labels.numpy(), attributes[index.numpy()])


@RESIDENT
def test_a_read_only_memory_map(tmp_path: Path, resident: bool):
    np.save(tmp_path / "x.npy", PIXELS)
    images = ImageSet(np.load(tmp_path / "x.npy", mmap_mode="r"))
    pixels, _, index = next(iter(Batches(images, 8, resident=resident)(0)))
    assert torch.equal(pixels, normalise(PIXELS[index.numpy()]))


def test_an_array_in_another_order_of_axes():
    images = ImageSet(PIXELS.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2))  # a view, as of an (N, H, W, C) file
    pixels, _, index = next(iter(Batches(images, 8)(0)))
    assert torch.equal(pixels, normalise(PIXELS[index.numpy()]))


@RESIDENT
def test_floats_come_as_they_are(resident: bool):
    array = np.random.default_rng(0).normal(size=(50, 2, 30))
    values, _, index = next(iter(Batches(ImageSet(array), 8, resident=resident)(0)))
    np.testing.assert_array_equal(values.numpy(), array[index.numpy()].astype(np.float32))


def test_sequences_and_volumes():
    for shape in ((50, 2, 30), (50, 1, 3, 4, 5)):
        array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        assert next(iter(Batches(ImageSet(array), 8)(0)))[0].shape == (8, *shape[1:])


@pytest.mark.parametrize(
    ("batch_size", "world_size", "message"),
    [
        (64, 1, "cats has 50 images, fewer than a batch of 64; set training.batch_size to 50 or less, or"),
        (20, 4, "fewer than a batch of 20 in each of 4 processes; set training.batch_size to 12 or less"),
        (1, 60, "give more images or use fewer processes"),
    ],
)
def test_a_set_smaller_than_a_batch(batch_size: int, world_size: int, message: str):
    with pytest.raises(UserError, match=message):
        Batches(ImageSet(PIXELS, name="cats"), batch_size, world_size=world_size)


def test_what_fits_is_a_share_of_the_free_memory(monkeypatch: pytest.MonkeyPatch):
    class Memory:
        available = 1000

    monkeypatch.setattr("psutil.virtual_memory", lambda: Memory)
    assert RESIDENT_SHARE == 0.5
    assert fits(500, torch.device("cpu"))
    assert not fits(501, torch.device("cpu"))
    assert not fits(300, torch.device("cpu"), processes=2)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2000, 9000))
    assert fits(1000, torch.device("cuda"), processes=8)  # each process has a device of its own
    assert not fits(1001, torch.device("cuda"))


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize("kind", ["uint16", "int16", "float64", ">f4"])
def test_numbers_of_every_type_are_standardised(kind: str, resident: bool):
    values = np.random.default_rng(0).normal([[900], [3000]], [[20], [700]], (20, 2, 30)).astype(kind)
    images = ImageSet(values)
    channels = Channels.of(images)
    seen = {}
    for batch, _, index in Batches(images, 5, channels=channels, resident=resident)(0):
        seen |= dict(zip(index.tolist(), batch.numpy(), strict=True))
    assert len(seen) == 20
    numbers = values.astype(float)
    expected = (numbers - numbers.mean((0, 2), keepdims=True)) / numbers.std((0, 2), keepdims=True)
    np.testing.assert_allclose(np.stack([seen[i] for i in range(20)]), expected, atol=1e-3)


def test_the_rows_of_a_memory_map_are_asked_for_where_they_lie(tmp_path: Path):
    """Also where the map is a part of a file, behind its header: every byte of each row, and no other page."""
    whole = np.lib.format.open_memmap(tmp_path / "a.npy", "w+", np.uint8, (50, 3, 100, 100))
    whole[:] = np.arange(50, dtype=np.uint8)[:, None, None, None]
    whole.flush()
    part = np.load(tmp_path / "a.npy", mmap_mode="r")[7:]
    content = (tmp_path / "a.npy").read_bytes()
    asked: list[bytes] = []

    class Map:
        """In place of the system's, which cannot be asked what it was told."""

        def __init__(self, of: mmap.mmap) -> None:
            self.of = of

        def madvise(self, advice: int, start: int, length: int) -> None:
            assert advice == mmap.MADV_WILLNEED
            assert start % mmap.PAGESIZE == 0
            asked.append(content[start : start + length])

    part._mmap = Map(part._mmap)
    real = np.frombuffer
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np, "frombuffer", lambda of, kind: real(of.of if isinstance(of, Map) else of, kind))
        read_ahead(part, np.array([3, 40]))
    for row, got in zip((10, 47), asked, strict=True):
        assert got.endswith(bytes([row]) * 30_000)
        assert len(got) < 30_000 + mmap.PAGESIZE
    read_ahead(np.zeros((3, 1)), np.array([1]))  # no map: nothing happens
    assert len(asked) == 2
