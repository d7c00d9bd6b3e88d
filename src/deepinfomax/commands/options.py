"""Arguments and options that several commands take."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from deepinfomax import started_together
from deepinfomax.commands import arguments
from deepinfomax.errors import UserError

LAST_SEED = 2**32 - 1  #: numpy's and scikit-learn's limit
Seed = Annotated[int, typer.Option(min=0, max=LAST_SEED, help="Seed of everything random.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, mps; the best there is by default.")]
#: Every command takes --seed and --device, so that scripts need not know which of them draw or compute.
Unused = Annotated[str | None, typer.Option(help="Accepted as everywhere; this command neither draws nor computes.")]
Processes = Annotated[
    int | None,
    typer.Option(min=1, help="Processes of this machine, one a GPU; one by default.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Root = Annotated[Path | None, typer.Option(help="Folder of local data sets by name; or set DEEPINFOMAX_DATA.")]
DATA_HELP = "A name (cifar10, photos), a folder of images or scans, an archive, .parquet, .npy, .h5, .csv, a hub id."
DataArgument = Annotated[str, typer.Argument(metavar="DATA", help=DATA_HELP, callback=arguments.data)]
Average = Annotated[
    str | None,
    typer.Option(
        help="Comma-separated: mirror, shifts. Average each picture's vectors over its mirror image (2 times as long), "
        "over four small shifts (5 times), or both (10 times).",
        show_default=False,
    ),
]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", callback=arguments.run)]


def start(processes: int | None) -> None:
    """Run this command in so many processes instead, and end with their exit code; in one of them, go on.

    Raises:
        UserError: another number of processes than were started already.
    """
    before = started_together.started()
    if before == 1 and (processes or 1) > 1:
        raise typer.Exit(started_together.start(processes or 1, sys.argv[1:]))
    if before != (processes or before):
        raise UserError(f"{before} processes were started already: leave --processes out")


def numbers(name: str, says: str) -> Any:
    """An argument that is a file of numbers."""
    return typer.Argument(metavar=name, help=says, callback=arguments.numbers)
