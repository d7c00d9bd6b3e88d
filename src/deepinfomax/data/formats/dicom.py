"""DICOM files: folders of series, each a volume of many files; or files that each hold one image."""

import hashlib
import warnings
from collections import Counter, defaultdict
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
from deepinfomax.errors import agreed

SUFFIXES = (".dcm", ".dicom", ".ima")
TAGS = (
    "SeriesInstanceUID",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "InstanceNumber",
    "PhotometricInterpretation",
)


class Series(NamedTuple):
    """The files of one volume, in order; a single file may hold a whole volume, or one image."""

    path: Path  #: what the item is called by: the folder of several files, or the only file
    files: tuple[Path, ...]
    kind: str  #: what the numbers mean: "MONOCHROME2", "RGB", ...; "" if the header does not say it
    times: int  #: files at each place: points in time, echoes


class Place(NamedTuple):
    """What the header of a file says of its place."""

    series: str
    along: float | None  #: mm along the direction across the slices; None if the header does not say it
    number: float
    kind: str  #: as in `Series`


def is_dicom(file: Path) -> bool:
    """Whether a file has an ending of DICOM, or none and the first bytes of DICOM."""
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
    """One file: an image, or a volume if it has several frames."""
    return {"train": partial(_stored, file.parent, [file], None, (), ())}


def read_folder(root: Path, columns: Columns) -> Parts:
    """One volume for each series; parts and classes as in a folder of images."""
    return folders.read(root, columns, FILES)


def _stored(
    root: Path, files: Sequence[Path], labels: np.ndarray | None, classes: tuple[str, ...], notes: tuple[str, ...]
) -> StoredArrays:
    series, identity = _series(tuple(files), _stamps(files)), _stamps(files)

    def title(i: int) -> str:
        path = series[i].path
        return printable(root.name if path == root else path.relative_to(root).as_posix())

    several = sum(len(one.files) > 1 for one in series)
    said = [f"{len(files):,} DICOM files are {len(series):,} series"] if several else []
    if dark := sum(one.kind == "MONOCHROME1" for one in series):
        among = f"{dark:,} of {len(series):,} scans are" if dark < len(series) else "the scans are"
        said.append(
            f"{among} MONOCHROME1, where a larger number is darker: their numbers are kept as stored"
            + ("; turn these over, or an encoder learns to tell the two kinds" if dark < len(series) else "")
        )
    if films := sum(one.times > 1 for one in series):
        have = f"{films:,} of {len(series):,} series {agreed(films, 'has', 'have')} several files at each place"
        said.append(f"{have} (points in time, echoes or copies): they are the channels, in the order of their numbers")
    index = np.arange(len(series))
    plain = StoredImages(root.name, index, iter, title, identity, labels, classes, (*notes, *said))
    return read_each(plain, [partial(_volume, one.files, one.times) for one in series])


def _items(files: Sequence[Path]) -> Sequence[Path]:
    """The path of each series; of several in one folder, the folder's path and the series' own name."""
    return [one.path for one in _series(tuple(files), _stamps(files))]


def _stamps(files: Sequence[Path]) -> str:
    digest = hashlib.sha256(b"dicom")
    for file in files:
        digest.update(b"\n" + stamp(file))
    return digest.hexdigest()


@lru_cache(16)
def _series(files: tuple[Path, ...], stamps: str) -> tuple[Series, ...]:
    """The series of files: those of one folder with the same series number, the slices in their order in space.

    A file whose header cannot be read is a series of its own; the error comes when it is read.

    Args:
        stamps: changes if a file changes, so that the headers are read again.
    """
    groups: dict[tuple[Path, str], list[tuple[Place, Path]]] = defaultdict(list)
    for file in files:
        place = _place(file)
        groups[file.parent, place.series].append((place, file))
    found = []
    for (folder, uid), members in groups.items():
        alone = sum(parent == folder for parent, _ in groups) == 1
        ordered = sorted(members, key=lambda member: (_rounded(member[0].along), member[0].number, member[1]))
        first = ordered[0][1]
        path = first if len(ordered) == 1 else folder if alone else folder / uid
        places = [place for place, _ in ordered]
        found.append(Series(path, tuple(file for _, file in ordered), places[-1].kind, _times(places)))
    return tuple(found)


def _rounded(along: float | None) -> float:
    return round(along or 0.0, 3)  # micrometres


def _times(places: Sequence[Place]) -> int:
    """How many files lie at each place of a series; 1 if not as many at each, or if there is only one place."""
    counts = Counter(_rounded(place.along) for place in places)
    alike = len(counts) > 1 and len(set(counts.values())) == 1 and all(place.along is not None for place in places)
    return len(places) // len(counts) if alike else 1


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Hide pydicom's warnings about how files were written: users cannot change that."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@_without_warnings()
def _place(file: Path) -> Place:
    pydicom = needed("pydicom", file)
    try:
        header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(TAGS))
        uid, number = str(header.get("SeriesInstanceUID", file)), float(header.get("InstanceNumber") or 0)
        kind = str(header.get("PhotometricInterpretation", ""))
        position, orientation = header.get("ImagePositionPatient"), header.get("ImageOrientationPatient")
        if not position or not orientation:
            return Place(uid, None, number, kind)
        across = np.cross([float(v) for v in orientation[:3]], [float(v) for v in orientation[3:]])
        return Place(uid, float(np.dot(across, [float(v) for v in position])), number, kind)
    except Exception:  # of pydicom or of the system; it comes again when the file is read
        return Place(str(file), None, 0.0, "")


def _volume(files: Sequence[Path], times: int) -> np.ndarray:
    """(C, H, W) of a single image, (C, D, H, W) of a volume, in the units that the files name (Hounsfield's for CT).

    If there are several `times`, each has the channels of its own.
    """
    slices = [_pixels(file) for file in files]
    if len({array.shape for array in slices}) > 1:
        raise ValueError("slices of several sizes")
    if len(slices) == 1:
        return slices[0]
    volume = np.stack(slices, 1)
    if times == 1 or volume.ndim != 4:
        return volume
    channels, files_of_all, *sides = volume.shape
    by_time = volume.reshape(channels, files_of_all // times, times, *sides).transpose(2, 0, 1, 3, 4)
    return by_time.reshape(times * channels, files_of_all // times, *sides)


@_without_warnings()
def _pixels(file: Path) -> np.ndarray:
    """(C, H, W), or (C, D, H, W) of several frames."""
    dataset = needed("pydicom", file).dcmread(file)
    try:
        values = dataset.pixel_array
    except RuntimeError as error:
        if "missing dependencies" not in str(error):
            raise
        plug_ins = "pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg"
        raise ValueError(f"to unpack it, pip install {plug_ins}") from None
    palette = dataset.get("PhotometricInterpretation") == "PALETTE COLOR"
    if palette:  # the numbers of colours in the table say nothing by themselves
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
    """Slope and intercept for all numbers of a file; of an enhanced file for each frame, if they differ."""
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
