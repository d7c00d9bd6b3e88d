"""Progress of long computations: code anywhere reports it, a command shows it; no argument is passed between them.

>>> from deepinfomax import progress
>>> with progress.shown("linear probe"):          # a command, in a terminal: a bar with the time left
...     for fit in progress.counted(5, "fit"):    # a measure, somewhere below: no argument, no callback
...         progress.say("iteration 7")
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Column

from deepinfomax.started_together import speaks

LINE_EVERY = 30.0  #: seconds between lines if there is no terminal for a bar
#: called with a text, the number of finished parts, and the number of all parts
_Listener = Callable[[str, int, int | None], None]
_listener: ContextVar[_Listener | None] = ContextVar("listener", default=None)
_announcer: ContextVar[Callable[[str], None] | None] = ContextVar("announcer", default=None)


def say(text: str) -> None:
    """Report where the computation is: "iteration 7"."""
    _tell(text, 0, None)


def reached(done: int, total: int, text: str) -> None:
    """Report how many of all parts are done; `text` describes it."""
    _tell(text, done, total)


def announce(text: str) -> None:
    """Print a line on stderr at once, above any bar: something to know before a long computation."""
    announcer = _announcer.get()
    if announcer is not None:
        announcer(text)
    else:
        print(text, file=sys.stderr)


def counted(count: int, what: str) -> Iterator[int]:
    """Yields 1 to `count`, and reports "`what` i of `count`" (at most a hundred times)."""
    every = max(1, count // 100)
    for i in range(1, count + 1):
        if i % every == 0 or i == 1:
            _tell(f"{what} {i} of {count}", i - 1, count)
        yield i


@contextmanager
def within(words: str) -> Iterator[None]:
    """Within the block all reports begin with `words`: "fit 2 of 5, iteration 7"."""
    outer = _listener.get()
    if outer is None:
        yield
        return
    token = _listener.set(lambda text, done, total: outer(f"{words}, {text}", done, total))
    try:
        yield
    finally:
        _listener.reset(token)


@contextmanager
def shown(what: str, console: Console | None = None) -> Iterator[None]:
    """Within the block show reports on stderr.

    In a terminal: a bar with the time left. Otherwise a line every `LINE_EVERY` seconds, "`what`: report". Inside
    another such block the reports are shown as part of the outer one.
    """
    if _listener.get() is not None:
        say(what)
        with within(what):
            yield
        return
    console = console or Console(stderr=True)
    narrow = console.width < 60
    words = TextColumn(
        "{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)
    )
    columns = (SpinnerColumn(), words, *(() if narrow else (BarColumn(20), TimeRemainingColumn())))
    last = time.monotonic()

    with Progress(
        *columns,
        console=console,
        transient=True,
        expand=True,
        disable=not console.is_terminal or console.quiet or not speaks(),
    ) as bars:
        bar = bars.add_task(what, total=None)

        def show(text: str, done: int, total: int | None) -> None:
            nonlocal last
            bars.update(bar, description=f"{what}: {text}", completed=done, total=total)
            if not console.is_terminal and time.monotonic() - last >= LINE_EVERY:
                console.print(f"{what}: {text}", markup=False)
                last = time.monotonic()

        tokens = _listener.set(show), _announcer.set(lambda text: console.print(text, markup=False, soft_wrap=True))
        try:
            yield
        finally:
            _listener.reset(tokens[0])
            _announcer.reset(tokens[1])


def _tell(text: str, done: int, total: int | None) -> None:
    listener = _listener.get()
    if listener is not None:
        listener(text, done, total)
