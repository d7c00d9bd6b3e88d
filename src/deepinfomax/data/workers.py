"""Worker processes that read and decode images."""

import contextlib
import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from typing import TypeVar

from deepinfomax.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")

IDLE = 60  #: seconds after which a worker whose parent was killed ends by itself
PAY_ABOVE = 4.0  #: seconds of one core. Starting workers takes a second or two


def pay(seconds: float) -> bool:
    """Whether work that takes one core this many seconds is worth starting processes for.

    Never in a process that is itself a worker of a pool, which must not start processes.
    """
    return seconds > PAY_ABOVE and not multiprocessing.current_process().daemon


def cores() -> int:
    """How many cores this process may use, by its affinity and its container's share."""
    import joblib  # a tenth of a second, and only needed here

    return joblib.cpu_count()


@contextlib.contextmanager
def processes(count: int) -> Iterator[Executor]:
    """A pool of worker processes, which are ended at once if the block ends with an error.

    It is joblib's pool, as in scikit-learn. Its workers are new interpreters: they hold no lock of this process's
    threads, and do not run the user's script again, so scripts do not need `if __name__ == "__main__"`.

    Raises:
        UserError: a worker was killed.
    """
    from joblib.externals.loky import ProcessPoolExecutor
    from joblib.externals.loky.process_executor import BrokenProcessPool

    pool = ProcessPoolExecutor(count, timeout=IDLE, initializer=_leave_ctrl_c_to_the_parent)
    try:
        yield pool
    except BrokenProcessPool:
        pool.shutdown(kill_workers=True)
        raise UserError(
            "a process that decodes was killed, probably for want of memory: run it again, it goes on from there; "
            "LOKY_MAX_CPU_COUNT=1 in the environment lets one process decode"
        ) from None
    except BaseException:
        pool.shutdown(kill_workers=True)
        raise
    pool.shutdown()


def mapped(
    pool: Executor | None, function: Callable[[Item], Result], items: Iterator[Item], ahead: int
) -> Iterator[Result]:
    """`map` in the workers of a pool, if there is one. At most `ahead` items are read in advance.

    So a large source is never in memory as a whole.
    """
    if pool is None:
        yield from map(function, items)
        return
    waiting: deque = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _leave_ctrl_c_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
