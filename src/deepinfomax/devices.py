"""Devices: choosing one, its precision, and a description of the hardware."""

import functools
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import torch
from torch import Tensor

from deepinfomax.errors import UserError

P = ParamSpec("P")
T = TypeVar("T")


def choose_device(name: str | None = None) -> torch.device:
    """The device with this name; None: a GPU if there is one, else the CPU.

    Raises UserError if there is no such device.
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


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for bfloat16 that are faster than those for float32.

    For CPUs these are AMX, BF16 on ARM, and AMD's AVX-512 BF16. On an Intel CPU with AVX-512 BF16 and no AMX, matrix
    products took twice as long as in float32. If PyTorch does not know the CPU, the answer is no.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)() if device.type == "cpu" else {}
    if capabilities.get("avx512_bf16") and str(capabilities.get("cpu_name")).startswith("AMD"):
        return True
    return any(capabilities.get(name, False) for name in ("amx_bf16", "bf16"))


def in_float64(x: Tensor) -> Tensor:
    """x in float64, on the CPU: Apple's GPU does not have float64, and most others are many times slower with it."""
    return x.cpu().double()


@contextmanager
def full_float32(device: torch.device) -> Iterator[None]:
    """Within the block, matrix products on an NVIDIA GPU have the full 24 bits of float32, even if networks use TF32.

    TF32 has 11 bits: it would round scores in the hundreds by tenths of nats. torch.compile cannot switch precision in
    compiled code, so there all products are in full float32 (`training.compiling`).
    """
    if device.type != "cuda" or torch.compiler.is_compiling():
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextmanager
def whole_precision(device: torch.device) -> Iterator[None]:
    """Within the block nothing computes in less than float32: neither by autocast nor by TF32."""
    with torch.autocast(device.type, enabled=False), full_float32(device):
        yield


def in_whole_precision(function: Callable[Concatenate[Tensor, P], T]) -> Callable[Concatenate[Tensor, P], T]:
    """A function of a tensor and more, whose products autocast and TF32 leave alone: scores and covariances."""

    @functools.wraps(function)
    def computed(x: Tensor, *args: P.args, **kwargs: P.kwargs) -> T:
        with whole_precision(x.device):
            return function(x, *args, **kwargs)

    return computed


@contextmanager
def arithmetic(device: torch.device, *, tf32: bool, deterministic: bool) -> Iterator[None]:
    """How a device computes within the block; afterwards as before.

    Args:
        tf32: float32 products and convolutions of an NVIDIA GPU on its tensor cores, rounded to 11 bits. Nothing else
            is changed by it: no CPU, and no scores (`full_float32`).
        deterministic: the same numbers in every run of the same steps on the same machine. Slower on a GPU.

    Raises:
        UserError: an operation that the device cannot do the same way twice.
    """
    cuda, before = device.type == "cuda", torch.get_float32_matmul_precision()
    convolutions, benchmark = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark
    always = torch.are_deterministic_algorithms_enabled()
    try:
        if cuda:
            torch.set_float32_matmul_precision("high" if tf32 else "highest")
            torch.backends.cudnn.allow_tf32 = tf32
        if deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS asks for it, before its first product
            torch.backends.cudnn.benchmark = False
            torch.use_deterministic_algorithms(True)
        yield
    except RuntimeError as error:
        if deterministic and "does not have a deterministic implementation" in str(error):
            what = str(error).split(" does not have")[0]
            raise UserError(f"{what} cannot be computed the same way twice: set training.deterministic false") from None
        raise
    finally:
        if cuda:
            torch.set_float32_matmul_precision(before)
            torch.backends.cudnn.allow_tf32 = convolutions
        torch.backends.cudnn.benchmark = benchmark
        torch.use_deterministic_algorithms(always)


def hardware(device: torch.device) -> str:
    """The hardware in words: the GPU's name, or the processor's with its cores and the number of threads in use."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"


def processor() -> str:
    """The processor's name if the system knows it, else its architecture."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
