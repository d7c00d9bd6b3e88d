"""How much memory this process may still have, and what to say when it is not enough.

A machine's free memory is only one of the limits: a container has its own (cgroups), and so has a process (ulimit).
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from deepinfomax.errors import UserError


class NotEnoughMemory(UserError, MemoryError):
    """What was asked for needs more memory than there is: one line that says what to lower."""


CGROUPS = Path("/sys/fs/cgroup")

#: in the text of errors by which torch, NumPy and C++ say that there is not so much memory, or nowhere so much
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
    """Bytes that this process can still have: the least of what the machine, the container and its limits leave."""
    return max(0, min([psutil.virtual_memory().available, *_of_process(), *of_containers(CGROUPS)]))


@contextmanager
def enough_for(what: str, *, lower: str) -> Iterator[None]:
    """Within the block, too little memory is `NotEnoughMemory`: "not enough memory for `what`: lower `lower`"."""
    try:
        yield
    except Exception as error:
        if not is_shortage(error):
            raise
        raise NotEnoughMemory(f"not enough memory for {what}{_asked(error)}: lower {lower}") from None


def is_shortage(error: BaseException) -> bool:
    """Whether an error says that there is too little memory; torch has no kind of its own for it on a CPU."""
    kinds = RuntimeError, TypeError, ValueError, OverflowError
    said = isinstance(error, kinds) and any(words in str(error) for words in SHORTAGE)
    return not isinstance(error, UserError) and (said or isinstance(error, MemoryError))


def shortage(error: BaseException) -> str:
    """One line for such an error where nothing is known of what was to be lowered."""
    return f"not enough memory{_asked(error)}: give less at once, or free some"


def of_containers(root: Path, membership: Path = Path("/proc/self/cgroup")) -> Iterator[int]:
    """Bytes that are left in each of the control groups this process is in, of both versions of them.

    Pages of files that the kernel would give back are not counted as used.
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
    """ " (8.6 GB at once)" where the error says how much it was about; otherwise ""."""
    text = str(error)
    if asked := re.search(r"tried to allocate (\d+) bytes", text):
        return f" ({int(asked[1]) / 1e9:,.1f} GB at once)"
    if asked := re.search(r"allocate (\d[\d.]* [KMGTPE]i?B)", text):
        return f" ({asked[1]} at once)"
    return ""
