"""The processes that train one run together: they stop together, and leave their group, and Python, in order."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

import torch
from accelerate import Accelerator
from torch import distributed, nn

from deepinfomax.errors import UserError, first_line
from deepinfomax.started_together import started

if distributed.is_available():
    # Its functions take `group.WORLD` of the moment of this import as a default. The first DistributedDataParallel
    # imports it too, and what it then took would keep the group alive, with threads that ask for Python's lock while
    # Python ends: "terminate called without an active exception". So it is imported here, before there is a group.
    import torch.distributed.nn.functional


#: in the text of errors by which gloo says that another process does not answer; those of NCCL have a kind of their own
GONE = ("gloo/transport", "Connection reset by peer", "Connection closed by peer")


class ProcessLost(UserError):
    """Another process of the run has ended, and this one cannot go on alone."""


@contextmanager
def others_there(then: str) -> Iterator[None]:
    """Within the block the end of another process is `ProcessLost`, and not a page of a library's words.

    Args:
        then: what a person can do: "--resume goes on from the last checkpoint".
    """
    try:
        yield
    except RuntimeError as error:
        if grouped() and any(word in str(error) for word in GONE):
            raise ProcessLost(f"another process of this run has ended: {then}") from None
        if grouped() and isinstance(error, distributed.DistError):
            raise ProcessLost(f"the processes of this run have lost each other ({first_line(error)}): {then}") from None
        raise


def any_process(accelerator: Accelerator, *asked: bool) -> tuple[bool, ...]:
    """Whether any process was asked to save, to stop, ..., so that all of them do so after the same step.

    Otherwise one process would leave while the others wait for its gradients for ever, perhaps with unsaved steps.
    Alone it costs nothing; together it costs one small sum after each step's sums of gradients.
    """
    if accelerator.num_processes == 1:
        return asked
    counts = accelerator.reduce(torch.tensor(asked, dtype=torch.float32, device=accelerator.device))
    return tuple(count > 0 for count in counts.tolist())


def with_buffers_of_the_first(accelerator: Accelerator, network: nn.Module) -> None:
    """Give the network of every process the buffers that are saved: the averages of BatchNorm are each one's own.

    Parameters need none of this: all processes take the same steps.
    """
    if accelerator.num_processes > 1:
        for buffer in network.buffers():
            sent = buffer.contiguous()
            distributed.broadcast(sent, src=0)
            buffer.copy_(sent)


def end_together(accelerator: Accelerator) -> None:
    """Wait for all processes once more, behind the last thing that they do together.

    Whoever leaves first closes connections that another may still read from, and this other one would take its end for
    a failure. Here it may: nothing comes after.
    """
    with suppress(RuntimeError):
        accelerator.wait_for_everyone()


def grouped() -> bool:
    """Whether there is a group of processes."""
    return distributed.is_available() and distributed.is_initialized()


def end_group() -> None:
    """Leave the process group, if there is one; with the last object that uses it, its threads end.

    Whoever calls `training.loop.train` in several processes calls this behind it, also after an error.
    """
    if grouped():
        distributed.destroy_process_group()


def check_gpus(device: torch.device) -> None:
    """Raises UserError if the processes of this machine cannot have a GPU each."""
    here, gpus = int(os.environ.get("LOCAL_WORLD_SIZE", "1")), torch.cuda.device_count()
    if started() > 1 and device.index is not None:
        raise UserError(f"of several processes each takes a GPU of its own: give --device cuda, not {device}")
    if here > max(gpus, 1):
        few = f"{gpus} GPU{'' if gpus == 1 else 's'}"
        raise UserError(f"{here} processes and {few} are here: start {gpus}, or give --device cpu")


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
