"""`deepinfomax evaluate`: a run's figures, each beside its controls."""

from pathlib import Path
from typing import Annotated

import typer

from deepinfomax.commands import arguments, options, terminal, words
from deepinfomax.evaluation import purposes

HELP = f"""Measure an encoder, each figure beside its controls.

Writes evaluation.json and the report. A control is what the figure must beat: raw pixels, their principal
components, the same network untrained.

\b
Measures (--measures NAME,NAME,...) and what each is for:

\b
{purposes.listing()}

knn, linear, mlp and svm can be taken with few labels: linear_10_per_class, linear_1_percent.

Settings of the data can follow: `data.holdout 0.1` keeps a tenth for testing where DATA has no test part. Of a file
of embeddings, writes FILE.evaluation.json beside it. With --average, writes evaluation.NAMES.json in the run
folder, and leaves the report as it is.
"""


def evaluate(
    context: typer.Context,
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN",
            help="A run folder, or a file of embeddings (.npz, .parquet) with labels.",
            callback=arguments.run,
        ),
    ],
    measures: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated names.", show_default="mlp,linear,knn for classes; without labels all that need none"
        ),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Measure on other data than it was trained on.", callback=arguments.data)
    ] = None,
    levels: Annotated[str | None, typer.Option(help="Comma-separated: conv, fc, y.", show_default="conv,fc,y")] = None,
    controls: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated: pixels, pixels_pca, random_encoder, supervised; or none.",
            show_default="pixels,pixels_pca,random_encoder",
        ),
    ] = None,
    scale: Annotated[
        str, typer.Option(help="smoke, cpu or paper: how long the probes are trained.", callback=arguments.scale)
    ] = "cpu",
    average: options.Average = None,
    limit: Annotated[int | None, typer.Option(help="Use so many training images, drawn by a fixed seed.")] = None,
    data_root: options.Root = None,
    seed: options.Seed = 0,
    device: options.Device = None,
    processes: options.Processes = None,
    as_json: options.Json = False,
) -> None:
    options.start(processes)
    with terminal.starting():
        from deepinfomax.evaluation.evaluate_command import evaluate_command

    result, table = evaluate_command(
        run,
        settings=words.overrides(context),
        measures=None if measures is None else words.names(measures),
        data=data,
        levels=None if levels is None else words.names(levels),
        controls=None if controls is None else words.names(controls),
        scale=scale,
        average=None if average is None else words.names(average),
        limit=limit,
        data_root=data_root,
        seed=seed,
        device=device,
    )
    terminal.show(result, as_json, text=table)
