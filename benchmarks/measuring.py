"""Timing things in turn, so that a machine's drift falls on all of them; and the memory of one of them."""

import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import torch


def in_turn(candidates: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each, after one call that does not count; A B C A B C ..."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for call in candidates.values():
        call()
    for _ in range(rounds):
        for name, call in candidates.items():
            began = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


def _peak_kib() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1])
    raise RuntimeError("no VmHWM: memory is measured on Linux only")


def _measure(make: Callable[[], Callable[[], object]], pipe: Connection) -> None:
    call = make()
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew from here
    before = _peak_kib()
    call()
    pipe.send((_peak_kib() - before) / 1024)


def extra_mebibytes(make: Callable[[], Callable[[], object]]) -> float:
    """Peak resident memory that one call adds, in a fresh process; `make`, picklable, prepares the inputs."""
    spawning = multiprocessing.get_context("spawn")  # a forked child would wait for threads that it does not have
    here, there = spawning.Pipe()
    child = spawning.Process(target=_measure, args=(make, there))
    child.start()
    child.join(300)
    if not here.poll():
        raise RuntimeError("the measured process did not finish")
    return here.recv()


def hardware() -> dict[str, object]:
    return {"cores": os.cpu_count(), "threads": torch.get_num_threads(), "machine": platform.machine()}
