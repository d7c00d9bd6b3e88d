"""The league: Deep InfoMax compared with today's methods, with the same encoder, data set and training time.

It is a comparison like the paper's Table 1, with later methods. All rows of a table have the same encoder (the
DCGAN-like one or a small ResNet-18), batches of 128, Adam 1e-3 with a cosine schedule, float32 and a whitening first
layer. `benchmarks/recipes.py league` measured how many steps fit into the minutes. These numbers are fixed here, so a
run is the same on any machine.

Each method needs its own augmentation, and each had the same search: the three of `AUGMENTATIONS`, half a minute of
training each (on a faster processor, in bfloat16: about a minute of the league's), on 15,000 training images, judged on
5,000 others of the training part. Test images were not used. `reproduce league-trials` repeats the search
(`league_trials`), and `CHOSEN` has its result.
"""

from dataclasses import dataclass, field
from typing import Any

from deepinfomax.experiments.published import Row, Table
from deepinfomax.recipes import Scale

MINUTES = (1, 5, 20, 60)
NAMES = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}
#: what all rows share
COMMON: dict[str, Any] = {
    "training.first_layer": "whitening",
    "training.precision": "no",
    "training.schedule": "cosine",
    "augmentation.flip": True,
}
#: name -> settings: a shift of four pixels; areas of a third of the image or more; SimCLR's for CIFAR-10
AUGMENTATIONS: dict[str, dict[str, Any]] = {
    "shift": {"crop": "same", "padding": 4},
    "areas": {"random_resized_crop": "same", "scale": [0.3, 1.0]},
    "areas and colour": {
        "random_resized_crop": "same",
        "scale": [0.08, 1.0],
        "jitter": 0.4,
        "jitter_probability": 0.8,
        "grayscale": 0.2,
    },
}


@dataclass(frozen=True)
class Entrant:
    """A method of the league."""

    name: str
    recipe: str
    steps: int  #: that two minutes of two cores hold, see `benchmarks/recipes.py`
    trial_steps: int = 0  #: of a trial in the search of augmentation


ENTRANTS = (
    Entrant("DIM(L)", "dim-fast", 1154, 634),
    Entrant("SimCLR", "simclr", 680, 440),
    Entrant("VICReg", "vicreg", 658, 388),
    Entrant("DIM(L) across views", "dim-views", 499, 271),
    Entrant("LeJEPA", "lejepa", 659, 391),
    Entrant("Barlow Twins", "barlow", 659, 407),
    Entrant("BYOL", "byol", 511, 339),
    Entrant("EMP-SSL", "emp-ssl", 340, 193),
)
#: outside the search: Deep InfoMax is the one method here that needs no augmentation
PLAIN = Entrant("DIM(L), flips only", "dim-fast", 1154)
#: outside it too: with the augmentation that the search chose for EMP-SSL, whose term it has
PATCHES = Entrant("DIM(L) across patches", "dim-patches", 318)
SUPERVISED = Entrant("fully supervised", "supervised", 1297)
ALL = (*ENTRANTS, PLAIN, PATCHES, SUPERVISED)


@dataclass(frozen=True)
class Network:
    """An encoder that all rows of a table share."""

    title: str  #: what it adds to the title of the table
    settings: dict[Scale, dict[str, Any]]  #: at each scale, where they are not those of the recipes
    steps: dict[str, int]  #: name of an entrant -> steps that two minutes of two cores hold
    local_stage: dict[str, int] = field(default_factory=dict)  #: name of an entrant -> stage of its local map


#: Only Deep InfoMax uses a local map. Which stage of ResNet-18 gives it, `reproduce league-resnet18-trials` chose; the
#: first is also what the encoder takes by itself at this size.
NETWORKS = {
    "dcgan": Network("", {"paper": {"name": "dcgan"}}, {entrant.name: entrant.steps for entrant in ALL}),
    "resnet18": Network(
        ", ResNet-18 of width 16",
        {
            "smoke": {"name": "resnet18", "width": 2},
            "cpu": {"name": "resnet18", "width": 16},
            "paper": {"name": "resnet18"},
        },
        steps={  # on another processor than those above (`results/league-speeds.json`)
            "DIM(L)": 1184,
            "SimCLR": 622,
            "VICReg": 608,
            "DIM(L) across views": 488,
            "LeJEPA": 597,
            "Barlow Twins": 630,
            "BYOL": 452,
            "EMP-SSL": 254,
            "DIM(L), flips only": 1184,
            "DIM(L) across patches": 247,
            "fully supervised": 1256,
        },
        local_stage={"DIM(L)": 1, "DIM(L), flips only": 1, "DIM(L) across views": 1, "DIM(L) across patches": 3},
    ),
}
#: name of an entrant -> of `AUGMENTATIONS`, by the search; those outside it only flip
CHOSEN: dict[str, str] = {
    "DIM(L)": "areas",
    "SimCLR": "areas and colour",
    "VICReg": "shift",
    "DIM(L) across views": "shift",
    "LeJEPA": "areas and colour",
    "Barlow Twins": "shift",
    "BYOL": "shift",
    "EMP-SSL": "areas and colour",
    "DIM(L) across patches": "areas and colour",  # EMP-SSL's, not searched for
}


def changes(entrant: Entrant, augmentation: str) -> dict[str, Any]:
    """Settings of an entrant beyond those of its recipe.

    Args:
        augmentation: of `AUGMENTATIONS`, in place of the recipe's own; "none": flips only.
    """
    off: dict[str, Any] = {"crop": None, "random_resized_crop": None, "padding": 0, "jitter": 0.0, "grayscale": 0.0}
    settings = off | AUGMENTATIONS.get(augmentation, {})
    return COMMON | {f"augmentation.{name}": value for name, value in settings.items()}


def league(minutes: int, data: str = "cifar10", encoder: str = "dcgan") -> Table:
    """The table of all entrants after this many minutes on two cores.

    Augmentation is in all of them as it was chosen on CIFAR-10 with the DCGAN-like encoder.
    """
    network = NETWORKS[encoder]
    rows = []
    for each in ALL:
        settings = changes(each, CHOSEN.get(each.name, "none"))
        if each.name in network.local_stage:
            settings["encoder.local_stage"] = network.local_stage[each.name]
        rows.append(Row(each.name, each.recipe, changes=settings, steps=network.steps[each.name]))
    return Table(
        f"Deep InfoMax and today's methods after {minutes} minutes of two cores, {NAMES[data]}{network.title}",
        data,
        tuple(rows),
        measures=("knn", "linear", "mlp"),
        minutes=minutes,
        note="one encoder and optimizer for all; augmentation by a search of the same length for each, on held-out "
        "training images",
        at={scale: {"encoder": settings} for scale, settings in network.settings.items()},
    )


#: what the first layer that all share is worth by itself, to DIM(L) and to a random encoder
FIRST_LAYER = Table(
    "DIM(L), flips only, with and without a whitening first layer, CIFAR-10",
    "cifar10",
    tuple(
        Row(
            f"{first_layer} first layer",
            "dim-local",
            changes=changes(ENTRANTS[0], "none")
            | {"training.first_layer": first_layer, "training.precision": "bf16", "prior.weight": 0.0},
            steps=2535,
        )
        for first_layer in ("default", "whitening")
    ),
    note="no prior, cosine schedule, bfloat16; each row's random encoder begins as the row does",
)

TABLES = {f"league-{minutes}": league(minutes) for minutes in MINUTES}
TABLES |= {f"league-cifar100-{minutes}": league(minutes, "cifar100") for minutes in MINUTES}
TABLES |= {f"league-resnet18-{minutes}": league(minutes, encoder="resnet18") for minutes in MINUTES}
TABLES |= {"first-layer": FIRST_LAYER}
