"""The command line: the list of all commands, and the handling of errors."""

import _thread
import io
import logging
import os
import sys
import threading
import warnings
from typing import Annotated, Any

import typer

from deepinfomax import files
from deepinfomax.commands.command import PLAIN, WITH_DATA_SETTINGS, WITH_SETTINGS, Stopped
from deepinfomax.commands.compare import compare
from deepinfomax.commands.data import describe_data
from deepinfomax.commands.doctor import doctor
from deepinfomax.commands.embed import embed
from deepinfomax.commands.estimate_mi import estimate_mi
from deepinfomax.commands.evaluate import HELP as EVALUATE_HELP
from deepinfomax.commands.evaluate import evaluate
from deepinfomax.commands.explore import explore
from deepinfomax.commands.export import export
from deepinfomax.commands.neighbours import neighbours
from deepinfomax.commands.quickstart import quickstart
from deepinfomax.commands.recipes import recipes
from deepinfomax.commands.report import report
from deepinfomax.commands.reproduce import reproduce
from deepinfomax.commands.train import train
from deepinfomax.errors import UserError
from deepinfomax.started_together import said_by_another, speaks, started

app = typer.Typer(
    name="deepinfomax",
    help="Deep InfoMax: train an image encoder without labels, and measure what it learned.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

LONGEST = 500  #: characters of a word in a message, such as a path; what was mistyped may have thousands
#: typer has its own copy of click and exports only this subclass of the error
UsageError: type[Exception] = typer.BadParameter.__mro__[1]
#: what `deepinfomax` alone says
SHORT_HELP = """\
Deep InfoMax: train an image encoder without labels, and measure what it learned.

  deepinfomax quickstart                      see all steps in about a minute; needs no network
  deepinfomax data IMAGES                     how a folder or file of images is read
  deepinfomax explore IMAGES                  what is in it: a map, groups, near-copies, outliers, doubtful labels
  deepinfomax train IMAGES --out runs/mine    train an encoder on it; no labels are needed
  deepinfomax evaluate runs/mine              measure the encoder, and compare it with raw pixels
  deepinfomax neighbours runs/mine --query A_PICTURE.jpg    find the most similar images

deepinfomax --help lists all commands; deepinfomax train --help explains one; deepinfomax recipes lists what can be
trained."""


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


# In the order of `deepinfomax --help`.
app.command(**PLAIN)(quickstart)
app.command(**WITH_SETTINGS)(train)
app.command(**WITH_DATA_SETTINGS, help=EVALUATE_HELP)(evaluate)
app.command(**WITH_DATA_SETTINGS)(embed)
app.command(**WITH_DATA_SETTINGS)(neighbours)
app.command(**WITH_SETTINGS)(explore)
app.command(**WITH_DATA_SETTINGS)(compare)
app.command("estimate-mi", **PLAIN)(estimate_mi)
app.command(**PLAIN)(report)
app.command(**PLAIN)(export)
app.command(**PLAIN)(reproduce)
app.command("data", **WITH_DATA_SETTINGS)(describe_data)
app.command(**PLAIN)(recipes)
app.command(**PLAIN)(doctor)


def main() -> None:
    """The entry point: a user's mistake is one line on stderr and exit code 2."""
    code = 0
    try:
        _run()
    except SystemExit as end:
        code = int(end.code or 0)
    processes = sys.modules.get("deepinfomax.training.processes")  # there, once something has trained
    if processes is not None and started() > 1:
        processes.leave(code)
    if code:
        sys.exit(code)


def _run() -> None:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for stream in (sys.stdout, sys.stderr):  # a terminal of another encoding shows \\u03b1 for α, and does not stop
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if sys.unraisablehook is sys.__unraisablehook__:  # not one of a program around this one
        sys.unraisablehook = _interrupt_again
    _quieten_readers()
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
        if speaks():  # one of several processes for all
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


def _quieten_readers() -> None:
    """Silence warnings of image libraries about damaged files, which this package reports in one line itself."""
    warnings.filterwarnings("ignore", module=r"PIL\b")
    logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)


def _interrupt_again(lost: Any) -> None:
    """Repeat a Ctrl-C that Python dropped, for example in the finalizer of an object."""
    if lost.exc_type is KeyboardInterrupt:
        threading.Timer(0.05, _thread.interrupt_main).start()
    else:
        sys.__unraisablehook__(lost)


def _fail(message: str) -> None:
    words = [word if len(word) <= LONGEST else f"{word[:100]}...{word[-20:]}" for word in message.split()]
    line = f"deepinfomax: {files.plain(' '.join(words))}"
    if not said_by_another(line):
        print(line, file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
