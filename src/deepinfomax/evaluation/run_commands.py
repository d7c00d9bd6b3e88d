"""`deepinfomax evaluate`, `embed` and `neighbours`: a run folder and words -> files and figures."""

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from deepinfomax import config as configuration
from deepinfomax import encoders, files, memory
from deepinfomax.config import Config
from deepinfomax.data.arrays import word_of
from deepinfomax.data.configured import (
    as_trained,
    load_images,
    names_of,
    tell_notes,
    tell_other_parts,
    titles_of,
    with_data_settings,
    with_source,
)
from deepinfomax.data.decoding import to_array
from deepinfomax.data.formats import Columns
from deepinfomax.data.images import ImageSet
from deepinfomax.data.loading import has_test_part, suggested_holdout
from deepinfomax.data.names import find, read_folds
from deepinfomax.data.opening import opened
from deepinfomax.data.stored import printable
from deepinfomax.devices import choose_device
from deepinfomax.encoders import storage
from deepinfomax.encoders.standardised import Standardised, with_channels_of
from deepinfomax.errors import UserError
from deepinfomax.evaluation import evaluate, evaluate_embeddings
from deepinfomax.evaluation.embeddings import embed, write_embeddings
from deepinfomax.evaluation.gallery import write_gallery
from deepinfomax.evaluation.neighbours import METRICS
from deepinfomax.evaluation.pictures import drawable, pictures_of
from deepinfomax.evaluation.queries import (
    Asked,
    as_pictures,
    as_records,
    as_table,
    search,
    write_queries,
    write_sheet,
)
from deepinfomax.evaluation.reading import cell
from deepinfomax.evaluation.side_by_side import draw_bank, side_by_side
from deepinfomax.features import LEVELS
from deepinfomax.progress import shown
from deepinfomax.report import write as write_report
from deepinfomax.report.neighbour_sheet import draw
from deepinfomax.training import run_folder
from deepinfomax.training.building import begin


@memory.enough_for("measuring", lower="--limit, or name fewer --measures, --levels and --controls")
def evaluate_command(
    run: Path,
    *,
    settings: Mapping[str, Any],
    measures: Sequence[str] | None,
    data: str | None,
    levels: Sequence[str] | None,
    controls: Sequence[str] | None,
    scale: Any,
    limit: int | None,
    data_root: Path | None,
    seed: int,
    device: str | None,
) -> tuple[dict[str, Any], str]:
    """Measure a run and bring its report up to date; returns evaluation.json and a table.

    Or measure a file of embeddings: its figures go beside it, to FILE.evaluation.json, and are continued there (they
    are only returned where that folder is read-only).
    `levels` and `controls` of None are all levels, and those controls that cost little.
    """
    if run.is_file():
        given = {"--levels": levels, "--controls": controls, "--limit": limit, "--data": data} | dict(settings)
        if odd := [name for name, value in given.items() if value not in (None, [])]:
            raise UserError(
                f"{run} is a file of embeddings, which has no use for {', '.join(odd)}: leave it out, or "
                "evaluate a run folder"
            )
        out = run.with_name(f"{run.name}.evaluation.json") if os.access(run.parent, os.W_OK) else None
        contents = evaluate_embeddings(
            run, measures=measures, scale=scale, seed=seed, device=choose_device(device), out=out
        )
        return contents | {"file": out and str(out)}, render(contents) + (f"\n\n{out}" if out else "")
    encoder = storage.load(run)
    own = run_folder.read_data_config(run)
    run_folder.tell_changed(run)
    config = data_of(own, data, data_root, limit, settings)
    options = _options(data, limit, data_root, settings)
    with shown(f"reading {printable(config.data.source)}"):
        _check_test_part(run, config, options)
        train, test = (loaded(run, encoder, config, split) for split in ("train", "test"))
    folds = read_folds(config.data.source, config.data.root)
    if folds and config.data.limit is not None and any(m.endswith("_folds") for m in measures or ()):
        raise UserError("folds are positions among all training images: set data.limit none")
    tell_notes(train, test)
    make_encoder = maker(run, own, train, encoder)
    left_out = []
    if controls is None:
        controls = CONTROLS if make_encoder is not None else CONTROLS[:-1]  # without random_encoder
        if make_encoder is None:
            left_out = ["a network of your own has no random encoder to compare with: pass make_encoder in Python"]
    notes = [*train.notes, *test.notes, *left_out]
    if data is None and config.data.holdout is not None and config.data.holdout != own.data.holdout:
        notes.insert(0, SEEN[_trained_on_labels(run)])
    try:
        result = evaluate(
            encoder,
            train,
            test,
            measures=measures,
            levels=LEVELS if levels is None else levels,
            controls=controls,
            scale=scale,
            seed=seed,
            device=choose_device(device),
            out=run / files.EVALUATION,
            make_encoder=make_encoder,
            folds=folds,
            notes=list(dict.fromkeys(notes)),
            options=options,
        )
        with shown("writing the report"):
            if data is None:
                names = names_of(config, test, "test")
                write_gallery(encoder, test, run, names=names, seed=seed, device=choose_device(device))
            report = write_report(run)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"what was measured so far is saved in {run / files.EVALUATION}; the same command measures the rest and "
            "writes the report"
        ) from None
    return result, f"{render(result)}\n\nreport: {report}"


CONTROLS = ("pixels", "pixels_pca", "random_encoder")  #: unless others are asked for
#: what the figures of a run that held no image out carry, and the report puts beside its verdict; by whether the
#: encoder was trained on labels
SEEN = {
    False: "the encoder was trained on the test images too, without their labels",
    True: "the encoder was trained on the test images too, and on their labels",
}
LEAST_EMBEDDINGS = 20  #: rows of a file that can be split into a training and a test part of some use
BANK = 1000  #: images in which two runs are compared, as many as a gallery has


def _trained_on_labels(run: Path) -> bool:
    """Whether one of a run's objectives is the supervised one."""
    objectives = configuration.read_tree(run / files.CONFIG).get("objective", {})
    kinds = (configuration.objective_type(name, section) for name, section in objectives.items())
    return "supervised" in kinds


def _check_test_part(run: Path, config: Config, options: Sequence[str]) -> None:
    """Raises UserError for data without test images, with the command that measures all the same."""
    data = config.data
    columns: dict[str, Any] = {"root": data.root, "image": data.image, "label": data.label, "window": data.window}
    find(
        data.source, data.root, Columns(data.image, data.label, data.window)
    )  # what cannot be found at all says so itself
    if has_test_part(data.source, holdout=data.holdout, **columns):
        return
    said = f"{printable(data.source)} has no test part: set data.holdout 0.1 in training to keep a tenth of the images"
    fraction = suggested_holdout(data.source, **columns)
    if fraction is None:
        raise UserError(f"{said}, or put train and test inside it; too few images are here to hold some out now")
    command = shlex.join(["deepinfomax", "evaluate", str(run), *options, "data.holdout", str(fraction)])
    raise UserError(f"{said}; to measure this run on images that it was trained on: {command}")


def _options(data: str | None, limit: int | None, root: Path | None, settings: Mapping[str, Any]) -> list[str]:
    """The words of the command line that say which images are read."""
    named = {"--data": data, "--limit": limit, "--data-root": root}
    options = [word for name, value in named.items() if value is not None for word in (name, str(value))]
    return options + [word for name, value in settings.items() for word in (name, str(value))]


def render(evaluation: dict[str, Any]) -> str:
    """evaluation.json for a terminal: the figure of each measure and level, beside those of its controls."""
    subjects = {"trained": evaluation["measures"], **evaluation["controls"]}
    lines = []
    for measure in dict.fromkeys(m for tree in subjects.values() for m in tree):
        levels = [v for v in LEVELS if v in evaluation["measures"].get(measure, {})] or [""]
        rows = []
        for name, tree in subjects.items():
            if measure not in tree or not isinstance(tree[measure], dict):
                continue
            results = [tree[measure].get(level, tree[measure]) if level else tree[measure] for level in levels]
            if all(result is tree[measure] for result in results):  # pixels have no levels: one figure for all
                results = results[:1]
            rows.append((name, [cell(measure, result) for result in results]))
        if not rows:  # not a measure but a fact of the supervised control
            continue
        width = max([10, *(2 + len(text) for _, cells in rows for text in cells)])
        lines.append((f"{measure:26s}" + "".join(f"{level:>{width}s}" for level in levels)).rstrip())
        lines += [f"  {name:24s}" + "".join(f"{text:>{width}s}" for text in cells) for name, cells in rows]
    if "accuracy" in evaluation["controls"].get("supervised", {}):
        lines.append(f"{'supervised network':26s}{evaluation['controls']['supervised']['accuracy']:>10.3f}")
    return "\n".join([*lines, *evaluation.get("notes", [])])


def maker(run: Path, config: Config, train: ImageSet, trained: nn.Module) -> Callable[[], nn.Module] | None:
    """What builds a fresh encoder of the same architecture, which begins as the run's own did; None for a wrapped one.

    It draws from torch's random state, and standardises its input as the trained one does.
    """
    description = storage.describe(run)
    if description.architecture == "wrapped":
        return None
    channels = trained.channels if isinstance(trained, Standardised) else None

    def make() -> nn.Module:
        encoder = encoders.build(description.architecture, description.image_shape, **description.arguments)
        begin(encoder, config, train, channels)
        return with_channels_of(encoder, trained)

    return make


@memory.enough_for("the embeddings", lower="data.limit")
def embed_command(
    run: Path,
    data: str,
    out: Path,
    *,
    settings: Mapping[str, Any],
    level: str,
    split: str,
    data_root: Path | None,
    seed: int,
    device: str | None,
) -> dict[str, Any]:
    """Write one level's embeddings of DATA to a .parquet, .npy or .npz file."""
    if level not in LEVELS:
        raise UserError(f"unknown level {level!r}; choose one of {', '.join(LEVELS)}")
    if out.suffix not in (".parquet", ".npy", ".npz"):
        raise UserError(f"--out {out} must end in .parquet, .npy or .npz")
    encoder = storage.load(run)
    config = _whole_of_other(run_folder.read_data_config(run), data, data_root, settings)
    run_folder.tell_changed(run)
    with shown(f"reading {printable(config.data.source)}"):
        images = loaded(run, encoder, config, split)
    tell_notes(images)
    tell_other_parts(config, split)
    with shown(f"embedding {len(images):,} {word_of(images.shape)}"):
        vectors = embed(encoder, images, levels=(level,), device=choose_device(device))[level].numpy()
    write_embeddings(out, vectors, images.labels, titles_of(config, images, split))
    result: dict[str, Any] = {"file": str(out), "images": len(images), "level": level, "units": vectors.shape[1]}
    said = f"{out}: {len(images):,} embeddings of {vectors.shape[1]} units, {level}"
    if len(images) >= LEAST_EMBEDDINGS:
        result["next"] = [f"deepinfomax evaluate {shlex.quote(str(out))}"]
        said += f"\n\n  {'measure':11s}{result['next'][0]}"
    return result | {"text": said}


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
    config = _whole_of_other(run_folder.read_data_config(run), data, data_root, settings)
    run_folder.tell_changed(run)
    with shown(f"reading {printable(config.data.source)}"):
        images = loaded(run, encoder, config, split)
        names = names_of(config, images, split)
    tell_notes(images)
    tell_other_parts(config, split or config.data.split)
    # A mistake in what is asked for should leave the gallery as it is.
    asked_for = _queries(queries, images, partial(_asked_file, run, encoder, config)) if queries else None
    other = None if beside is None else (beside, _alike(run, beside))
    with shown("neighbours"):
        own = _are_own(run_folder.read_data_config(run), config)
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
            found = search(asked_for, images, bank, of_asked, names, count, metric)
            result["queries"] = as_records(found)
            result["text"] = as_table(found)
            if (arrays := as_pictures(found)) is not None:
                result["sheet"] = str(write_sheet(found, arrays, run))
                if on_page:
                    write_queries(arrays, run)
        result["report"] = str(write_report(run))
    if asked_for is not None:
        drawn = f"\n\n{'pictures':11s}{result['sheet']}" if "sheet" in result else ""
        result["text"] += f"{drawn}\n{'report':11s}{result['report']}"
    return result


def _alike(run: Path, beside: Path) -> nn.Module:
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
        draw(pictures_of(bank.images), compared["y"].query, compared["y"].nearest, labels, bank.classes).savefig(
            sheet, dpi=150
        )
        result["sheet"] = str(sheet)
    return result


def _is_index(query: str) -> bool:
    return query.isascii() and query.isdigit()


def _queries(queries: Sequence[str], images: ImageSet, read: Callable[[str], ImageSet] | None = None) -> Asked:
    """Indices into the data set, or files: images brought to its shape, other data as `read` reads them."""
    pictures = []
    for query in queries:
        if _is_index(query):
            if int(query) >= len(images):
                raise UserError(f"--query {query}: there are {len(images)} images, 0 to {len(images) - 1}")
            pictures.append(np.asarray(images.images[int(query)]))
            continue
        if not images.pictures and read is not None:
            found = read(query)
            if len(found) != 1:
                raise UserError(f"--query {query} holds {len(found):,} {word_of(found.shape)}: give a file of one")
            pictures.append(np.asarray(found.images[0]))
            continue
        if images.images.dtype != np.uint8 or len(images.shape) != 3:
            shape = "x".join(map(str, images.shape))
            raise UserError(f"--query {query} is no index, and data of {shape} are no images: give an index")
        channels, height, width = images.shape
        try:
            with opened(Path(query)) as picture:  # decoded as the data set was, so that its own files are themselves
                pictures.append(to_array(picture, channels, (width, height)))
        except Exception:  # damaged files make Pillow's decoders raise errors of every kind
            raise UserError(f"--query {query} is neither an index nor an image that can be read") from None
    asked = replace(images, images=np.stack(pictures), labels=None)
    return Asked(asked, tuple(queries), tuple(int(query) if _is_index(query) else None for query in queries))


def _asked_file(run: Path, encoder: nn.Module, config: Config, query: str) -> ImageSet:
    """What a file holds that somebody asks for, read as the data of the run are."""
    alone = replace(config.data, source=query, split="train", holdout=None, limit=None)
    return loaded(run, encoder, replace(config, data=alone), "train")


def data_of(
    config: Config, data: str | None, root: Path | None, limit: int | None, settings: Mapping[str, Any]
) -> Config:
    """The configuration with other data in place of its own."""
    changes: dict[str, Any] = {}
    if data is not None:
        changes |= {"source": data, "limit": None}
    if root is not None:
        changes["root"] = str(root)
    if limit is not None:
        changes["limit"] = limit
    return with_data_settings(replace(config, data=replace(config.data, **changes)), settings)


def _are_own(config: Config, changed: Config) -> bool:
    """Whether the data of a changed configuration are those of the run's own, by whatever spelling of their path."""
    return with_source(config, changed.data.source, None).data.source == config.data.source


def _whole_of_other(config: Config, data: str | None, root: Path | None, settings: Mapping[str, Any]) -> Config:
    """As `data_of`; of other data than those of the run nothing is held out, unless the settings say so."""
    changed = data_of(config, data, root, None, settings)
    if "data.holdout" in settings or _are_own(config, changed):
        return changed
    return replace(changed, data=replace(changed.data, holdout=None))


def loaded(run: Path, encoder: nn.Module, config: Config, split: str | None) -> ImageSet:
    """One part as the encoder takes it; images of another size or colour are brought to what it was trained on."""
    expected = storage.describe(run).image_shape
    channels = encoder.channels if isinstance(encoder, Standardised) else None
    if channels is not None and config.data.values == "auto":  # as they were in training, whatever these few look like
        config = replace(config, data=replace(config.data, values="kept"))
    read = load_images(config, split, channels)
    images = as_trained(config, read)
    square = len(expected) == 3 and expected[1] == expected[2]
    if images.shape != expected and read.pictures and square and expected[0] in (1, 3):
        own = replace(config.data, size=expected[2], channels=expected[0])
        images = load_images(replace(config, data=own), split, channels)
    if images.shape != expected:
        shapes = ["x".join(map(str, s)) for s in (images.shape, expected)]
        axes = " (channels, height, width)" if read.pictures else ""
        mend = "bring them to that"
        if images.shape == (*expected[1:], expected[0]) or images.shape == (expected[-1], *expected[:-1]):
            mend = "their channels are on the other side: set data.layout channels-first or channels-last"
        raise UserError(f"{word_of(images.shape)} of {shapes[0]}{axes}, but {run} was trained on {shapes[1]}: {mend}")
    name = printable(config.data.source)
    if channels is not None and images.pictures:
        raise UserError(f"{name} holds pictures of bytes, but {run} was trained on numbers of another scale")
    if channels is None and config.data.standardise and not images.pictures:
        raise UserError(
            f"{name} holds {images.images.dtype}, but {run} was trained on pictures of bytes: set data.values bytes"
        )
    return images
