"""`deepinfomax embed`: the embeddings of images, as a file."""

from pathlib import Path
from typing import Annotated

import typer

from deepinfomax.commands import options, terminal, words


def embed(
    context: typer.Context,
    run: options.RunArgument,
    data: options.DataArgument,
    out: Annotated[Path, typer.Option(help="A .parquet, .npy or .npz file.")],
    level: Annotated[str, typer.Option(help="y, fc or conv.")] = "y",
    average: options.Average = None,
    split: Annotated[
        str | None, typer.Option(help="train, test, or train+test; train by default.", show_default=False)
    ] = None,
    data_root: options.Root = None,
    seed: options.Seed = 0,
    device: options.Device = None,
    as_json: options.Json = False,
) -> None:
    """Write the embeddings of DATA, with names and labels.

    A table of one row an image: for search, clustering or a classifier of your own. `deepinfomax evaluate FILE`
    measures it. With several parts (`--split train+test`) a column `split` says which part a row comes from.

    Settings of the data can follow, e.g. `data.skip_bad true`.
    """
    with terminal.starting():
        from deepinfomax.evaluation.embed_command import embed_command

    result = embed_command(
        run,
        data,
        out,
        settings=words.overrides(context),
        level=level,
        average=None if average is None else words.names(average),
        split=split,
        data_root=data_root,
        seed=seed,
        device=device,
    )
    terminal.show(result, as_json)
