"""`deepinfomax report`: the page of a run, anew."""

from deepinfomax.commands import options, terminal


def report(
    run: options.RunArgument, seed: options.Unused = None, device: options.Unused = None, as_json: options.Json = False
) -> None:
    """Write report.html of a run again: one file, no network."""
    with terminal.starting():
        from deepinfomax.report import write

    terminal.show({"report": str(write(run))}, as_json)
