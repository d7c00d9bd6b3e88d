import math

import numpy as np
import pytest

from deepinfomax.information import labels as label_information
from deepinfomax.information.estimation import estimate_mi
from deepinfomax.information.several import conditional_mi
from deepinfomax.information.tables import mi_with


@pytest.mark.parametrize(("classes", "n"), [(3, 300), (10, 1000), (20, 2000)])
def test_counting_labels_is_not_biased_upwards(classes, n):
    """Independent labels: the plug-in value is (K - 1)²/2n too high on average."""
    values, errors = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        result = estimate_mi(rng.integers(0, classes, n), rng.integers(0, classes, n), "ksg")
        assert result.warning is None
        values.append(result.nats)
        errors.append(result.standard_error)
    plug_in = (classes - 1) ** 2 / (2 * n)
    assert abs(np.mean(values)) < 0.2 * plug_in + 2 * np.std(values) / math.sqrt(20)


def test_standard_error_of_counted_labels_leaves_out_each_row():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 5, 40)
    b = (a + rng.integers(0, 3, 40)) % 6
    values = [label_information.information(np.delete(a, i), np.delete(b, i)) for i in range(40)]
    error = math.sqrt(39 / 40 * sum((value - np.mean(values)) ** 2 for value in values))
    assert label_information.standard_error(a, b) == pytest.approx(error)


@pytest.mark.parametrize("classes", [4, 20])
@pytest.mark.parametrize("copied", [0.5, 0.8])
def test_standard_error_of_counted_labels_is_the_spread_over_fresh_samples(classes, copied):
    values, errors = [], []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        a = rng.integers(0, classes, 1000)
        b = np.where(rng.random(1000) < copied, a, rng.integers(0, classes, 1000))
        values.append(label_information.information(a, b))
        errors.append(label_information.standard_error(a, b))
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.15)
    assert estimate_mi(a, b, "ksg").standard_error == errors[-1]


def test_labels_too_rare_to_count_say_so():
    rng = np.random.default_rng(0)
    result = estimate_mi(rng.integers(0, 100, 1000), rng.integers(0, 100, 1000), "ksg")
    assert "nats even when shuffled, where the truth is 0" in result.warning


@pytest.mark.parametrize("given", ["groups", "block"])
def test_with_groups_chance_is_that_of_as_many_rows_as_there_are_groups(given):
    by_groups = {"groups": np.repeat(np.arange(60), 50)} if given == "groups" else {"block": 50}
    dependent, warned = 0, 0
    for seed in range(20):
        a, b = np.random.default_rng([7, seed]).integers(0, 6, (2, 3000))
        result = estimate_mi(a, b, "ksg", **by_groups)
        assert result.excess > 0.05  # (6 - 1)² / 2·60 = 0.2 of the plug-in estimate; the correction takes a half
        dependent += result.dependent
        warned += "even when shuffled" in (result.warning or "")
    assert dependent <= 2
    assert warned > 15


def test_tables_with_groups_find_no_dependence_of_labels_by_chance():
    dependent = 0
    for seed in range(10):
        a, b = np.random.default_rng([8, seed]).integers(0, 6, (2, 3000))
        ranking = mi_with({"a": a, "b": b}, "b", groups=np.repeat(np.arange(60), 50), shuffles=0)
        dependent += ranking.rows[0].estimate.dependent
    assert dependent <= 1


@pytest.mark.parametrize("by", ["neighbours", "a critic", "a table", "a table of vectors", "counting given z"])
def test_a_group_of_many_rows_weighs_no_more_in_the_entropy_than_another(by):
    """40 sick subjects have 8 rows each and 40 healthy ones a single row: 89% of the rows, but half of the groups."""
    rng = np.random.default_rng(0)
    rows = np.repeat([8, 1], 40)
    subject, ill = np.repeat(np.arange(80), rows), np.repeat(np.repeat([1, 0], 40), rows)
    also = np.where(np.repeat(rng.random(80) < 0.05, rows), 1 - ill, ill)
    if by == "neighbours":
        estimate = estimate_mi(also, ill, "ksg", groups=subject)
    elif by == "a critic":
        estimate = estimate_mi(also, ill, "infonce", groups=subject, steps=2, hidden=(8,))
    elif by == "a table of vectors":
        vectors = also[:, None] + 0.1 * rng.standard_normal((len(ill), 8))
        table = mi_with({"a": vectors, "b": ill}, "b", groups=subject, shuffles=0, steps=2, hidden=(8,))
        estimate = table.rows[0].estimate
    elif by == "a table":
        estimate = mi_with({"a": also, "b": ill}, "b", groups=subject, shuffles=0).rows[0].estimate
    else:
        estimate = conditional_mi(also, ill, rng.integers(0, 2, len(ill)), groups=subject)
    assert estimate.entropy == pytest.approx(math.log(2), abs=0.02)
    if by not in ("a critic", "a table of vectors"):  # two steps are too few to learn in
        assert 0.2 < estimate.nats < estimate.interval().high
        assert estimate.share_of_entropy < 1
        assert "labels' entropy" not in (estimate.warning or "")


def test_entropy_and_error_of_groups_by_loops():
    rng = np.random.default_rng(0)
    codes = np.sort(np.concatenate([np.arange(30), rng.integers(0, 30, 70)]))
    labels = np.where(rng.random(100) < 0.7, codes % 3, rng.integers(0, 4, 100))
    probability = {k: sum(np.mean(labels[codes == g] == k) for g in range(30)) / 30 for k in range(4)}
    surprise = [np.mean([-math.log(probability[k]) for k in labels[codes == g]]) for g in range(30)]
    entropy = sum(-p * math.log(p) for p in probability.values()) + 3 / 60
    error = math.sqrt(sum((s - np.mean(surprise)) ** 2 for s in surprise) / 29 / 30)
    assert label_information.entropy_and_error(labels, codes) == pytest.approx((entropy, error))
    alone, of_rows = (label_information.entropy_and_error(labels, each) for each in (np.arange(100), None))
    assert alone[0] == pytest.approx(of_rows[0])
    assert alone[1] == pytest.approx(of_rows[1], rel=0.1)


def test_information_of_labels_by_loops():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 4, 60)
    b = (a + rng.integers(0, 2, 60)) % 4
    plug_in = 0.0
    for i in set(a):
        for j in set(b):
            both = np.mean((a == i) & (b == j))
            if both > 0:
                plug_in += both * math.log(both / (np.mean(a == i) * np.mean(b == j)))
    occurring = len(set(zip(a.tolist(), b.tolist(), strict=True)))
    corrected = plug_in + (3 + 3 - (occurring - 1)) / 120
    assert label_information.information(a, b) == pytest.approx(corrected)
    assert label_information.information(a, a) == pytest.approx(label_information.entropy(a))
