"""Several processes that train one run: they agree when to save and stop, and end in order."""

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
    # This module's functions have `group.WORLD`, as it is when the module is imported, as a default argument. The first
    # DistributedDataParallel would import it and so keep the process group alive, whose threads then abort Python at
    # its end ("terminate called without an active exception"). So it is imported here, before there is a group.
    import torch.distributed.nn.functional


#: text in gloo's errors when another process does not answer; NCCL's errors have their own class
GONE = ("gloo/transport", "Connection reset by peer", "Connection closed by peer")


class ProcessLost(UserError):
    """Another process of the run has ended, so this one cannot go on."""


@contextmanager
def others_there(then: str) -> Iterator[None]:
    """Within the block the end of another process raises `ProcessLost`, with a message of one line.

    Args:
        then: what the user can do, for the message: "--resume goes on from the last checkpoint".
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
    """For each question (save? stop?), whether any process answers yes, so that all act after the same step.

    Otherwise one process could leave while the others wait for its gradients for ever. With several processes this
    costs one small sum over processes per step, with a single one nothing.

    Args:
        asked: this process's answers.
    """
    if accelerator.num_processes == 1:
        return asked
    counts = accelerator.reduce(torch.tensor(asked, dtype=torch.float32, device=accelerator.device))
    return tuple(count > 0 for count in counts.tolist())


def with_buffers_of_the_first(accelerator: Accelerator, network: nn.Module) -> None:
    """Copy the first process's buffers, which are the ones that are saved, to all processes.

    Without SyncBatchNorm each process has its own running averages of BatchNorm. Parameters are the same everywhere.
    """
    if accelerator.num_processes > 1:
        for buffer in network.buffers():
            sent = buffer.contiguous()
            distributed.broadcast(sent, src=0)
            buffer.copy_(sent)


def end_together(accelerator: Accelerator) -> None:
    """Wait for all processes, after the last thing that they do together.

    A process that leaves first closes connections that another may still read from, which the other would report as a
    failure. After this call such a failure does not matter any more, since nothing follows.
    """
    with suppress(RuntimeError):
        accelerator.wait_for_everyone()


def grouped() -> bool:
    """Whether there is a group of processes."""
    return distributed.is_available() and distributed.is_initialized()


def end_group() -> None:
    """Leave the process group, if there is one; its threads end with the last object that uses it.

    Call this after `training.loop.train` in several processes, also after an error.
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
    """End this process at once, after flushing output and logs.

    For one of several processes: the traceback of an error in training keeps the process group alive, and the group's
    threads may abort Python when it shuts down in the ordinary way.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # the reader of a pipe has gone
            stream.flush()
    os._exit(code)
