"""From images to a measured representation in about a minute, and a verdict in a few lines.

`photos`: patches of photographs that come with the installation; the class of a patch is its photograph. Training
patches are from the left of each photograph and test patches from the right, so they can be matched by texture and
scene only. `cifar10`: the same steps with 20,000 training images, in about four minutes, if CIFAR-10 is on the machine.
"""

import shlex
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from torch import nn

from deepinfomax import config as configuration
from deepinfomax import encoders
from deepinfomax.config import Config
from deepinfomax.data import photos
from deepinfomax.data.configured import load_images, with_source
from deepinfomax.devices import choose_device
from deepinfomax.errors import UserError
from deepinfomax.evaluation import evaluate
from deepinfomax.evaluation.gallery import write_gallery
from deepinfomax.progress import shown
from deepinfomax.recipes import recipe
from deepinfomax.report import write as write_report
from deepinfomax.scales import Section
from deepinfomax.training.building import begin
from deepinfomax.training.loop import train


@dataclass(frozen=True)
class Stage:
    """The settings of the quickstart for one of its data sets."""

    changes: Section  #: settings beyond those of the default recipe
    supervised_steps: int  #: of the supervised control
    #: images of its batches, with all labels and with few: smaller ones take less time for as many steps, and on the
    #: photographs its accuracy is no lower for it
    supervised_batches: tuple[int, int] = (128, 128)


#: of every stage: flips, and float32, so that figures differ little from one processor to another
COMMON: Section = {"augmentation.flip": True, "training.precision": "no"}
STAGES = {
    "photos": Stage(COMMON | {"training.steps": 170, "encoder.width": 32}, 170, (64, 32)),
    "cifar10": Stage(COMMON | {"training.steps": 600, "data.limit": 20_000}, 250),
}
#: quick ones; `deepinfomax evaluate` has the rest, at every level
MEASURES = ("knn", "linear_10_per_class")


def configured(data: str, *, root: Path | None = None, seed: int = 0) -> Config:
    """The configuration of the quickstart on that data."""
    if data not in STAGES:
        raise UserError(
            f"quickstart has {' and '.join(STAGES)}, not {data!r}; for your own data: deepinfomax train DATA"
        )
    changes = STAGES[data].changes | {"seed": seed}
    config = with_source(configuration.override(recipe(), changes), data, root)
    return replace(config, recipe=f"quickstart on {data}")


def run(
    data: str, out: str | Path, *, root: Path | None = None, seed: int = 0, device: str | None = None
) -> dict[str, Any]:
    """Train, measure, report; returns the figures and the verdict. Raises UserError as `train` does."""
    began, out = time.perf_counter(), Path(out)
    config = configured(data, root=root, seed=seed)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} exists: remove it, or choose another place with --out")
    say = Console(stderr=True, highlight=False).print
    training, test = load_images(config, "train"), load_images(config, "test")
    classes = len(training.classes)
    shape = "x".join(map(str, training.shape))
    say(f"{data}: {len(training)} + {len(test)} images of {shape}, {classes} classes, not trained on")
    about: dict[str, Any] = {"test_part": True}
    shown_images = test
    if data == "photos":
        say(photos.TASK)
        about["task"] = photos.TASK
        shown_images = test.take(photos.apart("test"))
    encoder = train(config, training, out, device=device, about=about)
    arguments = {k: v for k, v in config.encoder.items() if k != "name"}

    def fresh() -> nn.Module:
        """A new network, initialised as the trained one was, for the controls."""
        network = encoders.build(config.encoder["name"], training.shape, **arguments)
        begin(network, config, training)
        return network

    result = evaluate(
        encoder,
        training,
        test,
        measures=MEASURES,
        levels=("y",),
        controls=("pixels", "random_encoder", "supervised"),
        scale="cpu",
        seed=seed,
        device=choose_device(device),
        out=out / "evaluation.json",
        make_encoder=fresh,
        supervised_steps=STAGES[data].supervised_steps,
        supervised_batches=STAGES[data].supervised_batches,
    )
    with shown("writing the report"):
        write_gallery(encoder, shown_images, out, seed=seed, device=choose_device(device))
        report = write_report(out)
    seconds = time.perf_counter() - began
    return {
        "run": str(out),
        "report": str(report),
        "seconds": round(seconds, 1),
        "evaluation": result,
        "text": f"{verdict(result)}\n\n{seconds:.0f} s in all.\n\n  {'report':11s}{report}\n  {'more':11s}"
        f"deepinfomax evaluate {shlex.quote(str(out))}",
    }


def verdict(evaluation: dict[str, Any]) -> str:
    """The table a new user should see: DIM beside controls that need no training, and beside training with labels."""
    measured, controls = evaluation["measures"], evaluation["controls"]

    def cell(tree: dict[str, Any], *path: str) -> str:
        entry: Any = tree
        for key in path:
            entry = entry.get(key, {}) if isinstance(entry, dict) else {}
        return f"{entry['accuracy']:.3f}" if isinstance(entry, dict) and "accuracy" in entry else "-"

    rows = [
        ("", "kNN, all labels", "linear, 10 labels per class"),
        ("DIM, y", *(cell(measured, m, "y") for m in MEASURES)),
        ("random encoder, y", *(cell(controls, "random_encoder", m, "y") for m in MEASURES)),
        ("raw pixels", *(cell(controls, "pixels", m) for m in MEASURES)),
        ("supervised network", cell(controls, "supervised"), cell(controls, "supervised", "10_per_class")),
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = [
        [cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(r, widths, strict=True))]
        for r in rows
    ]
    table = "\n".join("  ".join(line) for line in lines)
    return f"{table}\n\n{judgement(evaluation)}"


def judgement(evaluation: dict[str, Any]) -> str:
    """One sentence that says how it went, well or badly."""
    dim = evaluation["measures"]["knn"]["y"]["accuracy"]
    pixels = evaluation["controls"]["pixels"]["knn"]["accuracy"]
    random = evaluation["controls"]["random_encoder"]["knn"]["y"]["accuracy"]
    gain, other = dim - max(pixels, random), f"raw pixels ({pixels:.3f}) and a random encoder ({random:.3f})"
    if gain > 0:
        return f"Verdict: by nearest neighbours y ({dim:.3f}) beats {other}, by {gain * 100:.0f} points or more."
    lacks = f"it lacks {abs(gain) * 100:.0f} points"
    return f"Verdict: by nearest neighbours y ({dim:.3f}) does not beat both {other}; {lacks}."
