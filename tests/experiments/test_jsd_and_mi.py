"""The two divergences on distributions whose values are known, and the experiment at its smallest."""

import json
import math

import numpy as np
import pytest

from deepinfomax.experiments import jsd_and_mi
from deepinfomax.experiments.jsd_and_mi import jensen_shannon, mutual_information, random_joint


def test_independent_variables_have_neither():
    rng = np.random.default_rng(0)
    joint = np.outer(rng.dirichlet(np.ones(5)), rng.dirichlet(np.ones(7)))
    assert mutual_information(joint) == pytest.approx(0, abs=1e-12)
    assert jensen_shannon(joint) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("k", [2, 8, 100])
def test_a_copy_of_k_values(k):
    """Joint 1/k on the diagonal, product 1/k² everywhere: log k, and a sum of three kinds of terms."""
    joint = np.eye(k)[np.random.default_rng(k).permutation(k)] / k
    assert mutual_information(joint) == pytest.approx(math.log(k))
    closed = 0.5 * math.log(2 * k / (k + 1)) + 0.5 * (math.log(2 / (k + 1)) / k + (1 - 1 / k) * math.log(2))
    assert jensen_shannon(joint) == pytest.approx(closed)
    assert jensen_shannon(joint) < math.log(2)


def test_both_equal_sums_over_cells():
    rng = np.random.default_rng(1)
    joint = random_joint(4, 6, rng)
    mi = jsd = 0.0
    for x in range(4):
        for y in range(6):
            p, q = joint[x, y], joint[x].sum() * joint[:, y].sum()
            mi += p * math.log(p / q) if p else 0.0
            jsd += (p * math.log(2 * p / (p + q)) if p else 0.0) / 2
            jsd += (q * math.log(2 * q / (p + q)) if q else 0.0) / 2
    assert mutual_information(joint) == pytest.approx(mi)
    assert jensen_shannon(joint) == pytest.approx(jsd)


def test_draws_are_distributions_sparse_to_dense():
    rng = np.random.default_rng(2)
    joints = [random_joint(8, 8, rng) for _ in range(300)]
    filled = [np.count_nonzero(joint) for joint in joints]
    assert all(joint.sum() == pytest.approx(1) and (joint >= 0).all() for joint in joints)
    assert min(filled) < 8 < 56 < max(filled)


def test_run_writes_figures_that_can_be_repeated(tmp_path):
    result = jsd_and_mi.run("smoke", 0, tmp_path / "a")
    assert result == jsd_and_mi.run("smoke", 0, tmp_path / "b")
    assert result != jsd_and_mi.run("smoke", 1, tmp_path / "c")
    assert json.loads((tmp_path / "a" / "jsd-and-mi.json").read_text()) == result
    assert (tmp_path / "a" / "jsd-and-mi.png").read_bytes()[:4] == b"\x89PNG"
    for entry in (*result["sizes"].values(), result["all"]):
        assert 0.8 < entry["spearman"] <= 1  # the paper's finding, for every size
