"""Timing things in turn, so that a machine's drift falls on all of them; memory of one; the file of the figures."""

import argparse
import json
import multiprocessing
import os
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from deepinfomax import devices
from deepinfomax.experiments.provenance import software
from deepinfomax.experiments.provenance import write as write_result

STARTED = time.perf_counter()


def options(says: str | None, out: Path, seeds: tuple[int, ...] = (0,)) -> argparse.ArgumentParser:
    """Those of a benchmark of several runs: the folder of the runs, their seeds, and the file of the result."""
    parser = argparse.ArgumentParser(description=says, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(seeds))
    parser.add_argument("--out", type=Path, default=out)
    return parser


def one_thread() -> None:
    """By itself on one core, and without asking the hub."""
    torch.set_num_threads(1)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")


def once(folder: Path, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The figures of a run, kept in its folder and not measured again."""
    done = folder / "measured.json"
    if done.is_file():
        return json.loads(done.read_text(encoding="utf-8"))
    figures = measure()
    done.write_text(json.dumps(figures, ensure_ascii=False) + "\n", encoding="utf-8")
    return figures


def each_once(
    arguments: argparse.Namespace, wanted: Mapping[str, Callable[[Path], dict[str, Any]]], about: Mapping[str, Any]
) -> None:
    """Measure each run in a folder of its own, see `once`, and write the file of the result anew after each.

    Args:
        arguments: of `options`.
        wanted: name of a run -> what measures it, given its folder.
        about: what else the file says: "title", "data", ...
    """
    runs: list[dict[str, Any]] = []
    for name, measure in wanted.items():
        folder = arguments.work / name.replace(", ", "-").replace(" ", "-")
        runs.append(once(folder, lambda measure=measure, folder=folder: measure(folder)))
        print(json.dumps(runs[-1], ensure_ascii=False), flush=True)
        seeds = " ".join(map(str, arguments.seeds))
        result = {
            "schema": 1,
            **about,
            "command": f"python benchmarks/{Path(sys.argv[0]).name} --work DIR --seeds {seeds}",
            "seeds": arguments.seeds,
            "hardware": hardware(),
            "software": software(),
            "not_run": list(wanted)[len(runs) :],
            "runs": runs,
        }
        write_result(arguments.out, result)


def clock() -> float:
    """Seconds of the processor with one thread, see `in_turn`, else of the clock."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def in_turn(
    candidates: dict[str, Callable[[], object]], rounds: int, of: Callable[[list[float]], float] = statistics.median
) -> dict[str, float]:
    """Seconds of each, after one call that does not count; A B C A B C ...

    With one thread they are seconds of the processor, which other programs beside it change little; else of the clock.

    Args:
        of: what is told of a candidate's rounds: the median, or `min`, which other programs change least.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for call in candidates.values():
        call()
    for _ in range(rounds):
        for name, call in candidates.items():
            began = clock()
            call()
            seconds[name].append(clock() - began)
    return {name: of(values) for name, values in seconds.items()}


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


def write(file: str | None, benchmark: str, figures: dict[str, object]) -> None:
    """The figures with what they came from, as JSON; nowhere for None.

    The load is that of the machine at the end, this program in it: how many programs wanted a core in the last minute.
    """
    if file is None:
        return
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--json")
    told = {
        "benchmark": benchmark,
        "command": shlex.join(["python", f"benchmarks/{benchmark}.py", *parser.parse_known_args()[1]]),
        "hardware": devices.hardware(torch.device("cpu")),
        "load": round(os.getloadavg()[0], 1),
        "clock": "processor" if torch.get_num_threads() == 1 else "wall",
        "torch": torch.__version__,
        "python": platform.python_version(),
        "minutes": round((time.perf_counter() - STARTED) / 60, 1),
    }
    Path(file).write_text(json.dumps(told | figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def hardware() -> dict[str, object]:
    return {
        "processor": devices.processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
    }
