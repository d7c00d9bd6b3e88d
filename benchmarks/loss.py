"""Local losses, forward and backward, L = 64 places: against their three matrix products, and written naively.

    python benchmarks/loss.py [--rounds 9] [--json FILE]

"limit" is the time of the products alone: the scores and the two gradients. Ratios of medians taken in turn in one
run; memory is the peak that one step adds, in a process of its own.
"""

import argparse
from collections.abc import Callable
from functools import partial

import torch

from deepinfomax import local_infomax
from measuring import extra_mebibytes, in_turn, write
from naive import infonce as naive_infonce

PLACES = 64


def inputs(n: int, units: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    local = torch.randn(n, PLACES, units, generator=generator).div(units**0.5).requires_grad_()
    return local, torch.randn(n, 1, units, generator=generator).requires_grad_()


def products(n: int, units: int) -> Callable[[], object]:
    local, glob = (x.detach().flatten(0, 1) for x in inputs(n, units))

    def call() -> None:
        scores = glob @ local.T
        scores @ local
        scores.T @ glob

    return call


def step(n: int, units: int, bound: str) -> Callable[[], object]:
    local, glob = inputs(n, units)

    def call() -> None:
        local.grad = glob.grad = None
        loss = naive_infonce(local, glob) if bound == "naive" else -local_infomax(local, glob, bound)
        loss.backward()

    return call


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    rows = []
    for n, units, with_naive in ((128, 512, True), (256, 2048, False)):
        calls = {"limit": products(n, units)}
        calls |= {bound: step(n, units, bound) for bound in ("infonce", "jsd", "dv")}
        seconds = in_turn(calls, arguments.rounds)
        row: dict[str, object] = {"N": n, "D": units, "limit_ms": round(seconds["limit"] * 1e3, 1)}
        row |= {f"{b}_over_limit": round(seconds[b] / seconds["limit"], 2) for b in ("infonce", "jsd", "dv")}
        if with_naive:
            pair = in_turn({"infonce": calls["infonce"], "naive": step(n, units, "naive")}, 3)
            row["naive_over_infonce"] = round(pair["naive"] / pair["infonce"], 1)
            ours = extra_mebibytes(partial(step, n, units, "infonce"))
            naive = extra_mebibytes(partial(step, n, units, "naive"))
            row |= {"infonce_mib": round(ours), "naive_mib": round(naive), "memory_ratio": round(naive / ours, 1)}
        rows.append(row)
        print(row, flush=True)
    n, units = 1024, 512
    extra = extra_mebibytes(partial(step, n, units, "infonce"))
    gradients = n * (PLACES + 1) * units * 4 / 2**20
    scores = n * n * PLACES * 4 / 2**20
    row = {"N": n, "D": units, "infonce_mib": round(extra), "of_it_gradients_mib": round(gradients)}
    row |= {"all_scores_once_mib": round(scores)}
    rows.append(row)
    print(row)
    write(arguments.json, "loss", {"rows": rows})


if __name__ == "__main__":
    main()
