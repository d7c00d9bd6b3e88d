"""Digests of the lines of metrics.jsonl, in a file beside it, to detect damaged and missing lines.

Without them a number with one flipped bit would look like any other number. A digest is written before its line, so
after a kill at most one digest has no line.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from deepinfomax import files

BYTES = 8  #: of a digest
BLOCK = 1000  #: lines checked together


def digest(line: bytes) -> bytes:
    """The digest of a line, without its end-of-line character."""
    return hashlib.blake2b(line.rstrip(b"\n"), digest_size=BYTES).digest()


def read(folder: Path) -> np.ndarray | None:
    """All digests in a run folder, sorted; None if it has none, as folders of earlier versions."""
    try:
        content = (folder / files.LINE_SUMS).read_bytes()
    except OSError:
        return None
    return np.sort(np.frombuffer(content[: len(content) // BYTES * BYTES], np.uint64))


def checked(lines: Iterable[bytes], known: np.ndarray | None) -> Iterator[tuple[bytes, bool]]:
    """Yields each line, and whether it is undamaged (True if there are no digests)."""
    lines = iter(lines)
    while block := list(islice(lines, BLOCK)):
        yield from zip(block, [True] * len(block) if known is None else _found(block, known), strict=True)


def _found(block: Sequence[bytes], known: np.ndarray) -> list[bool]:
    if not len(known):
        return [False] * len(block)
    own = np.frombuffer(b"".join(map(digest, block)), np.uint64)
    return (known[np.searchsorted(known, own).clip(max=len(known) - 1)] == own).tolist()  # type: ignore[no-any-return]
