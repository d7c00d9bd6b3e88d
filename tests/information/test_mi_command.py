"""`deepinfomax estimate-mi` on tables: from a CSV to a number with interval, p-value and page."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import command

QUICK = ("--steps", "100", "--batch-size", "32", "--lr", "2e-3", "--device", "cpu")


@pytest.fixture(scope="module")
def csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    a, b, noise = rng.standard_normal((3, 300))
    frame = pd.DataFrame({"a": a, "b": b, "c": a + 0.5 * noise, "age": rng.integers(20, 40, 300)})
    frame["kind"] = np.where(frame["c"] > 0, "high", "low")
    frame["subject"] = np.arange(300) // 5
    path = tmp_path_factory.mktemp("table") / "table.csv"
    frame.to_csv(path, index=False)
    return path


def run(capsys: pytest.CaptureFixture, *words: object) -> tuple[int, str, str]:
    """`deepinfomax estimate-mi WORDS`."""
    return command.run(capsys, "estimate-mi", *map(str, words))


def test_a_number_with_interval_and_p_value_from_a_csv(capsys, csv, tmp_path):
    page = tmp_path / "out.html"
    code, out, _ = run(capsys, csv, "--x", "a,b", "--y", "kind", "--test", "--report", page, *QUICK)
    assert code == 0
    assert re.match(
        r"I\(a, b; kind\) is at least 0\.\d+ nats \(.* bits, \d+% of the entropy of the labels; 95% interval", out
    )
    assert "p = 0.001, by 999 shuffles" in out
    html = page.read_text(encoding="utf-8")
    assert "a, b; kind" in html
    assert html.count("<svg") == 3
    assert re.search(r'<p class="sentence">A dependence was found, of at least 0\.\d+ nats\.</p>', html)
    assert re.search(
        r"<blockquote>I\(a, b; kind\) was measured by infonce with a separable critic \(a lower bound\)", html
    )
    assert "permutation test with 999 shuffles, p = 0.001; ksg of the same pairs: " in html
    assert "http" not in re.sub(r"http-equiv", "", html)  # nothing from outside
    assert "<script" not in html


def test_json_keeps_its_keys_and_has_more(capsys, csv):
    _, out, _ = run(capsys, csv, "--x", "a", "--y", "c", "--estimator", "ksg", "--json")
    result = json.loads(out)
    assert {"nats", "standard_error", "lower_bound", "cap", "n_train", "n_test", "estimator", "critic"} <= set(result)
    assert {"seconds", "warning", "seeds", "train_nats"} <= set(result)
    assert result["interval"][0] < result["nats"] < result["interval"][1]
    assert result["bits"] > result["nats"]


def test_no_dependence_is_said_and_labels_are_told(capsys, csv):
    _, out, _ = run(capsys, csv, "--x", "b", "--y", "age", "--estimator", "ksg", "--test")
    assert "no dependence found" in out
    assert "the 20 different whole numbers of age are taken as labels, names without order: --numbers age takes" in out
    _, out, _ = run(capsys, csv, "--x", "b", "--y", "age", "--estimator", "ksg", "--numbers", "age")
    assert "taken as labels" not in out


def test_jsd_says_what_it_runs(capsys, csv):
    _, out, _ = run(capsys, csv, "--x", "a", "--y", "c", "--estimator", "jsd", *QUICK)
    assert "jsd is taken as jsd-nwj" in out
    _, out, _ = run(capsys, "--help")
    assert "jsd means jsd-nwj" in " ".join(out.replace("│", " ").split())


def test_given_a_third_column(capsys, csv):
    _, out, _ = run(capsys, csv, "--x", "a", "--y", "kind", "--given", "c", "--test", "--shuffles", "49")
    assert out.startswith("I(a; kind | c): no dependence found")
    _, out, _ = run(capsys, csv, "--x", "a", "--y", "c", "--given", "kind", "--json")
    assert json.loads(out)["nats"] > 0.2


def test_groups_and_auto(capsys, csv):
    words = ("--x", "a", "--y", "c", "--groups", "subject", "--json", "--estimator", "auto", *QUICK)
    _, out, _ = run(capsys, csv, *words)
    result = json.loads(out)
    assert result["groups"] == 60
    assert result["beside"]["nats"] != result["nats"]


def test_groups_of_tables_and_of_what_is_given(capsys, csv):
    _, out, _ = run(capsys, csv, "--x", "a", "--y", "c", "--given", "b", "--groups", "subject", "--json")
    assert json.loads(out)["groups"] == 60
    _, rows, _ = run(capsys, csv, "--x", "a", "--y", "c", "--given", "b", "--json")
    assert json.loads(rows)["groups"] is None
    _, out, _ = run(capsys, csv, "--matrix", "--groups", "subject", "--json")
    assert json.loads(out)["columns"] == ["a", "b", "c", "age", "kind"]
    _, by_rows, _ = run(capsys, csv, "--matrix", "--x", "a,b,c,age,kind", "--json")
    first, of_rows = (json.loads(said)["pairs"][1] for said in (out, by_rows))
    assert first["nats"] != of_rows["nats"]
    assert (first["groups"], of_rows["groups"]) == (60, None)
    _, out, _ = run(capsys, csv, "--y", "c", "--block", "3", "--json")
    assert {row["groups"] for row in json.loads(out)["columns"]} == {100}


def test_a_matrix_and_a_ranking_with_pages(capsys, csv, tmp_path):
    page = tmp_path / "matrix.html"
    code, out, _ = run(capsys, csv, "--matrix", "--x", "a,b,c,kind", "--report", page, "--json")
    assert code == 0
    assert len(json.loads(out)["pairs"]) == 6
    assert "heat map" in page.read_text(encoding="utf-8").lower()
    _, out, _ = run(capsys, csv, "--y", "c", "--test", "--shuffles", "99", "--report", tmp_path / "r.html")
    assert out.splitlines()[0] == "What each column tells of c, in nats, with its 95% interval:"
    assert out.splitlines()[1].split()[0] in ("a", "kind")
    assert "adjusted p" in out
    assert "no dependence found" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_convergence_is_said_and_drawn(capsys, csv, tmp_path):
    words = ("--x", "a", "--y", "c", "--estimator", "ksg", "--convergence", "--report", tmp_path / "c.html")
    _, out, _ = run(capsys, csv, *words)
    assert "From 150 to 300 pairs the value goes from" in out
    assert "By pairs" in (tmp_path / "c.html").read_text(encoding="utf-8")


def test_other_files(capsys, csv, tmp_path):
    frame = pd.read_csv(csv)
    frame.to_parquet(tmp_path / "t.parquet")
    np.savez(tmp_path / "t.npz", a=frame["a"].to_numpy(), c=frame["c"].to_numpy())
    frame[["a"]].to_csv(tmp_path / "x.csv", index=False)
    np.save(tmp_path / "y.npy", frame["c"].to_numpy())
    frame.to_csv(tmp_path / "t.tsv", sep="\t", index=False)
    end = ("--estimator", "ksg", "--json")
    files = [(tmp_path / f"t.{kind}", "--x", "a", "--y", "c") for kind in ("parquet", "npz", "tsv")]
    files += [(tmp_path / "x.csv", tmp_path / "y.npy"), (csv, "--x", "a", "--y", "c")]
    values = [json.loads(run(capsys, *words, *end)[1])["nats"] for words in files]
    assert values == pytest.approx([values[0]] * 5, abs=1e-9)


def test_two_columns_need_no_names_and_a_number_of_each_row_is_left_out(capsys, csv, tmp_path):
    frame = pd.read_csv(csv)
    np.savetxt(tmp_path / "two.csv", frame[["a", "c"]], delimiter=",")
    _, out, _ = run(capsys, tmp_path / "two.csv", "--estimator", "ksg", "--json")
    named = run(capsys, csv, "--x", "a", "--y", "c", "--estimator", "ksg", "--json")[1]
    assert json.loads(out)["nats"] == pytest.approx(json.loads(named)["nats"], abs=1e-9)
    frame["id"] = range(300)
    frame[["a", "c", "id", "kind"]].to_csv(tmp_path / "id.csv", index=False)
    _, out, _ = run(capsys, tmp_path / "id.csv", "--matrix")
    assert "3 pairs of columns" in out
    assert "Note: left out: id has 300 different labels in 300 rows" in out
    code, _, err = run(capsys, tmp_path / "id.csv", "--x", "id", "--y", "c")
    assert code == 2
    assert "--numbers COLUMN" in err
    code, _, err = run(capsys, tmp_path / "id.csv", "--y", "id")
    assert code == 2
    frame[["a", "id"]].to_csv(tmp_path / "one.csv", index=False)
    code, _, err = run(capsys, tmp_path / "one.csv", "--matrix")
    assert code == 2
    assert "fewer than two columns can be compared: id has 300 different labels" in err
    code, _, err = run(capsys, tmp_path / "two.csv", "--given", "1")
    assert code == 2
    assert "say which columns to compare" in err


def test_no_column_of_names_is_proposed_to_be_compared(capsys, tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"id": [f"p{i}" for i in range(300)], "a": rng.normal(size=300), "body mass": range(300)})
    frame["number"], frame["body mass"] = range(300), rng.normal(size=300)
    frame.to_csv(tmp_path / "rows.csv", index=False)
    code, _, err = run(capsys, tmp_path / "rows.csv")
    assert code == 2
    assert "such as --x a --y 'body mass', or" in err


def test_labels_with_gaps_are_labels(capsys, tmp_path):
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 3, 200)
    frame = pd.DataFrame({"a": kind + rng.normal(size=200), "kind": kind, "age": 1.0 * kind})
    whole = frame["kind"].astype("Int64")
    whole[:20] = pd.NA
    gaps = frame.assign(kind=whole, age=frame["age"].where(frame.index > 19), code=whole.fillna(-1))
    words = ("--x", "a", "--estimator", "ksg", "--drop-missing", "--json")
    gaps.to_csv(tmp_path / "gaps.csv", index=False)
    gaps.to_parquet(tmp_path / "gaps.parquet")
    gaps[20:].assign(kind=kind[20:]).to_csv(tmp_path / "without.csv", index=False)
    _, out, _ = run(capsys, tmp_path / "without.csv", *words, "--y", "kind")
    expected = json.loads(out)
    for name in ("gaps.csv", "gaps.parquet"):
        _, out, _ = run(capsys, tmp_path / name, *words, "--y", "kind")
        answer = json.loads(out)
        assert answer["nats"] == expected["nats"]
        assert answer["share_of_entropy"] == expected["share_of_entropy"]
        assert answer["notes"] == ["20 of 200 rows have a missing value and were left out", *expected["notes"]]
    _, out, _ = run(capsys, tmp_path / "gaps.csv", *words, "--y", "age")
    said = (
        "numbers like 1.0, beside missing values, are taken as quantities: age; write 1, or words, if they are labels"
    )
    assert said in json.loads(out)["notes"]
    _, out, _ = run(capsys, tmp_path / "gaps.csv", *words, "--y", "code")
    assert "-1 is one of them, in 20 rows: leave these out if it means no label" in json.loads(out)["notes"][0]
    _, out, _ = run(capsys, tmp_path / "gaps.csv", *words, "--y", "kind", "--numbers", "kind")
    assert json.loads(out)["share_of_entropy"] is None


def test_missing_values(capsys, csv, tmp_path):
    frame = pd.read_csv(csv)
    frame.loc[:9, "a"] = np.nan
    frame.loc[5:14, "kind"] = None
    frame.to_csv(tmp_path / "m.csv", index=False)
    words = (tmp_path / "m.csv", "--x", "a", "--y", "kind", "--estimator", "ksg")
    code, _, err = run(capsys, *words)
    assert code == 2
    assert "15 of 300 rows" in err
    assert "--drop-missing" in err
    code, out, _ = run(capsys, *words, "--drop-missing")
    assert code == 0
    assert "15 of 300 rows have a missing value and were left out" in out
    assert run(capsys, tmp_path / "m.csv", "--x", "b", "--y", "c", "--estimator", "ksg")[0] == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("CSV",), "say which columns to compare, such as --x a --y subject"),
        (("CSV", "--x", "a", "--y", "z"), "no column 'z'; it has a, b, c, age, kind, subject"),
        (("CSV", "CSV", "--x", "a"), "name columns of one table"),
        (("nothing.csv", "--matrix"), "does not exist"),
        (("CSV", "--matrix", "--y", "a"), "leave --y out"),
        (("CSV", "--y", "a,b"), "name one column by --y"),
        (("CSV", "--matrix", "--given", "a"), "takes no --given"),
        (("CSV", "--x", "a", "--y", "b", "--report", "out.pdf"), "such as out.html"),
        (("CSV", "--x", "a", "--y", "b", "--convergence", "--block", "2", *QUICK), "takes no --block"),
        (("CSV", "--x", "a", "--y", "b", "--convergence", "--given", "c"), "takes no --given: it is of one pair"),
        (("CSV", "--x", "a,b", "--y", "b"), "column 'b' stands in --x and in --y"),
        (("CSV", "--x", "a", "--y", "b", "--given", "a"), "column 'a' stands in --x and in --given"),
        (("CSV", "--matrix", "--convergence"), "--convergence takes no --matrix: it is of one pair"),
    ],
)
def test_mistakes(capsys, csv, words, says):
    code, _, err = run(capsys, *(csv if word == "CSV" else word for word in words))
    assert code == 2
    assert says in err
    assert len(err.strip().splitlines()) == 1


def test_a_mistaken_cell_is_named_and_the_advice_works(capsys, tmp_path):
    rng = np.random.default_rng(0)
    cells = [f"{value:.4f}" for value in rng.standard_normal(300)]
    pd.DataFrame(
        {"x": rng.standard_normal(300), "weight": ["n.d." if i == 5 else c for i, c in enumerate(cells)]}
    ).to_csv(tmp_path / "one.csv", index=False)
    pd.DataFrame({"x": rng.standard_normal(300), "weight": [f"{c} kg" for c in cells]}).to_csv(
        tmp_path / "all.csv", index=False
    )
    for words in ((), ("--numbers", "weight")):
        code, _, err = run(capsys, tmp_path / "one.csv", "--estimator", "ksg", *words)
        assert code == 2
        assert "column weight of one.csv has 'n.d.' in row 6 which is no number" in err
        assert len(err.strip().splitlines()) == 1
    code, _, err = run(capsys, tmp_path / "all.csv", "--estimator", "ksg", "--numbers", "weight")
    assert code == 2
    assert "in row 1, as 299 other rows do, which is no number" in err
    code, _, err = run(capsys, tmp_path / "all.csv", "--estimator", "ksg")
    assert re.search(r"weight has \d+ different labels in 300 rows", err)  # words they are, and by their own name
    text = (tmp_path / "one.csv").read_text().replace("n.d.", "")
    (tmp_path / "empty.csv").write_text(text)
    code, out, _ = run(capsys, tmp_path / "empty.csv", "--estimator", "ksg", "--drop-missing")
    assert code == 0
    assert "1 of 300 rows have a missing value" in out


def test_files_and_tables_are_called_by_their_names(capsys, tmp_path):
    rng = np.random.default_rng(0)
    pd.DataFrame({"only": rng.standard_normal(100)}).to_csv(tmp_path / "w.csv", index=False)
    code, _, err = run(capsys, tmp_path / "w.csv")
    assert code == 2
    assert "w.csv has one column, only, and mutual information is of two" in err
    pd.DataFrame(rng.standard_normal((60, 500)), columns=[f"w{i}" for i in range(500)]).to_csv(
        tmp_path / "wide.csv", index=False
    )
    code, _, err = run(capsys, tmp_path / "wide.csv")
    assert code == 2
    assert "w10, w11 and 488 more" in err
    assert len(err) < 400
    for name, rows in (("a.npy", 100), ("b.npy", 90)):
        np.save(tmp_path / name, rng.standard_normal(rows))
    code, _, err = run(capsys, tmp_path / "a.npy", tmp_path / "b.npy")
    assert code == 2
    assert "a.npy has 100 rows but b.npy has 90" in err


def test_a_constant_column_is_told_by_its_name(capsys, csv, tmp_path):
    pd.read_csv(csv).assign(flat=1.5).to_csv(tmp_path / "flat.csv", index=False)
    code, _, err = run(capsys, tmp_path / "flat.csv", "--x", "a,flat", "--y", "b")
    assert code == 2
    assert "flat is constant and carries no information: drop it" in err


def test_settings_without_an_effect_are_told(capsys, csv):
    code, out, _ = run(capsys, csv, "--x", "a", "--y", "c", "--given", "age", "--folds", "3", "--steps", "9")
    assert code == 0
    assert "Note: --folds, --steps have no effect here: nearest neighbours answer" in out
    assert "different whole numbers of age are taken as labels, names without order: --numbers age takes" in out
    _, bent, _ = run(capsys, csv, "--x", "a", "--y", "c", "--given", "b", "--transform", "none", "--json")
    _, ranks, _ = run(capsys, csv, "--x", "a", "--y", "c", "--given", "b", "--json")
    assert json.loads(bent)["nats"] != json.loads(ranks)["nats"]
    assert not json.loads(bent)["notes"]
    _, out, _ = run(capsys, csv, "--y", "c", "--transform", "asinh", "--estimator", "dv")
    assert "Note: --estimator, --transform have no effect here: a table goes by nearest neighbours" in out
    assert "no effect" not in run(capsys, csv, "--y", "c", "--estimator", "ksg", "--test", "--shuffles", "99")[1]


def test_too_few_shuffles_are_told(capsys, csv):
    words = (csv, "--x", "a", "--y", "c", "--test", "--estimator", "ksg", "--shuffles")
    assert (
        "19 shuffles cannot show a dependence at 5 %, however strong it is: that takes 20" in run(capsys, *words, 19)[1]
    )
    assert "cannot show" not in run(capsys, *words, 20)[1]
    assert "9 shuffles cannot show" in run(capsys, csv, "--x", "a", "--y", "c", "--given", "b", *words[5:], 9)[1]


def test_rows_are_dropped_for_every_column_that_is_ranked(capsys, csv, tmp_path):
    frame = pd.read_csv(csv)
    frame.loc[:9, "a"] = np.nan
    frame["remark"] = ["no" + "w" * i if i > 50 else None for i in range(300)]  # labels of a row each
    frame.to_csv(tmp_path / "m.csv", index=False)
    for words in (("--y", "c"), ("--matrix", "--groups", "subject"), ("--matrix",)):
        code, out, _ = run(capsys, tmp_path / "m.csv", *words, "--drop-missing", "--json")
        assert code == 0
        result = json.loads(out)
        assert result["notes"][0] == "10 of 300 rows have a missing value and were left out"
        names = [row["column"] for row in result["columns"]] if "target" in result else result["columns"]
        assert {"a", "b", "age", "kind"} <= set(names)
        assert "remark" not in names
    frame["row"] = pd.Series(range(300)).where(frame.index > 15).astype("Int64")
    frame.to_csv(tmp_path / "rows.csv", index=False)
    out = run(capsys, tmp_path / "rows.csv", "--matrix", "--drop-missing")[1]
    assert "left out: row has 284 different labels in 284 rows" in out
    out = run(capsys, tmp_path / "m.csv", "--y", "c")[1]
    assert "left out: a has 10 missing" in out


def test_names_of_rows_are_no_column_beside_others(capsys, csv, tmp_path):
    frame = pd.read_csv(csv)
    frame["name"] = [f"row {i}" for i in range(300)]
    frame.to_csv(tmp_path / "n.csv", index=False)
    code, _, err = run(capsys, tmp_path / "n.csv", "--x", "a,name", "--y", "c", "--estimator", "ksg")
    assert code == 2
    assert "name has 300 different labels in 300 rows" in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("CSV", "CSV", "--numbers", "age"), "--numbers and --drop-missing are of one table"),
        (("CSV", "CSV", "--drop-missing"), "--numbers and --drop-missing are of one table"),
        (("CSV", "--y", "a", "--transform", "log"), "unknown transform 'log'"),
        (("CSV", "--y", "a", "--estimator", "clubb"), "unknown estimator 'clubb'"),
        (("CSV", "--y", "a", "--report", "CSV/out.html"), "no page can be written there"),
        (("CSV", "--y", "a", "--shuffles", "-1"), "shuffles must be 0 or more"),
    ],
)
def test_mistakes_are_told_before_anything_is_computed(capsys, csv, words, says, monkeypatch):
    monkeypatch.setattr("deepinfomax.information.mi_command.mi_with", None)
    code, _, err = run(capsys, *(word.replace("CSV", str(csv)) for word in words))
    assert code == 2
    assert says in err
    assert len(err.strip().splitlines()) == 1
