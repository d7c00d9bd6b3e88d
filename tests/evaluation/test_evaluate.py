import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from planted import gaussians, images, make_encoder
from pyarrow import parquet
from torch import nn

from deepinfomax import memory, progress
from deepinfomax.data.images import ImageSet
from deepinfomax.errors import UserError
from deepinfomax.evaluation import (
    controls,
    embeddings,
    encoder_evaluation,
    evaluate,
    evaluate_embeddings,
    mine,
    rank,
    running,
)
from deepinfomax.evaluation.embeddings import Embeddings, embed, write_embeddings
from deepinfomax.evaluation.embeddings_evaluation import _split
from deepinfomax.evaluation.evaluate_command import render
from deepinfomax.evaluation.few_labels import LabelBudget, mean_over_draws
from deepinfomax.evaluation.frozen import EncoderChanged, fingerprint
from deepinfomax.evaluation.knn import knn
from deepinfomax.evaluation.linear import linear
from deepinfomax.evaluation.measure import Figure, Measure, Remark
from deepinfomax.evaluation.measures import MEASURES
from deepinfomax.features import Features

TRAIN, TEST = images(90), images(60, seed=1)


def figures_in(path: Path) -> dict[str, Any]:
    """What a file of figures holds, without the digest of itself that it has where no journal lies beside it."""
    contents = json.loads(path.read_text())
    contents.pop("sum", None)
    return contents


def run(encoder: nn.Module | None = None, train=TRAIN, test=TEST, **changes: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {"measures": ("linear", "knn"), "scale": "smoke", "make_encoder": make_encoder()}
    return evaluate(fixed() if encoder is None else encoder, train, test, **(settings | {"quiet": True} | changes))


def floats(data: ImageSet, value: float) -> ImageSet:
    """The set as floats in [-1, 1], one value of one image replaced."""
    pixels = data.images / 127.5 - 1
    pixels[7, 0, 2, 3] = value
    return replace(data, images=pixels)


def fixed() -> nn.Module:
    torch.manual_seed(0)
    return make_encoder()()


def test_the_file_has_every_measure_beside_its_controls(tmp_path: Path) -> None:
    out = tmp_path / "evaluation.json"
    controls = ("pixels", "pixels_pca", "random_encoder", "supervised")
    measures = ("linear", "knn", "linear_3_per_class", "rank")
    encoder = fixed().train()
    before = fingerprint(encoder)
    result = run(encoder, measures=measures, controls=controls, out=out)
    assert fingerprint(encoder) == before
    assert encoder.training
    assert figures_in(out) == result
    assert result["schema"] == 1
    assert result["measures"].keys() == set(measures)
    of_features = measures[:3]
    for measure in of_features:
        assert result["measures"][measure].keys() == {"conv", "fc", "y"}
        assert result["controls"]["random_encoder"][measure].keys() == {"conv", "fc", "y"}
        for kind in ("pixels", "pixels_pca"):
            assert 0 <= result["controls"][kind][measure]["accuracy"] <= 1
    assert result["controls"]["pixels_pca"]["knn"]["components"] == 6  # the units of y
    assert "effective_rank" in result["controls"]["random_encoder"]["rank"]
    assert 0 <= result["controls"]["supervised"]["accuracy"] <= 1
    assert result["controls"]["supervised"]["3_per_class"]["n_train"] == 9
    assert result["data"]["test"]["count"] == 60
    assert result["data"]["train"]["classes"] == 3
    assert [p.name for p in tmp_path.iterdir()] == ["evaluation.json"]


def test_figures_are_those_of_the_probes() -> None:
    encoder = fixed()
    result = run(encoder, measures=("linear", "knn", "linear_3_per_class"), levels=("fc",), controls=("pixels",))
    x, x_test = (embed(encoder, s, levels=("fc",))["fc"] for s in (TRAIN, TEST))
    data = (x, TRAIN.labels, x_test, TEST.labels)
    expected = {
        "linear": linear(*data, scale="smoke"),
        "knn": knn(*data),
        "linear_3_per_class": mean_over_draws(linear, *data, budget=LabelBudget("per_class", 3), scale="smoke"),
    }
    for name, found in expected.items():
        assert result["measures"][name]["fc"]["accuracy"] == found.accuracy
    pixels = [torch.from_numpy(s.images.reshape(len(s), -1)) / 127.5 - 1 for s in (TRAIN, TEST)]
    assert (
        result["controls"]["pixels"]["knn"]["accuracy"] == knn(pixels[0], TRAIN.labels, pixels[1], TEST.labels).accuracy
    )


def test_pairs_of_arrays_are_measured_as_their_sets_are() -> None:
    pairs = [(one.images, one.labels) for one in (TRAIN, TEST)]
    settings: dict[str, Any] = {"measures": ("knn",), "levels": ("y",), "controls": ()}
    expected = run(**settings)["measures"]["knn"]["y"]["accuracy"]
    assert run(None, *pairs, **settings)["measures"]["knn"]["y"]["accuracy"] == expected


def test_folds_and_percentages_stand_beside_a_network_trained_with_as_few() -> None:
    folds = [np.arange(0, 30), np.arange(30, 60)]
    measures = ("semi_supervised_folds", "linear_10_percent")
    result = run(measures=measures, levels=("y",), controls=("supervised",), folds=folds)
    assert result["measures"]["semi_supervised_folds"]["n_train"] == 30
    assert result["measures"]["linear_10_percent"]["y"]["n_train"] == 9
    assert result["controls"]["supervised"]["folds"]["n_train"] == 30
    assert result["controls"]["supervised"]["10_percent"]["n_train"] == 9


def test_folds_are_checked_before_anything_is_measured(tmp_path: Path) -> None:
    out = tmp_path / "evaluation.json"
    with pytest.raises(UserError, match="there are no folds"):
        run(measures=("linear", "semi_supervised_folds"), out=out)
    with pytest.raises(UserError, match="only 90 training images have labels"):
        run(measures=("linear", "svm_folds"), folds=[np.array([90])], out=out)
    with pytest.raises(UserError, match="fold 2 of 2 names image -1; the first is 0"):
        run(measures=("svm_folds",), folds=[np.arange(30), np.arange(-1, 30)], out=out)
    with pytest.raises(UserError, match="fold 2 of 2 is empty"):
        run(measures=("svm_folds",), folds=[np.arange(30), np.arange(0)], out=out)
    with pytest.raises(UserError, match="fold 1 of 1 holds bool: give it positions"):
        run(measures=("svm_folds",), folds=[np.arange(90) < 30], out=out)
    assert not out.exists()


@contextmanager
def listening(words: list[str]) -> Iterator[None]:
    """Puts into `words` what is said while the block runs."""
    token = progress._listener.set(lambda text, done, total: words.append(text))
    yield
    progress._listener.reset(token)


def test_every_measure_says_how_far_it_is() -> None:
    said: dict[str, list[str]] = {}
    sets = (images(150, side=16), images(60, side=16, seed=1))
    torch.manual_seed(0)
    encoder = make_encoder()()
    x, x_test = (embed(encoder, s, levels=("y",))["y"] for s in sets)
    for measure in MEASURES.builtin.values():
        labels = [s.labels for s in sets]
        if measure.labels == "attributes":
            labels = [np.stack([v == 0, v == 1], 1).astype(int) for v in labels]
        arguments = sets if measure.of == "encoder" else (x, labels[0], x_test, labels[1])
        said[measure.name] = []
        with listening(said[measure.name]):
            measure.function(*([encoder] if measure.of == "encoder" else []), *arguments, scale="smoke")
    assert [name for name, words in said.items() if not words] == []
    assert "epoch 1 of 40" in said["mlp"]
    assert any(words.startswith("fit 5 of 5, iteration") for words in said["svm"])
    assert any(words.startswith("critic 2 of 2, step") for words in said["mine"])


def test_a_killed_evaluation_keeps_what_it_finished_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "evaluation.json"
    calls: list[str] = []
    deadly: list[str] = ["knn"]

    def counted(measure: Measure) -> Measure:
        def probe(*arguments: Any, **settings: Any) -> Any:
            calls.append(measure.name)
            if measure.name in deadly and calls.count(measure.name) == 2:
                raise KeyboardInterrupt
            return measure.function(*arguments, **settings)

        return replace(measure, function=probe)

    for name in ("knn", "linear"):
        monkeypatch.setitem(MEASURES.builtin, name, counted(MEASURES[name]))
    with pytest.raises(KeyboardInterrupt):
        run(out=out, controls=("pixels",))
    kept = json.loads(out.read_text())
    assert kept["measures"] == {"linear": kept["measures"]["linear"], "knn": kept["measures"]["knn"]}
    assert kept["measures"]["linear"].keys() == {"conv", "fc"}
    assert kept["measures"]["knn"].keys() == {"conv"}

    calls.clear()
    deadly.clear()
    result = run(out=out, controls=("pixels",))
    assert sorted(calls) == sorted(["knn"] * 3 + ["linear"] * 2)  # fc and y; y; pixels twice
    assert result["measures"]["linear"]["fc"] == kept["measures"]["linear"]["fc"]
    assert result["measures"]["knn"].keys() == {"conv", "fc", "y"}

    calls.clear()
    monkeypatch.setattr(embeddings, "vectors_of", None)  # nothing is missing, so nothing may be embedded
    assert run(out=out, controls=("pixels",)) == result
    assert calls == []


def test_a_new_measure_joins_the_file(tmp_path: Path) -> None:
    out = tmp_path / "evaluation.json"
    first = run(out=out, measures=("knn",), controls=())
    second = run(out=out, measures=("linear",), controls=("pixels",))
    assert second["measures"]["knn"] == first["measures"]["knn"]
    assert second["measures"].keys() == {"knn", "linear"}


@pytest.mark.parametrize("other", ["seed", "scale", "encoder", "data", "damaged"])
def test_figures_of_another_evaluation_are_set_aside_never_mixed_or_lost(tmp_path: Path, other: str) -> None:
    out = tmp_path / "evaluation.json"
    run(out=out, measures=("knn",), levels=("y",), controls=())
    if other == "damaged":
        out.write_text('{"schema": 1, "measures')
    before = out.read_text()
    torch.manual_seed(9)
    changes = {
        "seed": {"seed": 1},
        "scale": {"scale": "cpu"},
        "encoder": {"encoder": make_encoder()()},
        "data": {"test": images(60, seed=2)},
        "damaged": {},
    }[other]
    run(**{"out": out, "measures": ("rank",), "controls": ()} | changes)
    assert "knn" not in json.loads(out.read_text())["measures"]
    assert (tmp_path / "evaluation.1.json").read_text() == before


def test_figures_set_aside_come_back_when_their_turn_comes(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out, settings = tmp_path / "evaluation.json", {"measures": ("knn",), "levels": ("y",), "controls": ()}
    first = run(out=out, **settings)
    run(out=out, seed=1, **settings)
    run(out=out, seed=2, **settings)
    (tmp_path / "evaluation.json.bak").write_text("{}")
    (tmp_path / "evaluation.old.json").write_text("{}")
    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "embed", None)  # nothing is missing, so nothing may be embedded
        assert run(out=out, quiet=False, **settings) == first
    assert "evaluation.1.json was of this one: brought back" in capsys.readouterr().err
    assert figures_in(out) == first
    aside = {json.loads(path.read_text())["seed"] for path in tmp_path.glob("evaluation.[0-9].json")}
    assert aside == {1, 2}


def test_a_control_of_other_steps_and_figures_of_other_folds_are_measured_anew(tmp_path: Path) -> None:
    def once(steps: int, count: int) -> dict[str, Any]:
        return run(
            measures=("rank", "knn_folds"),
            levels=("y",),
            controls=("supervised",),
            supervised_steps=steps,
            folds=[np.arange(count)],
            out=tmp_path / "evaluation.json",
        )

    first, second, third = once(1, 30), once(2, 30), once(2, 45)
    assert [found["controls"]["supervised"]["steps"] for found in (first, second)] == [1, 2]
    assert [found["controls"]["supervised"]["folds"]["steps"] for found in (first, second)] == [1, 2]
    assert second["measures"] == first["measures"]
    assert third["measures"]["knn_folds"]["y"]["n_train"] == 45
    assert third["controls"]["supervised"]["folds"]["n_train"] == 45
    assert third["measures"]["rank"] == first["measures"]["rank"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(controls, "train_supervised", None)  # nothing is missing
        patch.setattr(running, "embed", None)
        assert once(2, 45) == third
    assert [path.name for path in tmp_path.iterdir()] == ["evaluation.json"]


def test_a_file_is_said_to_be_set_aside_only_when_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"measures": ("rank",), "controls": (), "out": tmp_path / "evaluation.json"}
    run(**settings)
    with monkeypatch.context() as patch:
        patch.setitem(MEASURES.builtin, "rank", replace(rank.MEASURE, function=lambda *_, **__: 1 / 0))
        with pytest.raises(ZeroDivisionError):
            run(**settings, seed=1, quiet=False)
    assert "kept as" not in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["evaluation.json"]
    run(**settings, seed=1, quiet=False)
    assert capsys.readouterr().err.count("kept as evaluation.1.json") == 1


def test_seeds_of_more_than_32_bits() -> None:
    result = run(measures=("knn",), levels=("y",), controls=("pixels_pca",), seed=2**32 + 1)
    same = run(measures=("knn",), levels=("y",), controls=("pixels_pca",), seed=1)
    accuracies = [found["controls"]["pixels_pca"]["knn"]["accuracy"] for found in (result, same)]
    assert accuracies[0] == accuracies[1]


def test_a_measure_that_trains_the_encoder_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def cheat(encoder: nn.Module, *_: Any, **__: Any) -> dict[str, Any]:
        encoder.train()
        encoder(torch.randn(8, 3, 16, 16))  # moves BatchNorm statistics
        return {"effective_rank": 6.0}

    monkeypatch.setitem(MEASURES.builtin, "rank", replace(rank.MEASURE, function=cheat))
    with pytest.raises(EncoderChanged, match="running_mean"):
        run(measures=("rank",), controls=())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"measures": ()}, "there is nothing to measure; choose of mlp, linear, knn"),
        ({"levels": ()}, "no level to measure at; choose of conv, fc, y"),
        ({"measures": ("accuracy",)}, "unknown measure 'accuracy'; choose of mlp, linear, knn"),
        ({"measures": ("mlp_5_per_class",)}, "unknown measure"),
        ({"levels": ("top",)}, "unknown level 'top'"),
        ({"controls": ("noise",)}, "unknown control 'noise'"),
        ({"scale": "big"}, "unknown scale 'big'"),
        ({"seed": -1}, r"seed must be a whole number from 0 to 2\^63 - 1, not -1"),
        ({"seed": 10**20}, "seed must be a whole number"),
        ({"supervised_steps": 0}, "supervised_steps must be 1 or more, not 0"),
        ({"controls": ("random_encoder",), "make_encoder": None}, "control random_encoder needs a new encoder"),
        ({"train": images(30, labels=False)}, r"planted has no training labels, which linear, knn need; without"),
        ({"test": images(30, labels=False)}, "--measures reconstruction,rank,mine,decoding,ndm"),
        ({"test": images(30, labels=False)}, "embed RUN DATA --split train --out labelled.parquet, then"),
        ({"train": replace(TRAIN, labels=TRAIN.labels[:-1])}, "89 labels for 90 training images"),
        ({"train": replace(TRAIN, labels=TRAIN.labels * 0)}, "all 90 training labels are class 0"),
        ({"train": replace(TRAIN, labels=TRAIN.labels * 0 - 1)}, "no training labels"),
        ({"test": TEST.take(slice(0, 0))}, "no test images"),
        ({"test": images(30, side=32)}, "training images are 3x16x16 and test images 3x32x32"),
        ({"train": replace(TRAIN, labels=np.zeros((90, 4), np.int64))}, "labels are 4 attributes an image"),
        ({"measures": ("attributes",)}, r"attributes needs labels \(N, K\)"),
        (
            {
                "measures": ("attributes",),
                "train": replace(TRAIN, labels=np.eye(90, 4, dtype=np.int64)),
                "test": replace(TEST, labels=np.zeros((len(TEST), 4), np.int64)),
            },
            "every attribute is the same",
        ),
        (
            {
                "measures": ("attributes",),
                "train": replace(TRAIN, labels=np.full((90, 4), 2)),
                "test": replace(TEST, labels=np.zeros((len(TEST), 4), np.int64)),
            },
            "labels .* of 0 and 1",
        ),
        ({"measures": ("linear", "mine")}, "mine needs 100 training images or more, not 90"),
        (
            {"measures": ("ndm",), "train": images(150), "test": TEST.take(slice(0, 49))},
            "ndm needs 50 test images or more, not 49",
        ),
        ({"measures": ("rank",), "test": TEST.take(slice(0, 2))}, "rank needs 3 test images"),
        ({"measures": ("svm",), "train": TRAIN.take(slice(0, 9))}, "svm needs 10 training"),
        ({"measures": ("svm_3_per_class",)}, "svm_3_per_class sees 9 labels, and svm needs 10"),
        ({"measures": ("linear_folds",), "folds": [np.flatnonzero(TRAIN.labels == 1)]}, "labels of one class only, 1"),
        ({"measures": ("reconstruction",), "train": TRAIN.take(np.array([3]))}, "reconstruction needs 2 training"),
        (
            {"measures": ("knn", "reconstruction"), "train": images(90, side=11), "test": images(60, side=11)},
            "sides above 11 pixels, not 3x11x11",
        ),
        ({"train": floats(TRAIN, np.nan)}, "planted has 1 training images with values that are not finite"),
        ({"test": floats(TEST, 1e300), "measures": ("semi_supervised",)}, "1 test images with values that are not"),
        ({"test": floats(TEST, -3.0), "measures": ("reconstruction",)}, r"values in \[-1, 1\], .* test .* up to 3:"),
        (
            {"train": replace(TRAIN, labels=TRAIN.labels * 0), "controls": ("supervised",), "measures": ()},
            "labels are class 0",
        ),
    ],
)
def test_mistakes_are_one_line_before_any_work(
    changes: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder_evaluation, "Evaluation", None)
    with pytest.raises(UserError, match=says) as raised:
        run(**({"controls": ()} | changes))
    assert "\n" not in str(raised.value)


def test_features_that_are_not_finite_lose_nothing_already_computed(tmp_path: Path) -> None:
    out = tmp_path / "evaluation.json"
    run(out=out, measures=("knn",), levels=("conv",), controls=())
    broken = fixed()
    torch.nn.init.constant_(broken.y.bias, float("nan"))
    with pytest.raises(UserError, match="level y of the encoder is not finite"):
        run(broken, controls=(), levels=("y",))
    assert "conv" in json.loads(out.read_text())["measures"]["knn"]


def test_labels_are_not_needed_where_none_are_used() -> None:
    result = run(train=images(30, labels=False), test=images(30, labels=False), measures=("rank",), controls=())
    assert result["measures"]["rank"]["n_test"] == 30


def test_unlabelled_images_are_left_out_and_said() -> None:
    labels = TRAIN.labels.copy()
    labels[:40] = -1
    result = run(train=replace(TRAIN, labels=labels), measures=("knn",), levels=("y",), controls=())
    assert result["measures"]["knn"]["y"]["n_train"] == 50
    assert result["notes"] == ["40 training images have no label (-1) and were left out"]
    counts = np.unique(labels[40:], return_counts=True)[1]
    described = {key: result["data"]["train"][key] for key in ("count", "labelled", "classes", "majority")}
    assert described == {"count": 90, "labelled": 50, "classes": len(counts), "majority": counts.max() / 50}
    assert "labelled" not in result["data"]["test"]


def test_a_part_without_any_label_has_no_classes_to_speak_of() -> None:
    none = replace(TEST, labels=np.full(len(TEST), -1))
    for given in ({"test": none}, {"train": replace(TRAIN, labels=np.full(len(TRAIN), -1))}):
        assert run(measures=("rank",), controls=(), **given)["notes"] == []
    assert "classes" not in run(test=none, measures=("rank",), controls=())["data"]["test"]


def test_constant_units_are_said() -> None:
    encoder = fixed()
    with torch.no_grad():
        encoder.y.weight[2:4] = 0
    result = run(encoder, measures=("knn",), levels=("y",), controls=())
    assert result["measures"]["knn"]["y"]["constant_units"] == 2
    assert result["notes"] == ["knn y: 2 units are the same for every training image and were set to 0"]


def test_warnings_are_noted_and_said_and_a_collapse_is_loud(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    found = {"nats": 8.414, "standard_error": 0.123, "warning": "above log n", "warning_sigmoid": None, "seconds": 1.0}
    monkeypatch.setitem(MEASURES.builtin, "mine", replace(mine.MEASURE, function=lambda *_, **__: found))
    encoder = fixed()
    torch.nn.init.zeros_(encoder.y.weight)
    result = run(encoder, images(100), measures=("mine", "rank"), controls=(), quiet=False)
    err = capsys.readouterr().err
    assert "mine: 8.41 ± 0.12 nats" in err
    assert "above log n" in err
    assert "COLLAPSED" in err
    assert result["notes"][0] == "mine: warning: above log n"
    assert result["notes"][1].startswith("rank: y HAS COLLAPSED: its effective rank is ")
    table = render(result)
    assert "8.41 ± 0.12" in table
    assert "COLLAPSED" in table
    assert "warning: above log n" in table


def test_the_table_has_a_block_for_each_measure_and_a_line_for_the_supervised_network() -> None:
    result = run(measures=("knn", "rank"), controls=("pixels", "supervised"), supervised_steps=2)
    lines = [line.split() for line in render(result | {"notes": []}).splitlines()]
    assert [line[0] for line in lines] == ["knn", "trained", "pixels", "rank", "trained", "supervised"]
    assert [len(line) for line in lines[:3]] == [4, 4, 2]  # pixels have no levels


def test_images_are_embedded_once_for_all_measures_of_y_and_no_figure_changes() -> None:
    encoder, train, test = fixed(), images(150), images(100, seed=1)
    wholes, seen = ("reconstruction", "rank", "mine", "decoding", "ndm", "distribution"), []
    alone = {name: run(train=train, test=test, measures=(name,), controls=())["measures"][name] for name in wholes}
    encoder.register_forward_hook(lambda _module, given, _features: seen.append(len(given[0])))
    result = run(encoder, train, test, measures=("knn", *wholes), levels=("y",), controls=())
    # One image to see its levels; both sets; rank's two views, and reconstruction's own order, of one.
    assert sum(seen) == 1 + 150 + 100 + 2 * 100 + 100
    for name in wholes:
        assert result["measures"][name] | {"seconds": 0} == alone[name] | {"seconds": 0}


def test_attributes_at_every_level_and_of_pixels() -> None:
    def tagged(data):
        return replace(data, labels=np.stack([data.labels == 0, data.labels == 2], 1).astype(np.int64))

    result = run(train=tagged(TRAIN), test=tagged(TEST), measures=("attributes",), controls=("pixels",))
    assert result["measures"]["attributes"].keys() == {"conv", "fc", "y"}
    assert result["controls"]["pixels"]["attributes"]["balanced_accuracy"] > 0.9
    assert result["data"]["train"]["attributes"] == 2
    always = replace(tagged(TEST), labels=tagged(TEST).labels | np.array([0, 1]))
    noted = run(train=tagged(TRAIN), test=always, measures=("attributes",), levels=("y",), controls=())["notes"]
    assert noted == ["attributes y: 1 attributes are left out: all or none of the images of one part have them"]


def test_same_seed_same_figures() -> None:
    def once(seed: int) -> dict[str, Any]:
        result = run(measures=("mlp", "linear"), levels=("y",), seed=seed)

        def figures(tree: Any) -> Any:
            return {k: figures(v) for k, v in tree.items() if k != "seconds"} if isinstance(tree, dict) else tree

        return figures(result)

    assert once(3) == once(3)


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".parquet"])
def test_any_file_of_embeddings(tmp_path: Path, suffix: str) -> None:
    x, y = gaussians(200)
    write_embeddings(tmp_path / f"x{suffix}", x.numpy(), y)
    out = tmp_path / "evaluation.json"
    result = evaluate_embeddings(
        tmp_path / f"x{suffix}",
        measures=("linear", "knn", "linear_5_per_class", "rank"),
        scale="smoke",
        out=out,
        quiet=True,
    )
    assert figures_in(out) == result
    assert result["measures"]["linear"]["accuracy"] > 0.95
    assert result["measures"]["knn"]["n_train"] + result["measures"]["knn"]["n_test"] == 200
    assert result["data"]["test"]["count"] == pytest.approx(40, abs=2)
    assert result["measures"]["rank"]["units"] == 10


def test_the_split_of_embeddings() -> None:
    x, y = gaussians(100)
    split = np.array(["train"] * 70 + ["test"] * 30)
    found = Embeddings(x.numpy(), y, split)
    result = evaluate_embeddings(found, measures=("knn",), scale="smoke", quiet=True)
    expected = knn(x[:70], y[:70], x[70:], y[70:])
    assert result["measures"]["knn"]["accuracy"] == expected.accuracy
    train, test, *_ = _split(Embeddings(x.numpy(), y), seed=0)
    assert sorted([*train, *test]) == list(range(100))
    for label in range(3):
        assert (y[test] == label).sum() == -(-(y == label).sum() // 5)
    with pytest.raises(UserError, match="100 rows for training and 0 for testing; without the column split a"):
        evaluate_embeddings(Embeddings(x.numpy(), y, np.array(["train"] * 100)), measures=("knn",), quiet=True)


@pytest.mark.parametrize("kind", [np.int64, np.float64, "NaN", str, object])
def test_embeddings_without_a_label_are_left_out_and_said(tmp_path: Path, kind: Any) -> None:
    x, y = gaussians(100)
    labels = y.astype(np.float64 if kind == "NaN" else kind)
    labels[:40] = {"NaN": np.nan, str: "", object: None}.get(kind, -1)
    split = np.array(["train", "test"] * 50)
    for given in (None, split):
        result = evaluate_embeddings(Embeddings(x.numpy(), labels, given), measures=("knn",), quiet=True)
        expected = evaluate_embeddings(
            Embeddings(x.numpy()[40:], y[40:], None if given is None else given[40:]), measures=("knn",), quiet=True
        )
        assert result["measures"]["knn"]["accuracy"] == expected["measures"]["knn"]["accuracy"]
        assert result["measures"]["knn"]["n_train"] == expected["measures"]["knn"]["n_train"]
        assert result["notes"] == ['40 embeddings have no label (-1, NaN or "") and were left out']
    if kind is object:  # as lists and columns of words have them
        for missing in (float("nan"), pd.NA):
            words = [missing] * 40 + [f"class {label}" for label in y[40:]]
            for column in (words, pd.Series(words, dtype="string" if missing is pd.NA else object)):
                again = evaluate_embeddings(Embeddings(x.numpy(), column, split), measures=("knn",), quiet=True)
                assert again["measures"]["knn"]["accuracy"] == result["measures"]["knn"]["accuracy"]
                assert again["notes"] == result["notes"]
    labels[:] = labels[0]
    with pytest.raises(UserError, match="no labels, so only rank can be measured"):
        evaluate_embeddings(Embeddings(x.numpy(), labels), measures=("knn",), quiet=True)
    assert evaluate_embeddings(Embeddings(x.numpy(), labels), quiet=True)["measures"].keys() == {"rank"}
    assert evaluate_embeddings(Embeddings(x.numpy(), labels), measures=("rank",), quiet=True)["notes"] == []


def test_columns_taken_for_no_units_are_noted(tmp_path: Path) -> None:
    x, y = gaussians(60)
    columns = {f"unit_{i}": x.numpy()[:, i] for i in range(10)}
    parquet.write_table(pa.table(columns | {"target": y, "label": y}), tmp_path / "x.parquet")
    result = evaluate_embeddings(tmp_path / "x.parquet", measures=("knn",), quiet=True)
    assert result["data"]["units"] == 10
    assert result["notes"] == ["left out of the embeddings, as columns that are no units: target"]


def test_missing_words_of_a_table_are_no_class(tmp_path: Path) -> None:
    x, y = gaussians(60)
    words = [None if i < 9 else f"class {label}" for i, label in enumerate(y)]
    parquet.write_table(pa.table({"embedding": x.tolist(), "label": words}), tmp_path / "x.parquet")
    result = evaluate_embeddings(tmp_path / "x.parquet", measures=("knn",), quiet=True)
    assert result["notes"] == ['9 embeddings have no label (-1, NaN or "") and were left out']


def test_figures_of_other_labels_are_not_taken_for_these(tmp_path: Path) -> None:
    x, y = gaussians(60)
    settings = {"measures": ("knn",), "out": tmp_path / "evaluation.json", "quiet": True}
    right = evaluate_embeddings(Embeddings(x.numpy(), y), **settings)
    wrong = evaluate_embeddings(Embeddings(x.numpy(), np.roll(y, 1)), **settings)
    assert wrong["measures"]["knn"]["accuracy"] < right["measures"]["knn"]["accuracy"]


def test_quantities_are_no_classes_of_embeddings() -> None:
    x, y = gaussians(60)
    quantity = np.where(np.arange(60) % 7 == 0, -1, y + 0.5)
    with pytest.raises(UserError, match=r"labels with fractions, such as \d\.5, .* or --measures rank"):
        evaluate_embeddings(Embeddings(x.numpy(), quantity), quiet=True)
    with pytest.raises(UserError, match=r"labels with fractions, such as \d\.5, "):  # as a list of images has them
        evaluate_embeddings(Embeddings(x.numpy(), quantity.astype(str)), quiet=True)
    found = evaluate_embeddings(Embeddings(x.numpy(), quantity), measures=("rank",), scale="smoke", quiet=True)
    assert (found["measures"]["rank"]["n_test"], found["notes"]) == (60, [])
    whole = evaluate_embeddings(Embeddings(x.numpy(), y.astype(float)), measures=("knn",), scale="smoke", quiet=True)
    assert whole["measures"]["knn"]["n_train"] > 0


def test_rank_of_embeddings_takes_no_more_of_them_than_of_images() -> None:
    x, _ = gaussians(3000)
    found = evaluate_embeddings(Embeddings(x.numpy()), measures=("rank",), scale="smoke", quiet=True)
    assert found["measures"]["rank"]["n_test"] == rank.IMAGES["smoke"]


def test_mistakes_with_embeddings(tmp_path: Path) -> None:
    x, y = gaussians(30)
    with pytest.raises(UserError, match="nothing to measure; choose of mlp"):
        evaluate_embeddings(Embeddings(x.numpy(), y), measures=(), quiet=True)
    with pytest.raises(UserError, match=r"no labels, so only rank can be measured.* call them `label`"):
        evaluate_embeddings(Embeddings(x.numpy()), measures=("knn",), quiet=True)
    np.save(tmp_path / "x.npy", x.numpy())
    notes = evaluate_embeddings(tmp_path / "x.npy", quiet=True)["notes"]
    assert notes == ["there are no labels: put one a row into x.labels.npy beside it to measure more"]
    with pytest.raises(UserError, match=r"or put one a row into x\.labels\.npy beside it"):
        evaluate_embeddings(tmp_path / "x.npy", measures=("knn",), quiet=True)
    with pytest.raises(UserError, match="'mine' cannot be measured on embeddings"):
        evaluate_embeddings(Embeddings(x.numpy(), y), measures=("mine",), quiet=True)
    assert "rank" in evaluate_embeddings(Embeddings(x.numpy()), measures=("rank",), quiet=True)["measures"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"vectors": np.full((30, 10), np.nan)}, "not finite .* 30 of 30 rows"),
        ({"vectors": np.where(np.eye(30, 10) > 0, np.inf, 0.0)}, "not finite .* 10 of 30 rows"),
        ({"vectors": np.full((30, 10), 1e300)}, r"too large for float32 .* 30 of 30 rows"),
        ({"vectors": np.where(np.eye(30, 10) > 0, 3e38, -3e38)}, r"too large for float32 .* 30 of 30 rows"),
        ({"vectors": np.zeros(30)}, r"embeddings are numbers \(N, units\)"),
        ({"vectors": np.array([["a"]] * 30)}, r"embeddings are numbers \(N, units\)"),
        ({"vectors": [[1.0], [1.0, 2.0]]}, "rows of different lengths"),
        ({"vectors": np.zeros((0, 10)), "labels": np.zeros(0)}, r"no embeddings: its shape is \(0, 10\)"),
        ({"labels": np.zeros(29)}, "29 values of label for 30 embeddings"),
        ({"labels": np.zeros(())}, r"label of shape \(\)"),
        ({"labels": np.array([0, "a"] * 15, dtype=object)}, "labels of several kinds: give words"),
        ({"labels": [[0], [1, 2]] * 15}, "labels of embeddings have rows of different lengths"),
        ({"vectors": pd.DataFrame(np.eye(30)), "labels": pd.Series(range(30), range(29, -1, -1))}, "different pandas"),
        ({"split": ["train", "test"] * 16}, "32 values of split for 30 embeddings"),
        ({"split": np.full((30, 1), "train")}, r"split of shape \(30, 1\)"),
    ],
)
@pytest.mark.parametrize("measure", ["knn", "rank"])
def test_arrays_are_checked_as_files_are(changes: dict[str, Any], says: str, measure: str) -> None:
    x, y = gaussians(30)
    with pytest.raises(UserError, match=says) as raised:
        evaluate_embeddings(Embeddings(x.numpy(), y)._replace(**changes), measures=(measure,), quiet=True)
    assert "\n" not in str(raised.value)


def test_splits_in_other_words_and_rows_of_other_splits() -> None:
    x, y = gaussians(100)
    split = np.array(["Training"] * 60 + [b"TEST", "testing "] * 15 + ["val"] * 8 + [None] * 2, dtype=object)
    result = evaluate_embeddings(Embeddings(x.numpy(), y, split), measures=("knn",), quiet=True)
    assert result["measures"]["knn"]["accuracy"] == knn(x[:60], y[:60], x[60:90], y[60:90]).accuracy
    assert (result["data"]["train"]["count"], result["data"]["test"]["count"]) == (60, 30)
    assert result["notes"] == ["10 embeddings are of other splits (none, val) and were left out"]
    with pytest.raises(UserError, match=r"0 rows for training and 0 for testing; 100 .* other splits \(0, 1\)"):
        evaluate_embeddings(Embeddings(x.numpy(), y, np.arange(100) % 2), measures=("knn",), quiet=True)


def test_a_figure_does_not_hang_on_what_is_measured_beside_it() -> None:
    x, y = gaussians(120, classes=2, distance=1.0)
    source = Embeddings(x.numpy(), y[:, None])
    alone = evaluate_embeddings(source, measures=("linear",), quiet=True)
    beside = evaluate_embeddings(source, measures=("linear", "attributes"), quiet=True)
    same = {"seconds": 0}
    assert beside["measures"]["linear"] | same == alone["measures"]["linear"] | same
    assert beside["data"] == alone["data"]


def test_a_file_is_known_by_its_contents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = gaussians(60)
    np.savez(tmp_path / "e.npz", embedding=x.numpy(), label=y)
    monkeypatch.chdir(tmp_path)
    for file in ("e.npz", tmp_path / "e.npz"):
        for measure in ("knn", "linear"):
            evaluate_embeddings(file, measures=(measure,), out=tmp_path / "out.json", quiet=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e.npz", "out.json"]


def test_labels_in_one_column_are_classes_or_one_attribute() -> None:
    x, y = gaussians(100, classes=2)
    found = evaluate_embeddings(Embeddings(x.numpy(), y[:, None]), measures=("knn",), quiet=True)
    expected = evaluate_embeddings(Embeddings(x.numpy(), y), measures=("knn",), quiet=True)
    assert found["measures"]["knn"] | {"seconds": 0} == expected["measures"]["knn"] | {"seconds": 0}
    both = evaluate_embeddings(
        Embeddings(x.numpy(), y[:, None]), measures=("attributes", "knn"), scale="smoke", quiet=True
    )
    assert both["measures"]["attributes"]["attributes"] == 1
    assert both["measures"]["knn"]["accuracy"] > 0.9


def test_rank_of_embeddings_without_labels_takes_all_rows() -> None:
    x, _ = gaussians(100)
    result = evaluate_embeddings(Embeddings(x.numpy()), measures=("rank",), quiet=True)
    assert result["measures"]["rank"]["n_test"] == 100
    split = np.array(["test"] * 30 + ["val"] * 70)
    result = evaluate_embeddings(Embeddings(x.numpy(), split=split), measures=("rank",), quiet=True)
    assert result["measures"]["rank"]["n_test"] == 30


@pytest.mark.parametrize(
    ("measure", "changes", "says"),
    [
        ("linear_folds", {}, "a file of embeddings has no folds"),
        ("mlp_5_per_class", {}, "'mlp_5_per_class' cannot be measured"),
        ("attributes", {}, r"attributes needs labels \(N, K\)"),
        ("attributes", {"labels": np.zeros((30, 4))}, "every attribute is the same"),
        ("linear", {"labels": np.zeros((30, 4))}, "one column per attribute"),
        ("svm", {"split": ["train"] * 9 + ["test"] * 21}, "svm needs 10 training"),
        ("rank", {"split": ["train"] * 28 + ["test"] * 2}, "rank needs 3 test"),
        ("linear", {"labels": np.array(["a"] * 30)}, "all 24 training labels are a"),
    ],
)
@pytest.mark.usefixtures("any_shape")
def test_what_embeddings_cannot_give_is_said_before_any_work(
    measure: str, changes: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deepinfomax.evaluation.embeddings_evaluation.Evaluation", None)
    x, y = gaussians(30)
    with pytest.raises(UserError, match=says) as raised:
        evaluate_embeddings(Embeddings(x.numpy(), y)._replace(**changes), measures=(measure,), quiet=True)
    assert "\n" not in str(raised.value)


def test_lists_and_tensors_are_arrays() -> None:
    x, y = gaussians(60)
    expected = evaluate_embeddings(Embeddings(x.numpy(), y), measures=("knn",), quiet=True)["measures"]["knn"]
    read_only = x.numpy().copy()
    read_only.flags.writeable = False
    objects = y.astype(object)
    for given in (
        Embeddings(x.tolist(), y.tolist()),
        Embeddings(x, torch.from_numpy(y)),
        Embeddings(read_only, objects),
    ):
        found = evaluate_embeddings(given, measures=("knn",), quiet=True)["measures"]["knn"]
        assert found | {"seconds": 0} == expected | {"seconds": 0}


def test_progress_goes_to_stderr(capsys: pytest.CaptureFixture) -> None:
    run(measures=("knn",), levels=("y",), controls=("pixels",), quiet=False)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "knn y: accuracy" in captured.err
    assert "pixels knn: accuracy" in captured.err


@dataclass(frozen=True)
class Spread:
    spread: float
    seconds: float = 0.0


def of_features(train, train_labels, test, test_labels, *, scale, seed, device) -> Spread:
    return Spread(float(test.std()))


OWN = Measure(
    name="spread",
    title="Spread of the features",
    of="features",
    labels=None,
    figures=(Figure("spread", "spread", "", "higher", "how far the features of test images are apart"),),
    function=of_features,
)


def test_a_measure_of_another_package_stands_beside_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setitem(MEASURES.builtin, "spread", OWN)
    result = run(measures=("spread", "knn"), levels=("conv", "y"), controls=("pixels",), quiet=False)
    assert result["measures"]["spread"]["y"]["spread"] > 0
    assert result["controls"]["pixels"]["spread"]["spread"] > 0
    assert "spread y: spread 0." in capsys.readouterr().err
    assert f"{result['measures']['spread']['y']['spread']:.3f}" in render(result)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": "my_folds"}, "does not end as one of few labels does"),
        ({"figures": ()}, "needs a title, a figure and a function"),
        ({"function": None}, "needs a title, a figure and a function"),
        ({"of": "images"}, "is of features or of an encoder"),
        ({"few_labels": True}, "cannot see few labels"),
        ({"takes": ("model",)}, "takes 'model'"),
        ({"figures": OWN.figures[0]}, r"needs figures as a tuple: figures=\(Figure\(...\),\)"),
        ({"figures": list(OWN.figures)}, "needs figures as a tuple"),
        ({"figures": ("spread",)}, "needs figures as a tuple"),
        ({"remarks": Remark("spread", "")}, r"needs remarks as a tuple: remarks=\(Remark\(...\),\)"),
    ],
)
def test_an_incomplete_record_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        replace(OWN, **changes)


def test_a_figure_is_better_higher_or_lower_or_neither() -> None:
    assert replace(OWN.figures[0], better=None).better is None
    with pytest.raises(UserError, match="of the figure 'spread', higher, lower or None is better, not 'none'"):
        replace(OWN.figures[0], better="none")


@dataclass(frozen=True)
class Anything:
    spread: Any
    other: Any = "text"


def of_own(value: Any, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> dict[str, Any]:
    """What an evaluation makes of `value` as the result of a measure of another package, measured after knn."""
    monkeypatch.setitem(MEASURES.builtin, "spread", replace(OWN, function=lambda *_, **__: value, **changes))
    return run(measures=("knn", "spread"), levels=("y",), controls=())["measures"]["spread"]["y"]


@pytest.mark.parametrize("number", [np.float32(1.5), np.array(1.5), torch.tensor(1.5), 1.5])
def test_numbers_of_any_library_are_numbers(number: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = of_own(Anything(number), monkeypatch)
    assert type(found["spread"]) is float
    assert found | {"seconds": 0} == {"spread": 1.5, "other": "text", "seconds": 0}
    assert of_own({"spread": number}, monkeypatch)["spread"] == 1.5


def test_seconds_are_those_of_the_measure_or_else_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter((10.0, 12.5, 20.0, 24.0))
    monkeypatch.setattr("deepinfomax.evaluation.running.time.perf_counter", lambda: next(ticks))
    evaluation = running.Evaluation({}, None, scale="smoke", seed=0, device="cpu", quiet=True)
    monkeypatch.setitem(MEASURES.builtin, "spread", OWN)
    for place, result in (("a", Anything(1.0)), ("b", Spread(1.0, 7.0))):
        evaluation.measure("spread", ("measures", "spread", place), lambda result=result: result)
    taken = evaluation.record.contents["measures"]["spread"]
    assert (taken["a"]["seconds"], taken["b"]["seconds"]) == (2.5, 7.0)


@pytest.mark.parametrize(
    ("value", "changes", "says"),
    [
        (1.5, {}, "returned a float; it must return a dataclass with the fields spread"),
        (None, {}, "returned a NoneType; it must return a dataclass"),
        (Anything, {}, "returned a type; it must return a dataclass"),
        (
            Spread(1.0),
            {"figures": (*OWN.figures, Figure("r2", "R²", "", None, ""))},
            "returned no 'r2', .* has spread,",
        ),
        (Spread(1.0), {"remarks": (Remark("collapsed", "{collapsed}"),)}, "returned no 'collapsed', which its Figure"),
        (
            {"spread": 1.0, "dead": 3},
            {"remarks": (Remark("dead", "{deed} units are dead"),)},
            "returned no 'deed', which the text of its Remark names; it has spread, dead",
        ),
        ({"sprad": 1.0}, {}, "returned no 'spread', .* it has sprad"),
        (Anything(1.5, torch.ones(2)), {}, "returned a Tensor as 'other', which evaluation.json cannot hold"),
        (Anything(np.ones(2)), {}, "returned a ndarray as 'spread', which evaluation.json cannot hold"),
    ],
)
def test_a_result_that_cannot_be_kept_is_one_line_and_loses_nothing(
    value: Any, changes: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    out = tmp_path / "evaluation.json"
    monkeypatch.setitem(MEASURES.builtin, "spread", replace(OWN, function=lambda *_, **__: value, **changes))
    with pytest.raises(UserError, match=f"^the function of the measure 'spread' {says}") as raised:
        run(measures=("knn", "spread"), levels=("y",), controls=(), out=out)
    assert "\n" not in str(raised.value)
    assert json.loads(out.read_text())["measures"].keys() == {"knn"}


class WithoutFc(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 4, 4)
        self.y = nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> Features:
        conv = self.stem(x)
        return Features(local=conv, conv=conv, fc=None, y=self.y(conv.mean((2, 3))))


def test_a_level_that_the_encoder_has_not_is_left_out_and_said() -> None:
    torch.manual_seed(0)
    result = run(WithoutFc(), measures=("knn",), controls=("pixels",))
    assert result["measures"]["knn"].keys() == {"conv", "y"}
    assert result["notes"] == ["the encoder has no fc, so nothing is measured there"]


def without_seconds(tree: Any) -> Any:
    return {k: without_seconds(v) for k, v in tree.items() if k != "seconds"} if isinstance(tree, dict) else tree


def test_what_cannot_be_held_at_once_is_a_sample_of_pixels_and_one_level_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The figures of the encoder stay what they are; those of pixels say of how many images they are."""
    measures, folds = ("knn", "linear_folds"), [np.arange(40), np.arange(40, 90)]
    whole = run(measures=measures, folds=folds)
    embedded: list[tuple[str, ...]] = []
    plain = running.embed

    def noted(*args: Any, levels: Any, **settings: Any) -> dict[str, torch.Tensor]:
        embedded.append(tuple(levels))
        return plain(*args, levels=levels, **settings)

    monkeypatch.setattr(running, "embed", noted)
    monkeypatch.setattr(encoder_evaluation, "embed", noted)
    monkeypatch.setattr(running, "VALUES_AT_ONCE", 100)
    monkeypatch.setattr(encoder_evaluation, "VALUES_AT_ONCE", 100 * TRAIN.images[0].size)
    result = run(measures=measures, folds=folds)
    assert without_seconds(result["measures"]) == without_seconds(whole["measures"])
    each = [(level,) for level in ("conv", "fc", "y") for _ in range(2)]  # of both sets; before it, one image
    one_encoder = [("conv", "fc", "y"), *each]
    assert embedded == [*one_encoder, ("y",), *one_encoder]  # between: y of one image, for its number of units
    assert result["controls"]["pixels"]["knn"]["n_train"] == 60
    assert result["controls"]["pixels"]["knn"]["n_test"] == 40
    assert set(result["controls"]["pixels"]) == {"knn"}
    (said,) = (note for note in result["notes"] if note.startswith("pixels are measured on"))
    assert "60 of 90 training images and 40 of 60 test images, drawn by the seed" in said
    assert "without measures of folds" in said


def test_embeddings_larger_than_memory_are_refused_before_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free", lambda: 1000)
    with pytest.raises(UserError, match=r"conv of 90 images takes .* GB, and .* GB of memory are free"):
        embed(fixed(), TRAIN)
