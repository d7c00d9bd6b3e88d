import numpy as np
import pytest

from deepinfomax.data.labels import number_labels
from deepinfomax.errors import UserError


def test_labels_mean_the_same_in_every_part():
    (train, test), names = number_labels([np.array(["dog", "cat", ""]), np.array(["fish", "cat"])])
    assert names == ("cat", "dog", "fish")
    np.testing.assert_array_equal(train, [1, 0, -1])
    np.testing.assert_array_equal(test, [2, 0])


def test_integer_labels_keep_their_values_or_are_numbered_in_order():
    (labels,), names = number_labels([np.array([2, 0, 1])])
    assert (labels.tolist(), names) == ([2, 0, 1], ("0", "1", "2"))
    (first, second), names = number_labels([np.array([10, -1]), np.array([9, 200])])
    assert (first.tolist(), second.tolist(), names) == ([1, -1], [0, 2], ("9", "10", "200"))
    (labels,), names = number_labels([np.array([2, 0])], ("a", "b", "c"))
    assert (labels.tolist(), names) == ([2, 0], ("a", "b", "c"))  # a named class may be absent


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (np.ma.array([1, 0, 1], mask=[0, 0, 1]), [1, 0, -1]),
        (np.ma.array([1, 0, 1], np.uint8, mask=[0, 0, 1]), [1, 0, -1]),
        (np.ma.array([True, False, True], mask=[0, 0, 1]), [1, 0, -1]),
        (np.ma.array([1.0, 0.0, 1.0], mask=[0, 0, 1]), [1, 0, -1]),
        (np.ma.array(["b", "a", "b"], mask=[0, 0, 1]), [1, 0, -1]),
    ],
)
def test_masked_labels_are_none(labels: np.ndarray, expected: list[int]):
    (numbers,), _ = number_labels([labels])
    np.testing.assert_array_equal(numbers, expected)


def test_labels_that_are_none():
    assert number_labels([None, None]) == ([None, None], ())
    labels, _ = number_labels([np.array([-1, -1]), np.array([0, 1])])
    assert labels[0] is None
    assert labels[1] is not None


def test_several_columns_of_0_and_1_are_attributes():
    (first, none), names = number_labels([np.array([[0, 1, 1], [1, 0, 0]]), None], ("hat", "beard", "smile"))
    np.testing.assert_array_equal(first, [[0, 1, 1], [1, 0, 0]])
    assert (none, names) == (None, ("hat", "beard", "smile"))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (np.array(3), "must be one number or word per image, not a single one"),
        (np.array([0.5, 1.0]), "must be whole numbers or words"),
        (np.full((4, 3), 2), r"one number or word per image, or several of 0 and 1 \(attributes\)"),
    ],
)
def test_labels_that_are_no_classes(raw: np.ndarray, message: str):
    with pytest.raises(UserError, match=message):
        number_labels([raw], where="x.npz")


def test_more_labels_than_names():
    with pytest.raises(UserError, match="label 7 has no name, there are only 2 class names"):
        number_labels([np.array([0, 7])], ("a", "b"), "x")
