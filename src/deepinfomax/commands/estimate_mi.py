"""`deepinfomax estimate-mi`: how much two columns of numbers tell of each other."""

from pathlib import Path
from typing import Annotated

import typer

from deepinfomax.commands import options, terminal, words


def estimate_mi(
    x: Annotated[Path, options.numbers("X", "A table (.csv, .tsv, .parquet, .npz), or .npy of (n,) or (n, units).")],
    y: Annotated[
        Path | None, options.numbers("[Y]", "A second file, where the first is x: row i of both was drawn together.")
    ] = None,
    x_columns: Annotated[str, typer.Option("--x", help="Columns of the table on one side, by comma.")] = "",
    y_columns: Annotated[
        str, typer.Option("--y", help="Columns on the other; alone: every column is ranked by what it tells of it.")
    ] = "",
    given: Annotated[str, typer.Option(help="Columns that are known: what x and y share beyond them.")] = "",
    matrix: Annotated[bool, typer.Option("--matrix", help="Every two columns of the table, or of --x.")] = False,
    p_value: Annotated[bool, typer.Option("--test", help="Also the p-value of independence, by shuffling.")] = False,
    out: Annotated[Path | None, typer.Option("--report", help="Write a page of HTML about the result.")] = None,
    convergence: Annotated[
        bool, typer.Option("--convergence", help="Also by number of pairs and width of the critic; five times as long.")
    ] = False,
    groups: Annotated[
        str | None, typer.Option(help="The column (subject, file) that tells which rows belong together.")
    ] = None,
    block: Annotated[int | None, typer.Option(help="Of a series: so many successive rows belong together.")] = None,
    numbers: Annotated[str, typer.Option(help="Columns of whole numbers that are quantities, not labels.")] = "",
    drop_missing: Annotated[
        bool, typer.Option("--drop-missing", help="Leave out rows with a missing value in a column that is used.")
    ] = False,
    estimator: Annotated[
        str,
        typer.Option(
            help="auto, infonce, dv, mine, nwj, jsd-lb, jsd-dv, jsd-nwj, smile, ksg. jsd is taken as jsd-nwj: a critic "
            "trained by JSD, read by NWJ."
        ),
    ] = "infonce",
    critic: Annotated[str, typer.Option(help="separable, featurewise (for many columns) or joint.")] = "separable",
    transform: Annotated[str, typer.Option(help="Of each column: standard, rank, asinh or none.")] = "standard",
    repeats: Annotated[int, typer.Option(help="Trainings, each with its own split and seed.")] = 1,
    folds: Annotated[int | None, typer.Option(help="Cross-fitting: so many trainings read every pair once.")] = None,
    shuffles: Annotated[int, typer.Option(help="Of --test, instead of its own number.")] = 0,
    steps: Annotated[int, typer.Option(help="Training steps at most.")] = 2000,
    batch_size: Annotated[int, typer.Option(help="Pairs of a batch.")] = 128,
    lr: Annotated[float, typer.Option(help="Learning rate at the start.")] = 5e-4,
    tau: Annotated[float, typer.Option(help="Clip of smile.")] = 5.0,
    neighbours: Annotated[int, typer.Option(help="Neighbours that ksg goes by.")] = 3,
    seed: options.Seed = 0,
    device: options.Device = None,
    as_json: options.Json = False,
) -> None:
    """Say how much two columns of numbers tell of each other.

    In nats, with an interval and what speaks against it. Two files, or columns of one table:

    deepinfomax estimate-mi table.csv --x height,weight --y diagnosis --test --report out.html
    """
    with terminal.starting():
        from deepinfomax.information.mi_command import estimate_mi_command

    result = estimate_mi_command(
        x,
        y,
        x=words.names(x_columns),
        y=words.names(y_columns),
        given=words.names(given),
        groups=groups,
        numbers=words.names(numbers),
        drop_missing=drop_missing,
        matrix=matrix,
        test=p_value,
        convergence=convergence,
        report=out,
        block=block,
        estimator=estimator,
        critic=critic,
        transform=transform,
        repeats=repeats,
        folds=folds,
        shuffles=shuffles,
        steps=steps,
        batch_size=batch_size,
        lr=lr,
        tau=tau,
        neighbours=neighbours,
        seed=seed,
        device=device,
    )
    terminal.show(result, as_json)
