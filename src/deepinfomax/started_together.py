"""Several processes that work together: which of them prints messages, and how they are started on one machine.

Heavy imports are inside functions, since every command uses this module.
"""

import hashlib
import logging
import os
import signal
import sys
import uuid
from collections.abc import Sequence
from datetime import timedelta


def started() -> int:
    """How many processes were started together, by `start`, by torchrun or in a similar way."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def speaks() -> bool:
    """Whether this process prints results and notes: only the first of several processes does."""
    return os.environ.get("RANK", "0") == "0"


def said_by_another(line: str) -> bool:
    """Whether another process has already printed this error; if not, this process must print it.

    Most mistakes are met by all processes, some by one only. The processes agree through the launcher's store; without
    one each process prints.
    """
    if started() == 1 or os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return False
    from torch.distributed import TCPStore  # seconds to import, and needed where something went wrong only

    key = f"said/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}/{hashlib.sha256(line.encode()).hexdigest()}"
    try:
        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        return bool(TCPStore(address, port, is_master=False, timeout=timedelta(seconds=10)).add(key, 1) > 1)
    except (RuntimeError, KeyError, ValueError):  # the launcher is gone
        return False


def start(processes: int, words: Sequence[str]) -> int:
    """Run `deepinfomax WORDS` in several processes on this machine, like `torchrun --standalone`.

    torchrun's own report about a failed process is left out, since the process has printed the reason.

    Returns:
        The exit code: 1 if a process was killed, else that of the first that failed; 130 after Ctrl-C.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    together = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
    )
    logging.disable(logging.CRITICAL)
    try:
        elastic_launch(together, sys.executable)("-m", "deepinfomax.cli", *words)
    except SignalException:
        return 130
    except ChildFailedError as failed:
        codes = {rank: failure.exitcode for rank, failure in failed.failures.items()}
        killed = {rank: -code for rank, code in codes.items() if code < 0 and -code != signal.SIGTERM}
        for rank, number in killed.items():  # the launcher ends the others by SIGTERM
            name = signal.Signals(number).name
            print(f"deepinfomax: process {rank} of {processes} was ended by {name}", file=sys.stderr)
        if killed:  # the others then stop as well, and some of them may be noticed before it
            return 1
        first = failed.get_first_failure()[1].exitcode
        return first if first > 0 else 1
    finally:
        logging.disable(logging.NOTSET)
    return 0
