import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deepinfomax import files
from deepinfomax.evaluation.record import Record

HEAD = {"data": {"train": {"shape": (3, 8, 8)}}, "encoder": {"fingerprint": "a"}, "scale": "cpu", "seed": 0}


@pytest.fixture(autouse=True)
def _locks_go_with_the_test(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("locks")))


def seeds(folder: Path) -> dict[str, tuple[int, list[str]]]:
    trees = {path.name: json.loads(path.read_text()) for path in folder.iterdir()}
    return {name: (tree["seed"], list(tree["measures"])) for name, tree in trees.items()}


def test_figures_that_another_process_put_survive(tmp_path: Path) -> None:
    out = tmp_path / "evaluation.json"
    one, other = Record(HEAD, out), Record(HEAD, out)
    one.note("by one")
    one.put(("measures", "knn", "y"), {"accuracy": 0.1})
    other.note("by the other")
    other.put(("measures", "knn", "fc"), {"accuracy": 0.2})
    other.put(("measures", "knn", "y"), {"accuracy": 0.3})
    one.put(("measures", "rank"), {"effective_rank": 4.0})
    found = json.loads(out.read_text())
    assert found["measures"] == {
        "knn": {"y": {"accuracy": 0.3}, "fc": {"accuracy": 0.2}},
        "rank": {"effective_rank": 4.0},
    }
    assert found["notes"] == ["by one", "by the other"]
    del found["sum"]
    assert one.contents == found
    before = out.read_text()
    other.write()
    assert out.read_text() == before
    assert [path.name for path in tmp_path.iterdir()] == ["evaluation.json"]


def test_many_at_once_lose_nothing(tmp_path: Path) -> None:
    out = tmp_path / "evaluation.json"

    def puts(number: int) -> None:
        record = Record(HEAD, out)
        for i in range(15):
            record.put(("measures", f"{number} {i}"), {"nats": 1.0})

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(puts, range(3)))
    assert len(json.loads(out.read_text())["measures"]) == 45


def test_two_evaluations_that_differ_take_turns(tmp_path: Path) -> None:
    out = tmp_path / "evaluation.json"
    said: list[str] = []
    one, other = Record(HEAD, out), Record(HEAD | {"seed": 1}, out, said.append)
    one.put(("measures", "a"), {})
    other.put(("measures", "b"), {})
    assert said == [f"{out} was of other data, encoder, scale or seed: kept as evaluation.1.json"]
    one.put(("measures", "c"), {})
    other.put(("measures", "d"), {})
    assert said[1].endswith("kept as evaluation.1.json; evaluation.2.json was of this one: brought back")
    assert seeds(tmp_path) == {"evaluation.json": (1, ["b", "d"]), "evaluation.1.json": (0, ["a", "c"])}


@pytest.mark.parametrize("broken", ['{"measures": 3}', '{"measures": {}, "controls": {}, "notes": 0}', "[]", "{"])
def test_a_file_that_is_no_record_is_set_aside(tmp_path: Path, broken: str) -> None:
    out = tmp_path / "evaluation.json"
    out.write_text(broken)
    Record(HEAD, out).put(("measures", "a"), {"accuracy": 0.5})
    assert json.loads(out.read_text())["measures"] == {"a": {"accuracy": 0.5}}
    assert (tmp_path / "evaluation.1.json").read_text() == broken


def test_a_changed_digit_is_noticed_where_no_journal_is(tmp_path: Path) -> None:
    out, said = tmp_path / "e.npz.evaluation.json", list[str]()
    Record(HEAD, out).put(("measures", "knn"), {"accuracy": 0.5})
    assert Record(HEAD, out).has(("measures", "knn"))
    out.write_text(out.read_text().replace("0.5", "0.7"))
    record = Record(HEAD, out, said.append)
    assert not record.has(("measures", "knn"))
    record.put(("measures", "knn"), {"accuracy": 0.5})
    assert "was damaged or changed by hand: kept as e.npz.evaluation.1.json" in said[0]


def test_figures_that_were_written_and_are_gone_are_told(tmp_path: Path) -> None:
    said: list[str] = []
    files.begin_journal(tmp_path)
    record = Record(HEAD, tmp_path / "evaluation.json", said.append)
    record.put(("measures", "knn"), {"accuracy": 0.5})
    Record(HEAD, tmp_path / "evaluation.json", said.append)
    assert said == []
    (tmp_path / "evaluation.json").unlink()
    Record(HEAD, tmp_path / "evaluation.json", said.append)
    assert "evaluation.json was written there and is gone" in said[0]


def test_a_figure_that_is_none_is_not_there() -> None:
    record = Record(HEAD, None)
    record.contents["measures"]["rank"] = None
    assert not record.has(("measures", "rank"))


def test_a_figure_is_there_when_it_agrees() -> None:
    record = Record(HEAD, None)
    record.put(("controls", "supervised"), {"accuracy": 0.5, "steps": 3})
    record.put(("controls", "supervised", "folds"), {"steps": 3})
    record.put(("controls", "supervised"), {"accuracy": 0.6, "steps": 4}, beside=True)
    assert record.has(("controls", "supervised", "folds"), steps=3)
    assert record.has(("controls", "supervised"), steps=4)
    assert not record.has(("controls", "supervised"), steps=3)
    assert not record.has(("controls", "supervised"), folds="x")
