"""Every command as a person types it: figures on stdout, a mistake in one line with exit code 2."""

import inspect
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import deepinfomax
import other_files
from command import exit_code, mistake, run
from deepinfomax import cli, recipes
from deepinfomax.evaluation import purposes
from deepinfomax.evaluation.embeddings import read_embeddings
from deepinfomax.evaluation.measures import MEASURES
from deepinfomax.explore import reading

SMALL = ["encoder.width", "4", "encoder.fc", "16", "encoder.y", "8", "training.trackers", "[]"]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of JPEGs, train and test, one folder per class: light and dark noise."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for split, count in (("train", 24), ("test", 12)):
        for name, level in (("dark", 60), ("light", 190)):
            (root / split / name).mkdir(parents=True)
            for i in range(count):
                pixels = (rng.normal(level, 30, (16, 16, 3))).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{i}.jpg")
    return root


@pytest.fixture(scope="session")
def trained(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    words = ["train", str(folder), "--scale", "smoke", "--recipe", "dim-local", "--device", "cpu", "--out", str(out)]
    assert exit_code(*words, *SMALL) == 0
    return out


def test_help_of_every_command(capsys: pytest.CaptureFixture) -> None:
    for command in (
        "quickstart",
        "train",
        "evaluate",
        "embed",
        "explore",
        "neighbours",
        "estimate-mi",
        "report",
        "export",
        "reproduce",
        "data",
        "recipes",
        "compare",
        "doctor",
    ):
        code, out, _ = run(capsys, command, "--help")
        assert code == 0
        assert "Usage: deepinfomax" in out
        assert "--device" in out
        assert "--seed" in out
        assert "--json" in out


def test_vectors_averaged_over_copies_are_measured_beside_the_others(
    capsys: pytest.CaptureFixture, folder: Path, trained: Path, tmp_path: Path
) -> None:
    words = ("--measures", "knn", "--scale", "smoke", "--json")
    run(capsys, "evaluate", str(trained), *words)
    files = {name: (trained / name).read_bytes() for name in ("evaluation.json", "report.html")}
    code, out, err = run(capsys, "evaluate", str(trained), "--average", "shifts,mirror", *words)
    assert code == 0, err
    result, file = json.loads(out), trained / "evaluation.mirror-shifts.json"
    assert result.pop("file") == str(file)
    assert result == json.loads(file.read_text())
    assert "the vectors of an image are means over its copies (mirror, shifts)" in result["notes"]
    assert result["controls"]["random_encoder"]["knn"].keys() == {"conv", "fc", "y"}
    assert files == {name: (trained / name).read_bytes() for name in files}
    both = []
    for more in ((), ("--average", "mirror")):
        words = ("embed", str(trained), str(folder), "--out", str(tmp_path / "y.npy"), *more)
        assert run(capsys, *words)[0] == 0
        both.append(np.load(tmp_path / "y.npy"))
    assert both[0].shape == both[1].shape
    assert not np.allclose(*both, atol=1e-3)
    message = mistake(capsys, *words[:-1], "turned")
    assert "unknown copies 'turned'; choose of mirror, shifts" in message
    message = mistake(
        capsys, "evaluate", str(trained), "--average", "mirror", "--controls", "supervised", "--scale", "smoke"
    )
    assert "the supervised network is not averaged" in message
    message = mistake(capsys, "evaluate", str(tmp_path / "y.npy"), "--average", "mirror")
    assert "which has no use for --average" in message


def test_a_folder_of_jpegs_from_data_to_neighbours(
    capsys: pytest.CaptureFixture, folder: Path, trained: Path, tmp_path: Path
) -> None:
    code, out, _ = run(capsys, "data", str(folder), "--json")
    assert code == 0
    assert "48" in out
    assert (trained / "report.html").stat().st_size > 10_000
    code, out, _ = run(capsys, "evaluate", str(trained), "--measures", "linear,knn", "--scale", "smoke", "--json")
    assert code == 0
    evaluation = json.loads(out)
    assert evaluation == json.loads((trained / "evaluation.json").read_text())
    assert evaluation["schema"] == 1
    assert evaluation["measures"]["linear"]["y"]["accuracy"] > 0.8
    assert evaluation["controls"]["pixels"]["knn"]["accuracy"] > 0.8
    for suffix in (".parquet", ".npy", ".npz"):
        out_file = tmp_path / f"y{suffix}"
        assert run(capsys, "embed", str(trained), str(folder), "--out", str(out_file))[0] == 0
        assert out_file.stat().st_size > 48 * 8
    assert np.load(tmp_path / "y.npy", allow_pickle=False).shape == (48, 8)
    names = (tmp_path / "y.names.txt").read_text().splitlines()
    assert np.load(tmp_path / "y.npz")["name"].tolist() == names
    assert len(set(names)) == 48
    assert all((folder / "train" / name).is_file() or (folder / name).is_file() for name in names)
    code, out, _ = run(capsys, "evaluate", str(tmp_path / "y.parquet"), "--measures", "knn")
    assert code == 0
    assert out.splitlines()[:2] == ["knn", f"  {'embeddings':24s}{out.split()[2]:>10s}"]
    assert out.endswith(f"saved in {tmp_path / 'y.parquet.evaluation.json'}\n")
    message = mistake(capsys, "neighbours", str(tmp_path / "y.parquet"))
    assert message.endswith("is a file and no run folder; embeddings are for deepinfomax evaluate and explore")
    code, out, _ = run(capsys, "neighbours", str(trained), "--query", "3", "--count", "2", "--json")
    assert code == 0
    found = json.loads(out)["queries"][0]["y"]
    assert len(found["index"]) == 2
    assert 3 not in found["index"]
    code, out, _ = run(capsys, "neighbours", str(trained), "data.limit", "40", "--beside", str(trained), "--json")
    beside = json.loads(out)["beside"]
    assert Path(beside["sheet"]).read_bytes()[:4] == b"\x89PNG"
    assert 0 < beside["chance"] < beside["shared"]["y"][str(trained)]["l1"] <= 1
    code, out, _ = run(capsys, "report", str(trained), "--json")
    assert json.loads(out)["report"].endswith("report.html")


def test_export_to_onnx_gives_the_same_embedding(capsys: pytest.CaptureFixture, trained: Path, tmp_path: Path) -> None:
    import onnx
    import torch
    from onnx.reference import ReferenceEvaluator

    from deepinfomax import load
    from deepinfomax.data import normalise

    out = tmp_path / "encoder.onnx"
    assert run(capsys, "export", str(trained), "--format", "onnx", "--out", str(out))[0] == 0
    model = onnx.load(out)
    said = {entry.key: entry.value for entry in model.metadata_props}
    pixels = np.random.default_rng(0).integers(0, 256, (3, 3, 16, 16), dtype=np.uint8)
    scale, shift = (float(said[f"deepinfomax.input_{name}"]) for name in ("scale", "shift"))
    images = pixels.astype(np.float32) * np.float32(scale) + np.float32(shift)
    np.testing.assert_allclose(images, normalise(pixels).numpy(), atol=1e-6)
    assert "bytes * scale + shift" in said["deepinfomax.input"]
    assert said["deepinfomax.input_shape"] == "3x16x16"
    images = torch.from_numpy(images)
    y = ReferenceEvaluator(model).run(["y"], {"images": images.numpy()})[0]
    np.testing.assert_allclose(y, load(trained)(images).y.detach().numpy(), atol=1e-4)
    copied = tmp_path / "copy"
    assert run(capsys, "export", str(trained), "--format", "safetensors", "--out", str(copied))[0] == 0
    assert torch.equal(load(copied)(images).y, load(trained)(images).y)


def test_a_run_is_not_exported_onto_itself(capsys: pytest.CaptureFixture, trained: Path) -> None:
    before = (trained / "encoder.safetensors").read_bytes()
    for same in (trained, trained / ".." / trained.name):
        words = ("export", str(trained), "--format", "safetensors", "--out", str(same))
        assert "is the run itself, which holds its encoder already: choose another --out" in mistake(capsys, *words)
    assert (trained / "encoder.safetensors").read_bytes() == before


def test_an_export_leaves_other_runs_and_says_what_belongs_to_the_hub(
    capsys: pytest.CaptureFixture, trained: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(trained, tmp_path / "other")
    (other / "encoder.safetensors").write_bytes(b"another encoder")
    words = ("export", str(trained), "--format", "safetensors")
    assert "is another run, which has an encoder of its own" in mistake(capsys, *words, "--out", str(other))
    assert (other / "encoder.safetensors").read_bytes() == b"another encoder"
    assert "belongs to a run, which keeps other files in it" in mistake(
        capsys, *words, "--out", str(other / "checkpoint")
    )
    assert not (other / "checkpoint" / "encoder.json").exists()
    (other / "export").mkdir()
    (other / "export" / ".DS_Store").touch()  # the user's own folder may hold other files
    assert run(capsys, *words, "--out", str(other / "export"))[0] == 0
    copied = ("--out", str(tmp_path / "copied"))
    assert "--repo is for --format hub" in mistake(capsys, *words, *copied, "--repo", "me/mine")
    assert "--private is for --format hub" in mistake(capsys, *words, *copied, "--private")
    before = (other / "encoder.json").read_bytes()
    for own in ("encoder.json", "config.toml", "checkpoint/state.safetensors"):
        words = ("export", str(other), "--format", "onnx", "--out", str(other / own))
        assert f"{own}, which is read: choose another --out" in mistake(capsys, *words)
    assert (other / "encoder.json").read_bytes() == before
    named = ("export", str(trained), "--format", "pt2", "--out", str(tmp_path / "copied"))
    assert "give it a name that ends in .pt2" in mistake(capsys, *named)
    assert not (tmp_path / "copied").exists()


def test_an_encoder_older_than_its_training_is_told(
    capsys: pytest.CaptureFixture, folder: Path, trained: Path, tmp_path: Path
) -> None:
    """A run that went on after its end and was stopped: what is measured is the encoder of that end."""
    resumed = shutil.copytree(trained, tmp_path / "resumed")
    uses = [
        ("embed", str(resumed), str(folder), "--out", str(tmp_path / "y.npy")),
        ("export", str(resumed), "--format", "safetensors"),
        ("evaluate", str(resumed), "--measures", "knn", "--scale", "smoke", "--controls", ""),
        ("neighbours", str(resumed), "--query", "0"),
        ("compare", str(resumed), str(trained), "--out", str(tmp_path / "page.html")),
    ]
    assert "note: the encoder of" not in run(capsys, *uses[0])[2]
    lines = (resumed / "metrics.jsonl").read_text().splitlines(keepends=True)
    assert json.loads(lines[-1])["event"] == "end"
    (resumed / "metrics.jsonl").write_text("".join(lines[:-1]))  # as when it goes on, until it has ended again
    assert "note: the encoder of" not in run(capsys, *uses[0])[2]  # and nothing was saved since
    written = (resumed / "encoder.safetensors").stat().st_mtime
    os.utime(resumed / "checkpoint/state.safetensors", (written + 1, written + 1))
    for words in uses:
        code, _, said = run(capsys, *words)
        assert code == 0, said
        assert said.count(f"note: the encoder of {resumed} is that of an earlier end of its training") == 1
        assert f"is at step 4 now: deepinfomax train --resume --out {resumed} brings it to its end" in said
    longer = ("training.steps", "6", "training.epochs", "100")
    assert exit_code("train", "--resume", "--out", str(resumed), "--device", "cpu", *longer) == 0
    assert "note: the encoder of" not in run(capsys, *uses[0])[2]


def test_a_place_that_cannot_be_written_is_told_before_anything_is_read(
    capsys: pytest.CaptureFixture, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a_file").touch()
    Path("a.npy").mkdir()
    shutil.copytree(trained, "other")
    for words in (
        ("embed", str(trained), "photos", "--out", "a_file/a.npy"),
        ("compare", str(trained), "other", "--data", "photos", "--out", "a_file/a.html"),
        ("train", "photos", "--out", "a_file/run"),
    ):
        said = mistake(capsys, *words)
        assert "a_file is a file and no folder" in said
        assert "embedding" not in said
    np.savez("mine.npz", images=np.zeros((4, 16, 16, 3), np.uint8))
    Path("page-images.csv").write_text("path\n" + "a.png\n" * 20)
    before = [Path(name).read_bytes() for name in ("mine.npz", "page-images.csv")]
    over = "would replace {}, which is read: choose another --out"
    assert over.format("mine.npz") in mistake(capsys, "embed", str(trained), "mine.npz", "--out", "./mine.npz")
    said = mistake(capsys, "explore", "page-images.csv", "--run", str(trained), "--out", "page.html")
    assert over.format("page-images.csv") in said
    assert before == [Path(name).read_bytes() for name in ("mine.npz", "page-images.csv")]
    assert "--out a.npy is a folder" in mistake(capsys, "embed", str(trained), "photos", "--out", "a.npy")


@pytest.mark.parametrize("name", ["2024", "2024-05-01", "true", "none"])
def test_data_and_its_root_are_called_anything(
    capsys: pytest.CaptureFixture, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(folder, name)
    words = (name, "--data-root", name, "--device", "cpu")
    code, _, err = run(capsys, "train", *words, "--scale", "smoke", "--out", "run", *SMALL)
    assert code == 0, err
    assert deepinfomax.config.load("run/config.toml").data.source == str((tmp_path / name).resolve())
    assert run(capsys, "train", *words, "--resume", "--out", "run", "training.steps", "6")[0] == 0
    assert run(capsys, "data", name, "--data-root", name)[0] == 0


def test_a_folder_called_like_the_set_that_comes_along_is_told_how_it_is_read(
    capsys: pytest.CaptureFixture, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "note" not in run(capsys, "data", "digits")[2]
    shutil.copytree(folder, "digits")
    _, out, err = run(capsys, "data", "digits")
    assert "10 classes" in out
    assert "note: digits is read as the set that comes along; the one in this folder is ./digits" in err
    assert "note" not in run(capsys, "data", "./digits")[2]


def test_resume_and_its_mistakes(capsys: pytest.CaptureFixture, folder: Path, trained: Path, tmp_path: Path) -> None:
    words = ["train", str(folder), "--device", "cpu"]
    assert "continue it with --resume" in mistake(capsys, *words, "--scale", "smoke", "--out", str(trained))
    assert "--resume needs --out" in mistake(capsys, *words, "--resume")
    assert "is no run folder" in mistake(capsys, *words, "--resume", "--out", str(tmp_path / "none"))
    error = mistake(capsys, *words, "--resume", "--out", str(trained), "encoder.width", "8")
    assert "encoder.width differ" in error
    code, _, _ = run(capsys, *words, "--resume", "--out", str(trained), "training.steps", "6")
    assert code == 0
    steps = [json.loads(line)["step"] for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert steps[-1] == 6
    code, _, err = run(capsys, "train", "training.steps", "7", "--resume", "--out", str(trained), "--device", "cpu")
    assert code == 0, err
    assert json.loads((trained / "metrics.jsonl").read_text().splitlines()[-1])["step"] == 7


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["foo"], "No such command 'foo'"),
        (["train"], "DATA is missing: give the images to train on first"),
        (["train", "training.steps", "5"], "DATA is missing: training.steps stands in its place"),
        (["train", "DATA", "--recipe", "dim"], "unknown recipe 'dim'"),
        (["train", "DATA", "--recipee", "cpu"], "unknown option '--recipee'"),
        (["train", "DATA", "--scale", "huge"], "unknown scale 'huge'"),
        (["train", "DATA", "--config", "none.toml"], "no configuration at none.toml"),
        (["train", "DATA", "training.lrr", "1"], "training.lrr is no setting; did you mean 'lr'?"),
        (["train", "DATA", "training.lr"], "training.lr needs a value"),
        (["train", "DATA", "training.batch_size", "1"], "training.batch_size must be 2 or more"),
        (["train", "DATA", "--recipe", "cpu", "encoder.name", "resnext"], "encoder.name 'resnext' is unknown"),
        (["train", "DATA", "--scale", "smoke", "--device", "abacus"], "there is no device 'abacus' here"),
        (["train", "DATA", "--scale", "smoke", "training.trackers", '["wandb"]'], "pip install wandb"),
        (["train", "DATA", "--seed", "-1"], "--seed"),
        (["train", "DATA", "--seed", str(2**32)], "--seed"),
        (["evaluate", "RUN", "--seed", str(2**32)], "--seed"),
        (["train", "DATA", "--config", "a.toml", "--scale", "smoke"], "--scale belongs to --recipe"),
        (["train", "nowhere/at-all"], "nowhere"),
        (["evaluate", "nowhere"], "nowhere"),
        (["embed", "nowhere", "DATA", "--out", "y.npy"], "nowhere"),
        (["explore", "nowhere/at-all"], "nowhere"),
        (["explore", "photos", "--run", "nowhere"], "nowhere"),
        (["explore", "photos", "--control", "magic"], "choose pixels, random_encoder, none"),
        (["report", "nowhere"], "nowhere"),
        (["export", "nowhere"], "nowhere"),
        (["quickstart", "--data", "imagenet"], "quickstart has photos and cifar10"),
        (["reproduce", "table9"], "table9"),
        (["data", "DATA", "--size", "0"], "data.size must be at least 1 pixel, not 0"),
        (["reproduce", "table1", "--device", "abacus"], "there is no device 'abacus' here"),
        (["reproduce", "jsd-and-mi", "--scale", "smoke", "--device", "abacus"], "there is no device 'abacus' here"),
        (["estimate-mi", "x.npy", "y.npy"], "x.npy"),
    ],
)
def test_mistakes_are_one_line(
    capsys: pytest.CaptureFixture, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in mistake(capsys, *[str(folder) if w == "DATA" else w for w in words])
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


@pytest.mark.parametrize(
    ("trained_with", "asked", "seen"),
    [
        ({"data.holdout": "0.4"}, (), False),
        ({"data.holdout": "0.4"}, ("data.holdout", "0.3"), False),  # a part of what was kept apart
        ({"data.holdout": "0.3"}, ("data.holdout", "0.4"), True),
        ({"data.split": "train+test"}, (), True),
        ({"data.split": "train"}, (), False),
        ({"data.split": "train+test", "data.holdout": "0.4"}, (), True),
    ],
)
def test_figures_say_when_the_test_images_were_trained_on(
    capsys: pytest.CaptureFixture, folder: Path, tmp_path: Path, trained_with: dict, asked: tuple, seen: bool
) -> None:
    data, out = folder, str(tmp_path / "run")
    if "data.holdout" in trained_with:
        data = tmp_path / "whole"
        shutil.copytree(folder / "train", data)
    words = [word for setting in trained_with.items() for word in setting]
    assert run(capsys, "train", str(data), "--scale", "smoke", "--out", out, *SMALL, *words)[0] == 0
    measure = ("--measures", "knn", "--controls", "none", "--scale", "smoke", "--json")
    code, text, err = run(capsys, "evaluate", out, *measure, *asked)
    assert code == 0, err
    assert ("trained on the test images too" in " ".join(json.loads(text)["notes"])) == seen


def test_a_folder_without_a_test_part_is_measured_on_what_is_held_out(
    capsys: pytest.CaptureFixture, folder: Path, tmp_path: Path
) -> None:
    whole, out = tmp_path / "whole", str(tmp_path / "run")
    shutil.copytree(folder / "train", whole)
    code, said, _ = run(capsys, "train", str(whole), "--scale", "smoke", "--out", out, *SMALL)
    assert code == 0
    assert "`measure` takes images that it was trained on; train with data.holdout 0.2" in said
    words = ("evaluate", out, "--measures", "knn", "--controls", "none", "--scale", "smoke")
    told = mistake(capsys, *words)
    assert "set data.holdout 0.2 in training" in told
    assert told.rstrip().endswith("data.holdout 0.2")
    code, text, _ = run(capsys, *words, "data.holdout", "0.4", "--json")
    assert code == 0
    found = json.loads(text)
    counts = [found["data"][part]["count"] for part in ("train", "test")]
    assert min(counts) > 10
    assert sum(counts) == 48
    assert "trained on the test images too" in found["notes"][0]
    again = json.loads(run(capsys, *words, "--data", str(whole), "data.holdout", "0.4", "--json")[1])
    assert again["notes"] == found["notes"]  # the same images by another word
    (Path(out) / "evaluation.json").write_text(json.dumps(found))
    # A failing call leaves the figures where they are.
    assert "two classes" in mistake(capsys, *words, "data.holdout", "0.4", "--limit", "1")
    assert json.loads((Path(out) / "evaluation.json").read_text()) == found
    assert "only data.FIELD" in mistake(capsys, *words, "training.lr", "1")
    assert (
        json.loads(run(capsys, "data", str(whole), "data.holdout", "0.4", "--json")[1])["parts"]["test"]["images"] > 0
    )


def test_images_of_another_size_are_brought_to_the_encoders(
    capsys: pytest.CaptureFixture, trained: Path, tmp_path: Path
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 50, 40), dtype=np.uint8)
    np.save(tmp_path / "grey.npy", pixels)
    words = ("embed", str(trained), str(tmp_path / "grey.npy"), "--out", str(tmp_path / "y.npy"))
    assert run(capsys, *words)[0] == 0
    assert np.load(tmp_path / "y.npy").shape == (5, 8)


def test_version_and_recipes(capsys: pytest.CaptureFixture) -> None:
    assert run(capsys, "--version")[1].strip() == deepinfomax.__version__
    assert set(json.loads(run(capsys, "recipes", "--json")[1])["recipes"]) == set(recipes.names())


def test_ctrl_c_saves_says_so_and_exits_130(folder: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "deepinfomax.cli", "train", str(folder), "--scale", "smoke", "--out", "stopped"]
    words += ["training.steps", "100000", "training.epochs", "100000", "training.trackers", "[]"]
    training = subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    metrics = tmp_path / "stopped" / "metrics.jsonl"
    while training.poll() is None and not (metrics.is_file() and '"step": 2,' in metrics.read_text()):
        time.sleep(0.05)
    training.send_signal(signal.SIGINT)
    _, err = training.communicate()
    assert training.returncode == 130
    assert "continue with deepinfomax train --resume --out stopped" in err
    assert "Traceback" not in err
    assert (tmp_path / "stopped" / "checkpoint" / "state.safetensors").is_file()


def test_a_run_does_not_go_back(capsys: pytest.CaptureFixture, folder: Path, trained: Path) -> None:
    words = ("train", str(folder), "--resume", "--out", str(trained), "training.steps", "1")
    assert "would take some back" in mistake(capsys, *words)
    before = (trained / "config.toml").read_bytes()
    words = ("train", str(folder), "--resume", "--out", str(trained), "training.lr", "0.5")
    assert "so training.lr 0.5 would train nothing" in mistake(capsys, *words)
    assert (trained / "config.toml").read_bytes() == before


def test_estimate_mi_and_its_mistakes(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    x = str(tmp_path / "x.npy")
    np.save(x, np.random.default_rng(0).standard_normal((100, 1)))
    code, out, _ = run(capsys, "estimate-mi", x, x, "--estimator", "ksg", "--json")
    assert code == 0
    assert json.loads(out)["nats"] > 2
    assert "there is no device 'abacus' here" in mistake(capsys, "estimate-mi", x, x, "--device", "abacus")
    assert "Invalid value for '--seed'" in mistake(capsys, "estimate-mi", x, x, "--seed", "-1")
    labels = str(tmp_path / "labels.npy")
    np.save(labels, np.arange(100))
    assert "y has 100 different labels in 100 rows" in mistake(capsys, "estimate-mi", x, labels)


def test_estimate_mi_takes_every_setting(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    from deepinfomax.information.estimation import estimate_mi

    rng = np.random.default_rng(0)
    x = rng.standard_normal((100, 1))
    y = np.exp(2 * (x + rng.standard_normal((100, 1))))
    words = ["estimate-mi", *(str(tmp_path / name) for name in ("x.npy", "y.npy")), "--device", "cpu", "--json"]
    np.save(words[1], x)
    np.save(words[2], y)
    settings = {"transform": "rank", "repeats": 2, "steps": 5, "batch_size": 16, "lr": 0.01, "tau": 1.5}
    options = [word for k, v in settings.items() for word in (f"--{k.replace('_', '-')}", str(v))]
    code, out, _ = run(capsys, *words, "--estimator", "smile", *options)
    assert code == 0
    asked = estimate_mi(x, y, "smile", **settings)
    assert json.loads(out)["seeds"] == [0, 1]
    assert json.loads(out)["nats"] == asked.nats
    assert asked.nats != estimate_mi(x, y, "smile", **settings | {"tau": 5.0}).nats
    _, out, _ = run(capsys, *words, "--estimator", "ksg", "--neighbours", "5")
    assert json.loads(out)["nats"] == estimate_mi(x, y, "ksg", neighbours=5).nats != estimate_mi(x, y, "ksg").nats
    _, out, _ = run(capsys, *words, "--estimator", "ksg", "--steps", "5", "--tau", "1")
    assert json.loads(out)["notes"] == ["ksg has no use for steps, tau: not used"]
    assert estimate_mi(x, y, "nwj", steps=5, tau=1.0, neighbours=5).notes == ("nwj has no use for tau: not used",)
    assert not asked.notes
    assert "unknown transform 'log'" in mistake(capsys, *words[:3], "--transform", "log")
    assert "steps (0)" in mistake(capsys, *words[:3], "--steps", "0")
    assert "Invalid value for '--lr'" in mistake(capsys, *words[:3], "--lr", "fast")


def test_defaults_of_estimate_mi_are_those_of_the_function() -> None:
    from deepinfomax.information.estimation import estimate_mi

    ours, theirs = (inspect.signature(f).parameters for f in (cli.estimate_mi, estimate_mi))
    both = (ours.keys() & theirs.keys()) - {"x", "y", "device"}  # the command takes the best device there is
    assert len(both) == 14
    assert {name: ours[name].default for name in both} == {name: theirs[name].default for name in both}


def test_bad_images(
    capsys: pytest.CaptureFixture, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    smoke = ["--scale", "smoke", "--device", "cpu", *SMALL]
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "empty" in mistake(capsys, "train", str(empty), *smoke)
    bad = tmp_path / "bad"
    bad.mkdir()
    for i, file in enumerate(sorted((folder / "train/dark").iterdir())):
        (bad / f"{i}.jpg").write_bytes(file.read_bytes())
    (bad / "text.png").write_text("no image")
    (bad / "cut.jpg").write_bytes((bad / "0.jpg").read_bytes()[:200])
    error = mistake(capsys, "train", str(bad), *smoke)
    assert "2 of 26" in error
    assert run(capsys, "train", str(bad), *smoke, "--out", "skipped", "data.skip_bad", "true")[0] == 0
    (bad / "text.png").unlink()
    (bad / "cut.jpg").unlink()
    Image.new("RGB", (40, 30)).save(bad / "large.png")
    assert "data.size" in mistake(capsys, "train", str(bad), *smoke)
    assert run(capsys, "train", str(bad), *smoke, "--out", "resized", "data.size", "16")[0] == 0
    one = tmp_path / "one"
    one.mkdir()
    Image.new("RGB", (16, 16)).save(one / "one.png")
    assert "1 image" in mistake(capsys, "train", str(one), *smoke)


def test_data_that_have_changed_since_the_training_are_told(
    capsys: pytest.CaptureFixture, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "images")
    out, more = str(tmp_path / "run"), tmp_path / "images/train/more.png"
    words = ["train", str(tmp_path / "images"), "--scale", "smoke", "--device", "cpu", "--out", out, *SMALL]
    assert run(capsys, *words)[0] == 0
    words = ["evaluate", out, "--measures", "rank", "--scale", "smoke", "--controls", "none"]
    said = "the data have changed since the training: 48 training images then, 49 now"
    assert said not in run(capsys, *words)[1]
    shutil.copy(next((tmp_path / "images/train").rglob("*.*g")), more.parent / "more.jpg")
    assert said in run(capsys, *words)[1]


def test_training_on_crops_ends_with_a_report_and_can_be_measured(
    capsys: pytest.CaptureFixture, folder: Path, tmp_path: Path
) -> None:
    out = str(tmp_path / "run")
    words = ["train", str(folder), "--scale", "smoke", "--device", "cpu", "--out", out, *SMALL]
    assert run(capsys, *words, "augmentation.crop", "12")[0] == 0
    with np.load(tmp_path / "run/gallery.npz") as gallery:
        assert gallery["images"].shape == (48, 3, 12, 12)
    assert (tmp_path / "run/report.html").is_file()
    words = ["evaluate", out, "--measures", "knn", "--scale", "smoke", "--controls", "none", "--levels", "y"]
    assert run(capsys, *words)[0] == 0
    # A file of the data set is itself: cropped as the bank is.
    file = sorted(path for path in (folder / "train").rglob("*") if path.is_file())[7]
    code, text, err = run(capsys, "neighbours", out, "--query", str(file), "--json")
    assert code == 0, err
    nearest = json.loads(text)["queries"][0]["y"]
    assert Path(nearest["name"][0]).name == file.name
    assert nearest["distance"][0] == pytest.approx(0, abs=1e-5)


def test_a_file_of_embeddings_is_measured_beside_itself(
    capsys: pytest.CaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    file, beside = str(tmp_path / "y.npz"), tmp_path / "y.npz.evaluation.json"
    labels = rng.integers(-1, 3, 90)
    np.savez(file, embedding=rng.normal(size=(90, 4)) + 9 * labels[:, None], label=labels)
    code, out, _ = run(capsys, "evaluate", file, "--measures", "knn")
    assert code == 0
    assert str(beside) in out
    assert "have no label" in out
    code, out, err = run(capsys, "evaluate", file, "--measures", "knn,rank", "--controls", "none", "--json")
    assert code == 0
    assert "knn" not in err  # it was there already
    written = json.loads(beside.read_text())
    assert written.pop("sum")  # a digest of the file, which is none of its figures
    assert json.loads(out) == written | {"file": str(beside)}
    assert json.loads(out)["measures"].keys() == {"knn", "rank"}
    before = beside.read_text()
    for words in (["--levels", "y"], ["--controls", "pixels"], ["--limit", "9"], ["--data", "digits"]):
        assert f"has no use for {words[0]}: leave it out" in mistake(capsys, "evaluate", file, *words)
    assert "no device 'abacus'" in mistake(capsys, "evaluate", file, "--device", "abacus")
    assert "nothing to measure" in mistake(capsys, "evaluate", file, "--measures", "")
    assert beside.read_text() == before


def test_mistakes_with_a_run(capsys: pytest.CaptureFixture, trained: Path, tmp_path: Path) -> None:
    files = {path.name: path.read_bytes() for path in trained.iterdir() if path.is_file()}
    assert "nothing to measure" in mistake(capsys, "evaluate", str(trained), "--measures", "")
    assert "unknown --metric 'foo'; choose l1 or cosine" in mistake(
        capsys, "neighbours", str(trained), "--metric", "foo"
    )
    assert "--count 0: ask for one" in mistake(capsys, "neighbours", str(trained), "--count", "0")
    assert "neither an index nor an image" in mistake(capsys, "neighbours", str(trained), "--query", "none.jpg")
    assert "none" in mistake(capsys, "neighbours", str(trained), "--beside", str(tmp_path / "none"))
    (tmp_path / "alone").mkdir()
    Image.new("RGB", (16, 16), (200, 30, 90)).save(tmp_path / "alone" / "one.png")
    alone = ("neighbours", str(trained), str(tmp_path / "alone"), "--query", "0")
    assert "--query 0 is the only image: give DATA with others" in mistake(capsys, *alone)
    assert files == {path.name: path.read_bytes() for path in trained.iterdir() if path.is_file()}


def test_the_gallery_is_by_the_metric_asked_for(capsys: pytest.CaptureFixture, trained: Path) -> None:
    for metric, name in (("cosine", "cosine"), ("l1", "L1")):
        assert run(capsys, "neighbours", str(trained), "--metric", metric)[0] == 0
        with np.load(trained / "gallery.npz") as gallery:
            assert str(gallery["metric"]) == name


def test_data_that_cannot_be_read_at_all(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    assert "there is no" in mistake(capsys, "data", str(tmp_path / "nowhere"), "--json")
    (tmp_path / "bad.png").write_text("no image")
    assert "1 of 1 image cannot be read" in mistake(capsys, "data", str(tmp_path))
    Image.new("RGB", (16, 16)).save(tmp_path / "good.png")
    code, out, _ = run(capsys, "data", str(tmp_path))
    assert code == 0
    assert "1 of 2 images cannot be read" in out


def test_a_name_that_no_run_can_record_has_no_next_command(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"bad\xff")
    folder.mkdir()
    for i in range(3):
        Image.fromarray(np.full((16, 16, 3), i + 100, np.uint8)).save(folder / f"{i}.png")
    code, out, _ = run(capsys, "data", str(folder))
    assert code == 0
    assert "problem    " in out
    assert "is no name in UTF-8, so a run cannot record it: rename it" in out
    assert "next" not in out


def test_a_setting_that_is_a_number_reaches_the_suggestion(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    other_files.FORMATS["audio"](tmp_path)
    code, out, err = run(capsys, "data", str(tmp_path), "data.window", "0.08")
    assert code == 0, err
    assert "data.window 0.08 data.holdout 0.2" in out


def test_a_long_mistake_is_a_short_line(capsys: pytest.CaptureFixture, folder: Path) -> None:
    _, _, err = run(capsys, "train", str(folder), "training.lr", "[" * 5000)
    assert err.startswith("deepinfomax: training.lr must be a number, not '[[[")
    assert len(err) < 250


def test_no_labels(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "images.npy", rng.integers(0, 256, (40, 16, 16), dtype=np.uint8))
    out = tmp_path / "run"
    words = ["train", str(tmp_path / "images.npy"), "--scale", "smoke", "--device", "cpu"]
    assert run(capsys, *words, "--out", str(out), *SMALL)[0] == 0
    assert "label" in mistake(capsys, *words, "--recipe", "supervised", "--out", str(tmp_path / "supervised"))
    assert "test" in mistake(capsys, "evaluate", str(out))
    np.savez(tmp_path / "both.npz", x_train=np.load(tmp_path / "images.npy"), x_test=np.load(tmp_path / "images.npy"))
    words = ("evaluate", str(out), "--data", str(tmp_path / "both.npz"), "--scale", "smoke", "--device", "cpu")
    assert "label" in mistake(capsys, *words, "--measures", "knn")
    code, said, _ = run(capsys, *words)
    assert code == 0
    assert "there are no labels, so reconstruction, rank are measured" in said
    assert "mine is left out: mine needs 100 training images or more, not 40" in said


SMOKE = ["--scale", "smoke", "--device", "cpu", *SMALL]


def flat_folder(folder: Path, mode: str = "RGB") -> Path:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(24):
        pixels = rng.integers(0, 256, (16, 16, len(mode)), dtype=np.uint8)
        Image.fromarray(pixels, mode).save(folder / f"{i:02}.png")
    return folder


def test_what_was_converted_or_left_out_is_said_by_every_command(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    data, out = flat_folder(tmp_path / "data", "RGBA"), tmp_path / "run"
    (data / "notes.txt").write_text("no image")
    for words in (
        ["train", str(data), "--out", str(out), *SMOKE],
        ["embed", str(out), str(data), "--out", str(tmp_path / "e.npy"), "--device", "cpu"],
        ["neighbours", str(out), "--device", "cpu"],
        ["evaluate", str(out), "--measures", "rank", "--device", "cpu", "--scale", "smoke", "data.holdout", "0.3"],
    ):
        code, _, err = run(capsys, *words)
        assert code == 0, err
        assert "note: " in err, words
        assert "transparent" in err, words
    assert any("transparent" in note for note in json.loads((out / "evaluation.json").read_text())["notes"])


def test_parts_that_are_not_embedded_are_told_and_nothing_of_other_data_is_held_out(
    capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    data, other, out = flat_folder(tmp_path / "data"), flat_folder(tmp_path / "other"), tmp_path / "run"
    run(capsys, "train", str(data), "--out", str(out), *SMOKE, "data.holdout", "0.4", "training.batch_size", "8")

    def embedded(*words: str) -> tuple[int, str]:
        code, said, err = run(capsys, "embed", str(out), *words, "--out", str(tmp_path / "e.npy"), "--json")
        assert code == 0, err
        return json.loads(said)["images"], err

    own, err = embedded(str(data))
    assert own < 24
    assert "note: only the part train is read; with test: --split train+test" in err
    for words in ([str(data), "--split", "train+test"], [str(other)], [str(data), "data.holdout", "none"]):
        count, err = embedded(*words)
        assert count == 24
        assert "only the part" not in err
        assert (tmp_path / "e.splits.txt").exists() == ("--split" in words)
    _, err = embedded(str(other), "data.holdout", "0.4")
    assert "only the part train" in err


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".parquet"])
def test_rows_of_several_parts_say_which_part_they_are_of(
    capsys: pytest.CaptureFixture, trained: Path, folder: Path, tmp_path: Path, suffix: str
) -> None:
    file, limit = tmp_path / f"e{suffix}", ("data.limit", "30")
    words = ("embed", str(trained), str(folder), "--out", str(file), "--json")
    assert "next" in json.loads(run(capsys, *words, "--split", "test+train", *limit)[1])
    split, names = read_embeddings(file).split, reading.names_in(file)
    assert names is not None
    assert split is not None
    assert set(split) == {"train", "test"}
    assert [name.partition("/")[0] for name in names] == split.tolist()
    run(capsys, *words, "--split", "test")
    assert read_embeddings(file).split is None


def test_the_command_that_is_suggested_works_for_exactly_these_data(
    capsys: pytest.CaptureFixture, folder: Path, tmp_path: Path
) -> None:
    labelled = tmp_path / "labelled"
    shutil.copytree(folder / "train", labelled)
    for data, expected in (
        (flat_folder(tmp_path / "flat"), "data.holdout 0.2"),
        (labelled, "data.holdout 0.2"),
        (folder, "deepinfomax evaluate"),
    ):
        out = tmp_path / f"run of {data.name}"
        code, said, err = run(capsys, "train", str(data), "--out", str(out), *SMOKE)
        assert code == 0, err
        assert str(out / "report.html") in said
        searching, measuring = (line.split(maxsplit=1)[1] for line in said.strip().splitlines()[-2:])
        assert searching == f"deepinfomax neighbours '{out}' --query 0"
        assert expected in measuring
        for command in (searching, measuring):
            words = [*shlex.split(command)[1:], "--device", "cpu"]
            code, _, err = run(capsys, *words, *(["--scale", "smoke"] if words[0] == "evaluate" else []))
            assert code == 0, err


def test_the_same_folder_by_another_spelling_resumes_and_is_found_from_elsewhere(
    capsys: pytest.CaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flat_folder(tmp_path / "d")
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, "train", "d", "--out", "run", *SMOKE)
    assert code == 0, err
    for number, spelling in enumerate(("d/", "./d", str(tmp_path / "d")), 5):
        code, _, err = run(capsys, "train", spelling, "--out", "run", "--resume", "training.steps", str(number))
        assert code == 0, err
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    code, _, err = run(capsys, "neighbours", "../run", "--device", "cpu")
    assert code == 0, err
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(tmp_path / "d" / "00.png")
    assert "the data changed" in mistake(
        capsys, "train", str(tmp_path / "d"), "--out", "../run", "--resume", "training.steps", "9"
    )


def interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_ctrl_c_while_the_report_is_written_says_what_is_saved(
    capsys: pytest.CaptureFixture, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "my run"
    with monkeypatch.context() as patch:
        patch.setattr("deepinfomax.report.write", interrupted)
        code, said, err = run(capsys, "train", str(folder), "--out", str(out), *SMOKE)
    assert (code, said) == (130, "")
    last = err.strip().splitlines()[-1]
    assert last.startswith(f"deepinfomax: the trained encoder is saved in {out}, the report is not; ")
    command = last.split("; ")[1].removesuffix(" writes it")
    assert deepinfomax.load(out) is not None
    assert run(capsys, *shlex.split(command)[1:], "--device", "cpu")[0] == 0
    assert (out / "report.html").is_file()
    words = ("evaluate", str(out), "--measures", "knn", "--controls", "none", "--scale", "smoke", "--device", "cpu")
    with monkeypatch.context() as patch:
        patch.setattr("deepinfomax.evaluation.evaluate_command.write_report", interrupted)
        code, said, err = run(capsys, *words)
    assert (code, said) == (130, "")
    assert f"what was measured so far is saved in {out / 'evaluation.json'}; the same command" in err
    assert "knn" in json.loads((out / "evaluation.json").read_text())["measures"]
    assert run(capsys, *words)[0] == 0


def test_ctrl_c_where_there_is_nothing_to_say(
    capsys: pytest.CaptureFixture, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deepinfomax.report.page.read", interrupted)
    assert run(capsys, "report", str(trained)) == (130, "", "deepinfomax: interrupted\n")


def test_ctrl_c_in_the_end_of_an_object_is_heard() -> None:
    program = """
import signal, sys, time
from deepinfomax import cli

# A job in the background of a shell begins with Ctrl-C ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)

class Object:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

def app(**_):
    Object()
    for _ in range(200):
        time.sleep(0.1)
    print("not interrupted")

cli.app = app
cli.main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "deepinfomax: interrupted\n")


def test_nothing_is_cut_off_in_the_list_of_commands(capsys: pytest.CaptureFixture) -> None:
    _, said, _ = run(capsys, "--help")
    listed = said.split("Commands:\n")[1].splitlines()
    assert len(listed) == len(cli.app.registered_commands)
    assert all(line.endswith(".") and not line.endswith("...") and len(line) <= 80 for line in listed)


@pytest.mark.parametrize("command", [c.name or c.callback.__name__ for c in cli.app.registered_commands])
def test_usage_says_what_may_follow(capsys: pytest.CaptureFixture, command: str) -> None:
    usage = run(capsys, command, "--help")[1].splitlines()[0]
    takes = dict.fromkeys(("train", "explore"), "[section.field VALUE]...") | dict.fromkeys(
        ("evaluate", "embed", "neighbours", "data", "compare"), "[data.field VALUE]..."
    )
    assert usage.endswith(takes.get(command, usage))
    assert ("VALUE" in usage) == (command in takes)
    assert "{" not in usage
    assert "}" not in usage


def test_help_says_what_measures_and_recipes_are_for(capsys: pytest.CaptureFixture) -> None:
    _, said, _ = run(capsys, "evaluate", "--help")
    for name, record in MEASURES.builtin.items():
        assert f"    {name:17s}{purposes.PURPOSES[name]}" in said
        assert (name in purposes.WITHOUT_LABELS) == (record.labels is None)
    assert list(purposes.PURPOSES) == list(MEASURES.builtin)
    assert all(len(line) <= 80 for line in said.splitlines() if "?" in line)
    _, said, _ = run(capsys, "train", "--help")
    assert "for reconstruction" in said
    _, said, _ = run(capsys, "recipes")
    for name, what in recipes.says().items():
        assert f"  {name:27s}{what}" in said
    found = json.loads(run(capsys, "recipes", "--json")[1])
    assert sorted(name for names in found["uses"].values() for name in names) == sorted(recipes.names())


def test_neighbours_have_names_and_classes_and_are_drawn(
    capsys: pytest.CaptureFixture, folder: Path, trained: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(trained, copy)
    file = str(folder / "train" / "light" / "7.jpg")
    words = ("neighbours", str(copy), "--query", "3", "--query", file, "--count", "4", "--device", "cpu")
    code, said, _ = run(capsys, *words, "--json")
    assert code == 0
    result = json.loads(said)
    first, second = result["queries"]
    names = [f"train/{c}/{i}.jpg" for c in ("dark", "light") for i in range(24)]
    assert first["query"] == "3"
    assert first["name"] in names
    assert second["y"]["name"][0] == "train/light/7.jpg"  # it is one of the images that are searched
    assert [second[level]["distance"][0] for level in ("conv", "fc", "y")] == [0, 0, 0]
    for query in (first, second):
        for level in ("conv", "fc", "y"):
            found = query[level]
            assert len(set(found["name"]) & set(names)) == 4
            assert found["class"] == [name.split("/")[1] for name in found["name"]]
            assert [["dark", "light"][label] for label in found["label"]] == found["class"]
    assert Path(result["sheet"]).read_bytes()[:4] == b"\x89PNG"
    assert not (copy / "queries.npz").exists()
    code, table, _ = run(capsys, *words)
    for query in (first, second):
        for name, of_class in zip(query["y"]["name"], query["y"]["class"], strict=True):
            assert re.search(rf"^ +\d +\S+ +{of_class} +{name}$", table, re.MULTILINE), table
    assert result["sheet"] in table
    page = (copy / "report.html").read_text()
    assert "Query 1" not in page
    assert ">7.jpg<" in page or ">3.jpg<" in page  # the samples have their names too
    assert run(capsys, *words, "--report")[0] == 0
    page = (copy / "report.html").read_text()
    assert "Query 1" in page
    assert f'title="{file}">7.jpg<' in page
    assert "give one with --query" in mistake(capsys, "neighbours", str(copy), "--report")
    code, said, _ = run(capsys, "neighbours", str(copy), "--query", "0", "--split", "test", "--json")
    assert int(Path(json.loads(said)["queries"][0]["name"]).name.removesuffix(".jpg")) < 12


def test_neighbours_in_other_data_are_called_by_their_own_names(
    capsys: pytest.CaptureFixture, folder: Path, trained: Path, tmp_path: Path
) -> None:
    copy, other = tmp_path / "run", tmp_path / "other"
    shutil.copytree(trained, copy)
    for old, new in (("dark", "zebra"), ("light", "eel")):  # in another order than the classes of the run
        shutil.copytree(folder / "train" / old, other / new)
    sample = (copy / "embeddings_sample.npz").read_bytes()
    code, _, err = run(capsys, "neighbours", str(copy), str(other), "--query", "0", "--report", "--device", "cpu")
    assert code == 0, err
    page = (copy / "report.html").read_text()
    assert f"among 48 of {other}, which are not those of the run" in page
    sheet = page[page.index('id="neighbours"') : page.index('id="curves"')]
    assert "zebra" in sheet
    assert "eel" in sheet
    assert "dark" not in sheet
    assert (copy / "embeddings_sample.npz").read_bytes() == sample
    code, _, _ = run(capsys, "neighbours", str(copy), f"{folder}/../{folder.name}", "--device", "cpu")
    assert "which are not those of the run" not in (copy / "report.html").read_text()


def test_a_run_of_an_objective_that_is_not_installed_is_measured_all_the_same(
    capsys: pytest.CaptureFixture, trained: Path, folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(trained, copy)
    text = (copy / "config.toml").read_text()
    (copy / "config.toml").write_text(text.replace("[objective.local]", '[objective.mine]\ntype = "my_objective"'))
    words = ("--scale", "smoke", "--device", "cpu")
    assert run(capsys, "evaluate", str(copy), "--measures", "knn", "--controls", "none", *words)[0] == 0
    assert run(capsys, "neighbours", str(copy), "--query", "0", "--device", "cpu")[0] == 0
    assert run(capsys, "embed", str(copy), str(folder), "--out", str(tmp_path / "y.npy"))[0] == 0
    assert run(capsys, "report", str(copy))[0] == 0
    assert "objective.mine" in mistake(capsys, "train", str(folder), "--resume", "--out", str(copy))


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_terminal_of_another_encoding_shows_something_and_does_not_stop(encoding: str) -> None:
    command = [sys.executable, "-c", "from deepinfomax.cli import main; main()", "recipes"]
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert b"dim-local" in done.stdout
