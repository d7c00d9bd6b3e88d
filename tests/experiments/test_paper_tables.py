import json
from pathlib import Path

import pytest

from deepinfomax import experiments, recipes
from deepinfomax.errors import UserError
from deepinfomax.experiments import tables
from deepinfomax.experiments.published import TABLES, Row, Table


def test_every_row_is_a_configuration() -> None:
    for name, table in TABLES.items():
        names = [row.name for row in table.rows]
        assert len(set(names)) == len(names), name
        for row in table.rows:
            for scale in recipes.SCALES:
                made = tables.row_config(table, row, scale, 3)
                assert made.seed == 3
                assert made.data.source == table.data
            assert all(0 < v < 1 for v in row.published.values())


def test_the_papers_figures_are_fractions_of_the_right_cells() -> None:
    published = {row.name: row.published for row in TABLES["table1"].rows}
    assert published["DIM(L) infoNCE"] == {"conv": 0.7521, "fc": 0.7557, "y": 0.6913}
    assert published["DIM(G)"] == {"conv": 0.522, "fc": 0.5284, "y": 0.4317}
    assert {row.name: row.published for row in TABLES["table5"].rows}["DIM"]["y"] == 0.7065


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Table:
    table = Table("a small table", "photos", (Row("DIM", "dim-local", {"y": 0.5}), Row("NAT", "nat")), levels=("y",))
    monkeypatch.setitem(TABLES, "small", table)
    monkeypatch.setitem(tables.SCALES, "smoke", {"data.limit": 200})
    return table


def test_a_table_from_training_to_figures(small: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = experiments.reproduce("small", scale="smoke", out=tmp_path, seeds=2, device="cpu")
    written = json.loads((tmp_path / "small-smoke.json").read_text())
    assert {k: v for k, v in result.items() if k != "text"} | {"minutes": 0} == written | {"minutes": 0}
    assert written["seeds"] == [0, 1]
    assert written["not_run"] == []
    dim, nat = written["rows"]
    cell = dim["measured"]["mlp"]["y"]
    assert cell["mean"] == pytest.approx(sum(cell["seeds"]) / 2, abs=1e-4)
    assert dim["published"] == {"y": 0.5}
    assert nat["published"] is None
    assert "DIM" in result["text"]
    assert "(50.0)" in result["text"]
    # What is finished is not trained again.
    steps = []
    monkeypatch.setattr("deepinfomax.training.loop._Step.__call__", lambda *a: steps.append(a))
    again = experiments.reproduce("small", scale="smoke", out=tmp_path, seeds=2, device="cpu")
    assert again["rows"] == result["rows"]
    assert not steps


def test_mistakes(small: Table, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing to reproduce under 'table9'; choose one of table1"):
        experiments.reproduce("table9", out=tmp_path)
    with pytest.raises(UserError, match="unknown scale 'huge'"):
        experiments.reproduce("small", scale="huge", out=tmp_path)
    with pytest.raises(UserError, match="at least 1"):
        experiments.reproduce("small", seeds=0, out=tmp_path)
    assert "table5" in experiments.reproduce("list")["known"]
