"""A pretended device: tensors that say "pretended:0" and hold numbers in memory, so that mistakes show without a GPU.

It raises where a real device would, or would be slow without a word:

* a tensor of the device and one of the CPU meet in one operation, where torch allows no such pair;
* a generator of the CPU draws on the device, or NumPy is to read its memory;
* a number of the device is float64, which Apple's has not and a GPU computes slowly.

And it counts what makes the CPU wait for a device (`waits`) and what is copied there (`copies`), by the place in the
library that asked for it.

torch takes one backend of its own name a process, for good: import this module only in a process of its own, and before
the library.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

NAME = "pretended"
LIBRARY = Path(find_spec("deepinfomax").origin).parent  #: found without importing it; a checkout may have its name
aten = torch.ops.aten

waits: Counter[str] = Counter()  #: place -> how often the CPU waited for the device
copies: Counter[str] = Counter()  #: place -> how many copies were made from the CPU to the device

#: operations whose result has a shape that only the device knows, or is a plain number
WAITING = {
    aten._local_scalar_dense.default,
    aten.nonzero.default,
    aten.masked_select.default,
    aten.equal.default,
    aten._unique2.default,
    aten.unique_dim.default,
    aten.unique_consecutive.default,
    aten.repeat_interleave.Tensor,
    aten.bincount.default,
}
#: operations that take an index from the CPU, and copy it
INDEXING = {
    aten.index.Tensor,
    aten.index_put.default,
    aten.index_put_.default,
    aten._index_put_impl_.default,
    aten._unsafe_index.Tensor,
}


class MixedDevices(RuntimeError):
    """What torch says of tensors of two devices in one operation."""


class OnDevice(torch.Tensor):
    """A tensor of the pretended device; `held` are its numbers, on the CPU."""

    held: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> "OnDevice":
        if held.dtype in (torch.float64, torch.complex128):
            raise TypeError(f"the pretended device has no {held.dtype} (asked for in {place()})")
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            layout=held.layout,
            device=torch.device(NAME, 0),
        )
        made.held = held.detach()
        return made

    def __repr__(self) -> str:
        return f"OnDevice({self.held})"

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if self.ndim == 0 else repr(self)

    def numpy(self, **_: Any) -> Any:
        raise MixedDevices(f"NumPy cannot read the device's memory ({place()}): use .cpu() first")

    def __array__(self, *_: Any, **__: Any) -> Any:
        return self.numpy()

    def tolist(self) -> Any:
        waits[place()] += 1
        return self.held.tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return compute(func, args, kwargs or {})


def place() -> str:
    """Where in the library the operation was asked for: "training/step.py:67"."""
    frame = sys._getframe(1)
    while frame is not None:
        if (file := Path(frame.f_code.co_filename)).is_relative_to(LIBRARY):
            return f"{file.relative_to(LIBRARY).as_posix()}:{frame.f_lineno}"
        frame = frame.f_back
    return "elsewhere"


def compute(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """One operation of torch: on the CPU's numbers, once it is sure that a device could do it."""
    leaves = tree_leaves((args, kwargs))
    theirs = [leaf for leaf in leaves if isinstance(leaf, OnDevice)]
    plain = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor) and not isinstance(leaf, OnDevice)]
    asked = kwargs.get("device")
    to_device = asked is not None and torch.device(asked).type == NAME
    if not theirs and not to_device:
        return func(*args, **kwargs)
    if to_device:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    _check(func, args, kwargs, theirs, plain)
    _count(func, args, theirs, plain, to_device, asked)
    result = func(*tree_map(_held, args), **tree_map(_held, kwargs))
    if asked is not None and not to_device:  # moved to the CPU, or made there like one of the device's
        return result
    if func is aten.copy_.default and not isinstance(args[0], OnDevice):
        return args[0]
    if func._schema.name.endswith("_") and result is None:  # fused and foreach operations
        return None
    wrapped = tree_map(lambda made: OnDevice(made) if isinstance(made, torch.Tensor) else made, result)
    return return_and_correct_aliasing(func, args, kwargs, wrapped)


def _held(value: Any) -> Any:
    return value.held if isinstance(value, OnDevice) else value


def _check(func: Any, args: Any, kwargs: dict[str, Any], theirs: list, plain: list) -> None:
    generator = kwargs.get("generator")
    if isinstance(generator, torch.Generator):
        raise MixedDevices(f"{func}: a generator of the CPU draws on the device ({place()})")
    name = func._schema.name
    copying = func in (aten._to_copy.default, aten.copy_.default) or name.endswith("_like") or "::new_" in name
    if copying or not theirs:
        return
    if func in INDEXING:
        meeting = [] if isinstance(args[0], OnDevice) else plain  # an index of the CPU is copied; see `_count`
    else:
        pointwise = torch.Tag.pointwise in func.tags or func is aten.lift_fresh.default
        meeting = [tensor for tensor in plain if tensor.ndim > 0 or not pointwise]
    if meeting:
        shapes = [tuple(tensor.shape) for tensor in meeting]
        raise MixedDevices(f"{func}: tensors of the device meet tensors {shapes} of the CPU ({place()})")


def _count(func: Any, args: Any, theirs: list, plain: list, to_device: bool, asked: Any) -> None:
    masks = [leaf for leaf in tree_leaves(args[1:2]) if isinstance(leaf, OnDevice) and leaf.dtype == torch.bool]
    if func in WAITING or (func in INDEXING and masks and not (len(args) > 2 and args[2].numel() == 1)):
        waits[place()] += 1
    if func in INDEXING and plain:  # copied, and waited for
        copies[place()] += 1
        waits[place()] += 1
    if func is aten._to_copy.default:
        if to_device and not isinstance(args[0], OnDevice):
            copies[place()] += 1
        elif asked is not None and not to_device:
            waits[place()] += 1
    if func is aten.copy_.default and isinstance(args[0], OnDevice) != isinstance(args[1], OnDevice):
        (copies if isinstance(args[0], OnDevice) else waits)[place()] += 1


class Factories(TorchDispatchMode):
    """Operations without a tensor of the device among their arguments, which make one there."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return compute(func, args, kwargs or {})


class Functions(TorchFunctionMode):
    """What never reaches an operation: torch.tensor(..., device=...), and methods that read a tensor as NumPy."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        asked = kwargs.get("device")
        if func in (torch.tensor, torch.as_tensor) and asked is not None and torch.device(asked).type == NAME:
            made = func(*args, **{**kwargs, "device": None})
            if not isinstance(made, OnDevice):
                copies[place()] += 1
                made = OnDevice(made)
            return made
        if args and isinstance(args[0], OnDevice) and func in (torch.Tensor.numpy, torch.Tensor.__array__):
            return args[0].numpy()
        if args and isinstance(args[0], OnDevice) and func is torch.Tensor.tolist:
            return args[0].tolist()
        if func is torch.Tensor.pin_memory:
            return args[0]
        return func(*args, **kwargs)


class Backend(_DummyBackendModule):
    """torch.pretended: what torch asks of a device besides its operations."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]

    def get_rng_state(self, device: Any = None) -> torch.Tensor:
        return torch.get_rng_state()

    def set_rng_state(self, state: torch.Tensor, device: Any = None) -> None:
        torch.set_rng_state(state)

    def synchronize(self, device: Any = None) -> None:
        waits[place()] += 1


def register() -> None:
    """Make torch know the device, for good."""
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    # Tensors of inference mode cannot share the storage of others, as views of `OnDevice` do.
    torch.inference_mode = lambda mode=True: torch.no_grad() if mode else nullcontext()
    _setup_privateuseone_for_python_backend(NAME, Backend())


def forget() -> None:
    """Counters begin at nothing."""
    waits.clear()
    copies.clear()


@contextmanager
def counting() -> Iterator[None]:
    """Within the block the device can be used; counters begin at nothing."""
    forget()
    with Functions(), Factories():
        yield


register()
