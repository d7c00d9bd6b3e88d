"""What a compiled step computes beside one that is not: run by test_compiling.py in a process of its own.

There no shapes are checked at every call, which torch.compile could not look through. Prints a JSON object: case ->
figures.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from safetensors import safe_open
from test_loop import config, equal, images, weights
from torch import nn
from torch._dynamo.utils import counters

from deepinfomax import encoders
from deepinfomax.config import Compile
from deepinfomax.devices import arithmetic, full_float32
from deepinfomax.objectives import OBJECTIVES, Batch, Facts, Game
from deepinfomax.objectives.occlusion import Occlusion
from deepinfomax.training import compiling
from deepinfomax.training.compiling import compile_turns, step_of
from deepinfomax.training.loop import train
from deepinfomax.training.run_folder import CHECKPOINT
from deepinfomax.training.step import Step

CPU = torch.device("cpu")
IMAGE, IMAGES, STEPS = (3, 16, 16), 8, 3
STEPS_OF_GRAPHS = 8  #: a CUDA graph is run once as it is, then recorded, then played
NARROW = {"units": 8, "places": 3}
EMBEDDED = {"hidden": 8, "outputs": 6}
ONE_VIEW: dict[str, dict[str, Any]] = {
    "local": NARROW,
    "local_jsd": {"type": "local", **NARROW, "bound": "jsd", "clip": 4.0, "score_penalty": 0.05},
    "local_dv": {"type": "local", **NARROW, "bound": "dv", "critic": "concat"},
    "local_counted": {"type": "local", **NARROW, "negatives": 5, "pairing": "local", "bound": "smile"},
    "global": {"units": 8},
    "coordinates": {"places": 3},
    "cpc": {**NARROW, "offsets": 1},
    "autoencoder": {"width": 4},
    "vae": {"width": 4},
    "supervised": {},
    "sigreg": {"type": "prior", "by": "sigreg", "slices": 16},
}
TWO_VIEWS: dict[str, dict[str, Any]] = {
    "local": {**NARROW, "y_conv": 1.0, "map_map": 1.0},
    **dict.fromkeys(("simclr", "vicreg", "barlow", "byol", "emp_ssl"), EMBEDDED),
    "lejepa": {**EMBEDDED, "slices": 16},
}
TWO_PLAYERS: dict[str, dict[str, Any]] = {"prior": {}, "bigan": {"width": 4}}


def game(objectives: Mapping[str, Mapping[str, Any]], *, occluded: bool = False) -> Game:
    torch.manual_seed(0)
    encoder = encoders.build("dcgan", IMAGE, width=4, fc=8, y=6)
    facts = Facts.of(encoder, IMAGE, classes=3, images=IMAGES * STEPS_OF_GRAPHS)
    made: dict[str, tuple[float, nn.Module]] = {}
    for name, section in objectives.items():
        settings = {key: value for key, value in section.items() if key != "type"}
        made[name] = (1.0, OBJECTIVES[section.get("type", name)](facts, **settings))
    return Game(encoder, made, Occlusion(IMAGE) if occluded else None)


def played(step: Step, views: int, device: torch.device, on_first: Callable[[], None]) -> list[dict[str, float]]:
    """Losses and measured numbers of each step; on a GPU the last may not wait for it."""
    turns = []
    steps = STEPS if device.type == "cpu" else STEPS_OF_GRAPHS
    for number in range(steps):
        generator = torch.Generator().manual_seed(number)
        batch = Batch(
            (torch.rand(views * IMAGES, *IMAGE, generator=generator) * 2 - 1).to(device),
            torch.randint(3, (IMAGES,), generator=generator).to(device),
            (torch.arange(IMAGES) + IMAGES * number).to(device),
            views,
        )
        torch.manual_seed(number)
        if device.type == "cuda":
            torch.cuda.set_sync_debug_mode("error" if number == steps - 1 else "default")
        turns.append(step(batch))
        if number == 0:
            on_first()
    if device.type == "cuda":
        torch.cuda.set_sync_debug_mode("default")
    return [{name: value.item() for name, value in (turn.losses | turn.measured).items()} for turn in turns]


def compared(
    objectives: Mapping[str, Mapping[str, Any]],
    *,
    views: int = 1,
    occluded: bool = False,
    device: torch.device = CPU,
    compile: Compile = "step",
    backend: str | None = None,
) -> dict[str, Any]:
    """Steps as they are and compiled, from the same beginning: how far apart they are, and how many graphs it took.

    Args:
        backend: in place of inductor, which takes longest.
    """
    torch._dynamo.reset()
    counters.clear()
    graphs: list[int] = []
    numbers, states = [], []
    for how in (False, compile):
        made = game(objectives, occluded=occluded).to(device)
        optimizers = {player: torch.optim.SGD(own, lr=0.05) for player, own in made.players().items()}
        accelerator = Accelerator(cpu=device.type == "cpu")
        with arithmetic(device, tf32=False, deterministic=False), compiled_by(backend):
            step = step_of(how, accelerator, made, optimizers)
            numbers.append(played(step, views, device, lambda: graphs.append(counters["stats"]["unique_graphs"])))
        states.append(made.state_dict())
    plain, found = states
    pairs = zip(*numbers, strict=True)
    assert numbers[0][0].keys() == numbers[1][0].keys()
    return {
        "same names": list(plain) == list(found),
        "numbers": max(abs(one[name] - other[name]) / (1 + abs(one[name])) for one, other in pairs for name in one),
        "weights": max((plain[name] - found[name]).abs().max().item() for name in plain),
        "graphs": graphs[1],
        "later": counters["stats"]["unique_graphs"] - graphs[1],
        "cuts": sum(counters["graph_break"].values()),
    }


@contextmanager
def compiled_by(backend: str | None) -> Iterator[None]:
    """Within the block `compile_turns` takes another backend than it is told; None: the one it is told."""
    if backend is not None:
        compiling.compile_turns = lambda game, **_: compile_turns(game, backend=backend)
    try:
        yield
    finally:
        compiling.compile_turns = compile_turns


def resumed() -> dict[str, Any]:
    """Four steps, and two and two; every step saves, which looks at the weights and at y in eval mode."""
    out = Path(tempfile.mkdtemp())
    torch._dynamo.reset()
    counters.clear()
    settings = {"training.compile": "step", "training.checkpoint_every": 0.0, "training.steps": 4, "prior.weight": 0.0}
    settings |= {"prior.by": "sigreg"}  # one graph, and so one compilation a run
    graphs = []
    for run, steps, resume in (("whole", 4, False), ("half", 2, False), ("half", 4, True)):
        before = counters["stats"]["unique_graphs"]
        changed = config(**settings | {"training.steps": steps})
        train(changed, images(), out / run, device="cpu", quiet=True, resume=resume)
        graphs.append(counters["stats"]["unique_graphs"] - before)
    train(config(**settings | {"training.compile": False}), images(), out / "plain", device="cpu", quiet=True)
    names = []
    for run in ("whole", "plain"):
        with safe_open(out / run / CHECKPOINT / "state.safetensors", framework="pt") as f:
            names.append(json.loads(f.metadata()["skeleton"]))
    learner = [dict(dict(skeleton["pairs"])["learner"]["pairs"]).keys() for skeleton in names]
    return {
        "equal": equal(weights(out / "whole"), weights(out / "half")),
        "same names": weights(out / "whole").keys() == weights(out / "plain").keys() and learner[0] == learner[1],
        "names": len(learner[0]),
        "graphs": graphs,
    }


def run_resumed() -> dict[str, Any]:
    with compiled_by("aot_eager"):
        return resumed()


def whole_float32() -> dict[str, Any]:
    """What scores ask of an NVIDIA GPU does not cut a graph; it asks by the name of the device alone."""
    torch._dynamo.reset()
    counters.clear()

    def scores(x: torch.Tensor) -> torch.Tensor:
        with full_float32(torch.device("cuda")):
            return x @ x

    torch.compile(scores, backend="eager")(torch.eye(3))
    return {"graphs": counters["stats"]["unique_graphs"], "cuts": sum(counters["graph_break"].values())}


def on_gpu(compile: Compile) -> dict[str, Any]:
    """One view, two views and two players, each as `compared`."""
    games: dict[str, dict[str, Any]] = {
        "one view": {"objectives": ONE_VIEW},
        "two views": {"objectives": TWO_VIEWS, "views": 2},
        "two players": {"objectives": TWO_PLAYERS},
    }
    return {name: compared(**of, device=torch.device("cuda"), compile=compile) for name, of in games.items()}


CASES: dict[str, Callable[[], dict[str, Any]]] = {
    "one view": lambda: compared(ONE_VIEW, backend="aot_eager"),
    "two views": lambda: compared(TWO_VIEWS, views=2, backend="aot_eager"),
    "two players": lambda: compared(TWO_PLAYERS, backend="aot_eager"),
    "occluded": lambda: compared({"local": NARROW}, occluded=True, backend="aot_eager"),
    "not compiled": lambda: compared({"local": NARROW, "nat": {}}, backend="aot_eager"),
    "inductor": lambda: compared({"local": NARROW}),
    "whole float32": whole_float32,
    "run": run_resumed,
}
ON_GPU: dict[str, Callable[[], dict[str, Any]]] = {
    "step": lambda: on_gpu("step"),
    "graphs": lambda: on_gpu("graphs"),
}


def main() -> None:
    torch.set_num_threads(1)
    print(json.dumps({name: (CASES | ON_GPU)[name]() for name in sys.argv[1:] or CASES}))


if __name__ == "__main__":
    main()
