"""Why an encoder loses the game against the critic of its prior, and what matches the prior: short runs on CIFAR-10.

    python benchmarks/prior_study.py --out results/prior-study.json      # resumes where it stopped

Plain `dim-local` at the scale `cpu` on 8,000 images, 300 steps of 64, one seed. Each run changes one thing: γ, the
critic's learning rate, betas, penalty or steps, or the way in which the prior is matched. The last ones have 600 steps,
of 256 images where the name says so. Followed over the steps: the numbers of the
game, the spread of y, and how hard each objective pulls at y. Measured on 2,000 test images: how far y is from its
prior (classifier, slices, p-values), and how dependent its units are (as a Gaussian of these correlations).
"""

import argparse
import json
import shlex
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from deepinfomax import config as configuration
from deepinfomax import data
from deepinfomax.config import Config
from deepinfomax.data.batches import Batches
from deepinfomax.devices import hardware
from deepinfomax.evaluation.distribution import EncoderDistribution
from deepinfomax.evaluation.embeddings import EmbeddingsOfY
from deepinfomax.evaluation.ndm import gaussian
from deepinfomax.experiments.provenance import software
from deepinfomax.files import write_text
from deepinfomax.objectives import Batch, Game
from deepinfomax.objectives.prior import Prior
from deepinfomax.recipes import recipe
from deepinfomax.training.building import build_game

IMAGES, TEST, STEPS, EVERY = 8000, 2000, 300, 20
WIDTH, BATCH = 16, 64  #: of the recipe's 64 channels and 128 images: less than a minute of one core a run


class Run(NamedTuple):
    """What differs from plain `dim-local`."""

    settings: dict[str, Any]  #: of the configuration
    critic_lr: float = 1e-3  #: that of the encoder
    critic_betas: tuple[float, float] = (0.5, 0.999)
    critic_steps: int = 1  #: for each step of the encoder, on the same batch
    steps: int = STEPS


def game(gamma: float, **more: Any) -> dict[str, Any]:
    return {"prior.weight": gamma} | {f"prior.{name}": value for name, value in more.items()}


def large(settings: dict[str, Any], **more: Any) -> Run:
    """600 steps of 256 images."""
    return Run(settings | {"training.batch_size": 256}, steps=600, **more)


RUNS: dict[str, Run] = {
    "no prior": Run(game(0.0)),
    "game, γ 0.1": Run(game(0.1)),
    "game, γ 1": Run(game(1.0)),
    "game, γ 10": Run(game(10.0)),
    "γ 1, penalty 0.1": Run(game(1.0, penalty=0.1)),
    "γ 1, critic's rate 1e-4": Run(game(1.0), critic_lr=1e-4),
    "sigreg, uniform, γ 1": Run(game(1.0, by="sigreg")),
    "sigreg, Gaussian, γ 0.1": Run(game(0.1, by="sigreg", prior="gaussian")),
    "game, γ 3": Run(game(3.0)),
    "visreg, Gaussian, γ 1": Run(game(1.0, by="visreg", prior="gaussian")),
    "noise 0.3, Gaussian": Run(game(1.0, by="noise", prior="gaussian", noise=0.3)),
    "game, γ 0.3": Run(game(0.3)),
    "γ 1, critic's betas 0 and 0.9": Run(game(1.0), critic_betas=(0.0, 0.9)),
    "γ 1, three steps of the critic": Run(game(1.0), critic_steps=3),
    "sigreg, uniform, γ 0.1": Run(game(0.1, by="sigreg")),
    # Longer, and with as many images of a step as make the spread of 64 units known: from here on batches are named.
    "sigreg, Gaussian, γ 1, 256 × 600": large(game(1.0, by="sigreg", prior="gaussian", slices=1024)),
    "no prior, 256 × 600": large(game(0.0)),
    "game, γ 1, 256 × 600": large(game(1.0)),
    "sigreg, Gaussian, γ 1, 64 × 600": Run(game(1.0, by="sigreg", prior="gaussian"), steps=600),
    "game, Gaussian, γ 1, three steps of the critic, 256 × 600": large(game(1.0, prior="gaussian"), critic_steps=3),
    "sigreg, Gaussian, γ 10, 256 × 600": large(game(10.0, by="sigreg", prior="gaussian", slices=1024)),
    "visreg, Gaussian, γ 100, 256 × 600": large(game(100.0, by="visreg", prior="gaussian")),
    "sigreg, uniform, γ 1, 256 × 600": large(game(1.0, by="sigreg", slices=1024)),
}


def config_of(run: Run) -> Config:
    common = {"encoder.width": WIDTH, "training.batch_size": BATCH, "training.steps": run.steps, "seed": 0}
    return configuration.override(recipe("dim-local", "cpu"), common | run.settings)


def trained(run: Run, images: data.ImageSet) -> tuple[Game, list[dict[str, float]]]:
    """The game after its steps, and what was seen every `EVERY` of them."""
    config, curve = config_of(run), []
    torch.manual_seed(config.seed)
    made = build_game(config, images.shape, images).train()
    players = made.players()
    encoder = torch.optim.Adam(players["encoder"], lr=config.training.lr, betas=config.training.betas)
    critic = None
    if "opponents" in players:
        critic = torch.optim.Adam(players["opponents"], lr=run.critic_lr, betas=run.critic_betas)
    batches, step = Batches(images, config.training.batch_size, seed=config.seed), 0
    for epoch in range(run.steps):  # each has at least one step
        for pixels, _, _ in batches(epoch):
            batch = Batch(pixels)
            first = made(batch)
            seen = step % EVERY == 0 or step == run.steps - 1
            if seen:
                curve.append({"step": step} | looked_at(made, first.features.y, first.losses, first.measured))
            encoder.zero_grad()
            first.total.backward()
            encoder.step()
            for _ in range(run.critic_steps if critic is not None else 0):
                second = made.opponents(first.features.detach(), batch)  # type: ignore[misc]
                critic.zero_grad()  # type: ignore[union-attr]
                second.total.backward()
                critic.step()  # type: ignore[union-attr]
                if seen:
                    curve[-1] |= {name.replace("/", "_"): float(loss.detach()) for name, loss in second.losses.items()}
            step += 1
            if step == run.steps:
                return made.eval(), [{k: float(f"{v:.4g}") for k, v in line.items()} for line in curve]
    raise AssertionError("an epoch has at least one step")


def looked_at(made: Game, y: Tensor, losses: dict[str, Tensor], measured: dict[str, Tensor]) -> dict[str, float]:
    """The spread of y, how hard each weighted loss pulls at it, the bound, and what the critic takes for the prior."""
    line = {"deviation_of_y": float(y.detach().std(0).mean())}
    for name in ("local", "prior"):
        loss = losses.get(f"{name}/loss")
        if loss is not None:
            (pull,) = torch.autograd.grad(loss, y, retain_graph=True)
            line[f"pull_of_{name}"] = made.weights[name] * float(pull.norm())
    kept = {"local/bound": "bound", "prior/taken_for_prior": "taken_for_prior"}
    return line | {ours: float(measured[theirs]) for theirs, ours in kept.items() if theirs in measured}


def one(name: str, images: data.ImageSet, test: data.ImageSet) -> dict[str, Any]:
    run, began = RUNS[name], time.process_time()
    made, curve = trained(run, images)
    y = EmbeddingsOfY(made.encoder, "cpu")(test)
    prior: Prior = run.settings.get("prior.prior", "uniform")
    rows = y
    if run.settings.get("prior.by") == "noise":  # it is y of mean 0 and variance 1 that has the shape of the prior
        rows = (y - y.mean(0)) / y.std(0)
    distance = EncoderDistribution(rows).distance(prior, slices=200, steps=200)
    return {
        "settings": run.settings,
        "steps": run.steps,
        "critic": {"lr": run.critic_lr, "betas": run.critic_betas, "steps": run.critic_steps},
        "distance": {key: round(value, 4) for key, value in asdict(distance).items()},
        "prior": prior,
        "gaussian_nats": round(gaussian(y), 2),
        "deviation_of_y": round(float(y.std(0).mean()), 3),
        "curve": curve,
        "processor_seconds": round(time.process_time() - began, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results/prior-study.json"))
    parser.add_argument("--minutes", type=float, default=1e9, help="of the processor, at most; more another time")
    arguments = parser.parse_args()
    done = json.loads(arguments.out.read_text(encoding="utf-8"))["runs"] if arguments.out.exists() else {}
    images, test = data.load("cifar10", limit=IMAGES), data.load("cifar10", "test", limit=TEST)
    for name in RUNS:
        if name in done or time.process_time() > 60 * arguments.minutes:
            continue
        done[name] = one(name, images, test)
        print(name, {k: v for k, v in done[name].items() if k not in ("curve", "settings")}, flush=True)
        result = {
            "schema": 1,
            "title": "The prior of dim-local: the game, and what matches without one",
            "protocol": f"{IMAGES} images of CIFAR-10, {STEPS} steps of {BATCH} where the name has no others, width "
            f"{WIDTH}, scale cpu; measured on {TEST} test images against as many samples of the run's own prior",
            "command": shlex.join(["python", *sys.argv]),
            "seeds": [0],
            "hardware": hardware(torch.device("cpu")),
            "software": software(),
            "not run": [run for run in RUNS if run not in done],
            "runs": done,
        }
        write_text(arguments.out, json.dumps(result, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
