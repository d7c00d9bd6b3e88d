"""`deepinfomax data`: shows how data were understood."""

from typing import Annotated

import typer

from deepinfomax.commands import options, terminal, words


def describe_data(
    context: typer.Context,
    data: options.DataArgument,
    size: Annotated[int | None, typer.Option(help="Resize to so many pixels.")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out what cannot be read.")] = False,
    data_root: options.Root = None,
    seed: options.Unused = None,
    device: options.Unused = None,
    as_json: options.Json = False,
) -> None:
    """Show how DATA was understood: count, size, classes.

    Settings can follow as behind `train`, e.g. `data.holdout 0.1`.
    """
    with terminal.starting():
        from deepinfomax.data.describe_command import data_command

    settings = words.overrides(context)
    description, text = data_command(data, root=data_root, size=size, skip_bad=skip_bad or None, settings=settings)
    terminal.show(description, as_json, text=text)
