"""Training and test parts that do not belong together are told before any figure."""

from pathlib import Path

import numpy as np
import pytest

from deepinfomax import encoders
from deepinfomax.data import from_array
from deepinfomax.data.images import ImageSet
from deepinfomax.errors import UserError
from deepinfomax.evaluation import evaluate, evaluate_embeddings
from deepinfomax.evaluation.embeddings import Embeddings
from deepinfomax.evaluation.few_labels import LabelBudget
from deepinfomax.evaluation.labels import check_labels
from deepinfomax.evaluation.split import in_both, remarks, small_classes, with_classes_of

RNG = np.random.default_rng(0)


def images(count: int, labels: list[str] | list[int] | None = None) -> ImageSet:
    pixels = RNG.integers(0, 256, (count, 16, 16), dtype=np.uint8)
    return from_array(pixels, None if labels is None else (labels * count)[:count])


def test_classes_are_those_of_the_same_name() -> None:
    train = images(6, ["cat", "dog", "eel"])
    test = with_classes_of(train, images(4, ["eel", "cat"]))
    assert test.classes == ("cat", "dog", "eel")
    assert test.labels is not None
    assert test.labels.tolist() == [2, 0, 2, 0]
    more = with_classes_of(train, images(4, ["asp", "dog", ""]))
    assert more.classes == ("cat", "dog", "eel", "asp")
    assert more.labels is not None
    assert more.labels.tolist() == [3, 1, -1, 3]
    numbers = with_classes_of(images(6, [0, 1, 2]), images(4, [0, 2]))
    assert numbers.labels is not None
    assert numbers.labels.tolist() == [0, 2, 0, 2]
    assert with_classes_of(train, train) is train


def test_classes_and_attributes_that_have_nothing_in_common_are_refused() -> None:
    with pytest.raises(UserError, match=r"\(cat, dog\) is one of the test images \(0, 1\)"):
        with_classes_of(images(4, ["cat", "dog"]), images(4, [0, 1]))
    attributes = np.eye(3, dtype=np.int64)
    pixels = np.zeros((3, 1, 16, 16), np.uint8)
    sets = (ImageSet(pixels, attributes, names) for names in (("a", "b", "c"), ("b", "a", "c")))
    with pytest.raises(UserError, match="attributes are a, b, c in training and b, a, c in test"):
        with_classes_of(*sets)
    one_hot = [from_array(pixels[:n], attributes[:n]) for n in (3, 2)]
    with pytest.raises(UserError, match=r"classes in training and attributes in test, .* labels\.argmax\(1\)"):
        with_classes_of(*one_hot)


def test_labels_of_which_none_is_known_are_refused() -> None:
    with pytest.raises(UserError, match=r"no test label is one of training: these are 0, 1, those .* 5, 6"):
        check_labels(np.array([0, 1, 0]), np.array([5, 6]))
    with pytest.raises(UserError, match=r"these are cat, 1, those of the test images dog; give"):
        check_labels(np.array([0, 1, 0]), np.array([2]), ("cat", "1", "dog"))


def test_classes_with_fewer_labels_than_a_measure_asks_of_each_are_told() -> None:
    labels = np.array([0] * 12 + [1] * 12 + [2] * 3)
    said = "1 of 3 classes have fewer than 10 labels to train on ({}): measures of 10 per class see all of theirs"
    budgets = [None, LabelBudget("percent", 10), LabelBudget("per_class", 2), LabelBudget("per_class", 10)]
    share = (
        "of 1 of 3 classes 10 % is less than one label (rare): measures of 10 percent see one label of each, which is "
        "more than 10 %"
    )
    assert small_classes(labels, iter(budgets), ("a", "b", "rare")) == [said.format("rare"), share]
    assert small_classes(labels, [None, LabelBudget("percent", 34), LabelBudget("per_class", 2)]) == []
    vectors, words = RNG.normal(size=(60, 4)).astype(np.float32), np.array(["a", "b"] * 25 + ["rare"] * 10)
    file = Embeddings(vectors, words, np.array(["train"] * 53 + ["test"] * 7))
    notes = evaluate_embeddings(file, measures=["knn_10_per_class"], scale="smoke", quiet=True)["notes"]
    assert said.format("rare") in notes


def test_what_is_said_of_classes() -> None:
    names = ("a", "b", "c", "d")
    said = remarks(np.array([0, 1, 2]), np.array([0, 3, 3]), names)
    assert said == [
        "2 of 3 test images are of classes that no training image has (d): each counts as an error",
        "2 of 3 classes have no test image (b, c): the figures say nothing of them",
    ]
    assert remarks(np.array(["x", "y"]), np.array(["y", "x"])) == []
    assert "(0, 1, 2, 3, 4 and 2 more)" in remarks(np.arange(9), np.array([7, 8]))[0]
    assert "(-7)" in remarks(np.array([0, 1]), np.array([0, -7]), ("a",))[0]
    assert remarks(None, np.array([1])) == []


def test_rows_in_both_are_counted_as_a_loop_counts_them() -> None:
    train, test = RNG.integers(0, 2, (30, 2, 3)), RNG.integers(0, 2, (20, 2, 3))
    count = sum(any((a == b).all() for b in train) for a in test)
    assert 0 < count < 20
    assert in_both(train, test)[0].startswith(f"{count} of 20 test images are among the training images too, pixel")
    assert in_both(train, test + 2) == []


def test_every_evaluation_says_so(tmp_path: Path) -> None:
    train = images(40, ["cat", "dog", "eel"])
    test = ImageSet(np.concatenate([train.images[:5], images(15).images]), np.arange(20) % 2, ("eel", "cat"))
    encoder = encoders.build("dcgan", train.shape, width=4, fc=8, y=4)
    settings = {"measures": ("knn",), "levels": ("y",), "controls": (), "scale": "smoke", "quiet": True}
    result = evaluate(encoder, train, test, **settings)
    assert result["notes"] == [
        "1 of 3 classes have no test image (dog): the figures say nothing of them",
        "5 of 20 test images are among the training images too, pixel for pixel: figures are flattered",
    ]
    vectors = RNG.normal(size=(60, 3)).astype(np.float32)
    vectors[50:] = vectors[:10]
    labels = np.array(["a", "b"] * 30)
    labels[55:] = "c"
    embeddings = Embeddings(vectors, labels, np.array(["train"] * 50 + ["test"] * 10))
    result = evaluate_embeddings(embeddings, measures=("knn",), scale="smoke", quiet=True)
    assert result["notes"] == [
        "5 of 10 test images are of classes that no training image has (c): each counts as an error",
        "10 of 10 test embeddings are among the training embeddings too, number for number: figures are flattered",
    ]
