"""What every published figure says of its making: the command, the machine, the versions."""

import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from deepinfomax import __version__


def command(name: str, scale: str, seeds: Sequence[int]) -> str:
    return f"deepinfomax reproduce {name} --scale {scale} --seeds {len(seeds)} --seed {seeds[0]}"


def software() -> dict[str, str]:
    return {"deepinfomax": __version__, "torch": torch.__version__, "python": platform.python_version()}


def write(path: Path, result: Mapping[str, Any]) -> None:
    """One JSON file, replaced atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)
