"""Tables: the paper's figures stand where they should, rows are runnable, and a run resumes by row and seed."""

import dataclasses
import json
import math
import shutil
from pathlib import Path
from types import SimpleNamespace

import published_layouts
import pytest

from deepinfomax import experiments, recipes
from deepinfomax.errors import UserError
from deepinfomax.experiments import drawings, jsd_and_mi, paper_tables
from deepinfomax.experiments.published import STEPS, TABLES, Row, Table
from deepinfomax.experiments.table_results import RowResult, Spread, columns, correlations


def test_every_row_is_a_configuration() -> None:
    for name, table in TABLES.items():
        names = [row.name for row in table.rows]
        assert len(set(names)) == len(names), name
        for row in table.rows:
            for scale in recipes.SCALES:
                made = paper_tables.row_config(table, row, scale, 3)
                assert made.seed == 3
                assert made.data.source == table.data
            # The paper's second figure of NDM, after a sigmoid, is one of the same quantity: see `evaluation.ndm`.
            assert set(row.published) - {"ndm.nats_sigmoid"} <= set(columns(table)), (name, row.name)
            accuracies = [v for c, v in row.published.items() if c.split(".")[0] in ("mlp", "svm", "semi_supervised")]
            assert all(0 < v < 1 for v in accuracies)


def test_the_papers_figures_are_fractions_of_the_right_cells() -> None:
    published = {row.name: row.published for row in TABLES["table1"].rows}
    assert published["DIM(L) infoNCE"] == {"mlp.conv": 0.7521, "mlp.fc": 0.7557, "mlp.y": 0.6913}
    assert published["DIM(G)"] == {"mlp.conv": 0.522, "mlp.fc": 0.5284, "mlp.y": 0.4317}
    assert {row.name: row.published for row in TABLES["table5"].rows}["DIM"]["mlp.y"] == 0.7065
    table_4 = {row.name: row.published for row in TABLES["table4"].rows}
    assert table_4["VAE"]["mine.nats"] == 93.02
    assert table_4["DIM(L+G)"]["ndm.nats_sigmoid"] == 0.5
    assert table_4["DIM(L), concat-and-convolve"]["svm.conv"] == 0.6325
    on_cifar100 = {row.name: row.published for row in TABLES["table5-cifar100"].rows}
    assert on_cifar100["DIM + both"] == {"mlp.conv": 0.4872, "mlp.fc": 0.48, "mlp.y": 0.4596}
    for name, figures in (("table3", [0.8095, 0.7745, 0.7751]), ("table3-stl10", [0.7697, 0.7781, 0.7821])):
        *crops, whole = TABLES[name].rows
        assert [row.published["mlp.conv"] for row in crops] == figures
        assert (whole.recipe, whole.published) == ("cpc", {})


@pytest.mark.parametrize("name", ["table3-tiny-imagenet", "table3-stl10"])
def test_table_3_of_larger_images_has_alexnet_at_the_papers_scale_only(name: str) -> None:
    def encoders(scale: recipes.Scale) -> list[tuple[str, str | None]]:
        made = [paper_tables.row_config(TABLES[name], row, scale, 0).encoder for row in TABLES[name].rows]
        return [(encoder["name"], encoder.get("stack")) for encoder in made]

    assert encoders("paper") == [("strided", "alexnet")] * 3 + [("alexnet", None)]
    assert encoders("cpu") == [("strided", "dcgan")] * 3 + [("dcgan", None)]


@pytest.mark.parametrize(("name", "wide"), [("table1", 0), ("table1-cifar100", 1), ("table2", 1), ("table2-stl10", 0)])
def test_where_classes_outnumber_y_a_supervised_row_has_its_head_on_fc(name: str, wide: int) -> None:
    rows = [row for row in TABLES[name].rows if row.recipe == "supervised"]
    levels = [paper_tables.row_config(TABLES[name], row, "paper", 0).objective["supervised"]["level"] for row in rows]
    assert levels == ["y", "fc"][: 1 + wide]


def test_at_the_scale_cpu_rows_have_equal_time_and_so_different_steps() -> None:
    table = TABLES["table1"]
    steps = {row.recipe: paper_tables.row_config(table, row, "cpu", 0).training.steps for row in table.rows}
    assert steps == {recipe: STEPS[recipe] for recipe in steps}
    at_64 = {
        r.recipe: paper_tables.row_config(TABLES["table2"], r, "cpu", 0).training.steps for r in TABLES["table2"].rows
    }
    assert at_64["dim-local"] == round(STEPS["dim-local"] / 4)
    half = paper_tables.row_config(TABLES["negatives"], TABLES["negatives"].rows[0], "cpu", 0)
    assert half.training.steps == STEPS["dim-local"] / 2
    long = paper_tables.row_config(TABLES["table1-10"], TABLES["table1-10"].rows[4], "cpu", 0)
    assert long.training.steps == STEPS["bigan"] * 5


def test_a_configuration_is_the_same_wherever_its_data_lie_and_no_other() -> None:
    table, row = TABLES["table1"], TABLES["table1"].rows[0]
    here, there = (paper_tables.row_config(table, row, "smoke", 0, Path(p)) for p in ("here", "there"))
    assert paper_tables.digest(here) == paper_tables.digest(there)
    assert paper_tables.digest(here) != paper_tables.digest(
        paper_tables.row_config(table, row, "smoke", 1, Path("here"))
    )


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Table:
    rows = (Row("DIM", "dim-local", {"mlp.y": 0.5}), Row("NAT", "nat"))
    table = Table("a small table", "photos", rows, levels=("y",), measures=("mlp", "ndm"))
    monkeypatch.setitem(paper_tables.ALL_TABLES, "small", table)
    monkeypatch.setitem(paper_tables.SCALES, "smoke", {"data.limit": 200})
    return table


def forbid_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(paper_tables, "train", refuse)


def test_a_table_from_training_to_figures(small: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = experiments.reproduce("small", scale="smoke", out=tmp_path, seeds=2, device="cpu")
    written = json.loads((tmp_path / "small-smoke.json").read_text())
    assert {k: v for k, v in result.items() if k != "text"} == written
    assert written["seeds"] == [0, 1]
    assert written["not_run"] == []
    dim, nat = written["rows"]
    cell = dim["measured"]["mlp.y"]
    assert cell["mean"] == pytest.approx(sum(cell["seeds"]) / 2, abs=1e-4)
    assert cell["sd"] == pytest.approx(abs(cell["seeds"][0] - cell["seeds"][1]) / math.sqrt(2), abs=1e-4)
    assert cell["seeds"][1] == pytest.approx(dim["runs"]["1"]["measures"]["mlp"]["y"]["accuracy"], abs=1e-4)
    assert dim["runs"]["0"]["steps"] == 4
    assert math.isfinite(nat["measured"]["ndm.nats"]["mean"])
    assert dim["published"] == {"mlp.y": 0.5}
    assert nat["published"] is None
    assert "(50.0)" in result["text"]

    controls = written["controls"]
    figures = [run["measures"]["mlp"]["y"]["accuracy"] for run in controls["runs"].values()]
    assert controls["random_encoder"]["mlp.y"]["mean"] == pytest.approx(sum(figures) / 2, abs=1e-4)
    assert len(controls["pixels"]["mlp"]["seeds"]) == 2
    assert "ndm" not in controls["pixels"]

    # What the file holds is not done again, though its run is gone; a row whose run is there is not trained again.
    forbid_training(monkeypatch)
    (tmp_path / "runs").rename(tmp_path / "moved")
    assert experiments.reproduce("small", scale="smoke", out=tmp_path, seeds=2, device="cpu")["rows"] == result["rows"]
    (tmp_path / "moved").rename(tmp_path / "runs")
    (tmp_path / "small-smoke.json").unlink()
    assert experiments.reproduce("small", scale="smoke", out=tmp_path, seeds=2, device="cpu")["rows"] == result["rows"]
    assert experiments.reproduce("small", scale="smoke", out=tmp_path, seeds=1, device="cpu")["rows"] == result["rows"]
    # So is one of an earlier version, which had a setting less and so another digest in its name.
    (tmp_path / "small-smoke.json").unlink()
    for config in list((tmp_path / "runs").glob("*/config.toml")):
        lines = config.read_text().splitlines()
        assert "skip_bad = false" in lines
        config.write_text("\n".join(line for line in lines if line != "skip_bad = false"))
        config.parent.rename(config.parent.with_name(config.parent.name[:-12] + "0" * 12))
    assert experiments.reproduce("small", scale="smoke", out=tmp_path, seeds=2, device="cpu")["rows"] == result["rows"]
    # So is a result of an earlier version, with other digests: its settings say what it is.
    earlier = json.loads((tmp_path / "small-smoke.json").read_text())
    assert earlier["config"]["data.limit"] == 200
    assert {row["name"]: row["config"]["recipe"] for row in earlier["rows"]} == {"DIM": "dim-local", "NAT": "nat"}
    assert not {"seed", "data.root"} & {key for row in earlier["rows"] for key in earlier["config"] | row["config"]}
    for of in [*earlier["rows"], earlier["controls"]]:
        of["runs"]["0"]["config"] = of["runs"]["1"]["config"] = "0" * 12
    del earlier["config"]["data.skip_bad"]
    (tmp_path / "small-smoke.json").write_text(json.dumps(earlier))
    (tmp_path / "runs").rename(tmp_path / "moved")
    assert experiments.reproduce("small", scale="smoke", out=tmp_path, seeds=2, device="cpu")["rows"] == result["rows"]
    no_settings = {"rows": [{k: v for k, v in row.items() if k != "config"} for row in earlier["rows"]]}
    others = [{"config": earlier["config"] | more} for more in ({"data.skip_bad": True}, {"data.gone": 1})]
    for other in (*others, no_settings):
        (tmp_path / "small-smoke.json").write_text(json.dumps(earlier | other))
        with pytest.raises(AssertionError, match="trained again"):
            experiments.reproduce("small", scale="smoke", out=tmp_path, seeds=1, device="cpu")
    shutil.rmtree(tmp_path / "runs")
    (tmp_path / "moved").rename(tmp_path / "runs")
    # An evaluation killed while it wrote a line of metrics is no obstacle.
    (tmp_path / "small-smoke.json").unlink()
    for metrics in (tmp_path / "runs").glob("*/metrics.jsonl"):
        metrics.write_text(metrics.read_text()[:-30])
    with pytest.raises(AssertionError, match="trained again"):
        experiments.reproduce("small", scale="smoke", out=tmp_path, seeds=1, device="cpu")
    # Another configuration is another run.
    monkeypatch.setitem(paper_tables.SCALES, "smoke", {"data.limit": 180})
    with pytest.raises(AssertionError, match="trained again"):
        experiments.reproduce("small", scale="smoke", out=tmp_path, seeds=1, device="cpu")


def test_a_table_cut_short_says_what_is_missing(small: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = paper_tables._one
    monkeypatch.setattr(paper_tables, "_one", lambda *a: whole(*a) if a[1].recipe == "dim-local" else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        experiments.reproduce("small", scale="smoke", out=tmp_path, seeds=2, device="cpu")
    written = json.loads((tmp_path / "small-smoke.json").read_text())
    assert written["not_run"] == ["DIM, seed 1", "NAT, seed 0", "NAT, seed 1"]
    assert [row["name"] for row in written["rows"]] == ["DIM"]


def test_two_processes_of_one_table_lose_nothing_of_each_other(
    small: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, others = paper_tables._one, []

    def one(*arguments):
        made = whole(*arguments)
        if not others:  # as if another process had run the other seed meanwhile
            others.append(1)
            experiments.reproduce("small", scale="smoke", out=tmp_path, seeds=1, seed=1, device="cpu")
        return made

    monkeypatch.setattr(paper_tables, "_one", one)
    written = experiments.reproduce("small", scale="smoke", out=tmp_path, seeds=1, device="cpu")
    assert written["seeds"] == [0, 1]
    assert written["not_run"] == []
    assert [sorted(row["runs"]) for row in written["rows"]] == [["0", "1"]] * 2
    assert sorted(written["controls"]["runs"]) == ["0", "1"]
    assert not list(tmp_path.glob("*partial*"))


def test_attributes_of_faces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CelebA's table on a made copy, from images and lists to nats and a drawing."""
    published_layouts.celeba(tmp_path / "celeba", count=60)
    table = dataclasses.replace(TABLES["celeba"], rows=TABLES["celeba"].rows[:2])
    monkeypatch.setitem(paper_tables.ALL_TABLES, "celeba", table)
    result = experiments.reproduce("celeba", scale="smoke", out=tmp_path, seeds=1, data_root=tmp_path, device="cpu")
    for row in result["rows"]:
        assert row["runs"]["0"]["measures"]["attributes"]["y"]["attributes"] == 40
        assert 0 < row["measured"]["attributes.y"]["mean"] < 10
    assert result["controls"]["pixels"]["attributes"]["mean"] > 0
    assert f"{result['rows'][0]['measured']['attributes.y']['mean']:.3f}" in result["text"]
    assert (tmp_path / "celeba-smoke.png").is_file()


CASES = sorted({row.recipe: {} for table in TABLES.values() for row in table.rows}.items())
CASES += [(row.recipe, row.changes) for name in ("negatives", "priors") for row in TABLES[name].rows]
CASES += [(row.recipe, row.changes) for name in ("weights", "ndm-and-beta") for row in TABLES[name].rows[::4]]


@pytest.mark.parametrize(("name", "changes"), CASES)
def test_every_recipe_of_the_tables_trains_and_is_measured(
    name: str, changes: dict[str, object], small: Table, tmp_path: Path
) -> None:
    config = paper_tables.row_config(small, Row(name, name, changes=changes), "smoke", 0)
    run = paper_tables._one(
        Table("", "photos", (), levels=("conv", "fc", "y")), config, "smoke", tmp_path / "run", "cpu"
    )
    assert all(0 < run.measures["mlp"][level]["accuracy"] < 1 for level in ("conv", "fc", "y"))


def test_drawings_show_every_row() -> None:
    for name, drawing in drawings.DRAWINGS.items():
        table = TABLES[name]
        rows = [
            RowResult(
                row.name,
                row.recipe,
                changes=dict(row.changes),
                config={},
                measured={c: Spread(i / 10, None) for c in columns(table)},
                published=None,
                runs={},
            )
            for i, row in enumerate(table.rows)
        ]
        panels = drawing(SimpleNamespace(rows=rows, scale="cpu")).axes
        lines = [x for axes in panels for line in axes.get_lines() for x in line.get_xdata() if len(line.get_xdata())]
        texts = [text for axes in panels for text in axes.texts]
        levels = len(columns(table)) if name == "negatives" else 1
        assert len(texts) + len(lines) >= len(rows) * levels
        if name == "weights":
            assert len(texts) == len(rows) * 4  # mlp at y, MS-SSIM, MINE, NDM
        if name == "celeba":
            assert len(texts) == len(rows)
    assert drawings.of("table1", {}) is None


def test_correlations_are_pearsons_over_rows() -> None:
    figures = [(0.1, 1.0), (0.2, 2.0), (0.4, 4.0)]
    measured = [{"reconstruction.ms_ssim": Spread(a, None), "mine.nats": Spread(b, None)} for a, b in figures]
    rows = [SimpleNamespace(measured=both) for both in measured]
    assert correlations(rows) == {"reconstruction.ms_ssim, mine.nats": 1.0}
    assert correlations(rows[:2]) == {}


def test_mistakes(small: Table, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing to reproduce under 'table9'; choose one of table1"):
        experiments.reproduce("table9", out=tmp_path)
    with pytest.raises(UserError, match="unknown scale 'huge'"):
        experiments.reproduce("small", scale="huge", out=tmp_path)
    with pytest.raises(UserError, match="at least 1"):
        experiments.reproduce("small", seeds=0, out=tmp_path)
    assert {"table5", "generator", "sequences", "jsd-and-mi"} <= set(experiments.reproduce("list")["known"])


def test_a_simulation_is_written_with_its_provenance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = experiments.reproduce("jsd-and-mi", scale="smoke", out=tmp_path, seeds=2, device="cpu")
    assert json.loads((tmp_path / "jsd-and-mi-smoke.json").read_text()) == result
    assert result["command"] == "deepinfomax reproduce jsd-and-mi --scale smoke --seeds 2 --seed 0"
    assert set(result["runs"]) == {"0", "1"}
    # Seeds that are there are kept, whatever is asked for next.
    monkeypatch.setattr(jsd_and_mi, "run", lambda scale, seed, out: {"seed": seed})
    again = experiments.reproduce("jsd-and-mi", scale="smoke", out=tmp_path, seeds=2, seed=1, device="cpu")
    assert again["runs"] == result["runs"] | {"2": {"seed": 2, "hardware": result["hardware"][0]}}
    assert again["seeds"] == [0, 1, 2]

    def meanwhile(scale: str, seed: int, out: Path) -> dict:
        monkeypatch.setattr(jsd_and_mi, "run", lambda scale, seed, out: {"seed": seed})
        experiments.reproduce("jsd-and-mi", scale="smoke", out=tmp_path, seeds=1, seed=3, device="cpu")
        return {"seed": seed}

    monkeypatch.setattr(jsd_and_mi, "run", meanwhile)
    both = experiments.reproduce("jsd-and-mi", scale="smoke", out=tmp_path, seeds=1, seed=4, device="cpu")
    assert both["seeds"] == [0, 1, 2, 3, 4]
    # The command is that of all the seeds, not only of those that were added last.
    assert both["command"] == "deepinfomax reproduce jsd-and-mi --scale smoke --seeds 5 --seed 0"
    apart = experiments.reproduce("jsd-and-mi", scale="smoke", out=tmp_path, seeds=1, seed=9, device="cpu")
    assert apart["command"] == f"{both['command']} && deepinfomax reproduce jsd-and-mi --scale smoke --seeds 1 --seed 9"


@pytest.mark.parametrize("content", ["", "[]", "{", '{"mine": 1}'])
@pytest.mark.parametrize("what", ["jsd-and-mi", "table1"])
def test_a_file_that_is_no_result_is_left_alone(tmp_path: Path, what: str, content: str) -> None:
    path = tmp_path / f"{what}-smoke.json"
    path.write_text(content)
    with pytest.raises(UserError, match="holds no result; move it away"):
        experiments.reproduce(what, scale="smoke", out=tmp_path, seeds=1)
    assert path.read_text() == content


@pytest.mark.parametrize(
    "content",
    [
        {"rows": [{"config": {}}]},
        {"rows": [{"name": "DIM", "runs": {"0": {"mine": 1}}}]},
        {"config": None, "rows": [{"name": "DIM", "config": {}}]},
    ],
)
def test_a_result_of_another_kind_is_told(small: Table, tmp_path: Path, content: dict) -> None:
    path = tmp_path / "table.json"
    path.write_text(json.dumps({"schema": 1} | content))
    with pytest.raises(UserError, match=r"table\.json is no result of a table.*move it away"):
        paper_tables.finished(small, "smoke", path)


def test_a_result_without_common_settings_is_read(small: Table, tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    path.write_text(json.dumps({"schema": 1, "rows": [{"name": "DIM", "config": {"data.limit": 3}}]}))
    assert paper_tables.finished(small, "smoke", path).keys() >= {"DIM", "controls"}


def test_every_architecture_of_a_table_has_its_random_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(paper_tables.controlled(TABLES["table1"], "cpu")) == ["controls"]
    assert list(paper_tables.controlled(TABLES["dim"], "cpu")) == [
        "controls",
        "controls of strided crops, single global",
        "controls of strided crops, multiple globals",
    ]
    rows = (Row("NAT", "nat"), Row("crops", "dim-strided"))
    monkeypatch.setitem(paper_tables.ALL_TABLES, "mixed", Table("a mixed table", "photos", rows, levels=("y",)))
    monkeypatch.setitem(paper_tables.SCALES, "smoke", {"data.limit": 200})
    result = experiments.reproduce("mixed", scale="smoke", out=tmp_path, seeds=1)
    other = result["controls"]["other_encoders"]["crops"]
    accuracy = other["runs"]["0"]["measures"]["mlp"]["y"]["accuracy"]
    assert other["random_encoder"]["mlp.y"]["mean"] == round(accuracy, 4)
    assert other["random_encoder"] != result["controls"]["random_encoder"]
    assert "random, crops" in result["text"]
    assert result["data"] == {"name": "photos", "trained_on": 200, "train": 200, "test": 400, "classes": 19}
    monkeypatch.setattr(paper_tables, "random_encoder", None)  # controls that the file holds are not measured again
    again = experiments.reproduce("mixed", scale="smoke", out=tmp_path, seeds=1)
    assert again["controls"] == result["controls"]


def test_the_supervised_row_of_stl10_sees_images_with_labels_only() -> None:
    splits = {
        row.name: paper_tables.row_config(TABLES["table2-stl10"], row, "paper", 0).data.split
        for row in TABLES["table2-stl10"].rows
    }
    assert splits.pop("fully supervised") == "train"
    assert set(splits.values()) == {"train+unlabeled"}
