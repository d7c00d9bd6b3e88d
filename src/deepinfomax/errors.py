"""`UserError`, the exception for all mistakes of a user, and helpers for its messages."""

from collections.abc import Iterable


class UserError(ValueError):
    """A mistake in the call, the data or the configuration. The message is one line: what is wrong and how to fix it.

    The command line prints the line and exits with 2; in Python it is an ordinary `ValueError`.
    """


class SeveralSizes(UserError):
    """Images have several sizes, and `data.size` is not set."""

    def __init__(self, line: str, size: int) -> None:
        super().__init__(line)
        self.size = size  #: the size in pixels that the message suggests


def first_line(error: Exception) -> str:
    """The first line of an error's message, or its class if it has no message."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def listed(names: Iterable[object], most: int = 12) -> str:
    """Join names by commas; after `most` of them only the number of the others: "a, b, c and 1,997 more"."""
    texts = list(map(str, names))
    more = len(texts) - most
    return ", ".join(texts[:most]) + (f" and {more:,} more" if more > 0 else "")


def count_of(count: int, noun: str, plural: str = "") -> str:
    """A count with its noun, and perhaps the verb: "1 image", "2,000 images are"; `plural`: if it is not noun + s."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def agreed(count: int, one: str, several: str) -> str:
    """The verb after a count: `agreed(1, "is", "are")` is "is"."""
    return one if count == 1 else several
