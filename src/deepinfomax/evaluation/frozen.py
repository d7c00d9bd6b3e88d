"""A check that measures do not change the encoder.

A probe that trains the backbone by mistake, or changes its BatchNorm statistics, would measure something else. So every
measure of a frozen encoder runs inside `unchanged`, which compares all weights and buffers bit by bit.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from deepinfomax.encoders.modes import in_eval_mode
from deepinfomax.errors import UserError, listed


class EncoderChanged(RuntimeError):
    """A measure has changed the encoder, which it must not do: a mistake in the measure, not of the user."""


def digests(encoder: nn.Module) -> dict[str, str]:
    """Name -> SHA-256 of each parameter and buffer, including buffers that are not in the state dict."""
    tensors = list(chain(encoder.named_parameters(), encoder.named_buffers()))
    for name, tensor in tensors:
        if is_lazy(tensor):
            raise UserError(f"the encoder has yet to make its weight {name}: run it on one image first")
    return {name: _digest(tensor) for name, tensor in tensors}


def fingerprint(encoder: nn.Module) -> str:
    """One SHA-256 for all weights and buffers, and for what PyTorch prints of the modules around them."""
    # With a tanh instead of a ReLU, or with y from another layer, it is another encoder with the same weights.
    printed = re.sub(r" at 0x[0-9a-f]+", "", repr(encoder))
    weights = "".join(f"{k}={v};" for k, v in sorted(digests(encoder).items()))
    return hashlib.sha256((weights + printed).encode()).hexdigest()


@contextmanager
def unchanged(encoder: nn.Module) -> Iterator[None]:
    """Within the block the encoder is in eval mode; afterwards its train/eval flags are as before.

    Raises:
        EncoderChanged: at the end of the block, when any weight or buffer differs in a single bit.
    """
    before = digests(encoder)
    with in_eval_mode(encoder):
        yield
    after = digests(encoder)
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if changed:
        raise EncoderChanged(f"the encoder was changed while it was measured: {listed(changed, 3)}")


@contextmanager
def on_device(encoder: nn.Module, device: torch.device | str | None) -> Iterator[torch.device]:
    """The encoder on `device` (where it is, for None) within the block, and back where it was afterwards."""
    home = next((t.device for t in chain(encoder.parameters(), encoder.buffers())), torch.device("cpu"))
    away = home if device is None else torch.device(device)
    encoder.to(away)
    try:
        yield away
    finally:
        encoder.to(home)


def _digest(tensor: torch.Tensor) -> str:
    flat = tensor.detach().cpu().contiguous().view(-1)
    return hashlib.sha256(flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b"").hexdigest()
