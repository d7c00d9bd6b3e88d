"""The run folder: config.toml, metrics.jsonl, checkpoint/, the encoder, and later evaluation.json and report.html."""

import json
import math
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from filelock import FileLock, Timeout
from torch import Tensor

from deepinfomax import config as configuration
from deepinfomax import files, line_sums
from deepinfomax.config import Config
from deepinfomax.errors import UserError
from deepinfomax.files import CHECKPOINT, CONFIG, METRICS
from deepinfomax.started_together import speaks
from deepinfomax.training import checkpoint

__all__ = ["CHECKPOINT", "CONFIG", "METRICS", "Metrics"]

#: fields that may differ when a run is resumed: they change its length, its output or the place of the data, but not
#: what is computed; and the learning rate, since a lower one may save a run that diverged
FREE_ON_RESUME = (
    "training.epochs",
    "training.steps",
    "training.log_every",
    "training.checkpoint_every",
    "training.lr",
    "data.source",  # the images themselves are compared by their fingerprint
    "data.root",
    "data.skip_bad",  # a stream that stopped at a bad image goes on without it
)


_LAST_LINES = 2**16  #: bytes at the end of metrics.jsonl in which its last line lies


def create(folder: Path, config: Config) -> FileLock:
    """Create the folder of a new run and lock it (`hold`). Raises UserError if it is not empty."""
    check_free(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lock = hold(folder)
    try:
        check_free(folder)  # another process may have begun since
        files.begin_journal(folder)
        write_config(folder, config)
    except BaseException:
        lock.release()
        raise
    return lock


def check_free(folder: Path) -> None:
    """Raises UserError if a new run cannot be written here, or if the folder holds more than leftovers of a kill."""
    if folder.exists() and (not folder.is_dir() or not all(map(files.is_leftover, folder.iterdir()))):
        raise UserError(f"{folder} exists; continue it with --resume, or choose another --out")
    files.check_folder(folder)


def write_config(folder: Path, config: Config) -> None:
    files.write_text(folder / CONFIG, configuration.dumps(config))


def read_config(folder: Path) -> Config:
    """The configuration of an existing run. Raises UserError if there is none."""
    return configuration.from_tree(_as_then(configuration.read_tree(_config_file(folder))))


def read_data_config(folder: Path) -> Config:
    """The sections `data` and `augmentation` of a run's configuration, and `training.first_layer`.

    Everything else has its default. So a run can be measured even if the package of its objective is not installed.
    """
    tree = _as_then(configuration.read_tree(_config_file(folder)))
    kept: dict[str, Any] = {name: tree[name] for name in ("recipe", "seed", "data", "augmentation") if name in tree}
    if "first_layer" in tree.get("training", {}):  # the control "random encoder" begins in the same way
        kept["training"] = {"first_layer": tree["training"]["first_layer"]}
    return configuration.from_tree(kept | {"objective": {"local": {}}})


def _as_then(tree: dict[str, Any]) -> dict[str, Any]:
    """Add settings that earlier versions did not have: these converted every array to bytes, and standardised none."""
    data = tree.get("data")
    if isinstance(data, dict) and "values" not in data:
        tree["data"] = {"values": "bytes", "standardise": False} | data
    return tree


def _config_file(folder: Path) -> Path:
    if not (folder / CONFIG).is_file():
        raise UserError(
            f"{folder} is no run folder: it has no {CONFIG}; `deepinfomax train DATA --out {folder}` makes one"
        )
    return folder / CONFIG


def hold(folder: Path) -> FileLock:
    """Lock the run folder, so that no other process trains there until the lock is released or this process ends.

    Raises:
        UserError: another process trains there now, or a file of the run is a pipe or a device.
    """
    files.check_plain(folder)
    lock = FileLock(folder / files.LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(f"another process is training {folder} now: wait for it, or choose another --out") from None
    return lock


def check_data_there(folder: Path, config: Config) -> None:
    """Raises UserError if the file or folder that a run was trained on no longer exists."""
    source = Path(config.data.source)
    if source.is_absolute() and not source.exists():
        raise UserError(
            f"the data of {folder} are not at {files.printable(source)} any more: say where they are, data.source PATH"
        )


def check_there(folder: Path) -> None:
    """Raises UserError if the folder of the running training was removed or moved."""
    if not (folder / CONFIG).is_file():
        raise UserError(
            f"{folder} was removed or moved while it was trained: bring it back and --resume, or train again"
        )


def check_resumable(folder: Path, config: Config, *, apart_from: str | None = None) -> None:
    """Raises UserError if the folder has a checkpoint of a run with another configuration.

    Args:
        apart_from: a section that is not compared.
    """
    before = read_config(folder)
    if not any((folder / name).exists() for name in (CHECKPOINT, files.WEIGHTS)):
        return
    fixed = [path for path in fixed_differences(before, config) if path.split(".")[0] != apart_from]
    if "recipe" in fixed:
        was, is_now = (of.recipe or "none" for of in (before, config))
        raise UserError(
            f"cannot resume {folder}: its recipe is {was}, not {is_now}; leave out --recipe, --config and --scale to "
            "go on with its own settings, or choose another --out"
        )
    if fixed:
        differ = "differs" if len(fixed) == 1 else "differ"
        raise UserError(f"cannot resume {folder}: {', '.join(fixed)} {differ} from its {CONFIG}; choose another --out")


def fixed_differences(before: Config, now: Config) -> list[str]:
    """Paths of the settings that differ although they must not when a run is resumed."""
    differing = configuration.difference(before, now)
    return [path for path in differing if path not in FREE_ON_RESUME and not path.startswith("training.trackers")]


def tell_changed(folder: Path) -> None:
    """Print a note if config.toml of a run was changed after the run wrote it."""
    if speaks() and (folder / CONFIG).is_file() and not files.as_written(folder / CONFIG):
        print(f"note: {folder / CONFIG} is used, but {files.OTHERWISE}", file=sys.stderr)


def tell_older_encoder(folder: Path) -> None:
    """Print a note if a run was resumed after its encoder was written and has not ended: figures are of the old one."""
    weights, saved, metrics = folder / files.WEIGHTS, folder / CHECKPOINT / checkpoint.FILE, folder / METRICS
    if not speaks() or not all(file.is_file() for file in (weights, saved, metrics)):
        return
    with metrics.open("rb") as lines:
        lines.seek(max(0, metrics.stat().st_size - _LAST_LINES))
        ended = lines.read().splitlines()[-1:] or [b""]
    if not ended[0].startswith(b'{"event": "end"') and saved.stat().st_mtime > weights.stat().st_mtime:
        step = checkpoint.plain(folder / CHECKPOINT, "step")
        print(
            f"note: the encoder of {folder} is that of an earlier end of its training, which was resumed and is at "
            f"step {step} now: deepinfomax train --resume --out {shlex.quote(str(folder))} brings it to its end",
            file=sys.stderr,
        )


class Metrics:
    """Writes metrics.jsonl, one JSON object per line, flushed at once.

    A digest of each line is written to `files.LINE_SUMS`, before the line itself.

    Args:
        folder: the run folder.
        resume_from: a step; lines of later steps are dropped.
    """

    def __init__(self, folder: Path, *, resume_from: int = 0) -> None:
        self.damaged = 0  #: lines of a resumed run that changed after they were written
        self.missing = 0  #: lines of a resumed run that were written and are gone
        path, sums = folder / METRICS, folder / files.LINE_SUMS
        if resume_from == 0:
            path.unlink(missing_ok=True)
            sums.unlink(missing_ok=True)
        else:
            path.touch()
            known = line_sums.read(folder)
            with files.replacing(path) as partial, partial.open("wb") as kept:
                kept.writelines(self._kept(path, known, resume_from))
            with files.replacing(sums) as partial, partial.open("wb") as kept, path.open("rb") as lines:
                kept.writelines(line_sums.digest(line) for line, written in line_sums.checked(lines, known) if written)
        self._path, self._file, self._sums = path, path.open("ab"), sums.open("ab")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._sums.close()

    def _kept(self, path: Path, known: np.ndarray | None, step: int) -> Iterator[bytes]:
        """The lines to keep when the run is resumed after `step`: those that are undamaged and not later than it.

        Damaged and missing lines are counted, except the last line, which was being written when the run was killed.
        """
        found = 0
        with path.open("rb") as lines:
            for line, written in line_sums.checked(lines, known):
                found += written
                self.damaged += not written and line.endswith(b"\n")
                try:
                    entry = json.loads(line)
                except (ValueError, RecursionError):
                    self.damaged += written and line.endswith(b"\n")
                    continue
                of = entry.get("step", 0) if isinstance(entry, dict) else None
                if not isinstance(of, int):
                    self.damaged += written
                elif of <= step and entry.get("event") != "end":
                    yield line.rstrip(b"\n") + b"\n"
        if known is not None and len(known) - found > 1:  # a digest without a line is that of a line not yet written
            self.missing = max(0, len(known) - found - self.damaged)

    def write(self, event: str, values: dict[str, Any]) -> None:
        line = json.dumps({"event": event, **jsonable(values)}, allow_nan=False).encode()
        try:
            self._sums.write(line_sums.digest(line))
            self._sums.flush()
            self._file.write(line + b"\n")
            self._file.flush()
        except OSError as error:
            if error.errno is not None:
                error.filename = str(self._path)
            raise


def _read(tensors: list[Tensor]) -> list[float]:
    """Scalar tensors on any device as numbers, waiting for each device only once."""
    away = [tensor.detach().float() for tensor in tensors if tensor.device.type != "cpu"]
    numbers = iter(torch.stack(away).tolist() if away else [])
    return [tensor.item() if tensor.device.type == "cpu" else next(numbers) for tensor in tensors]


def jsonable(values: dict[str, Any]) -> dict[str, Any]:
    """Tensors become numbers; infinities and NaN become None, since JSON does not have them."""
    tensors = {name: value for name, value in values.items() if isinstance(value, Tensor)}
    read = dict(zip(tensors, _read(list(tensors.values())), strict=True))
    numbers = {}
    for name, value in values.items():
        number = read.get(name, value)
        if isinstance(number, float):
            number = None if not math.isfinite(number) else float(f"{number:.6g}")
        numbers[name] = number
    return numbers
