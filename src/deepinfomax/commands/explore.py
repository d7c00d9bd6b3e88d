"""`deepinfomax explore`: what is in a folder of images, on one page."""

from pathlib import Path
from typing import Annotated

import typer

from deepinfomax.commands import arguments, options, terminal, words


def explore(
    context: typer.Context,
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="Images as for train, or a file of embeddings (.parquet, .npz, .npy).",
            callback=arguments.data,
        ),
    ],
    run: Annotated[
        Path | None,
        typer.Option(help="Take the encoder of this run instead of training one.", callback=arguments.run),
    ] = None,
    images: Annotated[
        str | None, typer.Option(help="Of a file of embeddings: the images it was made of.", callback=arguments.data)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The page, a .html file; in the run folder by default.")] = None,
    control: Annotated[
        str, typer.Option(help="What is asked the same beside it: pixels, random_encoder or none.")
    ] = "pixels",
    data_root: options.Root = None,
    seed: options.Seed = 0,
    device: options.Device = None,
    as_json: options.Json = False,
) -> None:
    """Show what is in a folder of images, on one page.

    Trains an encoder on these images, without labels, and writes a page with a map of them, groups, near-copies (also
    between train and test), outliers and, if there are labels, doubtful ones; each list with pictures, and as a CSV in
    the same folder. All results are compared with those of plain pixels.

    Settings can follow: of the data, `data.limit 5000`, and if an encoder is trained, `training.steps 2000`.
    """
    with terminal.starting():
        from deepinfomax.explore.command import explore_command

    result = explore_command(
        data,
        run=run,
        images=images,
        out=out,
        control=control,
        settings=words.overrides(context),
        data_root=data_root,
        seed=seed,
        device=device,
    )
    terminal.show(result, as_json)
