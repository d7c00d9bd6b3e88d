"""`deepinfomax train`: a run folder from images."""

from pathlib import Path
from typing import Annotated

import typer

from deepinfomax.commands import arguments, options, terminal, words


def train(
    context: typer.Context,
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA",
            help=options.DATA_HELP,
            show_default="with --resume those of the run",
            callback=arguments.data,
        ),
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="What to train: dim-fast (default), dim-local, ...", callback=arguments.recipe)
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A config.toml instead of a recipe.")] = None,
    scale: Annotated[
        str | None,
        typer.Option(help="smoke, cpu or paper; each recipe has its own default.", callback=arguments.scale),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the images.")] = None,
    out: Annotated[Path | None, typer.Option(help="The run folder; runs/DATA-RECIPE by default.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")] = False,
    data_root: options.Root = None,
    seed: Annotated[int | None, typer.Option(min=0, max=options.LAST_SEED, help="Seed of everything random.")] = None,
    device: options.Device = None,
    processes: options.Processes = None,
    as_json: options.Json = False,
) -> None:
    """Train an encoder on DATA; labels are not needed.

    \b
    A recipe says what is trained:
      dim-fast         for classes, search and few labels, in minutes (default)
      cpu, dim-local   the paper's method, in minutes and at the paper's size
      dim-global, ...  for the whole image at once
      ae, vae, aae     for reconstruction: y suffices to draw the image again
      simclr, cpc, ... other methods, to compare with
    `deepinfomax recipes` lists all, each with a sentence.

    Any setting can follow, e.g. `training.lr 3e-4 local.bound jsd`. If DATA has no test part, `data.holdout 0.1` keeps
    a tenth of the images out of training, for measuring.
    """
    arguments.of_training(data, recipe, config, scale, resume, out)
    options.start(processes)
    with terminal.starting():
        from deepinfomax.training.train_run import train_command

    data = words.data_or_setting(data, context)
    overrides = words.overrides(context)
    result = train_command(
        data,
        recipe=recipe,
        config_file=config,
        scale=scale,
        epochs=epochs,
        out=out,
        resume=resume,
        data_root=data_root,
        seed=seed,
        device=device,
        overrides=overrides,
    )
    terminal.show(result, as_json)
