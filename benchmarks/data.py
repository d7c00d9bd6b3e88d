"""Images a second of what stands before an encoder, each beside its limit and in turn with it.

Decoding into the cache by one and two worker processes, beside Pillow alone; random rows of a memory map whose pages
are not in memory, beside reading the file in order; augmentation, beside a training step; streaming tar shards by one
and two workers of a DataLoader, beside Pillow alone and a training step.

Processor seconds an image are given beside the rates: on a machine where other programs run, a rate says what share of
the processor there was, and the ratios, and the processor seconds, are what stays.

Photographs of scikit-image's wheel, cut at random places; no file of the user is read.
"""

import argparse
import io
import json
import os
import platform
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

import numpy as np
import psutil
import torch
from kornia.augmentation import ColorJitter
from PIL import Image, ImageOps
from skimage import data as photographs

from deepinfomax import encoders
from deepinfomax.data import Batches, ImageSet
from deepinfomax.data.augmentation import Augmentation
from deepinfomax.data.blocks import Task, numbered, rows_of_a_block
from deepinfomax.data.cache import allocated
from deepinfomax.data.section import Data
from deepinfomax.data.stream_batches import StreamBatches
from deepinfomax.data.streaming import stream_of
from deepinfomax.data.workers import mapped, processes
from deepinfomax.devices import hardware
from deepinfomax.objectives import Batch, Facts, LocalInfoMax
from measuring import in_turn


def jpegs(side: int, count: int) -> list[bytes]:
    """Squares of photographs as JPEG of quality 90."""
    rng = np.random.default_rng(0)
    whole = [Image.fromarray(photo()) for photo in (photographs.astronaut, photographs.coffee, photographs.chelsea)]
    found = []
    for i in range(count):
        photo = whole[i % len(whole)]
        x, y = rng.integers(0, photo.width - side), rng.integers(0, photo.height - side)
        stream = io.BytesIO()
        photo.crop((x, y, x + side, y + side)).save(stream, "JPEG", quality=90)
        found.append(stream.getvalue())
    return found


def pillow(images: list[bytes], size: int) -> None:
    """What decoding cannot do without: decoded, resized where needed, as an array."""
    for content in images:
        with Image.open(io.BytesIO(content)) as image:
            whole = image.convert("RGB")
            np.asarray(
                whole if whole.size == (size, size) else ImageOps.fit(whole, (size, size), Image.Resampling.BICUBIC)
            )


def processor_seconds() -> float:
    """Of this process and of its children, also of those that have ended."""
    here = psutil.Process()
    return sum(sum(p.cpu_times()[:4]) for p in (here, *here.children()))


def decoding(side: int, size: int, count: int, rounds: int, folder: Path) -> dict[str, float]:
    """Pillow alone, one process without a pool as small sets have it, one worker and two."""
    images = jpegs(side, count)
    file, shape = folder / f"{size}.npy", (3, size, size)
    allocated(file, (count, *shape))
    step, row = rows_of_a_block(3 * size * size), 3 * size * size
    start = file.stat().st_size - count * row

    def tasks() -> Iterator[tuple[int, Task]]:
        for first in range(0, count, step):
            part = tuple(images[first : first + step])
            yield first, Task(file, start + first * row, part, (False,) * len(part), shape, 10**8)

    used: dict[str, list[float]] = {}

    def timed(name: str, call: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            before = processor_seconds()
            call()
            used.setdefault(name, []).append(processor_seconds() - before)

        return run

    with ExitStack() as stack:
        pools = {name: stack.enter_context(processes(n)) for name, n in (("one worker", 1), ("two workers", 2))}
        calls = {"pillow": timed("pillow", lambda: pillow(images, size))}
        calls["no workers"] = timed("no workers", lambda: list(mapped(None, numbered, tasks(), 1)))
        for name, pool in pools.items():
            calls[name] = timed(name, lambda pool=pool: list(mapped(pool, numbered, tasks(), 6)))
        seconds = in_turn(calls, rounds)
    rates = {f"{name}, images/s": round(count / value) for name, value in seconds.items()}
    rates |= {f"{name}, processor ms an image": round(1e3 * min(used[name]) / count, 3) for name in used}
    return rates | {
        "one worker over pillow": round(seconds["pillow"] / seconds["one worker"], 2),
        "two workers over one": round(seconds["one worker"] / seconds["two workers"], 2),
    }


def cold_rows(count: int, rounds: int, folder: Path) -> dict[str, float]:
    """Batches of 64 random rows of 3x224x224 from a file that is not in memory, with and without reading ahead."""
    rng = np.random.default_rng(0)
    images = allocated(folder / "rows.npy", (count, 3, 224, 224))
    for first in range(0, count, 100):
        images[first : first + 100] = rng.integers(0, 256, images[first : first + 100].shape, dtype=np.uint8)
    images.flush()
    del images

    def forgotten() -> np.memmap:
        with (folder / "rows.npy").open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return np.load(folder / "rows.npy", mmap_mode="r")

    chosen = [np.sort(rng.permutation(count)[:64]) for _ in range(4)]

    def page_by_page() -> None:
        mapped = forgotten()
        for rows in chosen:
            np.array(mapped[rows])

    def ahead() -> None:
        batches = Batches(ImageSet(forgotten()), 64, resident=False)
        for rows in chosen:
            batches._read(rows)

    def from_the_beginning() -> None:
        mapped = forgotten()
        for first in range(0, 256, 64):
            np.array(mapped[first : first + 64])

    seconds = in_turn({"page by page": page_by_page, "read ahead": ahead, "in order": from_the_beginning}, rounds)
    rates = {f"{name}, images/s": round(256 / value) for name, value in seconds.items()}
    return rates | {
        "read ahead over page by page": round(seconds["page by page"] / seconds["read ahead"], 2),
        "read ahead over in order": round(seconds["in order"] / seconds["read ahead"], 2),
    }


def training_step(size: int, batch: int) -> Callable[[], object]:
    """One step of DIM(L) as the preset `cpu` has it: the paper's encoder, 256 units, 16 places."""
    torch.manual_seed(0)
    shape = (3, size, size)
    encoder = encoders.build("dcgan", shape)
    objective = LocalInfoMax(Facts.of(encoder, shape), units=256, places=16)
    optimizer = torch.optim.Adam([*encoder.parameters(), *objective.parameters()], lr=1e-4, fused=True)
    images = torch.randn(batch, *shape)
    whole = Batch(images, None, torch.arange(batch))

    def call() -> None:
        (loss,) = objective(encoder(images), whole).values()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return call


def augmentation(size: int, batch: int, rounds: int) -> dict[str, float]:
    """Flip and crop, jitter as it is here and as kornia has it, and a training step."""
    images = torch.rand(batch, 3, size, size) * 2 - 1
    flip_and_crop = Augmentation(flip=True, crop="same", padding=4)
    jitter, theirs = Augmentation(jitter=0.4), ColorJitter(0.4, 0.4, 0.4, 0.08)
    calls = {
        "flip and crop": lambda: flip_and_crop(images),
        "jitter": lambda: jitter(images),
        "jitter of kornia": lambda: theirs((images + 1) / 2),
        "step": training_step(size, batch),
    }
    seconds = in_turn(calls, rounds)
    rates = {f"{name}, images/s": round(batch / value) for name, value in seconds.items()}
    return rates | {
        "jitter over jitter of kornia": round(seconds["jitter of kornia"] / seconds["jitter"], 2),
        "flip and crop over step": round(seconds["step"] / seconds["flip and crop"], 2),
        "jitter over step": round(seconds["step"] / seconds["jitter"], 2),
    }


def streaming(size: int, count: int, rounds: int, folder: Path) -> dict[str, float]:
    """Tar shards through a DataLoader with one and two workers, from its start to the last batch."""
    images, shards = jpegs(size, count), 8
    for shard in range(shards):
        with tarfile.open(folder / f"{shard}.tar", "w") as file:
            for i in range(shard, count, shards):
                member = tarfile.TarInfo(f"{i:06}.jpg")
                member.size = len(images[i])
                file.addfile(member, io.BytesIO(images[i]))
    stream = stream_of(Data(source=str(folder), stream=True, shuffle_buffer=256), count=64)
    steps = count // 64 - 2

    def passed(workers: int) -> None:
        batches = StreamBatches(stream, 64, seed=0, device=torch.device("cpu"), buffer=256 * workers, workers=workers)
        for _ in islice(batches.after(0, steps), steps):
            pass

    calls = {"pillow": lambda: pillow(images[: steps * 64], size), "step": training_step(size, 64)}
    calls |= {"one worker": lambda: passed(1), "two workers": lambda: passed(2)}
    seconds = in_turn(calls, rounds)
    seconds["step"] *= steps
    rates = {f"{name}, images/s": round(64 * steps / value) for name, value in seconds.items()}
    return rates | {
        "one worker over pillow": round(seconds["pillow"] / seconds["one worker"], 2),
        "two workers over one": round(seconds["one worker"] / seconds["two workers"], 2),
        "two workers over step": round(seconds["step"] / seconds["two workers"], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="for files of half a gigabyte; the default is a temporary one")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    load = os.getloadavg()[0]
    folder = Path(tempfile.mkdtemp(dir=arguments.folder))
    rounds, result = arguments.rounds, {}
    try:
        for name, part in {
            "decoding 256x256 to 224x224": lambda: decoding(256, 224, 192, rounds, folder),
            "decoding 64x64": lambda: decoding(64, 64, 1536, rounds, folder),
            "cold random rows of 224x224": lambda: cold_rows(2000, rounds, folder),
            "augmentation 224x224": lambda: augmentation(224, 16, rounds),
            "augmentation 64x64": lambda: augmentation(64, 64, rounds),
            "streaming 64x64": lambda: streaming(64, 2048, rounds, folder),
        }.items():
            result[name] = part()
            print(name, json.dumps(result[name]), flush=True)
    finally:
        shutil.rmtree(folder)
    if arguments.json:
        about = {
            "benchmark": "data",
            "command": f"python benchmarks/data.py --rounds {rounds}",
            "hardware": hardware(torch.device("cpu")),
            "torch": torch.__version__,
            "python": platform.python_version(),
            "load of the machine at the start": round(load, 1),
            "note": "other programs ran beside it: rates are of a share of the processor, ratios are measured in turn",
        }
        arguments.json.write_text(json.dumps(about | {"measured": result}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
