"""Everything that computes on a device, on the pretended one: run by test_pretended.py in a process of its own.

Prints a JSON object: case -> {"error": None or what was raised, "waits": place -> count, "copies": place -> count}.
Those of a step are of one step that is not logged; those of training are of the whole run.
"""

import pretended  # first: torch must know the device before the library is imported

# isort: split

import json
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch import nn

from deepinfomax import config, encoders, recipes
from deepinfomax.data.augmentation import Augmentation
from deepinfomax.data.batches import Batches
from deepinfomax.data.images import ImageSet
from deepinfomax.evaluation.embeddings import embed
from deepinfomax.evaluation.encoder_evaluation import evaluate
from deepinfomax.evaluation.measures import MEASURES
from deepinfomax.evaluation.neighbours import neighbours
from deepinfomax.experiments.generator import compare
from deepinfomax.information.estimation import estimate_mi
from deepinfomax.objectives import Batch
from deepinfomax.sklearn import DeepInfoMax
from deepinfomax.training.building import build_game
from deepinfomax.training.guards import Diverged
from deepinfomax.training.loop import train
from deepinfomax.training.optimizers import optimizer
from deepinfomax.training.step import Step

DEVICE = torch.device(pretended.NAME, 0)
rng = np.random.default_rng(0)
outputs = Path(tempfile.mkdtemp())


def images(count: int, side: int = 16, attributes: bool = False) -> ImageSet:
    pixels = rng.integers(0, 256, (count, 3, side, side), dtype=np.uint8)
    labels = rng.integers(0, 2, (count, 3)) if attributes else rng.integers(0, 3, count)
    return ImageSet(pixels, labels, ("a", "b", "c"), name="noise")


def step_of(recipe: str, **changes: Any) -> None:
    """Two steps, batches and views of them included; the second is counted. Then what a logged step asks for."""
    settings = config.override(recipes.recipe(recipe, "smoke"), changes)
    seen = images(16, 32 if "strided" in recipe else 16)
    training, augment = settings.training, Augmentation(**settings.augmentation)
    game = build_game(settings, augment.output_shape(seen.shape), seen).to(DEVICE)
    players = {player: optimizer(own, training, DEVICE) for player, own in game.players().items()}
    step = Step(Accelerator(cpu=True), game, players)
    batches = Batches(seen, 8, device=DEVICE)(0)
    for number, (pixels, labels, index) in zip(range(2), batches, strict=False):
        if number == 1:
            pretended.forget()
        small = augment.small_views(pixels, training.small_views) if training.small_views else None
        turn = step(Batch(augment(pixels, training.views), labels, index, training.views, small))
    counted = dict(pretended.waits), dict(pretended.copies)
    step.agree(turn, False, False, logged=True)
    for now, before in zip((pretended.waits, pretended.copies), counted, strict=True):
        now.clear()
        now.update(before)


def ruined() -> None:
    """A loss that is not finite is seen when something would be saved, in whichever step since the last look it was."""
    settings = recipes.recipe("cpu", "smoke")
    game = build_game(settings, (3, 16, 16), images(16)).to(DEVICE)
    players = {player: optimizer(own, settings.training, DEVICE) for player, own in game.players().items()}
    step = Step(Accelerator(cpu=True), game, players)
    batch = Batch(torch.randn(8, 3, 16, 16, device=DEVICE))
    good = {name: value.clone() for name, value in game.state_dict().items()}
    with torch.no_grad():
        next(game.parameters()).fill_(float("nan"))
    step(batch)
    game.load_state_dict(good)
    turn = step(batch)
    assert step.agree(turn, False, False, logged=False) == (False, False)
    assert sum(pretended.waits.values()) == 0, pretended.waits
    with pytest.raises(Diverged, match="a loss was not finite in one of the last steps"):
        step.agree(turn, True, False, logged=False)


def training(**changes: Any) -> None:
    settings = {"training.trackers": [], "training.log_every": 2, "training.steps": 4, "training.checkpoint_every": 1e9}
    chosen = config.override(recipes.recipe("cpu", "smoke"), settings | changes)
    train(chosen, images(16), outputs / "run", device=pretended.NAME, quiet=True)


def measured(name: str) -> None:
    of_attributes = MEASURES[name].labels == "attributes"
    controls = ["random_encoder", *(["pixels", "pixels_pca", "supervised"] if name == "linear" else [])]
    evaluate(
        an_encoder(),
        images(120, attributes=of_attributes),
        images(60, attributes=of_attributes),
        measures=[name],
        levels=["y"],
        controls=controls,
        scale="smoke",
        device=pretended.NAME,
        make_encoder=an_encoder,
        supervised_steps=2,
        quiet=True,
    )


def an_encoder() -> nn.Module:
    return encoders.build("dcgan", (3, 16, 16), width=4, fc=8, y=6)


def information(**settings: Any) -> None:
    x = rng.standard_normal((300, 2))
    y = x + rng.standard_normal((300, 2))
    estimate_mi(x, y, steps=4, device=pretended.NAME, **settings)


def transformer() -> None:
    pixels = images(32).images
    DeepInfoMax(steps=2, device=pretended.NAME).fit(pixels).transform(pixels)


def neighbours_there() -> None:
    y = embed(an_encoder(), images(20), levels=("y",), device=pretended.NAME)["y"].to(DEVICE)
    for metric in ("l1", "cosine"):
        neighbours(y[:3], y, 5, metric)


def generators() -> None:
    compare(images(64), images(32), "smoke", 0, outputs / "generator", device=pretended.NAME)


def cases() -> Iterator[tuple[str, Callable[[], None]]]:
    for name in recipes.names():
        yield f"step {name}", lambda name=name: step_of(name)
    for changes in (
        {"local.negatives": 5},
        {"local.pairing": "local", "local.bound": "smile"},
        {"local.clip": 20.0, "local.score_penalty": 0.1},
        {"prior.by": "sigreg"},
        {"prior.by": "visreg", "prior.prior": "gaussian"},
        {"prior.by": "noise", "prior.prior": "gaussian"},
        {"training.optimizer": "lars"},
        {"training.optimizer": "sgd"},
    ):
        yield (
            f"step {' '.join(f'{k} {v}' for k, v in changes.items())}",
            lambda changes=changes: step_of("cpu", **changes),
        )
    yield "ruined", ruined
    yield "train", training
    for name in MEASURES.builtin:
        yield f"measure {name}", lambda name=name: measured(name)
    for estimator in ("infonce", "dv", "mine", "nwj", "jsd-nwj", "jsd-dv", "jsd-lb", "smile", "ksg"):
        yield f"information {estimator}", lambda estimator=estimator: information(estimator=estimator, shuffles=2)
    for critic in ("joint", "featurewise"):
        yield f"information by a {critic} critic", lambda critic=critic: information(critic=critic)
    yield "information of groups", lambda: information(groups=np.arange(300) // 2)
    yield "information of folds", lambda: information(folds=3)
    yield "transformer", transformer
    yield "neighbours", neighbours_there
    yield "generator", generators


def main() -> None:
    torch.set_num_threads(1)
    asked, results = sys.argv[1:], {}
    for name, run in cases():
        if asked and name not in asked:
            continue
        error = None
        with pretended.counting():
            try:
                run()
            except Exception as raised:
                error = f"{type(raised).__name__}: {raised}"
                if asked:
                    traceback.print_exc()
        results[name] = {"error": error, "waits": dict(pretended.waits), "copies": dict(pretended.copies)}
    print(json.dumps(results))


if __name__ == "__main__":
    main()
