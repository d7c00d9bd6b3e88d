"""Named configurations. A recipe says what is trained, a scale says how large.

`paper`: the paper's own setting (A.2): critics of 2048 units over all places, batches of 64, Adam 1e-4, 1000 epochs.
`cpu`: the same mathematics in minutes on two cores: critics of 256 units over 16 places drawn per image and step,
decoders of half the channels, batches of 128, Adam 1e-3, 2000 steps. `smoke`: does it run at all, in seconds.
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from deepinfomax import encoders
from deepinfomax.config import Config, Training, objective_type, resolve
from deepinfomax.errors import UserError
from deepinfomax.objectives import OBJECTIVES
from deepinfomax.scales import SCALES, Scale

Sections = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Recipe:
    """What is trained, at the paper's scale."""

    says: str
    objective: Sections
    encoder: dict[str, Any] = field(default_factory=lambda: {"name": "dcgan"})
    occlusion: dict[str, Any] | None = None


def _dim_local(bound: str, **more: Any) -> Sections:
    return {"local": {"weight": 1.0, "bound": bound}, "prior": {"weight": 0.1}, **more}


COORDINATES: dict[str, Any] = {"coordinates": {"weight": 1.0}}
#: Table 3 drops the prior term; ResNet-50 on CIFAR-10
STRIDED = {"name": "strided", "stack": "resnet50"}

RECIPES: dict[str, Recipe] = {
    "dim-local": Recipe("DIM(L), infoNCE: α 0, β 1, γ 0.1 (Tables 1, 2)", _dim_local("infonce")),
    "dim-local-jsd": Recipe("DIM(L), JSD: α 0, β 1, γ 0.1 (Tables 1, 2)", _dim_local("jsd")),
    "dim-local-dv": Recipe("DIM(L), DV: α 0, β 1, γ 0.1 (Tables 1, 2)", _dim_local("dv")),
    "dim-local-concat": Recipe(
        "DIM(L), JSD, concat-and-convolve critic (Table 4), one negative per place",
        {
            "local": {"weight": 1.0, "bound": "jsd", "critic": "concat", "units": 512, "negatives": 64},
            "prior": {"weight": 0.1},
        },
    ),
    "dim-global": Recipe(
        "DIM(G), JSD: α 1, β 0, γ 1 (Tables 1, 2)",
        {"global": {"weight": 1.0, "bound": "jsd"}, "prior": {"weight": 1.0}},
    ),
    # The main text leaves γ open here; 1.0, the default of the authors' code and the weight of DIM(G).
    "dim-local-global": Recipe(
        "DIM(L+G), JSD: α 0.5, β 0.1, γ 1 (Table 4, which does not state γ)",
        {
            "global": {"weight": 0.5, "bound": "jsd"},
            "local": {"weight": 0.1, "bound": "jsd"},
            "prior": {"weight": 1.0},
        },
    ),
    "dim-coordinates": Recipe("DIM(L) and coordinates (Table 5)", _dim_local("infonce", **COORDINATES)),
    "dim-occlusion": Recipe("DIM(L) with occlusion (Table 5)", _dim_local("infonce"), occlusion={}),
    "dim-coordinates-occlusion": Recipe(
        "DIM(L) with both (Table 5)", _dim_local("infonce", **COORDINATES), occlusion={}
    ),
    "dim-strided": Recipe(
        "DIM(L), strided crops, one global, no prior (Table 3)", {"local": {"weight": 1.0, "units": 1024}}, STRIDED
    ),
    "dim-strided-multiple": Recipe(
        "DIM(L), strided crops, a global for each 3×3 places, no prior (Table 3)",
        {"local": {"weight": 1.0, "units": 1024}},
        STRIDED | {"globals": "blocks"},
    ),
    "cpc": Recipe("CPC without strided crops", {"cpc": {"weight": 1.0}}),
    "cpc-strided": Recipe("CPC with strided crops (Table 3)", {"cpc": {"weight": 1.0}}, STRIDED),
    "supervised": Recipe("the same architecture, trained through to the labels", {"supervised": {"weight": 1.0}}),
    "ae": Recipe("autoencoder", {"autoencoder": {"weight": 1.0}}),
    "vae": Recipe("variational autoencoder", {"vae": {"weight": 1.0}}),
    # The paper's Table 1 does not state β; A.6 goes from 0.1 to 4. With half the squared error as the reconstruction,
    # as here, β 0.5 weighs the two terms as the authors' framework does with β 1.
    "beta-vae": Recipe("β-VAE, β 0.5", {"vae": {"weight": 1.0, "beta": 0.5}}),
    # A weight of 1 against hundreds of nats of squared error leaves y as an autoencoder's: off-diagonal correlation
    # 0.16 on CIFAR-10, with 20 it is 0.09 and the error 2 % larger.
    "aae": Recipe(
        "adversarial autoencoder, Gaussian prior",
        {"autoencoder": {"weight": 1.0}, "prior": {"weight": 20.0, "prior": "gaussian"}},
    ),
    "bigan": Recipe("BiGAN, deterministic encoder", {"bigan": {"weight": 1.0}}),
    "nat": Recipe("noise as targets", {"nat": {"weight": 1.0}}),
}
DEFAULT = "cpu"


def names() -> list[str]:
    return [DEFAULT, *RECIPES]


def says() -> dict[str, str]:
    """What each recipe is, in a few words."""
    default = f"{RECIPES['dim-local'].says}, in minutes on two cores; the default"
    return {DEFAULT: default, **{name: recipe.says for name, recipe in RECIPES.items()}}


def recipe(name: str = DEFAULT, scale: Scale | None = None) -> Config:
    """The configuration of that name; "cpu" is DIM(L) with infoNCE at the scale of that name.

    Without a scale the others are the paper's. Raises UserError for an unknown name, listing the known.
    """
    if name != DEFAULT and name not in RECIPES:
        raise UserError(f"unknown recipe {name!r}; choose one of {', '.join(names())}")
    chosen = RECIPES["dim-local" if name == DEFAULT else name]
    config = Config(
        recipe=name,
        encoder=chosen.encoder,
        objective=chosen.objective,
        occlusion=chosen.occlusion,
        training=Training(epochs=1000),
    )
    return resolve(at_scale(config, scale or ("cpu" if name == DEFAULT else "paper")))


def at_scale(config: Config, scale: Scale) -> Config:
    """The same objectives at another scale: each objective and the encoder say how they shrink (`at_scale`)."""
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
        batch_size=16 if small else 128,
        lr=1e-3,
        channels_last=True,
        log_every=2 if small else 20,
    )
    return dataclasses.replace(config, objective=objective, training=training, encoder=encoder)


def shrunk(target: type, scale: Scale, section: dict[str, Any]) -> dict[str, Any]:
    """The settings of a class at that scale; the same where the class does not say."""
    return target.at_scale(scale, section) if hasattr(target, "at_scale") else dict(section)
