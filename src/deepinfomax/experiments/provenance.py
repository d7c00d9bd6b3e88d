"""What every published figure says of its making: the command, the machine, the versions."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from deepinfomax import __version__
from deepinfomax.devices import choose_device


def command(name: str, scale: str, seeds: Sequence[int]) -> str:
    return f"deepinfomax reproduce {name} --scale {scale} --seeds {len(seeds)} --seed {seeds[0]}"


def hardware(device: str | None) -> dict[str, Any]:
    on = choose_device(device)
    named = torch.cuda.get_device_name(on) if on.type == "cuda" else _processor()
    return {"device": str(on), "name": named, "cores": os.cpu_count(), "threads": torch.get_num_threads()}


def software() -> dict[str, str]:
    return {"deepinfomax": __version__, "torch": torch.__version__, "python": platform.python_version()}


def write(path: Path, result: Mapping[str, Any]) -> None:
    """One JSON file, replaced atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)


def _processor() -> str:
    """The processor's own name where the system tells it, else its kind."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
