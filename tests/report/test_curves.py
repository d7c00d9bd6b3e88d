"""Which curves a run has, what is said of them, and that thinning keeps their means."""

import math
from pathlib import Path
from typing import Any

import fake_run
import numpy as np
import pytest

from deepinfomax.report import curves
from deepinfomax.report.curves import Line, panels, thinned, value
from deepinfomax.report.reading import Metrics, Run


def run_of(*steps: dict[str, Any], config: dict[str, Any] | None = None) -> Run:
    entries = tuple({"event": "step", "step": 20 * (i + 1), **entry} for i, entry in enumerate(steps))
    return Run(Path("a"), config=config or {}, metrics=Metrics(steps=entries))


def by_title(run: Run) -> dict[str, curves.Panel]:
    return {panel.title: panel for panel in panels(run)}


def test_panels_of_a_dim_run() -> None:
    rng = np.random.default_rng(0)
    config = {"objective": {"local": {"bound": "infonce"}}, "encoder": {"y": 64}}
    run = run_of(*(fake_run.step(n, rng) for n in range(20, 400, 20)), config=config)
    found = by_title(run)
    assert set(found) == {"local: bound", "prior", "prior: taken for prior", "effective rank of y", "speed"}
    bound = found["local: bound"]
    assert bound.unit == "nats"
    assert bound.mark == ("cap", pytest.approx(math.log(1 + 127 * 16)))
    assert "a lower bound on their mutual information, by infonce" in bound.caption
    assert "cap, log(1 + negatives) = 7.62 nats" in bound.caption
    assert "“local” is this curve with a minus sign" in bound.caption
    assert found["prior"].two_player
    assert [line.name for line in found["prior"].lines] == ["encoder", "critic", "penalty"]
    assert not any(panel.two_player for title, panel in found.items() if title != "prior")
    assert found["effective rank of y"].mark == ("units", 64)


def test_a_loss_that_is_not_the_shown_bound_has_a_panel_of_its_own() -> None:
    """`smile` is trained as jsd: its bound and its loss are different curves."""
    run = run_of({"local": 0.9, "local/bound": 3.0, "local/cap": None}, {"local": 0.8, "local/bound": 4.0})
    found = by_title(run)
    assert set(found) == {"local: bound", "local"}
    assert found["local: bound"].mark is None
    assert "It has no cap" in found["local: bound"].caption


def test_only_lower_bounds_are_called_so() -> None:
    run = run_of({"global/bound": 1.0, "global/cap": 1.386}, config={"objective": {"global": {"bound": "jsd"}}})
    (panel,) = panels(run)
    assert "is no bound on it" in panel.caption
    assert "cannot exceed its cap of 1.39 nats" in panel.caption


def test_parts_of_a_bound_share_its_panel() -> None:
    steps = [{"cpc/bound": 2.0, "cpc/cap": 5.0, "cpc/bound_1": 3.0, "cpc/bound_2": 1.0, "cpc": -2.0}]
    steps[0] |= {
        "coordinates/absolute_bound": 1.5,
        "coordinates/absolute_cap": 4.16,
        "coordinates/absolute_accuracy": 0.4,
    }
    found = by_title(run_of(*steps))
    assert set(found) == {"cpc: bound", "coordinates: absolute bound", "coordinates: absolute accuracy"}
    assert [line.name for line in found["cpc: bound"].lines] == ["cpc/bound", "cpc/bound_1", "cpc/bound_2"]
    assert found["coordinates: absolute bound"].mark == ("cap", 4.16)
    assert found["coordinates: absolute accuracy"].unit == "fraction"


def test_other_two_player_terms_are_marked() -> None:
    found = by_title(run_of({"bigan": 1.4, "bigan_critic": 1.3, "bigan_penalty": 0.1, "bigan/critic_accuracy": 0.5}))
    assert set(found) == {"bigan", "bigan: critic accuracy"}
    assert found["bigan"].two_player


def test_missing_undefined_and_foreign_values_leave_gaps() -> None:
    run = run_of({"a": 1.0}, {"a": None}, {"a": "text"}, {"a": 3.0, "late": 2.0}, {"never": None})
    found = by_title(run)
    assert set(found) == {"a", "late"}
    np.testing.assert_array_equal(found["a"].lines[0].values, [1.0, math.nan, math.nan, 3.0, math.nan])
    for panel in found.values():
        assert "<path" in curves.draw(panel)


def test_a_single_step_is_drawn_as_a_point() -> None:
    (panel,) = panels(run_of({"a": 2.5}))
    assert "<use" in curves.draw(panel).partition("step")[2]
    assert panel.alt == "a, loss, steps 20 to 20: a from 2.50 to 2.50."


def test_alternative_text_says_the_ends_and_the_cap() -> None:
    (panel,) = panels(run_of({"local/bound": 0.5, "local/cap": 7.6}, {"local/bound": 3.25, "local/cap": 7.6}))
    assert panel.alt == "local: bound, nats, steps 20 to 40: local/bound from 0.500 to 3.25; cap 7.60."
    assert panel.alt in curves.draw(panel)


def test_thinned_keeps_short_curves_and_the_mean_of_long_ones() -> None:
    rng = np.random.default_rng(0)
    short = Line("a", np.arange(300.0), rng.standard_normal(300))
    assert thinned(short) is short
    long = Line("a", np.arange(6000.0), rng.standard_normal(6000))
    thin = thinned(long, 300)
    assert len(thin.steps) == 300
    slow = [(long.steps[i : i + 20].mean(), long.values[i : i + 20].mean()) for i in range(0, 6000, 20)]
    np.testing.assert_allclose(np.column_stack([thin.steps, thin.values]), slow)


def test_thinned_ignores_gaps_inside_a_stretch_and_keeps_whole_ones() -> None:
    values = np.ones(1000)
    values[3] = math.nan
    values[500:600] = math.nan
    thin = thinned(Line("a", np.arange(1000.0), values), 100)
    assert np.isnan(thin.values).sum() == 10
    np.testing.assert_array_equal(thin.values[:50], 1.0)


def test_one_wild_value_does_not_flatten_the_curve() -> None:
    values = np.linspace(1, 2, 200)
    values[7] = 1e6
    low, high = curves._span(values)
    assert (low, high) == pytest.approx((1, 2), abs=0.05)
    assert curves._span(np.linspace(1, 2, 200)) == (1, 2)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1240.4, "1,240"),
        (64, "64"),
        (57.34, "57.3"),
        (99.96, "100"),
        (6.543, "6.54"),
        (0.12, "0.120"),
        (0, "0"),
        (-3.2, "-3.20"),
        (5, "5.00"),
    ],
)
def test_value(number: float, text: str) -> None:
    assert value(number) == text
