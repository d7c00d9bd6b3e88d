"""What the page about mutual information says, of made-up estimates."""

import dataclasses
import math
import re
from pathlib import Path

import pytest

from deepinfomax.information.estimate import MIEstimate
from deepinfomax.information.tables import Matrix, Ranking, Row
from deepinfomax.report.mi_page import headline, methods, write_estimate, write_table

NEIGHBOURS = MIEstimate(
    nats=0.55, standard_error=0.02, lower_bound=False, cap=6.0, n_train=0, n_test=1200, estimator="ksg", critic=None,
    seconds=0.3, warning=None, seeds=(0,), degrees=9,
)  # fmt: skip
BOUND = dataclasses.replace(
    NEIGHBOURS, nats=0.483, standard_error=0.03, lower_bound=True, n_train=720, n_test=240, estimator="infonce",
    critic="separable", beside=NEIGHBOURS, p_value=0.001, shuffles=999, seeds=(0, 1), degrees=None,
)  # fmt: skip


@pytest.mark.parametrize(
    ("estimate", "says"),
    [
        (BOUND, "A dependence was found, of at least 0.48 nats."),
        (NEIGHBOURS, "A dependence was found, of about 0.55 nats."),
        (dataclasses.replace(NEIGHBOURS, nats=123.4), "A dependence was found, of about 123 nats."),
        (dataclasses.replace(BOUND, p_value=0.3), "No dependence was found."),
        (dataclasses.replace(BOUND, nats=math.nan), "No number could be had."),
    ],
)
def test_the_answer_stands_first(tmp_path: Path, estimate: MIEstimate, says: str) -> None:
    assert headline(estimate) == says
    page = write_estimate(estimate, tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.index("<h1>") < page.index(says) < page.index("<dl")


def test_a_sentence_for_a_paper() -> None:
    said = methods(BOUND)
    assert said is not None
    assert re.fullmatch(
        r"I\(X; Y\) was measured by infonce with a separable critic \(a lower bound\) on 240 pairs held out from 720 "
        r"to train on: 0\.483 nats, 95% interval 0\.424 to 0\.595; permutation test with 999 shuffles, p = 0\.001; ksg "
        r"of the same pairs: 0\.55 nats \(deepinfomax [\w.+]+, seeds 0, 1\)\.",
        said,
    )
    assert "(an estimate and no bound) on 1,200 pairs in 60 independent groups: " in (
        methods(dataclasses.replace(NEIGHBOURS, groups=60)) or ""
    )
    assert "95% interval 0.424 to no upper end" in (methods(dataclasses.replace(BOUND, shortfall=math.inf)) or "")
    assert methods(dataclasses.replace(BOUND, nats=math.nan)) is None


def test_p_values_have_columns_only_where_there_are_any(tmp_path: Path) -> None:
    row = Row("a", dataclasses.replace(NEIGHBOURS, p_value=0.05, shuffles=19), 0.05)
    page = write_table(Ranking("b", (row,), 1.0), tmp_path / "a.html").read_text(encoding="utf-8")
    assert "adjusted p" in page
    assert "19 shuffles cannot show a dependence of one pair alone among 1 at 5 %" in page
    page = write_table(Ranking("b", (Row("a", NEIGHBOURS, None),), 1.0), tmp_path / "b.html").read_text(
        encoding="utf-8"
    )
    assert "adjusted p" not in page
    assert "shuffles cannot" not in page


def test_a_pair_without_a_number_is_none_of_0_nats(tmp_path: Path) -> None:
    estimates = {("a", "b"): NEIGHBOURS, ("a", "c"): dataclasses.replace(NEIGHBOURS, nats=math.nan), ("b", "c"): BOUND}
    page = write_table(Matrix(("a", "b", "c"), estimates, {}, 1.0), tmp_path / "a.html").read_text(encoding="utf-8")
    drawn = page[: page.index("In figures")]
    assert sorted(re.findall(r">(–|\d\.\d\d)</text>", drawn)) == ["0.48", "0.48", "0.55", "0.55", "–", "–"]
