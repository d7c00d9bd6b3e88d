import dataclasses
from pathlib import Path

import pytest
import torch

from deepinfomax import config, recipes
from deepinfomax.errors import UserError
from deepinfomax.objectives import Facts, PriorMatching, Shapes
from deepinfomax.settings import validate


@pytest.mark.parametrize("scale", recipes.SCALES)
@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_survives_its_file(name: str, scale, tmp_path: Path) -> None:
    made = recipes.recipe(name, scale)
    (tmp_path / "config.toml").write_text(config.dumps(made))
    assert config.load(tmp_path / "config.toml") == made


def test_the_papers_settings() -> None:
    made = recipes.recipe("dim-local")
    assert made.training.lr == 1e-4
    assert made.training.betas == (0.5, 0.999)
    assert (made.training.epochs, made.training.batch_size) == (1000, 64)
    assert made.objective["local"]["weight"] == 1.0
    assert made.objective["local"]["units"] == 2048
    assert made.objective["local"]["places"] is None
    assert made.objective["prior"]["weight"] == 0.1
    assert {k: v["weight"] for k, v in recipes.recipe("dim-global").objective.items()} == {"global": 1, "prior": 1}
    both = {k: v["weight"] for k, v in recipes.recipe("dim-local-global").objective.items()}
    assert (both["global"], both["local"]) == (0.5, 0.1)


def test_a_section_given_whole_stays_the_callers() -> None:
    network = {"name": "resnet18", "width": 16}
    changed = config.override(recipes.recipe("dim-fast"), {"encoder": network, "encoder.local_stage": 1})
    assert (changed.encoder["width"], changed.encoder["local_stage"]) == (16, 1)
    assert network == {"name": "resnet18", "width": 16}


def test_overrides_as_typed() -> None:
    made = recipes.recipe("cpu")
    changed = config.override(
        made,
        {
            "training.lr": "3e-4",
            "local.bound": "jsd",
            "objective.local.places": "none",
            "training.betas": "[0.9, 0.99]",
            "augmentation.flip": "true",
            "coordinates.weight": "0.5",
            "encoder.width": "32",
            "occlusion.fill": "0.5",
        },
    )
    assert changed.training.lr == 3e-4
    assert changed.objective["local"]["bound"] == "jsd"
    assert changed.objective["local"]["places"] is None
    assert changed.training.betas == (0.9, 0.99)
    assert changed.augmentation["flip"] is True
    assert changed.objective["coordinates"]["weight"] == 0.5
    assert changed.encoder["width"] == 32
    assert changed.occlusion["fill"] == 0.5
    assert "training.lr" in config.difference(made, changed)
    assert config.difference(made, made) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"training.lrr": "1"}, r"training\.lrr is no setting; did you mean 'lr'\?"),
        ({"trainin.lr": "1"}, r"trainin is no section .* did you mean 'training'\?"),
        ({"local.unit": "3"}, r"objective\.local\.unit is no setting; did you mean 'units'\?"),
        ({"local.units": "many"}, r"objective\.local\.units must be a whole number, not 'many'"),
        ({"local.weight": "heavy"}, r"objective\.local\.weight must be a number"),
        ({"local.critic": "dott"}, r"objective\.local\.critic must be 'dot' or 'concat', not 'dott'"),
        ({"recipe": "dim-global"}, r"recipe is no setting: .* recipe='dim-global'"),
        ({"encoder.name": "dcgam"}, r"encoder\.name 'dcgam' is unknown; did you mean 'dcgan'\?"),
        ({"encoder.widht": "3"}, r"encoder\.widht is no setting; did you mean 'width'\?"),
        ({"objective.locl.weight": "3"}, r"objective\.locl"),
        ({"training.batch_size": "1"}, r"training\.batch_size must be 2 or more, not 1"),
        ({"training.lr": "-1"}, r"training\.lr must be above 0"),
        ({"training.trackers": "tensorboard"}, r"training\.trackers must be a list, .* words as .*, not 'tensorboard'"),
        ({"training": "3"}, r"training is a section with settings of its own, not a value$"),
        ({"objective.local": "none"}, r"^objective\.local is a section with settings of its own, not a value$"),
        ({"objective.training.type": "local"}, r"^no objective can be called 'training': give it another name$"),
        ({"objective.a/b.type": "local"}, r"^no objective can be called 'a/b'"),
        ({"training.steps": "0"}, r"training\.steps must be 1 or more, not 0"),
        ({"training.log_every": "0"}, r"training\.log_every must be 1 or more"),
        ({"training.warmup": "-5"}, r"training\.warmup must be 0 or more"),
        ({"training.betas": "[2, 3]"}, r"training\.betas\.0 must be below 1, not 2"),
        ({"training.weight_decay": "-1"}, r"training\.weight_decay must be 0 or more"),
        ({"training.lr": "inf"}, r"training\.lr must be finite"),
        ({"training.trackers": '["tensorbord"]'}, r"'tensorbord' is unknown; did you mean 'tensorboard'\?"),
        ({"seed": "1.5"}, r"seed must be a whole number from 0 to 2\^63 - 1, not 1\.5"),
        ({"seed": "1.0"}, r"seed must be a whole number from 0 to 2\^63 - 1, not 1\.0"),
        ({"seed": "true"}, r"seed must be a whole number from 0 to 2\^63 - 1, not True"),
        ({"seed": "-1"}, r"seed must be a whole number from 0"),
        ({"seed": "9300000000000000000000"}, r"seed must be a whole number from 0 to 2\^63 - 1"),
        ({"local.units": "0"}, r"objective\.local\.units must be 1 or more, not 0"),
        ({"local.tau": "-1"}, r"objective\.local\.tau must be above 0"),
        ({"local.negatives": "al"}, r"objective\.local\.negatives must be a whole number or 'all', not 'al'"),
        ({"objective.fine.type": "locl"}, r"objective\.fine\.type 'locl' is unknown; did you mean 'local'\?"),
        ({"prior.penalty": "-1"}, r"objective\.prior\.penalty must be 0 or more"),
        ({"encoder.y": "0"}, r"encoder\.y must be 1 or more"),
    ],
)
def test_misspelt_or_wrong_is_one_line(change: dict, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        config.override(recipes.recipe("cpu"), change)
    assert "\n" not in str(caught.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no configuration at"):
        config.load(tmp_path / "config.toml")
    (tmp_path / "config.toml").write_text("not = = toml")
    with pytest.raises(UserError, match="is not TOML"):
        config.load(tmp_path / "config.toml")
    (tmp_path / "config.toml").write_text("[training]\nepochs = 3\n")
    with pytest.raises(UserError, match="no objective"):
        config.load(tmp_path / "config.toml")
    with pytest.raises(UserError, match="unknown recipe 'dim'"):
        recipes.recipe("dim")
    with pytest.raises(UserError, match="unknown scale"):
        recipes.recipe("cpu", "huge")  # type: ignore[arg-type]


@pytest.mark.parametrize("weight", ["-3", "nan", "inf"])
def test_a_weight_that_cannot_be_is_refused(weight: str) -> None:
    with pytest.raises(UserError, match=r"objective.local.weight must be (0 or more|finite)"):
        config.override(recipes.recipe("dim-local"), {"local.weight": weight})


@pytest.mark.parametrize("seed", ["true", "1.5", '"3"', "[1]"])
def test_a_seed_in_a_file_is_a_whole_number(seed: str, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f"seed = {seed}\n" + config.dumps(recipes.recipe("cpu")).replace("seed = 0\n", ""))
    with pytest.raises(UserError, match=r"seed must be a whole number from 0 to 2\^63 - 1, not .*"):
        config.load(file)
    with pytest.raises(UserError, match="seed must be a whole number"):
        config.resolve(dataclasses.replace(recipes.recipe("cpu"), seed=True))


@pytest.mark.parametrize("order", [1, -1])
def test_another_encoder_has_arguments_of_its_own(order: int) -> None:
    """Those given beside its name stay, in any order; the same name changes nothing."""
    small = recipes.recipe("dim-local", "smoke")
    given = {"encoder.name": "alexnet", "encoder.y": "32"}
    changed = config.override(small, dict(list(given.items())[::order]))
    assert changed.encoder == {"name": "alexnet", "width": 96, "fc": 4096, "y": 32}
    assert config.override(small, {"encoder.name": "dcgan"}) == small


def test_two_objectives_of_one_kind_have_names_of_their_own(tmp_path: Path) -> None:
    made = config.override(recipes.recipe("cpu"), {"objective.fine.type": "local", "fine.bound": "jsd"})
    assert made.objective["fine"] == {"type": "local", "weight": 1.0} | {
        name: value
        for name, value in (recipes.recipe("dim-local").objective["local"] | {"bound": "jsd"}).items()
        if name != "weight"
    }
    assert "type" not in made.objective["local"]  # the file of a run is what it was before there were types
    (tmp_path / "config.toml").write_text(config.dumps(made))
    assert config.load(tmp_path / "config.toml") == made


class Own(torch.nn.Module):
    """An objective of somebody else's: plain keyword arguments, some with names that the engine uses too."""

    def __init__(self, facts: Facts, *, start: int = 0, images: int = 3) -> None:
        super().__init__()
        self.facts, self.start, self.images = facts, start, images


def test_an_own_objectives_arguments_are_its_settings() -> None:
    assert validate(Own, {}, "own") == {"start": 0, "images": 3}
    with pytest.raises(UserError, match=r"own\.strat is no setting; did you mean 'start'\?"):
        validate(Own, {"strat": 1}, "own")
    with pytest.raises(UserError, match=r"own\.start must be a whole number, not 'x'"):
        validate(Own, {"start": "x"}, "own")


def test_only_the_annotations_of_settings_are_read() -> None:
    """Facts and the like are often imported for type checkers only."""

    def made(facts: "Facts_of_a_type_checker", *, width: "int" = 3) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    def unreadable(facts: object, *, width: "Cuont" = 3) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    assert validate(made, {"width": "4"}, "own") == {"width": 4}
    with pytest.raises(UserError, match=r"annotation of width in .*unreadable cannot be read .*'Cuont' is not defined"):
        validate(unreadable, {}, "own")


def test_a_class_checks_its_settings_when_it_is_made() -> None:
    facts = Facts(Shapes(image=(3, 8, 8), local=(4, 2, 2), conv=(4, 2, 2), fc=(6,), y=(3,)))
    with pytest.raises(UserError, match=r"PriorMatching\.penalty must be 0 or more, not -1"):
        PriorMatching(facts, penalty=-1.0)
    with pytest.raises(UserError, match=r"PriorMatching\.penlty is no setting; did you mean 'penalty'\?"):
        PriorMatching(facts, penlty=1.0)
