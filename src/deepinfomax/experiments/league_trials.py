"""The two searches of the league; both judge on training images that are held out.

One searches the augmentation of each entrant, with the DCGAN-like encoder. The other searches the local map of those
entrants that use one, with ResNet-18.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from deepinfomax import config as configuration
from deepinfomax.config import Config
from deepinfomax.data.configured import load_images, with_source
from deepinfomax.devices import choose_device
from deepinfomax.evaluation import evaluate
from deepinfomax.experiments.league import ALL, AUGMENTATIONS, CHOSEN, ENTRANTS, NETWORKS, Entrant, changes
from deepinfomax.experiments.paper_tables import SCALES, trained
from deepinfomax.recipes import Scale, recipe
from deepinfomax.report.reading import Metrics, read_metrics
from deepinfomax.training.run_folder import METRICS

HELD_OUT = 4  #: one of so many training images is held out, to judge by
#: of two cores of the faster processor, for a trial; `smoke` has its few steps
MINUTES: dict[Scale, float] = {"cpu": 0.5, "paper": 5.0}
LOCAL_STAGES = (1, 2, 3)  #: of ResNet-18


def trial_config(entrant: Entrant, augmentation: str, scale: Scale, seed: int, root: Path | None) -> Config:
    """The configuration of one trial."""
    settings = {"seed": seed, "training.trackers": []} | SCALES[scale] | changes(entrant, augmentation)
    settings["training.precision"] = "bf16"
    if scale in MINUTES:
        settings["training.steps"] = round(entrant.trial_steps * MINUTES[scale] / MINUTES["cpu"])
    return with_source(configuration.override(recipe(entrant.recipe, scale), settings), "cifar10", root)


class Trial(NamedTuple):
    """A configuration, judged on training images that it has not seen."""

    trained_on: int
    judged_on: int
    accuracies: dict[str, dict[str, float]]  #: measure -> level -> fraction
    metrics: Metrics  #: of its training


def on_held_out(
    config: Config, scale: Scale, folder: Path, device: str | None = None, measures: Sequence[str] = ("mlp",)
) -> Trial:
    """Train in `folder`, unless that is done, without one in `HELD_OUT` of the training images; measure on these."""
    images = load_images(config)
    held_out = len(images) // HELD_OUT
    training, test = images.take(slice(0, -held_out)), images.take(slice(-held_out, None))
    measured = evaluate(
        trained(config, folder, device, images=training),
        training,
        test,
        measures=measures,
        controls=(),
        scale=scale,
        seed=config.seed,
        device=choose_device(device),
        out=folder / "evaluation.json",
        quiet=True,
    )["measures"]
    accuracies = {
        measure: {level: figures["accuracy"] for level, figures in measured[measure].items()} for measure in measures
    }
    return Trial(len(training), len(test), accuracies, read_metrics(folder / METRICS))


def run(scale: Scale, seed: int, out: Path, *, root: Path | None = None, device: str | None = None) -> dict[str, Any]:
    """Train each entrant with each augmentation and measure it on training images that it has not seen.

    A trial that is finished in a folder of `out` is not run again.

    Returns:
        "data"; "training_minutes" of all trials, however many calls they took; "trials": {entrant: {augmentation:
        {"accuracy" by the MLP probe at the best level, "level": which that is, "steps", "training_seconds"}}}; and
        "chosen": {entrant: augmentation}.

    Raises:
        UserError: data that are not at hand.
    """
    wanted = {
        entrant.name: {
            augmentation: (
                trial_config(entrant, augmentation, scale, seed, root),
                out / f"{entrant.recipe}-{augmentation.replace(' ', '-')}",
            )
            for augmentation in AUGMENTATIONS
        }
        for entrant in ENTRANTS
    }
    return _search(wanted, scale, device)


def local_map_config(entrant: Entrant, stage: int, scale: Scale, seed: int, root: Path | None) -> Config:
    """The configuration of one trial of a local map: a row of `league-resnet18-1`, trained half as long."""
    network = NETWORKS["resnet18"]
    settings = {"seed": seed, "training.trackers": []} | SCALES[scale]
    settings |= changes(entrant, CHOSEN.get(entrant.name, "none"))
    settings |= {"encoder": network.settings[scale], "encoder.local_stage": stage}
    if scale in MINUTES:
        settings["training.steps"] = round(network.steps[entrant.name] * MINUTES[scale] / 2)
    return with_source(configuration.override(recipe(entrant.recipe, scale), settings), "cifar10", root)


def run_local_maps(
    scale: Scale, seed: int, out: Path, *, root: Path | None = None, device: str | None = None
) -> dict[str, Any]:
    """Train each entrant that uses a local map with that of each stage of ResNet-18, and measure as `run` does.

    Returns:
        As `run` does, with the number of the stage, as a string, in place of the augmentation.

    Raises:
        UserError: data that are not at hand.
    """
    wanted = {
        entrant.name: {
            str(stage): (
                local_map_config(entrant, stage, scale, seed, root),
                out / f"{entrant.name.replace(',', '').replace(' ', '-')}-stage-{stage}",
            )
            for stage in LOCAL_STAGES
        }
        for entrant in ALL
        if entrant.name in NETWORKS["resnet18"].local_stage
    }
    return _search(wanted, scale, device)


def _search(
    wanted: Mapping[str, Mapping[str, tuple[Config, Path]]], scale: Scale, device: str | None
) -> dict[str, Any]:
    """For each entrant, find the choice that is best by the MLP probe at its best level; each trial has its folder."""
    trials: dict[str, dict[str, dict[str, Any]]] = {}
    for name, choices in wanted.items():
        trials[name] = {}
        for choice, (config, folder) in choices.items():
            trial = on_held_out(config, scale, folder, device)
            accuracies, end = trial.accuracies["mlp"], trial.metrics.end
            best = max(accuracies, key=lambda level: accuracies[level])
            trials[name][choice] = {
                "accuracy": round(accuracies[best], 4),
                "level": best,
                "steps": end["step"],
                "training_seconds": round(end["seconds"], 1),
            }
    chosen = {name: max(tried, key=lambda each: tried[each]["accuracy"]) for name, tried in trials.items()}
    seconds = sum(trial["training_seconds"] for tried in trials.values() for trial in tried.values())
    return {
        "data": {"name": config.data.source, "trained_on": trial.trained_on, "judged_on": trial.judged_on},
        "training_minutes": round(seconds / 60, 1),
        "trials": trials,
        "chosen": chosen,
    }
