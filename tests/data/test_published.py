"""Published data sets in their own files: the same pixels and labels from a folder, from above it and by name."""

import gzip
import json
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import published_layouts as layouts
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from published_layouts import Written
from scipy.io import savemat

from deepinfomax.config import Config, Data, Training
from deepinfomax.data import describe, load, names, render_description
from deepinfomax.data.configured import load_images
from deepinfomax.data.formats import cifar, published
from deepinfomax.data.formats.celeba import ATTRIBUTES
from deepinfomax.data.loading import titles
from deepinfomax.errors import UserError
from deepinfomax.evaluation.evaluate_command import evaluate_command
from deepinfomax.training.loop import train

FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
JAPANESE = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
CAPITALS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
#: name of the set, where torchvision or the authors put its files in a root, and who writes them there
COPIES: dict[str, tuple[str, str, Callable[[Path], Written]]] = {
    "CIFAR-10, Python version": ("cifar10", "cifar-10-batches-py", layouts.cifar10_python),
    "CIFAR-10, binary version": ("cifar10", "cifar-10-batches-bin", layouts.cifar10_binary),
    "CIFAR-100, Python version": ("cifar100", "cifar-100-python", layouts.cifar100_python),
    "CIFAR-100, binary version": ("cifar100", "cifar-100-binary", layouts.cifar100_binary),
    "STL-10": ("stl10", "stl10_binary", layouts.stl10),
    "SVHN, cropped digits": ("svhn", "svhn", layouts.svhn),
    "MNIST": ("mnist", "MNIST/raw", layouts.mnist),
    "Fashion-MNIST": ("fashion-mnist", "FashionMNIST/raw", lambda folder: layouts.mnist(folder, FASHION, False)),
    "KMNIST": ("kmnist", "KMNIST/raw", lambda folder: layouts.mnist(folder, JAPANESE, seed=5)),
    "EMNIST letters": (
        "emnist-letters",
        "EMNIST/raw",
        lambda folder: layouts.mnist(folder, CAPITALS, names=layouts.emnist_names("letters"), first=1, turned=True),
    ),
    "CelebA, aligned faces": ("celeba", "celeba", layouts.celeba),
    "Tiny ImageNet": ("tiny-imagenet", "tiny-imagenet-200", layouts.tiny_imagenet),
}
each_copy = pytest.mark.parametrize(
    ("title", "name", "inside", "write"), [(t, *c) for t, c in COPIES.items()], ids=COPIES
)


def same(data: str | Path, written: Written, root: Path | None = None, **settings: object) -> None:
    """Every part has exactly the pixels and labels that were written."""
    for part, (pixels, labels) in written.parts.items():
        images = load(data, part, root=root, **settings)
        np.testing.assert_array_equal(images.images, pixels)
        assert images.images.dtype == np.uint8
        if labels is None:
            assert images.labels is None
        else:
            np.testing.assert_array_equal(images.labels, labels)
            assert images.labels.dtype == np.int64
        assert images.classes == written.classes


@pytest.fixture
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is not called after the test: the name of a folder tells Fashion-MNIST from MNIST."""
    return tmp_path_factory.mktemp("root") / "data"


@each_copy
def test_a_set_is_read_from_its_folder_from_above_and_by_name(
    root: Path, title: str, name: str, inside: str, write: Callable[[Path], Written]
):
    written = write(root / inside)
    same(root / inside, written)
    same(root, written)
    same(name, written, root)
    for data, place in ((root, None), (name, root)):
        description = describe(data, root=place)
        assert description.published == title
        assert description.problems == []
        assert description.parts.keys() == written.parts.keys()
        assert {n: p.images for n, p in description.parts.items()} == {
            n: len(pixels) for n, (pixels, _) in written.parts.items()
        }
        assert f"as         {title}, in its published files" in render_description(description)


@each_copy
@pytest.mark.parametrize("ending", [".zip", ".tar.gz", ".tgz", ".tar"])
def test_a_set_is_read_from_an_archive_of_its_folder(
    root: Path, title: str, name: str, inside: str, write: Callable[[Path], Written], ending: str
):
    folder = root / "work" / inside
    written = write(folder)
    pack = layouts.zipped if ending == ".zip" else layouts.tarred
    top = folder.parent if folder.name == "raw" else folder  # else the name of the folder does not say which set it is
    archive = pack(top, root / "here" / f"archive{ending}")
    shutil.rmtree(root / "work")
    same(archive, written)
    assert describe(archive).published == title
    archive.rename(archive.with_name(f"{name}{ending}"))
    same(name, written, archive.parent)


@pytest.mark.parametrize(
    ("archive", "name", "inside"),
    [
        ("cifar-10-python.tar.gz", "cifar10", "cifar-10-batches-py"),
        ("cifar-10-binary.tar.gz", "cifar10", "cifar-10-batches-bin"),
        ("cifar-100-python.tar.gz", "cifar100", "cifar-100-python"),
        ("cifar-100-binary.tar.gz", "cifar100", "cifar-100-binary"),
        ("stl10_binary.tar.gz", "stl10", "stl10_binary"),
        ("tiny-imagenet-200.zip", "tiny-imagenet", "tiny-imagenet-200"),
    ],
)
def test_an_archive_as_it_is_downloaded(root: Path, archive: str, name: str, inside: str):
    write = next(copy[2] for copy in COPIES.values() if copy[1] == inside)
    written = write(root / "work" / inside)
    pack = layouts.zipped if archive.endswith(".zip") else layouts.tarred
    pack(root / "work" / inside, root / "downloads" / archive)
    same(root / "downloads" / archive, written)
    same(root / "downloads", written)
    same(name, written, root / "downloads")
    train = load(name, root=root / "downloads")
    assert titles(name, train, root=root / "downloads") == titles(root / "work" / inside, train)


def test_an_archive_among_images_is_not_taken_for_them(root: Path):
    layouts.cifar10_python(root / "work" / "cifar-10-batches-py")
    layouts.tarred(root / "work" / "cifar-10-batches-py", root / "photos" / "cifar-10-python.tar.gz")
    layouts.png(root / "photos" / "a.png", 0)
    assert load(root / "photos").shape == (3, 8, 8)
    (root / "photos" / "a.png").unlink()
    layouts.png(root / "photos" / "deep" / "a.png", 0)
    assert load(root / "photos").shape == (3, 8, 8)
    assert load("cifar10", root=root / "photos").shape == (3, 32, 32)  # the name says what is wanted


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("fashion/data/raw", "Fashion-MNIST"),
        ("fashion/mnist", "MNIST"),
        ("fashion/of/the/day", "MNIST"),
        ("kuzushiji", "KMNIST"),
    ],
)
def test_the_nearest_folders_say_which_of_the_kin_of_mnist_it_is(root: Path, folder: str, name: str):
    layouts.mnist(root / folder)
    assert describe(root / folder).published == name


def test_a_root_of_several_sets_needs_the_name(root: Path):
    ten = layouts.cifar10_python(root / "cifar-10-batches-py")
    layouts.cifar10_binary(root / "cifar-10-batches-bin")  # the same set once more
    same(root, ten)
    stl = layouts.stl10(root / "stl10_binary")
    fashion = layouts.mnist(root / "FashionMNIST" / "raw", FASHION)
    digits = layouts.mnist(root / "MNIST" / "raw", seed=3)
    with pytest.raises(
        UserError, match=r"several data sets: pass one of the names cifar10, stl10, fashion-mnist, mnist"
    ):
        load(root)
    for name, written in (("cifar10", ten), ("stl10", stl), ("fashion-mnist", fashion), ("mnist", digits)):
        same(name, written, root)
    assert describe(root).problems[0].startswith(f"{root} holds several data sets")


def test_the_environment_names_the_root(root: Path, monkeypatch: pytest.MonkeyPatch):
    written = layouts.svhn(root / "svhn")
    monkeypatch.setenv("DEEPINFOMAX_DATA", str(root))
    same("svhn", written)
    with pytest.raises(UserError, match="there is no kmnist here: put its files as published into a folder, and set"):
        load("kmnist")
    (root / "kmnist").mkdir()
    monkeypatch.delenv("DEEPINFOMAX_DATA")
    monkeypatch.chdir(root)
    with pytest.raises(UserError, match=r"to that folder; \./kmnist is the folder of that name"):
        load("kmnist")


def test_a_root_that_is_the_folder_itself(root: Path):
    same("svhn", layouts.svhn(root), root)


def test_a_set_in_part_says_that_it_is_one(root: Path):
    layouts.cifar10_python(root)
    assert load(root).notes == ("15 images, 50,000 were published: not comparable with figures for those",)


# ---------------------------------------------------------------------------------------------------- CIFAR


@pytest.mark.parametrize("write", [layouts.cifar100_python, layouts.cifar100_binary])
def test_cifar100_has_two_kinds_of_labels(root: Path, write: Callable[..., Written]):
    fine = write(root / "fine")
    coarse = write(root / "coarse", coarse=True)
    assert not np.array_equal(fine.parts["train"][1], coarse.parts["train"][1])
    same(root / "fine", fine)
    same(root / "fine", fine, label="fine_label")
    same(root / "fine", coarse, label="coarse_label")
    assert load(root / "fine").notes[0].startswith("columns not used: coarse_label; data.label NAME")
    with pytest.raises(UserError, match=r"has no column kind \(data.label\); it has: img, coarse_label, fine_label"):
        load(root / "fine", label="kind")


def test_pickles_of_python_3_are_read_too(root: Path):
    written = layouts.cifar10_python(root)
    for file in root.iterdir():
        if not file.suffix:
            content = pickle.loads(file.read_bytes(), encoding="bytes")
            file.write_bytes(pickle.dumps({key.decode(): value for key, value in content.items()}, protocol=4))
    (root / "batches.meta").write_bytes(pickle.dumps({"label_names": list(layouts.CIFAR_10)}))
    same(root, written)
    (root / "test_batch").write_bytes(pickle.dumps(cifar.load_pickle(root / "test_batch"), protocol=2))
    same(root, written)


class Malicious:
    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.file,)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_cannot_run_anything(root: Path, protocol: int):
    layouts.cifar10_python(root)
    touched = root / "touched"
    (root / "data_batch_2").write_bytes(pickle.dumps({"data": Malicious(touched)}, protocol=protocol))
    with pytest.raises(UserError, match=r"data_batch_2 is damaged or no file of CIFAR \(it asks for "):
        load(root)
    assert not touched.exists()
    pickle.loads((root / "data_batch_2").read_bytes())
    assert touched.exists()  # an ordinary unpickler does it


@pytest.mark.parametrize(
    "text", [b"cos\nsystem\n(S'true'\ntR.", b"cbuiltins\neval\n(S'1'\ntR.", b"cnumpy\nndarray\n(I9\ntR."]
)
def test_other_names_in_a_pickle(root: Path, text: bytes):
    root.mkdir()
    (root / "x").write_bytes(text)
    with pytest.raises(UserError, match="x is damaged or no file of CIFAR"):
        cifar.load_pickle(root / "x")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Ran out of input"),
        (pickle.dumps([1]), "it holds list"),
        (pickle.dumps({"labels": [1]}), "its data are no array of 3,072 bytes an image"),
        (pickle.dumps({"data": np.zeros((2, 3072))}), "its data are no array of 3,072 bytes"),
        (pickle.dumps({"data": np.zeros((2, 3072), np.uint8)}), "it has no list of whole numbers called labels"),
        (pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": [1, "a"]}), "it has no list of whole numbers"),
        (pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": [1]}), "it holds 2 images and 1 label"),
        (
            pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": [1, 10]}),
            "it has labels from 1 to 10, there are 10 classes",
        ),
        (pickle.dumps({"data": np.zeros((0, 3072), np.uint8), "labels": []}), "it holds 0 images and 0 labels"),
    ],
)
def test_wrong_pickles(root: Path, content: bytes, reason: str):
    layouts.cifar10_python(root)
    (root / "test_batch").write_bytes(content)
    with pytest.raises(
        UserError, match=rf"test_batch is damaged or no file of CIFAR \({reason}.*download it again"
    ) as e:
        load(root, "test")
    assert "\n" not in str(e.value)
    assert len(load(root)) == 15  # the other part does not need that file


def test_truncated_pickles(root: Path):
    layouts.cifar10_python(root)
    file = root / "data_batch_4"
    content = file.read_bytes()
    for length in (1, 50, 200, len(content) // 2, len(content) - 1):
        file.write_bytes(content[:length])
        with pytest.raises(UserError, match="data_batch_4 is damaged or no file of CIFAR"):
            load(root)


@pytest.mark.parametrize(
    ("write", "file", "message"),
    [
        (layouts.cifar10_python, "data_batch_3", "lacks data_batch_3 of CIFAR-10: unpack cifar-10-python.tar.gz again"),
        (layouts.cifar10_python, "batches.meta", "lacks batches.meta of CIFAR-10"),
        (layouts.cifar10_binary, "test_batch.bin", "lacks test_batch.bin of CIFAR-10: unpack cifar-10-binary.tar.gz"),
        (layouts.cifar10_binary, "batches.meta.txt", "lacks batches.meta.txt of CIFAR-10"),
        (layouts.cifar100_python, "train", "lacks train of CIFAR-100: unpack cifar-100-python.tar.gz again"),
        (layouts.cifar100_binary, "fine_label_names.txt", "lacks fine_label_names.txt of CIFAR-100"),
        (layouts.stl10, "train_y.bin", "lacks train_y.bin of STL-10: unpack stl10_binary.tar.gz again"),
        (layouts.stl10, "test_X.bin", "lacks test_X.bin of STL-10"),
        (layouts.svhn, "test_32x32.mat", "lacks test_32x32.mat of SVHN: download it into this folder"),
        (
            layouts.mnist,
            "t10k-labels-idx1-ubyte.gz",
            r"lacks t10k-labels-idx1-ubyte \(or t10k-labels-idx1-ubyte.gz\) of MNIST: download it",
        ),
        (layouts.celeba, "list_eval_partition.txt", "lacks list_eval_partition.txt of CelebA: put it beside img_align"),
        (layouts.celeba, "list_attr_celeba.txt", "lacks list_attr_celeba.txt of CelebA"),
    ],
)
def test_a_missing_file_is_named(root: Path, write: Callable[[Path], Written], file: str, message: str):
    write(root / "set")
    (root / "set" / file).unlink()
    for data in (root / "set", layouts.zipped(root / "set", root / "packed" / "set.zip")):
        with pytest.raises(UserError, match=f"^{data} {message}") as error:
            load(data)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("write", "file", "cut", "message"),
    [
        (layouts.cifar10_binary, "data_batch_2.bin", 5, "9,214 bytes are no whole images of 3,073"),
        (layouts.cifar100_binary, "train.bin", 5, "21,513 bytes are no whole images of 3,074"),
        (layouts.cifar10_binary, "data_batch_2.bin", 9219, "0 bytes are no whole images"),
        (layouts.stl10, "train_X.bin", 7, "331,769 bytes are no whole images of 27,648; unpack stl10_binary.tar.gz"),
        (layouts.stl10, "train_y.bin", 1, "holds 11 labels for 12 images"),
        (layouts.svhn, "train_32x32.mat", 1000, "has no y, so it is not complete, or no file of SVHN"),
        (layouts.mnist, "train-images-idx3-ubyte.gz", 1000, "is damaged or not complete"),
        (layouts.mnist, "train-labels-idx1-ubyte.gz", 4, "is damaged or not complete"),
        (lambda folder: layouts.mnist(folder, compressed=False), "train-images-idx3-ubyte", 9, "7,063 of 7,072 bytes"),
        (lambda folder: layouts.mnist(folder, compressed=False), "train-labels-idx1-ubyte", 17, "is no idx file of la"),
        (layouts.celeba, "list_attr_celeba.txt", 200, "says that it has 9 rows, and has 8"),
    ],
)
def test_a_truncated_file_is_named(root: Path, write: Callable[[Path], Written], file: str, cut: int, message: str):
    write(root)
    content = (root / file).read_bytes()
    (root / file).write_bytes(content[:-cut])
    with pytest.raises(UserError, match=rf"/{file}.*{message}") as error:
        load(root)
    assert "\n" not in str(error.value)


def test_binary_labels_beyond_the_classes(root: Path):
    layouts.cifar10_binary(root)
    content = bytearray((root / "test_batch.bin").read_bytes())
    content[0] = 10
    (root / "test_batch.bin").write_bytes(content)
    with pytest.raises(UserError, match=r"test_batch\.bin is damaged .*10, there are 10 classes"):
        load(root, "test")


# ---------------------------------------------------------------------------------------------------- STL-10


def test_stl10_says_its_folds_and_they_reach_the_evaluation(root: Path):
    layouts.stl10(root / "stl10_binary", folds=((0, 2, 4), (1, 3, 5)))
    archive = layouts.tarred(root / "stl10_binary", root / "packed" / "stl10_binary.tar.gz")
    for data, place in ((root, None), (root / "stl10_binary", None), (archive, None), (root / "packed", None)):
        assert [fold.tolist() for fold in names.read_folds(data, place)] == [[0, 2, 4], [1, 3, 5]]
    for place in (root, root / "packed"):
        assert [fold.tolist() for fold in names.read_folds("stl10", place)] == [[0, 2, 4], [1, 3, 5]]
        description = describe("stl10", root=place)
        assert description.folds == [3, 3]
        text = render_description(description)
        assert "folds      2 of 3 training images each (fold_indices.txt): measure linear_folds" in text
        assert json.loads(json.dumps(description.as_tree())) == description.as_tree()
    (root / "stl10_binary" / "fold_indices.txt").write_text("0 1\n2\n")
    assert "2 of 1 to 2 training images each" in render_description(describe(root))
    (root / "stl10_binary" / "fold_indices.txt").write_text("a\n")
    assert "fold_indices.txt, line 1" in describe(root).problems[0]


def test_folds_of_an_archive_are_measured(root: Path):
    layouts.stl10(root / "stl10_binary", train=40, folds=(range(0, 40, 2), range(1, 40, 2)))
    layouts.tarred(root / "stl10_binary", root / "data" / "stl10_binary.tar.gz")
    config = Config(
        data=Data(source="stl10", split="train+unlabeled", root=str(root / "data"), size=16),
        encoder={"name": "dcgan", "width": 8},
        objective={"local": {"units": 8}},
        training=Training(steps=2, batch_size=8, trackers=()),
    )
    train(config, load_images(config), root / "run", device="cpu", quiet=True)
    settings = {"data": None, "controls": (), "average": None, "limit": None, "data_root": None, "settings": {}}
    result, _ = evaluate_command(
        root / "run", measures=["linear_folds"], levels=["y"], scale="smoke", seed=0, device="cpu", **settings
    )
    measured = result["measures"]["linear_folds"]["y"]
    assert measured["protocol"].endswith("mean of 2 folds")
    assert measured["n_train"] == 20


def test_stl10_trains_on_labelled_and_unlabelled_images_together(root: Path):
    written = layouts.stl10(root)
    both = load(root, "train+unlabeled")
    np.testing.assert_array_equal(
        both.images, np.concatenate([written.parts["train"][0], written.parts["unlabeled"][0]])
    )
    np.testing.assert_array_equal(both.labels[-5:], -1)
    few = load(root, "train+unlabeled", limit=6)
    chosen = np.sort(np.random.default_rng(0).permutation(17)[:6])
    np.testing.assert_array_equal(few.images, both.images[chosen])
    assert load(root, size=64).shape == (3, 64, 64)


def test_stl10_without_its_unlabelled_images(root: Path):
    layouts.stl10(root)
    (root / "unlabeled_X.bin").unlink()
    assert load(root).notes[0] == "there is no unlabeled_X.bin"
    assert list(describe(root).parts) == ["train", "test"]
    with pytest.raises(UserError, match="has no unlabeled part; it has: train, test"):
        load(root, "unlabeled")


def test_labels_that_are_none_of_stl10(root: Path):
    layouts.stl10(root)
    (root / "test_y.bin").write_bytes(bytes([1, 0, 11, 3]))
    with pytest.raises(UserError, match=r"test_y\.bin holds the label 0, those of STL-10 are 1 to 10"):
        load(root, "test")
    (root / "class_names.txt").write_text("one two")
    with pytest.raises(UserError, match=r"class_names\.txt holds 2 names, STL-10 has 10 classes"):
        load(root)
    (root / "class_names.txt").unlink()
    assert load(root).classes == layouts.STL_10


# ---------------------------------------------------------------------------------------------------- SVHN


def test_svhn_has_a_further_part(root: Path):
    written = layouts.svhn(root)
    both = load(root, "train+extra")
    np.testing.assert_array_equal(both.images, np.concatenate([written.parts["train"][0], written.parts["extra"][0]]))
    assert "extra" in render_description(describe(root))
    (root / "extra_32x32.mat").unlink()
    assert list(describe(root).parts) == ["train", "test"]
    with pytest.raises(UserError, match="split must be one of train, test, unlabeled, not 'extra'"):
        load(root, "extra")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"X": np.zeros((32, 32, 3, 2), np.uint8)}, "has no y, so it is not complete, or no file of SVHN"),
        ({"y": np.ones((2, 1))}, r"holds images of shape \(\) and 2 labels, not \(32, 32, 3, N\) and N"),
        ({"X": np.zeros((32, 32, 3, 3), np.uint8), "y": np.ones((2, 1))}, "and 2 labels"),
        ({"X": np.zeros((32, 32, 3, 2)), "y": np.ones((2, 1))}, "holds pixels of float64, not uint8"),
        ({"X": np.zeros((32, 32, 3, 2), np.uint8), "y": np.array([[1], [11]])}, "holds the label 11, not 1 to 10"),
        ({"X": np.zeros((32, 32, 3, 2), np.uint8), "y": {"a": 1}}, "y holds no numbers"),
    ],
)
def test_files_of_matlab_that_are_not_svhn(root: Path, variables: dict[str, object], message: str):
    layouts.svhn(root)
    savemat(root / "train_32x32.mat", variables)
    with pytest.raises(UserError, match=rf"train_32x32\.mat.*{message}"):
        load(root)


# ---------------------------------------------------------------------------------------------------- MNIST and its kin


def test_emnist_of_several_kinds_needs_the_name(root: Path):
    letters = layouts.mnist(
        root / "gzip", CAPITALS, names=layouts.emnist_names("letters"), first=1, turned=True, seed=1
    )
    merged = tuple("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt")
    balanced = layouts.mnist(root / "gzip", merged, names=layouts.emnist_names("balanced"), turned=True, seed=2)
    layouts.zipped(root / "gzip", root / "EMNIST" / "raw" / "gzip.zip")
    for folder in (root / "gzip", root / "EMNIST" / "raw" / "gzip.zip"):
        with pytest.raises(
            UserError, match="holds several data sets: pass one of the names emnist-balanced, emnist-let"
        ):
            load(folder)
    shutil.rmtree(root / "gzip")
    same("emnist-letters", letters, root)
    same("emnist-balanced", balanced, root)
    with pytest.raises(UserError, match=r"gzip\.zip does not hold EMNIST digits: download it again"):
        load("emnist-digits", root=root)


def test_the_classes_of_emnist():
    classes = {layout.name: None for layout in published.LAYOUTS if layout.name.startswith("emnist")}
    assert len(classes) == 6
    from deepinfomax.data.formats.idx import SETS

    of = {idx.name: "".join(idx.classes) for idx in SETS if idx.turned}
    assert of["emnist-byclass"] == "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    assert of["emnist-bymerge"] == of["emnist-balanced"] == "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt"
    assert of["emnist-letters"] == "".join(CAPITALS)


def test_names_of_files_with_a_dot_and_files_unpacked_beside_their_archives(root: Path):
    written = layouts.mnist(root, compressed=False)
    for file in list(root.iterdir()):
        file.rename(root / file.name.replace("-idx", ".idx"))
    same(root, written)
    layouts.mnist(root, seed=8)
    (root / "train-images-idx3-ubyte.gz").write_bytes(b"a half of a download")
    layouts.mnist(root, compressed=False)
    same(root, written)


def test_one_file_of_mnist_opens_the_set(root: Path):
    same(root / "train-images-idx3-ubyte.gz", layouts.mnist(root))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (layouts.idx_bytes(np.zeros((9, 28), np.uint8)), "is no idx file of images"),
        (bytes([0, 0, 13, 3]) + bytes(12), "is no idx file of images"),
        (b"", "is no idx file of images"),
        (layouts.idx_bytes(np.zeros((9, 28, 28), np.uint8)) + b"x", "7,073 of 7,072 bytes"),
        (bytes([0, 0, 8, 3]) + b"\xff" * 12, "is not complete: 16 of 79,228,162,458,924,105,385,300,197,391 bytes"),
        (layouts.idx_bytes(np.zeros((8, 28, 28), np.uint8)), "holds 9 labels for 8 images"),
    ],
)
@pytest.mark.parametrize("compressed", [True, False])
def test_wrong_idx_files(root: Path, content: bytes, message: str, compressed: bool):
    layouts.mnist(root, compressed=compressed)
    file = root / f"train-images-idx3-ubyte{'.gz' if compressed else ''}"
    file.write_bytes(gzip.compress(content) if compressed else content)
    with pytest.raises(UserError, match=message):
        load(root)


def test_labels_beyond_the_classes_of_emnist(root: Path):
    layouts.mnist(root, CAPITALS, names=layouts.emnist_names("letters"), turned=True)  # its first label would be 1
    with pytest.raises(UserError, match=r"holds labels from 0 to .*, those of EMNIST letters are 1 to 26"):
        load(root)


# ---------------------------------------------------------------------------------------------------- CelebA


@pytest.mark.parametrize("form", ["torchvision", "published", "kaggle"])
def test_celeba_in_each_of_its_forms(root: Path, form: str):
    written = layouts.celeba(root, form)
    same(root, written)
    assert layouts.ATTRIBUTES == ATTRIBUTES
    assert len(ATTRIBUTES) == 40
    train = load(root)
    ignored = ("lists not used: identity_CelebA.txt",) if form != "kaggle" else ()
    assert train.notes == (*ignored, "5 images, 162,770 were published: not comparable with figures for those")
    assert titles(root, train) == [f"img_align_celeba/{i:06}.jpg" for i in (1, 3, 5, 8, 9)]
    description = describe(root)
    assert list(description.parts) == ["train", "test", "valid"]
    assert description.attributes is True
    assert description.parts["train"].per_class["Smiling"] == written.parts["train"][1][:, 31].sum()
    assert "40 attributes, " in render_description(description)
    assert "attributes 5_o_Clock_Shadow, Arched_Eyebrows" in render_description(description)


def test_one_attribute_of_celeba_as_the_label(root: Path):
    written = layouts.celeba(root)
    smiling = load(root, label="Smiling")
    np.testing.assert_array_equal(smiling.labels, written.parts["train"][1][:, 31])
    assert smiling.classes == ("0", "1")
    with pytest.raises(UserError, match=r"has no column Laughing: data\.label names one of the attributes, as Smiling"):
        load(root, label="Laughing")


def test_celeba_whose_images_are_an_archive_beside_the_lists(root: Path):
    written = layouts.celeba(root / "celeba")
    layouts.zipped(root / "celeba" / "img_align_celeba", root / "celeba" / "img_align_celeba.zip")
    shutil.rmtree(root / "celeba" / "img_align_celeba")
    same(root, written)
    same(root / "celeba" / "img_align_celeba.zip", written)
    same("celeba", written, root)
    (root / "celeba" / "img_align_celeba.zip").unlink()
    with pytest.raises(UserError, match=r"has lists of CelebA but no images: put img_align_celeba or img_align"):
        load(root)


def test_lists_of_celeba_that_do_not_fit(root: Path):
    layouts.celeba(root)
    parts, attributes = root / "list_eval_partition.txt", root / "list_attr_celeba.txt"
    before = parts.read_text(), attributes.read_text()
    (root / "img_align_celeba" / "000003.jpg").rename(root / "img_align_celeba" / "x.jpg")
    with pytest.raises(
        UserError, match=r"lists 1 of 9 images that are not in .*, first: 000003\.jpg; unpack img_align"
    ):
        load(root)
    (root / "img_align_celeba" / "x.jpg").rename(root / "img_align_celeba" / "000003.jpg")
    parts.write_text(before[0].replace("000003.jpg 0\n", ""))
    assert "1 image is not in list_eval_partition.txt: left out" in load(root).notes
    assert len(load(root)) == 4
    parts.write_text(before[0].replace("000003.jpg 0", "000003.jpg 4"))
    with pytest.raises(UserError, match=r"list_eval_partition\.txt must give each image a part: 0, 1 or 2"):
        load(root)
    parts.write_text(before[0])
    attributes.write_text(before[1].replace("000003.jpg", "000033.jpg"))
    with pytest.raises(UserError, match=r"list_attr_celeba\.txt lacks 1 image, first: 000003\.jpg"):
        load(root)
    for wrong, message in (
        ("000003.jpg 1 1", "list_attr_celeba.txt must hold a name and numbers in each row"),
        ("000003.jpg" + " a" * 40, "list_attr_celeba.txt must hold a name and numbers in each row"),
        ("000003.jpg", "list_attr_celeba.txt has no numbers in some of its 9 rows"),
        ("000003.jpg" + " 2" * 40, "list_attr_celeba.txt: attributes must be -1 and 1, or 0 and 1"),
    ):
        lines = before[1].splitlines()
        lines[4] = wrong
        attributes.write_text("\n".join(lines))
        with pytest.raises(UserError, match=re.escape(message)) as error:
            load(root)
        assert "\n" not in str(error.value)
    attributes.write_text(before[1].replace("Smiling", "Laughing"))
    with pytest.raises(UserError, match="does not have the 40 attributes in their published order"):
        load(root)
    attributes.write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="is no text in UTF-8"):
        load(root)


@pytest.mark.parametrize("kind", [pa.bool_(), pa.int64(), pa.int8()])
def test_a_table_with_all_attributes_of_celeba_has_them(root: Path, kind: pa.DataType):
    written = layouts.celeba(root / "files")
    for part, (_, values) in written.parts.items():
        files = [root / "files" / "img_align_celeba" / f"{i:06}.jpg" for i in _rows_of(part)]
        shown = values if kind == pa.bool_() else values * 2 - 1  # -1 and 1, or false and true
        columns = {
            name: pa.array(shown[:, i].astype(bool) if kind == pa.bool_() else shown[:, i], kind)
            for i, name in enumerate(ATTRIBUTES)
        }
        cells = [{"bytes": file.read_bytes(), "path": file.name} for file in files]
        (root / "celeba").mkdir(exist_ok=True)
        table = pa.table({"image": cells, "celeb_id": [1] * len(cells)} | columns)
        pq.write_table(table, root / "celeba" / f"{part}-00000-of-00001.parquet")
    same("celeba", written, root)
    same(root / "celeba", written)
    assert load(root / "celeba").notes == ("columns not used: celeb_id; data.label NAME makes one of them the label",)
    assert load(root / "celeba", label="Smiling").labels.ndim == 1
    shutil.copy(root / "files" / "list_attr_celeba.txt", root / "celeba")  # a list that nothing needs is told
    same("celeba", written, root)
    assert load("celeba", root=root).notes[0] == "lists not used: list_attr_celeba.txt"


def _rows_of(part: str) -> list[int]:
    return {"train": [1, 3, 5, 8, 9], "valid": [4, 7], "test": [2, 6]}[part]


@pytest.mark.parametrize("bad", [pa.array([None, 1]), pa.array([2, 0]), pa.array(["a", "b"])])
def test_a_table_with_damaged_attributes(root: Path, bad: pa.Array):
    layouts.celeba(root / "files")
    image = (root / "files" / "img_align_celeba" / "000001.jpg").read_bytes()
    columns = {name: pa.array([0, 1]) for name in ATTRIBUTES} | {"Young": bad}
    pq.write_table(pa.table({"image": [image, image]} | columns), root / "x.parquet")
    with pytest.raises(UserError, match=r"x\.parquet.*column Young.*|x\.parquet, column Young: attributes must be"):
        load(root / "x.parquet")


# ---------------------------------------------------------------------------------------------------- ImageNet


@pytest.mark.parametrize("below", ["images", ""])
def test_tiny_imagenet_whose_validation_images_were_sorted_into_classes(root: Path, below: str):
    written = layouts.tiny_imagenet(root)
    for line in (root / "val" / "val_annotations.txt").read_text().splitlines():
        name, wnid = line.split("\t")[:2]
        (root / "val" / wnid / below).mkdir(parents=True, exist_ok=True)
        (root / "val" / "images" / name).rename(root / "val" / wnid / below / name)
    (root / "val" / "images").rmdir()
    test = load(root, "test")
    np.testing.assert_array_equal(test.images, written.parts["test"][0])
    np.testing.assert_array_equal(test.labels, written.parts["test"][1])


def test_imagenet_as_kaggle_has_it(root: Path):
    written = layouts.imagenet_kaggle(root / "imagenet")
    for folder in ("", "ILSVRC", "ILSVRC/Data", "ILSVRC/Data/CLS-LOC"):
        same(root / "imagenet" / folder, written)
    same("imagenet", written, root)
    same(layouts.tarred(root / "imagenet", root / "packed" / "imagenet.tar.gz"), written)
    images = load(root / "imagenet", "test")
    assert images.notes[:2] == (
        "the labels of the test images are not published: not read",
        "the official validation set is the test part",
    )
    assert titles(root / "imagenet", images, "test")[0] == "val/ILSVRC2012_val_00000001.JPEG"


def test_imagenet_as_its_three_archives(root: Path):
    written = layouts.imagenet_archives(root / "archives", root / "work")
    shutil.rmtree(root / "work")
    same(root / "archives", written)
    same("imagenet", written, root / "archives")
    same(root / "archives" / "ILSVRC2012_img_val.tar", written)
    train = load(root / "archives")
    assert titles(root / "archives", train)[:2] == ["n01440764/n01440764_0.JPEG", "n01440764/n01440764_1.JPEG"]


@pytest.mark.parametrize("by_class", [True, False])
@pytest.mark.parametrize("list_name", ["LOC_synset_mapping.txt", "synset_words.txt", "words.txt"])
def test_folders_with_a_list_of_synsets(root: Path, by_class: bool, list_name: str):
    written, truth = layouts.imagenet(root / "train", root / "val", by_class)
    separator = "\t" if list_name == "words.txt" else " "
    lines = [f"{wnid}{separator}{words}\n" for wnid, words in layouts.SYNSETS.items()]
    (root / list_name).write_text("".join([*lines, f"n99999999{separator}not used\n"]))
    if not by_class:
        assert load(root, "test").labels is None
        assert any("no labels of val: put LOC_val_solution.csv" in note for note in load(root, "test").notes)
        (root / "imagenet_2012_validation_synset_labels.txt").write_text("\n".join(truth))
    same(root, written)


def test_classes_of_imagenet_beside_a_list_but_without_parts(root: Path):
    written, _ = layouts.imagenet(root, root.with_name(f"{root.name}-val"))
    shutil.rmtree(root.with_name(f"{root.name}-val"))
    assert load(root).classes == tuple(layouts.SYNSETS)  # without a list the plain folder of classes
    (root / "LOC_synset_mapping.txt").write_text("n01440764 tench, Tinca tinca\n")
    images = load(root)
    np.testing.assert_array_equal(images.images, written.parts["train"][0])
    assert images.classes == ("tench", "n02012849", "n03126707")
    assert images.notes[0] == "2 classes are not in LOC_synset_mapping.txt, first: n02012849"


def test_the_development_kit_says_what_its_numbers_mean(root: Path):
    written, truth = layouts.imagenet(root / "train", root / "val")
    layouts.devkit(root / "ILSVRC2012_devkit_t12" / "data", truth)
    same(root, written)
    (root / "ILSVRC2012_devkit_t12" / "data" / "meta.mat").unlink()
    with pytest.raises(
        UserError, match=r"ground_truth\.txt gives numbers, and meta\.mat of ILSVRC2012_devkit_t12 says"
    ):
        load(root)
    (root / "ILSVRC2012_devkit_t12" / "data" / "meta.mat").write_bytes(b"MATLAB 5.0 but not much of it")
    with pytest.raises(UserError, match=r"meta\.mat is damaged or no file of ILSVRC2012_devkit_t12"):
        load(root)


def test_answers_that_do_not_fit_the_images_of_val(root: Path):
    layouts.imagenet_kaggle(root)
    table = root / "LOC_val_solution.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join(lines[:-1]))
    with pytest.raises(UserError, match=r"gives 1 of 4 images of val no synset, first: ILSVRC2012_val_00000001\.JPEG"):
        load(root)
    table.write_text("Name,Answer\na,b\n")
    with pytest.raises(UserError, match="has the columns name, answer, not ImageId and PredictionString"):
        load(root)
    table.unlink()
    (root / "ILSVRC2012_validation_ground_truth.txt").write_text("n01440764\n")
    with pytest.raises(UserError, match="gives 3 of 4 images of val no synset, first: ILSVRC2012_val_00000002"):
        load(root)
    (root / "ILSVRC2012_validation_ground_truth.txt").write_bytes(b"\xff")
    with pytest.raises(UserError, match="is no text in UTF-8"):
        load(root)
