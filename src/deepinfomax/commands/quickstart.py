"""`deepinfomax quickstart`: see it all in a minute."""

from pathlib import Path
from typing import Annotated

import typer

from deepinfomax.commands import options, terminal


def quickstart(
    out: Annotated[Path, typer.Option(help="Where the run folder goes.")] = Path("quickstart"),
    data: Annotated[
        str, typer.Option(help="photos (embedded, no network), or cifar10 where it is at hand.")
    ] = "photos",
    data_root: options.Root = None,
    seed: options.Seed = 0,
    device: options.Device = None,
    as_json: options.Json = False,
) -> None:
    """See it all in a minute: train, measure, report; no network.

    Trains on patches of photographs that come with the installation, and compares the encoder with raw pixels, with an
    untrained network and with a network trained on the labels.
    """
    with terminal.starting():
        from deepinfomax.experiments.quickstart import run

    terminal.show(run(data, out, root=data_root, seed=seed, device=device), as_json)
