"""A trained encoder on disk: `encoder.safetensors` (weights) and `encoder.json` (everything else). No pickle."""

import copy
import hashlib
import json
import math
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import nn

from deepinfomax import files
from deepinfomax.devices import whole_precision
from deepinfomax.encoders import ARCHITECTURES, build, bundled, hub
from deepinfomax.encoders.modes import in_eval_mode
from deepinfomax.encoders.standardised import Standardised, unwrapped
from deepinfomax.encoders.wrapping import Wrapped
from deepinfomax.errors import UserError
from deepinfomax.files import DESCRIPTION, WEIGHTS
from deepinfomax.scales import Section


def _numbers(value: Any, *kinds: type) -> bool:
    return isinstance(value, list) and all(type(number) in kinds for number in value)


#: key of encoder.json -> a check of its value
KINDS: dict[str, Callable[[Any], bool]] = {
    "architecture": lambda value: isinstance(value, str),
    "arguments": lambda value: isinstance(value, dict),
    "image_shape": lambda value: _numbers(value, int) and len(value) > 1 and min(value) > 0,
    "fingerprint": lambda value: (
        isinstance(value, dict) and isinstance(value.get("sha256"), str) and _numbers(value.get("y"), int, float)
    ),
}


def save(
    encoder: nn.Module,
    folder: str | Path,
    *,
    name: str,
    image_shape: tuple[int, ...],
    half: bool = False,
    **arguments: Any,
) -> None:
    """Write both files, each atomically.

    Args:
        name: of the architecture, or a name from `described_as`.
        image_shape: (C, *S) of the images it takes.
        half: save matrices and kernels in float16, which halves the file and keeps 11 bits of each number. Vectors stay
            float32: they are few, and a variance of BatchNorm may be too small for float16. `load` returns float32.
        arguments: settings of the architecture's class.

    Raises:
        UserError: an encoder whose y is not finite, since `load` would refuse it.
    """
    folder = Path(folder)
    # Copies: safetensors refuses tensors that share memory, as tied weights do.
    tensors = {
        k: v.detach().cpu().clone(memory_format=torch.contiguous_format) for k, v in encoder.state_dict().items()
    }
    if half:
        tensors = {k: v.half() if v.ndim > 1 and v.is_floating_point() else v for k, v in tensors.items()}
    probe = _probe(encoder, image_shape)
    if not all(math.isfinite(v) for v in probe):
        raise UserError(f"the encoder gives a test image a y that is not finite ({probe[:3]}...): it is not saved")
    standardised = {"standardised": encoder.channels.as_tree()} if isinstance(encoder, Standardised) else {}
    description = {
        "schema": 1,
        "architecture": name,
        "arguments": arguments,
        "image_shape": list(image_shape),
        # How an image is prepared for the encoder: a byte v becomes v · scale + shift.
        "preprocess": {"scale": 2 / 255, "shift": -1.0, "size": list(image_shape[1:]), "channels": image_shape[0]},
        # Other numbers are standardised by the encoder itself; the weights hold the exact means and deviations.
        **standardised,
        "fingerprint": {"sha256": _hash(tensors), "y": probe},
    }
    with files.replacing(folder / WEIGHTS) as partial:
        partial.write_bytes(to_bytes(tensors))  # their save_file makes files that only the owner can read
    files.write_text(folder / DESCRIPTION, json.dumps(description, indent=1))


def described_as(encoder: nn.Module, section: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The name and the settings to save an encoder with.

    Args:
        section: [encoder] of a configuration: name and settings.

    Returns:
        Those of `section` if the encoder is of that architecture; "wrapped" and the layers if `wrap` made it;
        "package.module:Class" for any other network, which only its own code can rebuild.
    """
    name, encoder = section["name"], unwrapped(encoder)
    if isinstance(encoder, ARCHITECTURES[name]):
        return name, {key: value for key, value in section.items() if key != "name"}
    if isinstance(encoder, Wrapped):
        return "wrapped", {}
    return f"{type(encoder).__module__}:{type(encoder).__qualname__}", {}


@dataclass(frozen=True)
class EncoderDescription:
    """The contents of encoder.json, after the checks of `KINDS`."""

    architecture: str  #: a name in `ARCHITECTURES`, "wrapped", or "package.module:Class"
    arguments: Section  #: of the architecture
    image_shape: tuple[int, ...]  #: (C, *S)
    preprocess: Mapping[str, Any]  #: how a picture of bytes is prepared; empty in a file written by hand
    standardised: bool  #: whether the encoder takes numbers of any scale, and standardises them itself
    sha256: str  #: of all weights
    y: tuple[float, ...]  #: its first units, for one fixed image


def describe(folder: str | Path) -> EncoderDescription:
    """Read encoder.json of a folder. Raises UserError if it is missing, damaged, or not a regular file."""
    files.check_plain(Path(folder))
    if Path(folder).is_file():
        raise UserError(f"{folder} is a file and no run folder; embeddings are for deepinfomax evaluate and explore")
    path = hub.inside(Path(folder), DESCRIPTION)
    if not path.is_file():
        if not Path(folder).exists():
            known = ", ".join(bundled.names())
            raise UserError(f"{folder} does not exist: load takes a run folder, OWNER/NAME of the hub, or {known}")
        raise UserError(
            f"no {DESCRIPTION} in {folder}: its training has not ended; wait for it, or continue it: "
            f"deepinfomax train --out {shlex.quote(str(folder))} --resume"
            if (Path(folder) / files.CONFIG).is_file()
            else f"no {DESCRIPTION} in {folder}: not a run folder"
        )
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # no JSON, or no UTF-8
        raise UserError(f"{path} is damaged ({error}); train again or restore it") from None
    if not files.as_written(path):
        raise UserError(f"{path}: {files.OTHERWISE}; train again or restore it")
    fields = description if isinstance(description, dict) else {}
    missing = [key for key in KINDS if key not in fields]
    if missing:
        raise UserError(f"{path} is damaged (it has no {missing[0]!r}); train again or restore it")
    wrong = [key for key, is_sound in KINDS.items() if not is_sound(fields[key])]
    if wrong:
        raise UserError(f"{path} is damaged ({wrong[0]!r} has a value of the wrong type); train again or restore it")
    return EncoderDescription(
        fields["architecture"],
        fields["arguments"],
        tuple(fields["image_shape"]),
        fields.get("preprocess", {}),
        "standardised" in fields,
        fields["fingerprint"]["sha256"],
        tuple(fields["fingerprint"]["y"]),
    )


def load(folder: str | Path, module: nn.Module | None = None, *, revision: str | None = None) -> nn.Module:
    """Load a trained encoder from a run folder, from the Hugging Face hub, or one that comes with the package.

    Returns a plain `nn.Module` in eval mode on the CPU: images (N, C, *S) in [-1, 1] -> `Features`. If the run was not
    on pictures of bytes, the encoder takes the numbers of the data themselves, and standardises each channel as
    training did.

    Args:
        folder: a run folder, a folder made by `deepinfomax export`, OWNER/NAME on the Hugging Face hub, or
            "natural-32", an encoder of natural images of 32×32 that comes with the package.
        module: needed if the run trained a network of your own, or one made by `wrap`: a new instance of that network,
            into which the weights are loaded. All other encoders are rebuilt from encoder.json. Code that a file names
            is never run.
        revision: on the hub: a branch, a tag or a commit; None: the newest.

    Raises:
        UserError: no such folder or repository; missing or damaged files; weights that do not fit the architecture
            exactly; an encoder that embeds a test image otherwise than when it was saved; a `revision` for an encoder
            that is not on the hub.
    """
    if hub.is_repository(folder):
        folder = hub.fetch(str(folder), revision)
    elif revision is not None:
        raise UserError(f"{folder} is not read from the hub, and has no revision {revision!r}: leave that out")
    if bundled.is_bundled(folder):
        folder = bundled.FOLDER / folder
    description = describe(folder)
    weights = hub.inside(Path(folder), WEIGHTS)
    tensors = _tensors(weights)
    if module is not None:
        encoder = module
    elif description.architecture == "wrapped":
        raise UserError(
            f"{folder} holds a wrapped module: pass load(..., module=wrap(your_network, ...)); in Python, since no "
            "command can build it, deepinfomax.embed and deepinfomax.evaluation.evaluate take what comes"
        )
    elif ":" in description.architecture:
        package, network = description.architecture.split(":", 1)
        raise UserError(f"{folder} holds a network of your own: pass load(..., module={network}(...)), from {package}")
    else:
        encoder = _rebuilt(description, Path(folder) / DESCRIPTION)
    if description.standardised:
        encoder = Standardised(encoder, description.image_shape[0])
    try:
        encoder.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        detail = " ".join(str(error).split())
        raise UserError(f"{weights} does not fit {description.architecture}: {detail[:200]}") from None
    if description.sha256 != _hash(tensors):
        raise UserError(f"{weights} is not the file that {DESCRIPTION} describes; copy both from the same run")
    probe = _probe(encoder, description.image_shape)
    y, y_then = (torch.tensor(units, dtype=torch.float64) for units in (probe, description.y))
    if y.shape != y_then.shape or not torch.allclose(y, y_then, rtol=1e-2, atol=1e-3):
        raise UserError(f"the encoder of {folder} embeds a test image otherwise than when it was saved: {probe[:3]}...")
    return encoder.eval()


def check(folder: str | Path) -> None:
    """Check that the files of an encoder are complete and undamaged.

    An encoder that can be rebuilt is loaded. Of a network that only its own code can rebuild, the weights are checked.

    Raises:
        UserError: in the cases of `load`.
    """
    description = describe(folder)
    if description.architecture in ARCHITECTURES:
        load(folder)
    elif description.sha256 != _hash(_tensors(hub.inside(Path(folder), WEIGHTS))):
        raise UserError(
            f"{folder}: {WEIGHTS} is not the file that {DESCRIPTION} describes; copy both from the same run"
        )


def rebuilds(encoder: nn.Module, *, name: str, image_shape: tuple[int, ...], **arguments: Any) -> bool:
    """Whether `load` would give this encoder again, were it saved under that name with these arguments."""
    with torch.random.fork_rng(devices=[]):  # so that initialising the twin leaves the caller's random state alone
        twin = build(name, image_shape, **arguments)
    twin.to(next((p.device for p in encoder.parameters()), torch.device("cpu")))
    try:
        twin.load_state_dict(encoder.state_dict(), strict=True)
    except RuntimeError:
        return False
    own, rebuilt = (torch.tensor(_probe(module, image_shape)) for module in (encoder, twin))
    # A looser tolerance would accept any twin, since y is near 0 before training. NaN equals NaN: an encoder that a
    # diverged run ruined is still of this architecture.
    return torch.allclose(own, rebuilt, rtol=1e-3, atol=2e-6, equal_nan=True)


def weights_digest(encoder: nn.Module) -> str:
    """SHA-256 of all weights and buffers of an encoder, as in its encoder.json."""
    return _hash({name: value.detach().cpu() for name, value in encoder.state_dict().items()})


def _rebuilt(description: EncoderDescription, path: Path) -> nn.Module:
    try:
        return build(description.architecture, description.image_shape, **description.arguments)
    except (TypeError, ValueError, RuntimeError, ArithmeticError, LookupError, AttributeError) as error:
        detail = " ".join(str(error).split())[:160]
        raise UserError(f"{path} is damaged (its 'arguments' build no encoder: {detail})") from None


def _tensors(weights: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(weights)
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot read {weights}: {error}") from None


def _hash(tensors: dict[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _probe(encoder: nn.Module, image_shape: tuple[int, ...]) -> list[float]:
    """The first units of y for one fixed image, in eval mode, independent of autocast and torch's default type."""
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, *image_shape, generator=generator, dtype=torch.float32, device="cpu") * 2 - 1
    if isinstance(encoder, Standardised):  # an image of the data's own scale
        shape = (-1, *[1] * (len(image_shape) - 1))
        image = image * encoder.sd.cpu().view(shape) + encoder.mean.cpu().view(shape)
    where = next(encoder.parameters(), image)
    if where.dtype.itemsize < image.dtype.itemsize:  # float16: as `load` will have it
        encoder = copy.deepcopy(encoder).float()
    elif not isinstance(encoder, Standardised):  # which casts by itself, once the numbers are small
        image = image.to(where.dtype)
    with in_eval_mode(encoder), torch.no_grad(), whole_precision(where.device):
        y = encoder(image.to(where.device)).y.flatten()[:8].float().cpu()
    return [round(v, 6) for v in y.tolist()]
