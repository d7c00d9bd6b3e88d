"""The run folder: config.toml, metrics.jsonl, checkpoint/, the encoder, and later evaluation.json and report.html."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout
from torch import Tensor

from deepinfomax import config as configuration
from deepinfomax import files
from deepinfomax.config import Config
from deepinfomax.errors import UserError
from deepinfomax.files import CHECKPOINT, CONFIG, METRICS

__all__ = ["CHECKPOINT", "CONFIG", "METRICS", "Metrics"]

#: fields that may differ between a run and its continuation: they say how long, how loudly and from where, not what is
#: computed; and the learning rate, since a run that diverged is mended by a lower one
FREE_ON_RESUME = (
    "training.epochs",
    "training.steps",
    "training.log_every",
    "training.checkpoint_every",
    "training.lr",
    "data.source",  # what the images are is compared by their fingerprint
    "data.root",
)


def create(folder: Path, config: Config) -> None:
    """Make the folder of a new run. Raises UserError where there is something in it already."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} exists; continue it with --resume, or choose another --out")
    folder.mkdir(parents=True, exist_ok=True)
    write_config(folder, config)


def write_config(folder: Path, config: Config) -> None:
    files.write_text(folder / CONFIG, configuration.dumps(config))


def read_config(folder: Path) -> Config:
    """The configuration of an existing run. Raises UserError where there is none."""
    return configuration.load(_config_file(folder))


def read_data_config(folder: Path) -> Config:
    """What a run was trained on, as its sections `data` and `augmentation` say; all else is left at its defaults.

    So a run can be measured where the package of its own objective is not installed.
    """
    tree = configuration.read_tree(_config_file(folder))
    kept = {name: tree[name] for name in ("recipe", "seed", "data", "augmentation") if name in tree}
    return configuration.from_tree(kept | {"objective": {"local": {}}})


def _config_file(folder: Path) -> Path:
    if not (folder / CONFIG).is_file():
        raise UserError(
            f"{folder} is no run folder: it has no {CONFIG}; `deepinfomax train DATA --out {folder}` makes one"
        )
    return folder / CONFIG


def hold(folder: Path) -> FileLock:
    """A lock on the run folder, taken: no other process trains there until it is released, or this process is gone.

    Raises:
        UserError: another process trains there now.
    """
    lock = FileLock(folder / files.LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(f"another process is training {folder} now: wait for it, or choose another --out") from None
    return lock


def check_resumable(folder: Path, config: Config) -> None:
    """Raises UserError where a run with another configuration lies in the folder."""
    differing = configuration.difference(read_config(folder), config)
    fixed = [path for path in differing if path not in FREE_ON_RESUME and not path.startswith("training.trackers")]
    if fixed:
        raise UserError(f"cannot resume {folder}: {', '.join(fixed)} differ from its {CONFIG}; choose another --out")


class Metrics:
    """metrics.jsonl, one JSON object a line, flushed at once; lines after step `resume_from` are dropped."""

    def __init__(self, folder: Path, *, resume_from: int = 0) -> None:
        path = folder / METRICS
        if resume_from == 0:
            path.unlink(missing_ok=True)
        elif path.is_file():
            with files.replacing(path) as partial, partial.open("w", encoding="utf-8") as kept:
                kept.writelines(_lines_until(path, resume_from))
        self._file = path.open("a", encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, event: str, values: dict[str, Any]) -> None:
        self._file.write(json.dumps({"event": event, **jsonable(values)}, allow_nan=False) + "\n")
        self._file.flush()


def _lines_until(path: Path, step: int) -> Iterator[str]:
    """The lines of metrics.jsonl that a run resumed after `step` keeps; a damaged line is left out."""
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                entry = json.loads(line)
            except (ValueError, RecursionError):
                continue  # the line that was being written when the run was killed
            of = entry.get("step", 0) if isinstance(entry, dict) else None
            if isinstance(of, int) and of <= step and entry.get("event") != "end":
                yield line.rstrip("\n") + "\n"


def jsonable(values: dict[str, Any]) -> dict[str, Any]:
    """Tensors as numbers; infinite and undefined numbers as null, since JSON has none."""
    numbers = {}
    for name, value in values.items():
        number = value.item() if isinstance(value, Tensor) else value
        if isinstance(number, float):
            number = None if not math.isfinite(number) else float(f"{number:.6g}")
        numbers[name] = number
    return numbers
