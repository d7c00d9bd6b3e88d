"""Embeddings: the outputs of a frozen encoder for a set of images, in memory and in files."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, Float32
from pyarrow import compute, parquet
from torch import Tensor, nn

from deepinfomax import files, memory
from deepinfomax.data.images import ImageSet, as_tensor, normalise, trainable
from deepinfomax.data.text_tables import read_csv
from deepinfomax.encoders import ARCHITECTURES, shapes_of
from deepinfomax.encoders.standardised import Standardised
from deepinfomax.errors import UserError, listed
from deepinfomax.evaluation.frozen import on_device, unchanged
from deepinfomax.features import LEVELS
from deepinfomax.information.inputs import check_index
from deepinfomax.progress import counted

BATCH = 500  #: images that are embedded at once
SUFFIXES = (".npz", ".npy", ".parquet")
#: column of words -> what it is called in the name of its text file beside a .npy
WORDS_BESIDE = {"class": "classes", "name": "names", "split": "splits"}
#: Names (in any case) of columns that are not units, in a table with one column per unit.
NO_UNITS = ("label", "labels", "target", "class", "split", "id", "index", "name", "__index_level_0__", "unnamed: 0")
NAMELESS = " (without a name)"  #: is put behind such a column's number; pandas writes its index as one
NO_UNITS_END = ("_id", " id", "-id", NAMELESS)  #: endings, in small letters, of names of columns that are not units


def embed(
    encoder: nn.Module,
    images: ImageSet | np.ndarray | Tensor,
    *,
    levels: Sequence[str] | None = None,
    batch_size: int = BATCH,
    device: torch.device | str | None = None,
) -> dict[str, Float32[Tensor, "N units"]]:
    """Each level of the representation, flattened, in the order of the images.

    The encoder runs in eval mode without gradients; afterwards it is checked that it is bit for bit the same. Memory:
    the result, 4·N·(units of the levels) bytes (1.04 GB for 50,000 CIFAR images at conv, fc and y of the paper's
    encoder, 5,184 units), plus the activations of one batch.

    Args:
        encoder: images (N, C, *S) in [-1, 1] -> Features; an encoder from `train` may take the numbers of the data
            instead.
        images: (N, C, *S): bytes, which are rescaled to [-1, 1] here; or numbers on the scale that the encoder takes
            (pictures: floats in [-1, 1], not in [0, 1] or [0, 255], of which a warning is given).
        levels: any of conv, fc, y and local; None: those of conv, fc and y that the encoder has.
        batch_size: images that are embedded at once.
        device: where to run; None: where the encoder is. It is moved back afterwards.

    Returns:
        Level -> vectors (N, units) on the CPU.

    Raises:
        UserError: an unknown level, or one that the encoder does not have; no images, or of a shape that it cannot
            take, such as channels last; images or features that are not finite; or too little memory for them.
    """
    embedded = vectors_of(encoder, images, levels=levels, batch_size=batch_size, device=device)
    if not isinstance(images, ImageSet):  # whoever made a set has read its numbers by rules
        part = images[:batch_size]
        _warn_of_scale(encoder, part if isinstance(part, Tensor) else np.asarray(part))
    for level, vectors in embedded.items():
        try:
            check_finite(vectors, f"level {level} of the encoder")
        except UserError:
            _check_finite_images(images)  # a NaN of the images is no fault of the encoder
            raise
    return embedded


def vectors_of(
    encoder: nn.Module,
    images: ImageSet | np.ndarray | Tensor,
    *,
    levels: Sequence[str] | None = None,
    batch_size: int = BATCH,
    device: torch.device | str | None = None,
) -> dict[str, Float32[Tensor, "N units"]]:
    """`embed` without the check that features are finite."""
    for level in levels or ():
        if level not in (*LEVELS, "local"):
            raise UserError(f"unknown level {level!r}; choose of {', '.join(LEVELS)}")
    if batch_size < 1:
        raise UserError(f"batch_size must be 1 or more, not {batch_size}")
    pixels = images.images if isinstance(images, ImageSet) else images
    if isinstance(pixels, str | Path):
        raise UserError(f"to embed the images of {pixels}, give deepinfomax.data.load({str(pixels)!r})")
    if len(pixels) == 0:
        raise UserError("there are no images to embed")
    embedded: dict[str, Tensor] = {}
    kind = input_type(encoder)
    with on_device(encoder, device) as where, unchanged(encoder):
        for number in counted(-(-len(pixels) // batch_size), "batch"):
            start = (number - 1) * batch_size
            part = pixels[start : start + batch_size]
            batch = part if isinstance(part, Tensor) else as_tensor(np.array(part))  # reads a memory map
            with torch.inference_mode():
                try:
                    features = encoder(normalise(batch.to(where)).to(kind))
                except RuntimeError:
                    _check_takes(encoder, batch, kind)
                    raise
                _check_levels(features, levels or ())
                if levels is None:
                    levels = [level for level in LEVELS if getattr(features, level) is not None]
                for level in levels:
                    flat = getattr(features, level).flatten(1).float()
                    if level not in embedded:
                        check_room(level, len(pixels), flat.shape[1])
                        # Made outside inference mode: probes train on copies of these tensors.
                        with torch.inference_mode(False):
                            embedded[level] = torch.empty(len(pixels), flat.shape[1])
                    embedded[level][start : start + len(flat)] = flat
    return embedded


def _warn_of_scale(encoder: nn.Module, images: np.ndarray | Tensor) -> None:
    """Warn of floats on the scale of bytes, or of bytes divided by 255, for an encoder of pictures.

    Only the library's own architectures are known to take [-1, 1]; one that standardises takes the numbers of its data.
    """
    modules = list(encoder.modules())
    if any(isinstance(module, Standardised) for module in modules) or images.ndim != 4:
        return
    if not any(isinstance(module, tuple(ARCHITECTURES.values())) for module in modules):
        return
    floats = images.is_floating_point() if isinstance(images, Tensor) else images.dtype.kind == "f"
    if floats and (least := float(images.min())) >= 0 and (most := float(images.max())) > 0:
        # Bright pictures from -1 to 1 may have no number below 0 either.
        unit = "if these are from 0 to 1, give bytes, or 2 * images - 1"
        mend = unit if most <= 1 else "give bytes, or images / 127.5 - 1"
        warnings.warn(
            f"images are floats from {least:.3g} to {most:.3g}, and this encoder takes pictures from -1 to 1: {mend}",
            UserWarning,
            stacklevel=3,
        )


def _check_finite_images(images: ImageSet | Tensor | np.ndarray) -> None:
    """Raises UserError if the images have a NaN or an infinity."""
    pixels, name = (images.images, images.name) if isinstance(images, ImageSet) else (images, "")
    numbers = pixels.detach().float().cpu().numpy() if isinstance(pixels, Tensor) else np.asarray(pixels)
    trainable(ImageSet(numbers, name=name or "images"))


def _check_takes(encoder: nn.Module, batch: Tensor, kind: torch.dtype) -> None:
    """Raises UserError if the encoder cannot take images of this shape, or of none."""
    try:
        shapes_of(encoder, tuple(batch.shape[1:]), kind)
    except UserError as error:
        if batch.ndim > 3:
            raise
        raise UserError(  # such as one image alone, or grey ones without their channel; series are there too
            f"{error}; embed takes series as (N, C, T) and pictures as (N, C, H, W): for one picture (H, W, C) give "
            "picture.transpose(2, 0, 1)[None], for grey ones (N, H, W) images[:, None]"
        ) from None


def input_type(encoder: nn.Module) -> torch.dtype:
    """The type of the encoder's input: that of its weights (float16 after `half()`), or float32 if it standardises."""
    if any(isinstance(module, Standardised) for module in encoder.modules()):
        return torch.float32
    return next((p.dtype for p in encoder.parameters() if p.is_floating_point()), torch.float32)


def check_room(level: str, images: int, units: int) -> None:
    """Raises NotEnoughMemory now, before hours of embedding, after which the system would kill the process."""
    size, free = 4 * images * units, memory.free()
    if size > free:
        raise memory.NotEnoughMemory(
            f"{level} of {images:,} images takes {size / 1e9:.1f} GB, and {free / 1e9:.1f} GB of memory are free: "
            "leave it out of the levels, or use fewer images"
        )


def levels_of(encoder: nn.Module, images: ImageSet, device: torch.device | str | None = None) -> tuple[str, ...]:
    """Which of conv, fc and y the encoder has, found by encoding one image."""
    return tuple(embed(encoder, images.take(slice(0, 1)), device=device))


def _check_levels(features: Any, levels: Sequence[str]) -> None:
    """Raises UserError if an encoder does not return `Features`, or does not have one of the levels."""
    if not all(hasattr(features, level) for level in (*LEVELS, *levels)):
        raise UserError(
            f"the encoder returns {type(features).__name__}, not conv, fc and y: name its layers by "
            "deepinfomax.wrap(module, local=..., conv=..., fc=..., y=...)"
        )
    for level in levels:
        if getattr(features, level) is None:
            raise UserError(f"the encoder has no {level}: leave it out of the levels")


class Embed(Protocol):
    """The type of `embed`, which may also be done by several processes (`shared_embedding`)."""

    def __call__(
        self,
        encoder: nn.Module,
        images: ImageSet,
        *,
        levels: Sequence[str],
        device: torch.device | str | None = None,
    ) -> dict[str, Float32[Tensor, "N units"]]: ...


class EmbeddingsOfY:
    """y of sets of images by one encoder, on the CPU. The given sets are embedded only once, and their y is kept.

    Only y of whole sets is kept. A part of a set is embedded again: batches of other images round differently, and a
    figure must not depend on what was measured before it. Memory: 4·N·(units of y) bytes for each set (25.6 MB for
    100,000 images and 64 units).

    Args:
        encoder: images in [-1, 1] -> Features; its weights must not change between calls.
        device: where it runs.
        sets: the sets whose y is kept; recognised by identity (`is`).
        embed: the function that embeds a set.
    """

    def __init__(
        self, encoder: nn.Module, device: torch.device | str | None, *sets: ImageSet, embed: Embed = embed
    ) -> None:
        self.encoder, self.device, self.sets, self._embed = encoder, device, sets, embed
        self._kept: dict[int, Tensor] = {}  #: position in `sets` -> y

    def keep(self, images: ImageSet, y: Float[Tensor, "N units"]) -> None:
        """Store y of one of the sets, computed elsewhere."""
        self._kept |= {i: y for i, known in enumerate(self.sets) if known is images}

    def __call__(self, images: ImageSet) -> Float32[Tensor, "N units"]:
        """y of these images. Do not change it in place."""
        for i, known in enumerate(self.sets):
            if known is images and i in self._kept:
                return self._kept[i]
        y = self._embed(self.encoder, images, levels=("y",), device=self.device)["y"]
        self.keep(images, y)
        return y


def check_finite(vectors: Float[Tensor, "N units"], what: str) -> None:
    """Raises UserError if any row has a NaN or an infinity; `what` begins the sentence."""
    bad = int((~torch.isfinite(vectors).all(1)).sum())
    if bad:
        raise UserError(
            f"{what} is not finite (NaN or infinity) for {bad:,} of {len(vectors):,} rows: training has diverged or "
            "the file is damaged; leave those rows out or train with a lower learning rate"
        )


class Embeddings(NamedTuple):
    """The contents of a file of embeddings."""

    vectors: np.ndarray  #: (N, units) float32
    labels: np.ndarray | None = None  #: (N,) of any kind, or (N, K) of 0 and 1
    split: np.ndarray | None = None  #: (N,) "train" or "test" (or training, testing); None: not in the file
    notes: tuple[str, ...] = ()  #: what was left out on the way, one line each


def write_embeddings(
    path: str | Path,
    vectors: np.ndarray,
    labels: np.ndarray | None = None,
    names: Sequence[str] | None = None,
    classes: Sequence[str] = (),
    split: Sequence[str] | None = None,
) -> None:
    """Write (N, units) vectors, with labels, the names of their `classes` and of the images, atomically.

    `split` says for each row which part of the data it comes from, such as "train" or "test".

    .npz: arrays `embedding`, `label`, `class`, `name` and `split`. .parquet: columns of the same names; `embedding` is
    a column of lists. .npy: the vectors alone; the labels are in NAME.labels.npy, and classes, names and splits, one
    per line, in NAME.classes.txt, NAME.names.txt and NAME.splits.txt. What is not given is not written. An image
    without a label has the class "".

    Raises:
        UserError: vectors that are not (N, units); labels, names or splits of another number; another ending of `path`.
    """
    path = Path(path)
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    if vectors.ndim != 2:
        raise UserError(f"embeddings must have shape (N, units), not {vectors.shape}")
    if labels is not None and len(labels) != len(vectors):
        raise UserError(f"there are {len(labels):,} labels for {len(vectors):,} embeddings; give one for each")
    if names is not None and len(names) != len(vectors):
        raise UserError(f"there are {len(names):,} names for {len(vectors):,} embeddings; give one for each")
    if split is not None and len(split) != len(vectors):
        raise UserError(f"there are {len(split):,} splits for {len(vectors):,} embeddings; give one for each")
    if path.suffix not in SUFFIXES:
        raise UserError(f"{path} must end in {', '.join(SUFFIXES)}")
    words: dict[str, Sequence[str]] = {}
    if labels is not None and labels.ndim == 1 and len(classes):
        words["class"] = [classes[label] if label >= 0 else "" for label in labels]
    if names is not None:
        words["name"] = names
    if split is not None:
        words["split"] = split
    columns: dict[str, Any] = {}
    if path.suffix == ".parquet":
        columns = _columns(vectors, labels) | {what: pa.array(texts, pa.string()) for what, texts in words.items()}
    arrays = {"embedding": vectors} | ({} if labels is None else {"label": labels})
    arrays |= {what: np.array(texts, np.str_) for what, texts in words.items()}
    with files.replacing(path) as partial:
        if path.suffix == ".npz":
            np.savez(partial, **arrays)  # type: ignore[arg-type]
        elif path.suffix == ".npy":
            np.save(partial, vectors)
            # What an earlier embedding left must never lie beside this one's vectors: a kill leaves no labels.
            for earlier in (labels_beside(path), *(_words_beside(path, what) for what in WORDS_BESIDE)):
                earlier.unlink(missing_ok=True)
        else:
            parquet.write_table(pa.table(columns), partial, write_page_checksum=True)
    if path.suffix == ".npy" and labels is not None:
        with files.replacing(labels_beside(path)) as partial:
            np.save(partial, labels)
    if path.suffix == ".npy":
        for what, texts in words.items():
            files.write_text(_words_beside(path, what), "".join(f"{' '.join(text.splitlines())}\n" for text in texts))


def read_embeddings(path: str | Path) -> Embeddings:
    """Read a file from `write_embeddings`, or a similar one. Nothing is unpickled.

    .npz: `embedding` (or the only two-dimensional array) and, if present, `label` and `split`. .parquet: a list column,
    or one column of numbers per unit (notes name columns that are not units, such as those of `NO_UNITS`, and those of
    whole numbers among fractions) and, if present, `label` and `split`. .csv, .tsv: the same, with one column per unit.
    .npy: (N, units) and, if they exist, NAME.labels.npy and NAME.splits.txt.

    Raises:
        UserError: no such file, or contents that are not embeddings.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} does not exist; write embeddings with `deepinfomax embed RUN DATA --out {path}`")
    readers = {".npz": _read_npz, ".npy": _read_npy, ".parquet": _read_parquet, ".csv": _read_csv, ".tsv": _read_csv}
    if path.suffix not in readers:
        raise UserError(f"{path} must end in {', '.join(readers)}")
    try:
        embeddings = readers[path.suffix](path)
    except UserError:
        raise
    except Exception as error:  # numpy, zipfile and Arrow each have errors of their own for a damaged file
        raise UserError(f"cannot read {path}: {' '.join(str(error).split())[:200]}") from None
    return checked(embeddings, str(path))


def checked(embeddings: Embeddings, name: str) -> Embeddings:
    """Convert array-likes to the types and shapes that measures need; vectors become float32.

    Raises:
        UserError: vectors that are not finite numbers (N, units) in float32, labels or split of another length or of
            another pandas index, labels that mix words and numbers.
    """
    for what in ("labels", "split"):
        check_index(embeddings.vectors, getattr(embeddings, what), ("vectors", what))
    vectors, labels, split = (
        None if column is None else _array(column, f"{what} of {name}")
        for what, column in (
            ("vectors", embeddings.vectors),
            ("labels", embeddings.labels),
            ("split", embeddings.split),
        )
    )
    if vectors is None or vectors.ndim != 2 or vectors.dtype.kind not in "fiub":
        what = "nothing" if vectors is None else f"{vectors.dtype} of shape {vectors.shape}"
        raise UserError(f"{name} holds {what}; embeddings are numbers (N, units)")
    if 0 in vectors.shape:
        raise UserError(f"{name} holds no embeddings: its shape is {vectors.shape}")
    for what, column, most in (("label", labels, 2), ("split", split, 1)):
        if column is None:
            continue
        if not 1 <= column.ndim <= most:
            raise UserError(f"{name} has {what} of shape {column.shape}; give one for each embedding")
        if len(column) != len(vectors):
            raise UserError(f"{name} has {len(column):,} values of {what} for {len(vectors):,} embeddings")
    if labels is not None and labels.dtype == object:
        values = [value if _known(value) else None for value in labels.ravel().tolist()]
        known = [value for value in values if value is not None]
        if not any(all(isinstance(value, kind) for value in known) for kind in (str, bytes, int | float | np.number)):
            raise UserError(f"{name} has labels of several kinds: give words for all of them, or numbers")
        labels = np.array(known if len(known) == labels.size else np.array(values, object)).reshape(labels.shape)
    with np.errstate(over="ignore"):
        small = np.require(vectors, np.float32, ("C", "W"))  # torch warns of what it could not write to
    # The difference of two larger ones may be infinite.
    if (beyond := int(((np.abs(small) > 1.7e38) & np.isfinite(vectors)).any(1).sum())) > 0:
        raise UserError(
            f"{name} has numbers too large for float32 (1.7e38) in {beyond:,} of {len(small):,} rows: scale them down"
        )
    check_finite(torch.from_numpy(small), name)
    return Embeddings(small, labels, split, (*embeddings.notes, *_lost(vectors, small)))


def _known(value: Any) -> bool:
    """Not None, nor NaN, nor pandas' NA, of which it is not known whether it equals itself."""
    equal = value == value
    return value is not None and isinstance(equal, bool | np.bool_) and bool(equal)


def _lost(vectors: np.ndarray, small: np.ndarray) -> tuple[str, ...]:
    """A note if the differences of a unit are lost in float32: it is far from zero for its spread, or too small."""
    if vectors.dtype.kind == "f" and vectors.dtype.itemsize <= 4:
        return ()
    least, largest = vectors.min(0).astype(np.float64), vectors.max(0).astype(np.float64)
    kept = small.max(0).astype(np.float64) - small.min(0)
    lost = int((np.abs((largest - least) - kept) > 0.01 * (largest - least)).sum())
    if not lost:
        return ()
    return (
        f"{lost} units differ from row to row by less than float32 can tell: subtract their means, and scale them up",
    )


def _array(column: Any, what: str) -> np.ndarray:
    if np.ma.is_masked(column):
        raise UserError(f"{what} have masked values; leave those rows out")
    try:
        if isinstance(column, Tensor):
            column = column.detach().cpu()
            column = column.float() if column.dtype == torch.bfloat16 else column  # numpy knows no bfloat16
        array = np.asarray(column)
        if array.ndim == 1 and array.dtype.kind in "US" and isinstance(column, list | tuple):
            array = np.array(column, dtype=object)  # otherwise a missing value would be the word "nan"
        return array.astype(array.dtype.newbyteorder("="), copy=False)  # torch knows the machine's own order alone
    except ValueError:
        raise UserError(f"{what} have rows of different lengths") from None


def labels_beside(path: Path) -> Path:
    """The file of the labels of a .npy."""
    return path.with_name(f"{path.stem}.labels.npy")


def _words_beside(path: Path, what: str) -> Path:
    """The text file beside a .npy that holds a column of words, one per line."""
    return path.with_name(f"{path.stem}.{WORDS_BESIDE[what]}.txt")


def _read_npz(path: Path) -> Embeddings:
    with np.load(path, allow_pickle=False) as file:
        if odd := [n for n in file if not isinstance(file[n], np.ndarray)]:
            raise UserError(f"{path}: {odd[0]} is no array")
        names = [n for n in file if n not in ("label", "labels", "class", "split", "name")]
        matrices = [n for n in names if file[n].ndim == 2]
        name = "embedding" if "embedding" in names else matrices[0] if len(matrices) == 1 else None
        if name is None:
            raise UserError(f"{path} has {', '.join(names) or 'no arrays'}; call the array of vectors `embedding`")
        labels = next((file[n] for n in ("label", "labels") if n in file), None)
        return Embeddings(file[name], labels, file.get("split"))


def _read_npy(path: Path) -> Embeddings:
    beside = labels_beside(path)
    vectors = np.load(path, allow_pickle=False)
    try:
        labels = np.load(beside, allow_pickle=False) if beside.is_file() else None
    except Exception as error:  # as in `read_embeddings`
        raise UserError(f"cannot read {beside}: {' '.join(str(error).split())[:200]}") from None
    splits = _words_beside(path, "split")
    return Embeddings(vectors, labels, np.array(_lines(splits), np.str_) if splits.is_file() else None)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {file}: {' '.join(str(error).split())[:200]}") from None


def _read_parquet(path: Path) -> Embeddings:
    return _of_table(parquet.read_table(path, page_checksum_verification=True), path)


def _read_csv(path: Path) -> Embeddings:
    return _of_table(read_csv(path, "column {}" + NAMELESS), path)


def _of_table(table: pa.Table, path: Path) -> Embeddings:
    lists = [f.name for f in table.schema if _is_list(f.type) and f.name not in ("label", "labels")]
    numbers = [f.name for f in table.schema if any(is_kind(f.type) for is_kind in _NUMBERS)]
    units = [name for name in numbers if _may_be_unit(name)]
    notes: tuple[str, ...] = ()
    if len(lists) == 1 or "embedding" in lists:
        vectors = _rows(table["embedding" if "embedding" in lists else lists[0]], path)
    elif units and not lists:
        vectors = np.stack([_number_column(table[n]) for n in units], 1)
        others = [n for n in table.column_names if n not in units and n not in ("label", "labels", "split")]
        if others:
            notes = (f"left out of the embeddings, as columns that are no units: {', '.join(others)}",)
        notes += _of_whole_numbers(table, units)
    else:
        raise UserError(f"{path} has columns {', '.join(table.column_names)}; call the list column `embedding`")
    label = next((n for n in ("label", "labels") if n in table.column_names), None)
    labels = None
    if label is not None:
        labels = _rows(table[label], path) if _is_list(table.schema.field(label).type) else table[label].to_numpy()
        if labels.dtype == object:  # words, of which some may be missing
            labels = np.array(["" if label is None else str(label) for label in labels])
    split = table["split"].to_numpy(zero_copy_only=False).astype(str) if "split" in table.column_names else None
    return Embeddings(vectors, labels, split, notes)


def _may_be_unit(name: str) -> bool:
    return name.casefold() not in NO_UNITS and not name.casefold().endswith(NO_UNITS_END)


def _of_whole_numbers(table: pa.Table, units: Sequence[str]) -> tuple[str, ...]:
    """The note on a few whole numbers among fractions: they may number patients or rows, which tells the class."""
    whole = [name for name in units if pa.types.is_integer(table.schema.field(name).type)]
    if not whole or 2 * len(whole) >= len(units):
        return ()
    remove = "take them out of the file if they number rows or groups"
    return (f"columns of whole numbers are units too: {listed(whole, 5)}; {remove}",)


def _columns(vectors: np.ndarray, labels: np.ndarray | None) -> dict[str, Any]:
    def rows(matrix: np.ndarray) -> pa.Array:
        return pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), matrix.shape[1])

    columns: dict[str, Any] = {"embedding": rows(vectors)}
    if labels is not None:
        columns["label"] = rows(labels) if labels.ndim == 2 else pa.array(labels)
    return columns


_NUMBERS = (pa.types.is_floating, pa.types.is_integer, pa.types.is_boolean, pa.types.is_decimal)


def _number_column(column: pa.ChunkedArray) -> np.ndarray:
    """A column of numbers; decimals, which numpy does not have, become floats."""
    plain = compute.cast(column, pa.float64()) if pa.types.is_decimal(column.type) else column
    return plain.to_numpy()


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _rows(column: pa.ChunkedArray, path: Path) -> np.ndarray:
    """A list column as a matrix (N, units)."""
    joined = column.combine_chunks()
    chunks = joined.chunks if isinstance(joined, pa.ChunkedArray) else [joined]
    values = np.concatenate([chunk.flatten().to_numpy(zero_copy_only=False) for chunk in chunks])
    # Row by row: a row of 5 and one of 7 have as many values as two of 6.
    if len(column) == 0 or column.null_count or len(compute.unique(compute.list_value_length(column))) != 1:
        raise UserError(f"{path}: the rows are not vectors of one length")
    return values.reshape(len(column), -1)
