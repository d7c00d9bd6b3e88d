import json
import math

import numpy as np
import pytest
import torch
from gaussians import FAST, gaussians

from deepinfomax.information.estimation import estimate_mi
from deepinfomax.information.estimators import NAMES


@pytest.mark.parametrize("name", NAMES)
def test_one_nat_between_gaussians(name):
    x, y = gaussians(1.0, 2, 4000)
    result = estimate_mi(x, y, name, **FAST)
    # The JSD-trained critics know less of the tails that NWJ and DV rest on, and jsd-lb is what its JSD allows.
    shortfall = {"jsd-lb": 0.4, "jsd-nwj": 0.4, "jsd-dv": 0.3}.get(name, 0.15)
    assert 1 - shortfall < result.nats < 1 + max(0.1, 2 * result.standard_error)
    if result.lower_bound:
        assert result.nats <= 1 + 2 * result.standard_error
    assert 0 < result.standard_error < 0.3
    assert result.n_test == (4000 if name == "ksg" else 800)
    assert "rose" not in (result.warning or "")
    json.dumps(result.to_dict(), allow_nan=False)


def test_joint_critic_tells_what_the_other_does():
    x, y = gaussians(1.0, 2, 1500)
    result = estimate_mi(x, y, critic="joint", **{**FAST, "batch_size": 32})
    assert 0.75 < result.nats < 1 + 2 * result.standard_error
    assert result.critic == "joint"


@pytest.mark.parametrize("name", ["infonce", "nwj", "mine", "jsd-lb", "ksg"])
def test_independent_arrays_have_none(name):
    rng = np.random.default_rng(0)
    result = estimate_mi(rng.standard_normal((1000, 3)), rng.standard_normal((1000, 2)), name, **FAST)
    assert abs(result.nats) < 0.08
    assert result.nats < 3 * result.standard_error


def test_a_critic_that_could_learn_noise_by_heart_does_not_report_it():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((200, 30)), rng.standard_normal((200, 30))
    result = estimate_mi(x, y, "dv", steps=300, batch_size=64)
    assert result.nats < 2 * result.standard_error
    assert result.nats < 0.2


@pytest.mark.parametrize("name", ["infonce", "dv", "ksg"])
def test_label_that_the_other_side_determines(name):
    """I = log K; strings, so that no order of the labels is used."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 4, 2000)
    x = 4.0 * np.eye(4)[label] + 0.1 * rng.standard_normal((2000, 4))
    result = estimate_mi(x, np.array(["ash", "oak", "elm", "fir"])[label], name, **FAST)
    assert result.nats == pytest.approx(math.log(4), abs=0.06)


def test_two_sets_of_labels():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 3, 1500)
    b = np.where(rng.random(1500) < 0.8, a, rng.integers(0, 3, 1500))
    agree = 0.8 + 0.2 / 3
    truth = math.log(3) + agree * math.log(agree) + (1 - agree) * math.log((1 - agree) / 2)
    assert estimate_mi(a, b, **FAST).nats == pytest.approx(truth, abs=0.08)
    assert estimate_mi(a, torch.from_numpy(b), "ksg").nats == pytest.approx(truth, abs=0.08)


@pytest.mark.parametrize("name", ["infonce", "dv", "ksg"])
def test_labels_cap_the_estimate_at_their_entropy(name):
    rng = np.random.default_rng(0)
    label = rng.choice(3, 1000, p=[0.5, 0.25, 0.25])
    x = 4.0 * np.eye(3)[label] + 0.1 * rng.standard_normal((1000, 3))
    truth = 0.5 * math.log(2) + 0.5 * math.log(4)
    for sides in ((x, label), (label, x), (label, label * 2 + rng.integers(0, 2, 1000))):
        result = estimate_mi(*sides, name, **{**FAST, "steps": 60})
        assert result.cap == pytest.approx(truth, abs=0.03)
        assert "cap" not in (result.warning or "")


def test_what_is_read_out_was_never_trained_on():
    """Statistics of held-out pairs never reach the transform: an outlier among them changes training not at all."""
    x, y = gaussians(0.5, 1, 200)
    order = torch.randperm(200, generator=torch.Generator().manual_seed(0))  # the split of seed 0
    changed = x.copy()
    changed[order[40]] = 1e3  # first of the test part: behind the 40 stopping pairs
    first, second = (estimate_mi(v, y, steps=30) for v in (x, changed))
    assert first.train_nats == second.train_nats
    assert first.nats != second.nats


def test_seeds_and_repeats():
    x, y = gaussians(1.0, 1, 400)
    settings = {**FAST, "steps": 60}
    before = torch.random.get_rng_state()
    first, again, other = (estimate_mi(x, y, seed=seed, **settings) for seed in (0, 0, 1))
    assert torch.equal(before, torch.random.get_rng_state())
    assert first.nats == again.nats != other.nats
    large = 2**40  # more than numpy's older generator takes
    assert estimate_mi(x, y, "ksg", seed=large).seeds == (large,)
    assert estimate_mi(x, y, seed=large, transform="rank", **settings).nats != first.nats
    both = estimate_mi(x, y, repeats=2, **settings)
    assert both.seeds == (0, 1)
    assert both.nats == pytest.approx((first.nats + other.nats) / 2)
    within = (first.standard_error**2 + other.standard_error**2) / 2
    between = (first.nats - other.nats) ** 2 / 4  # variance of two values, over two
    assert both.standard_error == pytest.approx(math.sqrt(within + between))


def test_ranks_of_very_many_rows_depend_on_nothing_but_the_rows():
    x, y = gaussians(1.0, 1, 12_000)
    first, again = (estimate_mi(x, y, "ksg", transform="rank") for _ in range(2))
    assert first.nats == again.nats
    assert first.nats == pytest.approx(1.0, abs=0.03)
