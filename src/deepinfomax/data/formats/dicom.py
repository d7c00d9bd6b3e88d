"""DICOM files: folders of series, each a volume of many files, or files with a single image each."""

import hashlib
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from deepinfomax.data.formats import folder as folders
from deepinfomax.data.formats.kinds import mostly
from deepinfomax.data.formats.needed import needed
from deepinfomax.data.formats.record import Columns, Format
from deepinfomax.data.listed import read_each
from deepinfomax.data.stored import Parts, StoredArrays, StoredImages, printable, stamp

SUFFIXES = (".dcm", ".dicom", ".ima")
TAGS = (
    "SeriesInstanceUID",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "InstanceNumber",
    "PhotometricInterpretation",
)


class Series(NamedTuple):
    """The files of one volume, in order; one file where it holds the volume, or a single image."""

    path: Path  #: the folder of several files, or the file: what it is called
    files: tuple[Path, ...]
    kind: str  #: what the numbers mean: "MONOCHROME2", "RGB", ...; "" where the header does not say


def is_dicom(file: Path) -> bool:
    """Whether a file is called like DICOM, or has no ending and begins like it."""
    if file.suffix:
        return file.suffix.lower() in SUFFIXES
    if file.name == "DICOMDIR" or not file.is_file():
        return False
    try:
        with file.open("rb") as opened:
            return opened.read(132)[128:] == b"DICM"
    except OSError:
        return False


def read_file(file: Path, columns: Columns) -> Parts:
    """One file: an image, or a volume where it has several frames."""
    return {"train": partial(_stored, file.parent, [file], None, (), ())}


def read_folder(root: Path, columns: Columns) -> Parts:
    """A volume a series, in parts and classes as in a folder of images."""
    return folders.read(root, columns, FILES)


def _stored(
    root: Path, files: Sequence[Path], labels: np.ndarray | None, classes: tuple[str, ...], notes: tuple[str, ...]
) -> StoredArrays:
    series, identity = _series(tuple(files), _stamps(files)), _stamps(files)

    def title(i: int) -> str:
        return printable(series[i].path.relative_to(root).as_posix()) or printable(root.name)

    several = sum(len(one.files) > 1 for one in series)
    said = [f"{len(files):,} DICOM files are {len(series):,} series"] if several else []
    if dark := sum(one.kind == "MONOCHROME1" for one in series):
        among = f"{dark:,} of {len(series):,} scans are" if dark < len(series) else "the scans are"
        said.append(
            f"{among} MONOCHROME1, where a larger number is darker: their numbers are kept as stored"
            + ("; turn these over, or an encoder learns to tell the two kinds" if dark < len(series) else "")
        )
    index = np.arange(len(series))
    plain = StoredImages(root.name, index, iter, title, identity, labels, classes, (*notes, *said))
    return read_each(plain, [partial(_volume, one.files) for one in series])


def _items(files: Sequence[Path]) -> Sequence[Path]:
    """The path of each series. Of several series in one folder each has the folder's path and a name of its own."""
    return [one.path for one in _series(tuple(files), _stamps(files))]


def _stamps(files: Sequence[Path]) -> str:
    digest = hashlib.sha256(b"dicom")
    for file in files:
        digest.update(b"\n" + stamp(file))
    return digest.hexdigest()


@lru_cache(16)
def _series(files: tuple[Path, ...], stamps: str) -> tuple[Series, ...]:
    """The series that the files belong to, by folder and their own number, the slices in order.

    A file whose header cannot be read is one of its own, which is told of when it is read. They are remembered as long
    as no file changes, by the files' `stamps`.
    """
    groups: dict[tuple[Path, str], list[tuple[tuple[float, float], Path]]] = defaultdict(list)
    kinds: dict[tuple[Path, str], str] = {}
    for file in files:
        uid, place, kind = _place(file)
        groups[file.parent, uid].append((place, file))
        kinds[file.parent, uid] = kind
    found = []
    for (folder, uid), members in groups.items():
        alone = sum(parent == folder for parent, _ in groups) == 1
        ordered = tuple(file for _, file in sorted(members))
        path = ordered[0] if len(ordered) == 1 else folder if alone else folder / uid
        found.append(Series(path, ordered, kinds[folder, uid]))
    return tuple(found)


@contextmanager
def _without_warnings() -> Iterator[None]:
    """pydicom warns of how files are written, which their user cannot change."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@_without_warnings()
def _place(file: Path) -> tuple[str, tuple[float, float], str]:
    """Its series, where it lies there (along the direction across the slices in mm, then by number), and its kind."""
    pydicom = needed("pydicom", file)
    try:
        header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(TAGS))
        uid, number = str(header.get("SeriesInstanceUID", file)), float(header.get("InstanceNumber") or 0)
        kind = str(header.get("PhotometricInterpretation", ""))
        position, orientation = header.get("ImagePositionPatient"), header.get("ImageOrientationPatient")
        if not position or not orientation:
            return uid, (0.0, number), kind
        across = np.cross([float(v) for v in orientation[:3]], [float(v) for v in orientation[3:]])
        return uid, (float(np.dot(across, [float(v) for v in position])), number), kind
    except Exception:  # its own, and those of the system; they come again when the file is read
        return str(file), (0.0, 0.0), ""


def _volume(files: Sequence[Path]) -> np.ndarray:
    """(C, H, W) of a single image, (C, D, H, W) of a volume, in the units that the files name (Hounsfield's for CT)."""
    slices = [_pixels(file) for file in files]
    if len({array.shape for array in slices}) > 1:
        raise ValueError("slices of several sizes")
    return slices[0] if len(slices) == 1 else np.stack(slices, 1)


@_without_warnings()
def _pixels(file: Path) -> np.ndarray:
    """(C, H, W), or (C, D, H, W) of several frames."""
    dataset = needed("pydicom", file).dcmread(file)
    values = dataset.pixel_array
    palette = dataset.get("PhotometricInterpretation") == "PALETTE COLOR"
    if palette:  # the numbers of its colours say nothing by themselves
        values = needed("pydicom.pixels", file).apply_color_lut(values, dataset)
    colour = palette or int(dataset.get("SamplesPerPixel", 1)) > 1
    values = np.moveaxis(values, -1, 0) if colour else values[None]
    scales = _scales(dataset)
    if len(set(scales)) > 1:  # each frame has one of its own
        slopes, intercepts = (np.array(numbers).reshape(-1, 1, 1) for numbers in zip(*scales, strict=True))
        return (values * slopes + intercepts).astype(np.float32)
    slope, intercept = scales[0]
    if (slope, intercept) == (1, 0):
        return values
    if slope.is_integer() and intercept.is_integer():
        return values.astype(np.int32) * int(slope) + int(intercept)
    return (values * slope + intercept).astype(np.float32)


def _scales(dataset: Any) -> list[tuple[float, float]]:
    """Slope and intercept of the numbers of a file; of an enhanced file those of all its frames, or of each."""
    groups = (dataset.get(f"{whose}FunctionalGroupsSequence") or [] for whose in ("PerFrame", "Shared"))
    tag = "PixelValueTransformationSequence"
    sources = next(([group[tag][0] for group in of] for of in groups if of and all(tag in group for group in of)), None)
    return [
        (float(source.get("RescaleSlope") or 1), float(source.get("RescaleIntercept") or 0))
        for source in sources or [dataset]
    ]


FILES = folders.Files("DICOM files", lambda: SUFFIXES, is_dicom, _stored, _items)
_WHAT = "a volume a series of files, or an image a file"
FILE = Format("dicom", _WHAT, read_file, SUFFIXES)
FOLDER = Format("dicom folder", _WHAT, read_folder, folder=partial(mostly, is_dicom), columns=True)
