"""A command of deepinfomax in a forked process, and what it did: how it ended, and what it said.

Importing torch takes seconds, so the parent has imported everything; a child only runs `main` with its own words.
"""

import os
import random
import re
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LIMIT = 120.0  #: seconds; the slowest sound command here takes five
MEMORY = 8 * 2**30  #: bytes a command may have
VERBOSE = bool(os.environ.get("HARM_VERBOSE"))  #: print every case
MOST_LINES = 4  #: on stderr of a command that refuses: notes, and the one line
TRACEBACK = 1  #: Python's exit code after an error that nobody caught
#: what a person should never see: Python's own words, and those of a library
FOREIGN = re.compile(
    r"Traceback|site-packages|\w+Warning:|Exception ignored|Fatal Python|terminate called|\bSegmentation"
)

#: what rewrites a terminal: no name and no message may carry it there
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int | None  #: exit code; None: it was killed, by us or by the system
    out: str
    err: str
    seconds: float
    killed_by: int = 0  #: the signal
    late: bool = False  #: it was still running at the limit

    @property
    def last(self) -> str:
        """The last line that it said."""
        return next(reversed([line for line in self.err.splitlines() if line.strip()]), "")

    @property
    def refused(self) -> bool:
        """Whether a mistake was answered as one should be: exit code 2 and one line that says what is wrong."""
        lines = [line for line in self.err.splitlines() if line.strip()]
        own = [line for line in lines if line.startswith("deepinfomax: ")]
        return self.code == 2 and len(own) == 1 and lines[-1] == own[0] and len(lines) <= MOST_LINES and not self.fault

    @property
    def fault(self) -> str:
        """What is wrong with how it ended, whatever it was to do; "" where nothing is."""
        if self.late:
            return "hang"
        if self.killed_by:
            return f"killed by signal {self.killed_by}"
        if found := FOREIGN.search(self.err + self.out):
            return "traceback" if "Traceback" in self.err else f"foreign words: {found[0]}"
        if CONTROLS.search(self.err + self.out):
            return "control characters"
        if self.code not in (0, 2, 130):
            return f"exit code {self.code}"
        if self.code == 2 and not any(line.startswith("deepinfomax: ") for line in self.err.splitlines()):
            return "no line of its own"
        return ""


@dataclass
class Count:
    """What became of the cases of one kind."""

    fine: int = 0  #: the same figures as without harm
    told: int = 0  #: other figures, or fewer, and a line that says so
    refused: int = 0  #: exit code 2 and one line
    failures: list[dict[str, str]] = field(default_factory=list)

    @property
    def cases(self) -> int:
        return self.fine + self.told + self.refused + len(self.failures)

    def fail(self, what: str, harm: str, words: Sequence[str], ended: Ended | None = None) -> None:
        said = "" if ended is None else (ended.err or ended.out)[-1500:]
        entry = {"what": what, "harm": harm, "command": " ".join(map(str, words))[:300], "said": said}
        self.failures.append(entry)
        print(f"FAILURE {what} | {harm} | {entry['command'][:160]} | {said[-300:]!r}", file=sys.stderr, flush=True)

    def settle(self, ended: Ended, harm: str, words: Sequence[str], *, same: bool = True, told: bool = False) -> None:
        """Count one case by how its command ended, and by whether its figures are as they were."""
        if VERBOSE:
            print(f"  {ended.code} {harm} | {' '.join(map(str, words))[:200]!r} | {ended.last[:300]}", flush=True)
        if ended.fault:
            self.fail(ended.fault, harm, words, ended)
        elif ended.refused:
            self.refused += 1
        elif ended.code == 2:
            self.fail("more than a few lines", harm, words, ended)
        elif same:
            self.fine += 1
        elif told:
            self.told += 1
        else:
            self.fail("other figures without a word", harm, words, ended)


@dataclass(frozen=True)
class Place:
    """Where the harm is done: a folder of its own, with a cache of its own, and a seeded generator."""

    folder: Path
    rng: random.Random

    def fresh(self, name: str) -> Path:
        """A new path in the folder, with nothing there."""
        path = self.folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        return path


def run(
    words: Iterable[object],
    cwd: Path,
    *,
    kill_after: float | None = None,
    limit: float = LIMIT,
    environment: Mapping[str, str] | None = None,
    interrupt: bool = False,
) -> Ended:
    """`deepinfomax WORDS` in a forked process.

    Args:
        kill_after: seconds after which it is sent SIGKILL, where it still runs.
        limit: seconds after which it counts as hanging.
        interrupt: at the limit send Ctrl-C first; only what does not end then hangs.
    """
    out, err = cwd / ".stdout", cwd / ".stderr"
    began = time.perf_counter()
    child = os.fork()
    if child == 0:
        _become(
            [os.fsdecode(os.fspath(word)) if isinstance(word, Path) else str(word) for word in words],
            cwd,
            out,
            err,
            environment or {},
        )
    end, asked = began + (limit if kill_after is None else min(kill_after, limit)), False
    late = False
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        now = time.perf_counter()
        if now < end:
            time.sleep(min(0.003, max(0.0, end - now)))
        elif interrupt and not asked and kill_after is None:
            asked, end = True, now + 30
            os.kill(child, signal.SIGINT)
        else:
            late = kill_after is None
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            break
    seconds = time.perf_counter() - began
    texts = [_taken(path) for path in (out, err)]
    if os.WIFSIGNALED(status):
        return Ended(None, *texts, seconds, os.WTERMSIG(status), late)
    return Ended(os.WEXITSTATUS(status), *texts, seconds)


def _taken(path: Path) -> str:
    """What a file holds; the file is removed. "" where there is none, as of a process killed at once."""
    if not path.is_file():
        return ""
    text = path.read_text(encoding="utf-8", errors="replace")
    path.unlink()
    return text


def _become(words: list[str], cwd: Path, out: Path, err: Path, environment: Mapping[str, str]) -> None:
    """Be that command: never returns."""
    code = TRACEBACK
    try:
        for path, number in ((out, 1), (err, 2)):
            os.dup2(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdout, sys.stderr = (open(n, "w", encoding="utf-8", closefd=False) for n in (1, 2))  # noqa: SIM115
        os.chdir(cwd)
        os.environ.update(environment)
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.argv = ["deepinfomax", *words]
        from deepinfomax.cli import main

        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        except BaseException:
            traceback.print_exc()
            code = TRACEBACK
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)
