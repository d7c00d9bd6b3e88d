"""`deepinfomax train`: words -> configuration -> images -> run folder."""

import dataclasses
import functools
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from torch import distributed

from deepinfomax import config as configuration
from deepinfomax import data as data_room
from deepinfomax.config import Config
from deepinfomax.data.augmentation import Augmentation
from deepinfomax.data.images import ImageSet
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
    if not resume and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} exists; continue it with --resume, or choose another --out")

    images = load_images(config)
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
    result["text"] = f"trained {out} in {seconds:.0f} s; next: deepinfomax evaluate {out}"
    return result


def data_command(
    data: str, *, root: Path | None, size: int | None, skip_bad: bool | None, settings: Mapping[str, Any]
) -> tuple[dict[str, Any], str]:
    """What DATA is, under these settings of a configuration's section `data`: as a tree, and as lines of text."""
    given = {"data.size": size, "data.skip_bad": skip_bad}
    changes = {name: value for name, value in given.items() if value is not None} | dict(settings)
    fields = dataclasses.asdict(with_data_settings(with_source(named_recipe(), data, root), changes).data)
    for own in ("source", "split"):
        fields.pop(own)
    found = data_room.describe_readable(data, **fields)
    return found, data_room.render_description(found)


def with_source(config: Config, source: str, root: Path | None) -> Config:
    """The configuration with other data; names and folders as they were typed: one may be called 2024 or true."""
    root_there = config.data.root if root is None else str(root)
    return dataclasses.replace(config, data=dataclasses.replace(config.data, source=source, root=root_there))


def with_data_settings(config: Config, settings: Mapping[str, Any]) -> Config:
    """The configuration with other fields in its section `data`; raises UserError for any other section."""
    others = [name for name in settings if not name.startswith("data.")]
    if others:
        raise UserError(f"{others[0]} is a setting of training; only data.FIELD VALUE can follow this command")
    return configuration.override(config, settings) if settings else config


def load_images(config: Config, split: str | None = None) -> ImageSet:
    """The images a configuration names, by default the part to train on; `data.limit` applies to that part only."""
    fields = dataclasses.asdict(config.data)
    source, own, limit = fields.pop("source"), fields.pop("split"), fields.pop("limit")
    return data_room.load(source, split=split or own, limit=None if split == "test" else limit, **fields)


def titles_of(config: Config, images: ImageSet, split: str | None = None) -> list[str] | None:
    """What the images that `load_images` gave are called in their source; None where they have no names."""
    data = config.data
    split = split or data.split
    limit = None if split == "test" else data.limit
    return data_room.titles(data.source, images, split, root=data.root, limit=limit, holdout=data.holdout)


def as_trained(config: Config, images: ImageSet) -> ImageSet:
    """The view of each image that matches training's, without chance: the centre where training cropped at random.

    A copy of the set in memory, in its own type; the set itself where training changes no shape.
    """
    view = Augmentation(**config.augmentation).eval()
    shape = view.output_shape(images.shape)
    if shape == images.shape:
        return images
    seen = np.empty((len(images), *shape), images.images.dtype)
    for start in range(0, len(images), 1000):  # a memory map is read in parts
        part = torch.from_numpy(np.array(images.images[start : start + 1000]))
        seen[start : start + len(part)] = view(part).numpy()
    return dataclasses.replace(images, images=seen)


def _free_folder(parent: Path, config: Config) -> Path:
    """parent/DATA-RECIPE, with a number behind it where that is taken."""
    base = f"{Path(config.data.source).stem or 'data'}-{config.recipe or 'config'}".replace("/", "-")
    candidate, number = parent / base, 2
    while candidate.exists():
        candidate, number = parent / f"{base}-{number}", number + 1
    return candidate
