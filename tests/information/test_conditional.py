"""Against closed forms: Gaussians, whose information follows from determinants of their covariance, and counts."""

import math

import numpy as np
import pytest

from deepinfomax import UserError
from deepinfomax.information import conditional
from deepinfomax.information.ksg import ksg


def gaussian(covariance: np.ndarray, n: int = 4000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).multivariate_normal(np.zeros(len(covariance)), covariance, n)


def half_log_det(covariance: np.ndarray, which: list[int]) -> float:
    return float(np.linalg.slogdet(covariance[np.ix_(which, which)])[1]) / 2


COVARIANCE = np.array([[1.0, 0.7, 0.5], [0.7, 1.0, 0.6], [0.5, 0.6, 1.0]])


def test_conditional_information_of_gaussians() -> None:
    x, y, z = gaussian(COVARIANCE).T
    truth = (
        half_log_det(COVARIANCE, [0, 2])
        + half_log_det(COVARIANCE, [1, 2])
        - half_log_det(COVARIANCE, [0, 1, 2])
        - half_log_det(COVARIANCE, [2])
    )
    assert conditional.conditional_information(x, y, z) == pytest.approx(truth, abs=0.03)


def test_a_common_cause_explains_everything() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=4000)
    x, y = z + rng.normal(size=4000), z + rng.normal(size=4000)
    assert ksg(x[:, None], y[:, None]) == pytest.approx(-math.log(1 - 0.25) / 2, abs=0.03)
    assert conditional.conditional_information(x, y, z) == pytest.approx(0, abs=0.03)
    assert conditional.interaction_information(x, y, z) == pytest.approx(-math.log(1 - 0.25) / 2, abs=0.05)


def test_a_common_effect_makes_dependent() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 4000))
    z = x + y + rng.normal(size=4000)
    # var(x|z) = 2/3, correlation of x and y given z is -1/2
    assert conditional.conditional_information(x, y, z) == pytest.approx(-math.log(1 - 0.25) / 2, abs=0.04)
    assert conditional.interaction_information(x, y, z) < -0.08


def test_total_correlation_of_gaussians() -> None:
    variables = gaussian(COVARIANCE).T
    drawn = np.corrcoef(variables)  # 4,000 samples differ from the truth by 0.02 nats
    assert conditional.total_correlation(*variables) == pytest.approx(-half_log_det(drawn, [0, 1, 2]), abs=0.03)


def test_total_correlation_of_two_is_mutual_information() -> None:
    x, y, _ = gaussian(COVARIANCE).T
    assert conditional.total_correlation(x, y) == pytest.approx(ksg(x[:, None], y[:, None]), abs=1e-12)


def test_neighbour_by_neighbour() -> None:
    from scipy.special import digamma

    x, y, z = gaussian(COVARIANCE, n=30).T
    k, terms = 3, []
    for i in range(30):
        apart = {name: np.abs(side - side[i]) for name, side in (("x", x), ("y", y), ("z", z))}
        joint = np.maximum.reduce(list(apart.values()))
        radius = np.sort(joint)[k]  # the sample itself is at 0
        nearer = {
            space: sum(1 for j in range(30) if j != i and max(apart[s][j] for s in space) < radius)
            for space in ("xz", "yz", "z")
        }
        terms.append(digamma(nearer["xz"] + 1) + digamma(nearer["yz"] + 1) - digamma(nearer["z"] + 1))
    expected = digamma(k) - np.mean(terms)
    assert conditional.conditional_information(x, y, z, k) == pytest.approx(expected, abs=1e-12)


def test_labels_by_counting() -> None:
    rng = np.random.default_rng(0)
    z = rng.integers(0, 2, 20_000)
    x = np.where(rng.random(20_000) < 0.8, z, 1 - z)
    y = np.where(rng.random(20_000) < 0.8, z, 1 - z)
    assert conditional.conditional_information_of_labels(x, y, z) == pytest.approx(0, abs=2e-3)
    xor = x ^ z
    names = np.array(["a", "b"])[x]
    entropy = -(0.8 * math.log(0.8) + 0.2 * math.log(0.2))
    assert conditional.conditional_information_of_labels(names, xor, z) == pytest.approx(entropy, abs=0.01)


def test_given_labels_the_share_of_each_counts() -> None:
    first, second = gaussian(COVARIANCE[:2, :2], 3000), gaussian(np.eye(2), 1000, seed=1)
    x, y = np.vstack([first, second]).T
    z = np.repeat(["a", "b"], [3000, 1000])
    truth = 0.75 * -math.log(1 - 0.49) / 2
    assert conditional.information_given_labels(x, y, z) == pytest.approx(truth, abs=0.03)


def test_transfer_entropy_has_a_direction() -> None:
    rng = np.random.default_rng(0)
    n = 4000
    source, target = rng.normal(size=n), np.zeros(n)
    noise = rng.normal(size=n)
    for t in range(1, n):
        target[t] = 0.5 * source[t - 1] + noise[t]
    truth = math.log(1 + 0.25) / 2
    assert conditional.transfer_entropy(source, target) == pytest.approx(truth, abs=0.03)
    assert conditional.transfer_entropy(target, source) == pytest.approx(0, abs=0.03)
    assert conditional.transfer_entropy(source, target, lags=2) == pytest.approx(truth, abs=0.05)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: conditional.conditional_information(np.zeros(9), np.zeros(8), np.zeros(9)), "9, 8, 9 samples"),
        (lambda: conditional.conditional_information(np.zeros(4), np.zeros(4), np.zeros(4)), "too few"),
        (lambda: conditional.total_correlation(np.zeros(9)), "two variables"),
        (lambda: conditional.transfer_entropy(np.zeros(9), np.zeros(9), lags=0), "lags"),
        (lambda: conditional.information_given_labels(np.zeros(9), np.zeros(9), np.arange(9)), "no label"),
    ],
)
def test_mistakes(call: object, says: str) -> None:
    assert callable(call)
    with pytest.raises(UserError, match=says):
        call()
