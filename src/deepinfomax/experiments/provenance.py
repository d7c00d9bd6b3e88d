"""What every published figure says about how it was made: the command, the machine, the versions."""

import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from deepinfomax import __version__, files
from deepinfomax.errors import UserError


def command(name: str, scale: str, seeds: Sequence[int]) -> str:
    """What makes a result of these seeds, in rising order: one command, or several with && if seeds are missing."""
    parts: list[list[int]] = []
    for seed in seeds:
        if parts and seed == parts[-1][-1] + 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    begin = f"deepinfomax reproduce {name} --scale {scale}"
    return " && ".join(f"{begin} --seeds {len(part)} --seed {part[0]}" for part in parts)


def software() -> dict[str, str]:
    return {"deepinfomax": __version__, "torch": torch.__version__, "python": platform.python_version()}


def read(path: Path) -> dict[str, Any]:
    """An earlier result; empty if there is no file. Raises UserError if the file is something else."""
    if not path.is_file():
        return {}
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        result = None
    if not isinstance(result, dict) or not result.keys() & {"schema", "scale"}:
        raise UserError(f"{path} holds no result; move it away, or choose another --out")
    return result


def write(path: Path, result: Mapping[str, Any]) -> None:
    """Write a result as JSON; an earlier file is replaced atomically."""
    files.write_text(path, json.dumps(result, indent=1, ensure_ascii=False) + "\n")


def held(path: Path) -> FileLock:
    """A lock for reading a result, adding to it and writing it: other processes may add to the same file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path.with_name(f".{path.name}.lock"))
