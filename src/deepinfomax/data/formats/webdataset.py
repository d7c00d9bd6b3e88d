"""Tar shards in the form of webdataset: files of one sample share a name, 000017.jpg and 000017.cls."""

import hashlib
import io
import json
import tarfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from deepinfomax.data.formats.kinds import first_files
from deepinfomax.data.formats.parquet import part_name
from deepinfomax.data.formats.record import Columns, Format, damaged
from deepinfomax.data.labels import integers_of, number_labels
from deepinfomax.data.listing import files_below, listing
from deepinfomax.data.opening import extensions
from deepinfomax.data.stored import Parts, Source, StoredArrays, StoredImages, printable, stamp
from deepinfomax.errors import UserError, first_line

LOOKED_AT = 40  #: members of an archive, to tell its form
LABELS = ("cls", "label", "txt")  #: endings of files that hold a label
KEYS = ("label", "cls", "class")  #: of a .json with a label


@dataclass(frozen=True)
class Member:
    """Where a file lies in an archive."""

    shard: Path
    name: str  #: in the archive
    offset: int
    size: int

    def read(self) -> bytes:
        with self.shard.open("rb") as opened:
            opened.seek(self.offset)
            return opened.read(self.size)


Sample = dict[str, Member]  #: ending -> file


def is_shard(archive: Path) -> bool:
    """Whether the first files of an archive are samples: several files of one name, one of which holds an item."""
    if not archive.name.lower().endswith(".tar"):
        return False
    endings: dict[str, set[str]] = defaultdict(set)
    try:
        with tarfile.open(archive, "r:") as content:
            for member in islice(content, LOOKED_AT):
                if is_file(member):
                    key, ending = _split(member.name)
                    endings[key].add(ending)
    except (tarfile.TarError, OSError):
        return False
    several = [found for found in endings.values() if len(found) > 1]
    return bool(several) and all(any(map(_holds_item, found)) for found in several) and len(several) >= len(endings) / 2


def read_shards(root: Path, columns: Columns) -> Parts:
    """The samples of one shard, or of all in a folder, whose names or sub-folders may say train, test, val, ...

    An image file or a .npy is the item; a .cls, .label or .txt beside it, or a .json with a key `label`, is the label.

    Raises:
        UserError: an archive that is damaged or empty, samples without an item.
    """
    shards = _shards(root) if root.is_dir() else [root]
    by_part: dict[str, list[tuple[str, Sample]]] = defaultdict(list)
    for shard in shards:
        part = part_name(shard.relative_to(root)) if root.is_dir() else "train"
        by_part[part] += [(f"{printable(shard.name)} {key}", sample) for key, sample in _samples(shard).items()]
    if not any(by_part.values()):
        raise UserError(f"{root} holds no samples: the archive is empty")
    first = next(sample for samples in by_part.values() for _, sample in samples)
    item = columns.image or next((ending for ending in first if _holds_item(ending)), None)
    if item is None or not all(item in sample for samples in by_part.values() for _, sample in samples):
        lacking = next((n for samples in by_part.values() for n, sample in samples if item not in sample), "")
        raise UserError(
            f"{root}: every sample must have a file .{item or 'jpg'}; {lacking or 'the first'} has none: data.image "
            "names the ending"
        )
    words = {part: _labels([sample for _, sample in samples], columns, root) for part, samples in by_part.items()}
    labels, classes = number_labels(list(words.values()), where=str(root))
    return {
        part: partial(_stored, root, by_part[part], item, of_part, classes)
        for part, of_part in zip(words, labels, strict=True)
    }


def _stored(
    root: Path, samples: Sequence[tuple[str, Sample]], item: str, labels: np.ndarray | None, classes: tuple[str, ...]
) -> Source:
    digest = hashlib.sha256(item.encode())
    for shard in dict.fromkeys(sample[item].shard for _, sample in samples):
        digest.update(b"\n" + stamp(shard.resolve()))
    digest.update("\n".join(title for title, _ in samples).encode())
    members = [sample[item] for _, sample in samples]
    arrays = item.rsplit(".", 1)[-1] == "npy"

    def blobs(index: np.ndarray) -> Iterator[Any]:
        return (partial(_array, members[i]) if arrays else members[i].read() for i in index)

    kind: Callable[..., Source] = partial(StoredArrays, as_given=True) if arrays else StoredImages
    return kind(root.name, np.arange(len(samples)), blobs, lambda i: samples[i][0], digest.hexdigest(), labels, classes)


def _array(member: Member) -> np.ndarray:
    return np.load(io.BytesIO(member.read()), allow_pickle=False)


def _shards(folder: Path) -> list[Path]:
    return files_below(folder, ".tar")


def _samples(shard: Path) -> dict[str, Sample]:
    """Name -> files of each sample, in the order of the archive; plain archives only, which can be read anywhere."""
    samples: dict[str, Sample] = {}
    try:
        with tarfile.open(shard, "r:") as content:
            for member in content:
                if is_file(member):
                    key, ending = _split(member.name)
                    samples.setdefault(key, {})[ending] = Member(shard, member.name, member.offset_data, member.size)
            rest = shard.stat().st_size - content.offset  # tarfile takes half a header for the end
    except (tarfile.TarError, OSError) as error:
        raise damaged(shard, error) from None
    end = shard.stat().st_size
    cut = any(member.offset + member.size > end for sample in samples.values() for member in sample.values())
    if cut or 0 < rest < tarfile.BLOCKSIZE:
        raise UserError(f"{shard} is damaged: it is cut off")
    return samples


def is_file(member: tarfile.TarInfo) -> bool:
    """Whether a member is a file and not hidden, as the notes are that macOS puts beside each file (._000017.jpg)."""
    return member.isfile() and not member.name.rpartition("/")[2].startswith(".")


def _split(name: str) -> tuple[str, str]:
    """ "a/000017.seg.png" -> "a/000017" and "seg.png" """
    folder, _, last = name.rpartition("/")
    stem, _, ending = last.partition(".")
    return f"{folder}/{stem}".strip("/"), ending.lower()


def _holds_item(ending: str) -> bool:
    last = ending.rsplit(".", 1)[-1]
    return last == "npy" or f".{last}" in extensions()


def _labels(samples: Sequence[Sample], columns: Columns, root: Path) -> np.ndarray | None:
    """What is written as the label of each sample; None if no sample has one."""
    endings = {ending for sample in samples for ending in sample}
    wanted = LABELS if columns.label is None else (columns.label,)
    ending = next((name for name in wanted if name in endings), None)
    if ending is not None:
        texts = [_text(sample[ending]).strip() if ending in sample else "" for sample in samples]
    elif "json" in endings:
        trees = [_tree(sample["json"]) if "json" in sample else {} for sample in samples]
        names = (columns.label,) if columns.label else KEYS
        key = next((name for name in names if any(name in tree for tree in trees)), None)
        if key is None and columns.label is not None:
            raise UserError(
                f"{root} has neither a file .{columns.label} nor {columns.label} in its .json (data.label); samples "
                f"have {', '.join(sorted(endings))}"
            )
        if key is None:
            return None
        texts = [str(tree.get(key, "")) for tree in trees]
    elif columns.label is not None:
        raise UserError(f"{root} has no file .{columns.label} (data.label); samples have {', '.join(sorted(endings))}")
    else:
        return None
    return integers_of(texts)


def _text(member: Member) -> str:
    try:
        return member.read().decode()
    except UnicodeDecodeError:
        raise UserError(f"{member.shard}: {printable(member.name)} is no text in UTF-8, and no label") from None


def _tree(member: Member) -> dict[str, Any]:
    text = _text(member)
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{member.shard}: {printable(member.name)} is no JSON: {first_line(error)}") from None
    return tree if isinstance(tree, dict) else {}


def _is_folder_of_shards(folder: Path) -> bool:
    """By the first archive in it, or among the first files below."""
    archives = (folder / name for name in sorted(listing(folder).files) if name.lower().endswith(".tar"))
    first = next((file for file in chain(archives, first_files(folder)) if file.suffix.lower() == ".tar"), None)
    return first is not None and is_shard(first)


FOLDER = Format(
    "webdataset",
    "tar shards of samples, 000017.jpg beside 000017.cls; one shard is read in the same way",
    read_shards,
    folder=_is_folder_of_shards,
    columns=True,
)
