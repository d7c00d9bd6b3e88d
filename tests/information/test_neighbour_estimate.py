import math

import numpy as np
import pytest
from gaussians import gaussians
from sklearn.feature_selection import mutual_info_classif, mutual_info_regression

from deepinfomax.information import ksg
from deepinfomax.information.estimation import estimate_mi


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


def test_ksg_warns_in_many_dimensions():
    assert "20 dimensions" in estimate_mi(*gaussians(4.0, 10, 500), "ksg").warning


def test_rare_labels_leave_the_error_unknown_rather_than_failing():
    x = np.random.default_rng(0).standard_normal((50, 1))
    result = estimate_mi(x, np.arange(50) // 5, "ksg")
    assert math.isfinite(result.nats)
    assert result.standard_error == math.inf
    assert "no standard error" in result.warning
    assert math.isnan(ksg.ksg_labels(x, np.arange(50)))


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
