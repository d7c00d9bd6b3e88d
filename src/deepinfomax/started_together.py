"""Several processes that do one piece of work: which of them speaks, and how they are started on one machine.

Nothing heavy is imported before it is needed: every command asks here who speaks.
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
    """How many processes were started together, by `start`, by torchrun or alike."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def speaks() -> bool:
    """Whether this process says what all of them know: results and notes."""
    return os.environ.get("RANK", "0") == "0"


def said_by_another(line: str) -> bool:
    """Whether another of the processes has said this line; if none has, this one is to say it.

    A mistake is mostly met by all, and sometimes by one. The launcher's store tells; without one each speaks.
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
    """Run `deepinfomax WORDS` in so many processes of this machine, as `torchrun --standalone` does.

    What torchrun prints of its own when one of them stops is left out: they have said why.

    Returns:
        the exit code: 1 where a process was killed, else of the first that failed; 130 after Ctrl-C.
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
