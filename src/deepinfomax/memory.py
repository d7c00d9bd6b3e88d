"""How much memory this process can still use, and errors for too little memory.

The machine's free memory is only one limit: a container has its own (cgroups), and so has a process (ulimit).
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from deepinfomax.errors import UserError


class NotEnoughMemory(UserError, MemoryError):
    """There is too little memory; the message says which setting to lower."""


CGROUPS = Path("/sys/fs/cgroup")

#: text in the errors of torch, NumPy and C++ for too little memory
SHORTAGE = (
    "allocate memory",
    "out of memory",
    "bad_alloc",
    "Storage size calculation overflowed",
    "Overflow when unpacking",
    "multiplication overflow",
    "array is too big",
    "Maximum allowed dimension exceeded",
    "too large to convert",
    "start new thread",
)


def free() -> int:
    """Bytes that this process can still use: the smallest of the limits of machine, container and process."""
    return max(0, min([psutil.virtual_memory().available, *_of_process(), *of_containers(CGROUPS)]))


@contextmanager
def enough_for(what: str, *, lower: str) -> Iterator[None]:
    """Within the block, too little memory raises `NotEnoughMemory`: "not enough memory for `what`: lower `lower`"."""
    try:
        yield
    except Exception as error:
        if not is_shortage(error):
            raise
        raise NotEnoughMemory(f"not enough memory for {what}{_asked(error)}: lower {lower}") from None


def is_shortage(error: BaseException) -> bool:
    """Whether an error means too little memory; on a CPU torch has no class for that."""
    kinds = RuntimeError, TypeError, ValueError, OverflowError
    said = isinstance(error, kinds) and any(words in str(error) for words in SHORTAGE)
    return not isinstance(error, UserError) and (said or isinstance(error, MemoryError))


def shortage(error: BaseException) -> str:
    """A message for such an error if it is not known which setting to lower."""
    return f"not enough memory{_asked(error)}: give less at once, or free some"


def of_containers(root: Path, membership: Path = Path("/proc/self/cgroup")) -> Iterator[int]:
    """Bytes left in each control group (version 1 or 2) of this process.

    Cached pages of files, which the kernel can free, do not count as used.
    """
    with suppress(OSError):
        for line in membership.read_text(encoding="utf-8").splitlines():
            number, controllers, path = line.split(":", 2)
            second = number == "0"
            if not second and "memory" not in controllers.split(","):
                continue
            top = root if second else root / "memory"
            names = ("memory.max", "memory.current") if second else ("memory.limit_in_bytes", "memory.usage_in_bytes")
            group = top / path.lstrip("/")
            for folder in (group, *group.parents):
                with suppress(OSError, ValueError):  # no such file, or "max"
                    most, used = (int((folder / name).read_text(encoding="ascii")) for name in names)
                    yield most - used + _given_back(folder / "memory.stat")
                if folder == top:
                    break


def _given_back(statistics: Path) -> int:
    with suppress(OSError, ValueError):
        for line in statistics.read_text(encoding="ascii").splitlines():
            if line.startswith(("inactive_file ", "total_inactive_file ")):
                return int(line.split()[1])
    return 0


def _of_process() -> Iterator[int]:
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return
    used = psutil.Process().memory_info()
    for limit, field in (("RLIMIT_AS", "vms"), ("RLIMIT_DATA", "data")):
        most = resource.getrlimit(getattr(resource, limit))[0]
        if most != resource.RLIM_INFINITY and hasattr(used, field):
            yield most - getattr(used, field)


def _asked(error: BaseException) -> str:
    """ " (8.6 GB at once)" if the error says how much memory was requested; otherwise ""."""
    text = str(error)
    if asked := re.search(r"tried to allocate (\d+) bytes", text):
        return f" ({int(asked[1]) / 1e9:,.1f} GB at once)"
    if asked := re.search(r"allocate (\d[\d.]* [KMGTPE]i?B)", text):
        return f" ({asked[1]} at once)"
    return ""
