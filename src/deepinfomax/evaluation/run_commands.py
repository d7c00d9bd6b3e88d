"""`deepinfomax evaluate`, `embed` and `neighbours`: a run folder and words -> files and figures."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from deepinfomax import encoders, memory
from deepinfomax.config import Config
from deepinfomax.data.configured import as_trained, load_images, tell_notes, titles_of, with_data_settings
from deepinfomax.data.decoding import to_array
from deepinfomax.data.images import ImageSet, denormalise
from deepinfomax.data.names import read_folds
from deepinfomax.data.opening import opened
from deepinfomax.devices import choose_device
from deepinfomax.encoders import storage
from deepinfomax.errors import UserError
from deepinfomax.evaluation import evaluate, evaluate_embeddings
from deepinfomax.evaluation.embeddings import embed, write_embeddings
from deepinfomax.evaluation.gallery import write_gallery
from deepinfomax.evaluation.neighbours import METRICS, neighbours, other_neighbours
from deepinfomax.evaluation.reading import cell
from deepinfomax.evaluation.side_by_side import draw_bank, side_by_side
from deepinfomax.features import LEVELS
from deepinfomax.report import write as write_report
from deepinfomax.report.neighbour_sheet import draw
from deepinfomax.training import run_folder


@memory.enough_for("measuring", lower="--limit, or name fewer --measures, --levels and --controls")
def evaluate_command(
    run: Path,
    *,
    settings: Mapping[str, Any],
    measures: Sequence[str],
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
    own = run_folder.read_config(run)
    run_folder.tell_changed(run)
    config = _data_of(own, data, data_root, limit, settings)
    train, test = (_loaded(run, config, split) for split in ("train", "test"))
    folds = read_folds(config.data.source, config.data.root)
    if folds and config.data.limit is not None and any(m.endswith("_folds") for m in measures):
        raise UserError("folds are positions among all training images: set data.limit none")
    tell_notes(train, test)
    seen = data is None and config.data.holdout is not None and config.data.holdout != own.data.holdout
    result = evaluate(
        encoder,
        train,
        test,
        measures=measures,
        levels=LEVELS if levels is None else levels,
        controls=CONTROLS if controls is None else controls,
        scale=scale,
        seed=seed,
        device=choose_device(device),
        out=run / "evaluation.json",
        make_encoder=maker(run),
        folds=folds,
        notes=[
            *(["the encoder was trained on the test images too, without their labels"] if seen else []),
            *dict.fromkeys((*train.notes, *test.notes)),
        ],
    )
    if data is None:
        write_gallery(encoder, test, run, seed=seed, device=choose_device(device))
    return result, f"{render(result)}\n\n{write_report(run)}"


CONTROLS = ("pixels", "pixels_pca", "random_encoder")  #: unless others are asked for
BANK = 1000  #: images in which two runs are compared, as many as a gallery has


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


def maker(run: Path) -> Callable[[], nn.Module] | None:
    """What builds a fresh encoder of the same architecture, from torch's random state; None for a wrapped one."""
    description = storage.describe(run)
    if description["architecture"] == "wrapped":
        return None
    shape, arguments = tuple(description["image_shape"]), description["arguments"]
    return lambda: encoders.build(description["architecture"], shape, **arguments)


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
    config = _data_of(run_folder.read_config(run), data, data_root, None, settings)
    run_folder.tell_changed(run)
    images = _loaded(run, config, split)
    tell_notes(images)
    vectors = embed(encoder, images, levels=(level,), device=choose_device(device))[level].numpy()
    write_embeddings(out, vectors, images.labels, titles_of(config, images, split))
    return {"file": str(out), "images": len(images), "level": level, "units": vectors.shape[1]}


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
    data_root: Path | None,
    seed: int,
    device: str | None,
) -> dict[str, Any]:
    """Neighbours of each query at every level, as indices, distances and labels; without queries, a gallery.

    A query by index is not its own neighbour. With `beside`, another run, both are compared on the same images.
    """
    if metric not in METRICS:
        raise UserError(f"unknown --metric {metric!r}; choose {' or '.join(METRICS)}")
    if count < 1:
        raise UserError(f"--count {count}: ask for one neighbour or more")
    encoder = storage.load(run)
    config = _data_of(run_folder.read_config(run), data, data_root, None, settings)
    run_folder.tell_changed(run)
    images = _loaded(run, config, None)
    tell_notes(images)
    # A mistake in what is asked for should leave the gallery as it is.
    asked_for = _queries(queries, images) if queries else None
    other = None if beside is None else (beside, _alike(run, beside))
    write_gallery(encoder, images, run, count=count, metric=metric, seed=seed, device=choose_device(device))
    write_report(run)
    result: dict[str, Any] = {"metric": metric, "gallery": str(run / "gallery.npz"), "report": str(run / "report.html")}
    if other is not None:
        models = {run: encoder, other[0]: other[1]}
        result["beside"] = _beside(models, images, run, count, metric, seed, choose_device(device))
    if asked_for is None:
        return result
    pictures, titles = asked_for
    bank = embed(encoder, images, device=choose_device(device))
    asked = embed(encoder, pictures, device=choose_device(device))
    result["queries"] = []
    for i, title in enumerate(titles):
        entry: dict[str, Any] = {"query": title}
        for level in bank:
            if title.isdigit():
                query = torch.tensor([int(title)])
                index, distance = other_neighbours(bank[level], query, min(count, len(images) - 1), metric)
            else:
                index, distance = neighbours(asked[level][i : i + 1], bank[level], min(count, len(images)), metric)
            entry[level] = {
                "index": index[0].tolist(),
                "distance": [round(float(d), 6) for d in distance[0]],
                **({} if images.labels is None else {"label": np.asarray(images.labels[index[0].numpy()]).tolist()}),
            }
        result["queries"].append(entry)
    return result


def _alike(run: Path, beside: Path) -> nn.Module:
    """The encoder of the other run, which must take the same images."""
    shapes = ["x".join(map(str, storage.describe(folder)["image_shape"])) for folder in (run, beside)]
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
    if len(bank.shape) == 3:
        names = "-".join(folder.name for folder in models)
        sheet = run / f"neighbours-{names}.png"
        labels = bank.labels if bank.labels is not None and bank.labels.ndim == 1 else None
        draw(denormalise(bank.images), compared["y"].query, compared["y"].nearest, labels, bank.classes).savefig(
            sheet, dpi=150
        )
        result["sheet"] = str(sheet)
    return result


def _queries(queries: Sequence[str], images: ImageSet) -> tuple[ImageSet, list[str]]:
    """Indices into the data set, or image files brought to its shape, where it is one of images."""
    pictures = []
    for query in queries:
        if query.isascii() and query.isdigit():
            if int(query) >= len(images):
                raise UserError(f"--query {query}: there are {len(images)} images, 0 to {len(images) - 1}")
            pictures.append(np.asarray(images.images[int(query)]))
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
    return replace(images, images=np.stack(pictures), labels=None), list(queries)


def _data_of(
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


def _loaded(run: Path, config: Config, split: str | None) -> ImageSet:
    """One part as the encoder takes it; images of another size or colour are brought to what it was trained on."""
    expected = tuple(storage.describe(run)["image_shape"])
    images = as_trained(config, load_images(config, split))
    if images.shape != expected and len(expected) == 3 and expected[1] == expected[2] and expected[0] in (1, 3):
        own = replace(config.data, size=expected[2], channels=expected[0])
        images = load_images(replace(config, data=own), split)
    if images.shape != expected:
        shapes = ["x".join(map(str, s)) for s in (images.shape, expected)]
        raise UserError(
            f"images of {shapes[0]} (channels, height, width), but {run} was trained on {shapes[1]}: bring them to that"
        )
    return images
