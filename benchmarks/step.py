"""Whole training steps on 32×32 images, N = 128, infoNCE: against the step with critics and loss written naively.

    python benchmarks/step.py [--rounds 5] [--json FILE]

The naive step: 1×1 convolutions of 2048 units over all places, negatives expanded per positive, plain Adam. "paper" is
the same mathematics here; "cpu" is the preset of that name (256 units, 16 of 64 places, channels_last).
"""

import argparse
from collections.abc import Callable

import torch

from deepinfomax import encoders
from deepinfomax.objectives import Batch, Facts, LocalInfoMax
from measuring import in_turn, write
from naive import Step as NaiveStep

IMAGE, N = (3, 32, 32), 128


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
    parser.add_argument("--json")
    arguments = parser.parse_args()
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
