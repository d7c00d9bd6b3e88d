"""Whole training steps on 32×32 images, N = 128, infoNCE: against the step with critics and loss written naively.

    python benchmarks/step.py [--rounds 5] [--json FILE]
    python benchmarks/step.py --compile [--threads 1] [--rounds 5] [--json FILE]

The naive step: 1×1 convolutions of 2048 units over all places, negatives expanded per positive, plain Adam. "paper" is
the same mathematics here; "cpu" is the preset of that name (256 units, 16 of 64 places, channels_last).

With --compile the step "cpu" alone, as it is and by each `training.compile` that there is for a CPU; the least seconds
of all rounds. On a GPU: `gpu.py --compile`.
"""

import argparse
import os
import tempfile
from collections.abc import Callable

import torch
from accelerate import Accelerator

from deepinfomax import encoders
from deepinfomax.config import Compile
from deepinfomax.objectives import Batch, Facts, Game, LocalInfoMax
from deepinfomax.training.compiling import step_of
from measuring import in_turn, write
from naive import Step as NaiveStep

IMAGE, N = (3, 32, 32), 128


def compiled(compile: Compile) -> Callable[[], object]:
    """The step "cpu" as the engine plays it."""
    torch.manual_seed(0)
    encoder = encoders.build("dcgan", IMAGE)
    objective = LocalInfoMax(Facts.of(encoder, IMAGE), units=256, places=16)
    game = Game(encoder, {"local": (1.0, objective)}).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(game.parameters(), lr=1e-4, fused=True)
    step = step_of(compile, Accelerator(cpu=True), game, {"encoder": optimizer})
    batch = Batch(torch.randn(N, *IMAGE).contiguous(memory_format=torch.channels_last), None, torch.arange(N))
    return lambda: step(batch)


def compare_compiled(rounds: int) -> dict[str, object]:
    """Seconds of the processor for the first step, compilers in them, then for one step.

    What was compiled before is not taken from files, and all is compiled by this process and what it waits for.
    """
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    calls = {str(compile or "none"): compiled(compile) for compile in (False, "encoder", "step")}
    first = {}
    for name, call in calls.items():
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = tempfile.mkdtemp()
        began = sum(os.times()[:4])
        call()
        first[name] = round(sum(os.times()[:4]) - began, 1)
    seconds = in_turn(calls, rounds, min)
    return {
        "rounds": rounds,
        "seconds_of_the_first_step": first,
        "milliseconds_of_a_step": {name: round(1000 * s, 1) for name, s in seconds.items()},
        "times_as_fast": {name: round(seconds["none"] / s, 3) for name, s in seconds.items()},
        "note": "processors were shared with other programs; the least of all rounds, in turn",
    }


def ours(units: int, places: int | None, *, channels_last: bool) -> Callable[[], object]:
    torch.manual_seed(0)
    encoder = encoders.build("dcgan", IMAGE)
    objective = LocalInfoMax(Facts.of(encoder, IMAGE), units=units, places=places)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    encoder.to(memory_format=layout)
    optimizer = torch.optim.Adam([*encoder.parameters(), *objective.parameters()], lr=1e-4, fused=True)
    images = torch.randn(N, *IMAGE).contiguous(memory_format=layout)
    batch = Batch(images, None, torch.arange(N))

    def call() -> None:
        (loss,) = objective(encoder(images), batch).values()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return call


def naive() -> Callable[[], object]:
    torch.manual_seed(0)
    encoder = encoders.build("dcgan", IMAGE)
    shapes = encoders.shapes_of(encoder, IMAGE)
    step, images = NaiveStep(encoder, shapes.local[0], shapes.y[0], 2048), torch.randn(N, *IMAGE)
    return lambda: step(images)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    if arguments.compile:
        result = compare_compiled(arguments.rounds)
        print(result)
        write(arguments.json, "step", result)
        return
    calls = {
        "naive": naive(),
        "paper": ours(2048, None, channels_last=False),
        "cpu": ours(256, 16, channels_last=True),
    }
    seconds = in_turn(calls, arguments.rounds)
    result = {
        "images_per_second": {name: round(N / s) for name, s in seconds.items()},
        "paper_over_naive": round(seconds["naive"] / seconds["paper"], 2),
        "cpu_over_naive": round(seconds["naive"] / seconds["cpu"], 1),
    }
    print(result)
    write(arguments.json, "step", result)


if __name__ == "__main__":
    main()
