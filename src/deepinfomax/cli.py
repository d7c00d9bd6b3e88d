"""The commands. Every one parses its words, calls one function, prints what it returns; the logic lives there."""

import _thread
import io
import json
import os
import sys
import threading
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from deepinfomax import arguments, files
from deepinfomax.errors import UserError
from deepinfomax.evaluation import purposes

app = typer.Typer(
    name="deepinfomax",
    help="Deep InfoMax: train an image encoder without labels, and measure what it learned.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

LONGEST = 500  #: characters of a word in a message, such as a path; what was mistyped may have thousands
LAST_SEED = 2**32 - 1  #: numpy's and scikit-learn's limit
Seed = Annotated[int, typer.Option(min=0, max=LAST_SEED, help="Seed of everything random.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, mps; the best there is by default.")]
#: Every command takes --seed and --device, so that scripts need not know which of them draw or compute.
Unused = Annotated[str | None, typer.Option(help="Accepted as everywhere; this command neither draws nor computes.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Root = Annotated[Path | None, typer.Option(help="Folder of local data sets by name; or set DEEPINFOMAX_DATA.")]
DataArgument = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="A name (cifar10, photos), a folder of images or scans, an archive, .parquet, .npy, .h5, .csv, a hub id.",
        callback=arguments.data,
    ),
]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", callback=arguments.run)]
#: typer carries a click of its own and exports only this descendant of the error
UsageError: type[Exception] = typer.BadParameter.__mro__[1]
_EXTRA = {"ignore_unknown_options": True, "allow_extra_args": True}
#: what `deepinfomax` alone says
SHORT_HELP = """\
Deep InfoMax: train an image encoder without labels, and measure what it learned.

  deepinfomax quickstart                      see it all in about a minute, without network
  deepinfomax data IMAGES                     what a folder or file of yours was understood to be
  deepinfomax explore IMAGES                  what is in it: a map, groups, near-copies, outliers, doubtful labels
  deepinfomax train IMAGES --out runs/mine    train on it; no labels are needed
  deepinfomax evaluate runs/mine              measure it, beside what costs nothing
  deepinfomax neighbours runs/mine --query A_PICTURE.jpg

All commands: deepinfomax --help. What can be trained: deepinfomax recipes. One command: deepinfomax train --help."""


class Stopped(Exception):
    """Ctrl-C, and what there is to say of it; typer would turn it into an exit code and lose the words."""


class Command(TyperCommand):
    """A command whose usage line is written as people write it, RUN, [DATA], and whose Ctrl-C says what is saved."""

    settings: tuple[str, ...] = ()  #: what may follow, for the usage line

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            raise Stopped(str(stop)) from None

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return [*(piece.strip("{}") for piece in super().collect_usage_pieces(ctx)), *self.settings]


class WithSettings(Command):
    """A command that settings may follow."""

    settings = ("[section.field VALUE]...",)


class WithDataSettings(Command):
    """A command that settings of the data may follow."""

    settings = ("[data.field VALUE]...",)


def _numbers(name: str, says: str) -> Any:
    return typer.Argument(metavar=name, help=says, callback=arguments.numbers)


def _starting() -> AbstractContextManager[None]:
    """Something moves in a terminal while torch is imported."""
    if not sys.stderr.isatty():
        return nullcontext()
    from deepinfomax import progress

    return progress.shown("starting")


def _version(asked: bool) -> None:
    if asked:
        from deepinfomax import __version__

        print(__version__)
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        print(SHORT_HELP)


@app.command(cls=Command)
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
    """See it all in a minute: train, measure, report; no network.

    Trains on patches of photographs that come with the installation, and shows the encoder beside what costs nothing
    (raw pixels, an untrained network) and beside a network trained on the labels.
    """
    with _starting():
        from deepinfomax.experiments.quickstart import run

    _print(run(data, out, root=data_root, seed=seed, device=device), as_json)


@app.command(cls=WithSettings, context_settings=_EXTRA)
def train(
    context: typer.Context,
    data: DataArgument,
    recipe: Annotated[
        str | None, typer.Option(help="What to train: cpu (default), dim-local, ...", callback=arguments.recipe)
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A config.toml instead of a recipe.")] = None,
    scale: Annotated[
        str | None,
        typer.Option(help="smoke, cpu or paper; each recipe has its own default.", callback=arguments.scale),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the images.")] = None,
    out: Annotated[Path | None, typer.Option(help="The run folder; runs/DATA-RECIPE by default.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")] = False,
    data_root: Root = None,
    seed: Annotated[int | None, typer.Option(min=0, max=LAST_SEED, help="Seed of everything random.")] = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Train an encoder on DATA; labels are not needed.

    \b
    A recipe says what is trained:
      cpu              for classes, search and few labels, in minutes (default)
      dim-local, ...   the same at the paper's size, and its variants
      dim-global, ...  for the whole image at once
      ae, vae, aae     for reconstruction: y suffices to draw the image again
      simclr, cpc, ... other methods, to compare with
    `deepinfomax recipes` lists all, each with a sentence.

    Any setting can follow, e.g. `training.lr 3e-4 local.bound jsd`. Where DATA has no test part, `data.holdout 0.1`
    keeps a tenth of the images from training, to measure on later.
    """
    arguments.of_training(recipe, config, scale, resume, out)
    with _starting():
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


EVALUATE_HELP = f"""Measure an encoder, each figure beside its controls.

Writes evaluation.json and the report. A control is what the figure must beat: raw pixels, their principal
components, the same network untrained.

\b
Measures (--measures NAME,NAME,...) and what each is for:

\b
{purposes.listing()}

knn, linear, mlp and svm can be taken with few labels: linear_10_per_class, linear_1_percent.

Settings of the data can follow: `data.holdout 0.1` keeps a tenth for testing where DATA has no test part. Of a file
of embeddings, writes FILE.evaluation.json beside it.
"""


@app.command(cls=WithDataSettings, context_settings=_EXTRA, help=EVALUATE_HELP)
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
            help="Comma-separated names.", show_default="mlp,linear,knn; without labels reconstruction,rank,mine,ndm"
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
    limit: Annotated[int | None, typer.Option(help="Use the first so many training images.")] = None,
    data_root: Root = None,
    seed: Seed = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    with _starting():
        from deepinfomax.evaluation.run_commands import evaluate_command

    result, table = evaluate_command(
        run,
        settings=_overrides(context),
        measures=None if measures is None else _names(measures),
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


@app.command(cls=WithDataSettings, context_settings=_EXTRA)
def embed(
    context: typer.Context,
    run: RunArgument,
    data: DataArgument,
    out: Annotated[Path, typer.Option(help="A .parquet, .npy or .npz file.")],
    level: Annotated[str, typer.Option(help="y, fc or conv.")] = "y",
    split: Annotated[str, typer.Option(help="train, test, or train+test.")] = "train",
    data_root: Root = None,
    seed: Seed = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Write the embeddings of DATA, with names and labels.

    A table of one row an image: for search, clustering or a classifier of your own. `deepinfomax evaluate FILE`
    measures it.

    Settings of the data can follow, e.g. `data.skip_bad true`.
    """
    with _starting():
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


@app.command(cls=WithDataSettings, context_settings=_EXTRA)
def neighbours(
    context: typer.Context,
    run: RunArgument,
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
    data_root: Root = None,
    seed: Seed = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Find the images most like others, by the encoder.

    Without --query, writes the gallery of samples that the report shows. With it, also prints the neighbours of each
    query, with file and class names, and draws them.

    Settings of the data can follow, e.g. `data.limit 5000`.
    """
    with _starting():
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
        split=split,
        on_page=on_page,
        data_root=data_root,
        seed=seed,
        device=device,
    )
    _print(result, as_json)


@app.command(cls=WithSettings, context_settings=_EXTRA)
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
    data_root: Root = None,
    seed: Seed = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Say what is in a folder of images, on one page.

    Trains an encoder of exactly these images, without labels, and writes a page with a map of them, groups,
    near-copies (also between train and test), outliers and, where there are labels, those that are in doubt; each
    list with pictures, and as a CSV beside the page. Everything stands beside what plain pixels give.

    Settings can follow: of the data, `data.limit 5000`, and where an encoder is trained, `training.steps 2000`.
    """
    with _starting():
        from deepinfomax.explore.command import explore_command

    result = explore_command(
        data,
        run=run,
        images=images,
        out=out,
        control=control,
        settings=_overrides(context),
        data_root=data_root,
        seed=seed,
        device=device,
    )
    _print(result, as_json)


@app.command(cls=WithDataSettings, context_settings=_EXTRA)
def compare(
    context: typer.Context,
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Two run folders or more.")],
    data: Annotated[
        str | None,
        typer.Option(help="Images to measure on; the test part of the first run's data.", callback=arguments.data),
    ] = None,
    level: Annotated[str, typer.Option(help="y, fc or conv.")] = "y",
    out: Annotated[Path, typer.Option(help="The page, a .html file.")] = Path("compare.html"),
    data_root: Root = None,
    seed: Seed = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Put runs side by side, by figures that need no labels.

    A table and a page: the bound beside its cap, effective rank, uniformity, alignment, LiDAR, alpha-ReQ and normality,
    all on the same images, and accuracies where `evaluate` has measured them.

    Settings of the data can follow, e.g. `data.limit 2000`.
    """
    # Settings behind so many arguments are taken for more of them: they begin at the first that no folder is called.
    of_data = (i for i, word in enumerate(runs) if word.startswith("data.") and not Path(word).exists())
    count = next(of_data, len(runs))
    folders, context.args[:0] = [Path(word) for word in runs[:count]], runs[count:]
    for folder in folders:
        arguments.run(folder)
    with _starting():
        from deepinfomax.evaluation.compare_command import compare_command

    result = compare_command(
        folders,
        data=data,
        level=level,
        out=out,
        settings=_overrides(context),
        data_root=data_root,
        seed=seed,
        device=device,
    )
    _print(result, as_json)


@app.command("estimate-mi", cls=Command)
def estimate_mi(
    x: Annotated[Path, _numbers("X", "A table (.csv, .tsv, .parquet, .npz), or .npy of (n,) or (n, units).")],
    y: Annotated[
        Path | None, _numbers("[Y]", "A second file, where the first is x: row i of both was drawn together.")
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
    seed: Seed = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Say how much two columns of numbers tell of each other.

    In nats, with an interval and what speaks against it. Two files, or columns of one table:

    deepinfomax estimate-mi table.csv --x height,weight --y diagnosis --test --report out.html
    """
    with _starting():
        from deepinfomax.information.mi_command import estimate_mi_command

    result = estimate_mi_command(
        x,
        y,
        x=_names(x_columns),
        y=_names(y_columns),
        given=_names(given),
        groups=groups,
        numbers=_names(numbers),
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
    _print(result, as_json)


@app.command(cls=Command)
def report(run: RunArgument, seed: Unused = None, device: Unused = None, as_json: Json = False) -> None:
    """Write report.html of a run anew: one file, no network."""
    with _starting():
        from deepinfomax.report import write

    _print({"report": str(write(run))}, as_json)


@app.command(cls=Command)
def export(
    run: RunArgument,
    format: Annotated[str, typer.Option(help="onnx, pt2, safetensors or hub.")] = "onnx",
    out: Annotated[Path | None, typer.Option(help="File (onnx, pt2) or folder; in the run folder by default.")] = None,
    repo: Annotated[str | None, typer.Option(help="OWNER/NAME on the Hugging Face hub, for --format hub.")] = None,
    private: Annotated[bool, typer.Option("--private", help="Of a new repository: only you see it.")] = False,
    seed: Unused = None,
    device: Unused = None,
    as_json: Json = False,
) -> None:
    """Write the encoder for use elsewhere: ONNX, torch.export, hub.

    `deepinfomax.load` reads what --format safetensors and hub write; pt2 and onnx need nothing of this package. On the
    hub go also the settings, the figures and a model card made of them.
    """
    with _starting():
        from deepinfomax.export import export as write

    _print(write(run, format, out=out, repo=repo, private=private), as_json)


@app.command(cls=Command)
def reproduce(
    what: Annotated[
        str, typer.Argument(metavar="WHAT", help="table1, table2, ..., or a figure's name; `list` names all.")
    ],
    scale: Annotated[str, typer.Option(help="smoke, cpu or paper.", callback=arguments.scale)] = "cpu",
    out: Annotated[Path | None, typer.Option(help="Folder of the runs and the result.")] = None,
    seeds: Annotated[int, typer.Option(help="How many seeds.")] = 3,
    seed: Annotated[int, typer.Option(min=0, max=LAST_SEED, help="The first of them.")] = 0,
    data_root: Root = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Rerun a table or figure of the paper, beside its numbers."""
    with _starting():
        from deepinfomax.experiments import reproduce as run

    _print(run(what, scale=scale, out=out, seeds=seeds, seed=seed, data_root=data_root, device=device), as_json)


@app.command("data", cls=WithDataSettings, context_settings=_EXTRA)
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
    """Say what DATA was understood to be: count, size, classes.

    Settings can follow as behind `train`, e.g. `data.holdout 0.1`.
    """
    with _starting():
        from deepinfomax.data.describe_command import data_command

    settings = _overrides(context)
    description, text = data_command(data, root=data_root, size=size, skip_bad=skip_bad or None, settings=settings)
    _print(description, as_json, text=text)


@app.command(cls=Command)
def recipes(as_json: Json = False, seed: Unused = None, device: Unused = None) -> None:
    """List what can be trained, and what it is for."""
    from deepinfomax.recipes import listing, says, uses

    _print({"recipes": says(), "uses": uses()}, as_json, text=listing())


@app.command(cls=Command)
def doctor(as_json: Json = False, seed: Unused = None, device: Unused = None) -> None:
    """Say what this installation has: torch, device, data, extras.

    Versions, threads, the cache and the folder of data sets, optional packages, and what stands in the way of a run.
    Put its output into a report of a fault.
    """
    with _starting():
        from deepinfomax.doctor import doctor as examine

    _print(examine(), as_json)


def main() -> None:
    """The entry point: a user's mistake is one line on stderr and exit code 2."""
    code = 0
    try:
        _run()
    except SystemExit as end:
        code = int(end.code or 0)
    processes = sys.modules.get("deepinfomax.training.processes")  # there, once something has trained
    if processes is not None and processes.started() > 1:
        processes.leave(code)
    if code:
        sys.exit(code)


def _run() -> None:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for stream in (sys.stdout, sys.stderr):  # a terminal of another encoding shows \\u03b1 for α, and does not stop
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if sys.unraisablehook is sys.__unraisablehook__:  # not one of a program around this one
        sys.unraisablehook = _heard
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
    except (typer.Abort, KeyboardInterrupt, Stopped) as stop:
        if os.environ.get("RANK", "0") == "0":  # one of several processes speaks for all
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


def _heard(lost: Any) -> None:
    """Ctrl-C that came where Python drops an error, as in the end of an object: it comes again a moment later."""
    if lost.exc_type is KeyboardInterrupt:
        threading.Timer(0.05, _thread.interrupt_main).start()
    else:
        sys.__unraisablehook__(lost)


def _fail(message: str) -> None:
    words = [word if len(word) <= LONGEST else f"{word[:100]}...{word[-20:]}" for word in message.split()]
    print(f"deepinfomax: {files.plain(' '.join(words))}", file=sys.stderr)
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
