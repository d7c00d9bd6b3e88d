"""`deepinfomax explore`: trains an encoder if necessary, analyses the images, and writes the page and its tables."""

import dataclasses
import os
import shlex
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from deepinfomax import config as configuration
from deepinfomax import files, memory
from deepinfomax.config import Config
from deepinfomax.data.configured import as_trained, load_images, tell_notes, with_data_settings, with_source
from deepinfomax.data.images import ImageSet
from deepinfomax.data.names import found_once
from deepinfomax.data.stored import printable
from deepinfomax.devices import choose_device, hardware
from deepinfomax.encoders import storage
from deepinfomax.errors import UserError
from deepinfomax.evaluation.controls import random_encoder
from deepinfomax.evaluation.evaluate_command import maker
from deepinfomax.evaluation.run_data import check_scale
from deepinfomax.explore import reading
from deepinfomax.explore.analysis import UNUSUAL, Exploration, explore
from deepinfomax.explore.duplicates import levelled, proposed
from deepinfomax.explore.page import added, compared, sentence, write_page
from deepinfomax.explore.representation import Representation, of_encoder, of_pixels, of_vectors
from deepinfomax.explore.tables import NAMES, table_file, write_tables
from deepinfomax.progress import announce, shown
from deepinfomax.recipes import recipe
from deepinfomax.training import run_folder
from deepinfomax.training.loop import train

STEPS = 600  #: of training by the default recipe, with flips: a minute or two on two cores for images of 32 pixels
PAGE = "explore.html"  #: in the run folder
CONTROLS = ("pixels", "random_encoder", "none")
USUAL = {"control": "pixels", "seed": 0}  #: default options, which a suggested command leaves out


@memory.enough_for("exploring", lower="data.limit or data.size")
def explore_command(
    data: str,
    *,
    run: Path | None,
    images: str | None,
    out: Path | None,
    control: str,
    settings: Mapping[str, Any],
    data_root: Path | None,
    seed: int,
    device: str | None,
) -> dict[str, Any]:
    """Explore images by an encoder, or a file of embeddings; writes the page and its tables.

    Args:
        data: images, or a file of embeddings.
        run: a run whose encoder is taken; None: one is trained on exactly these images.
        images: of a file of embeddings: the images it was made of.
        out: the page; None: inside the run folder, or beside the embeddings.
        control: the second representation that all questions are asked of: one of `CONTROLS`.
        settings: of the data; of the training too, where an encoder is trained.
    """
    began = time.perf_counter()
    if control not in CONTROLS:
        raise UserError(f"unknown --control {control!r}; choose {', '.join(CONTROLS)}")
    if out is not None and out.suffix not in (".html", ".htm"):
        raise UserError(f"--out {out} is a page: give it a name that ends in .html")
    if out is not None or run is not None:
        files.check_place(out or Path(run or "", PAGE))
    if out is not None:
        files.check_apart(out, [table_file(out, name) for name in NAMES], data, images)
    if images is not None or reading.holds_embeddings(Path(data)):
        if run is not None:
            raise UserError(f"{data} is a file of embeddings, and --run an encoder of images: leave one of them out")
        explored = _of_embeddings(Path(data), images, control, settings, data_root, seed)
        page = out or _beside(Path(data))
    else:
        explored = _of_images(data, run, control, settings, data_root, seed, device)
        page = out or Path(explored.run) / PAGE
    with shown(f"writing {page}"):
        tables = write_tables(explored.exploration, page)
        write_page(explored.exploration, page, about=explored.about, tables=tables.values(), seed=seed)
    seconds = time.perf_counter() - began
    options = {"out": out, "control": control, "data-root": data_root, "seed": seed}
    return _result(explored, page, tables, seconds, _again(data, explored.run, options, settings))


@dataclasses.dataclass(frozen=True)
class _Explored:
    """The explored collection, and how the representation was made."""

    exploration: Exploration
    about: list[tuple[str, str]]
    run: str = ""  #: the run folder of the encoder; "": there is none


def _of_images(
    data: str,
    run: Path | None,
    control: str,
    settings: Mapping[str, Any],
    root: Path | None,
    seed: int,
    device: str | None,
) -> _Explored:
    with shown(f"reading {printable(data)}"), found_once():
        config, images = _configured(data, run, settings, root, seed)
        collection = reading.collection_of(config, images)
    tell_notes(collection)
    if run is None:
        config, folder, encoder = _trained(config, images, device)
    else:
        folder, encoder = run, storage.load(run)
    seen = as_trained(config, images)
    expected = storage.describe(folder).image_shape
    if seen.shape != expected:
        shapes = ["x".join(map(str, s)) for s in (seen.shape, expected)]
        raise UserError(f"images of {shapes[0]}, but {folder} was trained on {shapes[1]}: set data.size or channels")
    check_scale(folder, encoder, config, seen)
    on = choose_device(device)
    with shown("exploring"):
        by_network = partial(of_encoder, device=on, seed=seed)
        first = collection.twins
        views = [_with_proposals(partial(by_network, encoder, name="encoder"), seen, first)]
        if control == "pixels":
            views.append(_with_proposals(partial(of_pixels, seed=seed), images, first))
        elif control == "random_encoder":
            fresh = random_encoder(_maker(folder, config, seen, encoder), seen, seed=seed, device=on)
            views.append(_with_proposals(partial(by_network, fresh, name="random encoder"), seen, first))
        (main, *beside), proposals = zip(*views, strict=True)
        exploration = explore(collection, main, *beside, proposals=proposals, seed=seed)
    about = [
        ("data", printable(config.data.source)),
        ("parts", config.data.split.replace("+", ", ")),
        *_sizes(config),
        *_said(settings),
        ("encoder", f"{'trained on these images, ' if run is None else ''}{printable(folder)}"),
        ("vectors", main.says),
        *(("control", one.says) for one in beside),
        ("seed", str(seed)),
        ("hardware", hardware(on)),
    ]
    return _Explored(exploration, about, str(folder))


def _configured(
    data: str, run: Path | None, settings: Mapping[str, Any], root: Path | None, seed: int
) -> tuple[Config, ImageSet]:
    """The images at a size that the encoder takes, and the configuration that reads exactly these."""
    if run is None:
        own = configuration.override(recipe(), {"augmentation.flip": True, "training.steps": STEPS, "seed": seed})
        config = with_source(configuration.override(own, {"data.skip_bad": True} | dict(settings)), data, root)
        return reading.of_one_size(_whole(config, settings))
    run_folder.tell_changed(run)
    run_folder.tell_older_encoder(run)
    config = with_source(run_folder.read_data_config(run), data, root)
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, limit=None, holdout=None, skip_bad=True))
    config = _whole(with_data_settings(config, settings), settings)
    shape, own_data = storage.describe(run).image_shape, config.data
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise reading.no_pictures(f"{printable(run)} was trained on {'x'.join(map(str, shape))}")
    own_data = dataclasses.replace(own_data, channels=own_data.channels or shape[0])
    if own_data.size is None and shape[-1] == shape[-2] and not config.augmentation.get("crop"):
        own_data = dataclasses.replace(own_data, size=shape[-1])
    of_the_run = dataclasses.replace(config, data=own_data)
    try:
        return of_the_run, load_images(of_the_run)
    except UserError:
        reading.pictures_of(load_images(config))  # if they are numbers, not pictures, its line says so
        raise


def _whole(config: Config, settings: Mapping[str, Any]) -> Config:
    """All parts of the data, unless the user chose one."""
    return config if "data.split" in settings else reading.all_parts(config)


def _trained(config: Config, images: ImageSet, device: str | None) -> tuple[Config, Path, nn.Module]:
    """Train an encoder on these images, in a new run folder."""
    batch = min(config.training.batch_size, 1 << (len(images).bit_length() - 1))
    if batch < config.training.batch_size:
        announce(f"note: batches of {batch} in place of {config.training.batch_size}: there are {len(images)} images")
    training = dataclasses.replace(config.training, batch_size=batch, trackers=())
    config = dataclasses.replace(config, training=training, recipe="explore")
    folder = _free(Path("runs"), f"{reading.shortened(config.data.source)}-explore".replace("/", "-"))
    encoder = train(config, images, folder, device=device, about={"test_part": False})
    return config, folder, encoder


def _free(parent: Path, name: str) -> Path:
    folder, number = parent / name, 2
    while folder.exists():
        folder, number = parent / f"{name}-{number}", number + 1
    return folder


def _with_proposals(
    represent: Callable[[ImageSet], Representation], images: ImageSet, first: np.ndarray
) -> tuple[Representation, np.ndarray]:
    """The images as vectors, and what neighbours by levelled images propose as near-copies; `first`: their twins."""
    level = represent(levelled(images))
    return represent(images), proposed(level.unit, first)


def _maker(run: Path, config: Config, images: ImageSet, encoder: nn.Module) -> Callable[[], nn.Module]:
    """What builds the same network before training, as the random encoder of `evaluate` is built."""
    make = maker(run, config, images, encoder)
    if make is None:
        raise UserError("a network of your own has no random encoder to compare with: choose --control pixels")
    return make


def _of_embeddings(
    path: Path, images: str | None, control: str, settings: Mapping[str, Any], root: Path | None, seed: int
) -> _Explored:
    of_training = [name for name in settings if not name.startswith("data.")]
    if of_training:
        raise UserError(f"nothing is trained on embeddings: leave {of_training[0]} out")
    if images is None and settings:
        raise UserError(f"{path} holds embeddings: {next(iter(settings))} needs --images, the images they are of")
    if control == "random_encoder":
        raise UserError("embeddings have no encoder to take at random: choose --control pixels")
    loaded = None
    with shown(f"reading {printable(path)}"), found_once():
        if images is not None:
            base = configuration.override(recipe(), {"data.skip_bad": True} | dict(settings))
            loaded = reading.of_one_size(_whole(with_source(base, images, root), settings))
        collection, embeddings = reading.collection_of_embeddings(path, loaded)
    tell_notes(collection)
    with shown("exploring"):
        main = of_vectors(embeddings.vectors, seed=seed)
        beside, proposals = None, []
        if collection.pictures is not None and control == "pixels":
            first = collection.twins
            beside, by_pixels = _with_proposals(partial(of_pixels, seed=seed), ImageSet(collection.pictures), first)
            proposals = [proposed(main.unit, first), by_pixels]
        exploration = explore(collection, main, beside, proposals=tuple(proposals), seed=seed)
    about = [("embeddings", printable(path)), ("vectors", main.says)]
    if images is not None:
        about += [("images", printable(images)), *_said(settings)]
    if beside is not None:
        about.append(("control", beside.says))
    return _Explored(exploration, [*about, ("seed", str(seed))])


def _sizes(config: Config) -> list[tuple[str, str]]:
    size = config.data.size
    if size is None:
        return []
    return [("size", f"{size} pixels: the shorter side is scaled to it, the centre cut out")]


def _said(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    words = " ".join(f"{name} {value}" for name, value in settings.items())
    return [("settings", printable(words))] if words else []


def _beside(path: Path) -> Path:
    """The page for a file: in the same folder, or in the current one if that folder cannot be written."""
    name = f"{path.name}.explore.html"
    return path.with_name(name) if os.access(path.parent, os.W_OK) else Path(name)


def _again(data: str, run: str, options: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """The command that makes the same page with the trained encoder, without training."""
    words = [data, "--run", run]
    for name, value in options.items():
        if value is not None and value != USUAL.get(name):
            words += [f"--{name}", str(value)]
    for name, value in settings.items():
        if name.startswith("data."):
            words += [name, str(value)]
    return " ".join(["deepinfomax", "explore", *(shlex.quote(files.printable(word)) for word in words)])


def _result(explored: _Explored, page: Path, tables: Mapping[str, Path], seconds: float, again: str) -> dict[str, Any]:
    exploration, collection = explored.exploration, explored.exploration.collection
    main = exploration.main
    result: dict[str, Any] = {
        "page": str(page),
        "tables": {name: str(path) for name, path in tables.items()},
        "images": len(collection),
        "groups": len(main.clusters),
        "grouped_by": main.clusters.method,
        "near_copies": len(main.duplicates),
        "near_copies_across_parts": int(main.duplicates.across(collection.parts).sum()),
        "outliers": int((main.outliers >= UNUSUAL).sum()),
        "labels_in_doubt": None if main.doubts is None else len(main.doubts.doubtful),
        "beside": {
            row.what: dict(zip((view.name for view in exploration.views), row.values, strict=True))
            for row in compared(exploration)
        },
        "seconds": round(seconds, 1),
    }
    if explored.run:
        result["run"] = explored.run
    lines = [sentence(exploration), added(exploration), "", f"  {'page':11s}{page}"]
    lines += [f"  {'tables':11s}{page.with_name(page.stem)}-{{{','.join(tables)}}}.csv"]
    if explored.run:
        lines.append(f"  {'again':11s}{again}")
    return result | {"text": "\n".join(lines)}
