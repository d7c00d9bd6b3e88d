"""How long commands take to start: the least of several, in seconds of the clock and of the processor.

    python benchmarks/start.py [--rounds 5] [--images 1000] [--json FILE]

Each is a process of its own, in turn. Files are in the system's memory after the first round, which does not count.
The clock counts what other programs take of the cores too; on idle cores both agree, but for reading files.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from measuring import write

COMMAND = [sys.executable, "-m", "deepinfomax.cli"]


def images(folder: Path, count: int) -> None:
    rng = np.random.default_rng(0)
    for label in ("a", "b"):
        (folder / label).mkdir(parents=True)
        for i in range(count // 2):
            Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(folder / label / f"{i}.png")


def one(words: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Seconds of the clock and of the processor that a command takes."""
    began = time.perf_counter()
    silent = [(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_WRONLY, 0) for stream in (1, 2)]
    process = os.posix_spawn(words[0], words, environment, file_actions=silent)
    _, status, used = os.wait4(process, 0)
    assert os.waitstatus_to_exitcode(status) in (0, 2), words
    return time.perf_counter() - began, used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        images(Path(work, "images"), arguments.images)
        calls = {
            "deepinfomax --help": [*COMMAND, "--help"],
            "import deepinfomax": [sys.executable, "-c", "import deepinfomax"],
            f"deepinfomax data, {arguments.images:,} images in the cache": [*COMMAND, "data", f"{work}/images"],
            "deepinfomax train, a name that is not there": [*COMMAND, "train", "nowhere"],
            "python alone": [sys.executable, "-c", "pass"],
        }
        environment = {**os.environ, "DEEPINFOMAX_CACHE": f"{work}/cache"}
        seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
        for number in range(arguments.rounds + 1):
            for name, words in calls.items():
                taken = one(words, environment)
                if number:
                    seconds[name].append(taken)
    least = {
        name: {"clock": round(min(clock for clock, _ in of), 2), "processor": round(min(used for _, used in of), 2)}
        for name, of in seconds.items()
    }
    for name, both in least.items():
        print(f"{name}: {both['clock']} s, {both['processor']} s of the processor")
    write(arguments.json, "start", {"least seconds": least})


if __name__ == "__main__":
    main()
