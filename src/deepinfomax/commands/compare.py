"""`deepinfomax compare`: runs side by side."""

from pathlib import Path
from typing import Annotated

import typer

from deepinfomax.commands import arguments, options, terminal, words


def compare(
    context: typer.Context,
    runs: Annotated[list[str], typer.Argument(metavar="RUN", help="Two run folders or more.")],
    data: Annotated[
        str | None,
        typer.Option(help="Images to measure on; the test part of the first run's data.", callback=arguments.data),
    ] = None,
    level: Annotated[str, typer.Option(help="y, fc or conv.")] = "y",
    out: Annotated[Path, typer.Option(help="The page, a .html file.")] = Path("compare.html"),
    data_root: options.Root = None,
    seed: options.Seed = 0,
    device: options.Device = None,
    as_json: options.Json = False,
) -> None:
    """Compare runs, by figures that need no labels.

    A table and a page: the bound with its cap, effective rank, uniformity, alignment, LiDAR, alpha-ReQ and normality,
    all on the same images, and accuracies if `evaluate` has measured them.

    Settings of the data can follow, e.g. `data.limit 2000`.
    """
    # Settings behind so many arguments are taken for more of them: they begin at the first that no folder is called.
    count = next((i for i, word in enumerate(runs) if arguments.is_setting(word)), len(runs))
    folders, context.args[:0] = [Path(word) for word in runs[:count]], runs[count:]
    for folder in folders:
        arguments.run(folder)
    with terminal.starting():
        from deepinfomax.evaluation.compare_command import compare_command

    result = compare_command(
        folders,
        data=data,
        level=level,
        out=out,
        settings=words.overrides(context),
        data_root=data_root,
        seed=seed,
        device=device,
    )
    terminal.show(result, as_json)
