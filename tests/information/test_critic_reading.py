import math

import numpy as np
import pytest
from gaussians import FAST, gaussians, log_ratio

from deepinfomax.information import critic_reading, estimation
from deepinfomax.information.critic_reading import value_and_error
from deepinfomax.information.estimation import estimate_mi
from deepinfomax.information.estimators import ESTIMATORS
from deepinfomax.information.readouts import Scores


@pytest.mark.parametrize("name", ["infonce", "nwj", "dv", "jsd-lb", "smile"])
def test_standard_error_is_the_spread_over_repetitions(name):
    """The best critic on many samples: the mean of the reported errors is the standard deviation of the values."""
    nats, estimator = 0.5, ESTIMATORS[name]
    at = None
    if estimator.tangent_at is not None:
        at = float(estimator.tangent_at(Scores(log_ratio(*gaussians(nats, 1, 1000, seed=999), nats))))
    values, errors = [], []
    for seed in range(300):
        scores = Scores(log_ratio(*gaussians(nats, 1, 150, seed), nats) + (name == "nwj"))
        value, error = value_and_error(estimator, scores, at)
        values.append(value)
        errors.append(error)
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.2)
    if estimator.lower_bound:
        assert np.mean(values) < nats + 2 * np.std(values) / math.sqrt(len(values))


def test_more_pairs_never_lower_the_cap_below_that_of_a_block(monkeypatch):
    monkeypatch.setattr(critic_reading, "BLOCK", 64)
    monkeypatch.setattr(estimation, "BLOCK", 64)
    caps = {n: estimate_mi(*gaussians(1.0, 2, n), **FAST | {"steps": 3}) for n in (300, 320, 325, 600, 645)}
    assert [round(math.exp(e.cap)) for e in caps.values()] == [60, 64, 65, 120, 64]
    assert [e.n_test for e in caps.values()] == [60, 64, 65, 120, 129]
