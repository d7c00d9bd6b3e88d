"""Every recipe against the paper: what is trained, with which weights, at the paper's scale and at that of a CPU."""

import pytest

from deepinfomax import recipes
from deepinfomax.config import Training
from deepinfomax.objectives import OBJECTIVES
from deepinfomax.settings import validate

#: What a section holds unless a row of TABLE says otherwise; numbers of the paper's A.2, A.6 and A.7.
DEFAULTS = {
    "local": {"bound": "infonce", "critic": "dot", "units": 2048, "scale": None, "places": None, "negatives": "all"},
    "global": {"bound": "jsd", "units": 512, "negatives": "all"},
    "prior": {"prior": "uniform"},
    "coordinates": {"kind": "both", "units": 512, "places": None},
    "cpc": {"bound": "infonce", "offsets": 3, "units": 1024, "scale": None, "places": None, "negatives": "all"},
    "supervised": {"level": "y"},
    "autoencoder": {"width": 64},
    "vae": {"beta": 1.0, "width": 64},
    "bigan": {"width": 64},
    "nat": {},
    "simclr": {"temperature": 0.5, "hidden": 2048, "outputs": 128, "layers": 2, "level": "y"},
    "vicreg": {"invariance": 25.0, "variance": 25.0, "covariance": 2.0, "hidden": 2048, "outputs": 2048, "layers": 3},
    "barlow": {"off_diagonal": 5e-3, "hidden": 2048, "outputs": 2048, "layers": 3},
    "byol": {"momentum": 0.996, "hidden": 4096, "outputs": 256},
    "lejepa": {"sigreg_weight": 0.02, "hidden": 2048, "outputs": 16, "layers": 3, "slices": 256},
    "emp_ssl": {"invariance": 200.0, "epsilon": 0.2**0.5, "hidden": 4096, "outputs": 1024, "layers": 3},
}

DCGAN = {"name": "dcgan", "width": 64, "fc": 1024, "y": 64}
ONE_GLOBAL = {"name": "strided", "stack": "resnet50", "globals": "one", "width": None, "fc": None, "y": 64}
BLOCKS = {**ONE_GLOBAL, "globals": "blocks"}
HIDDEN = {"fill": 0.0, "block": None}
RESNET = {"name": "resnet18", "width": 64, "stem": "small", "local_stage": None, "y": 64}
READS_FC = {"weight": 1.0, "level": "fc"}
WIDE = {"hidden": 8192, "outputs": 8192}
ACROSS_PATCHES = {"bound": "infonce", "several": "rest", "across": 1.0, "within": 0.0}
PRIOR = {"weight": 0.1}
LOCAL = {"weight": 1.0}

#: recipe -> objectives (over DEFAULTS), encoder, occlusion
TABLE = {
    "dim-fast": ({"local": {**LOCAL, "bound": "infonce"}}, DCGAN, None),
    "dim-local": ({"local": {**LOCAL, "bound": "infonce"}, "prior": PRIOR}, DCGAN, None),
    "dim-local-jsd": ({"local": {**LOCAL, "bound": "jsd"}, "prior": PRIOR}, DCGAN, None),
    "dim-local-dv": ({"local": {**LOCAL, "bound": "dv"}, "prior": PRIOR}, DCGAN, None),
    "dim-local-concat": (
        {"local": {**LOCAL, "bound": "jsd", "critic": "concat", "units": 512, "negatives": 64}, "prior": PRIOR},
        DCGAN,
        None,
    ),
    "dim-global": ({"global": {"weight": 1.0, "bound": "jsd"}, "prior": {"weight": 1.0}}, DCGAN, None),
    "dim-local-global": (
        {
            "global": {"weight": 0.5, "bound": "jsd"},
            "local": {"weight": 0.1, "bound": "jsd"},
            "prior": {"weight": 1.0},
        },
        DCGAN,
        None,
    ),
    "dim-coordinates": ({"local": LOCAL, "prior": PRIOR, "coordinates": {"weight": 1.0}}, DCGAN, None),
    "dim-occlusion": ({"local": LOCAL, "prior": PRIOR}, DCGAN, HIDDEN),
    "dim-coordinates-occlusion": ({"local": LOCAL, "prior": PRIOR, "coordinates": {"weight": 1.0}}, DCGAN, HIDDEN),
    "dim-strided": ({"local": {**LOCAL, "units": 1024}}, ONE_GLOBAL, None),
    "dim-strided-multiple": ({"local": {**LOCAL, "units": 1024}}, BLOCKS, None),
    "cpc": ({"cpc": {"weight": 1.0}}, DCGAN, None),
    "cpc-strided": ({"cpc": {"weight": 1.0}}, ONE_GLOBAL, None),
    "supervised": ({"supervised": {"weight": 1.0}}, DCGAN, None),
    "ae": ({"autoencoder": {"weight": 1.0}}, DCGAN, None),
    "vae": ({"vae": {"weight": 1.0, "beta": 1.0}}, DCGAN, None),
    "beta-vae": ({"vae": {"weight": 1.0, "beta": 0.5}}, DCGAN, None),
    "aae": ({"autoencoder": {"weight": 1.0}, "prior": {"weight": 20.0, "prior": "gaussian"}}, DCGAN, None),
    "bigan": ({"bigan": {"weight": 1.0}}, DCGAN, None),
    "nat": ({"nat": {"weight": 1.0}}, DCGAN, None),
    "dim-views": (
        {
            "local": {
                **LOCAL,
                "scale": "1/sqrt(units)",
                "y_local": 1.0,
                "y_conv": 1.0,
                "map_map": 1.0,
                "across": 1.0,
                "within": 0.0,
                "clip": 20.0,
                "score_penalty": 5e-2,
            }
        },
        DCGAN,
        None,
    ),
    "dim-patches": ({"emp_ssl": READS_FC, "local": {"weight": 10.0, **ACROSS_PATCHES}}, RESNET, None),
    "simclr": ({"simclr": READS_FC}, RESNET, None),
    "vicreg": ({"vicreg": {**READS_FC, **WIDE}}, RESNET, None),
    "barlow": ({"barlow": {**READS_FC, **WIDE}}, RESNET, None),
    "byol": ({"byol": READS_FC}, RESNET, None),
    "lejepa": ({"lejepa": READS_FC}, RESNET, None),
    "emp-ssl": ({"emp_ssl": READS_FC}, RESNET, None),
}

PATCHES = {"views": 20, "epochs": 30, "optimizer": "lars", "batch_size": 100, "lr": 0.3, "weight_decay": 1e-4}

#: What differs from the steps of the paper of Deep InfoMax, as the methods' papers have it: recipe -> training.
TRAINING = {
    "dim-views": {"views": 2, "lr": 2e-4, "betas": (0.8, 0.999), "weight_decay": 1e-5},
    "simclr": {"views": 2, "optimizer": "lars", "batch_size": 512, "lr": 2.0, "weight_decay": 1e-4, "warmup": 970},
    "vicreg": {"views": 2, "optimizer": "lars", "batch_size": 2048, "lr": 1.6, "weight_decay": 1e-6, "warmup": 240},
    "barlow": {"views": 2, "optimizer": "lars", "batch_size": 2048, "lr": 1.6, "weight_decay": 1.5e-6, "warmup": 240},
    "byol": {"views": 2, "optimizer": "lars", "batch_size": 4096, "lr": 3.2, "weight_decay": 1.5e-6, "warmup": 120},
    "lejepa": {
        "views": 2,
        "small_views": 6,
        "optimizer": "adamw",
        "batch_size": 128,
        "lr": 5e-4,
        "weight_decay": 5e-4,
        "betas": (0.9, 0.999),
    },
    "dim-patches": PATCHES,
    "emp-ssl": PATCHES,
}

#: What two cores change in a section; a critic of concat-and-convolve has units only.
ON_TWO_CORES = {
    "local": {"units": 256, "places": 16, "scale": 1 / 16},
    "cpc": {"units": 256, "places": 16, "scale": 1 / 16},
    "global": {"units": 256},
    "coordinates": {"places": 16},
    "autoencoder": {"width": 32},
    "vae": {"width": 32},
    "bigan": {"width": 32},
    "simclr": {"level": "y", "hidden": 512, "outputs": 128},
    "byol": {"level": "y", "hidden": 512, "outputs": 128, "momentum": 0.99},
    "vicreg": {"level": "y", "hidden": 512, "outputs": 512},
    "barlow": {"level": "y", "hidden": 512, "outputs": 512},
    "lejepa": {"level": "y", "hidden": 512, "outputs": 16},
    "emp_ssl": {"level": "y", "hidden": 512, "outputs": 256},
}


def picked(found: dict, expected: dict) -> dict:
    """Of what was found, the names that are expected: an argument that is new and has a default breaks no row."""
    return {name: found.get(name, "missing") for name in expected}


def test_every_recipe_has_a_row() -> None:
    assert set(TABLE) == set(recipes.RECIPES)


@pytest.mark.parametrize("name", TABLE)
def test_what_the_paper_trains(name: str) -> None:
    objective, encoder, occlusion = TABLE[name]
    made = recipes.recipe(name, "paper")
    assert set(made.objective) == set(objective)
    for section, given in objective.items():
        expected = DEFAULTS[section] | given
        assert picked(made.objective[section], expected) == expected, section
    assert picked(made.encoder, encoder) == encoder
    assert made.occlusion == occlusion
    training = {"epochs": 1000, "steps": None, "batch_size": 64, "lr": 1e-4, "betas": (0.5, 0.999), "weight_decay": 0.0}
    training |= {"views": 1, "small_views": 0, "optimizer": "adam"} | TRAINING.get(name, {})
    assert picked(vars(made.training), training) == training


@pytest.mark.parametrize("name", TABLE)
def test_what_two_cores_train(name: str) -> None:
    """The same objectives, bounds, weights and occlusion; smaller critics, decoders and crops, and other steps."""
    objective, encoder, occlusion = TABLE[name]
    made = recipes.recipe(name, "cpu")
    assert set(made.objective) == set(objective)
    for section, given in objective.items():
        change = {"units": 256} if given.get("critic") == "concat" else ON_TWO_CORES.get(section, {})
        if given.get("several") == "rest":
            change = change | {"places": 4}
        expected = DEFAULTS[section] | given | change
        assert picked(made.objective[section], expected) == expected, section
    if encoder["name"] == "strided":
        encoder = encoder | {"stack": "dcgan", "width": 32}
    if encoder["name"] == "resnet18":
        encoder = DCGAN
    assert picked(made.encoder, encoder) == encoder
    assert made.occlusion == occlusion
    training = {"steps": 2000, "batch_size": 128, "lr": 1e-3, "betas": (0.5, 0.999), "optimizer": "adam"}
    training |= {"views": 1, "small_views": 0, "schedule": "constant", "weight_decay": 0.0}
    if name in ("dim-fast", "dim-patches"):
        training |= {"schedule": "cosine", "first_layer": "whitening", "precision": "auto"}
    if name in ("bigan", "dim-global", "dim-local-global"):
        training |= {"lr": 2e-4}
    if name in TRAINING:
        training |= {"views": 4 if name in ("dim-patches", "emp-ssl") else 2, "schedule": "cosine"}
    assert picked(vars(made.training), training) == training


def test_cpu_is_dim_local_on_two_cores() -> None:
    plain, named = recipes.recipe("cpu"), recipes.recipe("dim-local", "cpu")
    assert (plain.recipe, plain.objective, plain.encoder) == ("cpu", named.objective, named.encoder)
    assert (plain.occlusion, plain.training) == (named.occlusion, named.training)


def test_the_default_is_in_minutes_and_differs_from_cpu_by_what_it_says() -> None:
    default, plain = recipes.recipe(), recipes.recipe("cpu")
    assert default.recipe == recipes.DEFAULT == "dim-fast"
    assert default.objective == {"local": plain.objective["local"]}
    changed = {"schedule": "cosine", "first_layer": "whitening", "precision": "auto"}
    assert vars(default.training) == vars(plain.training) | changed
    assert (default.encoder, default.augmentation, default.occlusion) == (plain.encoder, plain.augmentation, None)


def test_classes_begin_as_the_paper_has_them() -> None:
    # A configuration that names an objective and nothing else: the recipes are not the only way to these.
    for section, expected in DEFAULTS.items():
        assert picked(validate(OBJECTIVES[section], {}, section), expected) == expected, section
    assert (Training().batch_size, Training().lr, Training().betas) == (64, 1e-4, (0.5, 0.999))
