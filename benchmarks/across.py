"""What processes send each other in a step for the negatives of all of them: counted, as gathered and as merged.

Counted from the collectives that a step of `local_infomax` really asks for, in one process that takes seven others for
granted (torch's fake group): a ring of W processes sends (W - 1) / W of the whole in a gather, and as much in a sum of
which each keeps its part.

    python benchmarks/across.py [--json FILE]
"""

import argparse
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch.testing._internal.distributed.fake_pg import FakeStore

from deepinfomax.information import across, pairs
from measuring import write

PROCESSES = 8


def sent(step: Callable[[], Any]) -> int:
    """Bytes that one process sends while the step runs."""
    total = 0
    originals = across._all_gather, across._reduce_scatter

    def counting(collective: Any) -> Any:
        def send(into: torch.Tensor, what: torch.Tensor) -> None:
            nonlocal total
            whole = max(into.nbytes, what.nbytes)
            total += whole * (PROCESSES - 1) // PROCESSES
            collective(into, what)

        return send

    across._all_gather, across._reduce_scatter = map(counting, originals)
    try:
        step()
    finally:
        across._all_gather, across._reduce_scatter = originals
    return total


def of_step(images: int, places: int, units: int, bound: str, pairing: pairs.Pairing, *, gathered: bool) -> int:
    """Bytes of one forward and backward pass; `gathered`: of one with counted negatives, where candidates travel."""
    local = torch.zeros(images, places, units, requires_grad=True)
    glob = torch.zeros(images, 1, units, requires_grad=True)
    count: Any = (PROCESSES * images - 1) * (places if pairing == "global" else 1) if gathered else "all"
    return sent(lambda: pairs.local_infomax(local, glob, bound, negatives=count, pairing=pairing).backward())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="to see that it runs")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    dist.init_process_group("fake", rank=0, world_size=PROCESSES, store=FakeStore())
    images, places, units = (4, 16, 64) if arguments.smoke else (32, 64, 256)
    told = f"{PROCESSES} processes of {images} images, {places} places, {units} units"
    print(told)
    counted: dict[str, Any] = {}
    for bound, pairing in (("infonce", "global"), ("jsd", "global"), ("infonce", "local")):
        before = of_step(images, places, units, bound, pairing, gathered=True)
        now = of_step(images, places, units, bound, pairing, gathered=False)
        counted[f"{bound}, anchor {pairing}"] = {"gathered": before, "as it is": now}
        said = f"{before / 1e6:.2f} MB gathered, {now / 1e6:.2f} MB now, {before / now:.1f} times less"
        print(f"{bound}, anchor {pairing}: {said}")
    figures: dict[str, Any] = {"bytes": {told: counted}}
    images, places, units = 256, 64, 2048
    of_maps, of_globals = (4 * PROCESSES * images * each * units * 7 // 8 for each in (places, 1))
    print(
        f"by the same count, {images} images a process, {places} places, {units} units: locals there and back "
        f"{2 * of_maps / 1e9:.2f} GB, {3 * of_maps / 1e9:.2f} where every process sums all their gradients, "
        f"globals there and back {2 * of_globals / 1e6:.0f} MB"
    )
    figures["bytes"][f"{PROCESSES} processes of {images} images, {places} places, {units} units, by the same count"] = {
        "local maps there and back": 2 * of_maps,
        "local maps, all gradients summed in every process": 3 * of_maps,
        "globals there and back": 2 * of_globals,
    }
    dist.destroy_process_group()
    write(arguments.json, "across", figures)


if __name__ == "__main__":
    main()
