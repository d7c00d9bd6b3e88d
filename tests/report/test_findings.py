"""What the figures say: in words that hold for wins, losses and ties alike."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import fake_run
import pytest

from deepinfomax.evaluation.evaluate_command import SEEN
from deepinfomax.evaluation.measure import Figure, Measure
from deepinfomax.evaluation.measures import MEASURES
from deepinfomax.report.comparisons import WHOLE, Cell, against, comparisons, method
from deepinfomax.report.missing import not_run, possible_measures
from deepinfomax.report.page import lead
from deepinfomax.report.quantities import quantities
from deepinfomax.report.reading import Metrics, Run
from deepinfomax.report.verdict import caveats, verdict


def measured(measures: dict[str, Any], controls: dict[str, Any] | None = None, **more: Any) -> Run:
    evaluation = {"schema": 1, "measures": measures, "controls": controls or {}}
    return Run(Path("runs/a"), config={"objective": {"local": {}}}, evaluation=evaluation, **more)


def said_of(run: Run) -> str:
    return verdict(comparisons(run)).sentence


def test_the_sentence_of_a_win() -> None:
    run = measured(
        {"knn": {"conv": {"accuracy": 0.6}, "y": {"accuracy": 0.57}}},
        {"pixels": {"knn": {"accuracy": 0.2}}, "random_encoder": {"knn": {"y": {"accuracy": 0.28}}}},
    )
    assert said_of(run) == "kNN on y: DIM 0.57, above raw pixels 0.20 and a random encoder 0.28."
    assert verdict(comparisons(run)).standing == "above"


def test_the_sentence_of_a_loss() -> None:
    run = measured(
        {"knn": {"y": {"accuracy": 0.25}}},
        {"pixels": {"knn": {"accuracy": 0.41}}, "random_encoder": {"knn": {"y": {"accuracy": 0.30}}}},
    )
    sentence = "kNN on y: DIM 0.25, below raw pixels 0.41 and a random encoder 0.30. Here training has not paid."
    assert said_of(run) == sentence
    assert verdict(comparisons(run)).standing == "below"


def test_the_sentence_of_a_mixed_result() -> None:
    run = measured(
        {"knn": {"y": {"accuracy": 0.35}}},
        {
            "pixels": {"knn": {"accuracy": 0.41}},
            "pixels_pca": {"knn": {"accuracy": 0.35}},
            "random_encoder": {"knn": {"y": {"accuracy": 0.28}}},
        },
    )
    expected = "kNN on y: DIM 0.35, above a random encoder 0.28, level with PCA of pixels 0.35, below raw pixels 0.41."
    assert said_of(run) == expected
    del run.evaluation["controls"]["pixels_pca"]
    assert said_of(run) == "kNN on y: DIM 0.35, above a random encoder 0.28, but below raw pixels 0.41."


def in_words(run: Run, guess: float | None = None) -> str:
    return verdict(comparisons(run), run, guess).words


def test_the_verdict_for_an_outsider() -> None:
    controls = {"pixels": {"knn": {"accuracy": 0.2}}, "random_encoder": {"knn": {"y": {"accuracy": 0.28}}}}
    run = measured({"knn": {"y": {"accuracy": 0.57}}}, controls)
    assert in_words(run, 0.1) == (
        "Trained without labels: the nearest training images tell the class of 57 in 100 test images. By "
        "comparing raw pixels it is 20, by the same network before training 28, by guessing 10. Training has paid."
    )
    assert in_words(run, 0.005).endswith("by guessing fewer than 1. Training has paid.")
    run.config["objective"]["supervised"] = {}
    assert in_words(run).startswith("Trained on labels: ")


@pytest.mark.parametrize(
    ("own", "conclusion"),
    [
        (0.10, "Training has not paid."),
        (0.41, "It beats the same network before training, but not comparing raw pixels."),
        (0.281, "Training has not paid."),
        (0.60, "Training has paid."),
    ],
)
def test_the_conclusion_is_what_the_figures_bear(own: float, conclusion: str) -> None:
    controls = {"pixels": {"knn": {"accuracy": 0.41}}, "random_encoder": {"knn": {"y": {"accuracy": 0.28}}}}
    assert in_words(measured({"knn": {"y": {"accuracy": own}}}, controls)).endswith(f". {conclusion}")


def test_a_tie_with_everything_is_said_to_be_one() -> None:
    run = measured({"knn": {"y": {"accuracy": 0.4}}}, {"pixels": {"knn": {"accuracy": 0.4}}})
    assert in_words(run).endswith("Training is not shown to have paid.")


def test_few_labels_and_other_scores_have_words_too() -> None:
    assert in_words(measured({"linear_10_per_class": {"y": {"accuracy": 0.5}}})) == (
        "Trained without labels, then shown 10 labelled images of each class: a weighted sum of what it gives tells "
        "the class of 50 in 100 test images."
    )
    assert in_words(measured({"semi_supervised": {"accuracy": 0.5}})) == (
        "Trained without labels: trained on with labels, it tells the class of 50 in 100 test images."
    )
    run = measured({"attributes": {"y": {"mean_average_precision": 0.61}}})
    assert in_words(run) == f"{comparisons(run)[0].title}: 0.61, from 0 to 1."


def test_without_labels_the_verdict_says_what_was_measured() -> None:
    assert in_words(measured({})).startswith("Not measured yet.")
    rank = {"rank": {"effective_rank": 27.4, "units": 64}}
    run = measured(rank, {"random_encoder": {"rank": {"effective_rank": 52.0}}})
    assert in_words(run).startswith(
        "Measured without labels: y uses 27 of its 64 directions, the same network before training 52."
    )


def test_a_caveat_is_what_would_change_the_reading() -> None:
    notes = ["knn fc: 8 units are the same", *SEEN.values()]
    assert caveats(notes) == [
        "The encoder was trained on the test images too, without their labels.",
        "The encoder was trained on the test images too, and on their labels.",
    ]


def test_labels_in_use_are_told_whatever_the_section_is_called() -> None:
    objective = {"classes": {"type": "supervised"}}
    run = dataclasses.replace(measured({"linear": {"y": {"accuracy": 0.5}}}), config={"objective": objective})
    assert in_words(run).startswith("Trained on labels: ")
    assert method(run) == "supervised"
    begun = Metrics(start={"data": {"count": 10, "classes": ["a", "b"]}})
    assert "of 2 classes, labels in use" in lead(dataclasses.replace(run, metrics=begun))


def test_a_supervised_network_is_no_control_to_lose_against() -> None:
    run = measured(
        {"linear": {"y": {"accuracy": 0.6}}},
        {"pixels": {"linear": {"accuracy": 0.4}}, "supervised": {"accuracy": 0.9}},
    )
    (comparison,) = comparisons(run)
    assert comparison.standing("y") == "above"
    assert {row.kind: row.cells for row in comparison.controls}["supervised"] == {WHOLE: Cell(0.9)}
    assert "0.90" not in said_of(run)


def test_without_controls_or_measures_it_says_so() -> None:
    assert said_of(measured({"knn": {"y": {"accuracy": 0.5}}})).endswith("the figure says little.")
    assert "No control" in said_of(measured({"knn": {"y": {"accuracy": 0.5}}}))
    assert said_of(Run(Path("a"))).startswith("Not measured yet")


def test_a_figure_with_controls_is_preferred_to_one_without() -> None:
    run = measured(
        {"knn": {"y": {"accuracy": 0.5}}, "mlp": {"fc": {"accuracy": 0.6}, "y": {"accuracy": 0.7}}},
        {"random_encoder": {"mlp": {"fc": {"accuracy": 0.4}}}},
    )
    assert said_of(run) == "MLP probe on fc: DIM 0.60, above a random encoder 0.40."


@pytest.mark.parametrize("count", [50, 1000, 100000])
@pytest.mark.parametrize(("own", "other"), [(0.5, 0.52), (0.62, 0.58), (0.9, 0.3), (0.501, 0.5), (1.0, 0.99)])
def test_standing_is_two_standard_errors(own: float, other: float, count: int) -> None:
    error = math.sqrt(own * (1 - own) / count + other * (1 - other) / count)
    apart = abs(own - other) >= 2 * error and abs(own - other) >= 0.005
    expected = "level" if not apart else "above" if own > other else "below"
    assert against(Cell(own), Cell(other), count) == expected


def test_standing_takes_the_spread_over_fits_into_account() -> None:
    assert against(Cell(0.60), Cell(0.55), None) == "above"
    assert against(Cell(0.60, std=0.03), Cell(0.55), None) == "level"
    assert against(Cell(0.60, std=0.001), Cell(0.55), 50) == "level"


def test_the_tally_counts_every_level_once() -> None:
    run = measured(
        {"knn": {"conv": {"accuracy": 0.6}, "fc": {"accuracy": 0.4}, "y": {"accuracy": 0.2}}},
        {"pixels": {"knn": {"accuracy": 0.4}}},
    )
    tally = verdict(comparisons(run)).tally
    assert tally.startswith("Over all 3 figures")
    assert tally.endswith("above every control in 1, level with the best in 1, below the best in 1.")


def test_every_level_has_a_cell_and_missing_ones_are_none() -> None:
    run = measured({"knn": {"y": {"accuracy": 0.5}}}, {"random_encoder": {"knn": {"conv": {"accuracy": 0.4}}}})
    (comparison,) = comparisons(run)
    assert comparison.levels == ("conv", "fc", "y")
    assert comparison.trained.cells == {"conv": None, "fc": None, "y": Cell(0.5)}
    by_kind = {row.kind: row.cells for row in comparison.controls}
    assert by_kind["random_encoder"] == {"conv": Cell(0.4), "fc": None, "y": None}
    assert by_kind["pixels"] == {WHOLE: None}


def test_a_level_that_the_encoder_has_not_is_not_missing() -> None:
    note = "the encoder has no fc, so nothing is measured there"
    run = measured({"knn": {"conv": {"accuracy": 0.4}, "y": {"accuracy": 0.5}}})
    run.evaluation["notes"] = [note]
    (comparison,) = comparisons(run)
    assert comparison.levels == ("conv", "y")
    assert not any("on fc" in item.what for item in not_run(run, [comparison]))


def test_shapes_of_entries_that_evaluations_may_write() -> None:
    run = measured(
        {
            "semi_supervised": {"accuracy": 0.7, "std": 0.02},
            "knn": {"local": {"accuracy": 0.3}, "y": {"accuracy": 0.5, "std": None, "n_test": 500}},
            "attributes": {"y": {"mean_average_precision": 0.41}},
            "svm": {"y": {"error": "did not converge"}},
            "brand_new": {"y": {"accuracy": 0.1}},
            "note": "text",
        },
        {"pixels": {"knn": {"pixels": {"accuracy": 0.2}}}, "random_encoder": {"semi_supervised": {"accuracy": 0.6}}},
    )
    found = {c.measure: c for c in comparisons(run)}
    assert set(found) == {"semi_supervised", "knn", "attributes", "brand_new"}
    assert found["semi_supervised"].levels == (WHOLE,)
    assert found["semi_supervised"].trained.cells == {WHOLE: Cell(0.7, 0.02)}
    assert found["semi_supervised"].rivals(WHOLE) == {"random_encoder": Cell(0.6)}
    assert found["knn"].levels == ("conv", "fc", "y", "local")
    assert found["knn"].count == 500
    assert found["knn"].rivals("local") == {"pixels": Cell(0.2)}
    assert found["attributes"].score == "mean average precision"
    assert found["brand_new"].title == "brand new"


def test_titles_and_protocols() -> None:
    run = measured(
        {
            "linear_10_per_class": {
                "y": {"accuracy": 0.3, "protocol": "L-BFGS"},
                "fc": {"accuracy": 0.3, "protocol": "L-BFGS"},
            },
            "svm_5_per_class": {"y": {"accuracy": 0.3}},
            "brand_new_5_per_class": {"y": {"accuracy": 0.3}},
            "knn_1_percent": {"y": {"accuracy": 0.3}},
            "svm_folds": {"y": {"accuracy": 0.3}},
        }
    )
    few, svm, new, percent, folds = comparisons(run)
    assert few.title == "Linear probe, 10 a class"
    assert few.protocol == "L-BFGS"
    assert svm.title == "Linear SVM, 5 a class"
    assert svm.protocol.endswith("on frozen features, from 5 labels of each class")
    assert (new.title, new.protocol) == ("brand new, 5 a class", "")
    assert percent.title.endswith(", 1 %")
    assert percent.protocol.endswith("from 1 % of the labels of each class")
    assert folds.title == "Linear SVM, folds"
    assert folds.protocol.endswith("from the published folds")


@pytest.mark.parametrize(
    ("objectives", "name"),
    [
        (["prior", "local"], "DIM"),
        (["vae"], "VAE"),
        (["prior", "autoencoder"], "autoencoder"),
        (["mine"], "this encoder"),
    ],
)
def test_method(objectives: list[str], name: str) -> None:
    assert method(Run(Path("a"), config={"objective": {key: {} for key in objectives}})) == name


def test_quantities_beside_the_random_encoder() -> None:
    run = measured(
        {
            "ndm": {"nats": 0.7, "std": 0.1, "seconds": 30.0},
            "reconstruction": {"y": {"ms_ssim": 0.5, "settings": {"lr": 1e-4}}},
            "knn": {"y": {"accuracy": 0.5}},
            "future": {"deep": {"figure_of_merit": 3, "n_test": 10}},
        },
        {"random_encoder": {"ndm": {"nats": 3.0}}},
    )
    found = {(q.measure, q.name): q for q in quantities(run)}
    assert set(found) == {
        ("NDM", "Dependence of units"),
        ("Reconstruction", "y · MS-SSIM"),
        ("future", "deep · figure of merit"),
    }
    ndm = found["NDM", "Dependence of units"]
    assert (ndm.trained, ndm.random_encoder, ndm.unit, ndm.better) == (Cell(0.7), Cell(3.0), "nats", "lower")
    assert found["Reconstruction", "y · MS-SSIM"].random_encoder is None


def test_a_figure_of_another_package_is_shown_whatever_it_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = (
        Figure("std", "deviation", "bits", "higher", ""),
        Figure("units", "units in use", "dimensions", None, ""),
    )
    own = Measure("own", "Own", "features", None, figures, lambda: None)
    monkeypatch.setitem(MEASURES.builtin, "own", own)
    found = quantities(measured({"own": {"y": {"std": 0.5, "units": 3, "seconds": 2.0}}, "unknown": {"std": 0.5}}))
    assert [(q.name, q.unit, q.better, q.trained) for q in found] == [
        ("y · Deviation", "bits", "higher", Cell(0.5)),
        ("y · Units in use", "", "", Cell(3.0)),
    ]


def test_quantities_come_with_their_error_and_their_warning() -> None:
    run = measured(
        {
            "mine": {"nats": 4.0, "standard_error": 0.3, "train_nats": 5.0, "warning": "give more images"},
            "rank": {"effective_rank": 1.2, "units": 64, "collapsed": True},
        },
        {"random_encoder": {"mine": {"nats": 2.0, "standard_error": 0.1}, "rank": {"effective_rank": 30.0}}},
    )
    mine, rank = quantities(run)
    assert (mine.trained, mine.random_encoder, mine.warning) == (Cell(4.0, 0.3), Cell(2.0, 0.1), "give more images")
    assert (rank.trained, rank.random_encoder) == (Cell(1.2), Cell(30.0))
    assert "collapsed" in rank.warning


def test_the_figures_of_ndm_stand_with_their_error_and_warning() -> None:
    run = measured(
        {
            "ndm": {
                "nats": 9.2,
                "standard_error": 0.5,
                "warning": "more",
                "gaussian_nats": 0.3,
                "train_nats": 12.0,
            }
        },
        {"random_encoder": {"ndm": {"nats": 12.0, "standard_error": 0.7, "gaussian_nats": 3.0}}},
    )
    found = {q.name: q for q in quantities(run)}
    assert list(found) == ["Dependence of units", "Gaussian control", "On training images"]
    nats = found["Dependence of units"]
    assert (nats.trained, nats.warning, nats.random_encoder) == (Cell(9.2, 0.5), "more", Cell(12.0, 0.7))
    assert found["Gaussian control"].random_encoder == Cell(3.0)


def test_figures_that_a_measure_no_longer_takes_are_left_out() -> None:
    """An evaluation.json of an earlier version has them."""
    run = measured({"ndm": {"nats": 0.2, "standard_error": 0.01, "lower_bound_nats": 0.19, "nats_sigmoid": 9.2}})
    assert [q.name for q in quantities(run)] == ["Dependence of units"]


def test_attributes_are_compared_by_accuracy_and_list_what_else_they_have() -> None:
    figures = {"balanced_accuracy": 0.7, "mean_average_precision": 0.4, "balanced_cross_entropy": 0.6, "attributes": 40}
    run = measured({"attributes": {"y": figures}}, {"random_encoder": {"attributes": {"y": figures}}})
    (comparison,) = comparisons(run)
    assert (comparison.score, comparison.trained.cells["y"]) == ("balanced accuracy", Cell(0.7))
    found = {q.name: q for q in quantities(run)}
    assert list(found) == ["y · Mean average precision", "y · Balanced cross-entropy"]
    assert found["y · Balanced cross-entropy"].random_encoder == Cell(0.6)


def test_few_labels_stand_beside_a_network_trained_with_as_few() -> None:
    figures = {"y": {"accuracy": 0.5}}
    run = measured(
        {"linear_10_per_class": figures, "linear_5_per_class": figures, "linear": figures},
        {"supervised": {"accuracy": 0.9, "10_per_class": {"accuracy": 0.4}}},
    )
    supervised = {c.measure: row.cells for c in comparisons(run) for row in c.controls if row.kind == "supervised"}
    assert supervised == {
        "linear_10_per_class": {WHOLE: Cell(0.4)},
        "linear_5_per_class": {WHOLE: None},
        "linear": {WHOLE: Cell(0.9)},
    }


def test_pixels_have_no_row_where_a_whole_network_is_measured() -> None:
    run = measured({"semi_supervised": {"accuracy": 0.7}}, {"pixels": {}, "pixels_pca": {}, "supervised": {}})
    (comparison,) = comparisons(run)
    assert [row.kind for row in comparison.controls] == ["random_encoder", "supervised"]


def test_what_was_not_run_comes_with_its_command() -> None:
    run = measured(
        {"knn": {"y": {"accuracy": 0.5}}},
        {"random_encoder": {"knn": {"conv": {"accuracy": 0.4}}}},
        metrics=Metrics(steps=({"step": 1400},)),
    )
    missing = {item.command: item.what for item in not_run(run, comparisons(run))}
    assert "step 1,400" in missing["deepinfomax train DATA --out runs/a --resume"]
    left = ",".join(name for name in MEASURES.builtin if name not in ("knn", "attributes"))
    assert f"deepinfomax evaluate runs/a --measures {left}" in missing
    assert "deepinfomax evaluate runs/a --measures knn --controls pixels,pixels_pca,supervised" in missing
    gaps = missing["deepinfomax evaluate runs/a --measures knn"]
    assert "DIM on conv (kNN); DIM on fc (kNN)" in gaps
    assert "random encoder on y (kNN)" in gaps
    assert "deepinfomax neighbours runs/a" in missing


def test_a_supervised_figure_that_is_missing_is_asked_for_by_name() -> None:
    run = measured({"linear_10_per_class": {"y": {"accuracy": 0.5}}}, {"supervised": {"accuracy": 0.7}})
    commands = [item.command for item in not_run(run, comparisons(run)) if "supervised (" in item.what]
    assert commands == ["deepinfomax evaluate runs/a --measures linear_10_per_class --controls supervised"]


def started(**data: Any) -> Run:
    return Run(Path("runs/a"), metrics=Metrics(start={"data": {"shape": [3, 32, 32], **data}}))


def test_what_can_be_measured_depends_on_the_data() -> None:
    with_labels, without = started(labelled=True), started(labelled=False)
    assert {"mlp", "svm", "rank"} <= set(possible_measures(with_labels))
    assert "attributes" not in possible_measures(with_labels)
    of_any = ["rank", "mine", "decoding", "ndm", "distribution"]
    assert possible_measures(without) == ["reconstruction", *of_any]
    assert possible_measures(started(labelled=False, shape=[3, 8, 8])) == of_any
    data = {"train": {"count": 60, "classes": 1}, "test": {"count": 20}}
    few = Run(Path("runs/a"), evaluation={"measures": {}, "data": data})
    assert possible_measures(few) == ["reconstruction", "rank"]
    data["train"] = {"count": 60, "attributes": 4}
    assert "attributes" in possible_measures(few)


@pytest.mark.parametrize("shape", ["32", [3, "x"], [3, -1, 5], [3, 2**70, 2], None])
def test_a_shape_that_is_none_stops_nothing(shape: Any) -> None:
    assert "rank" in possible_measures(started(labelled=False, shape=shape))


def test_commands_read_the_images_that_can_be_tested_on() -> None:
    def measuring(run: Run) -> list[str]:
        return [item.command for item in not_run(run, []) if "evaluate" in item.command]

    assert measuring(started(test_part=True)) == ["deepinfomax evaluate runs/a"]
    held_out = started(test_part=False, suggested_holdout=0.2)
    assert measuring(held_out) == ["deepinfomax evaluate runs/a data.holdout 0.2"]
    assert measuring(started(test_part=False, suggested_holdout=None)) == []
    evaluation = {"measures": {"rank": {"effective_rank": 3.0}}, "options": ["--data", "my images", "data.size", "32"]}
    again = measuring(Run(Path("runs/a"), metrics=held_out.metrics, evaluation=evaluation))
    assert again
    assert all(command.endswith("--data 'my images' data.size 32") for command in again)


def test_commands_can_be_pasted_whatever_the_folder_is_called() -> None:
    run = Run(Path("my runs/$a"))
    assert all("'my runs/$a'" in item.command for item in not_run(run, []))


def test_nothing_is_missing_in_a_run_that_has_everything(tmp_path: Path) -> None:
    from deepinfomax.report.reading import read

    evaluation = fake_run.evaluation()
    evaluation["measures"]["mlp"]["y"] = {"accuracy": 0.6}
    for name in MEASURES.builtin.keys() - evaluation["measures"] - {"attributes"}:
        evaluation["measures"][name] = {MEASURES[name].headline.key: 0.6}
    evaluation["controls"]["supervised"]["10_per_class"] = {"accuracy": 0.3}
    of_all = {key: {"accuracy": 0.3} for key in evaluation["measures"]}
    for control in ("pixels", "pixels_pca", "random_encoder"):
        evaluation["controls"][control] = of_all | evaluation["controls"][control]
    run = read(fake_run.write_run(tmp_path / "run", measured=evaluation))
    assert not_run(run, comparisons(run)) == []
