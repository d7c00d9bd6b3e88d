"""`deepinfomax doctor`: what this installation has and what is missing, also for reports of errors."""

import os
import platform
import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from deepinfomax import __version__
from deepinfomax.data.cache import cache_folder
from deepinfomax.data.names import PUBLISHED
from deepinfomax.devices import choose_device, hardware
from deepinfomax.errors import UserError
from deepinfomax.memory import free


def doctor() -> dict[str, Any]:
    """Versions, device, threads, folders and optional packages. Nothing is changed and nothing is downloaded.

    Returns:
        `{"deepinfomax", "python", "torch", "device", "hardware", "cores", "threads", "memory_free_gb", "cache":
        {"folder", "writable", "used_gb", "free_gb"}, "data": {"root", "found"}, "extras": {name: {package: version or
        None}}, "problems": lines, "text"}`.
    """
    device = choose_device()
    result: dict[str, Any] = {
        "deepinfomax": __version__,
        "python": platform.python_version(),
        "system": platform.platform(terse=True),
        "torch": torch.__version__,
        "device": str(device),
        "hardware": hardware(device),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_free_gb": round(free() / 1e9, 1),
        "cache": cache(),
        "data": data(),
        "extras": extras(),
    }
    result["problems"] = list(problems(result))
    return result | {"text": as_text(result)}


def cache() -> dict[str, Any]:
    """The folder of decoded images, whether it can be written, its size and the free space."""
    try:
        folder = cache_folder()
    except UserError as error:
        return {"folder": None, "writable": False, "used_gb": 0.0, "free_gb": 0.0, "problem": str(error)}
    there = next((place for place in (folder, *folder.parents) if place.exists()), folder)
    used = sum(_size(Path(inside, name)) for inside, _, names in os.walk(folder) for name in names)
    return {
        "folder": str(folder),
        "writable": there.is_dir() and os.access(there, os.W_OK | os.X_OK),
        "used_gb": round(used / 1e9, 2),
        "free_gb": round(shutil.disk_usage(there).free / 1e9, 1),
    }


def _size(file: Path) -> int:
    """Size in bytes; 0 if another process has removed the file in the meantime."""
    try:
        return file.stat().st_size
    except OSError:
        return 0


def data() -> dict[str, Any]:
    """The folder of local data sets, and the named data sets that it has."""
    root = os.environ.get("DEEPINFOMAX_DATA")
    if not root:
        return {"root": None, "there": False, "found": []}
    found = [name for name in PUBLISHED if (Path(root) / name).exists()]
    return {"root": root, "there": Path(root).is_dir(), "found": found}


def extras() -> dict[str, dict[str, str | None]]:
    """Optional group of packages -> package -> installed version, or None."""
    groups: dict[str, dict[str, str | None]] = {}
    for requirement in metadata.requires("deepinfomax") or []:
        wanted, _, marker = requirement.partition(";")
        if "extra ==" not in marker:
            continue
        group = marker.split("extra ==")[1].strip().strip("'\"")
        name = wanted.split("[")[0].split(">")[0].split("=")[0].split("<")[0].strip()
        if name != "deepinfomax":
            groups.setdefault(group, {})[name] = version(name)
    return groups


def version(package: str) -> str | None:
    """The version of an installed package; None: it is not here."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def problems(result: dict[str, Any]) -> Iterator[str]:
    """Problems that would stop or slow a run, each with what to do about it."""
    if "problem" in result["cache"]:
        yield result["cache"]["problem"]
    elif not result["cache"]["writable"]:
        yield f"{result['cache']['folder']} cannot be written to: set DEEPINFOMAX_CACHE to a folder that can"
    elif result["cache"]["free_gb"] < 1:
        yield f"{result['cache']['folder']} has less than 1 GB left: set DEEPINFOMAX_CACHE to a larger disk"
    if result["data"]["root"] and not result["data"]["there"]:
        yield f"DEEPINFOMAX_DATA is {result['data']['root']}, which is no folder: set it to the folder of the data sets"
    if result["threads"] == 1 and (result["cores"] or 1) > 1:
        yield f"torch uses 1 thread of {result['cores']} cores: unset OMP_NUM_THREADS, unless you meant it"
    if result["memory_free_gb"] < 1:
        yield f"{result['memory_free_gb']} GB of memory are free: a training at the scale cpu takes about 1"


def as_text(result: dict[str, Any]) -> str:
    """For a terminal."""
    cache, data = result["cache"], result["data"]
    found = f": {', '.join(data['found']) or 'no data set with a name'}" if data["there"] else ""
    lines = [
        ("deepinfomax", f"{result['deepinfomax']}, Python {result['python']}, {result['system']}"),
        ("torch", result["torch"]),
        ("device", f"{result['device']}: {result['hardware']}"),
        ("threads", f"{result['threads']} of {result['cores']} cores"),
        ("memory", f"{result['memory_free_gb']} GB free"),
        ("cache", f"{cache['folder']}, {cache['used_gb']} GB used, {cache['free_gb']} GB free"),
        ("data", f"{data['root']}{found}" if data["root"] else "DEEPINFOMAX_DATA is not set"),
    ]
    for group, packages in result["extras"].items():
        missing = [name for name, have in packages.items() if have is None]
        state = "there" if not missing else f"without {', '.join(missing)}: pip install 'deepinfomax[{group}]'"
        lines.append((f"[{group}]", state))
    text = "\n".join(f"{name:13s}{value}" for name, value in lines)
    told = [f"\n  {problem}" for problem in result["problems"]]
    return text + ("\n" + "".join(told) if told else "\n\nNothing stands in the way.")
