"""`deepinfomax train`: from the words of the command line to a trained run folder."""

import functools
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelerate import PartialState
from torch import nn

from deepinfomax import config as configuration
from deepinfomax import files
from deepinfomax.config import Config
from deepinfomax.data import photos
from deepinfomax.data.arrays import word_of
from deepinfomax.data.configured import as_trained, load_images, names_of, tell_notes, with_source
from deepinfomax.data.images import ImageSet
from deepinfomax.data.loading import has_test_part, suggested_holdout
from deepinfomax.data.names import found_once
from deepinfomax.data.stored import printable
from deepinfomax.data.streaming import has_part, stream_of
from deepinfomax.errors import UserError, count_of
from deepinfomax.progress import shown
from deepinfomax.recipes import DEFAULT
from deepinfomax.recipes import recipe as named_recipe
from deepinfomax.training import run_folder
from deepinfomax.training.live_line import duration
from deepinfomax.training.loop import train
from deepinfomax.training.processes import end_group, others_there

SAMPLE_OF_TRAINING = 4000  #: images of a stream that a run keeps for its first layer and its report


def train_command(
    data: str | None,
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
    """Train one run and write its report; returns its folder, its last figures and the commands to use next.

    Args:
        data: DATA; None: that of the configuration, for a run that is resumed.
    """
    config = _base(recipe, config_file, scale, out if resume else None)
    changes: dict[str, Any] = dict(overrides)
    if seed is not None:
        changes["seed"] = seed
    if epochs is not None:
        changes |= {"training.epochs": epochs, "training.steps": None}
    if data is None and resume and out is not None and "data.source" not in changes:
        run_folder.check_data_there(out, config)
    source = config.data.source if data is None else data
    config = with_source(configuration.override(config, changes), source, data_root)
    out = out or _free_folder(Path("runs"), config)
    try:
        str(out).encode()
    except UnicodeEncodeError:
        raise UserError(f"--out {printable(str(out))} is no name in UTF-8; choose another") from None
    if not resume:
        run_folder.check_free(out)

    with shown(f"reading {printable(config.data.source)}"), found_once():
        stream = stream_of(config.data, count=SAMPLE_OF_TRAINING) if config.data.stream else None
        images = load_images(config) if stream is None else stream.sample
        there, holdout = _test_part(config)
    tell_notes(images)
    began = time.perf_counter()
    try:
        about: dict[str, Any] = {"test_part": there, "suggested_holdout": holdout}
        if config.data.source == "photos":
            about["task"] = photos.TASK
        with others_there(f"--resume goes on from the last checkpoint of {printable(out)}, where there is one"):
            encoder = train(config, stream or images, out, resume=resume, device=device, about=about)
    finally:
        end_group()
    seconds = time.perf_counter() - began
    if PartialState().is_main_process:
        _write_report(config, encoder, images, out, device)
    advice = _next(images, out, there, holdout)
    shown_to_it = f"{len(images):,} {word_of(images.shape, len(images))}"
    if stream is not None:
        shown_to_it = f"a stream of {count_of(len(stream.shards), 'shard')}"
    said = f"trained {out} on {shown_to_it} in {duration(seconds)}"
    return {
        "run": str(out),
        "images": len(images) if stream is None else stream.shards.count,
        "seconds": round(seconds, 1),
        "report": str(out / files.REPORT),
        "next": list(advice.values()),
        "text": "\n".join([said, *_advice_in_words(advice, out, None if there else holdout)]),
    }


def _base(recipe: str | None, config_file: Path | None, scale: Any, resumed: Path | None) -> Config:
    """The configuration before any setting of the command line: of the resumed run, of a file, or of a recipe."""
    if resumed is not None and recipe is None and config_file is None and scale is None:
        config = run_folder.read_config(resumed)
        run_folder.tell_changed(resumed)
        return config
    return named_recipe(recipe or DEFAULT, scale) if config_file is None else configuration.load(config_file)


def _write_report(config: Config, encoder: nn.Module, images: ImageSet, out: Path, device: str | None) -> None:
    """Write the gallery and the report; after Ctrl-C, say that the encoder is saved and how to get the report."""
    from deepinfomax.evaluation.gallery import write_gallery
    from deepinfomax.report import write

    try:
        with shown("writing the report"):
            view = functools.partial(as_trained, config)
            write_gallery(
                encoder, images, out, view=view, names=names_of(config, images), seed=config.seed, device=device
            )
            write(out)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"the trained encoder is saved in {out}, the report is not; "
            f"deepinfomax neighbours {shlex.quote(str(out))} writes it"
        ) from None


def _test_part(config: Config) -> tuple[bool, float | None]:
    """Whether the data have test images; if not, also the fraction that can be held out for measuring."""
    data = config.data
    if data.stream:
        return has_part(data, "test"), None
    columns: dict[str, Any] = {"root": data.root, "image": data.image, "label": data.label, "window": data.window}
    if has_test_part(data.source, holdout=data.holdout, **columns):
        return True, None
    return False, suggested_holdout(data.source, **columns)


def _next(images: ImageSet, out: Path, test_part: bool, holdout: float | None) -> dict[str, str]:
    """Commands to use next, which work for these data."""
    folder, advice = shlex.quote(str(out)), {}
    if len(images) > 1:
        advice["neighbours"] = f"deepinfomax neighbours {folder} --query 0"
    if test_part or holdout is not None:
        advice["measure"] = f"deepinfomax evaluate {folder}{'' if test_part else f' data.holdout {holdout}'}"
    return advice


def _advice_in_words(advice: Mapping[str, str], out: Path, holdout: float | None) -> list[str]:
    """Lines that name the report and the commands to use next.

    Args:
        holdout: the fraction to hold out where there is no test part; None: there is one, or nothing can be held out.
    """
    said = []
    if "measure" in advice and holdout is not None:
        given = f"train with data.holdout {holdout:g} to keep some apart"
        said.append(f"there is no test part, so `measure` takes images that it was trained on; {given}")
    lines = {"report": str(out / files.REPORT), **advice}
    return [*said, "", *(f"  {what:11s}{line}" for what, line in lines.items())]


def _free_folder(parent: Path, config: Config) -> Path:
    """parent/DATA-RECIPE, with a number added if that folder exists."""
    base = f"{Path(config.data.source).stem or 'data'}-{config.recipe or 'config'}".replace("/", "-")
    candidate, number = parent / base, 2
    while candidate.exists():
        candidate, number = parent / f"{base}-{number}", number + 1
    return candidate
