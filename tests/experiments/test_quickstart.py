import json
from pathlib import Path

import pytest

from deepinfomax.errors import UserError
from deepinfomax.experiments import quickstart


def test_from_photographs_to_a_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole of it, with too few steps to learn much."""
    changes = {"training.steps": 6, "encoder.width": 8, "data.limit": 1000, "training.trackers": []}
    monkeypatch.setitem(quickstart.STAGES, "photos", quickstart.Stage(changes, 3))
    result = quickstart.run("photos", tmp_path / "quick", device="cpu")
    evaluation = json.loads((tmp_path / "quick/evaluation.json").read_text())
    assert result["evaluation"]["measures"] == evaluation["measures"]
    assert set(evaluation["controls"]) == {"pixels", "random_encoder", "supervised"}
    for tree in (evaluation["measures"], evaluation["controls"]["random_encoder"]):
        assert 0 <= tree["linear_10_per_class"]["y"]["accuracy"] <= 1
    assert "10_per_class" in evaluation["controls"]["supervised"]
    page = (tmp_path / "quick/report.html").read_text()
    assert "supervised" in page
    assert result["text"].count("Verdict: ") == 1
    assert "-  " not in result["text"].split("Verdict")[0]


@pytest.mark.parametrize(
    ("dim", "words"), [(0.6, "beats raw pixels"), (0.2, "does not beat both"), (0.3, "lacks 0 points")]
)
def test_the_verdict_is_honest_either_way(dim: float, words: str) -> None:
    def cells(value: float) -> dict:
        return {"knn": {"y": {"accuracy": value}}}

    controls = {"pixels": {"knn": {"accuracy": 0.3}}, "random_encoder": cells(0.25)}
    assert words in quickstart.judgement({"measures": cells(dim), "controls": controls})


def test_a_second_time_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "config.toml").touch()
    with pytest.raises(UserError, match="exists: remove it, or choose another place with --out"):
        quickstart.run("photos", tmp_path)


def test_other_data_have_another_command() -> None:
    with pytest.raises(UserError, match="deepinfomax train DATA"):
        quickstart.configured("imagenet")
