"""`deepinfomax neighbours`: the images most like others."""

from pathlib import Path
from typing import Annotated

import typer

from deepinfomax.commands import arguments, options, terminal, words


def neighbours(
    context: typer.Context,
    run: options.RunArgument,
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA", help="Images to search; those it was trained on by default.", callback=arguments.data
        ),
    ] = None,
    query: Annotated[list[str] | None, typer.Option(help="An index or an image file; repeat for more.")] = None,
    beside: Annotated[
        Path | None, typer.Option(help="Another run folder: a sheet of pictures with the neighbours by both.")
    ] = None,
    on_page: Annotated[bool, typer.Option("--report", help="Add the queries to the report's page.")] = False,
    split: Annotated[
        str | None, typer.Option(help="train or test: which images to search.", show_default="the part trained on")
    ] = None,
    count: Annotated[int, typer.Option(help="Neighbours of each query.")] = 8,
    metric: Annotated[str, typer.Option(help="l1 (the paper's, in y) or cosine.")] = "l1",
    data_root: options.Root = None,
    seed: options.Seed = 0,
    device: options.Device = None,
    as_json: options.Json = False,
) -> None:
    """Find the images most similar to others, by the encoder.

    Without --query, writes the gallery of samples that the report shows. With it, also prints the neighbours of each
    query, with file and class names, and draws them.

    Settings of the data can follow, e.g. `data.limit 5000`.
    """
    with terminal.starting():
        from deepinfomax.evaluation.neighbours_command import neighbours_command

    data = words.data_or_setting(data, context)
    result = neighbours_command(
        run,
        data,
        query or [],
        settings=words.overrides(context),
        beside=beside,
        count=count,
        metric=metric,
        split=split,
        on_page=on_page,
        data_root=data_root,
        seed=seed,
        device=device,
    )
    terminal.show(result, as_json)
