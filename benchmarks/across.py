"""What processes send each other in a step for the negatives of all of them: counted, as gathered and as merged.

Counted from the collectives that a step of `local_infomax` really asks for, in one process that takes seven others for
granted (torch's fake group): a ring of W processes sends (W - 1) / W of the whole in a gather, and as much in a sum of
which each keeps its part.
"""

import sys
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch.testing._internal.distributed.fake_pg import FakeStore

from deepinfomax.information import across, pairs

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
    dist.init_process_group("fake", rank=0, world_size=PROCESSES, store=FakeStore())
    images, places, units = (4, 16, 64) if "--smoke" in sys.argv else (32, 64, 256)
    print(f"{PROCESSES} processes of {images} images, {places} places, {units} units")
    for bound, pairing in (("infonce", "global"), ("jsd", "global"), ("infonce", "local")):
        before = of_step(images, places, units, bound, pairing, gathered=True)
        now = of_step(images, places, units, bound, pairing, gathered=False)
        told = f"{before / 1e6:.2f} MB gathered, {now / 1e6:.2f} MB now, {before / now:.1f} times less"
        print(f"{bound}, anchor {pairing}: {told}")
    images, places, units = 256, 64, 2048
    of_maps, of_globals = (4 * PROCESSES * images * each * units * 7 // 8 for each in (places, 1))
    print(
        f"by the same count, {images} images a process, {places} places, {units} units: locals there and back "
        f"{2 * of_maps / 1e9:.2f} GB, {3 * of_maps / 1e9:.2f} where every process sums all their gradients, "
        f"globals there and back {2 * of_globals / 1e6:.0f} MB"
    )
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
