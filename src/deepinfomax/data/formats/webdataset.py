"""Tar shards in the form of webdataset: files of one sample share a name, 000017.jpg and 000017.cls."""

import hashlib
import io
import json
import tarfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from deepinfomax.data.formats.folder import counted_endings
from deepinfomax.data.formats.kinds import first_files
from deepinfomax.data.formats.parquet import part_name
from deepinfomax.data.formats.record import Columns, Format, damaged, no_classes
from deepinfomax.data.labels import are_quantities, integers_of, number_labels
from deepinfomax.data.listing import files_below, listing
from deepinfomax.data.opening import extensions, is_image
from deepinfomax.data.stored import Parts, Source, StoredArrays, StoredImages, printable, stamp
from deepinfomax.errors import UserError, first_line, listed

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
    endings: dict[str, set[str]] = defaultdict(set)
    for name in _first_names(archive):
        key, ending = _split(name)
        endings[key].add(ending)
    several = [found for found in endings.values() if len(found) > 1]
    # One name with images alone is no sample, but a way to number them: holiday.1.jpg, holiday.2.jpg.
    if len(several) == 1 and all(map(_named_like_image, several[0])):
        return False
    return bool(several) and all(any(map(_holds_item, found)) for found in several) and len(several) >= len(endings) / 2


def _first_names(archive: Path) -> list[str]:
    """The names of the first files of a plain archive; none where it cannot be read."""
    if not archive.name.lower().endswith(".tar"):
        return []
    try:
        with tarfile.open(archive, "r:") as content:
            return [member.name for member in islice(content, LOOKED_AT) if is_file(member)]
    except (tarfile.TarError, OSError):
        return []


def read_shards(root: Path, columns: Columns) -> Parts:
    """The samples of one shard, or of all in a folder, whose names or sub-folders may say train, test, val, ...

    An image file or a .npy is the item; a .cls, .label or .txt beside it, or a .json with a key `label`, is the label.
    In a folder, the archives may also hold images alone; these have no labels.

    Raises:
        UserError: an archive that is damaged or empty, samples without an item.
    """
    shards = files_below(root, ".tar") if root.is_dir() else [root]
    part_of = {shard: part_name(shard.relative_to(root)) if root.is_dir() else "train" for shard in shards}
    samples_of = {shard: _samples(shard) for shard in shards}
    if not any(samples_of.values()):
        raise UserError(f"{root} holds no samples: the archive is empty")
    notes = _beside(root) if root.is_dir() else ()
    if root.is_dir() and not columns.named and not is_shard(shards[0]):
        images, others = _images_alone(root, samples_of)
        if images:
            return _parts_of_images(root, images, part_of, (*notes, *others))
    by_part: dict[str, list[tuple[str, Sample]]] = defaultdict(list)
    for shard, samples in samples_of.items():
        by_part[part_of[shard]] += [(f"{printable(shard.name)} {key}", sample) for key, sample in samples]
    first = next(sample for samples in by_part.values() for _, sample in samples)
    item = columns.image or next((ending for ending in first if _holds_item(ending)), None)
    if item is None or not all(item in sample for samples in by_part.values() for _, sample in samples):
        lacking = next((n for samples in by_part.values() for n, sample in samples if item not in sample), "")
        raise UserError(
            f"{root}: every sample must have a file .{item or 'jpg'}; {lacking or 'the first'} has none: data.image "
            "names the ending"
        )
    notes += _unread(samples_of.values(), item)
    written = [_labels([sample for _, sample in samples], columns, root) for samples in by_part.values()]
    notes += tuple(dict.fromkeys(note for _, said in written for note in said))
    labels, classes = number_labels([words for words, _ in written], where=str(root))
    members = {part: [(title, sample[item]) for title, sample in samples] for part, samples in by_part.items()}
    return {
        part: partial(_stored, root, members[part], item, of_part, classes, notes)
        for part, of_part in zip(by_part, labels, strict=True)
    }


def _beside(root: Path) -> tuple[str, ...]:
    """The note on files in a folder of shards that are none."""
    others = [file for file in files_below(root, "") if file.suffix.lower() != ".tar"]
    return (f"files beside the .tar files, not read: {counted_endings(others)}",) if others else ()


def _unread(shards: Iterable[Sequence[tuple[str, Sample]]], item: str) -> tuple[str, ...]:
    """The note on images of samples that are not the item."""
    others = Counter(
        ending
        for samples in shards
        for _, sample in samples
        for ending in sample
        if ending != item and _holds_item(ending)
    )
    if not others:
        return ()
    endings = listed((f".{ending}" for ending in others), 5)
    return (
        f"image files not read: {others.total():,} ({endings}); of the files that have one name up to its first dot, "
        f".{item} is the image; data.image names another ending",
    )


def _images_alone(
    root: Path, samples_of: Mapping[Path, Sequence[tuple[str, Sample]]]
) -> tuple[list[Member], tuple[str, ...]]:
    """The images of archives that hold no samples, in their order, and notes; none where files beside them say more."""
    samples = [sample for samples in samples_of.values() for _, sample in samples]
    if any(any(map(_holds_item, sample)) and not all(map(_named_like_image, sample)) for sample in samples):
        return [], ()
    members = [(ending, member) for sample in samples for ending, member in sample.items()]
    others = [Path(member.name) for ending, member in members if not _named_like_image(ending)]
    notes = (f"files in the archives that are no images, not read: {counted_endings(others)}",) if others else ()
    place = {shard: number for number, shard in enumerate(samples_of)}
    images = [member for ending, member in members if _named_like_image(ending)]
    return sorted(images, key=lambda member: (place[member.shard], member.offset)), notes


def _parts_of_images(
    root: Path, images: Sequence[Member], part_of: Mapping[Path, str], notes: tuple[str, ...]
) -> Parts:
    by_part: dict[str, list[tuple[str, Member]]] = defaultdict(list)
    for member in images:
        title = printable(f"{member.shard.relative_to(root).as_posix()} {member.name}")
        by_part[part_of[member.shard]].append((title, member))
    said = "the .tar files hold images alone: read without labels; for classes unpack them into one folder per class"
    return {part: partial(_stored, root, of_part, "", None, (), (*notes, said)) for part, of_part in by_part.items()}


def _stored(
    root: Path,
    members: Sequence[tuple[str, Member]],
    item: str,
    labels: np.ndarray | None,
    classes: tuple[str, ...],
    notes: tuple[str, ...],
) -> Source:
    """`members`: each with its title. `item`: the ending of all; "" for images of any ending."""
    digest = hashlib.sha256(item.encode())
    for shard in dict.fromkeys(member.shard for _, member in members):
        digest.update(b"\n" + stamp(shard.resolve()))
    digest.update("\n".join(title for title, _ in members).encode())
    arrays = item.rsplit(".", 1)[-1] == "npy"

    def blobs(index: np.ndarray) -> Iterator[Any]:
        return (partial(_array, members[i][1]) if arrays else members[i][1].read() for i in index)

    kind: Callable[..., Source] = partial(StoredArrays, as_given=True) if arrays else StoredImages
    places, identity = np.arange(len(members)), digest.hexdigest()
    return kind(root.name, places, blobs, lambda i: members[i][0], identity, labels, classes, notes)


def _array(member: Member) -> np.ndarray:
    return np.load(io.BytesIO(member.read()), allow_pickle=False)


def _samples(shard: Path) -> list[tuple[str, Sample]]:
    """Name and files of each sample, in the order of the archive. The archive must not be compressed.

    A name that has a file of the same ending a second time begins another sample, as in two archives that were joined.
    """
    samples: list[tuple[str, Sample]] = []
    last: dict[str, Sample] = {}
    try:
        with tarfile.open(shard, "r:") as content:
            for member in content:
                if is_file(member):
                    key, ending = _split(member.name)
                    if key not in last or ending in last[key]:
                        last[key] = {}
                        samples.append((key, last[key]))
                    last[key][ending] = Member(shard, member.name, member.offset_data, member.size)
            rest = shard.stat().st_size - content.offset  # tarfile takes half a header for the end
    except (tarfile.TarError, OSError) as error:
        raise damaged(shard, error) from None
    end = shard.stat().st_size
    cut = any(member.offset + member.size > end for _, sample in samples for member in sample.values())
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
    return ending.rsplit(".", 1)[-1] == "npy" or _named_like_image(ending)


def _named_like_image(ending: str) -> bool:
    return f".{ending.rsplit('.', 1)[-1]}" in extensions()


def _labels(samples: Sequence[Sample], columns: Columns, root: Path) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """What is written as the label of each sample, None if there is none that is a class; and notes."""
    endings = {ending for sample in samples for ending in sample}
    wanted = LABELS if columns.label is None else (columns.label,)
    ending = next((name for name in wanted if name in endings), None)
    if ending == "txt" and columns.label is None and "json" in endings:  # then the text is a caption
        about = (_tree(sample["json"]) for sample in samples if "json" in sample)
        ending = None if any(key in tree for tree in about for key in KEYS) else ending
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
            return None, ()
        if any(isinstance(tree.get(key), list | dict) for tree in trees):
            return None, (f"{key} of the .json files holds several values, no class: read without labels",)
        texts = [str(tree.get(key, "")) for tree in trees]
    elif columns.label is not None:
        raise UserError(f"{root} has no file .{columns.label} (data.label); samples have {', '.join(sorted(endings))}")
    else:
        return None, ()
    words = integers_of(texts)
    return (None, (no_classes("the label of the samples"),)) if are_quantities(words) else (words, ())


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
    """By the first archive in it, or among the first files below.

    The archive holds samples; or it holds images alone, and no image lies outside of the archives.
    """
    archives = (folder / name for name in sorted(listing(folder).files) if name.lower().endswith(".tar"))
    first = next((file for file in chain(archives, first_files(folder)) if file.suffix.lower() == ".tar"), None)
    if first is None or is_shard(first):
        return first is not None
    names = _first_names(first)
    images = any(_named_like_image(_split(name)[1]) for name in names)
    return images and not any(map(is_image, first_files(folder)))


FOLDER = Format(
    "webdataset",
    "tar shards of samples, 000017.jpg beside 000017.cls, or of images alone; one shard is read in the same way",
    read_shards,
    folder=_is_folder_of_shards,
    columns=True,
)
