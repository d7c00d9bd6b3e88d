"""`deepinfomax compare`: runs side by side, on the same images, without labels."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deepinfomax import config as configuration
from deepinfomax.data.images import ImageSet
from deepinfomax.errors import UserError
from deepinfomax.evaluation import without_labels
from deepinfomax.evaluation.compare_command import Compared, compare_command, names_of
from deepinfomax.evaluation.without_labels import Scores
from deepinfomax.recipes import recipe
from deepinfomax.report.compare_page import _bars, rows, sentence
from deepinfomax.training.loop import train

SEEN = "the encoder was trained on the test images too, without their labels"
SMALL = {"encoder.width": 4, "encoder.fc": 16, "encoder.y": 8, "training.steps": 2, "training.trackers": []}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("compare")
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (80, 16, 16, 3), dtype=np.uint8)
    np.savez(root / "images.npz", train_images=pixels[:50], test_images=pixels[50:])
    np.savez(root / "data.npz", images=pixels)
    made = []
    for name, kind in (("dim <b>", "dim-local"), ("auto", "ae")):
        given = SMALL | {"data.source": str(root / "data.npz")}
        config = configuration.override(recipe(kind, "smoke"), given)
        train(config, ImageSet(pixels.transpose(0, 3, 1, 2)), root / name, device="cpu", quiet=True)
        made.append(root / name)
    evaluation = {
        "measures": {"linear": {"y": {"accuracy": 0.625}}},
        "controls": {},
        "notes": ["3 images are grey", SEEN],
    }
    (made[1] / "evaluation.json").write_text(json.dumps(evaluation))
    return made


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(without_labels, "LIDAR_IMAGES", 20)


def asked(runs: list[Path], out: Path, **options: object) -> dict:
    given = {"data": None, "level": "y", "settings": {}, "data_root": None, "seed": 0, "device": "cpu"}
    return compare_command(runs, out=out, **(given | options))  # type: ignore[arg-type]


def test_a_table_and_a_page_of_runs(runs: list[Path], tmp_path: Path) -> None:
    result = asked(runs, tmp_path / "page.html")
    assert json.loads(json.dumps(result))["level"] == "y"
    first, second = result["runs"]
    assert first["scores"]["units"] == 8
    assert first["scores"].keys() == second["scores"].keys()
    assert first["bounds"]["local"]["cap"] is not None
    assert first["bounds"]["local"]["nats"] <= first["bounds"]["local"]["cap"]
    assert second["bounds"] == {}
    assert second["accuracies"] == {"linear": 0.625}
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "dim &lt;b&gt;" in text
    assert "dim <b>" not in text
    assert "0.625" in text
    assert not re.search("https?://", text)
    assert "LiDAR" in result["text"]
    assert second["caveats"] == ["The encoder was trained on the test images too, without their labels."]
    for said in (result["text"], text):
        assert f"auto: {second['caveats'][0]}" in said
        assert "grey" not in said
        assert "each on its own test images" in said


def test_accuracies_of_other_data_are_told(runs: list[Path], tmp_path: Path) -> None:
    config = configuration.override(recipe("ae", "smoke"), SMALL | {"data.source": str(runs[0].parent / "data.npz")})
    pixels = np.random.default_rng(0).integers(0, 256, (80, 3, 16, 16), dtype=np.uint8)
    copy = tmp_path / "copy"
    train(config, ImageSet(pixels, name="own"), copy, device="cpu", quiet=True)
    evaluation = json.loads((runs[1] / "evaluation.json").read_text()) | {"data": {"test": {"name": "another"}}}
    (copy / "evaluation.json").write_text(json.dumps(evaluation))
    result = asked([runs[0], copy], tmp_path / "page.html")
    for said in (result["text"], (tmp_path / "page.html").read_text(encoding="utf-8")):
        assert re.search("copy: Its accuracies are of another, and not of its own data", said)


@pytest.mark.parametrize("alike", [False, True])
def test_accuracies_of_fewer_images_say_of_how_many(alike: bool, runs: list[Path], tmp_path: Path) -> None:
    made = []
    for name, limit in (("all", 80), ("some", 80 if alike else 40)):
        made.append(tmp_path / name)
        shutil.copytree(runs[1], made[-1])
        parts = {part: {"count": limit, "fingerprint": f"{part} {limit}"} for part in ("train", "test")}
        evaluation = json.loads((made[-1] / "evaluation.json").read_text()) | {"data": parts, "scale": "cpu"}
        (made[-1] / "evaluation.json").write_text(json.dumps(evaluation))
    result = asked(made, tmp_path / "page.html")
    lines = [f"{name}: Measured on {n} training and {n} test images at" for name, n in (("all", 80), ("some", 40))]
    for said in (result["text"], (tmp_path / "page.html").read_text(encoding="utf-8")):
        assert [line in said for line in lines] == [not alike] * 2


def test_accuracies_of_other_labels_say_of_which(runs: list[Path], tmp_path: Path) -> None:
    made = []
    for name in ("own", "other"):
        made.append(tmp_path / name)
        shutil.copytree(runs[1], made[-1])
        parts = {part: {"count": 80, "fingerprint": f"{part} {name}"} for part in ("train", "test")}
        options = {"options": ["--limit", "80", "data.label", "donor"]} if name == "other" else {}
        evaluation = json.loads((made[-1] / "evaluation.json").read_text()) | {"data": parts, "scale": "cpu"} | options
        (made[-1] / "evaluation.json").write_text(json.dumps(evaluation))
    said = asked(made, tmp_path / "page.html")["text"]
    assert "other: Measured on 80 training and 80 test images with data.label donor at scale" in said
    assert "own: Measured on 80 training and 80 test images at scale" in said


def test_runs_are_measured_on_the_same_images(runs: list[Path], tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(runs[0], copy)
    result = asked([runs[0], copy], tmp_path / "page.html", settings={"data.limit": "40"})
    assert result["runs"][0]["scores"] == result["runs"][1]["scores"]
    other = asked([copy, runs[0]], tmp_path / "page.html", level="fc")
    assert other["runs"][0]["scores"]["units"] == 16


def test_runs_of_one_name_are_told_apart_by_their_folders(runs: list[Path], tmp_path: Path) -> None:
    for parent in ("a", "b"):
        shutil.copytree(runs[0], tmp_path / parent / "run")
    result = asked([tmp_path / "a/run", tmp_path / "b/run"], tmp_path / "page.html", settings={"data.limit": "40"})
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    for name in ("a/run", "b/run"):
        assert name in page
        assert any(line.startswith(f"{name} ") for line in result["text"].splitlines())
    assert names_of([Path("x/run"), Path("y/run"), Path("y/other")]) == ["x/run", "y/run", "y/other"]
    assert names_of([Path("x/one"), Path("x/two")]) == ["one", "two"]


def test_of_other_images_nothing_is_held_out(runs: list[Path], tmp_path: Path) -> None:
    copy = tmp_path / "held out"
    shutil.copytree(runs[0], copy)
    config = (copy / "config.toml").read_text()
    assert "[data]" in config
    (copy / "config.toml").write_text(config.replace("[data]", "[data]\nholdout = 0.25"))
    other = tmp_path / "other.npz"
    np.savez(other, images=np.random.default_rng(1).integers(0, 256, (60, 16, 16, 3), dtype=np.uint8))
    pair = [copy, runs[1]]
    assert asked(pair, tmp_path / "page.html")["measured_on"].split(maxsplit=1)[1].startswith("test images of ")
    assert asked(pair, tmp_path / "page.html", data=str(other))["measured_on"] == f"60 train images of {other}"


def test_a_run_that_cannot_be_measured_is_told_and_stays_in_the_table(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    copy = tmp_path / "broken"
    shutil.copytree(runs[0], copy)
    (copy / "encoder.safetensors").write_bytes(b"")
    result = asked([runs[0], copy], tmp_path / "page.html")
    assert result["runs"][1]["scores"] is None
    assert "broken was not measured" in capsys.readouterr().err
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "was not measured" in page
    assert "None of the 2 runs" not in page
    assert "Of the runs that were measured, 1 of 2, none has collapsed." in page


def test_series_are_told_by_their_shape_and_not_by_a_setting_of_training(runs: list[Path], tmp_path: Path) -> None:
    copies = [shutil.copytree(run, tmp_path / str(n)) for n, run in enumerate(runs)]
    for copy in copies:
        text = (copy / "config.toml").read_text()
        (copy / "config.toml").write_text(
            re.sub(r"(?m)^\[augmentation\]\n(flip = .*\n)?", "[augmentation]\nflip = true\n", text)
        )
        assert "flip = true" in (copy / "config.toml").read_text()
    np.save(tmp_path / "series.npy", np.random.default_rng(0).standard_normal((20, 2, 40)).astype(np.float32))
    with pytest.raises(UserError, match=r"series of 2x40, but .* was trained on 3x16x16: bring them to that"):
        asked(copies, tmp_path / "page.html", data=str(tmp_path / "series.npy"))


def test_vectors_of_a_single_unit_have_not_collapsed() -> None:
    scores = Scores(
        images=9, effective_rank=1.0, units=1, uniformity=-1.0, alignment=0.1, lidar=1.0, alpha=None, normality_gap=0.1
    )

    def run(scores: Scores) -> Compared:
        return Compared(Path("a"), "a", "dim", 1, 1.0, 1, (), {}, scores)

    assert sentence([run(scores)]).startswith("None of the 1 runs has collapsed")
    assert sentence([run(replace(scores, units=8))]).startswith("Collapsed: a")


def test_ranks_of_vectors_of_two_lengths_are_not_compared() -> None:
    def bold(*units: int) -> list[bool]:
        scores = Scores(
            images=9,
            effective_rank=2.0,
            units=8,
            uniformity=-1.0,
            alignment=None,
            lidar=None,
            alpha=None,
            normality_gap=0,
        )
        found = [replace(scores, units=many, effective_rank=2.0 + n) for n, many in enumerate(units)]
        runs = [Compared(Path(str(n)), str(n), "dim", 1, 1.0, 1, (), {}, one) for n, one in enumerate(found)]
        return [mark for _, mark in rows(runs)[0]["cells"]]

    assert bold(8, 8) == [False, True]
    assert bold(8, 64) == [False, False]


def test_long_names_that_differ_at_their_end_stay_apart() -> None:
    names = [f"table1-cifar10-dim-local-seed{seed}" for seed in (1, 2)]
    drawn = _bars([(name, 1.0, None) for name in names], "nats")
    assert re.findall("table1-cif…[^<]*", drawn) == ["table1-cif…-local-seed1", "table1-cif…-local-seed2"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": "z"}, "unknown level 'z'"),
        ({"data": "/nowhere"}, "/nowhere"),
    ],
)
def test_mistakes(runs: list[Path], tmp_path: Path, options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        asked(runs, tmp_path / "page.html", **options)
    with pytest.raises(UserError, match="two run folders or more"):
        asked(runs[:1], tmp_path / "page.html")
    with pytest.raises(UserError, match="one run twice"):
        asked([runs[0], runs[0]], tmp_path / "page.html")
    with pytest.raises(UserError, match=r"ends in \.html"):
        asked(runs, tmp_path / "page.txt")
    assert not list(tmp_path.iterdir())
    nameless = tmp_path / "nameless"
    shutil.copytree(runs[0], nameless)
    text = (nameless / "config.toml").read_text()
    (nameless / "config.toml").write_text(re.sub("(?m)^source = .*$", 'source = ""', text))
    with pytest.raises(UserError, match="give images with --data"):
        asked([nameless, runs[1]], tmp_path / "page.html")


def test_settings_may_follow_the_runs(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    from deepinfomax import cli

    words = ["deepinfomax", "compare", *map(str, runs), "--out", str(tmp_path / "p.html"), "data.limit", "40", "--json"]
    monkeypatch.setattr("sys.argv", words)
    cli.main()
    assert len(json.loads(capsys.readouterr().out)["runs"]) == 2
    monkeypatch.setattr("sys.argv", [*words[:-3], "training.steps", "3"])
    with pytest.raises(SystemExit, match="2"):
        cli.main()
    assert "training.steps is a setting of training" in capsys.readouterr().err
