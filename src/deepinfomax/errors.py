"""The one exception a user's mistake raises."""


class UserError(ValueError):
    """A mistake in the call, the data or the configuration: one line, what is wrong and how to mend it.

    The command line prints the line and exits with 2; in Python it is an ordinary `ValueError`.
    """
