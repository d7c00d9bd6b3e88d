"""The one exception a user's mistake raises, and how errors of other packages and long lists are told in its line."""

from collections.abc import Iterable


class UserError(ValueError):
    """A mistake in the call, the data or the configuration: one line, what is wrong and how to mend it.

    The command line prints the line and exits with 2; in Python it is an ordinary `ValueError`.
    """


class SeveralSizes(UserError):
    """Images of several sizes, and no `data.size` to bring them to one."""

    def __init__(self, line: str, size: int) -> None:
        super().__init__(line)
        self.size = size  #: pixels that the line suggests


def first_line(error: Exception) -> str:
    """What an error says in its first line, or of what kind it is where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def listed(names: Iterable[object], most: int = 12) -> str:
    """Names with commas; of many the first ones, and how many there are besides: "a, b, c and 1,997 more"."""
    texts = list(map(str, names))
    more = len(texts) - most
    return ", ".join(texts[:most]) + (f" and {more:,} more" if more > 0 else "")
