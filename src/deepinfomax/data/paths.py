"""Paths of many files in little memory: each folder once, and the names in one string of bytes."""

import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np


class PathTable(Sequence[Path]):
    """A sequence of paths, about 40 bytes each where a `Path` takes 400: a folder's number, and a name.

    A path is made when it is asked for. Add to the end only.
    """

    def __init__(self, paths: Iterable[Path] = ()) -> None:
        self.folders: list[Path] = []  #: each once
        self._numbers: dict[Path, int] = {}
        self._names = bytearray()
        self._ends = array("q")  #: of each name in `_names`
        self._of = array("i")  #: number of each path's folder
        for path in paths:
            self.add(path.parent, path.name)

    def add(self, folder: Path, name: str) -> None:
        """Put the file `name` of a folder behind the others."""
        number = self._numbers.setdefault(folder, len(self.folders))
        if number == len(self.folders):
            self.folders.append(folder)
        self._names += os.fsencode(name)
        self._ends.append(len(self._names))
        self._of.append(number)

    @property
    def folder_of(self) -> np.ndarray:
        """(N,) int32: number of each path's folder among `folders`."""
        return np.array(self._of, np.int32)

    def encoded(self) -> Iterator[tuple[int, bytes]]:
        """Number of the folder and name of each path, as the file system has it."""
        start = 0
        for number, end in zip(self._of, self._ends, strict=True):
            yield number, bytes(self._names[start:end])
            start = end

    def __len__(self) -> int:
        return len(self._of)

    @overload
    def __getitem__(self, place: int) -> Path: ...
    @overload
    def __getitem__(self, place: slice) -> list[Path]: ...
    def __getitem__(self, place: int | slice) -> Path | list[Path]:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        i = range(len(self))[place]
        start = self._ends[i - 1] if i else 0
        return self.folders[self._of[i]] / os.fsdecode(bytes(self._names[start : self._ends[i]]))


def in_table(paths: Sequence[Path]) -> PathTable:
    """The same paths, as a table."""
    return paths if isinstance(paths, PathTable) else PathTable(paths)
