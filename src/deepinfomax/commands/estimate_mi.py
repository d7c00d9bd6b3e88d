"""`deepinfomax estimate-mi`: how much two columns of numbers tell about each other."""

from pathlib import Path
from typing import Annotated

import typer

from deepinfomax.commands import options, terminal, words


def estimate_mi(
    x: Annotated[
        Path,
        options.numbers("X", "A table (.csv, .tsv, .parquet, .npz), or an array (.npy) of shape (n,) or (n, units)."),
    ],
    y: Annotated[
        Path | None,
        options.numbers("[Y]", "A second file, if X is only one side; row i of both files belongs together."),
    ] = None,
    x_columns: Annotated[str, typer.Option("--x", help="Columns of the table for one side, comma-separated.")] = "",
    y_columns: Annotated[
        str,
        typer.Option(
            "--y", help="Columns for the other side. Without --x: rank all other columns by what they tell about these."
        ),
    ] = "",
    given: Annotated[
        str, typer.Option(help="Columns that are already known: measure what x and y share beyond them.")
    ] = "",
    matrix: Annotated[
        bool, typer.Option("--matrix", help="Estimate every pair of columns, of the table or of --x.")
    ] = False,
    p_value: Annotated[
        bool, typer.Option("--test", help="Also test by shuffling whether both sides are independent (p-value).")
    ] = False,
    out: Annotated[Path | None, typer.Option("--report", help="Write a page of HTML about the result.")] = None,
    convergence: Annotated[
        bool,
        typer.Option(
            "--convergence",
            help="Also repeat it with fewer pairs and other widths of the critic; takes five times as long.",
        ),
    ] = False,
    groups: Annotated[
        str | None, typer.Option(help="The column (subject, file) that says which rows belong together.")
    ] = None,
    block: Annotated[int | None, typer.Option(help="For a series: this many successive rows belong together.")] = None,
    numbers: Annotated[str, typer.Option(help="Columns of whole numbers that are quantities, not labels.")] = "",
    drop_missing: Annotated[
        bool, typer.Option("--drop-missing", help="Leave out rows with a missing value in a column that is used.")
    ] = False,
    estimator: Annotated[
        str,
        typer.Option(
            help="auto, infonce, dv, mine, nwj, jsd-lb, jsd-dv, jsd-nwj, smile or ksg. jsd means jsd-nwj: a critic is "
            "trained with JSD, and its value is computed with NWJ."
        ),
    ] = "infonce",
    critic: Annotated[str, typer.Option(help="separable, featurewise (for many columns) or joint.")] = "separable",
    transform: Annotated[
        str, typer.Option(help="How each column is transformed: standard, rank, asinh or none.")
    ] = "standard",
    repeats: Annotated[int, typer.Option(help="Number of trainings, each with its own split and seed.")] = 1,
    folds: Annotated[
        int | None,
        typer.Option(help="Cross-fitting: so many trainings, which together read every pair once."),
    ] = None,
    shuffles: Annotated[int, typer.Option(help="Number of shuffles for --test; 0: its own number.")] = 0,
    steps: Annotated[int, typer.Option(help="Largest number of training steps.")] = 2000,
    batch_size: Annotated[int, typer.Option(help="Pairs in a batch.")] = 128,
    lr: Annotated[float, typer.Option(help="Learning rate at the start.")] = 5e-4,
    tau: Annotated[float, typer.Option(help="Where the estimator smile clips its scores.")] = 5.0,
    neighbours: Annotated[int, typer.Option(help="Number of neighbours that the estimator ksg uses.")] = 3,
    seed: options.Seed = 0,
    device: options.Device = None,
    as_json: options.Json = False,
) -> None:
    """Measure how much two columns tell about each other.

    This is their mutual information, in nats, with an interval and with reasons to doubt it. Give two files, or columns
    of one table:

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
