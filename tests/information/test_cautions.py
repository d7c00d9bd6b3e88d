import dataclasses
import json
import math

import numpy as np
import pytest
from gaussians import FAST, gaussians

from deepinfomax.information import cautions
from deepinfomax.information.cautions import Advice
from deepinfomax.information.critic_reading import Reading
from deepinfomax.information.critic_training import Fit
from deepinfomax.information.estimation import estimate_mi, summarise
from deepinfomax.information.estimators import ESTIMATORS


def test_near_its_cap_an_estimate_says_so():
    x, _ = gaussians(0.0, 5, 500)
    result = estimate_mi(x, x + 1e-3, **FAST)
    assert result.nats <= result.cap == pytest.approx(math.log(100))
    assert "cap" in result.warning
    assert "cap" in estimate_mi(x[:, :1], x[:, :1], "ksg").warning


def test_overflow_ends_in_a_warning():
    x, y = gaussians(1.0, 2, 200)
    result = estimate_mi(1e18 * x, 1e18 * y, "nwj", transform="none", steps=20)
    assert "overflowed" in result.warning
    json.dumps(result.to_dict(), allow_nan=False)


@pytest.mark.parametrize("name", ["infonce", "nwj", "mine", "jsd-lb"])
def test_a_critic_that_had_not_learned_yet_is_told(name):
    """12.47 nats, of which 20, 50 or 100 steps show 1.4 at most."""
    x, y = gaussians(12.47, 10, 5000)
    settings = {"hidden": (64, 64), "batch_size": 128, "lr": 5e-4}
    for steps, told in ((20, "20 steps are too few"), (70, "still rose by 0"), (100, "still rose by 0")):
        result = estimate_mi(x, y, name, steps=steps, **settings)
        assert result.nats < 1.5
        assert told in result.warning
        assert "give more steps" in result.warning


def test_advice_does_not_name_what_was_done():
    reading = Reading(
        nats=1.0, standard_error=2.0, plain=1.0, plain_error=2.0, train_nats=1.0, cap=5.0, n_test=100,
        effective_negatives=1000.0,
    )  # fmt: skip
    lost = dataclasses.replace(reading, nats=math.nan, standard_error=0.01)
    fit = Fit(steps=100, skipped=0, stopping=(0.0, 0.0), gave_up=False)

    def warning(reading, name, advice):
        return summarise(name, "joint", ESTIMATORS[name], [(fit, reading)], (0,), 100, 0.0, advice).warning

    large = "the standard error of 2 nats is large"
    assert warning(reading, "nwj", Advice.of("nwj", "rank")) == f"{large}: give more pairs or use infonce or jsd-lb"
    for name in ("infonce", "jsd-lb"):
        assert warning(reading, name, Advice.of(name, "none")) == f"{large}: give more pairs"
    assert warning(reading, "mine", Advice()) == large
    lost_words = "the value is not finite"
    told = {
        ("nwj", "none"): ": use infonce, smile, jsd-lb or transform='rank'",
        ("nwj", "rank"): ": use infonce, smile or jsd-lb",
        ("infonce", "asinh"): ": use smile, jsd-lb or transform='rank'",
        ("jsd-lb", "rank"): ": use infonce or smile",
    }
    for (name, transform), words in told.items():
        assert warning(lost, name, Advice.of(name, transform)) == lost_words + words
    assert warning(lost, "mine", Advice()) == lost_words


def spiral(rows: np.ndarray, i: int, j: int) -> np.ndarray:
    """Turned in the plane of two columns, by an angle that grows with the distance from 0."""
    angle, turned = (rows**2).mean(1), rows.copy()
    turned[:, i] = np.cos(angle) * rows[:, i] - np.sin(angle) * rows[:, j]
    turned[:, j] = np.sin(angle) * rows[:, i] + np.cos(angle) * rows[:, j]
    return turned


def test_a_critic_that_learns_by_heart_is_told_and_independent_sides_are_not():
    """1.62 nats of 50 + 50 columns with one factor, of which 1.2 are read before single pairs are learned."""
    rng = np.random.default_rng(0)
    columns = rng.standard_normal((5000, 1)) + rng.standard_normal((5000, 100))
    settings = {"critic": "featurewise", "transform": "rank", "steps": 1000, "hidden": (64, 64), "lr": 1e-3}
    result = estimate_mi(columns[:, :50], columns[:, 50:], **settings)
    assert result.nats < 1.3
    assert "the stopping value fell back by" in result.warning
    x, y = rng.standard_normal((2, 2000, 10))
    assert "fell back" not in (estimate_mi(x, y, **settings).warning or "")


@pytest.mark.parametrize("estimator", ["infonce", "auto"])
def test_a_dependence_too_involved_for_critics_and_neighbours_is_told(estimator):
    """1.02 nats, of which both show 0.7: a spiral of the public benchmark. Without turns both show 0.95 or more."""
    rng = np.random.default_rng([10, 5000])
    x, y = rng.standard_normal((2, 5000, 3))
    y[:, :2] = 0.8 * x[:, :2] + 0.6 * y[:, :2]
    settings = {"estimator": estimator, "transform": "rank", "steps": 600, "hidden": (64, 64), "lr": 1e-3}
    result = estimate_mi(spiral(x, 0, 1), spiral(y, 1, 2), **settings)
    assert result.nats < 0.8
    assert "too involved for so few pairs" in result.warning
    easy = estimate_mi(x, y, **settings)
    assert easy.nats > 0.9
    assert "too involved" not in (easy.warning or "")


def test_nwj_warns_where_its_variance_is_large():
    result = estimate_mi(*gaussians(12.0, 10, 1000), "jsd-nwj", **FAST)
    assert result.warning is not None
    assert result.nats <= 12 + 2 * result.standard_error


@pytest.mark.parametrize("name", ["infonce", "ksg"])
def test_copies_of_pairs_are_told(name):
    """Independent numbers, every pair five times: what is held out has been trained on, or is its own neighbour."""
    rng = np.random.default_rng(0)
    x, y = (np.repeat(rng.standard_normal((200, 4)), 5, 0) for _ in range(2))
    result = estimate_mi(x, y, name, **FAST)
    assert result.warning.startswith("800 of 1,000 pairs repeat another exactly")
    assert not result.lower_bound


def test_copies_of_labelled_rows_are_told():
    rng = np.random.default_rng(0)
    x, label = rng.standard_normal((300, 3)), rng.integers(0, 3, 300)
    assert "repeat another" in estimate_mi(np.repeat(x, 3, 0), np.repeat(label, 3), "ksg").warning


@pytest.mark.parametrize("digits", [1, 2])
def test_rounded_measurements_are_no_copies(digits):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(2000)
    y = x + 0.3 * rng.standard_normal(2000)
    result = estimate_mi(x.round(digits), y.round(digits), "ksg")
    assert result.warning is None
    assert result.nats == pytest.approx(0.5 * math.log(1 + 1 / 0.09), abs=0.08)
    assert estimate_mi(x.round(digits), (y > 0).astype(int), "ksg").warning is None


@pytest.mark.parametrize("transform", ["standard", "rank"])
def test_rare_indicators_are_no_long_tails(transform):
    """A column that is 1 in a 200th of the rows lies 14 standard deviations out, one in a 1000th 31."""
    rng = np.random.default_rng(0)
    label = np.concatenate([rng.integers(0, 100, 1990), np.full(10, 100)])
    rows = np.eye(101)[label][:, 1:]
    y = (label % 4)[:, None] + 0.1 * rng.standard_normal((2000, 1))
    result = estimate_mi(rows[:, rows.sum(0) > 2], y, transform=transform, **FAST)
    assert "long tails" not in (result.warning or "")
    assert result.nats > 0.9


#: A rule, evidence at which it just keeps silent, what changes to make it speak, and words of what it says.
EDGES = [
    (cautions.not_finite, {}, {"nats": math.inf}, "not finite"),
    (cautions.close_to_cap, {"nats": 7.0, "cap": 10.0, "hard_cap": True}, {"nats": 7.01}, "cap of 10.00"),
    (cautions.close_to_cap, {"nats": 2.9, "cap": 3.0, "hard_cap": True, "entropy": 3.0}, {"entropy": 3.1}, "cap of"),
    (cautions.above_cap, {"nats": 3.0, "cap": 3.0}, {"nats": 3.01}, "above 3.00"),
    (cautions.above_entropy, {"nats": 1.2, "entropy": 1.0, "standard_error": 0.1}, {"nats": 1.21}, "entropy of 1.00"),
    (cautions.no_error, {"standard_error": 9.0}, {"standard_error": math.inf}, "no standard error"),
    (cautions.large_error, {"nats": 0.5, "standard_error": 0.1}, {"standard_error": 0.101}, "error of 0.1"),
    (cautions.large_error, {"nats": -4.0, "standard_error": 0.4}, {"standard_error": 0.401}, "error of 0.4"),
    (cautions.few_negatives, {"effective": 30.0}, {"effective": 29.0}, "rests on 29"),
    (cautions.drifting, {"drift": 0.1}, {"drift": 0.11}, "by 0.11"),
    (cautions.drifting, {"drift": 0.6, "standard_error": 0.2}, {"drift": 0.61}, "by 0.61"),
    (cautions.overfits, {"nats": 1.0, "train_nats": 1.099}, {"train_nats": 1.101}, "1.10 nats on training"),
    (cautions.overfits, {"train_nats": 1.149, "standard_error": 0.05}, {"train_nats": 1.151}, "1.15 nats on training"),
    (cautions.overfits, {"train_nats": 1.29, "standard_error": 0.2}, {"train_nats": 1.31}, "1.31 nats on training"),
    (
        cautions.overfits,
        {"nats": 4.0, "train_nats": 4.79, "standard_error": 1.0},
        {"train_nats": 4.81},
        "4.81 nats on training",
    ),
    (cautions.learned_by_heart, {"fall": 0.25}, {"fall": 0.26}, "fell back by 0.26 nats"),
    (cautions.learned_by_heart, {"nats": 4.0, "fall": 0.8}, {"fall": 0.81}, "fell back by 0.81 nats"),
    (cautions.learned_by_heart, {"nats": 0.1, "fall": 9.0}, {"nats": 0.11}, "fell back by 9.00 nats"),
    (cautions.learned_by_heart, {"fall": 9.0, "standard_error": 0.34}, {"standard_error": 0.33}, "single pairs"),
    (cautions.below_neighbours, {"neighbours": 1.049}, {"neighbours": 1.051}, "neighbours read 1.05"),
    (
        cautions.below_neighbours,
        {"neighbours": 1.149, "standard_error": 0.03, "neighbours_error": 0.04},
        {"neighbours": 1.151},
        "neighbours read 1.15",
    ),
    (
        cautions.few_pairs_for_both,
        {"train_nats": 1.066, "neighbours": 1.0, "neighbours_rise": 0.15},
        {"train_nats": 1.067},
        "0.85 nats of a tenth of the pairs and 1.00 of all",
    ),
    (
        cautions.few_pairs_for_both,
        {"train_nats": 1.09, "neighbours": 1.0, "neighbours_rise": 0.133},
        {"neighbours_rise": 0.134},
        "the critic 1.09 of those that it has seen",
    ),
    (
        cautions.few_pairs_for_both,
        {"train_nats": 1.0, "neighbours": 1.0, "neighbours_rise": 0.2},
        {"neighbours_rise": 0.21},
        "too involved",
    ),
    (
        cautions.few_pairs_for_both,  # the critic finds a little more than neighbours do
        {"train_nats": 1.0, "neighbours": 0.999, "neighbours_rise": 0.3, "standard_error": 0.1},
        {"neighbours": 1.0},
        "too involved",
    ),
    (
        cautions.few_pairs_for_both,  # ... and clearly more
        {"train_nats": 1.2, "neighbours": 0.849, "neighbours_rise": 0.2, "standard_error": 0.05},
        {"neighbours": 0.851},
        "too involved",
    ),
    (cautions.below_own_dv, {"by_dv": 1.099}, {"by_dv": 1.101}, "shows 1.10 nats"),
    (cautions.below_own_dv, {"by_dv": 1.29, "standard_error": 0.1}, {"by_dv": 1.31}, "shows 1.31 nats"),
    (cautions.ranks_differ, {"ranked": 1.049}, {"ranked": 1.051}, "read 1.05 nats"),
    (cautions.ranks_differ, {"ranked": 0.951}, {"ranked": 0.949}, "read 0.95 nats"),
    (cautions.ranks_differ, {"ranked": 0.71, "standard_error": 0.1}, {"ranked": 0.69}, "read 0.69 nats"),
    (cautions.repeated_value, {"ranked": 1.0, "atom": 0.1}, {"atom": 0.11}, "fills 11%"),
    (cautions.repeated_value, {"atom": 0.5}, {"ranked": 1.0}, "fills 50%"),
    (cautions.not_learned, {"steps": 40}, {"steps": 39}, "39 steps are too few"),
    (cautions.not_learned, {"nats": 0.1, "rise": 0.05}, {"rise": 0.051}, "rose by 0.05"),
    (cautions.not_learned, {"nats": 4.0, "rise": 0.4}, {"rise": 0.41}, "rose by 0.41"),
    (cautions.overflowed, {"skipped": 0.01}, {"skipped": 0.02}, "2% of the training steps"),
    (cautions.rare_labels, {"by_chance": -0.05}, {"by_chance": -0.06}, "read -0.06 nats"),
    (cautions.rare_labels, {"nats": 4.0, "by_chance": 0.2}, {"by_chance": 0.21}, "read 0.21 nats"),
    (cautions.still_rising_with_pairs, {"nats": 0.5, "tenth": 0.31}, {"tenth": 0.29}, "reads 0.29"),
    (cautions.still_rising_with_pairs, {"nats": 4.0, "tenth": 3.21}, {"tenth": 3.19}, "reads 3.19"),
    (cautions.many_dimensions, {"units": 6}, {"units": 7}, "7 dimensions"),
    (cautions.ranks_differ, {"nats": 0.0, "ranked": 0.05}, {"ranked": 0.06}, "read 0.06 nats"),
    (cautions.ranks_differ, {"nats": 0.0, "ranked": 3.0, "standard_error": 1.0}, {"ranked": 3.1}, "read 3.10 nats"),
    (cautions.still_rising_with_pairs, {"nats": 0.2, "tenth": 0.0}, {"nats": 0.21}, "reads 0.00"),
    (cautions.short_of_the_truth, {"nats": 0.0, "train_nats": 0.5}, {"train_nats": 0.51}, "0.51 nats on training"),
    (cautions.short_of_the_truth, {"nats": -8.0, "train_nats": -7.21}, {"train_nats": -7.19}, "-7.19 nats on training"),
    (cautions.below_a_mixture, {"mixture": 1.5}, {"mixture": 1.51}, "a mixture of Gaussians shows 1.51 nats"),
    (cautions.below_a_mixture, {"mixture": 1.89, "mixture_error": 0.3}, {"mixture": 1.91}, "the truth lies above both"),
    (cautions.without_end, {}, {"gaussian": math.inf}, "no end"),
]


@pytest.mark.parametrize(("rule", "silent", "change", "words"), EDGES)
def test_each_rule_speaks_from_its_threshold_on(rule, silent, change, words):
    evidence = cautions.Evidence(**{"nats": 1.0, "standard_error": 0.0, **silent})
    assert rule(evidence) is None
    assert words in rule(dataclasses.replace(evidence, **change))


def test_long_tails_begin_beyond_twenty_standard_deviations():
    assert cautions.long_tails(20.0) == ""
    assert "up to 21 standard deviations" in cautions.long_tails(20.6)


def test_copies_are_told_where_some_coincide_by_chance():
    x, y = (np.random.default_rng(i).integers(0, 400, (1000, 1)).astype(float) for i in range(2))
    x[:300], y[:300] = x[-300:], y[-300:]
    shuffled = tuple(np.random.default_rng(0).permuted(side, axis=0) for side in (x, y))
    assert cautions._copies(shuffled) > 0
    assert "repeat another exactly" in cautions.repeated_pairs((x, y))


def test_copies_are_told_from_a_hundredth_of_the_pairs_on():
    x = np.random.default_rng(0).normal(size=(1000, 2))
    for copies, told in ((10, False), (11, True)):
        again = x.copy()
        again[:copies] = x[-copies:]
        assert bool(cautions.repeated_pairs((again, again[:, ::-1]))) == told
