import numpy as np
import pandas
import pytest

from deepinfomax.data.labels import first_fraction, integers_of, number_labels
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


def test_columns_with_a_single_1_in_every_row_are_classes():
    one_hot = np.eye(3)[[2, 0, 1, 1]]
    (first, second), names = number_labels([one_hot, one_hot[:2]], ("ant", "bee", "cat"))
    assert (first.tolist(), second.tolist(), names) == ([2, 0, 1, 1], [2, 0], ("ant", "bee", "cat"))
    (first, second), _ = number_labels([one_hot, 1 - one_hot])
    assert first.shape == second.shape == (4, 3)  # the other part shows that these are attributes
    assert number_labels([one_hot[:2]])[0][0].shape == (2, 3)  # no image would be of the second class


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (np.array(3), "must be one number or word per image, not a single one"),
        (np.array([0.5, 1.0]), "must be whole numbers or words"),
        (np.array([6e4, np.inf], np.float16), "must be whole numbers or words"),  # which LARGEST overflows
        (np.ones((4, 3, 2), int), r"one number or word per image, or several of 0 and 1 \(attributes\)"),
        (np.full((4, 3), 2), r"one number or word per image, or several of 0 and 1 \(attributes\)"),
    ],
)
def test_labels_that_are_no_classes(raw: np.ndarray, message: str):
    with pytest.raises(UserError, match=message):
        number_labels([raw], where="x.npz")


def test_more_labels_than_names():
    with pytest.raises(UserError, match="label 7 has no name, there are only 2 class names"):
        number_labels([np.array([0, 7])], ("a", "b"), "x")
    with pytest.raises(UserError, match="labels have 3 columns, there are 2 class names"):
        number_labels([np.eye(3)], ("a", "b"), "x")


class NAType:  # as pandas calls its own
    def __repr__(self) -> str:
        return "pd.NA"  # every process of the tests must call it alike


@pytest.mark.parametrize(
    "missing", [None, float("nan"), np.nan, "", "nan", "NaN", "NA", "<NA>", "None", b"", -1, "-1", NAType()], ids=repr
)
@pytest.mark.parametrize("known", [["b", "a"], [b"b", b"a"], [1, 0]], ids=["words", "bytes", "numbers"])
def test_one_meaning_of_no_label(known: list[object], missing: object):
    labels = np.array([*known, missing], dtype=object)
    (numbers,), names = number_labels([labels])
    np.testing.assert_array_equal(numbers, [1, 0, -1])
    assert names in (("a", "b"), ("0", "1"))


def test_missing_labels_of_pandas():
    for series in (
        pandas.Series([1, 0, None], dtype="Int64"),
        pandas.Series([1.0, 0.0, None]),
        pandas.Series(["b", "a", None]),
        pandas.Series(["b", "a", pandas.NA], dtype="string"),
        pandas.Series(["b", "a", None], dtype="category"),
    ):
        np.testing.assert_array_equal(number_labels([series])[0][0], [1, 0, -1])


def test_no_label_at_all_beside_numbers():
    (numbers, none), names = number_labels([np.array([10, 9]), np.array([None, None])])
    np.testing.assert_array_equal(numbers, [1, 0])
    assert (none, names) == (None, ("9", "10"))


def test_numbers_beside_words_are_words_and_minus_one_is_still_none():
    (words, numbers), names = number_labels([np.array(["b", "a"]), np.array([3, -1])])
    assert names == ("3", "a", "b")
    np.testing.assert_array_equal(words, [2, 1])
    np.testing.assert_array_equal(numbers, [0, -1])


def test_names_are_one_class_in_every_spelling_of_unicode():
    (numbers,), names = number_labels([np.array(["cafe\u0301", "caf\u00e9"])])
    assert names == ("caf\u00e9",)
    np.testing.assert_array_equal(numbers, [0, 0])


def test_every_word_is_a_class_where_it_names_a_folder():
    (numbers,), names = number_labels([np.array(["None", "NA"])], no_label_words=frozenset())
    assert names == ("NA", "None")
    np.testing.assert_array_equal(numbers, [1, 0])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([np.inf, 0]), "must be whole numbers or words"),
        (np.array([1e300, 0]), "must be whole numbers or words"),
        (np.array([2**64 - 1, 0], np.uint64), "label 18446744073709551615 is too large"),
        (np.array([-5, 0]), "label -5 is negative; classes are 0 or more, and -1 means no label"),
        (np.array([1j, 0]), "must be whole numbers or words, not complex128"),
        (np.array([0, 1], "datetime64[D]"), r"must be whole numbers or words, not datetime64\[D\]"),
        (np.zeros(2, [("a", "i4")]), "must be whole numbers or words"),
        (np.array([[1], "a", None], dtype=object), "must be whole numbers or words, not list"),
        (np.array([b"\xff", b"a"]), r"label b'\\xff' is not UTF-8"),
    ],
)
def test_labels_of_other_kinds_are_refused(labels: np.ndarray, message: str):
    with pytest.raises(UserError, match=message):
        number_labels([labels], where="x")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["10", "9", ""], [10, 9, -1]),
        (["1.0", "0.0", "nan"], [1, 0, -1]),
        (["1.0", "1"], ["1.0", "1"]),
        (["010", "10"], ["010", "10"]),
        (["a", "1"], ["a", "1"]),
        (["99999999999999999999"], ["99999999999999999999"]),
    ],
)
def test_words_that_are_all_numbers(words: list[str], expected: list[object]):
    assert integers_of(words).tolist() == expected


def test_numbers_of_numpy_in_an_array_of_objects_stay_numbers():
    labels = np.array([*np.arange(12), None], dtype=object)
    labels[:12] = list(np.arange(12))
    assert isinstance(labels[0], np.int64)
    (numbers,), names = number_labels([labels])
    assert numbers is not None
    assert (numbers.tolist(), names) == ([*range(12), -1], tuple(map(str, range(12))))


def test_the_first_label_with_a_fraction_is_found_beside_what_is_not_finite() -> None:
    assert first_fraction(np.array([np.inf, np.nan, 2.0, 1.5])) == 1.5
    assert first_fraction(np.array(["inf", "2", "-1", "2.5"])) == 2.5
    assert first_fraction(np.array(["a", "2.5"])) is None
    assert first_fraction(np.array([1, 2])) is None
