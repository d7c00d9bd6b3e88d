"""`deepinfomax doctor`: what this installation has."""

from deepinfomax.commands import options, terminal


def doctor(as_json: options.Json = False, seed: options.Unused = None, device: options.Unused = None) -> None:
    """Say what this installation has: torch, device, data, extras.

    Versions, threads, the cache and the folder of data sets, optional packages, and problems that would stop a run.
    If you report an error, add this output.
    """
    with terminal.starting():
        from deepinfomax.doctor import doctor as examine

    terminal.show(examine(), as_json)
