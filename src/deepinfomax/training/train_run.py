"""`deepinfomax train`: words -> configuration -> images -> run folder."""

import functools
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelerate import PartialState
from torch import distributed

from deepinfomax import config as configuration
from deepinfomax import files
from deepinfomax.config import Config
from deepinfomax.data.configured import as_trained, load_images, tell_notes, with_source
from deepinfomax.data.images import ImageSet
from deepinfomax.data.loading import has_test_part
from deepinfomax.data.stored import printable
from deepinfomax.errors import UserError
from deepinfomax.recipes import recipe as named_recipe
from deepinfomax.training import run_folder
from deepinfomax.training.loop import train


def train_command(
    data: str,
    *,
    recipe: str | None,
    config_file: Path | None,
    scale: Any,
    epochs: int | None,
    out: Path | None,
    resume: bool,
    data_root: Path | None,
    seed: int | None,
    device: str | None,
    overrides: Mapping[str, Any],
) -> dict[str, Any]:
    """Train one run and write its report; returns where it is and how it went."""
    if resume and out is None:
        raise UserError("--resume needs --out RUN, the run folder to continue")
    if recipe is not None and config_file is not None:
        raise UserError("give --recipe or --config, not both")
    if scale is not None and config_file is not None:
        raise UserError("--scale belongs to --recipe; a --config says all by itself")
    plain = recipe is None and config_file is None and scale is None
    if resume and out is not None and plain:
        config = run_folder.read_config(out)
        run_folder.tell_changed(out)
    elif config_file is not None:
        config = configuration.load(config_file)
    else:
        config = named_recipe(recipe or "cpu", scale)
    changes: dict[str, Any] = dict(overrides)
    if seed is not None:
        changes["seed"] = seed
    if epochs is not None:
        changes |= {"training.epochs": epochs, "training.steps": None}
    config = with_source(configuration.override(config, changes), data, data_root)
    out = out or _free_folder(Path("runs"), config)
    try:
        str(out).encode()
    except UnicodeEncodeError:
        raise UserError(f"--out {printable(str(out))} is no name in UTF-8; choose another") from None
    if not resume:
        run_folder.check_free(out)

    images = load_images(config)
    tell_notes(images)
    began = time.perf_counter()
    try:
        encoder = train(config, images, out, resume=resume, device=device)
        PartialState().wait_for_everyone()
    finally:  # also after an error: the group's threads may abort a process that leaves them running
        if distributed.is_available() and distributed.is_initialized():
            distributed.destroy_process_group()
    seconds = time.perf_counter() - began
    if PartialState().is_main_process:
        from deepinfomax.evaluation.gallery import write_gallery
        from deepinfomax.report import write

        view = functools.partial(as_trained, config)
        write_gallery(encoder, images, out, view=view, seed=config.seed, device=device)
        write(out)
    result = {"run": str(out), "images": len(images), "seconds": round(seconds, 1), "report": str(out / "report.html")}
    result["text"] = f"trained {out} in {seconds:.0f} s; see {out / files.REPORT}; next: {_next(config, images, out)}"
    return result


def _next(config: Config, images: ImageSet, out: Path) -> str:
    """The command that makes sense next for exactly these data."""
    folder = shlex.quote(str(out))
    if images.labels is None:
        return f"deepinfomax neighbours {folder}"
    data = config.data
    there = has_test_part(data.source, root=data.root, holdout=data.holdout, image=data.image, label=data.label)
    holdout = "" if there else " data.holdout 0.2"
    return f"deepinfomax evaluate {folder}{holdout}"


def _free_folder(parent: Path, config: Config) -> Path:
    """parent/DATA-RECIPE, with a number behind it where that is taken."""
    base = f"{Path(config.data.source).stem or 'data'}-{config.recipe or 'config'}".replace("/", "-")
    candidate, number = parent / base, 2
    while candidate.exists():
        candidate, number = parent / f"{base}-{number}", number + 1
    return candidate
