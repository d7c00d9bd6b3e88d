"""`deepinfomax neighbours`: a run folder and images -> those most alike, as names and pictures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from deepinfomax import files, memory
from deepinfomax.config import Config
from deepinfomax.data.arrays import Reading, word_of
from deepinfomax.data.channels import Channels
from deepinfomax.data.configured import as_trained, load_images, names_of, tell_notes, tell_other_parts
from deepinfomax.data.decoding import to_array
from deepinfomax.data.formats import format_of, suffixes, tiff
from deepinfomax.data.images import ImageSet
from deepinfomax.data.loading import decode
from deepinfomax.data.names import found_once
from deepinfomax.data.opening import MAX_PIXELS, is_image, opened
from deepinfomax.data.pictures import drawable, pictures_of
from deepinfomax.data.stored import printable
from deepinfomax.devices import choose_device
from deepinfomax.encoders import storage
from deepinfomax.errors import UserError, count_of
from deepinfomax.evaluation.embeddings import embed
from deepinfomax.evaluation.gallery import write_gallery
from deepinfomax.evaluation.neighbours import METRICS
from deepinfomax.evaluation.queries import Asked, as_pictures, as_records, as_table, search, write_queries, write_sheet
from deepinfomax.evaluation.run_data import are_own, loaded, whole_of_other
from deepinfomax.evaluation.side_by_side import draw_bank, side_by_side
from deepinfomax.features import LEVELS
from deepinfomax.progress import shown
from deepinfomax.report import write as write_report
from deepinfomax.report.neighbour_sheet import draw, save
from deepinfomax.training import run_folder

BANK = 1000  #: images in which two runs are compared, as many as a gallery has


@memory.enough_for("the embeddings", lower="data.limit")
def neighbours_command(
    run: Path,
    data: str | None,
    queries: Sequence[str],
    *,
    settings: Mapping[str, Any],
    beside: Path | None,
    count: int,
    metric: str,
    split: str | None,
    on_page: bool,
    data_root: Path | None,
    seed: int,
    device: str | None,
) -> dict[str, Any]:
    """Neighbours of each query at every level, with names, classes and distances; without queries, a gallery.

    A query by index is not its own neighbour. With `beside`, another run, both are compared on the same images. With
    `on_page` the report shows the queries.
    """
    if metric not in METRICS:
        raise UserError(f"unknown --metric {metric!r}; choose {' or '.join(METRICS)}")
    if count < 1:
        raise UserError(f"--count {count}: ask for one neighbour or more")
    if on_page and not queries:
        raise UserError("--report adds queries to the page: give one with --query")
    for query in queries:
        if not _is_index(query) and not Path(query).is_file():
            raise UserError(f"--query {query} is neither an index nor an image that can be read")
    encoder = storage.load(run)
    config = whole_of_other(run, run_folder.read_data_config(run), data, data_root, settings)
    run_folder.tell_changed(run)
    run_folder.tell_older_encoder(run)
    with found_once():
        with shown(f"reading {printable(config.data.source)}"):
            images = loaded(run, encoder, config, split)
            names = names_of(config, images, split)
        tell_notes(images)
        tell_other_parts(config, split or config.data.split)
    # A mistake in what is asked for should leave the gallery as it is.
    asked_for = None
    if queries:
        cropped = config.augmentation.get("crop") and not all(map(_is_index, queries))
        whole = load_images(config, split).shape if cropped else images.shape
        readers = partial(_asked_file, run, encoder, config), partial(_asked_picture, config, whole)
        asked_for = _queries(queries, images, *readers)
    other = None if beside is None else (beside, _encoder_beside(run, beside))
    with shown("neighbours"):
        own = are_own(run_folder.read_data_config(run), config)
        write_gallery(
            encoder,
            images,
            run,
            count=count,
            metric=metric,
            names=names,
            data="" if own else printable(images.name),
            seed=seed,
            device=choose_device(device),
        )
        result: dict[str, Any] = {"metric": metric, "gallery": str(run / files.GALLERY)}
        if other is not None:
            models = {run: encoder, other[0]: other[1]}
            result["beside"] = _beside(models, images, run, count, metric, seed, choose_device(device))
        if asked_for is not None:
            bank, of_asked = (
                embed(encoder, these, device=choose_device(device)) for these in (images, asked_for.pictures)
            )
            answers = search(asked_for, images, bank, of_asked, names, count, metric)
            result["queries"] = as_records(answers)
            result["text"] = as_table(answers)
            if (arrays := as_pictures(answers)) is not None:
                result["sheet"] = str(write_sheet(answers, arrays, run))
                if on_page:
                    write_queries(arrays, run)
        result["report"] = str(write_report(run))
    if other is not None and asked_for is None:
        result["text"] = shares_as_table(result["beside"], metric) + f"\n{'report':11s}{result['report']}"
    if asked_for is not None:
        drawn = f"\n\n{'pictures':11s}{result['sheet']}" if "sheet" in result else ""
        result["text"] += f"{drawn}\n{'report':11s}{result['report']}"
    return result


def _encoder_beside(run: Path, beside: Path) -> nn.Module:
    """The encoder of the other run, which must take the same images."""
    shapes = ["x".join(map(str, storage.describe(folder).image_shape)) for folder in (run, beside)]
    if shapes[0] != shapes[1]:
        raise UserError(f"{run} takes images of {shapes[0]} and {beside} of {shapes[1]}: compare runs of one size")
    return storage.load(beside)


def _beside(
    models: Mapping[Path, nn.Module],
    images: ImageSet,
    run: Path,
    count: int,
    metric: str,
    seed: int,
    device: torch.device,
) -> dict[str, Any]:
    """A sheet of neighbours in y by each of the runs, and at every level the share of them that have the same class."""
    bank = draw_bank(images, BANK, seed)
    embedded = {str(folder): embed(model, bank, device=device) for folder, model in models.items()}
    compared = {
        level: side_by_side(
            bank,
            {name: of_levels[level] for name, of_levels in embedded.items()},
            count=min(count, len(bank) - 1),
            metric=metric,
            seed=seed,
        )
        for level in LEVELS
        if all(level in of_levels for of_levels in embedded.values())
    }
    result: dict[str, Any] = {"chance": compared["y"].chance}
    if compared["y"].shared is not None:
        result["shared"] = {level: of_level.shared for level, of_level in compared.items()}
    if drawable(bank.shape):
        names = "-".join(folder.name for folder in models)
        sheet = run / f"neighbours-{names}.png"
        labels = bank.labels if bank.labels is not None and bank.labels.ndim == 1 else None
        save(draw(pictures_of(bank.images), compared["y"].query, compared["y"].nearest, labels, bank.classes), sheet)
        result["sheet"] = str(sheet)
    return result


def shares_as_table(beside: Mapping[str, Any], metric: str) -> str:
    """How often the nearest images are of the same class, for a terminal: a row a run, a column a level."""
    lines = []
    if "shared" in beside:
        shared = beside["shared"]
        names = list(shared["y"])
        width = max(map(len, ["chance", *names]))
        lines = [f"share of an image's nearest that have its class, by {metric}", ""]
        lines.append(" " * width + "".join(f"{level:>8s}" for level in shared))
        for name in names:
            lines.append(f"{name:{width}s}" + "".join(f"{shared[level][name][metric]:8.3f}" for level in shared))
        lines += [f"{'chance':{width}s}{beside['chance']:8.3f}", ""]
    return "\n".join([*lines, *([f"{'pictures':11s}{beside['sheet']}"] if "sheet" in beside else [])])


def _is_index(query: str) -> bool:
    return query.isascii() and query.isdigit()


def _queries(
    queries: Sequence[str],
    images: ImageSet,
    read: Callable[[str], ImageSet] | None = None,
    picture: Callable[[str, tuple[int, ...]], np.ndarray] | None = None,
) -> Asked:
    """Indices into the data set, or files.

    Args:
        read: reads a file as data that are no pictures; None: only pictures are asked for.
        picture: decodes a file of a picture to the shape of the images; None: only indices are asked for.
    """
    pictures = []
    for query in queries:
        if _is_index(query):
            if int(query) >= len(images):
                raise UserError(f"--query {query}: there are {count_of(len(images), 'image')}, 0 to {len(images) - 1}")
            if len(images) < 2:
                raise UserError(f"--query {query} is the only image: give DATA with others to search, or a file")
            pictures.append(np.asarray(images.images[int(query)]))
            continue
        if not images.pictures and read is not None:
            if is_image(Path(query)) and not any(map(query.lower().endswith, suffixes())):
                raise UserError(
                    f"--query {query} is a picture, and the data are none: give an index, or a file like theirs"
                )
            of_file = read(query)
            if len(of_file) != 1:
                raise UserError(
                    f"--query {query} holds {len(of_file):,} {word_of(of_file.shape, len(of_file))}: give a file of one"
                )
            pictures.append(np.asarray(of_file.images[0]))
            continue
        if images.images.dtype != np.uint8 or len(images.shape) != 3 or picture is None:
            shape = "x".join(map(str, images.shape))
            raise UserError(f"--query {query} is no index, and data of {shape} are no images: give an index")
        try:
            pictures.append(picture(query, images.shape))
        except UserError:
            raise
        except Exception:  # damaged files make Pillow's decoders raise errors of every kind
            raise UserError(f"--query {query} is neither an index nor an image that can be read") from None
    asked = replace(images, images=np.stack(pictures), labels=None)
    return Asked(asked, tuple(queries), tuple(int(query) if _is_index(query) else None for query in queries))


def _asked_picture(config: Config, whole: tuple[int, ...], query: str, shape: tuple[int, ...]) -> np.ndarray:
    """A picture decoded as the data set was, crop included, so that its own files are themselves.

    Args:
        whole: shape of the images before training's crop.
        shape: of the images as the encoder takes them.
    """

    def decoded(channels: int, height: int, width: int) -> np.ndarray:
        with opened(Path(query), config.data.max_pixels or MAX_PIXELS) as picture:
            return to_array(picture, channels, (width, height))

    seen = as_trained(config, ImageSet(decoded(*whole)[None])).images[0]
    return seen if seen.shape == shape else decoded(*shape)


def _asked_file(run: Path, encoder: nn.Module, config: Config, query: str) -> ImageSet:
    """What a file holds that somebody asks for, read as the data of the run are."""
    alone = replace(config.data, source=query, split="train", holdout=None, limit=None, label=None)
    if not format_of(Path(query)).columns:  # those of the run are of a list of its images
        alone = replace(alone, image=None)
    as_item = tiff.is_tiff(Path(query)) and not tiff.is_tiff(Path(config.data.source))
    read_by = _one_of_several if as_item else load_images
    return loaded(run, encoder, replace(config, data=alone), "train", read_by)


def _one_of_several(config: Config, split: str | None, channels: Channels | None) -> ImageSet:
    """A TIFF file as one item, with all its pages, as in a folder or a list of them: alone each page is an image."""
    data, file = config.data, Path(config.data.source)
    missing = channels.mean if channels is not None and data.missing == "mean" else data.missing
    reading = Reading(data.values, data.kind, data.layout, missing)
    source = tiff.of_images(file.parent, [file], None, (), ())
    return decode(source, data.size, data.channels, data.skip_bad, data.max_pixels, None, reading)
