"""The one exception a user's mistake raises, and how the errors of other packages are told in its line."""


class UserError(ValueError):
    """A mistake in the call, the data or the configuration: one line, what is wrong and how to mend it.

    The command line prints the line and exits with 2; in Python it is an ordinary `ValueError`.
    """


def first_line(error: Exception) -> str:
    """What an error says in its first line, or of what kind it is where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
