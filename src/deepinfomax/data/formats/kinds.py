"""What kind of files a folder mostly holds, found by looking at the first few hundred."""

import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from deepinfomax.data.opening import is_image

LOOKED_AT = 300  #: files


def mostly(wanted: Callable[[Path], bool], folder: Path) -> bool:
    """Whether more of the first files of a folder, and below it, are wanted than are images."""
    found = images = 0
    for file in islice(_files(folder), LOOKED_AT):
        if wanted(file):
            found += 1
        elif is_image(file):
            images += 1
    return found > images


def _files(folder: Path) -> Iterator[Path]:
    """The files of a folder and those below it, in order, hidden ones left out."""
    for place, inside, names in os.walk(folder):
        inside[:] = sorted(name for name in inside if not name.startswith("."))
        yield from (Path(place) / name for name in sorted(names) if not name.startswith("."))
