"""The processes that train one run together: they stop together, and leave their group, and Python, in order."""

import logging
import os
import sys
from contextlib import suppress
from typing import NoReturn

import torch
from accelerate import Accelerator
from torch import distributed

if distributed.is_available():
    # Its functions take `group.WORLD` of the moment of this import as a default. The first DistributedDataParallel
    # imports it too, and what it then took would keep the group alive, with threads that ask for Python's lock while
    # Python ends: "terminate called without an active exception". So it is imported here, before there is a group.
    import torch.distributed.nn.functional


def any_process(accelerator: Accelerator, *asked: bool) -> tuple[bool, ...]:
    """Whether any process was asked to save, to stop, ..., so that all of them do so after the same step.

    Otherwise one process would leave while the others wait for its gradients for ever, perhaps with unsaved steps.
    Alone it costs nothing; together it costs one small sum after each step's sums of gradients.
    """
    if accelerator.num_processes == 1:
        return asked
    counts = accelerator.reduce(torch.tensor(asked, dtype=torch.float32, device=accelerator.device))
    return tuple(count > 0 for count in counts.tolist())


def grouped() -> bool:
    """Whether there is a group of processes."""
    return distributed.is_available() and distributed.is_initialized()


def end_group() -> None:
    """Leave the process group, where there is one; with the last object that uses it, its threads end.

    Whoever calls `training.loop.train` in several processes calls this behind it, also after an error.
    """
    if grouped():
        distributed.destroy_process_group()


def started() -> int:
    """How many processes were started together, by torchrun or alike."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def leave(code: int) -> NoReturn:
    """End this process at once, with all that was printed and logged.

    For one of several processes. An error that passed through training keeps the group of processes alive in its
    traceback, and threads of a group that is alive when Python takes itself apart may abort the process.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # a pipe that nobody reads any more
            stream.flush()
    os._exit(code)
