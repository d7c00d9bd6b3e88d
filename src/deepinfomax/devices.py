"""Where to compute, and what that machine is."""

import os
import platform
from pathlib import Path

import torch

from deepinfomax.errors import UserError


def choose_device(name: str | None = None) -> torch.device:
    """The device of that name, or the best there is: a GPU before a CPU.

    Raises UserError where there is no such device here.
    """
    if name is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
        if device.type == "meta":
            raise NotImplementedError  # knows shapes and no numbers
    except (RuntimeError, AssertionError, NotImplementedError, ImportError):
        best = choose_device()
        raise UserError(f"there is no device {name!r} here; leave --device out for the best there is, {best}") from None
    return device


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies numbers of bfloat16 by instructions of its own, so that they are fast.

    Of a CPU: AVX-512 BF16, AMX or, on ARM, BF16. Where PyTorch does not tell what a CPU can do, the answer is no.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)() if device.type == "cpu" else {}
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def hardware(device: torch.device) -> str:
    """What a figure was computed on: the GPU's name, or the processor's with its cores and the threads in use."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{_processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"


def _processor() -> str:
    """The processor's own name where the system tells it, else its kind."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
