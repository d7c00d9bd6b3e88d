"""`deepinfomax embed`: a run folder and images -> a file of embeddings."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from deepinfomax import files, memory
from deepinfomax.data.arrays import word_of
from deepinfomax.data.configured import part_of_each, tell_notes, tell_other_parts, titles_of
from deepinfomax.data.names import found_once
from deepinfomax.data.stored import printable
from deepinfomax.devices import choose_device
from deepinfomax.encoders import storage
from deepinfomax.encoders.averaged import Averaged, check_copies, check_pictures
from deepinfomax.errors import UserError, count_of
from deepinfomax.evaluation.embeddings import embed, write_embeddings
from deepinfomax.evaluation.run_data import loaded, whole_of_other
from deepinfomax.features import LEVELS
from deepinfomax.progress import shown
from deepinfomax.training import run_folder

LEAST_EMBEDDINGS = 20  #: rows of a file that can be split into a training and a test part of some use


@memory.enough_for("the embeddings", lower="data.limit")
def embed_command(
    run: Path,
    data: str,
    out: Path,
    *,
    settings: Mapping[str, Any],
    level: str,
    average: Sequence[str] | None,
    split: str | None,
    data_root: Path | None,
    seed: int,
    device: str | None,
) -> dict[str, Any]:
    """Write one level's embeddings of DATA to a .parquet, .npy or .npz file.

    Where several parts are embedded, the column `split` says which part each row comes from.

    Args:
        average: copies of each picture whose embeddings are averaged, see `Averaged`; None: the picture alone.
        split: the part, or several as train+test; None: what the settings name, else train.
    """
    if level not in LEVELS:
        raise UserError(f"unknown level {level!r}; choose one of {', '.join(LEVELS)}")
    if out.suffix not in (".parquet", ".npy", ".npz"):
        raise UserError(f"--out {out} must end in .parquet, .npy or .npz")
    files.check_place(out)
    files.check_apart(out, [out], data)
    average = None if average is None else check_copies(average)
    split = split or str(settings.get("data.split", "train"))
    encoder = storage.load(run)
    config = whole_of_other(run, run_folder.read_data_config(run), data, data_root, settings)
    run_folder.tell_changed(run)
    run_folder.tell_older_encoder(run)
    with found_once():
        with shown(f"reading {printable(config.data.source)}"):
            images = loaded(run, encoder, config, split)
            titles = titles_of(config, images, split)
            parts = part_of_each(replace(config, data=replace(config.data, split=split)), images)
        tell_notes(images)
        tell_other_parts(config, split)
    if average is not None:
        check_pictures(images.shape)
        encoder = Averaged(encoder, average)
    with shown(f"embedding {len(images):,} {word_of(images.shape, len(images))}"):
        vectors = embed(encoder, images, levels=(level,), device=choose_device(device))[level].numpy()
    write_embeddings(out, vectors, images.labels, titles, images.classes, None if parts is None else parts.tolist())
    result: dict[str, Any] = {"file": str(out), "images": len(images), "level": level, "units": vectors.shape[1]}
    said = f"{out}: {count_of(len(images), 'embedding')} of {count_of(vectors.shape[1], 'unit')}, {level}"
    if average is not None:
        result["average"] = list(average)
        said += f", averaged over copies ({', '.join(average)})"
    if len(images) >= LEAST_EMBEDDINGS and (parts is None or {"train", "test"} <= set(parts)):
        result["next"] = [f"deepinfomax evaluate {shlex.quote(str(out))}"]
        said += f"\n\n  {'measure':11s}{result['next'][0]}"
    return result | {"text": said}
