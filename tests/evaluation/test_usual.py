"""What is measured where nobody names a measure."""

import numpy as np
import pytest

from deepinfomax.data.images import ImageSet
from deepinfomax.errors import UserError
from deepinfomax.evaluation.usual import usual_measures, usual_measures_of_vectors


def images(count: int, labels: np.ndarray | None = None, side: int = 16) -> ImageSet:
    return ImageSet(np.zeros((count, 3, side, side), np.uint8), labels, name="these")


def test_classes_are_probed() -> None:
    labels = np.arange(10) % 2
    assert usual_measures(images(10, labels), images(10, labels)) == (("mlp", "linear", "knn"), [])


def test_a_single_unit_depends_on_no_other() -> None:
    names, said = usual_measures(images(200), images(200), lambda: 1)
    assert names == ("reconstruction", "rank", "mine", "decoding", "distribution")
    assert said[1:] == ["ndm is left out: y has a single unit, which depends on no other"]
    assert "ndm" in usual_measures(images(200), images(200), lambda: 2)[0]


def test_attributes_have_their_own_measure() -> None:
    labels = np.eye(4, dtype=np.int64)
    assert usual_measures(images(4, labels), images(4, labels)) == (("attributes",), [])


@pytest.mark.parametrize(
    ("train", "test", "why"),
    [
        (None, None, "there are no labels"),
        (np.arange(200) % 2, None, "the test images have no labels (give them labels, or measure on the training"),
        (None, np.arange(200) % 2, "the training images have no labels (give them labels, or measure on the test"),
        (np.full(200, -1), np.full(200, -1), "there are no labels"),
        (np.arange(200) % 2, np.full(200, -1), "the test images have no labels (give them labels, or"),
        (np.zeros(200, np.int64), np.zeros(200, np.int64), "all training labels are the same"),
    ],
)
def test_without_classes_what_needs_none(train: np.ndarray | None, test: np.ndarray | None, why: str) -> None:
    names, said = usual_measures(images(200, train), images(200, test))
    assert names == ("reconstruction", "rank", "mine", "decoding", "ndm", "distribution")
    assert len(said) == 1
    assert said[0].startswith(why)
    assert said[0].endswith(", so reconstruction, rank, mine, decoding, ndm, distribution are measured")


def test_what_the_images_do_not_admit_is_left_out_and_said() -> None:
    names, said = usual_measures(images(60, side=8), images(10, side=8))
    assert names == ("rank",)
    left_out = ["reconstruction", "mine", "decoding", "ndm", "distribution"]
    assert [line.split(" is left out")[0] for line in said[1:]] == left_out
    with pytest.raises(UserError, match=r"these: there are no labels, and .*rank needs 3 test images or more, not 2"):
        usual_measures(images(60, side=8), images(2, side=8))


def test_vectors() -> None:
    assert usual_measures_of_vectors(None) == ("rank",)
    assert usual_measures_of_vectors(np.zeros(5)) == ("rank",)
    assert usual_measures_of_vectors(np.arange(5)) == ("mlp", "linear", "knn")
    assert usual_measures_of_vectors(np.arange(5)[:, None]) == ("mlp", "linear", "knn")
    assert usual_measures_of_vectors(np.eye(4)) == ("attributes",)
