"""Recordings (.wav, .flac, .ogg): a folder of them as series, whole or cut into windows of a stated length."""

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deepinfomax.data.formats import folder as folders
from deepinfomax.data.formats.kinds import mostly
from deepinfomax.data.formats.needed import needed
from deepinfomax.data.formats.record import Columns, Format, unreadable
from deepinfomax.data.listed import of_files
from deepinfomax.data.stored import Parts, StoredArrays
from deepinfomax.errors import UserError, count_of, first_line

SUFFIXES = (".wav", ".flac", ".ogg")
#: the file's own name for its type of samples -> the NumPy type in which they are read; float32 for all others
TYPES = {"PCM_16": "int16", "PCM_S8": "int16", "PCM_U8": "int16", "PCM_24": "int32", "PCM_32": "int32"}
TYPES |= {"DOUBLE": "float64"}


class Recording(NamedTuple):
    """What a file's header says."""

    file: Path
    rate: int  #: samples a second
    length: int  #: samples
    kind: str  #: type of a sample
    wrong: str = ""  #: why it cannot be read, where it cannot


def is_recording(file: Path) -> bool:
    return file.name.lower().endswith(SUFFIXES)


def read_file(file: Path, columns: Columns) -> Parts:
    """One recording, in windows."""
    return {"train": partial(_stored, columns.window, file.parent, [file], None, (), ())}


def read_folder(root: Path, columns: Columns) -> Parts:
    """The recordings of a folder, in parts and classes as in a folder of images."""
    stored = partial(_stored, columns.window)
    return folders.read(root, columns, folders.Files("recordings", lambda: SUFFIXES, is_recording, stored))


def _stored(
    window: float | None,
    root: Path,
    files: Sequence[Path],
    labels: np.ndarray | None,
    classes: tuple[str, ...],
    notes: tuple[str, ...],
) -> StoredArrays:
    """Whole recordings, or windows of `window` seconds that follow each other without overlap.

    What is left at the end of a recording and fills no window is left out. If a part of the data is held out, all
    windows of a recording are on the same side. A recording that cannot be read counts as one item.

    Raises:
        UserError: no recording can be read; they have several sampling rates; they have several lengths and there is no
            window; or all are shorter than the window.
    """
    plain = of_files(root, files, labels, classes, notes)
    recordings = [_header(file) for file in files]
    sound = [recording for recording in recordings if not recording.wrong]
    if not sound:
        raise unreadable(files[0], "a recording", recordings[0].wrong)
    rates = sorted({recording.rate for recording in sound})
    if len(rates) > 1:
        other = recordings.index(next(recording for recording in sound if recording.rate != sound[0].rate))
        raise UserError(
            f"{root.name} has recordings of {', '.join(map(str, rates))} samples a second, the first that differs: "
            f"{plain.title(other)}: bring all to one rate"
        )
    rate, seconds = rates[0], [recording.length / recording.rate for recording in sound]
    lengths = {recording.length for recording in sound}
    if window is None and len(lengths) > 1:
        raise UserError(
            f"{root.name} has recordings of {min(seconds):.3g} to {max(seconds):.3g} seconds: set data.window to the "
            f"seconds of the pieces to cut them into, such as {_usual(min(seconds))}"
        )
    size = sound[0].length if window is None else round(window * rate)
    if size < 1:
        short = f"{root.name} has recordings of no length" if window is None else f"data.window {window} is too short"
        raise UserError(f"{short}: there are {rate:,} samples a second")
    if max(lengths) < size:
        raise UserError(f"data.window {window} is longer than the recordings, {max(seconds):.3g} seconds at most")
    starts = [[0] if recording.wrong else range(0, recording.length - size + 1, size) for recording in recordings]
    pieces = [(place, start) for place, of_one in enumerate(starts) for start in of_one]
    rest = sum(recording.length % size for recording in sound) / rate
    said: tuple[str, ...] = (
        f"{count_of(len(files), 'recording')} cut into {count_of(len(pieces), 'window')} of {size / rate:g} seconds",
    )
    said += (f"{rest:.3g} seconds at the ends of recordings fill no window: left out",) if rest > 1 / rate else ()

    def blobs(index: np.ndarray) -> Iterator[partial[np.ndarray]]:
        return (partial(_samples, recordings[pieces[i][0]], pieces[i][1], size) for i in index)

    def title(i: int) -> str:
        place, start = pieces[i]
        return plain.title(place) if window is None else f"{plain.title(place)} from {start / rate:.3f} s"

    places = np.array([place for place, _ in pieces])
    return StoredArrays(
        plain.name,
        np.arange(len(pieces)),
        blobs,
        title,
        lambda: hashlib.sha256(f"{plain.identified()} {size}".encode()).hexdigest(),
        None if labels is None else labels[places],
        classes,
        (*notes, *(said if window is not None else ())),
        whole=lambda i: plain.title(pieces[i][0]),
    )


def _header(file: Path) -> Recording:
    soundfile = needed("soundfile", file)
    try:
        info = soundfile.info(str(file))
    except Exception as error:  # the library's own, and those of the system
        return Recording(file, 0, 0, "", first_line(error))
    return Recording(file, info.samplerate, info.frames, TYPES.get(info.subtype, "float32"))


def _samples(recording: Recording, start: int, count: int) -> np.ndarray:
    """(channels, count), in the type of the file."""
    if recording.wrong:
        raise ValueError(recording.wrong)
    soundfile = needed("soundfile", recording.file)
    values, _ = soundfile.read(str(recording.file), count, start, dtype=recording.kind, always_2d=True)
    if len(values) < count:
        raise ValueError("cut off")
    return np.ascontiguousarray(values.T)


def _usual(seconds: float) -> float:
    """A round number of seconds not above this one."""
    return next((length for length in (10, 5, 2, 1, 0.5, 0.2, 0.1) if length <= seconds), 0.05)


_WHAT = "recordings as series; `data.window 1.0` cuts them into pieces of a second"
FILE = Format("audio", _WHAT, read_file, SUFFIXES)
FOLDER = Format("audio folder", _WHAT, read_folder, folder=partial(mostly, is_recording), columns=True)
