"""Estimates against known truths, readouts against loops, standard errors against repetition."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from sklearn.feature_selection import mutual_info_classif, mutual_info_regression

from deepinfomax.errors import UserError
from deepinfomax.information import estimation, ksg, readouts
from deepinfomax.information import labels as label_information
from deepinfomax.information.estimation import (
    ESTIMATORS,
    NAMES,
    Advice,
    Fit,
    MovingAverage,
    Reading,
    _value_and_error,
    estimate_mi,
    estimate_mi_files,
    off_diagonal,
    summarise,
    train_critic,
)
from deepinfomax.information.readouts import Scores
from deepinfomax.information.vector_critics import JointCritic, SeparableCritic, score_all_pairs

FAST = {"steps": 300, "batch_size": 64, "hidden": (64, 64), "lr": 2e-3}


def gaussians(nats: float, units: int, n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """n pairs in R^units with so much mutual information."""
    rng = np.random.default_rng(seed)
    rho = math.sqrt(1 - math.exp(-2 * nats / units))
    x = rng.standard_normal((n, units))
    return x, rho * x + math.sqrt(1 - rho**2) * rng.standard_normal((n, units))


def log_ratio(x: np.ndarray, y: np.ndarray, nats: float) -> torch.Tensor:
    """log p(x, y) / p(x) p(y) of all combinations of 1-d Gaussian pairs: the best critic there is."""
    rho2 = 1 - math.exp(-2 * nats)
    a, b = torch.from_numpy(x), torch.from_numpy(y).T
    return nats - (rho2 * (a**2 + b**2) - 2 * math.sqrt(rho2) * a * b) / (2 * (1 - rho2))


# ------------------------------------------------------------------------------------------------------- readouts


def softplus(u: float) -> float:
    return max(u, 0.0) + math.log1p(math.exp(-abs(u)))


def by_loops(name: str, u: list[list[float]], tau: float = 2.0) -> float:
    n = len(u)
    pairs = [u[i][i] for i in range(n)]
    others = [u[i][j] for i in range(n) for j in range(n) if i != j]

    def mean(values):
        return sum(values) / len(values)

    if name == "infonce":
        rows = [sum(math.exp(u[i][j]) for j in range(n)) for i in range(n)]
        return mean([math.log(n * math.exp(u[i][i]) / rows[i]) for i in range(n)])
    if name == "dv":
        return mean(pairs) - math.log(mean([math.exp(v) for v in others]))
    if name == "nwj":
        return mean(pairs) - mean([math.exp(v - 1) for v in others])
    if name == "jsd_nwj":
        return mean([v + 1 for v in pairs]) - mean([math.exp(v) for v in others])
    if name == "smile":
        return mean(pairs) - math.log(mean([min(max(math.exp(v), math.exp(-tau)), math.exp(tau)) for v in others]))
    assert name == "cross_entropy"
    return 0.5 * mean([softplus(-v) for v in pairs]) + 0.5 * mean([softplus(v) for v in others])


@pytest.mark.parametrize("name", ["infonce", "dv", "nwj", "jsd_nwj", "smile", "cross_entropy"])
def test_readouts_are_their_formulas(name):
    u = 2 * torch.randn(6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    readout = (lambda s: readouts.smile(s, 2.0)) if name == "smile" else getattr(readouts, name)
    assert float(readout(Scores(u))) == pytest.approx(by_loops(name, u.tolist()), abs=1e-12)


def test_scores_of_a_thousand_stay_finite_and_pairs_never_enter_the_negatives():
    u = torch.randn(8, 8, generator=torch.Generator().manual_seed(1))
    large = 1000 * u + torch.diag(torch.full((8,), 1e4))
    assert math.isfinite(readouts.dv(Scores(large)))
    assert math.isfinite(readouts.infonce(Scores(large)))
    assert float(readouts.log_normaliser(Scores(large))) == float(readouts.log_normaliser(Scores(1000 * u)))
    assert float(readouts.infonce(Scores(large))) == pytest.approx(math.log(8))  # its cap, and not a bit more


def test_tangents_touch_at_the_sample_and_lie_below_elsewhere():
    u = torch.randn(9, 9, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    scores = Scores(u + 3 * torch.eye(9))
    for readout, touch in ((readouts.dv, readouts.log_normaliser), (readouts.jsd_lb, readouts.cross_entropy)):
        plain, at = float(readout(scores)), float(touch(scores))
        assert float(readout(scores, at=at)) == pytest.approx(plain, abs=1e-9)
        for shift in (-0.3, 0.05, 0.4):
            assert float(readout(scores, at=at + shift)) < plain


def test_least_kl_is_a_bound_for_any_two_distributions_and_attained():
    rng = np.random.default_rng(0)
    gaps = []
    for _ in range(500):
        size = rng.integers(2, 8)
        p, q = (np.maximum(rng.dirichlet(np.full(size, 10 ** rng.uniform(-1, 1))), 1e-12) for _ in range(2))
        p, q = p / p.sum(), q / q.sum()
        mixture = (p + q) / 2
        jsd = 0.5 * np.sum(p * np.log(p / mixture)) + 0.5 * np.sum(q * np.log(q / mixture))
        gaps.append(np.sum(p * np.log(p / q)) - readouts.least_kl(math.log(2) - jsd))
    assert min(gaps) > -1e-7
    for s in (0.9, 0.3, 1e-2, 1e-9):  # p = (1, 0), q = (s, 1 - s)
        jsd = 0.5 * math.log(2 / (1 + s)) + 0.5 * (s * math.log(2 * s / (1 + s)) + (1 - s) * math.log(2))
        assert readouts.least_kl(math.log(2) - jsd) == pytest.approx(-math.log(s), rel=1e-6)


@pytest.mark.parametrize("entropy", [1e-6, 0.01, 0.3, 0.69, 0.8])
def test_slope_of_least_kl(entropy):
    step = 1e-4 * entropy
    difference = (readouts.least_kl(entropy + step) - readouts.least_kl(entropy - step)) / (2 * step)
    assert readouts.least_kl_slope(entropy) == pytest.approx(difference, rel=1e-3)


@pytest.mark.parametrize("name", ["infonce", "nwj", "dv", "jsd-lb", "smile"])
def test_standard_error_is_the_spread_over_repetitions(name):
    """The best critic on many samples: the mean of the reported errors is the standard deviation of the values."""
    nats, estimator = 0.5, ESTIMATORS[name]
    at = None
    if estimator.touch is not None:
        at = float(estimator.touch(Scores(log_ratio(*gaussians(nats, 1, 1000, seed=999), nats))))
    values, errors = [], []
    for seed in range(300):
        scores = Scores(log_ratio(*gaussians(nats, 1, 150, seed), nats) + (name == "nwj"))
        value, error = _value_and_error(estimator, scores, at)
        values.append(value)
        errors.append(error)
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.2)
    if estimator.lower_bound:
        assert np.mean(values) < nats + 2 * np.std(values) / math.sqrt(len(values))


# --------------------------------------------------------------------------------------- critics and their training


@pytest.mark.parametrize("kind", [SeparableCritic, JointCritic])
def test_critics_score_every_combination(kind):
    torch.manual_seed(0)
    critic = kind(3, 2, hidden=(8, 8))
    x, y = torch.randn(5, 3), torch.randn(4, 2)
    scores = critic(x, y).detach()
    assert scores.shape == (5, 4)
    for i in range(5):
        for j in range(4):
            torch.testing.assert_close(scores[i, j], critic(x[i : i + 1], y[j : j + 1]).detach().squeeze())
    torch.testing.assert_close(score_all_pairs(critic, x, y, pairs=8), scores)


def test_off_diagonal_keeps_rows():
    scores = torch.arange(16.0).view(4, 4)
    for i in range(4):
        assert off_diagonal(scores)[i].tolist() == [float(scores[i, j]) for j in range(4) if j != i]


def test_moving_average_gives_the_gradient_of_mine_in_log_space():
    average, decay, mean = MovingAverage(decay=0.9), 0.9, None
    generator = torch.Generator().manual_seed(0)
    for _ in range(4):
        positive = torch.randn(3, 1, generator=generator, dtype=torch.float64, requires_grad=True)
        negative = torch.randn(3, 2, generator=generator, dtype=torch.float64, requires_grad=True)
        average.loss(positive, negative).backward()
        batch_mean = float(negative.detach().exp().mean())
        mean = batch_mean if mean is None else decay * mean + (1 - decay) * batch_mean
        torch.testing.assert_close(positive.grad, torch.full_like(positive, -1 / 3))
        torch.testing.assert_close(negative.grad, negative.detach().exp() / 6 / mean)


def test_moving_average_cannot_overflow():
    average = MovingAverage(decay=0.99)
    for size in (1.0, 1000.0, -1000.0, 3000.0):
        negative = torch.full((4, 3), size, requires_grad=True)
        loss = average.loss(torch.zeros(4, 1), negative)
        loss.backward()
        assert math.isfinite(loss.detach())
        assert float(negative.grad.sum()) <= 100.1  # 1 / (1 - decay), in fp32


# ------------------------------------------------------------------------------------------------------ known truths


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


def test_labels_of_a_data_frame_are_labels():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, 300)
    x = label[:, None] + rng.standard_normal((300, 1))
    words = np.array(["ash", "elm", "oak"])[label]
    plain = estimate_mi(x, words, "ksg").nats
    assert plain > 0.2
    assert estimate_mi(x, words.astype(object), "ksg").nats == estimate_mi(x, words.tolist(), "ksg").nats == plain


def test_bfloat16_is_what_it_is_in_float32():
    x, y = (torch.from_numpy(side).bfloat16() for side in gaussians(1.0, 1, 300))
    assert estimate_mi(x, y, "ksg").nats == estimate_mi(x.float(), y.float(), "ksg").nats
    counts = torch.arange(300).remainder(4)
    assert estimate_mi(x, counts.bfloat16(), "ksg").nats == estimate_mi(x, counts.float(), "ksg").nats  # no labels


@pytest.mark.parametrize("name", ["infonce", "ksg"])
def test_quantities_are_not_taken_for_labels(name):
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 4000, 1000)
    for values in (counts, counts.astype(str), np.arange(1000)):
        with pytest.raises(UserError, match=r"different labels in 1000 rows, .* give quantities as floats") as error:
            estimate_mi(rng.standard_normal(1000), values, name)
        assert "\n" not in str(error.value)
    assert estimate_mi(counts.astype(float), counts.astype(float) ** 2, "ksg", transform="rank").nats > 3


def test_rare_labels_leave_the_error_unknown_rather_than_failing():
    x = np.random.default_rng(0).standard_normal((50, 1))
    result = estimate_mi(x, np.arange(50) // 5, "ksg")
    assert math.isfinite(result.nats)
    assert result.standard_error == math.inf
    assert "no standard error" in result.warning
    assert math.isnan(ksg.ksg_labels(x, np.arange(50)))


def test_ksg_is_that_of_scikit_learn_in_one_dimension():
    x, y = gaussians(0.7, 1, 500)
    theirs = mutual_info_regression(x, y.ravel(), n_neighbors=3, random_state=0)[0]
    assert estimate_mi(x, y, "ksg").nats == pytest.approx(theirs, abs=1e-6)


def test_ksg_of_labels_is_that_of_scikit_learn_in_one_dimension():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, 400)
    label[0] = 3  # a label of one sample
    x = label[:, None] + rng.standard_normal((400, 1))
    theirs = mutual_info_classif(x, label, n_neighbors=3, random_state=0)[0]
    assert max(0, ksg.ksg_labels(x / x.std(0), label, 3)) == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("nats", [0.0, 0.5, 2.0])
def test_ksg_on_gaussians_in_the_plane(nats):
    result = estimate_mi(*gaussians(nats, 1, 3000), "ksg")
    assert abs(result.nats - nats) < max(0.05, 3 * result.standard_error)
    assert not result.lower_bound
    assert result.warning is None


# ------------------------------------------------------------------------------------------------------- invariances


def test_units_of_measurement_do_not_matter():
    x, y = gaussians(1.0, 2, 1000)
    plain = estimate_mi(x, y, **FAST)
    rescaled = estimate_mi(1000 * x - 7, y / 1000 + 3, **FAST)
    assert rescaled.nats == pytest.approx(plain.nats, abs=0.02)


def test_rank_transform_undoes_monotone_maps():
    x, y = gaussians(1.0, 2, 1500)
    plain = estimate_mi(x, y, transform="rank", **FAST)
    bent = estimate_mi(np.exp(3 * x), y**3, transform="rank", **FAST)
    assert bent.nats == pytest.approx(plain.nats, abs=0.02)


def test_asinh_transform_tames_long_tails():
    x, y = gaussians(1.0, 1, 2000)
    long_tails = np.sinh(4 * x), np.sinh(4 * y)
    tamed = estimate_mi(*long_tails, transform="asinh", **FAST)
    as_they_are = estimate_mi(*long_tails, **FAST)
    assert tamed.nats > as_they_are.nats
    assert "long tails" in as_they_are.warning
    assert "long tails" not in (tamed.warning or "")
    assert tamed.nats == pytest.approx(1.0, abs=0.2)


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


# ---------------------------------------------------------------------------------------- warnings and user mistakes


def test_near_its_cap_an_estimate_says_so():
    x, _ = gaussians(0.0, 5, 500)
    result = estimate_mi(x, x + 1e-3, **FAST)
    assert result.nats <= result.cap == pytest.approx(math.log(100))
    assert "cap" in result.warning
    assert "cap" in estimate_mi(x[:, :1], x[:, :1], "ksg").warning


def test_ksg_warns_in_many_dimensions():
    assert "20 dimensions" in estimate_mi(*gaussians(4.0, 10, 500), "ksg").warning


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


def test_rise_of_the_stopping_values():
    def rise(*values, gave_up=False):
        return Fit(steps=100, skipped=0, stopping=values, gave_up=gave_up).rise

    assert rise(0.0, 1.0, 2.0, 3.0, 4.5) == 2.5  # the middle one is where the second half begins
    assert rise(0.0, 1.0, 2.0, 4.5) == 3.5
    assert rise(0.0, 3.0, 2.0, 1.0, 3.25, 2.0) == 0.25  # of the best so far: what is kept
    assert rise(math.nan, 1.0, math.nan, 2.0) == 1.0
    assert rise(0.0, 1.0, 2.0, 3.0, 4.5, gave_up=True) == 0.0
    assert rise(2.0) == rise() == 0.0


def test_stopping_values_are_the_training_bound_and_of_jsd_what_it_allows():
    x, y = (torch.from_numpy(side).float() for side in gaussians(1.0, 2, 300))
    for name in ("nwj", "jsd-dv"):
        torch.manual_seed(0)
        critic = SeparableCritic(2, 2, hidden=(8,))
        estimator, generator = ESTIMATORS[name], torch.Generator().manual_seed(0)
        settings = {"batch_size": 64, "lr": 1e-3, "patience": 10, "generator": generator}
        fit = train_critic(critic, estimator, x, y, x[:100], y[:100], steps=2, **settings)
        scores = Scores(critic(x[:100], y[:100]).detach().double())
        bound = readouts.jsd_lb if name == "jsd-dv" else readouts.nwj
        assert len(fit.stopping) == 2
        assert max(fit.stopping) == pytest.approx(float(bound(scores)), abs=1e-5)
        assert not fit.gave_up


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


def test_nwj_warns_where_its_variance_is_large():
    result = estimate_mi(*gaussians(12.0, 10, 1000), "jsd-nwj", **FAST)
    assert result.warning is not None
    assert result.nats <= 12 + 2 * result.standard_error


GOOD = np.random.default_rng(0).standard_normal((100, 2))
MANY = np.arange(60_000.0)
MISTAKES = {
    "100 rows but y has 90": (GOOD, GOOD[:90], {}),
    "missing or infinite values, the first in row 3, column 1": (
        np.where(np.indices(GOOD.shape).sum(0) == 4, np.nan, GOOD),
        GOOD,
        {},
    ),
    "20 pairs are too few": (GOOD[:20], GOOD[:20], {}),
    "unknown estimator 'clubb'": (GOOD, GOOD, {"estimator": "clubb"}),
    "unknown critic 'bilinear'": (GOOD, GOOD, {"critic": "bilinear"}),
    "unknown transform 'log'": (GOOD, GOOD, {"transform": "log"}),
    "column 1 of y is constant": (GOOD, GOOD * [1, 0], {}),
    "x has one label only": (np.zeros(100, int), GOOD, {}),
    "give \\(n, dim\\)": (GOOD.reshape(100, 1, 2), GOOD, {}),
    "holds complex128": (GOOD + 1j, GOOD, {}),
    "holds object": (np.array([None] * 100), GOOD, {}),
    "x is no array": ([[1.0], [1.0, 2.0]], GOOD, {}),
    "batch_size must be at least 2": (GOOD, GOOD, {"batch_size": 1}),
    "steps \\(0\\)": (GOOD, GOOD, {"steps": 0}),
    "leave 5% to train on": (GOOD, GOOD, {"test": 0.9}),
    "50 neighbours": (GOOD, GOOD, {"estimator": "ksg", "neighbours": 50}),
    "x has no columns": (GOOD[:, :0], GOOD, {}),
    "there is no device 'abacus' here": (GOOD, GOOD, {"device": "abacus"}),
    "there is no device 'abacus' here; leave": (GOOD, GOOD, {"estimator": "ksg", "device": "abacus"}),
    "seed must be a whole number from 0 to 2\\^63 - 1, not -1": (GOOD, GOOD, {"seed": -1}),
    "seed must be a whole number from 0": (GOOD, GOOD, {"seed": -1, "estimator": "ksg"}),
    "not 18446744073709551616": (GOOD, GOOD, {"seed": 2**64}),
    "lr must be above 0, not -1": (GOOD, GOOD, {"lr": -1}),
    "lr must be above 0, not nan": (GOOD, GOOD, {"lr": math.nan}),
    "hidden must be the widths .* not \\(\\)": (GOOD, GOOD, {"hidden": ()}),
    "hidden must be the widths .* not \\(0,\\)": (GOOD, GOOD, {"hidden": (0,)}),
    "hidden must be the widths .* not 64": (GOOD, GOOD, {"hidden": 64}),
    "patience must be at least 1": (GOOD, GOOD, {"patience": 0}),
    "hidden must be the widths .* not \\('a',\\)": (GOOD, GOOD, {"hidden": ("a",)}),
    "repeats must be a whole number, such as 3, not '2'": (GOOD, GOOD, {"repeats": "2"}),
    "steps must be a whole number, such as 3, not 2.5": (GOOD, GOOD, {"steps": 2.5}),
    "batch_size must be a whole number": (GOOD, GOOD, {"batch_size": 16.0}),
    "patience must be a whole number": (GOOD, GOOD, {"patience": None}),
    "seed must be a whole number": (GOOD, GOOD, {"seed": "0"}),
    "neighbours must be a whole number, such as 3, not 3.0": (GOOD, GOOD, {"estimator": "ksg", "neighbours": 3.0}),
    "lr must be a number, such as 0.5, not '1e-3'": (GOOD, GOOD, {"lr": "1e-3"}),
    "tau must be a number": (GOOD, GOOD, {"estimator": "smile", "tau": None}),
    "y holds nan among its words, first in row 1: drop": (GOOD, np.array(["ash", math.nan] * 50, dtype=object), {}),
    "y holds object of shape \\(100, 1\\): give words as": (GOOD, np.array([["ash"]] * 100, dtype=object), {}),
    "x holds <U3 of shape \\(100, 1\\): give words as": (np.array([["ash"]] * 100), GOOD, {}),
    "unknown estimator None": (GOOD, GOOD, {"estimator": None}),
    "unknown critic \\['joint'\\]": (GOOD, GOOD, {"critic": ["joint"]}),
    "validation \\(nan\\)": (GOOD, GOOD, {"validation": math.nan}),
    "tau must be above 0": (GOOD, GOOD, {"estimator": "smile", "tau": 0.0}),
    "x has 1 masked values: drop": (np.ma.masked_array(GOOD, mask=GOOD.max() == GOOD), GOOD, {}),
    "y holds nan among its words, first in row 1": (GOOD, ["ash", math.nan] * 50, {}),
    "x cannot be read as an array: ": (torch.eye(100).to_sparse(), GOOD, {}),
    "y cannot be read as an array: ": (GOOD, [torch.ones(2, requires_grad=True)] * 100, {}),
    "all pairs of a batch of 60,000 need 13 GiB: make batch_size 32,768": (MANY, MANY, {"batch_size": 60_000}),
    "all pairs of a batch of 9,000 need 77 GiB: ": (MANY, MANY, {"batch_size": 9000, "critic": "joint"}),
    "y has 12,000 different labels in 100,000 rows, .* 4 GiB: merge": (
        np.arange(100_000.0),
        np.arange(100_000) % 12_000,
        {},
    ),
    "column 0 of x, from 1e\\+09 to 1e\\+09, is more than float32": (GOOD + 1e9, GOOD, {"transform": "none"}),
    "there is no device 'meta' here": (GOOD, GOOD, {"device": "meta"}),
}


@pytest.mark.parametrize("message", MISTAKES)
def test_mistakes_are_told_in_one_line(message):
    x, y, settings = MISTAKES[message]
    with pytest.raises(UserError, match=message) as error:
        estimate_mi(x, y, **settings)
    assert "\n" not in str(error.value)


def test_files(tmp_path):
    x, y = gaussians(1.0, 1, 300)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    result = estimate_mi_files(tmp_path / "x.npy", tmp_path / "y.npy", estimator="jsd", steps=20)
    assert result["estimator"] == "jsd-nwj"
    with pytest.raises(UserError, match="does not exist"):
        estimate_mi_files(tmp_path / "x.npy", tmp_path / "z.npy")
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "several.npz", a=x, b=y)
    (tmp_path / "empty.npy").touch()
    for name, message in (("objects.npy", "no array"), ("several.npz", "several arrays"), ("empty.npy", "no array")):
        with pytest.raises(UserError, match=message):
            estimate_mi_files(tmp_path / name, tmp_path / "y.npy")


# --------------------------------------------------------------------------------------------- what looks like data


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


@pytest.mark.parametrize("name", ["infonce", "ksg"])
@pytest.mark.parametrize("transform", ["standard", "rank", "asinh"])
@pytest.mark.parametrize(("scale", "offset"), [(1e-4, 1e9), (1e-200, 0.0), (1e200, 0.0), (-3.0, 1e7)])
def test_neither_unit_nor_origin_matters(name, transform, scale, offset):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(600)
    y = x + 0.3 * rng.standard_normal(600)
    settings = FAST | {"steps": 100, "transform": transform}
    plain = estimate_mi(x, y, name, **settings).nats
    assert plain > 0.7
    assert estimate_mi(scale * x + offset, y, name, **settings).nats == pytest.approx(plain, abs=0.1)


def test_ties_are_broken_below_the_scale_of_the_data():
    rng = np.random.default_rng(0)
    x = rng.standard_normal(600)
    y = x + 0.3 * rng.standard_normal(600)
    plain = estimate_mi(x, y, "ksg", transform="none").nats
    for scale, offset in ((1e-11, 0.0), (1.0, 1e8)):
        moved = estimate_mi(scale * x + offset, scale * y, "ksg", transform="none").nats
        assert moved == pytest.approx(plain, abs=0.05)


@pytest.mark.parametrize(("mi", "n"), [(4.0, 500), (4.0, 2000), (3.0, 500)])
def test_ksg_says_when_it_still_rises(mi, n):
    result = estimate_mi(*gaussians(mi, 3, n), "ksg")
    assert result.nats < mi - 0.4
    assert "still rises with their number" in result.warning


@pytest.mark.parametrize(("mi", "dims", "n"), [(1.0, 1, 500), (2.0, 1, 500), (0.5, 3, 2000)])
def test_ksg_says_nothing_where_it_is_right(mi, dims, n):
    result = estimate_mi(*gaussians(mi, dims, n), "ksg")
    assert result.nats == pytest.approx(mi, abs=0.2)
    assert result.warning is None


def test_more_pairs_never_lower_the_cap_below_that_of_a_block(monkeypatch):
    monkeypatch.setattr(estimation, "BLOCK", 64)
    caps = {n: estimate_mi(*gaussians(1.0, 2, n), **FAST | {"steps": 3}) for n in (300, 320, 325, 600, 645)}
    assert [round(math.exp(e.cap)) for e in caps.values()] == [60, 64, 65, 120, 64]
    assert [e.n_test for e in caps.values()] == [60, 64, 65, 120, 129]


def test_numpy_integers_are_integers():
    result = estimate_mi(GOOD, GOOD + 1, "ksg", seed=np.int64(3))
    json.dumps(result.to_dict(), allow_nan=False)
    result = estimate_mi(GOOD, GOOD + 1, **FAST | {"steps": np.int64(2)}, repeats=np.int64(2))
    json.dumps(result.to_dict(), allow_nan=False)


def test_files_that_are_broken_or_none(tmp_path):
    good = tmp_path / "x.npy"
    np.save(good, GOOD)
    np.savez(tmp_path / "one.npz", GOOD)
    assert estimation._read(tmp_path / "one.npz").shape == GOOD.shape
    np.savez(tmp_path / "cut.npz", GOOD)
    whole = (tmp_path / "cut.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    header = b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (%s), }"
    (tmp_path / "huge.npy").write_bytes((header % b"10**30,").ljust(127) + b"\n")
    (tmp_path / "vast.npy").write_bytes((header % b"99999999999999,").ljust(127) + b"\n")
    (tmp_path / "garbled.npy").write_bytes((header % b"((((").ljust(127) + b"\n")
    torch.save({"a": torch.ones(2)}, tmp_path / "weights.pt")
    for name in ("cut.npz", "huge.npy", "vast.npy", "garbled.npy", "weights.pt"):
        with pytest.raises(UserError, match=rf"{name} is no array of numbers; write it with numpy\.save") as error:
            estimate_mi_files(good, tmp_path / name)
        assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="is a folder"):
        estimate_mi_files(good, tmp_path)
