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
    "data.skip_bad",  # a stream that stopped at a bad image goes on without it
)


_LAST_LINES = 2**16  #: bytes at the end of metrics.jsonl in which its last line lies


def create(folder: Path, config: Config) -> FileLock:
    """Make the folder of a new run and `hold` it. Raises UserError if there is something in it already."""
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
    """Raises UserError if a new run cannot be written, or where more lies than a killed start leaves."""
    if folder.exists() and (not folder.is_dir() or not all(map(files.is_leftover, folder.iterdir()))):
        raise UserError(f"{folder} exists; continue it with --resume, or choose another --out")
    files.check_folder(folder)


def write_config(folder: Path, config: Config) -> None:
    files.write_text(folder / CONFIG, configuration.dumps(config))


def read_config(folder: Path) -> Config:
    """The configuration of an existing run. Raises UserError if there is none."""
    return configuration.from_tree(_as_then(configuration.read_tree(_config_file(folder))))


def read_data_config(folder: Path) -> Config:
    """What a run was trained on, as its sections `data` and `augmentation` say, and how its first layer began.

    All else is left at its defaults.

    So a run can be measured where the package of its own objective is not installed.
    """
    tree = _as_then(configuration.read_tree(_config_file(folder)))
    kept: dict[str, Any] = {name: tree[name] for name in ("recipe", "seed", "data", "augmentation") if name in tree}
    if "first_layer" in tree.get("training", {}):  # a random encoder to compare with begins in the same way
        kept["training"] = {"first_layer": tree["training"]["first_layer"]}
    return configuration.from_tree(kept | {"objective": {"local": {}}})


def _as_then(tree: dict[str, Any]) -> dict[str, Any]:
    """The settings of a run as they were meant: earlier versions made bytes of every array, and standardised none."""
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
    """A lock on the run folder, taken: no other process trains there until it is released, or this process is gone.

    Raises:
        UserError: another process trains there now, or there is a pipe where a file should be.
    """
    files.check_plain(folder)
    lock = FileLock(folder / files.LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(f"another process is training {folder} now: wait for it, or choose another --out") from None
    return lock


def check_data_there(folder: Path, config: Config) -> None:
    """Raises UserError if what a run was trained on was a file or a folder, and is not there any more."""
    source = Path(config.data.source)
    if source.is_absolute() and not source.exists():
        raise UserError(
            f"the data of {folder} are not at {files.printable(source)} any more: say where they are, data.source PATH"
        )


def check_there(folder: Path) -> None:
    """Raises UserError if the folder of a run that trains was removed, or moved."""
    if not (folder / CONFIG).is_file():
        raise UserError(
            f"{folder} was removed or moved while it was trained: bring it back and --resume, or train again"
        )


def check_resumable(folder: Path, config: Config) -> None:
    """Raises UserError if a run of another configuration lies in the folder, one that has saved something."""
    before = read_config(folder)
    if not any((folder / name).exists() for name in (CHECKPOINT, files.WEIGHTS)):
        return
    if fixed := fixed_differences(before, config):
        raise UserError(f"cannot resume {folder}: {', '.join(fixed)} differ from its {CONFIG}; choose another --out")


def fixed_differences(before: Config, now: Config) -> list[str]:
    """Paths of the settings in which a run may not differ from its continuation, and does."""
    differing = configuration.difference(before, now)
    return [path for path in differing if path not in FREE_ON_RESUME and not path.startswith("training.trackers")]


def tell_changed(folder: Path) -> None:
    """Print a note where the configuration of a run is not the one that was written there."""
    if speaks() and (folder / CONFIG).is_file() and not files.as_written(folder / CONFIG):
        print(f"note: {folder / CONFIG} is used, but {files.OTHERWISE}", file=sys.stderr)


def tell_older_encoder(folder: Path) -> None:
    """Print a note where a run went on after its encoder was written, and has not ended: figures are of the old one."""
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
    """metrics.jsonl, one JSON object a line, flushed at once; lines after step `resume_from` are dropped.

    The digest of each line goes to `files.LINE_SUMS`, before the line itself.
    """

    def __init__(self, folder: Path, *, resume_from: int = 0) -> None:
        self.damaged = 0  #: lines that are not what was written, of a run that is resumed
        self.missing = 0  #: lines that were written and are gone
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
        """The lines that a run resumed after `step` keeps: all that can be read and belong to it.

        Others are counted, but for the last one, which was being written when the run was killed.
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
    """Scalars of any devices as numbers; a device is waited for once, not once for each."""
    away = [tensor.detach().float() for tensor in tensors if tensor.device.type != "cpu"]
    numbers = iter(torch.stack(away).tolist() if away else [])
    return [tensor.item() if tensor.device.type == "cpu" else next(numbers) for tensor in tensors]


def jsonable(values: dict[str, Any]) -> dict[str, Any]:
    """Tensors as numbers; infinite and undefined numbers as null, since JSON has none."""
    tensors = {name: value for name, value in values.items() if isinstance(value, Tensor)}
    read = dict(zip(tensors, _read(list(tensors.values())), strict=True))
    numbers = {}
    for name, value in values.items():
        number = read.get(name, value)
        if isinstance(number, float):
            number = None if not math.isfinite(number) else float(f"{number:.6g}")
        numbers[name] = number
    return numbers
