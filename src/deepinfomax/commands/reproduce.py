"""`deepinfomax reproduce`: a table or figure of the paper."""

from pathlib import Path
from typing import Annotated

import typer

from deepinfomax.commands import arguments, options, terminal


def reproduce(
    what: Annotated[
        str, typer.Argument(metavar="WHAT", help="table1, table2, ..., or a figure's name; `list` names all.")
    ],
    scale: Annotated[str, typer.Option(help="smoke, cpu or paper.", callback=arguments.scale)] = "cpu",
    out: Annotated[Path | None, typer.Option(help="Folder of the runs and the result.")] = None,
    seeds: Annotated[int, typer.Option(help="How many seeds.")] = 3,
    seed: Annotated[int, typer.Option(min=0, max=options.LAST_SEED, help="The first of them.")] = 0,
    data_root: options.Root = None,
    device: options.Device = None,
    as_json: options.Json = False,
) -> None:
    """Rerun a table or figure of the paper, and compare."""
    with terminal.starting():
        from deepinfomax.experiments import reproduce as run

    terminal.show(run(what, scale=scale, out=out, seeds=seeds, seed=seed, data_root=data_root, device=device), as_json)
