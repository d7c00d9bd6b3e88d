"""Checks of a command's arguments before torch is imported, so that a mistyped name is reported at once.

Each function takes one argument as typed and returns it unchanged, or raises a UserError.
"""

import sys
from pathlib import Path

from deepinfomax import files
from deepinfomax.errors import UserError
from deepinfomax.scales import SCALES
from deepinfomax.started_together import speaks


def data(name: str | None) -> str | None:
    """DATA: a name, a path that exists, or what may be an id on the hub; a setting in its place is left alone."""
    from deepinfomax.data.names import EMBEDDED, check_there

    if name is not None and not is_setting(name):
        check_there(name)
        if name in EMBEDDED and Path(name).exists() and speaks():
            print(
                f"note: {name} is read as the set that comes along; the one in this folder is ./{name}", file=sys.stderr
            )
    return name


#: beginnings of settings, as people type them; `config` knows all, and takes longer to import
SECTIONS = ("data.", "training.", "encoder.", "augmentation.", "objective.", "local.", "global.", "prior.")


def is_setting(word: str) -> bool:
    """Whether a word in place of DATA is the first setting, because DATA was left out."""
    return word.startswith(SECTIONS) and not Path(word).exists()


def run(folder: Path | None) -> Path | None:
    """RUN: a run folder, or a file of embeddings."""
    if folder is not None and not folder.exists():
        raise UserError(
            f"{folder} does not exist; give a run folder, as `deepinfomax train DATA --out {folder}` makes one"
        )
    if folder is not None:
        files.check_plain(folder)
    return folder


def numbers(file: Path | None) -> Path | None:
    """X and Y: files of numbers; a table alone has no Y."""
    if file is not None and not file.exists():
        raise UserError(f"{file} does not exist; give a table (.csv, .tsv, .parquet, .npz) or a .npy file")
    return file


def of_training(
    data: str | None, recipe: str | None, config: Path | None, scale: str | None, resume: bool, out: Path | None
) -> None:
    """Check the options of `train` together. DATA may be left out if a run is continued, which knows its data.

    Raises:
        UserError: two options that exclude each other, one that needs another, or no such file.
    """
    if (data is None or is_setting(data)) and not resume:
        given = f"{data} stands in its place: " if data is not None else ""
        raise UserError(f"DATA is missing: {given}give the images to train on first, as in `deepinfomax train IMAGES`")
    if resume and out is None:
        raise UserError("--resume needs --out RUN, the run folder to continue")
    if recipe is not None and config is not None:
        raise UserError("give --recipe or --config, not both")
    if scale is not None and config is not None:
        raise UserError("--scale belongs to --recipe; a --config says all by itself")
    if config is not None and not config.exists():
        raise UserError(f"no configuration at {config}; `deepinfomax train DATA --recipe NAME` needs none")
    if resume and out is not None and not out.exists():
        raise UserError(f"{out} is no run folder: it does not exist; `deepinfomax train DATA --out {out}` makes one")


def recipe(name: str | None) -> str | None:
    """--recipe: a name."""
    from deepinfomax.recipes import check_name

    if name is not None:
        check_name(name)
    return name


def scale(name: str | None) -> str | None:
    """--scale: a name."""
    if name is not None and name not in SCALES:
        raise UserError(f"unknown scale {name!r}; choose one of {', '.join(SCALES)}")
    return name
