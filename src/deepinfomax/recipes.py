"""Recipes: named configurations. A recipe says what is trained, a scale says how large the training is.

`paper`: the paper's own setting (A.2): critics of 2048 units over all places, batches of 64, Adam 1e-4, 1000 epochs.
`cpu`: the same mathematics in minutes on two cores: critics of 256 units over 16 places drawn per image and step,
decoders of half the channels, batches of 128, Adam 1e-3 or 2e-4, 2000 steps. `smoke`: seconds, to see whether it runs.
"""

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from deepinfomax.errors import UserError
from deepinfomax.scales import SCALES, Scale, Section

if TYPE_CHECKING:
    from deepinfomax.config import Config

# `config`, the encoders and the objectives need torch, so they are imported inside the functions that build a
# configuration: a list of the recipes does not have to wait for torch.

Sections = dict[str, Section]
Use = Literal["classes", "whole images", "reconstruction", "comparison"]

#: groups of recipes by their use, in the order of the list -> the words for it
USES: dict[Use, str] = {
    "classes": "Representations for classes, for search and for learning from few labels",
    "whole images": "Representations of the whole image at once; they need a long training",
    "reconstruction": "Representations for reconstruction: the image can be drawn again from y",
    "comparison": "Other methods, to compare with",
}


@dataclass(frozen=True)
class Recipe:
    """One recipe, at the paper's scale."""

    use: Use
    says: str
    objective: Sections
    encoder: Section = field(default_factory=lambda: {"name": "dcgan"})
    occlusion: Section | None = None
    augmentation: Section = field(default_factory=dict)
    training: Section = field(default_factory=dict)  #: settings that differ from the paper of Deep InfoMax
    small_training: Section = field(default_factory=dict)  #: settings for the scales below `paper`
    small_encoder: Section | None = None  #: the encoder for the scales below `paper`; None: the same


def _dim_local(bound: str, **more: Any) -> Sections:
    return {"local": {"weight": 1.0, "bound": bound}, "prior": {"weight": 0.1}, **more}


BATCH_IN_MINUTES = 128  #: images per step at the scale `cpu`
RESNET = {"name": "resnet18"}
#: SimCLR's for CIFAR-10 (arXiv 2002.05709, B.9): no blur, colour at half strength; its hue is 0.1, here 0.08
AREAS = {
    "random_resized_crop": "same",
    "scale": (0.08, 1.0),
    "flip": True,
    "jitter": 0.4,
    "jitter_probability": 0.8,
    "grayscale": 0.2,
}
TWO = {"views": 2, "schedule": "cosine"}
FAST = {"schedule": "cosine", "first_layer": "whitening", "precision": "auto"}


def _joint(says: str, name: str, objective: Section, training: Section, **more: Any) -> Recipe:
    """A method that compares views: on ResNet-18 with its paper's optimizer; below `paper` on DCGAN, with Adam."""
    recipe = Recipe(
        "comparison",
        says,
        {name: {"weight": 1.0, "level": "fc", **objective}},
        RESNET,
        augmentation=AREAS,
        training=TWO | training,
        small_training=TWO,
        small_encoder={"name": "dcgan"},
    )
    return dataclasses.replace(recipe, **more)


def _lars(batch_size: int, lr: float, weight_decay: float, **more: Any) -> Section:
    """Settings of LARS, with a warm-up of ten epochs of CIFAR-10's 50,000 images, as in these papers."""
    warmup = 10 * (50_000 // batch_size)
    own = {"optimizer": "lars", "batch_size": batch_size, "lr": lr, "weight_decay": weight_decay, "warmup": warmup}
    return own | more


#: for recipes whose probes are better with it than with the 1e-3 of the others (`benchmarks/rates.py`)
SMALLER_RATE: Section = {"lr": 2e-4}
EMP_SSL = _lars(100, 0.3, 1e-4, trust=5e-3, warmup=0, views=20, epochs=30)
WIDE = {"hidden": 8192, "outputs": 8192}  #: projectors of VICReg and Barlow Twins
COORDINATES: Sections = {"coordinates": {"weight": 1.0}}
#: Table 3 drops the prior term; ResNet-50 on CIFAR-10
STRIDED = {"name": "strided", "stack": "resnet50"}

RECIPES: dict[str, Recipe] = {
    # The paper's objective and network. Not the paper's: a first layer that begins as a whitening of patches, no prior,
    # a learning rate that falls as a cosine, bfloat16 where it is fast.
    "dim-fast": Recipe(
        "classes",
        "DIM(L), infoNCE, for minutes on two cores; needs no augmentation",
        {"local": {"weight": 1.0, "bound": "infonce"}},
        training=FAST,
        small_training=FAST,
    ),
    "dim-local": Recipe(
        "classes",
        "DIM(L), infoNCE bound: every place of the image against y. α 0, β 1, γ 0.1 (Tables 1, 2)",
        _dim_local("infonce"),
    ),
    "dim-local-jsd": Recipe(
        "classes",
        "DIM(L), JSD bound: less depends on how many images a batch has. α 0, β 1, γ 0.1 (Tables 1, 2)",
        _dim_local("jsd"),
    ),
    "dim-local-dv": Recipe("classes", "DIM(L), DV bound. α 0, β 1, γ 0.1 (Tables 1, 2)", _dim_local("dv")),
    "dim-local-concat": Recipe(
        "classes",
        "DIM(L), JSD bound, a critic that convolves places beside y, one negative a place (Table 4)",
        {
            "local": {"weight": 1.0, "bound": "jsd", "critic": "concat", "units": 512, "negatives": 64},
            "prior": {"weight": 0.1},
        },
    ),
    "dim-global": Recipe(
        "whole images",
        "DIM(G), JSD bound: the whole map against y. α 1, β 0, γ 1 (Tables 1, 2)",
        {"global": {"weight": 1.0, "bound": "jsd"}, "prior": {"weight": 1.0}},
        small_training=SMALLER_RATE,
    ),
    # The main text leaves γ open here; 1.0, the default of the authors' code and the weight of DIM(G).
    "dim-local-global": Recipe(
        "whole images",
        "DIM(L+G), JSD bound: both at once. α 0.5, β 0.1, γ 1 (Table 4, which does not state γ)",
        {
            "global": {"weight": 0.5, "bound": "jsd"},
            "local": {"weight": 0.1, "bound": "jsd"},
            "prior": {"weight": 1.0},
        },
        small_training=SMALLER_RATE,
    ),
    "dim-coordinates": Recipe(
        "classes", "dim-local, and y also tells where each place is (Table 5)", _dim_local("infonce", **COORDINATES)
    ),
    "dim-occlusion": Recipe(
        "classes", "dim-local, with part of the image hidden from y (Table 5)", _dim_local("infonce"), occlusion={}
    ),
    "dim-coordinates-occlusion": Recipe(
        "classes", "dim-local with both of these (Table 5)", _dim_local("infonce", **COORDINATES), occlusion={}
    ),
    "dim-strided": Recipe(
        "classes",
        "DIM(L) on overlapping crops of the image, one y for all of them, no prior (Table 3)",
        {"local": {"weight": 1.0, "units": 1024}},
        STRIDED,
    ),
    "dim-strided-multiple": Recipe(
        "classes",
        "the same with a y for each 3×3 crops (Table 3)",
        {"local": {"weight": 1.0, "units": 1024}},
        STRIDED | {"globals": "blocks"},
    ),
    "cpc": Recipe(
        "comparison",
        "CPC, contrastive predictive coding: rows of the image predict the rows below",
        {"cpc": {"weight": 1.0}},
    ),
    "cpc-strided": Recipe("comparison", "CPC on overlapping crops (Table 3)", {"cpc": {"weight": 1.0}}, STRIDED),
    "supervised": Recipe(
        "comparison",
        "the same network trained on the labels, which must be there: what labels give",
        {"supervised": {"weight": 1.0}},
    ),
    "ae": Recipe("reconstruction", "autoencoder", {"autoencoder": {"weight": 1.0}}),
    "vae": Recipe("reconstruction", "variational autoencoder: it can also draw new images", {"vae": {"weight": 1.0}}),
    # The paper's Table 1 does not state β; A.6 goes from 0.1 to 4. With half the squared error as the reconstruction,
    # as here, β 0.5 weighs the two terms as the authors' framework does with β 1.
    "beta-vae": Recipe(
        "reconstruction",
        "β-VAE, β 0.5: a variational autoencoder that weighs its prior by half",
        {"vae": {"weight": 1.0, "beta": 0.5}},
    ),
    # A weight of 1 against hundreds of nats of squared error leaves y as an autoencoder's: off-diagonal correlation
    # 0.16 on CIFAR-10, with 20 it is 0.09 and the error 2 % larger (an early trial, of which no file is kept).
    "aae": Recipe(
        "reconstruction",
        "adversarial autoencoder, Gaussian prior: it can also draw new images",
        {"autoencoder": {"weight": 1.0}, "prior": {"weight": 20.0, "prior": "gaussian"}},
    ),
    "bigan": Recipe(
        "comparison",
        "BiGAN, deterministic encoder: the inverse of a generator of images",
        {"bigan": {"weight": 1.0}},
        small_training=SMALLER_RATE,
    ),
    "nat": Recipe(
        "comparison", "NAT, noise as targets: every y is drawn to a point of noise of its own", {"nat": {"weight": 1.0}}
    ),
    # Levels, scores and augmentation are AMDIM's for CIFAR-10, on this paper's network. Its shift has probability 0.8.
    "dim-views": Recipe(
        "classes",
        "DIM(L), infoNCE across two views, at AMDIM's three levels (arXiv 1906.00910)",
        {
            "local": {
                "weight": 1.0,
                "scale": "1/sqrt(units)",
                "y_conv": 1.0,
                "map_map": 1.0,
                "clip": 20.0,
                "score_penalty": 5e-2,
            }
        },
        augmentation={
            "crop": "same",
            "padding": 4,
            "flip": True,
            "same_flip": True,
            "jitter": 0.4,
            "jitter_probability": 0.8,
            "grayscale": 0.25,
        },
        training={"views": 2, "lr": 2e-4, "betas": (0.8, 0.999), "weight_decay": 1e-5},
        small_training=TWO,
    ),
    # Of this package: EMP-SSL's term keeps y from collapsing and draws patches together, the local term asks that the
    # other patches tell each place. Of the weights 10 and 40 the former was better (`benchmarks/league_tried.py`).
    "dim-patches": Recipe(
        "classes",
        "DIM(L), infoNCE: each place against y of the image's other patches, beside EMP-SSL's term",
        {"emp_ssl": {"weight": 1.0, "level": "fc"}, "local": {"weight": 10.0, "several": "rest"}},
        RESNET,
        augmentation=AREAS,
        training=TWO | EMP_SSL,
        small_training=FAST | {"views": 4},
        small_encoder={"name": "dcgan"},
    ),
    # The command for CIFAR-10 in the authors' README, rate 1.0 for each 256 images.
    "simclr": _joint(
        "SimCLR (arXiv 2002.05709), ResNet-18: two views of an image attract, views of others repel",
        "simclr",
        {},
        _lars(512, 2.0, 1e-4),
    ),
    "vicreg": _joint(
        "VICReg (arXiv 2105.04906), ResNet-18: two views agree, units vary and are uncorrelated",
        "vicreg",
        WIDE,
        _lars(2048, 1.6, 1e-6),
    ),
    "barlow": _joint(
        "Barlow Twins (arXiv 2103.03230), ResNet-18: unit by unit two views correlate, and no two units do",
        "barlow",
        WIDE,
        _lars(2048, 1.6, 1.5e-6),
    ),
    "byol": _joint(
        "BYOL (arXiv 2006.07733), ResNet-18: one view predicts a slow copy's output for the other",
        "byol",
        {},
        _lars(4096, 3.2, 1.5e-6),
    ),
    # The authors have images of 224 with small views of 98; at 32 there is no setting of theirs.
    "lejepa": _joint(
        "LeJEPA (arXiv 2511.08544), ResNet-18, two views and six small ones",
        "lejepa",
        {},
        {"optimizer": "adamw", "lr": 5e-4, "weight_decay": 5e-4, "betas": (0.9, 0.999), "batch_size": 128}
        | {"small_views": 6},
        augmentation=AREAS | {"scale": (0.3, 1.0), "small": 16, "small_scale": (0.05, 0.3)},
    ),
    # Its blur and solarisation, each of probability 0.1, are left out.
    "emp-ssl": _joint(
        "EMP-SSL (arXiv 2304.03977), ResNet-18, 20 patches",
        "emp_ssl",
        {},
        EMP_SSL,
        augmentation=AREAS | {"scale": (0.25, 0.25)},
        small_training=TWO | {"views": 4},
    ),
}
DEFAULT = "dim-fast"
PLAIN = "cpu"  #: the paper's dim-local at the scale of that name
IN_MINUTES = (DEFAULT, PLAIN)  #: at the scale `cpu` where no scale is asked for


def names() -> list[str]:
    return [DEFAULT, PLAIN, *(name for name in RECIPES if name != DEFAULT)]


def check_name(name: str) -> None:
    """Raises UserError for a recipe that does not exist."""
    if name != PLAIN and name not in RECIPES:
        from deepinfomax.settings import nearest  # it loads pydantic, which a list of names does not need

        raise UserError(f"unknown recipe {name!r}{nearest(name, names())}")


def says() -> dict[str, str]:
    """Name -> a short description of each recipe."""
    words = {
        DEFAULT: f"{RECIPES[DEFAULT].says}; the default",
        PLAIN: "dim-local as the paper has it, in minutes on two cores: smaller critics, 2000 steps",
    }
    return {name: words.get(name) or RECIPES[name].says for name in names()}


def uses() -> dict[str, list[str]]:
    """Use, in words -> names of the recipes for it."""
    groups: dict[str, list[str]] = {words: [] for words in USES.values()}
    for name in names():
        groups[USES["classes" if name == PLAIN else RECIPES[name].use]].append(name)
    return groups


def listing() -> str:
    """A list of all recipes for a terminal, grouped by their use."""
    words = says()
    groups = (
        "\n".join([f"{use}:", *(f"  {name:27s}{words[name]}" for name in names)]) for use, names in uses().items()
    )
    return "\n\n".join(groups)


def recipe(name: str = DEFAULT, scale: Scale | None = None) -> "Config":
    """The configuration of a recipe.

    Args:
        name: of the recipe; "cpu" is `dim-local` at the scale `cpu`.
        scale: None: `cpu` for "dim-fast" and "cpu", `paper` for all others.

    Raises:
        UserError: an unknown name; the message lists the known ones.
    """
    from deepinfomax.config import Config, Training, resolve

    check_name(name)
    chosen = RECIPES["dim-local" if name == PLAIN else name]
    scale = scale or ("cpu" if name in IN_MINUTES else "paper")
    small = scale != "paper"
    training: Section = {"epochs": 1000} | ({} if small else chosen.training)
    config = Config(
        recipe=name,
        encoder=(small and chosen.small_encoder) or chosen.encoder,
        objective=chosen.objective,
        occlusion=chosen.occlusion,
        augmentation=chosen.augmentation,
        training=Training(**training),
    )
    config = at_scale(config, scale)
    if small:
        config = dataclasses.replace(config, training=dataclasses.replace(config.training, **chosen.small_training))
    return resolve(config)


def at_scale(config: "Config", scale: Scale) -> "Config":
    """The same objectives at another scale; the `at_scale` of each objective and of the encoder make them smaller."""
    from deepinfomax import encoders
    from deepinfomax.config import objective_type
    from deepinfomax.objectives import OBJECTIVES

    if scale == "paper":
        return config
    if scale not in SCALES:
        raise UserError(f"unknown scale {scale!r}; choose one of {', '.join(SCALES)}")
    small = scale == "smoke"
    objective = {
        name: shrunk(OBJECTIVES[objective_type(name, section)], scale, section)
        for name, section in config.objective.items()
    }
    encoder = shrunk(encoders.ARCHITECTURES[config.encoder["name"]], scale, config.encoder)
    training = dataclasses.replace(
        config.training,
        epochs=1000,
        steps=4 if small else 2000,
        batch_size=16 if small else BATCH_IN_MINUTES,
        lr=1e-3,
        channels_last=True,
        log_every=2 if small else 20,
    )
    return dataclasses.replace(config, objective=objective, training=training, encoder=encoder)


def shrunk(target: type, scale: Scale, section: Section) -> Section:
    """The settings of a class at a scale; unchanged if the class has no `at_scale`."""
    return target.at_scale(scale, section) if hasattr(target, "at_scale") else dict(section)
