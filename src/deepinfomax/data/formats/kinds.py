"""What kind of files a folder mostly holds, found by looking at the first few hundred."""

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

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
    """Some files of a folder and of those below it, hidden ones left out; a large folder is not read to its end."""
    waiting = deque([folder])
    while waiting:
        with contextlib.suppress(PermissionError), os.scandir(waiting.popleft()) as entries:
            for entry in islice(entries, LOOKED_AT):
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry))
                else:
                    yield Path(entry)
