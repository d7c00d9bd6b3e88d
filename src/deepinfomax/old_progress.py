"""How far a long computation is, in words for whoever watches: `Say` goes in, lines or a spinner come out."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

Say = Callable[[str], None]  #: takes words such as "step 40 of 600"
LINE_EVERY = 30.0  #: seconds, where there is no terminal to draw a spinner in


def silent(text: str) -> None:
    """Nobody watches."""


def counted(count: int, what: str, say: Say) -> Iterator[int]:
    """1 to `count`; says "`what` i of `count`" in front of a hundred of them at most."""
    every = max(1, count // 100)
    for i in range(1, count + 1):
        if i % every == 0 or i == 1:
            say(f"{what} {i} of {count}")
        yield i


def after(words: str, say: Say) -> Say:
    """A `Say` that puts `words` in front: "fit 2 of 5, iteration 7"."""
    return lambda text: say(f"{words}, {text}")


@contextmanager
def shown(what: str, console: Console) -> Iterator[Say]:
    """A spinner in a terminal while the block runs, elsewhere a line every `LINE_EVERY` seconds: "`what`: words"."""
    last = time.monotonic()

    with console.status(what) as status:

        def say(text: str) -> None:
            nonlocal last
            status.update(f"{what}: {text}")
            if not console.is_terminal and time.monotonic() - last >= LINE_EVERY:
                console.print(f"{what}: {text}", markup=False)
                last = time.monotonic()

        yield say
