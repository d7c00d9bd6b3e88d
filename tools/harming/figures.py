"""What a command computed, without clocks and places: two of them are equal where the figures are the same."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

CLOCKS = ("seconds", "images_per_second", "peak_memory_mb", "device", "torch", "deepinfomax", "processes")


def without_clocks(tree: Any) -> Any:
    """A tree of JSON without what differs from run to run."""
    if isinstance(tree, dict):
        return {key: without_clocks(value) for key, value in tree.items() if key not in CLOCKS}
    return [without_clocks(value) for value in tree] if isinstance(tree, list) else tree


def of_file(path: Path) -> str:
    """A digest of the bytes; "" where there is no file."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def of_arrays(path: Path) -> dict[str, str]:
    """A digest of each array of an .npz file; none where there is no file, or a damaged one."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: hashlib.sha256(arrays[name].tobytes()).hexdigest() for name in arrays.files}
    except Exception:
        return {}


def of_training(run: Path) -> dict[str, Any]:
    """The encoder, what was logged, the settings and the pictures."""
    return {
        "encoder": of_file(run / "encoder.safetensors"),
        "metrics": of_metrics(run),
        "config": (run / "config.toml").read_text(encoding="utf-8", errors="replace")
        if (run / "config.toml").is_file()
        else "",
        "gallery": of_arrays(run / "gallery.npz"),
        "sample": of_arrays(run / "embeddings_sample.npz"),
    }


def of_metrics(run: Path) -> list[Any]:
    """The lines of metrics.jsonl, the start once: a run begun anew writes it anew."""
    path = run / "metrics.jsonl"
    lines = []
    for line in path.read_bytes().splitlines() if path.is_file() else []:
        try:
            lines.append(without_clocks(json.loads(line)))
        except ValueError:
            lines.append("damaged")
    return lines


def of_evaluation(path: Path) -> Any:
    """The contents of evaluation.json; None where there is none that can be read."""
    try:
        return without_clocks(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def of_cache(cache: Path) -> list[tuple[str, str]]:
    """Digests of the pixels and labels of the finished entries; their names depend on the files' times.

    Of what NumPy reads from the files: bytes behind an array are no part of it.
    """
    entries = [entry for entry in cache.glob("*") if entry.is_dir() and not entry.name.startswith(".")]
    return sorted((_of_array(entry / "images.npy"), _of_array(entry / "labels.npy")) for entry in entries)


def _of_array(path: Path) -> str:
    if not path.is_file():
        return ""
    try:
        array = np.load(path, allow_pickle=False)
    except Exception:
        return "unreadable"
    return hashlib.sha256(f"{array.shape} {array.dtype}".encode() + array.tobytes()).hexdigest()
