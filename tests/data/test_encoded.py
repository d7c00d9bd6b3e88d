import numpy as np
import pytest

from deepinfomax.data.encoded import held_out, number_labels, part, sample
from deepinfomax.data.images import ImageSet
from deepinfomax.errors import UserError


def image_set(count: int, value: int = 0) -> ImageSet:
    return ImageSet(np.full((count, 1, 2, 2), value, np.uint8), np.arange(count) % 2, ("a", "b"))


def test_test_part_is_found_under_any_of_its_names_and_test_wins_over_val():
    parts = {"train": lambda: image_set(3), "val": lambda: image_set(4), "test": lambda: image_set(5)}
    assert len(part(parts, "test", None, "x")) == 5
    del parts["test"]
    assert len(part(parts, "test", None, "x")) == 4


def test_missing_parts_are_one_line_that_says_what_to_do():
    with pytest.raises(UserError, match=r"x has no test part: put train and test inside it, or set data\.holdout 0\.1"):
        part({"train": lambda: image_set(3)}, "test", None, "x")
    with pytest.raises(UserError, match="x has no train part; it has: test"):
        part({"test": lambda: image_set(3)}, "train", None, "x")
    with pytest.raises(UserError, match="split must be one of train, test, unlabeled, not 'tset'"):
        part({"train": lambda: image_set(3)}, "tset", None, "x")
    with pytest.raises(UserError, match="holdout must be a fraction"):
        part({"train": lambda: image_set(3)}, "train", 1.5, "x")


def test_names_that_mean_the_same_are_joined():
    parts = {"training": lambda: image_set(2, 7), "train": lambda: image_set(3), "val": lambda: image_set(4)}
    parts["validation"] = parts["val"]
    train = part(parts, "train", None, "x")
    np.testing.assert_array_equal(train.images[:, 0, 0, 0], [0, 0, 0, 7, 7])
    np.testing.assert_array_equal(train.labels, [0, 1, 0, 0, 1])
    assert len(part(parts, "test", None, "x")) == 8
    parts["testing"] = lambda: image_set(5)
    assert len(part(parts, "test", None, "x")) == 5
    parts["training"] = lambda: ImageSet(np.zeros((1, 3, 2, 2), np.uint8))
    with pytest.raises(UserError, match=r"parts of shapes \(1, 2, 2\) and \(3, 2, 2\)"):
        part(parts, "train", None, "x")


def test_holdout_splits_without_overlap_and_only_where_there_is_no_test_part():
    parts = {"train": lambda: ImageSet(np.arange(200, dtype=np.uint8).reshape(200, 1, 1, 1))}
    train, test = part(parts, "train", 0.2, "x"), part(parts, "test", 0.2, "x")
    seen = np.concatenate([train.images.ravel(), test.images.ravel()])
    np.testing.assert_array_equal(np.sort(seen), np.arange(200))
    assert 20 <= len(test) <= 60
    parts["val"] = lambda: image_set(4)
    assert len(part(parts, "train", 0.2, "x")) == 200
    assert len(part(parts, "test", 0.2, "x")) == 4


def test_holdout_that_leaves_a_part_empty_is_an_error():
    with pytest.raises(UserError, match="leaves the test part empty"):
        part({"train": lambda: image_set(1)}, "test", 0.001, "x")


def test_an_image_never_changes_sides_when_others_are_added():
    titles = [f"folder/{i}.png" for i in range(500)]
    few, many = held_out(titles[100:200], 0.3), held_out(titles, 0.3)
    np.testing.assert_array_equal(few, many[100:200])
    assert 0.2 < many.mean() < 0.4
    assert (held_out(titles, 0.1) <= many).all()  # a larger fraction only adds


def test_limit_draws_from_the_whole_and_smaller_ones_are_nested():
    few, many = sample(1000, 20), sample(1000, 200)
    assert sample(1000, None) is None
    assert sample(10, 10) is None
    assert len(set(few)) == 20
    assert (np.diff(few) > 0).all()
    assert set(few) <= set(many)
    assert few.max() > 500  # not the first ones
    with pytest.raises(UserError, match="limit must be at least 1"):
        sample(10, 0)


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
