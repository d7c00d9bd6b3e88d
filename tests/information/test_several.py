"""Conditional, total, interaction and transfer information of any arrays, against closed forms."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from gaussians import FAST

from deepinfomax import UserError
from deepinfomax.information import several
from deepinfomax.information.estimation import estimate_mi
from deepinfomax.information.several import (
    _within,
    conditional_mi,
    interaction_information,
    total_correlation,
    transfer_entropy,
)
from deepinfomax.information.tables import mi_with


def entropy(p: float) -> float:
    return -p * math.log(p) - (1 - p) * math.log(1 - p)


def half_log_det(covariance: np.ndarray, which: list[int]) -> float:
    return float(np.linalg.slogdet(covariance[np.ix_(which, which)])[1]) / 2


@pytest.mark.parametrize(("a", "b", "c"), list(itertools.product((0.0, 0.4, 0.7), (0.0, 0.6), (0.3,))))
def test_a_cube_of_gaussians(a, b, c):
    """Correlations a of x and y, b of x and z, c of y and z: all four numbers follow from determinants."""
    covariance = np.array([[1, a, b], [a, 1, c], [b, c, 1.0]])
    rows = np.random.default_rng(1).multivariate_normal(np.zeros(3), covariance, 3000)
    drawn = np.corrcoef(rows.T)
    d = {which: half_log_det(drawn, list(which)) for which in ((0, 1), (0, 2), (1, 2), (0, 1, 2))}
    conditional = d[0, 2] + d[1, 2] - d[0, 1, 2]
    x, y, z = rows.T
    for result, truth in (
        (conditional_mi(x, y, z), conditional),
        (total_correlation(x, y, z), -d[0, 1, 2]),
        (interaction_information(x, y, z), -d[0, 1] - conditional),
    ):
        assert result.nats == pytest.approx(truth, abs=max(0.03, 3 * result.standard_error))
        assert 0 < result.standard_error < 0.05
        assert not result.lower_bound
        assert result.warning is None
    assert (
        conditional_mi(x, y, z).interval().low - 0.02 <= conditional <= conditional_mi(x, y, z).interval().high + 0.02
    )


@pytest.mark.parametrize("p", [0.6, 0.8, 0.95])
def test_a_cube_of_labels(p):
    """z a fair coin, x a copy of it that is right with p, y = x xor z."""
    rng = np.random.default_rng(0)
    z = rng.integers(0, 2, 5000)
    x = np.where(rng.random(5000) < p, z, 1 - z)
    y = x ^ z
    assert conditional_mi(x, y, z).nats == pytest.approx(entropy(p), abs=0.02)
    assert conditional_mi(x, y, z).estimator == "counting"
    assert total_correlation(x, y, z).nats == pytest.approx(math.log(2), abs=0.02)
    interaction = interaction_information(x, y, z)
    assert interaction.nats == pytest.approx(-entropy(p), abs=0.03)
    assert interaction.interval().high < -0.1  # it may lie below 0, so its interval does
    assert conditional_mi(x, y, z, shuffles=49).p_value == 0.02


def test_given_labels_numbers_are_estimated_exactly_within_each():
    rng = np.random.default_rng(0)
    z = np.repeat([0, 1], [3000, 1000])
    x, noise = rng.standard_normal((2, 4000))
    y = np.where(z == 0, 0.7 * x + math.sqrt(0.51) * noise, noise) + 5 * z
    truth = 0.75 * -math.log(0.51) / 2
    assert conditional_mi(x, y, z).nats == pytest.approx(truth, abs=0.03)
    by_critic = conditional_mi(x, y, z, "infonce", **FAST)
    assert by_critic.lower_bound
    assert truth - 0.1 < by_critic.nats < truth + 2 * by_critic.standard_error
    label = (x > 0).astype(int)
    assert conditional_mi(label, y, z).nats == pytest.approx(conditional_mi(x > 0, y, z).nats)
    assert 0.1 < conditional_mi(label, y, z).nats < truth


@pytest.mark.parametrize("estimator", ["ksg", "infonce"])
def test_what_is_shared_beyond_z_is_told_as_a_share_of_labels(estimator):
    rng = np.random.default_rng(0)
    z, x = rng.standard_normal((2, 1000))
    label = (x > 0).astype(int)
    settings = FAST if estimator == "infonce" else {}
    result = conditional_mi(label, x, z, estimator, **settings)
    assert result.entropy == pytest.approx(math.log(2), abs=0.01)
    assert result.share_of_entropy == pytest.approx(1, abs=0.15)
    assert result.interval().high <= result.entropy + 0.01
    assert "% of the entropy of the labels" in result.sentence()
    assert conditional_mi(x, z, label, estimator, **settings).share_of_entropy is None  # z is no side


@pytest.mark.parametrize("given", ["numbers", "labels"])
def test_groups_count_as_one_row_each(given):
    """100 subjects of 10 near-identical rows: by rows much is shared that subjects do not share."""
    rng = np.random.default_rng(0)
    subject = np.repeat(np.arange(100), 10)
    x, y, z = (rng.standard_normal(100)[subject] + 0.01 * rng.standard_normal(1000) for _ in range(3))
    z = (z > 0).astype(int) if given == "labels" else z
    assert conditional_mi(x, y, z).nats > 0.6
    by_subject = conditional_mi(x, y, z, groups=subject, shuffles=19)
    assert by_subject.groups == 100
    assert abs(by_subject.nats) < 0.25
    assert by_subject.p_value > 0.05
    assert by_subject.warning is None or "resembles" not in by_subject.warning
    shared = conditional_mi(x, x + y, z, groups=subject, shuffles=19)
    assert shared.nats > 0.3
    assert shared.p_value == 0.05
    assert conditional_mi(x, y, z, block=10).nats == pytest.approx(by_subject.nats, abs=1e-9)


def test_critics_of_a_difference_keep_groups_together():
    rng = np.random.default_rng(0)
    subject = np.repeat(np.arange(100), 10)
    x, y, z = (rng.standard_normal(100)[subject] + 0.01 * rng.standard_normal(1000) for _ in range(3))
    assert conditional_mi(x, y, z, "infonce", groups=subject, **FAST).nats < 0.3


@pytest.mark.parametrize("by", ["subjects", "visits"])
def test_critics_given_labels_keep_groups_together(by):
    """What z tells is the subject's, or each row's: a group then has rows of both labels."""
    rng = np.random.default_rng(0)
    subject = np.repeat(np.arange(200), 10)
    x, y = (rng.standard_normal(200)[subject] + 0.01 * rng.standard_normal(2000) for _ in range(2))
    z = rng.integers(0, 2, 200)[subject] if by == "subjects" else rng.integers(0, 2, 2000)
    assert not conditional_mi(x, y, z, "infonce", **FAST).lower_bound  # of rows: they resemble the rows before them
    by_subject = conditional_mi(x, y, z, "infonce", groups=subject, **FAST)
    assert by_subject.groups == 200
    assert by_subject.lower_bound
    assert by_subject.nats < 2 * by_subject.standard_error
    by_block = conditional_mi(x, y, z, "infonce", block=10, **FAST)
    assert by_block.nats == pytest.approx(by_subject.nats, abs=1e-6)
    if by == "subjects":
        shared = conditional_mi(x, x + 0.3 * y, z, "infonce", groups=subject, **FAST)
        assert shared.nats > 0.5


@pytest.mark.parametrize("grouped", [False, True])
def test_errors_of_labels_add_up_where_they_share_groups(grouped, monkeypatch: pytest.MonkeyPatch):
    parts = []

    def noted(*arguments, **settings):
        parts.append(estimate_mi(*arguments, **settings))
        return parts[-1]

    monkeypatch.setattr(several, "estimate_mi", noted)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 1000))
    z = np.arange(1000) % 4 == 0
    given = {"groups": np.arange(1000) // 10} if grouped else {}
    estimate = conditional_mi(x, x + y, z, "infonce", **given, **FAST)
    few, many = (part.standard_error for part in sorted(parts, key=lambda part: part.n_train))
    expected = 0.25 * few + 0.75 * many if grouped else math.hypot(0.25 * few, 0.75 * many)
    assert estimate.standard_error == pytest.approx(expected)


def test_critics_given_labels_give_each_group_the_same_weight(monkeypatch: pytest.MonkeyPatch):
    """50 subjects with 20 rows each and 50 with one row: half of the subjects, not 95 %, have the first label."""
    part = dataclasses.replace(estimate_mi(*np.random.default_rng(0).standard_normal((2, 100)), "ksg"), nats=1.0)
    told = iter([part, dataclasses.replace(part, nats=0.0)])
    monkeypatch.setattr(several, "estimate_mi", lambda *_, **__: next(told))
    rows = np.repeat([20, 1], 50)
    subject, z = np.repeat(np.arange(100), rows), np.repeat(np.repeat([0, 1], 50), rows)
    x, y = np.random.default_rng(0).standard_normal((2, len(z)))
    assert conditional_mi(x, y, z, "infonce", groups=subject).nats == pytest.approx(0.5)


@pytest.mark.parametrize("kind", ["labels", "numbers"])
def test_critics_given_labels_count_nothing_where_x_is_always_the_same(kind, monkeypatch: pytest.MonkeyPatch):
    """As neighbours do. x of the other label keeps its columns that vary."""
    rng = np.random.default_rng(0)
    part, seen = dataclasses.replace(estimate_mi(*rng.standard_normal((2, 100)), "ksg"), nats=1.0), []
    monkeypatch.setattr(several, "estimate_mi", lambda x, *_, **__: seen.append(x) or part)
    z = np.repeat([0, 1], [60, 180])
    x = np.where(z == 0, 0, rng.integers(0, 3, 240)) if kind == "labels" else rng.standard_normal((240, 2))
    if kind == "numbers":
        x[:60], x[60:, 1] = 0.5, 2.0
    y = rng.standard_normal(240)
    assert conditional_mi(x, y, z, "infonce").nats == pytest.approx(0.75)
    assert [one.shape for one in seen] == [(180,) if kind == "labels" else (180, 1)]
    with pytest.raises(UserError, match=r"I\(X; Y \| Z\) is 0: among the rows of each label of z"):
        conditional_mi(z, y, z, "infonce")


def test_a_label_of_too_few_groups_is_told():
    rng = np.random.default_rng(0)
    subject = np.repeat(np.arange(100), 10)
    z = (subject < 20).astype(int)
    with pytest.raises(UserError, match="rows of 20 groups: give at least 30"):
        conditional_mi(*rng.standard_normal((2, 1000)), z, "infonce", groups=subject, **FAST)


def test_intervals_of_interaction_hold_a_synergy_in_few_rows():
    truth = -math.log(1.25**2 / (2.25 * 0.25)) / 2  # -I(X; Y | Z) of Gaussians; x and y are independent
    missed = 0
    for seed in range(15):
        a = np.random.default_rng([7, seed]).standard_normal((60, 3))
        z = a[:, 0] + a[:, 1] + a[:, 2] / 2
        interval = interaction_information(a[:, 0], a[:, 1], z, seed=seed).interval()
        missed += not interval.low <= truth <= interval.high
    assert missed <= 1


@pytest.mark.parametrize(("labels", "each"), [(False, 4), (True, 10)])
def test_total_correlation_and_interaction_count_a_group_once(labels, each):
    """300 subjects of a few near-identical rows, three independent variables."""
    rng = np.random.default_rng(0)
    subject = np.repeat(np.arange(300), each)
    a, b, c = (rng.standard_normal(300)[subject] + 0.01 * rng.standard_normal(300 * each) for _ in range(3))
    together = a + b
    if labels:
        a, b, c, together = (np.digitize(side, [-0.5, 0.5]) for side in (a, b, c, together))
    by_rows, by_subject = (total_correlation(a, b, c, groups=which, shuffles=19) for which in (None, subject))
    assert by_rows.nats > (0.01 if labels else 1)
    assert by_rows.p_value == 0.05
    assert abs(by_subject.nats) < (0.02 if labels else 0.2)
    assert by_subject.p_value > 0.05
    assert by_subject.groups == 300
    assert total_correlation(a, b, together, groups=subject, shuffles=19).p_value == 0.05
    assert total_correlation(a, b, c, block=each).nats == pytest.approx(by_subject.nats, abs=1e-9)
    shared = interaction_information(a, b, together, groups=subject)
    assert shared.groups == 300
    assert shared.nats < -3 * shared.standard_error  # together makes a and b dependent
    assert abs(interaction_information(a, b, c, groups=subject).nats) < 0.15
    with pytest.raises(UserError, match="groups or block"):
        total_correlation(a, b, groups=subject, block=10)


def test_intervals_of_few_rows_reach_as_far_as_the_estimates_move() -> None:
    """A tenth of 60 rows has 6, in which the third neighbour is nearly the farthest, and hardly varies."""
    values, errors, lows = [], [], []
    for seed in range(15):
        x, y, z = np.random.default_rng(seed).standard_normal((3, 60))
        results = [conditional_mi(x, y, z, seed=seed), interaction_information(x, y, x + y + z / 2, seed=seed)]
        results += [estimate_mi(x, y, "ksg", seed=seed), mi_with({"x": x}, y, shuffles=0, seed=seed).rows[0].estimate]
        values.append([result.nats for result in results])
        errors.append([result.standard_error for result in results])
        lows.append(results[1].interval().low)
    ratio = np.mean(errors, axis=0) / np.std(values, axis=0, ddof=1)
    assert ((ratio > 0.5) & (ratio < 2)).all()
    assert np.mean(lows) < -0.4  # the truth is -0.51, which 60 rows read as -0.2


def test_what_labels_tell_is_not_capped_by_the_entropy_of_one_sample() -> None:
    """Of a column that another determines both are one number, whose sample lies below the truth half of the time."""
    truth, held = -sum(p * math.log(p) for p in (0.5, 0.3, 0.2)), []
    for seed in range(20):
        label = np.random.default_rng(seed).choice(3, 200, p=[0.5, 0.3, 0.2])
        given = np.random.default_rng(99).integers(0, 2, 200)
        for result in (estimate_mi(label, 2 - label, "ksg"), mi_with({"x": label}, label, shuffles=0).rows[0].estimate):
            held.append(result.interval().low <= truth <= result.interval().high)
        held.append(conditional_mi(label, label, given).interval().high >= truth)
    assert np.mean(held) > 0.85


def test_neighbours_close_to_their_cap_set_no_upper_end() -> None:
    """Of a column and itself the truth is infinite, and the warning says so: the interval must not deny it."""
    x = np.random.default_rng(0).standard_normal(400)
    for result in (estimate_mi(x, x, "ksg"), mi_with({"x": x}, x, shuffles=0).rows[0].estimate):
        assert 0.7 * result.cap < result.nats <= result.cap
        assert result.interval().high == math.inf
    assert mi_with({"x": x}, x > 0, shuffles=0).rows[0].estimate.interval().high < 0.75


def test_a_difference_of_bounds_is_called_none():
    rng = np.random.default_rng(0)
    z = rng.standard_normal((2000, 2))
    x, y = z + rng.standard_normal((2, 2000, 2))
    result = conditional_mi(x, y, z, "infonce", **FAST)
    assert not result.lower_bound
    assert "no bound itself" in result.notes[0]
    assert abs(result.nats) < 0.15
    assert "difference" in result.estimator


@pytest.mark.parametrize("kind", ["labels", "numbers"])
def test_conditional_independence_is_told_from_dependence(kind):
    rng = np.random.default_rng(0)
    z = rng.integers(0, 3, 300) if kind == "labels" else rng.standard_normal(300)
    x, y = z + rng.standard_normal((2, 300))
    assert conditional_mi(x, y, z, shuffles=49).p_value > 0.05
    assert conditional_mi(x, y + x, z, shuffles=49).p_value == 0.02


def test_orders_within_labels_and_neighbours():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 4, 100)
    order = _within(label, rng)
    assert (label[order] == label).all()
    assert sorted(order) == list(range(100))
    z = np.sort(rng.standard_normal((200, 1)), axis=0)
    order = _within(z, rng)
    assert np.abs(order - np.arange(200)).max() <= 4  # one of five neighbours, itself among them
    assert np.mean(order != np.arange(200)) > 0.5
    assert len(np.unique(order)) > 180  # a row is taken twice only where no neighbour is free; drawn at will, about 130


def test_total_correlation_tests_independence():
    rng = np.random.default_rng(0)
    a, b, c = rng.standard_normal((3, 300))
    assert total_correlation(a, b, c, shuffles=49).p_value > 0.05
    assert total_correlation(a, b, a + b + c, shuffles=49).p_value == 0.02


def test_transfer_entropy_has_a_direction_and_a_p_value():
    rng = np.random.default_rng(0)
    n = 2000
    source, noise, target = rng.standard_normal(n), rng.standard_normal(n), np.zeros(n)
    for t in range(1, n):
        target[t] = 0.5 * source[t - 1] + noise[t]
    there, back = transfer_entropy(source, target, shuffles=49), transfer_entropy(target, source, shuffles=49)
    assert there.nats == pytest.approx(math.log(1.25) / 2, abs=0.04)
    assert there.p_value == 0.02
    assert back.nats == pytest.approx(0, abs=0.04)
    assert back.p_value > 0.05
    assert there.quantity == "transfer entropy at 1 lag"


def test_shuffles_of_transfer_entropy_shift_the_source_by_a_tenth_or_more(monkeypatch: pytest.MonkeyPatch):
    """By less, the shifted source would still tell of the target, and the p-value would be too large."""
    shifts, of_rows = [], several.conditional.transfer_entropy

    def noted(source, *arguments):
        if len(source) == 500:
            shifts.append(int(np.argmin(source)))
        return of_rows(source, *arguments)

    monkeypatch.setattr(several.conditional, "transfer_entropy", noted)
    rng = np.random.default_rng(0)
    transfer_entropy(np.arange(500.0), rng.standard_normal(500), shuffles=60)
    assert shifts[0] == 0
    assert len(shifts) == 61
    assert min(shifts[1:]) >= 50
    assert max(shifts) <= 450
    assert min(shifts[1:]) < 110  # all that are allowed are drawn
    assert max(shifts) > 390


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda x, c: conditional_mi(x, x, c, "dv", shuffles=9), "by nearest neighbours"),
        (lambda x, c: conditional_mi(x, x, x[:-1]), "99 rows"),
        (lambda x, c: conditional_mi(x[:40], x[:40], x[:40]), "too few"),
        (lambda x, c: conditional_mi(x, x, x, neighbours=9), "9 neighbours"),
        (lambda x, c: total_correlation(x), "two variables"),
        (lambda x, c: total_correlation(x, c), "one-hot"),
        (lambda x, c: transfer_entropy(x, x), "too short"),
        (lambda x, c: transfer_entropy(x, c), "of numbers"),
        (lambda x, c: transfer_entropy(x, x, lags=0), "lags"),
        (lambda x, c: conditional_mi(x, x, np.repeat([0, 1], [60, 40]), "dv", **FAST), "a label of z has 40 rows"),
    ],
)
def test_mistakes(call, says):
    rng = np.random.default_rng(0)
    with pytest.raises(UserError, match=says):
        call(rng.standard_normal(100), rng.integers(0, 2, 100))


def test_interaction_of_two_labels_and_numbers():
    """Between labels alone there are no distances: independent ones read -5.3 nats by neighbours."""
    rng = np.random.default_rng(0)
    x, y, noise = rng.integers(0, 2, 2000), rng.integers(0, 2, 2000), rng.standard_normal(2000)
    assert interaction_information(x, y, noise).nats == pytest.approx(0, abs=0.05)
    copy = interaction_information(x, x, noise)
    assert copy.nats == pytest.approx(0, abs=0.05)  # log 2 with and without z
    explained = interaction_information(noise > 0, noise > 0.5, noise)
    assert explained.nats == pytest.approx(estimate_mi(noise > 0, noise > 0.5, "ksg").nats, abs=0.05)
    assert "whole numbers of x are taken as labels" in copy.notes[0]


def test_whole_numbers_taken_as_labels_are_told():
    rng = np.random.default_rng(0)
    age, x, y = rng.integers(0, 5, 300), *rng.standard_normal((2, 300))
    for estimate in (
        conditional_mi(x, y, age),
        conditional_mi(age, y, x),
        conditional_mi(age, y, x, "infonce", **FAST),
        interaction_information(x, age, y),
        total_correlation(age, age, age % 2),
    ):
        assert "the 5 different whole numbers of " in estimate.notes[0]
    assert not conditional_mi(x, y, x + y).notes


def test_rows_of_rare_labels_are_told():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 400))
    z = np.concatenate([np.zeros(380, int), 1 + np.arange(20) // 2])
    assert conditional_mi(x, y, z).notes[-1] == (
        "10 labels of z have fewer than 5 rows, too few for 3 neighbours: their 20 of 400 rows were left out"
    )
    subject = np.arange(400) // 2  # each rare label is of one subject
    assert "fewer than 5 groups" in conditional_mi(x, y, z, groups=subject).notes[-1]
    assert "20 of 400 rows" in conditional_mi(x, y, z, groups=subject).notes[-1]


def test_a_label_of_z_whose_rows_all_differ_in_x_is_left_out_and_told():
    """It has no neighbours of one label; the whole value was NaN."""
    rng = np.random.default_rng(0)
    x, z = rng.integers(0, 20, 300), rng.integers(0, 2, 300)
    y = rng.standard_normal(300)
    without = conditional_mi(x, y, z)
    x, y = np.append(x, np.arange(6)), np.append(y, rng.standard_normal(6))
    for estimate in (conditional_mi(x, y, np.append(z, [2] * 6)), conditional_mi(y, x, np.append(z, [2] * 6))):
        assert estimate.nats == pytest.approx(without.nats, abs=0.02)
        assert any("1 label of z has no label of" in note and "6 of 306 rows" in note for note in estimate.notes)
    assert not any("twice" in note for note in without.notes)
    with pytest.raises(UserError, match=r"among the rows of each label of z, no label of x \(or y\) occurs twice"):
        conditional_mi(np.arange(300) // 5, y[:300], np.arange(300) % 5)


def test_the_difference_says_of_what():
    x, y, z = np.random.default_rng(0).standard_normal((3, 200))
    assert "difference of two estimates" in conditional_mi(x, y, z, "SMILE", **FAST).notes[0]
    assert conditional_mi(x, y, z, "KSG").nats == conditional_mi(x, y, z).nats == conditional_mi(x, y, z, "auto").nats
    many = np.random.default_rng(1).standard_normal((200, 8))
    assert conditional_mi(x, y, many, "auto", **FAST).estimator == "infonce, difference"


@pytest.mark.parametrize("function", [conditional_mi, total_correlation, interaction_information])
def test_settings_of_neighbours_are_checked(function):
    variables = np.random.default_rng(0).standard_normal((3, 100))
    with pytest.raises(UserError, match="unknown transform 'ranks'; choose standard, rank, asinh or none"):
        function(*variables, transform="ranks")
    for wrong in (3.0, "3", None):
        with pytest.raises(UserError, match="neighbours must be a whole number"):
            function(*variables, neighbours=wrong)
    if function is not interaction_information:
        for wrong in (-3, 9.5):
            with pytest.raises(UserError, match="shuffles must be"):
                function(*variables, shuffles=wrong)


def test_settings_that_would_do_nothing_are_refused():
    x, y, z = np.random.default_rng(0).standard_normal((3, 100))
    with pytest.raises(UserError, match="neighbors is of critics: leave it out, or name one"):
        conditional_mi(x, y, z, neighbors=5)
    for estimator in ("ksg", "infonce", "auto"):
        with pytest.raises(UserError, match="for a p-value give shuffles=199"):
            conditional_mi(x, y, z, estimator, test=True)
