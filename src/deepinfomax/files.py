"""The files of a run folder by name, and how any file is replaced: a kill at any moment leaves the old or the new."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CONFIG = "config.toml"
METRICS = "metrics.jsonl"
CHECKPOINT = "checkpoint"
WEIGHTS, DESCRIPTION = "encoder.safetensors", "encoder.json"
EVALUATION = "evaluation.json"
GALLERY, SAMPLE = "gallery.npz", "embeddings_sample.npz"
QUERIES = "queries.npz"  #: images somebody asked the neighbours of, for the report
RECONSTRUCTIONS, GENERATED = "reconstructions.npz", "generated.npz"
REPORT = "report.html"
LOCK = ".lock"  #: held while a process trains in the folder


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to in place of `path`; what was written takes the place of `path` when the block ends well.

    The folder is made where there is none. After an error in the block `path` is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())  # else a power cut may leave the new name on an empty file
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace the file by `text` in UTF-8."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")
