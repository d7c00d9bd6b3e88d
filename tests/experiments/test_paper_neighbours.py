"""DIM(G) beside DIM(L): one smoke run on embedded photographs, whose encoders are those that a table trained."""

import json
from pathlib import Path

import pytest

from deepinfomax import experiments
from deepinfomax.experiments import nearest_in_y, paper_tables
from deepinfomax.experiments.published import METHODS, Row, Table


def test_both_methods_stand_beside_their_controls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = tuple(Row(name, METHODS[name]) for name in nearest_in_y.METHODS)
    monkeypatch.setitem(paper_tables.ALL_TABLES, "table2", Table("photographs", "photos", rows, levels=("y",)))
    monkeypatch.setitem(paper_tables.SCALES, "smoke", {"data.limit": 200})
    experiments.reproduce("table2", scale="smoke", out=tmp_path, seeds=1)
    trained = sorted(path.name for path in (tmp_path / "runs").iterdir())

    result = experiments.reproduce("neighbours", scale="smoke", out=tmp_path, seeds=1)
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == trained  # nothing was trained again
    found = result["runs"]["0"]
    assert found["steps"] == dict.fromkeys(nearest_in_y.METHODS, 4)
    assert found["shared"].keys() == {*nearest_in_y.METHODS, "random encoder", "pixels"}
    for name in (*nearest_in_y.METHODS, "random encoder"):
        for level in ("conv", "fc", "y"):
            assert all(0 <= share <= 1 for share in found["shared"][name][level].values())
    assert 0 < found["chance"] < found["shared"]["pixels"][""]["l1"]
    folder = tmp_path / "neighbours-smoke-seed0"
    assert {**json.loads((folder / "neighbours.json").read_text()), "hardware": found["hardware"]} == found
    assert {p.name for p in folder.glob("*.png")} == {f"neighbours_{level}.png" for level in ("conv", "fc", "y")}
