"""Rows that are not independent, how input is understood, and estimates beside each other."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from gaussians import FAST, gaussians

from deepinfomax import UserError
from deepinfomax.information import critic_reading, groups
from deepinfomax.information.cautions import LONG_TAIL
from deepinfomax.information.estimation import estimate_mi
from deepinfomax.information.estimators import ESTIMATORS
from deepinfomax.information.groups import group_codes, one_of_each, successive
from deepinfomax.information.readouts import Scores


def autocorrelated(n: int, columns: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Moving averages of noise: rows are independent that lie `width` apart."""
    noise = rng.standard_normal((n + width - 1, columns))
    return np.stack([np.convolve(column, np.ones(width) / math.sqrt(width), "valid") for column in noise.T], axis=1)


def subjects(count: int, rows: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unrelated x and y of so many subjects, in rows that hardly differ; and the subjects' numbers."""
    own = np.repeat(rng.standard_normal((2, count, 3)), rows, axis=1)
    x, y = own + 0.01 * rng.standard_normal(own.shape)
    return x, y, np.repeat(np.arange(count), rows)


@pytest.mark.parametrize("name", ["infonce", "dv", "ksg"])
def test_random_walks_are_told_and_bound_nothing(name):
    x, y = np.random.default_rng(0).standard_normal((2, 1000)).cumsum(1)
    result = estimate_mi(x, y, name, **FAST)
    assert result.nats > 0.1  # the truth is 0
    assert "resembles the row before it" in result.warning
    assert "only sorted, shuffle" in result.warning
    assert not result.lower_bound


def test_rows_of_subjects_and_slow_labels_are_told():
    rng = np.random.default_rng(0)
    x, y, _ = subjects(40, 25, rng)
    assert "give groups=" in estimate_mi(x, y, **FAST | {"steps": 40}).warning
    label = np.repeat(rng.integers(0, 2, 40), 25)
    result = estimate_mi(x, label, **FAST | {"steps": 40})
    assert "give groups=" in result.warning
    assert not result.lower_bound


def test_independent_rows_never_are():
    for seed in range(200):
        rng = np.random.default_rng(seed)
        sides = (rng.standard_normal((100, 5)), rng.integers(0, 3, 100))
        assert not groups.neighbouring_rows_alike(sides, None)
    x, y = gaussians(3.0, 2, 1000)  # the same chance on both sides
    assert not groups.neighbouring_rows_alike((x, y), None)
    assert groups.neighbouring_rows_alike((np.sort(x, axis=0), np.sort(y, axis=0)), None)


def test_likeness_of_successive_rows_by_hand():
    column = np.array([3.0, 1.0, 4.0, 1.5, 9.0, 2.6])
    ranks = np.array([4, 1, 5, 2, 6, 3]) - 3.5
    by_hand = sum(a * b for a, b in zip(ranks[1:], ranks[:-1], strict=True)) / sum(ranks**2)
    assert successive(column[:, None])[0] == pytest.approx(abs(by_hand))
    labels = np.array([0, 0, 1, 1, 1, 0])
    assert successive(labels)[0] == pytest.approx((3 / 5 - 1 / 2) / (1 / 2))
    assert successive(labels)[1] == pytest.approx(3.8906 / math.sqrt(6), abs=1e-3)


def test_a_column_that_never_changes_hides_no_series():
    walk = np.cumsum(np.random.default_rng(0).standard_normal(60))[:, None]
    with_constant = np.concatenate([walk, np.ones((60, 1))], 1)
    assert successive(with_constant)[0] == successive(walk)[0] > 0.5
    assert successive(np.ones((60, 1)))[0] == 0
    assert successive(np.zeros(60, np.int64))[0] == 0
    codes = np.repeat(np.arange(60), 2)
    rare = np.zeros((120, 1))
    rare[1::2] = 1  # of which the first rows of groups have only the 0
    side = np.concatenate([np.repeat(walk, 2, 0), rare], 1)
    assert "each group or block resembles" in groups.neighbouring_rows_alike((side, side), codes)


@pytest.mark.parametrize("name", ["infonce", "dv", "smile", "ksg"])
def test_groups_bring_the_value_down_to_the_truth(name):
    x, y, subject = subjects(150, 10, np.random.default_rng(1))
    shuffled = np.random.default_rng(2).permutation(len(x))
    x, y, subject = x[shuffled], y[shuffled], subject[shuffled]
    assert estimate_mi(x, y, name, **FAST).nats > 0.5
    result = estimate_mi(x, y, name, groups=subject, **FAST)
    assert result.nats < max(0.1, 3 * result.standard_error)
    assert result.groups == 150
    assert result.cap <= (math.log(150) if name == "ksg" else math.log(30)) + 1
    assert "resembles" not in (result.warning or "")


def test_blocks_of_a_series():
    rng = np.random.default_rng(0)
    x, y = (autocorrelated(6000, 2, 20, rng) for _ in range(2))
    assert not estimate_mi(x, y, **FAST).lower_bound
    result = estimate_mi(x, y, block=40, **FAST)
    assert result.nats < 3 * result.standard_error
    assert "longer blocks" not in (result.warning or "")
    short = estimate_mi(x, y, block=2, **FAST | {"steps": 40})
    assert "longer blocks" in short.warning
    assert not short.lower_bound


def test_dependence_between_groups_is_still_found():
    rng = np.random.default_rng(0)
    subject = np.repeat(np.arange(400), 5)
    x = np.repeat(rng.standard_normal((400, 1)), 5, axis=0) + 0.1 * rng.standard_normal((2000, 1))
    y = x + rng.standard_normal((2000, 1))
    result = estimate_mi(x, y, groups=subject, **FAST)
    truth = 0.5 * math.log(1 + 1.01)
    assert truth - 0.2 < result.nats < truth + 2 * result.standard_error


def test_no_group_stands_on_two_sides_and_one_row_of_each_is_read():
    codes = group_codes(np.array(["b", "a", "b", "c", "a"] * 20 + list(map(str, range(40)))), None, 140)
    assert codes[:5].tolist() == [0, 1, 0, 2, 1]  # in the order in which they come
    choices = one_of_each(codes, np.random.default_rng(0))
    for rows in choices:
        assert sorted(codes[rows]) == list(range(43))
    assert len(one_of_each(np.arange(50), np.random.default_rng(0))) == 1
    shown = np.unique(np.concatenate(one_of_each(np.repeat(np.arange(200), 4), np.random.default_rng(0))))
    assert {int(row) % 4 for row in shown} == {0, 1, 2, 3}  # no place in a group is passed over
    assert group_codes(None, 3, 100).tolist() == [i // 3 for i in range(100)]
    batches = groups.batches_of_groups(codes, 16, torch.Generator().manual_seed(0))
    for _ in range(20):
        assert len(set(codes[next(batches).numpy()])) == 16


def test_the_error_of_groups_is_that_of_their_means():
    """A readout that is linear in the weights: the jackknife over groups is the spread of the groups' means."""
    rng = np.random.default_rng(0)
    scores = [Scores(torch.from_numpy(rng.standard_normal((30, 30)))) for _ in range(4)]
    means = torch.stack([one.pairs for one in scores]).mean(0).numpy()
    estimator = ESTIMATORS["infonce"]
    linear = type(estimator)("infonce", lambda s: s.joint(s.pairs), True)
    value, error = critic_reading.value_and_error(linear, scores[0], None, scores[1:])
    assert value == pytest.approx(means.mean())
    assert error == pytest.approx(means.std() / math.sqrt(30))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"groups": np.arange(10)}, "shape"),
        ({"groups": np.arange(200) // 10}, "20 groups are too few"),
        ({"groups": np.array([None] * 200)}, "missing values"),
        ({"groups": np.full(200, np.nan)}, "missing values"),
        ({"block": 0}, "block must be"),
        ({"block": 100}, "2 blocks of 100 rows are too few"),
        ({"block": 2, "groups": np.arange(200)}, "not both"),
        ({"folds": 2}, "folds must be"),
        ({"shuffles": -1}, "shuffles must be"),
    ],
)
def test_mistakes(settings, says):
    x = np.random.default_rng(0).standard_normal(200)
    with pytest.raises(UserError, match=says):
        estimate_mi(x, x, **settings)


def test_columns_of_pandas_with_other_indexes_are_refused():
    x = pd.Series(np.random.default_rng(0).standard_normal(200))
    y = x.sort_values()
    with pytest.raises(UserError, match="different pandas indexes"):
        estimate_mi(x, y, "ksg")
    assert estimate_mi(x, x + 0.0, "ksg").nats > 2
    assert estimate_mi(x, y.to_numpy(), "ksg").nats < 0.5
    assert estimate_mi(x, list(y), "ksg").nats < 0.5


def test_whole_numbers_taken_as_labels_are_told_and_words_are_not():
    rng = np.random.default_rng(0)
    x, label = rng.standard_normal(300), rng.integers(0, 3, 300)
    for values in (label, torch.from_numpy(label), pd.Series(label), label.tolist()):
        assert (
            estimate_mi(x, values, "ksg").notes[0].startswith("the 3 different whole numbers of y are taken as labels")
        )
    for values in (label.astype(str), label.astype(str).tolist(), label > 0, (label > 0).tolist(), label.astype(float)):
        assert estimate_mi(x, values, "ksg").notes == ()
    assert "jsd-nwj" in estimate_mi(x, x, "jsd", **FAST | {"steps": 2}).notes[0]


@pytest.mark.parametrize("name", ["infonce", "dv", "smile"])
def test_neighbours_beside_a_critic_tell_of_a_sharp_dependence(name):
    rng = np.random.default_rng(0)
    x, noise = rng.standard_normal((2, 2000))
    sharp = 0.9999 * x + math.sqrt(1 - 0.9999**2) * noise
    result = estimate_mi(x, sharp, name, **FAST)
    assert "the critic has missed part of the dependence" in result.warning
    assert result.beside.nats == pytest.approx(4.26, abs=0.1)
    smooth = estimate_mi(*gaussians(0.5, 1, 2000), name, **FAST | {"steps": 500})
    assert "has missed" not in (smooth.warning or "")
    assert estimate_mi(*gaussians(1.0, 5, 300), name, **FAST | {"steps": 5}).beside is None


def test_auto_gives_both():
    rng = np.random.default_rng(0)
    x, noise = rng.standard_normal((2, 1500))
    result = estimate_mi(x, 0.9999 * x + math.sqrt(1 - 0.9999**2) * noise, "auto", **FAST)
    assert (result.estimator, result.beside.estimator) == ("ksg", "infonce")
    assert result.nats == pytest.approx(4.26, abs=0.1)
    assert result.beside.lower_bound
    many = estimate_mi(*gaussians(1.0, 10, 1000), "auto", **FAST)
    assert (many.estimator, many.beside) == ("infonce", None)


def test_ties_and_long_tails_mislead_distances_and_are_told():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 2000)) ** 2
    zero = rng.random(2000) < 0.6
    x[zero] = y[zero] = 0
    result = estimate_mi(x, y, "ksg")
    truth = -0.6 * math.log(0.6) - 0.4 * math.log(0.4)
    assert result.nats < truth - 0.15
    assert "ranks of the columns read 0." in result.warning
    assert "one value fills 6" in result.warning
    assert estimate_mi(x, y, "ksg", transform="rank").nats == pytest.approx(truth, abs=0.07)
    tails = rng.standard_t(1, size=(2, 2000))
    assert np.abs(tails / tails.std(1, keepdims=True)).max() > LONG_TAIL
    assert "long tails" in estimate_mi(*tails, "ksg").warning


def test_jsd_lb_says_what_its_critic_shows():
    result = estimate_mi(*gaussians(3.0, 3, 2000), "jsd-lb", **FAST)
    assert "read by jsd-dv" in result.warning
    assert result.nats < 2.5


def test_folds_read_every_pair_once_and_stay_below_the_truth():
    x, y = gaussians(1.0, 2, 1000)
    once = estimate_mi(x, y, **FAST)
    result = estimate_mi(x, y, folds=5, **FAST)
    assert result.n_test == 1000
    assert result.pointwise.rows.tolist() == list(range(1000))
    assert len(once.pointwise.rows) == 200
    assert result.standard_error < once.standard_error
    assert 0.8 < result.nats < 1 + 2 * result.standard_error


def test_pointwise_values_average_to_the_estimate():
    x, y = gaussians(1.0, 1, 1500)
    result = estimate_mi(x, y, **FAST)
    assert result.pointwise.nats.mean() == pytest.approx(result.nats, abs=1e-9)
    rho2 = 1 - math.exp(-2)
    a, b = (side.ravel()[result.pointwise.rows] for side in (x, y))
    truth = 1 - (rho2 * (a**2 + b**2) - 2 * math.sqrt(rho2) * a * b) / (2 * (1 - rho2))
    assert np.corrcoef(truth, result.pointwise.nats)[0, 1] > 0.95
    dv = estimate_mi(x, y, "dv", **FAST)
    assert dv.pointwise.nats.mean() == pytest.approx(dv.nats, abs=0.1)


def test_a_featurewise_critic_reads_nothing_where_there_is_nothing():
    """Its scores begin near 0; those that began at several nats read -0.1 of independent columns."""
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((2, 2000, 10))
    result = estimate_mi(x, y, critic="featurewise", steps=400, hidden=(64, 64), lr=1e-3)
    assert abs(result.nats) < 0.04


@pytest.mark.parametrize("critic", ["separable", "featurewise"])
def test_columns_of_their_own_find_many_weak_dependences(critic):
    result = estimate_mi(*gaussians(3.0, 25, 2500), critic=critic, steps=500, hidden=(64, 64), lr=1e-3)
    assert (result.nats > 1.8) == (critic == "featurewise")
    assert result.nats < 3 + 2 * result.standard_error


@pytest.mark.parametrize(
    "names",
    [
        ["a", math.nan] * 50,
        pd.Series(["a", pd.NA] * 50, dtype="string"),
        pd.Series([pd.Timestamp("2020-01-01"), pd.NaT] * 50),
        np.ma.masked_array(np.arange(100), mask=np.arange(100) == 3),
        [None, *range(99)],
    ],
    ids=["nan among words", "NA", "NaT", "masked", "None"],
)
def test_groups_without_a_name_are_refused(names):
    with pytest.raises(UserError, match="groups has missing values"):
        group_codes(names, None, 100)


def test_groups_have_names_of_any_kind():
    number = np.arange(100) // 2
    for names in (
        np.array([f"é{i}".encode() for i in number]),
        np.datetime64("2020-01-01") + number,
        pd.Series(number, dtype="Int64"),
        [f"g{i}" for i in number],
        np.array([i if i % 2 else str(i) for i in number], dtype=object),
    ):
        assert group_codes(names, None, 100).tolist() == number.tolist()
