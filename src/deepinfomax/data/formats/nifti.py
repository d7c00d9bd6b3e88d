"""NIfTI files of scans (.nii, .nii.gz): one file, or a folder of them with a volume each."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from deepinfomax.data.formats import folder as folders
from deepinfomax.data.formats.kinds import mostly
from deepinfomax.data.formats.needed import needed
from deepinfomax.data.formats.record import Columns, Format, unreadable
from deepinfomax.data.listed import of_files, read_each
from deepinfomax.data.stored import Parts, StoredArrays
from deepinfomax.errors import UserError

SUFFIXES = (".nii", ".nii.gz")
ALIKE = 1e-3  #: share by which two spacings may differ, as headers round them


def is_nifti(file: Path) -> bool:
    return file.name.lower().endswith(SUFFIXES)


def read_file(file: Path, columns: Columns) -> Parts:
    """One scan; if it has an axis of time, each of its volumes is an item."""
    count = _times(file)
    plain = of_files(file.parent, [file], None, (), ())

    def blobs(index: np.ndarray) -> Iterator[np.ndarray]:
        volumes = _volume(file)
        return (volumes[i : i + 1] for i in index)

    def title(i: int) -> str:
        return plain.title(0) + (f" volume {i}" if count > 1 else "")

    return {"train": lambda: StoredArrays(file.name, np.arange(count), blobs, title, plain.identity)}


def read_folder(root: Path, columns: Columns) -> Parts:
    """One volume for each file; parts and classes as in a folder of images."""
    return folders.read(root, columns, FILES)


def _stored(
    root: Path, files: Sequence[Path], labels: np.ndarray | None, classes: tuple[str, ...], notes: tuple[str, ...]
) -> StoredArrays:
    """The volumes of files that all have one spacing.

    Raises:
        UserError: a file of another spacing than the first, or none that can be read.
    """
    plain = of_files(root, files, labels, classes, notes)
    first: list[float] | None = None
    for i, file in enumerate(files):
        try:
            spacing = _spacing(file)
        except UserError:
            raise
        except Exception:  # it comes again when the file is read
            continue
        first = first or spacing
        if len(spacing) != len(first) or not np.allclose(spacing, first, rtol=ALIKE):
            said = [" x ".join(f"{side:.3g}" for side in sides) for sides in (spacing, first)]
            raise UserError(
                f"{plain.title(i)} has voxels of {said[0]} mm, and those before it {said[1]} mm: resample all scans "
                "to one spacing"
            )
    return read_each(plain, [partial(_volume, file) for file in files])


def _spacing(file: Path) -> list[float]:
    """mm between voxels from left to right, from back to front and from foot to head; only the header is read."""
    nibabel = needed("nibabel", file)
    image = nibabel.load(file)
    sides = image.header.get_zooms()
    order = nibabel.io_orientation(image.affine)[:, 0].astype(int).tolist()
    return [float(sides[order.index(axis)]) for axis in range(3)]


def _times(file: Path) -> int:
    """How many points in time a scan has; only the header is read.

    Raises:
        UserError: the header cannot be read.
    """
    nibabel = needed("nibabel", file)
    try:
        shape = nibabel.load(file).shape
    except Exception as error:
        raise _damaged(file, error) from None
    return int(shape[3]) if len(shape) > 3 else 1


def _damaged(file: Path, error: Exception) -> UserError:
    """The line for a file that cannot be read, from the error of nibabel, gzip or zlib."""
    return unreadable(file, "NIfTI", error)


def _volume(file: Path) -> np.ndarray:
    """(C, D, H, W): D from foot to head, H from back to front, W from left to right; C are the points in time.

    The numbers are those of the file, scaled if its header says so.
    """
    nibabel = needed("nibabel", file)
    try:
        image = nibabel.as_closest_canonical(nibabel.load(file))
        values = np.asanyarray(image.dataobj)
    except Exception as error:
        raise _damaged(file, error) from None
    values = values.reshape(values.shape + (1,) * (4 - values.ndim)) if values.ndim < 4 else values
    if values.ndim > 4:
        raise UserError(f"{file} has {values.ndim} axes; scans have three, or four with time")
    return np.ascontiguousarray(values.transpose(3, 2, 1, 0))


FILES = folders.Files("NIfTI files", lambda: SUFFIXES, is_nifti, _stored)
_WHAT = "a scan a file; of a single file with an axis of time, its volumes"
FILE = Format("nifti", _WHAT, read_file, SUFFIXES)
FOLDER = Format("nifti folder", _WHAT, read_folder, folder=partial(mostly, is_nifti), columns=True)
