"""What kind of files a folder mostly holds, found by looking at the first few hundred."""

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from deepinfomax.data.listing import listing
from deepinfomax.data.opening import is_image

LOOKED_AT = 300  #: files


def mostly(wanted: Callable[[Path], bool], folder: Path) -> bool:
    """Whether more of the first files of a folder, and below it, are wanted than are images."""
    found = images = 0
    for file in first_files(folder):
        if wanted(file):
            found += 1
        elif is_image(file):
            images += 1
    return found > images


def first_files(folder: Path) -> Iterator[Path]:
    """The first `LOOKED_AT` files of a folder and of those below it, hidden ones left out."""
    return islice(_files(folder), LOOKED_AT)


def _files(folder: Path) -> Iterator[Path]:
    """Some files of a folder and of those below it, hidden ones left out; links to folders are not followed."""
    waiting = deque([folder])
    while waiting:
        place = waiting.popleft()
        with contextlib.suppress(PermissionError):
            inside = listing(place)
            waiting.extend(place / name for name in inside.folders if name not in inside.links)
            yield from (place / name for name in islice(inside.files, LOOKED_AT))
