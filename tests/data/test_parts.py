import numpy as np
import pytest

from deepinfomax.data.images import ImageSet
from deepinfomax.data.parts import choose_part, held_out, limited
from deepinfomax.errors import UserError


def image_set(count: int, value: int = 0) -> ImageSet:
    return ImageSet(np.full((count, 1, 2, 2), value, np.uint8), np.arange(count) % 2, ("a", "b"))


def test_test_part_is_found_under_any_of_its_names_and_test_wins_over_val():
    parts = {"train": lambda: image_set(3), "val": lambda: image_set(4), "test": lambda: image_set(5)}
    assert len(choose_part(parts, "test", None, "x")) == 5
    del parts["test"]
    assert len(choose_part(parts, "test", None, "x")) == 4


def test_missing_parts_are_one_line_that_says_what_to_do():
    with pytest.raises(UserError, match=r"x has no test part: set data\.holdout 0\.1 to keep"):
        choose_part({"train": lambda: image_set(3)}, "test", None, "x")
    with pytest.raises(UserError, match="x has no train part; it has: test"):
        choose_part({"test": lambda: image_set(3)}, "train", None, "x")
    with pytest.raises(UserError, match="split must be one of train, test, unlabeled, not 'tset'"):
        choose_part({"train": lambda: image_set(3)}, "tset", None, "x")
    with pytest.raises(UserError, match="holdout must be a fraction"):
        choose_part({"train": lambda: image_set(3)}, "train", 1.5, "x")


def test_names_that_mean_the_same_are_joined():
    parts = {"training": lambda: image_set(2, 7), "train": lambda: image_set(3), "val": lambda: image_set(4)}
    parts["validation"] = parts["val"]
    train = choose_part(parts, "train", None, "x")
    np.testing.assert_array_equal(train.images[:, 0, 0, 0], [0, 0, 0, 7, 7])
    np.testing.assert_array_equal(train.labels, [0, 1, 0, 0, 1])
    assert len(choose_part(parts, "test", None, "x")) == 8
    parts["testing"] = lambda: image_set(5)
    assert len(choose_part(parts, "test", None, "x")) == 5
    parts["training"] = lambda: ImageSet(np.zeros((1, 3, 2, 2), np.uint8))
    with pytest.raises(UserError, match=r"parts of shapes \(1, 2, 2\) and \(3, 2, 2\)"):
        choose_part(parts, "train", None, "x")


def test_holdout_splits_without_overlap_and_only_where_there_is_no_test_part():
    parts = {"train": lambda: ImageSet(np.arange(200, dtype=np.uint8).reshape(200, 1, 1, 1))}
    train, test = choose_part(parts, "train", 0.2, "x"), choose_part(parts, "test", 0.2, "x")
    seen = np.concatenate([train.images.ravel(), test.images.ravel()])
    np.testing.assert_array_equal(np.sort(seen), np.arange(200))
    assert 20 <= len(test) <= 60
    parts["val"] = lambda: image_set(4)
    train = choose_part(parts, "train", 0.2, "x")
    assert len(train) == 200
    assert train.notes == ("data.holdout 0.2 is not used: there is a test part already, val",)
    assert len(choose_part(parts, "test", 0.2, "x")) == 4


def test_holdout_that_leaves_a_part_empty_is_an_error():
    with pytest.raises(UserError, match="leaves the test part empty"):
        choose_part({"train": lambda: image_set(1)}, "test", 0.001, "x")


def test_an_image_never_changes_sides_when_others_are_added():
    titles = [f"folder/{i}.png" for i in range(500)]
    few, many = held_out(titles[100:200], 0.3), held_out(titles, 0.3)
    np.testing.assert_array_equal(few, many[100:200])
    assert 0.2 < many.mean() < 0.4
    assert (held_out(titles, 0.1) <= many).all()  # a larger fraction only adds


def test_limit_draws_from_the_whole_and_smaller_ones_are_nested():
    few, many = limited(1000, 20), limited(1000, 200)
    assert limited(1000, None) is None
    assert limited(10, 10) is None
    assert len(set(few)) == 20
    assert (np.diff(few) > 0).all()
    assert set(few) <= set(many)
    assert few.max() > 500  # not the first ones
    with pytest.raises(UserError, match="limit must be at least 1"):
        limited(10, 0)
