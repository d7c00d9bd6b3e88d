"""`deepinfomax recipes`: what can be trained."""

from deepinfomax.commands import options, terminal


def recipes(as_json: options.Json = False, seed: options.Unused = None, device: options.Unused = None) -> None:
    """List what can be trained, and what it is for."""
    from deepinfomax.recipes import listing, says, uses

    terminal.show({"recipes": says(), "uses": uses()}, as_json, text=listing())
