"""The league: Deep InfoMax beside today's methods on one encoder, one data set, and the same minutes.

It is the paper's own kind of comparison (Table 1), with the methods that came after it. All rows have the DCGAN-like
encoder, batches of 128, Adam 1e-3 with a cosine schedule, bfloat16 and a whitening first layer. As many steps are
trained as the minutes hold, counted before by `benchmarks/recipes.py league`: a run is the same on any machine.

Augmentation matters to each method in its own way. So each had the same search: the three of `AUGMENTATIONS`, half a
minute of training each, on 15,000 training images, judged on 5,000 others of the training part. Test images play no
part. `reproduce league-trials` repeats the search, and `CHOSEN` is what came out of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deepinfomax import config as configuration
from deepinfomax.config import Config
from deepinfomax.data.configured import load_images, with_source
from deepinfomax.evaluation import evaluate
from deepinfomax.experiments.published import Row, Table
from deepinfomax.recipes import Scale, recipe
from deepinfomax.training.loop import train

MINUTES = (1, 5, 20, 60)
#: what all rows share
COMMON: dict[str, Any] = {
    "training.first_layer": "whitening",
    "training.precision": "bf16",
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
    changes: Mapping[str, Any] = field(default_factory=dict)


NO_PRIOR = {"prior.weight": 0.0}
ENTRANTS = (
    Entrant("DIM(L)", "dim-local", 2535, NO_PRIOR),
    Entrant("SimCLR", "simclr", 1762),
    Entrant("VICReg", "vicreg", 1552),
    Entrant("DIM(L) across views", "dim-views", 1084),
    Entrant("LeJEPA", "lejepa", 1563),
    Entrant("Barlow Twins", "barlow", 1627),
    Entrant("BYOL", "byol", 1356),
    Entrant("EMP-SSL", "emp-ssl", 773),
)
SUPERVISED = Entrant("fully supervised", "supervised", 2900)
#: name of an entrant -> of `AUGMENTATIONS`, by the search; "none": flips only, as in the paper's tables here
CHOSEN: dict[str, str] = {
    "DIM(L)": "areas",
    "SimCLR": "areas and colour",
    "VICReg": "shift",
    "DIM(L) across views": "shift",
    "LeJEPA": "areas and colour",
    "Barlow Twins": "shift",
    "BYOL": "shift",
    "EMP-SSL": "areas and colour",
}

HELD_OUT = 5000  #: of the training images that a trial is allowed, for its figure
TRIAL_MINUTES: dict[Scale, float] = {"smoke": 0.0, "cpu": 0.5, "paper": 5.0}


def augmented(augmentation: str) -> dict[str, Any]:
    """The settings of one of `AUGMENTATIONS`, in place of those of a recipe."""
    own = AUGMENTATIONS.get(augmentation, {})
    settings = dict.fromkeys(("crop", "random_resized_crop")) | {
        "padding": 0,
        "jitter": 0.0,
        "grayscale": 0.0,
    }
    small = {"small": None}
    return {f"augmentation.{name}": value for name, value in {**settings, **small, **own}.items()}


def changes(entrant: Entrant, augmentation: str) -> dict[str, Any]:
    """Settings of an entrant beyond those of its recipe."""
    small_views = {"training.small_views": 0} if entrant.recipe == "lejepa" else {}
    return COMMON | augmented(augmentation) | small_views | dict(entrant.changes)


def league(minutes: int) -> Table:
    """The table of all entrants after so many minutes of two cores."""
    rows = [
        Row(each.name, each.recipe, changes=changes(each, CHOSEN.get(each.name, "none")), steps=each.steps)
        for each in (*ENTRANTS, SUPERVISED)
    ]
    return Table(
        f"Deep InfoMax and today's methods after {minutes} minutes of two cores, CIFAR-10",
        "cifar10",
        tuple(rows),
        measures=("knn", "linear", "mlp"),
        minutes=minutes,
        note="one encoder and optimizer for all; augmentation by a search of the same length for each, on held-out "
        "training images",
    )


TABLES = {f"league-{minutes}": league(minutes) for minutes in MINUTES}


def trial_config(entrant: Entrant, augmentation: str, scale: Scale, seed: int, root: Path | None) -> Config:
    """What one trial trains."""
    settings = {"seed": seed, "training.trackers": [], "data.limit": 20_000} | changes(entrant, augmentation)
    if scale != "smoke":
        settings["training.steps"] = max(1, round(entrant.steps * TRIAL_MINUTES[scale] / 2))
    else:
        settings["data.limit"] = 400
    return with_source(configuration.override(recipe(entrant.recipe, scale), settings), "cifar10", root)


def run_trials(
    scale: Scale, seed: int, out: Path, *, root: Path | None = None, device: str | None = None
) -> dict[str, Any]:
    """Train each entrant with each augmentation and measure it on training images that it has not seen.

    Returns:
        "trials": {entrant: {augmentation: {"accuracy": at the best level by the MLP probe, "level": ...}}}, and
        "chosen": {entrant: augmentation}.
    """
    trials: dict[str, dict[str, Any]] = {}
    for entrant in ENTRANTS:
        trials[entrant.name] = {}
        for augmentation in AUGMENTATIONS:
            config = trial_config(entrant, augmentation, scale, seed, root)
            images = load_images(config)
            held_out = min(HELD_OUT, len(images) // 4)
            training, test = images.take(slice(0, -held_out)), images.take(slice(-held_out, None))
            folder = out / f"{entrant.recipe}-{augmentation.replace(' ', '-')}"
            encoder = train(config, training, folder, resume=folder.exists(), device=device, quiet=True)
            measured = evaluate(
                encoder, training, test, measures=("mlp",), controls=(), scale=scale, seed=seed, quiet=True,
                out=folder / "evaluation.json",
            )["measures"]["mlp"]  # fmt: skip
            accuracies = {level: figures["accuracy"] for level, figures in measured.items()}
            best = max(accuracies, key=lambda level: accuracies[level])
            trials[entrant.name][augmentation] = {"accuracy": round(accuracies[best], 4), "level": best}
    chosen = {
        name: max(tried, key=lambda augmentation: tried[augmentation]["accuracy"]) for name, tried in trials.items()
    }
    return {"trials": trials, "chosen": chosen}
