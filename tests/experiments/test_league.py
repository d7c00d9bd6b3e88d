"""The league: rows that differ in nothing but the method and its augmentation, and the search of it."""

import dataclasses
import json
from pathlib import Path

import pytest

from deepinfomax import experiments
from deepinfomax.config import difference
from deepinfomax.data.augmentation import Augmentation
from deepinfomax.experiments import league, league_curves, league_trials, paper_tables
from deepinfomax.experiments.league import AUGMENTATIONS, CHOSEN, ENTRANTS, NETWORKS, TABLES
from deepinfomax.recipes import SCALES, recipe

RESULTS = Path(__file__).parents[2] / "results"


@pytest.mark.parametrize("league_of", ["league", "league-cifar100", "league-resnet18"])
def test_rows_share_all_but_method_and_augmentation(league_of: str) -> None:
    for minutes in league.MINUTES:
        table = TABLES[f"{league_of}-{minutes}"]
        configs = [paper_tables.row_config(table, row, "cpu", 0) for row in table.rows]
        assert {config.encoder["name"] for config in configs} == {"resnet18" if "resnet" in league_of else "dcgan"}
        for scale in SCALES:
            encoders = [dict(paper_tables.row_config(table, row, scale, 0).encoder) for row in table.rows]
            named = zip(table.rows, encoders, strict=True)
            stages = {row.name: encoder.pop("local_stage", None) for row, encoder in named}
            assert all(encoder == encoders[0] for encoder in encoders)
            network = league.NETWORKS[encoders[0]["name"]]
            assert stages == {row.name: network.local_stage.get(row.name) for row in table.rows}
        assert list(paper_tables.controlled(table, "cpu")) == ["controls"]
        fields = ("batch_size", "lr", "optimizer", "schedule", "first_layer", "precision", "small_views")
        assert len({tuple(getattr(config.training, name) for name in fields) for config in configs}) == 1
        steps = {row.name: config.training.steps for row, config in zip(table.rows, configs, strict=True)}
        assert steps == {row.name: round(row.steps * minutes / 2) for row in table.rows}


@pytest.mark.parametrize("entrant", ENTRANTS, ids=lambda entrant: entrant.name)
def test_an_augmentation_takes_the_place_of_the_recipes_own(entrant: league.Entrant) -> None:
    for name, own in AUGMENTATIONS.items():
        settings = league_trials.trial_config(entrant, name, "cpu", 0, None).augmentation
        augment = Augmentation(**settings)
        assert augment.flip
        assert (augment.padding, augment.random_resized_crop) == (own.get("padding", 0), own.get("random_resized_crop"))
        assert (augment.jitter, augment.grayscale) == (own.get("jitter", 0), own.get("grayscale", 0))


def test_the_first_layer_is_all_that_differs_where_it_is_measured() -> None:
    table = TABLES["first-layer"]
    plain, whitened = (paper_tables.row_config(table, row, "cpu", 0) for row in table.rows)
    assert difference(plain, whitened) == ["training.first_layer"]
    assert list(paper_tables.controlled(table, "cpu")) == ["controls", "controls of whitening first layer"]


def test_what_was_chosen_is_what_the_search_chose() -> None:
    published = json.loads((RESULTS / "league-trials-cpu.json").read_text(encoding="utf-8"))
    assert published["runs"]["0"]["chosen"] == {entrant.name: CHOSEN[entrant.name] for entrant in ENTRANTS}
    assert CHOSEN["DIM(L) across patches"] == CHOSEN["EMP-SSL"]
    counts = json.loads((RESULTS / "league-speeds.json").read_text(encoding="utf-8"))
    speeds, ratio = counts["entrants"], counts["ratio"]
    steps = {entrant.name: entrant.steps for entrant in (*ENTRANTS, league.SUPERVISED)}
    assert {name: counted["steps_in_two_minutes"] for name, counted in speeds.items()} == steps
    assert ratio["steps_in_two_minutes"] == league.PATCHES.steps == round(steps[ratio["to"]] / ratio["times_as_long"])
    of_resnet = {name: counted["steps_in_two_minutes"] for name, counted in counts["resnet18"]["entrants"].items()}
    assert of_resnet | {league.PLAIN.name: of_resnet["DIM(L)"]} == league.NETWORKS["resnet18"].steps


def test_trials_are_judged_on_images_that_were_not_trained_on(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = tuple(entrant for entrant in ENTRANTS if entrant.recipe in ("dim-fast", "simclr"))
    monkeypatch.setattr(league_trials, "ENTRANTS", few)
    monkeypatch.setattr(league_trials, "AUGMENTATIONS", {"shift": AUGMENTATIONS["shift"], "areas": {}})
    monkeypatch.setitem(paper_tables.SCALES, "smoke", {"data.limit": 200})
    seen, trained = [], league_trials.trained

    def noted(config, folder, device, *, images):
        seen.append(images.images)
        return trained(config, folder, device, images=images)

    def judged(encoder, training, test, **settings):
        assert training.images is seen[-1]
        assert (len(training), len(test)) == (150, 50)
        assert not {image.tobytes() for image in training.images} & {image.tobytes() for image in test.images}
        return evaluate(encoder, training, test, **settings)

    evaluate = league_trials.evaluate
    monkeypatch.setattr(league_trials, "trained", noted)
    monkeypatch.setattr(league_trials, "evaluate", judged)
    monkeypatch.setattr(league_trials, "with_source", lambda config, name, root: _on_photos(config))
    result = league_trials.run("smoke", 0, tmp_path)
    assert result["trials"].keys() == {"DIM(L)", "SimCLR"}
    assert result["data"] == {"name": "photos", "trained_on": 150, "judged_on": 50}
    for tried in result["trials"].values():
        assert all(0 <= trial["accuracy"] <= 1 and trial["steps"] == 4 for trial in tried.values())
    for name, tried in result["trials"].items():
        assert tried[result["chosen"][name]]["accuracy"] == max(trial["accuracy"] for trial in tried.values())
    lines = {path: path.read_text() for path in tmp_path.glob("*/metrics.jsonl")}
    assert len(lines) == 4
    assert league_trials.run("smoke", 0, tmp_path) == result
    assert {path: path.read_text() for path in lines} == lines  # nothing was trained again


def test_the_local_map_is_what_its_search_chose() -> None:
    published = json.loads((RESULTS / "league-resnet18-trials-cpu.json").read_text(encoding="utf-8"))["runs"]["0"]
    assert published["chosen"] == {name: str(stage) for name, stage in NETWORKS["resnet18"].local_stage.items()}
    assert published["data"] == {"name": "cifar10", "trained_on": 15000, "judged_on": 5000}


def test_trials_of_a_local_map_differ_in_nothing_else(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    for entrant in league.ALL:
        if entrant.name in NETWORKS["resnet18"].local_stage:
            table = TABLES["league-resnet18-1"]
            row = next(row for row in table.rows if row.name == entrant.name)
            of_table = paper_tables.row_config(table, row, "cpu", 0)
            trials = [league_trials.local_map_config(entrant, stage, "cpu", 0, None) for stage in (1, 2, 3)]
            assert [trial.encoder["local_stage"] for trial in trials] == [1, 2, 3]
            assert difference(trials[0], trials[1]) == difference(trials[0], trials[2]) == ["encoder.local_stage"]
            chosen = trials[NETWORKS["resnet18"].local_stage[entrant.name] - 1]
            assert difference(of_table, chosen) == ["training.steps"]
            assert chosen.training.steps == round(of_table.training.steps / 2)
    monkeypatch.setattr(league_trials, "ALL", (league.PLAIN,))
    monkeypatch.setitem(paper_tables.SCALES, "smoke", {"data.limit": 200})
    monkeypatch.setattr(league_trials, "with_source", lambda config, name, root: _on_photos(config))
    result = league_trials.run_local_maps("smoke", 0, tmp_path)
    assert result["data"] == {"name": "photos", "trained_on": 150, "judged_on": 50}
    trials = result["trials"][league.PLAIN.name]
    assert trials.keys() == {"1", "2", "3"}
    assert trials[result["chosen"][league.PLAIN.name]]["accuracy"] == max(each["accuracy"] for each in trials.values())
    assert len(list(tmp_path.glob("*/metrics.jsonl"))) == 3


def _on_photos(config):
    return dataclasses.replace(config, data=dataclasses.replace(config.data, source="photos"))


def test_the_default_recipe_is_what_the_league_calls_dim_without_augmentation() -> None:
    of_league = league_trials.trial_config(ENTRANTS[0], "none", "cpu", 0, None)
    default = recipe("dim-fast")
    assert of_league.objective["local"] == default.objective["local"]
    assert of_league.objective.keys() == {"local"}
    assert of_league.training.first_layer == default.training.first_layer


def test_the_curves_take_each_method_at_its_best_level(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole command on photographs, against the rows of its tables."""
    entrants = tuple(entrant for entrant in ENTRANTS if entrant.recipe in ("dim-fast", "simclr"))
    for minutes in league.MINUTES:
        table = TABLES[f"league-{minutes}"]
        rows = tuple(row for row in table.rows if row.name in {entrant.name for entrant in entrants})
        monkeypatch.setitem(
            paper_tables.ALL_TABLES, f"league-{minutes}", dataclasses.replace(table, data="photos", rows=rows)
        )
    monkeypatch.setitem(paper_tables.SCALES, "smoke", {"data.limit": 200})
    result = experiments.reproduce("league", scale="smoke", out=tmp_path, seeds=2, device="cpu")
    assert json.loads((tmp_path / "league-smoke.json").read_text(encoding="utf-8")) == {
        name: value for name, value in result.items() if name != "text"
    }
    assert result["not_run"] == []
    for minutes in league.MINUTES:
        table = json.loads((tmp_path / f"league-{minutes}-smoke.json").read_text(encoding="utf-8"))
        for row in table["rows"]:
            for measure in table["measures"]:
                drawn = result["figures"][measure][row["name"]][str(minutes)]
                levels = {level: row["measured"][f"{measure}.{level}"]["mean"] for level in ("conv", "fc", "y")}
                assert drawn["mean"] == max(levels.values()) == levels[drawn["level"]]
                assert drawn["seeds"] == (2 if minutes <= 5 else 1)
        pixels = table["controls"]["pixels"]["knn"]["mean"]
        assert result["figures"]["knn"]["raw pixels"][str(minutes)]["mean"] == pixels
    axes, *_ = league_curves.drawing(result["figures"]).axes
    lines = {container.get_label(): container.lines[0] for container in axes.containers}
    assert list(lines["SimCLR"].get_xdata()) == list(league.MINUTES)
    assert lines["SimCLR"].get_ydata()[0] == result["figures"]["knn"]["SimCLR"]["1"]["mean"]
    assert "raw pixels" in result["text"]


def test_curves_of_some_of_the_tables_say_what_is_missing(tmp_path: Path) -> None:
    spread = {"mean": 0.5, "sd": None, "seeds": [0.5]}
    measured = {f"{measure}.{level}": spread for measure in league_curves.MEASURES for level in ("conv", "fc", "y")}
    controls = {"random_encoder": measured, "pixels": dict.fromkeys(league_curves.MEASURES, spread)}
    rows = [{"name": "SimCLR", "measured": measured}]
    whole = {"scale": "cpu", "rows": rows, "controls": controls, "not_run": ["BYOL, seed 1"]}
    for minutes, table in ((5, whole), (20, whole | {"controls": None})):
        (tmp_path / f"league-{minutes}-cpu.json").write_text(json.dumps(table), encoding="utf-8")
    result = league_curves.draw("cpu", tmp_path)
    assert result["tables"] == ["league-5-cpu.json"]
    assert result["not_run"] == [
        "all of 1 minutes",
        "5 minutes: BYOL, seed 1",
        "20 minutes: BYOL, seed 1",
        "20 minutes: controls",
        "all of 60 minutes",
    ]
    assert result["figures"]["linear"]["SimCLR"].keys() == {"5"}
    assert (tmp_path / "league-cpu.png").stat().st_size > 10_000


def test_the_page_shows_what_the_result_holds() -> None:
    figures = json.loads((RESULTS / "league-cpu.json").read_text(encoding="utf-8"))["figures"]
    page = (RESULTS.parent / "docs/league.md").read_text(encoding="utf-8")
    table = page.split("<!-- table -->")[1].split("<!-- end -->")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    header, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines if "---" not in line)
    shown = {row[0]: row[1:] for row in rows}
    assert shown.keys() == figures["knn"].keys()
    titles = {"nearest neighbours": "knn", "linear probe": "linear", "MLP probe": "mlp"}
    for i, column in enumerate(header[1:]):
        title, minutes = column.removesuffix(" min").split(", ")
        for name, cells in shown.items():
            there = figures[titles[title]][name].get(minutes)
            assert cells[i].split(" ")[0] == ("" if there is None else f"{100 * there['mean']:.1f}"), (name, column)
    assert len(header) - 1 == len(titles) * len({length for of in figures["knn"].values() for length in of})
