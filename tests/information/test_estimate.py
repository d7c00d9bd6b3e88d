"""The interval, the units, the p-value and the sentence of an estimate."""

import dataclasses
import json
import math
from itertools import permutations

import numpy as np
import pytest
import torch
from gaussians import FAST, gaussians
from scipy import stats

from deepinfomax import UserError
from deepinfomax.information.estimate import MIEstimate
from deepinfomax.information.estimation import estimate_mi
from deepinfomax.information.shuffling import joined, p_value, p_value_of_scores

ESTIMATE = MIEstimate(
    nats=1.0, standard_error=0.1, lower_bound=True, cap=5.0, n_train=100, n_test=50, estimator="infonce",
    critic="separable", seconds=1.0, warning=None, seeds=(0,),
)  # fmt: skip


def changed(**fields) -> MIEstimate:
    return dataclasses.replace(ESTIMATE, **fields)


def test_interval_by_hand():
    assert ESTIMATE.interval(0.95) == pytest.approx((1 - 0.196, 1 + 0.196), abs=1e-4)
    assert ESTIMATE.interval(0.5) == pytest.approx((1 - 0.06745, 1 + 0.06745), abs=1e-4)
    assert changed(shortfall=0.3).interval() == pytest.approx((0.804, 1.496), abs=1e-3)
    assert changed(excess=0.2).interval() == pytest.approx((0.604, 1.196), abs=1e-3)
    ends = 0.1 * stats.t.ppf(0.975, 9)
    assert changed(degrees=9).interval() == pytest.approx((1 - ends, 1 + ends))
    assert changed(entropy=1.1).interval() == pytest.approx((0.804, 1.1), abs=1e-3)
    assert changed(entropy=1.0, entropy_error=0.05).interval().high == pytest.approx(1.098, abs=1e-3)
    assert changed(entropy=0.5).interval() == pytest.approx((0.804, 0.804), abs=1e-3)  # never upside down
    assert changed(nats=-0.5).interval() == pytest.approx((-0.696, 0.0), abs=1e-3)  # holds 0, the least there is
    assert changed(nats=-0.5, signed=True).interval() == pytest.approx((-0.696, -0.304), abs=1e-3)
    neighbours = changed(nats=1.5, lower_bound=False)
    assert changed(beside=neighbours).interval() == pytest.approx((0.804, 1.696), abs=1e-3)
    assert changed(beside=neighbours, lower_bound=False).interval().high == pytest.approx(1.196, abs=1e-3)
    assert changed(standard_error=math.inf).interval() == (-math.inf, math.inf)
    for level in (0, 1, -1, 95):
        with pytest.raises(UserError, match="level"):
            ESTIMATE.interval(level)


def test_close_to_its_cap_an_estimate_has_no_upper_end():
    x, _ = gaussians(0.0, 8, 500)
    result = estimate_mi(x, x + 1e-3, **FAST)
    assert result.interval().high == math.inf
    assert result.to_dict()["interval"][1] is None
    assert "with no upper end" in result.sentence()


def test_units():
    assert ESTIMATE.bits == pytest.approx(1 / math.log(2))
    assert ESTIMATE.share_of_entropy is None
    assert changed(entropy=2.0).share_of_entropy == 0.5
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 1000)
    result = estimate_mi(label + 0.01 * rng.standard_normal(1000), label, "ksg")
    assert result.share_of_entropy == pytest.approx(1, abs=0.02)
    assert result.bits == pytest.approx(1, abs=0.02)


def test_sentences():
    assert ESTIMATE.sentence() == "I(X; Y) is at least 1 nats (1.44 bits; 95% interval 0.804 to 1.2)."
    assert "is about" in changed(lower_bound=False).sentence()
    none = changed(nats=0.01)
    assert none.sentence().startswith("I(X; Y): no dependence found. The estimate is 0.01 nats")
    assert changed(p_value=0.2, shuffles=999).sentence().startswith("I(X; Y): no dependence found")
    neighbours = dataclasses.replace(none, nats=3.6, standard_error=0.1, estimator="ksg", beside=None)
    assert neighbours.dependent
    both = dataclasses.replace(none, beside=neighbours)
    assert both.sentence().startswith("I(X; Y): dependence found by ksg, not by infonce. The estimate by infonce is")
    assert not both.dependent  # a figure says what its own estimator says
    assert "p = 0.001, by 999 shuffles" in changed(p_value=0.001, shuffles=999).sentence()
    assert "50% of the entropy of the labels" in changed(entropy=2.0).sentence()
    assert "no number could be had" in changed(nats=math.nan, warning="the value is not finite").sentence()
    text = changed(beside=changed(estimator="ksg"), notes=("a note",), warning="a warning").text()
    assert [line.split(":")[0] for line in text.splitlines()[1:4]] == ["By ksg", "Note", "Warning"]
    json.dumps(changed(nats=math.nan, beside=ESTIMATE).to_dict(), allow_nan=False)


def test_the_p_value_of_scores_is_that_of_all_orders():
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((5, 5)) + np.eye(5)
    sums = [sum(scores[i, order[i]] for i in range(5)) for order in permutations(range(5))]
    exact = np.mean(np.array(sums) >= np.trace(scores) - 1e-12)
    found = p_value_of_scores([torch.from_numpy(scores)], 20_000, np.random.default_rng(1))
    assert found == pytest.approx(exact, abs=0.01)


def test_p_values_by_hand():
    assert p_value(1.0, [0.0, 1.0, 2.0]) == 0.75  # an equal value counts against
    assert p_value(3.0, np.zeros(99)) == 0.01
    assert p_value(math.nan, np.zeros(99)) == 1.0
    assert p_value(3.0, [math.nan, 0.0, 1.0]) == 0.5
    assert joined([0.03]) == 0.03
    assert joined([0.01, 0.02, 0.9]) == 0.04
    assert joined([0.9, 0.8]) == 1.0
    assert p_value_of_scores([torch.zeros(4, 4)], 99, np.random.default_rng(0)) == 1.0  # a critic that says nothing


@pytest.mark.parametrize("name", ["infonce", "dv", "smile", "ksg"])
def test_dependence_is_found_and_its_absence_too(name):
    settings = FAST | {"shuffles": 99}
    x, y = gaussians(0.2, 1, 500)
    assert estimate_mi(x, y, name, **settings).p_value < 0.05
    apart = estimate_mi(x, np.random.default_rng(5).permutation(y), name, **settings)
    assert apart.p_value > 0.05
    assert not apart.dependent
    assert estimate_mi(x, y, name, **FAST).p_value is None


def test_asking_for_a_test():
    x, y = gaussians(0.5, 1, 400)
    result = estimate_mi(x, y, test=True, **FAST)
    assert result.shuffles == 999
    assert result.p_value == 0.001
    assert result.nats == estimate_mi(x, y, **FAST).nats
    assert estimate_mi(x, y, "ksg", test=True, shuffles=9).p_value == 0.1
    assert estimate_mi(x, y, test=False, **FAST).p_value is None
    assert 0 < estimate_mi(x, y, repeats=2, shuffles=99, **FAST).p_value <= 0.04


def test_the_test_keeps_its_level_with_and_without_groups():
    """Of 30 unrelated data sets 1 or 2 are called dependent; more than 6 with a chance of 1 in 1,000.

    `benchmarks/mi_test_level.py` counts it over many more.
    """
    quick = {"steps": 40, "batch_size": 32, "hidden": (8,), "lr": 1e-2, "shuffles": 99}
    found = {"rows": 0, "groups": 0, "labels": 0}
    for seed in range(30):
        rng = np.random.default_rng(seed)
        x, y = rng.standard_normal((2, 120))
        found["rows"] += estimate_mi(x, y, "dv", seed=seed, **quick).p_value <= 0.05
        own = np.repeat(rng.standard_normal((2, 60)), 3, axis=1)
        found["groups"] += estimate_mi(*own, groups=np.arange(180) // 3, seed=seed, **quick).p_value <= 0.05
        label = rng.integers(0, 3, (2, 120))
        found["labels"] += estimate_mi(*label, "ksg", seed=seed, shuffles=99).p_value <= 0.05
    assert all(count <= 6 for count in found.values()), found
