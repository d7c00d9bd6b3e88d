"""What is known of the lines of metrics.jsonl: a digest of each, in a file beside it.

So a figure with one flipped bit, which is a figure still, is told from what the run wrote, and so is a line that is
gone. A digest is written before its line: after a kill at most one has no line.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from deepinfomax import files

BYTES = 8  #: of a digest
BLOCK = 1000  #: lines looked at together


def digest(line: bytes) -> bytes:
    """Of a line without its end."""
    return hashlib.blake2b(line.rstrip(b"\n"), digest_size=BYTES).digest()


def read(folder: Path) -> np.ndarray | None:
    """All digests in a run folder, ascending; None if it has none, as those of earlier versions."""
    try:
        content = (folder / files.LINE_SUMS).read_bytes()
    except OSError:
        return None
    return np.sort(np.frombuffer(content[: len(content) // BYTES * BYTES], np.uint64))


def checked(lines: Iterable[bytes], known: np.ndarray | None) -> Iterator[tuple[bytes, bool]]:
    """Each line, and whether it is one that was written; all are where nothing is known."""
    lines = iter(lines)
    while block := list(islice(lines, BLOCK)):
        yield from zip(block, [True] * len(block) if known is None else _found(block, known), strict=True)


def _found(block: Sequence[bytes], known: np.ndarray) -> list[bool]:
    if not len(known):
        return [False] * len(block)
    own = np.frombuffer(b"".join(map(digest, block)), np.uint64)
    return (known[np.searchsorted(known, own).clip(max=len(known) - 1)] == own).tolist()  # type: ignore[no-any-return]
