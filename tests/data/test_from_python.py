from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, SubsetRandomSampler, TensorDataset

from deepinfomax.config import Config, Training
from deepinfomax.data import ImageSet, as_images, from_dataset
from deepinfomax.errors import UserError
from deepinfomax.training.loop import train

PIXELS = np.random.default_rng(0).integers(16, 256, (10, 3, 6, 5), dtype=np.uint8)
LABELS = np.arange(10) % 3
LAST = np.ascontiguousarray(PIXELS.transpose(0, 2, 3, 1))


class Pairs(Dataset):
    """(image, label) by place, like torchvision's data sets."""

    classes = ("a", "b", "c")

    def __init__(self, images: Any = LAST, labels: Any = LABELS):
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[Any, Any]:
        return self.images[i], self.labels[i]


class Stream(IterableDataset):
    def __iter__(self) -> Any:
        return iter(Pairs([Image.fromarray(image) for image in LAST]))


PICTURES = [Image.fromarray(image) for image in LAST]
UNIT = torch.from_numpy(PIXELS).float() / 255


@pytest.mark.parametrize(
    "given",
    [
        (PIXELS, LABELS),
        (LAST, LABELS.tolist()),
        (torch.from_numpy(PIXELS), torch.from_numpy(LABELS)),
        (UNIT, LABELS),
        (PIXELS.tolist(), LABELS),
        Pairs(),
        Pairs(PICTURES),
        Pairs(UNIT),
        Pairs(PIXELS, [f"{label}" for label in LABELS]),
        Stream(),
        list(zip(PICTURES, LABELS, strict=True)),
        [{"image": image, "label": label} for image, label in zip(PICTURES, LABELS, strict=True)],
        TensorDataset(torch.from_numpy(PIXELS), torch.from_numpy(LABELS)),
        DataLoader(Pairs(PIXELS), batch_size=4),
        DataLoader(Pairs(PIXELS), batch_size=4, shuffle=True, drop_last=True),
        DataLoader(Pairs(PIXELS), batch_size=4, collate_fn=lambda items: tuple(zip(*items, strict=True))),
        DataLoader(TensorDataset(UNIT, torch.from_numpy(LABELS)), batch_size=3),
        Subset(Pairs(), range(10)),
    ],
    ids=lambda given: type(given).__name__,
)
def test_every_form_of_the_same_images(given: Any):
    images = as_images(given)
    np.testing.assert_array_equal(images.images, PIXELS)
    np.testing.assert_array_equal(images.labels, LABELS)
    assert images.images.dtype == np.uint8
    assert images.classes in (("a", "b", "c"), ("0", "1", "2"))


@pytest.mark.parametrize(
    "given",
    [PIXELS, LAST, torch.from_numpy(PIXELS), PIXELS.tolist(), list(PIXELS), PICTURES, Pairs(PIXELS, [None] * 10)],
    ids=lambda given: type(given).__name__,
)
def test_without_labels(given: Any):
    images = from_dataset(given)
    np.testing.assert_array_equal(images.images, PIXELS)
    assert images.labels is None


def test_what_is_a_set_or_a_name_already():
    images = ImageSet(PIXELS)
    assert as_images(images) is images
    assert len(as_images("digits")) == 1500


def test_a_loader_that_chooses_is_read_as_it_runs():
    images = from_dataset(DataLoader(Pairs(PIXELS), batch_size=2, sampler=SubsetRandomSampler([7, 2, 4])))
    assert sorted(images.labels.tolist()) == sorted(LABELS[[7, 2, 4]].tolist())


def test_floats_of_any_range_and_shape_are_used_as_they_are():
    floats = torch.randn(6, 3, 8, 8, dtype=torch.float64)
    images = from_dataset(floats)
    np.testing.assert_array_equal(images.images, floats.numpy())
    assert images.notes[0].startswith("floats from ")
    assert from_dataset(torch.randn(6, 5, 20)).shape == (5, 20)
    assert from_dataset(torch.randn(6, 2, 4, 4, 4)).shape == (2, 4, 4, 4)
    assert from_dataset(torch.randn(6, 8, 8, 3)).shape == (3, 8, 8)


@pytest.mark.parametrize(
    ("shape", "becomes"),
    [
        ((6, 8, 8), (1, 8, 8)),
        ((6, 50, 3), (3, 50)),
        ((6, 16, 16, 12), (12, 16, 16)),
        ((6, 9, 9, 9, 2), (2, 9, 9, 9)),
        ((6, 64, 8, 8), (64, 8, 8)),
    ],
)
def test_axes_of_floats_are_found_as_in_from_array(shape: tuple[int, ...], becomes: tuple[int, ...]):
    floats = 16 * np.random.default_rng(0).normal(size=shape)
    assert from_dataset(floats).shape == becomes
    assert from_dataset((floats, [*"abcabc"])).classes == ("a", "b", "c")
    bytes_ = np.arange(6 * 8 * 8).reshape(6, 8, 8) % 256
    np.testing.assert_array_equal(from_dataset(bytes_ / 255).images, bytes_[:, None])


def test_grey_images_and_their_labels_are_a_pair():
    images = from_dataset((PIXELS[:, 0], LABELS))
    np.testing.assert_array_equal(images.images, PIXELS[:, :1])
    np.testing.assert_array_equal(images.labels, LABELS)
    assert len(from_dataset((PIXELS[0], PIXELS[1]))) == 2
    assert len(from_dataset((PICTURES[0], PICTURES[1]))) == 2


def test_grey_pictures_among_colour():
    images = from_dataset([PICTURES[0], PICTURES[1].convert("L")])
    np.testing.assert_array_equal(images.images[1], np.stack([np.asarray(PICTURES[1].convert("L"))] * 3))


def test_random_transforms_are_told():
    pairs = Pairs()
    pairs.transform = lambda image: image
    assert from_dataset(pairs).notes == (
        "each image was read once: random transforms of the data set acted once, not anew in each epoch",
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, "int holds no images: pass an ImageSet, an array"),
        ([], "list holds no images"),
        (["a", "b"], "list holds str, no images"),
        ([PIXELS[0], PIXELS[1][:, :3]], r"image 1 has shape \(3, 3, 5\), the first one \(3, 6, 5\)"),
        ([{"picture": PIXELS[0]}], "items with the keys picture; one must be called image"),
        ((PIXELS, LABELS[:4]), "holds 10 images but 4 labels"),
        (PIXELS.astype(complex), "holds ndarray, no images"),
        ([[[0, 1], [2]], [[0, 1], [2, 3]]], "lists have several lengths"),
        (torch.zeros(4), "has shape"),
    ],
)
def test_what_holds_no_images(given: Any, message: str):
    with pytest.raises(UserError, match=message) as error:
        as_images(given)
    assert "\n" not in str(error.value)


def test_a_set_of_tensors_and_lists():
    images = ImageSet(torch.from_numpy(PIXELS), LABELS.tolist())
    np.testing.assert_array_equal(images.images, PIXELS)
    np.testing.assert_array_equal(images.take(slice(3)).labels, LABELS[:3])
    with pytest.raises(UserError, match="is no array"):
        ImageSet([[1, 2], [3]])


def test_training_takes_a_data_set_as_it_takes_its_images(tmp_path: Path):
    pixels = np.random.default_rng(0).integers(16, 256, (16, 3, 16, 16), dtype=np.uint8)
    config = Config(
        encoder={"name": "dcgan", "width": 8},
        objective={"local": {"units": 8}},
        training=Training(steps=2, epochs=9, batch_size=8, trackers=()),
    )
    given = {"set": ImageSet(pixels), "loader": DataLoader(Pairs(pixels, [None] * 16), batch_size=4, shuffle=True)}
    trained = [
        train(config, images, tmp_path / name, device="cpu", quiet=True).state_dict() for name, images in given.items()
    ]
    assert all(torch.equal(trained[0][name], trained[1][name]) for name in trained[0])


def test_a_picture_that_lies_on_its_side_is_read_upright_and_whole():
    lying = Image.fromarray(LAST[0])
    lying.getexif()[0x0112] = 6
    upright = lying.transpose(Image.Transpose.ROTATE_270)
    np.testing.assert_array_equal(from_dataset([lying, lying]).images, from_dataset([upright, upright]).images)
