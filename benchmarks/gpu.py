"""Training steps on a device: images a second, waits and copies a step, share of the roofline, minutes of the paper.

    python benchmarks/gpu.py                        # on the best device here
    python benchmarks/gpu.py --device pretended     # without a GPU: waits, copies and work are counted, not times
    python benchmarks/gpu.py --compile none encoder step graphs [--scale cpu]     # each row by each `training.compile`

The paper's setting on CIFAR-10: DIM(L) on 32×32 images, critics of 2048 units over all places, prior, Adam. Work is
what torch counts of one step's products and convolutions; the share is that work a second over `--peak`, the device's
teraflops in that arithmetic. 1000 epochs are 50 million images.
"""

import argparse
import json
import sys
import time
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

ROWS: dict[str, dict[str, Any]] = {
    "infoNCE, float32": {"training.tf32": False},
    "infoNCE, TF32": {},
    "infoNCE, bf16": {"training.precision": "bf16"},
    "infoNCE, TF32, N 512": {"training.batch_size": 512},
    "infoNCE, bf16, N 512": {"training.precision": "bf16", "training.batch_size": 512},
    "JSD, TF32": {"local.bound": "jsd"},
}


class Work(TorchDispatchMode):
    """Counts the work of products and convolutions; torch's `FlopCounterMode` knows no gradients of gradients."""

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if (formula := flop_registry.get(func._overloadpacket)) is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=result)
        return result


def measure(
    changes: dict[str, Any], device: torch.device, steps: int, scale: str, counters: Any, compile: str = "none"
) -> dict[str, Any]:
    """One row: a run's own batches, augmentation and step, on noise. Work is counted of the step as it is."""
    import numpy as np
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    from deepinfomax import config, recipes
    from deepinfomax.data.augmentation import Augmentation
    from deepinfomax.data.batches import Batches
    from deepinfomax.data.images import ImageSet
    from deepinfomax.devices import arithmetic
    from deepinfomax.objectives.protocol import Batch
    from deepinfomax.training.building import build_game
    from deepinfomax.training.compiling import step_of
    from deepinfomax.training.optimizers import optimizer
    from deepinfomax.training.schedule import batches_from

    compiled = {} if compile == "none" else {"training.compile": compile}
    settings = config.override(recipes.recipe("dim-local", scale), changes | compiled)
    training = settings.training
    pixels = np.random.default_rng(0).integers(0, 256, (8 * training.batch_size, 3, 32, 32), dtype=np.uint8)
    images = ImageSet(pixels, name="noise")
    augment = Augmentation(**settings.augmentation)
    AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = Accelerator(mixed_precision=training.precision, cpu=device.type not in ("cuda", "mps"))
    torch.manual_seed(0)
    game = build_game(settings, images.shape, images).to(device)
    optimizers = {player: optimizer(own, training, device) for player, own in game.players().items()}
    step = step_of(False, accelerator, game, optimizers)
    batches = batches_from(Batches(images, training.batch_size, device=device), 0, steps + 10)

    def one() -> None:
        _, (seen, labels, index) = next(batches)
        step(Batch(augment(seen, training.views), labels, index, training.views))

    with arithmetic(device, tf32=training.tf32, deterministic=False):
        with Work() as work:
            one()
        if training.compile:
            step = step_of(training.compile, accelerator, game, optimizers)
        for _ in range(4):  # CUDA graphs are recorded in the second one
            one()
        if counters is not None:
            counters.forget()
        one()
        row = {"batch": training.batch_size, "gigaflop a step": round(work.total / 1e9, 1)}
        if counters is not None:
            return row | {"waits": sum(counters.waits.values()), "copies": sum(counters.copies.values())}
        _finish(device)
        began = time.perf_counter()
        for _ in range(steps):
            one()
        _finish(device)
    seconds = (time.perf_counter() - began) / steps
    per_second = training.batch_size / seconds
    row |= {"images a second": round(per_second), "minutes of 1000 epochs": round(50e6 / per_second / 60, 1)}
    if device.type == "cuda":
        row["peak MiB"] = round(torch.cuda.max_memory_allocated(device) / 2**20)
    return row | {"teraflops": round(work.total / seconds / 1e12, 3)}


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--scale", default="paper", help="smoke: to see that it runs")
    parser.add_argument("--compile", nargs="+", default=["none"], choices=["none", "encoder", "step", "graphs"])
    parser.add_argument("--rows", help="names, divided by semicolons; all by default")
    parser.add_argument("--peak", type=float, help="teraflops of the device, for the share of the roofline")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    rows = list(ROWS) if arguments.rows is None else [name.strip() for name in arguments.rows.split(";")]
    if unknown := [name for name in rows if name not in ROWS]:
        parser.error(f"there is no row {unknown[0]!r}; rows are {'; '.join(ROWS)}")
    counters = None
    if arguments.device == "pretended" and arguments.compile != ["none"]:
        parser.error("torch.compile knows no pretended device: leave --compile out")
    if arguments.device == "pretended":
        sys.path.insert(0, str(Path(__file__).parents[1] / "tests/devices"))
        import pretended as counters  # before the library is imported
    from deepinfomax.devices import choose_device, hardware
    from deepinfomax.errors import UserError
    from deepinfomax.training.compiling import check_compile

    device = choose_device(arguments.device) if counters is None else torch.device(counters.NAME, 0)
    try:
        for compile in arguments.compile:
            check_compile(compile, device, processes=1)
    except UserError as error:
        parser.error(str(error))
    results = {}
    for name, compile in product(rows, arguments.compile):
        if counters is None:
            row = measure(ROWS[name], device, arguments.steps, arguments.scale, None, compile)
        elif "bf16" in name:  # autocast knows no pretended device
            continue
        else:
            with counters.counting():
                row = measure(ROWS[name], device, arguments.steps, arguments.scale, counters)
        if arguments.peak and "teraflops" in row:
            row["share of the peak"] = round(row["teraflops"] / arguments.peak, 3)
        named = name if compile == "none" else f"{name}, compiled: {compile}"
        results[named] = row
        print(f"{named}: {', '.join(f'{what} {value}' for what, value in row.items())}", flush=True)
    if arguments.json:
        on = "pretended" if counters is not None else hardware(device)
        Path(arguments.json).write_text(json.dumps({"benchmark": "gpu", "hardware": on, "rows": results}, indent=1))


if __name__ == "__main__":
    main()
