"""Every recipe of several views trains, stops, goes on bit for bit, and the step of one view is what it was."""

import json
import re
from pathlib import Path

import pytest

from deepinfomax import config, data, recipes
from deepinfomax.errors import UserError
from deepinfomax.evaluation.embeddings import embed
from deepinfomax.training.loop import train

VIEWS = ["dim-views", "dim-patches", "simclr", "vicreg", "barlow", "byol", "lejepa", "emp-ssl"]
#: a loss of each where it is not called like the recipe
NAMES = {"dim-views": "local_map_map", "dim-patches": "local", "emp-ssl": "emp_ssl"}


def settings(recipe: str, **more: object) -> config.Config:
    smaller = {"training.trackers": [], "encoder.width": 4}
    return config.override(recipes.recipe(recipe, "smoke"), smaller | more)


@pytest.mark.parametrize("recipe", VIEWS)
def test_a_run_continued_ends_where_the_undisturbed_one_does(recipe: str, tmp_path: Path) -> None:
    images = data.load("digits", limit=64)
    for folder, steps in (("whole", 4), ("part", 2), ("part", 4)):
        chosen = settings(recipe, **{"training.steps": steps, "training.schedule": "constant", "training.log_every": 2})
        encoder = train(chosen, images, tmp_path / folder, resume=steps == 4 and folder == "part", quiet=True)
    whole, part = (tmp_path / folder / "encoder.safetensors" for folder in ("whole", "part"))
    assert whole.read_bytes() == part.read_bytes()
    lines = [json.loads(line) for line in (tmp_path / "part/metrics.jsonl").read_text().splitlines()]
    assert all(line[NAMES.get(recipe, recipe)] for line in lines[1:3])
    assert embed(encoder, images, levels=("y",))["y"].shape == (64, encoder.y.out_features)


def test_small_views_on_the_network_of_the_field(tmp_path: Path) -> None:
    images = data.load("digits", limit=32)
    chosen = config.override(
        recipes.recipe("lejepa"),
        {
            "encoder.width": 2,
            "training.batch_size": 8,
            "training.steps": 2,
            "training.log_every": 1,
            "training.trackers": [],
            "lejepa.hidden": 8,
            "data.size": 32,
            "augmentation.small": 8,
        },
    )
    train(chosen, images, tmp_path / "run", quiet=True)
    assert (tmp_path / "run/encoder.safetensors").is_file()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training.views": 1}, "simclr compares views of an image and there is 1: set training.views to 2 or more"),
        ({"training.small_views": 2}, "training.small_views needs augmentation.small"),
        ({"training.small_views": 2, "augmentation.small": 12}, "the encoder cannot take images of 1x12x12"),
    ],
)
def test_too_few_views_are_refused(changes: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        train(settings("simclr", **changes), data.load("digits", limit=32), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_objectives_of_one_view_train_on_several(tmp_path: Path) -> None:
    """Two players among them: the opponents see each view too."""
    changes = {"training.views": 3, "augmentation.flip": True}
    chosen = settings("aae", **changes, **{"autoencoder.width": 4})
    train(chosen, data.load("digits", limit=32), tmp_path / "run", quiet=True)
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert {"autoencoder", "prior", "prior_critic"} <= lines[1].keys()


@pytest.mark.parametrize("by", ["sigreg", "visreg", "noise"])
def test_priors_without_a_game_train(by: str, tmp_path: Path) -> None:
    chosen = settings("dim-local", **{"prior.by": by, "prior.prior": "gaussian"})
    train(chosen, data.load("digits", limit=32), tmp_path / "run", quiet=True)
    line = json.loads((tmp_path / "run/metrics.jsonl").read_text().splitlines()[1])
    assert "prior_critic" not in line
    assert ("prior/cap" in line) == (by == "noise")


def test_views_that_are_alike_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    off = {"random_resized_crop": None, "flip": False, "jitter": 0.0, "grayscale": 0.0}
    for name, changes, alike in (
        ("none", off, True),
        ("all or none", off | {"flip": True, "same_flip": True}, True),
        ("nothing cut", off | {"crop": "same"}, True),
        ("cut", off | {"crop": "same", "padding": 2}, False),
        ("flip", off | {"flip": True}, False),
    ):
        chosen = settings("simclr", **{f"augmentation.{key}": value for key, value in changes.items()})
        train(chosen, data.load("digits", limit=32), tmp_path / name)
        said = " ".join(capsys.readouterr().err.split())
        assert ("note: the 2 views of an image are alike: set an augmentation" in said) == alike, name


def test_small_views_that_no_objective_sees_are_refused(tmp_path: Path) -> None:
    chosen = config.override(
        recipes.recipe("lejepa"),
        {"encoder.width": 2, "training.trackers": [], "objective": {"autoencoder": {"width": 4}}},
    )
    with pytest.raises(UserError, match="are seen only by objectives that compare views, and there is none"):
        train(chosen, data.load("digits", size=32, limit=32), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_weights_that_are_all_0_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="all objectives have a weight of 0"):
        train(
            settings("dim-fast", **{"local.weight": 0.0}), data.load("digits", limit=32), tmp_path / "run", quiet=True
        )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "more", "says"),
    [
        (
            "rank",
            {},
            "objective rank would be called rank in metrics.jsonl, as a number of each step is",
        ),
        ("step", {}, "would be called step in metrics.jsonl, as a number of each step is"),
        ("local_y_conv", {"local.y_conv": 1.0}, "local_y_conv in metrics.jsonl, as a loss of local is"),
        ("local_y_conv", {}, None),
    ],
)
def test_no_loss_takes_the_name_of_another_number(name: str, more: dict, says: str | None, tmp_path: Path) -> None:
    chosen = settings("dim-fast", **{f"objective.{name}": {"type": "local", "units": 8}, **more})
    images = data.load("digits", limit=32)
    if says is None:
        train(chosen, images, tmp_path / "run", quiet=True)
        return
    with pytest.raises(UserError, match=says):
        train(chosen, images, tmp_path / "run", quiet=True)
