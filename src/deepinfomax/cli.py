"""The commands. Every one parses its words, calls one function, prints what it returns; the logic lives there."""

import io
import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from deepinfomax import files
from deepinfomax.errors import UserError

app = typer.Typer(
    name="deepinfomax",
    help="Deep InfoMax: train an image encoder without labels, and measure what it learned.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

LAST_SEED = 2**32 - 1  #: numpy's and scikit-learn's limit
Seed = Annotated[int, typer.Option(min=0, max=LAST_SEED, help="Seed of everything random.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, mps; the best there is by default.")]
#: Every command takes --seed and --device, so that scripts need not know which of them draw or compute.
Unused = Annotated[str | None, typer.Option(help="Accepted as everywhere; this command neither draws nor computes.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Root = Annotated[Path | None, typer.Option(help="Folder of local data sets by name; or set DEEPINFOMAX_DATA.")]
DataArgument = Annotated[
    str,
    typer.Argument(help="A name (cifar10, photos), a folder of images, .parquet, .npy, .npz, .csv, a hub id."),
]
RunArgument = Annotated[Path, typer.Argument(help="A run folder.")]
#: typer carries a click of its own and exports only this descendant of the error
UsageError: type[Exception] = typer.BadParameter.__mro__[1]
_EXTRA = {"ignore_unknown_options": True, "allow_extra_args": True}


def _version(asked: bool) -> None:
    if asked:
        from deepinfomax import __version__

        print(__version__)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


@app.command()
def quickstart(
    out: Annotated[Path, typer.Option(help="Where the run folder goes.")] = Path("quickstart"),
    data: Annotated[
        str, typer.Option(help="photos (embedded, no network), or cifar10 where it is at hand.")
    ] = "photos",
    data_root: Root = None,
    seed: Seed = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Train, measure and report on real images, without network, in about a minute."""
    from deepinfomax.experiments.quickstart import run

    _print(run(data, out, root=data_root, seed=seed, device=device), as_json)


@app.command(context_settings=_EXTRA)
def train(
    context: typer.Context,
    data: DataArgument,
    recipe: Annotated[str | None, typer.Option(help="What to train: cpu (default), dim-local, dim-global, ...")] = None,
    config: Annotated[Path | None, typer.Option(help="A config.toml instead of a recipe.")] = None,
    scale: Annotated[str | None, typer.Option(help="smoke, cpu or paper; each recipe has its own default.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the images.")] = None,
    out: Annotated[Path | None, typer.Option(help="The run folder; runs/DATA-RECIPE by default.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")] = False,
    data_root: Root = None,
    seed: Annotated[int | None, typer.Option(min=0, max=LAST_SEED, help="Seed of everything random.")] = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Train an encoder on DATA. Any setting can follow, e.g. `training.lr 3e-4 local.bound jsd`."""
    from deepinfomax.training.train_run import train_command

    overrides = _overrides(context)
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
    _print(result, as_json)


@app.command(context_settings=_EXTRA)
def evaluate(
    context: typer.Context,
    run: Annotated[Path, typer.Argument(help="A run folder, or a file of embeddings (.npz, .parquet) with labels.")],
    measures: Annotated[str, typer.Option(help="Comma-separated names.")] = "mlp,linear,knn",
    data: Annotated[str | None, typer.Option(help="Measure on other data than it was trained on.")] = None,
    levels: Annotated[str | None, typer.Option(help="Comma-separated: conv, fc, y.", show_default="conv,fc,y")] = None,
    controls: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated: pixels, pixels_pca, random_encoder, supervised; or none.",
            show_default="pixels,pixels_pca,random_encoder",
        ),
    ] = None,
    scale: Annotated[str, typer.Option(help="smoke, cpu or paper: how long the probes are trained.")] = "cpu",
    limit: Annotated[int | None, typer.Option(help="Use the first so many training images.")] = None,
    data_root: Root = None,
    seed: Seed = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Measure a trained encoder, each figure beside its controls; writes evaluation.json and the report.

    Settings of the data can follow: `data.holdout 0.1` keeps a tenth for testing where DATA has no test part. Of a file
    of embeddings, writes FILE.evaluation.json beside it.
    """
    from deepinfomax.evaluation.run_commands import evaluate_command

    result, table = evaluate_command(
        run,
        settings=_overrides(context),
        measures=_names(measures),
        data=data,
        levels=None if levels is None else _names(levels),
        controls=None if controls is None else _names(controls),
        scale=scale,
        limit=limit,
        data_root=data_root,
        seed=seed,
        device=device,
    )
    _print(result, as_json, text=table)


@app.command(context_settings=_EXTRA)
def embed(
    context: typer.Context,
    run: RunArgument,
    data: DataArgument,
    out: Annotated[Path, typer.Option(help="A .parquet, .npy or .npz file.")],
    level: Annotated[str, typer.Option(help="y, fc or conv.")] = "y",
    split: Annotated[str, typer.Option(help="train or test.")] = "train",
    data_root: Root = None,
    seed: Seed = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Write the embeddings of DATA by a trained encoder, with labels where there are any.

    Settings of the data can follow, e.g. `data.skip_bad true`.
    """
    from deepinfomax.evaluation.run_commands import embed_command

    result = embed_command(
        run,
        data,
        out,
        settings=_overrides(context),
        level=level,
        split=split,
        data_root=data_root,
        seed=seed,
        device=device,
    )
    _print(result, as_json)


@app.command(context_settings=_EXTRA)
def neighbours(
    context: typer.Context,
    run: RunArgument,
    data: Annotated[str | None, typer.Argument(help="Images to search; those it was trained on by default.")] = None,
    query: Annotated[list[str] | None, typer.Option(help="An index or an image file; repeat for more.")] = None,
    beside: Annotated[
        Path | None, typer.Option(help="Another run folder: a sheet of pictures with the neighbours by both.")
    ] = None,
    count: Annotated[int, typer.Option(help="Neighbours of each query.")] = 8,
    metric: Annotated[str, typer.Option(help="l1 (the paper's, in y) or cosine.")] = "l1",
    data_root: Root = None,
    seed: Seed = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Nearest neighbours at every level; writes the gallery that the report shows.

    Settings of the data can follow, e.g. `data.limit 5000`.
    """
    from deepinfomax.evaluation.run_commands import neighbours_command

    if data is not None and data.startswith("data.") and not Path(data).exists():
        context.args.insert(0, data)  # DATA was left out, and the first setting taken for it
        data = None
    result = neighbours_command(
        run,
        data,
        query or [],
        settings=_overrides(context),
        beside=beside,
        count=count,
        metric=metric,
        data_root=data_root,
        seed=seed,
        device=device,
    )
    _print(result, as_json)


@app.command("estimate-mi")
def estimate_mi(
    x: Annotated[Path, typer.Argument(help=".npy of (n,) or (n, units).")],
    y: Annotated[Path, typer.Argument(help=".npy of (n,) or (n, units); whole numbers (n,) are labels.")],
    estimator: Annotated[str, typer.Option(help="infonce, dv, mine, nwj, jsd, smile, ksg, ...")] = "infonce",
    critic: Annotated[str, typer.Option(help="separable or joint.")] = "separable",
    transform: Annotated[str, typer.Option(help="Of each column: standard, rank, asinh or none.")] = "standard",
    repeats: Annotated[int, typer.Option(help="Trainings, each with its own split and seed.")] = 1,
    steps: Annotated[int, typer.Option(help="Training steps at most.")] = 2000,
    batch_size: Annotated[int, typer.Option(help="Pairs of a batch.")] = 128,
    lr: Annotated[float, typer.Option(help="Learning rate at the start.")] = 5e-4,
    tau: Annotated[float, typer.Option(help="Clip of smile.")] = 5.0,
    neighbours: Annotated[int, typer.Option(help="Neighbours that ksg goes by.")] = 3,
    seed: Seed = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Mutual information of two arrays, in nats, with its standard error, its cap and whether it is a lower bound."""
    from deepinfomax.information.estimation import estimate_mi_files

    result = estimate_mi_files(
        x,
        y,
        estimator=estimator,
        critic=critic,
        transform=transform,
        repeats=repeats,
        steps=steps,
        batch_size=batch_size,
        lr=lr,
        tau=tau,
        neighbours=neighbours,
        seed=seed,
        device=device,
    )
    _print(result, as_json)


@app.command()
def report(run: RunArgument, seed: Unused = None, device: Unused = None, as_json: Json = False) -> None:
    """Write report.html of a run folder anew: one file, no network."""
    from deepinfomax.report import write

    _print({"report": str(write(run))}, as_json)


@app.command()
def export(
    run: RunArgument,
    format: Annotated[str, typer.Option(help="onnx, safetensors or hub.")] = "onnx",
    out: Annotated[Path | None, typer.Option(help="File (onnx) or folder; in the run folder by default.")] = None,
    repo: Annotated[str | None, typer.Option(help="OWNER/NAME on the Hugging Face hub, for --format hub.")] = None,
    seed: Unused = None,
    device: Unused = None,
    as_json: Json = False,
) -> None:
    """Write the trained encoder for use elsewhere."""
    from deepinfomax.export import export as write

    _print(write(run, format, out=out, repo=repo), as_json)


@app.command()
def reproduce(
    what: Annotated[str, typer.Argument(help="table1, table2, ..., or a figure's name; `list` names all.")],
    scale: Annotated[str, typer.Option(help="smoke, cpu or paper.")] = "cpu",
    out: Annotated[Path | None, typer.Option(help="Folder of the runs and the result.")] = None,
    seeds: Annotated[int, typer.Option(help="How many seeds.")] = 3,
    seed: Annotated[int, typer.Option(min=0, max=LAST_SEED, help="The first of them.")] = 0,
    data_root: Root = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Rerun a table or figure of the paper at a scale, beside the published numbers."""
    from deepinfomax.experiments import reproduce as run

    _print(run(what, scale=scale, out=out, seeds=seeds, seed=seed, data_root=data_root, device=device), as_json)


@app.command("data", context_settings=_EXTRA)
def describe_data(
    context: typer.Context,
    data: DataArgument,
    size: Annotated[int | None, typer.Option(help="Resize to so many pixels.")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out what cannot be read.")] = False,
    data_root: Root = None,
    seed: Unused = None,
    device: Unused = None,
    as_json: Json = False,
) -> None:
    """Say in a few lines what DATA was understood to be.

    Settings can follow as behind `train`, e.g. `data.holdout 0.1`.
    """
    from deepinfomax.data.describe_command import data_command

    settings = _overrides(context)
    description, text = data_command(data, root=data_root, size=size, skip_bad=skip_bad or None, settings=settings)
    _print(description, as_json, text=text)


@app.command()
def recipes(as_json: Json = False, seed: Unused = None, device: Unused = None) -> None:
    """List what `train --recipe` knows."""
    from deepinfomax.recipes import says

    known = says()
    _print({"recipes": known}, as_json, text="\n".join(f"{name:28s}{what}" for name, what in known.items()))


def main() -> None:
    """The entry point: a user's mistake is one line on stderr and exit code 2."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for stream in (sys.stdout, sys.stderr):  # a terminal of another encoding shows \\u03b1 for α, and does not stop
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        # typer returns the exit code of Ctrl-C, 130, instead of raising it
        code = app(prog_name="deepinfomax", standalone_mode=False)
        if isinstance(code, int) and code:
            sys.exit(code)
    except UsageError as error:
        message = error.format_message().rstrip(".")  # type: ignore[attr-defined]
        _fail(f"{message}. See deepinfomax --help.")
    except UserError as error:
        _fail(str(error))
    except (typer.Abort, KeyboardInterrupt) as stop:
        print(f"deepinfomax: {stop}" if str(stop) else "deepinfomax: interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        name = "file system" if error.filename is None else error.filename
        _fail(f"{name if isinstance(name, int) else os.fsdecode(name)}: {error.strerror or error}")
    except (MemoryError, RuntimeError, TypeError, ValueError, OverflowError) as error:
        from deepinfomax import memory

        if not memory.is_shortage(error):
            raise
        _fail(memory.shortage(error))


def _fail(message: str) -> None:
    print(f"deepinfomax: {files.plain(' '.join(message.split()))}", file=sys.stderr)
    sys.exit(2)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip() and name.strip() != "none"]


def _overrides(context: typer.Context) -> dict[str, str]:
    """`section.field VALUE`, `--section.field VALUE` or `section.field=VALUE`, in any number."""
    words, settings = list(context.args), {}
    while words:
        word = words.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        if "." not in name and name != "seed":
            kind = "option" if word.startswith("-") else "argument"
            known = [o.lstrip("-") for p in context.command.params for o in p.opts if o.startswith("--")]
            options = ", --".join(known)
            raise UserError(f"unknown {kind} {word!r}; options are --{options}; settings are section.field VALUE")
        if not equals:
            if not words:
                raise UserError(f"{name} needs a value")
            value = words.pop(0)
        settings[name] = value
    return settings


def _print(result: dict[str, Any], as_json: bool, text: str | None = None) -> None:
    text = result.pop("text", None) if text is None else text
    if as_json:
        print(json.dumps(result, allow_nan=False))
    elif text is not None:
        print(files.plain(text))
    else:
        for name, value in result.items():
            print(files.plain(f"{name}: {json.dumps(value) if isinstance(value, dict | list) else value}"))


if __name__ == "__main__":
    main()
