"""Checkpoints, from which a run resumes: one safetensors file, replaced atomically.

The trained encoder is another file, see `encoders.storage`. A checkpoint holds nested dictionaries and lists of tensors
and plain values: tensors are stored as tensors, everything else as JSON in the metadata.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from deepinfomax import files
from deepinfomax.errors import UserError

FILE = "state.safetensors"


def save(folder: Path, state: dict[str, Any]) -> None:
    """Write `state` to folder/state.safetensors; a kill at any moment leaves the old file or the new one."""
    tensors: dict[str, Tensor] = {}
    skeleton = json.dumps(_split(state, tensors))
    with files.replacing(folder / FILE) as partial:
        partial.write_bytes(to_bytes(tensors, metadata={"skeleton": skeleton, "digest": _digest(skeleton, tensors)}))


def remove_leftovers(folder: Path) -> None:
    """Delete unfinished files of runs that were killed while saving. No other run may be saving here."""
    for partial in folder.glob(".state.*"):
        partial.unlink(missing_ok=True)


def load(folder: Path) -> dict[str, Any] | None:
    """Read what `save` wrote, on the CPU; None if there is no checkpoint yet. Raises UserError if it is damaged."""
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as f:
            metadata = f.metadata()
            tensors = {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118 - it is no dictionary
        # Checkpoints of early versions have no digest.
        if metadata.get("digest", "") not in ("", _digest(metadata["skeleton"], tensors)):
            raise UserError(
                f"checkpoint {path} is damaged (its content is not what was written); remove the folder to start the "
                "run anew"
            )
        return _join(json.loads(metadata["skeleton"]), tensors)
    except UserError:
        raise
    except (SafetensorError, KeyError, json.JSONDecodeError, TypeError) as error:
        raise UserError(f"checkpoint {path} is damaged ({error}); remove the folder to start the run anew") from None


def plain(folder: Path, name: str) -> Any:
    """One entry of a checkpoint, without tensors in it; None if it cannot be read (`load` raises an error for that)."""
    try:
        with safe_open(folder / FILE, framework="pt") as f:
            kind, content = next(iter(json.loads(f.metadata()["skeleton"]).items()))
        return next((_join(value, {}) for key, value in content if key == name), None) if kind == "pairs" else None
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, AttributeError):
        return None


def _digest(skeleton: str, tensors: dict[str, Tensor]) -> str:
    """SHA-256 of the whole contents of a checkpoint."""
    digest = hashlib.blake2b(skeleton.encode(), digest_size=16)
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}".encode())
        digest.update(tensors[name].contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _split(tree: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(tree, Tensor):
        name = str(len(tensors))
        # A copy: safetensors refuses tensors that share memory.
        tensors[name] = tree.detach().cpu().clone(memory_format=torch.contiguous_format)
        return {"tensor": name}
    if isinstance(tree, dict):  # as pairs, since keys of an optimizer's state are integers, which JSON does not have
        return {"pairs": [[key, _split(value, tensors)] for key, value in tree.items()]}
    if isinstance(tree, list | tuple):
        return {"list": [_split(value, tensors) for value in tree]}
    return {"value": tree}


def _join(skeleton: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
    ((kind, content),) = skeleton.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "pairs":
        return {key: _join(value, tensors) for key, value in content}
    if kind == "list":
        return [_join(value, tensors) for value in content]
    return content
