"""evaluation.json: figures are written as soon as they are known, and never computed twice."""

import getpass
import hashlib
import itertools
import json
import math
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from deepinfomax import files
from deepinfomax.data.fingerprint import fingerprint
from deepinfomax.data.images import ImageSet

SCHEMA = 1
SUM = "sum"  #: in a file that lies where there is no journal, beside embeddings: a digest of all else in it
#: What must agree before figures may stand in one file.
KEY = ("schema", "data", "encoder", "scale", "seed")


class Record:
    """The growing contents of evaluation.json, in the file `out` (None: no file).

    A file with the same data, encoder, scale and seed is continued. Any other file is renamed to evaluation.1.json and
    so on, with a message by `say`. This happens when the first figure is written, not before, so that a failing call
    changes nothing. If a renamed file has the same data, encoder, scale and seed, it is renamed back and continued.

    Several processes of one user on one machine may write to the same file: each reads it again, under a lock, before
    it adds a figure.
    """

    def __init__(self, head: dict[str, Any], out: Path | None, say: Callable[[str], object] | None = None) -> None:
        self.out, self._say = out, say
        self._notes: list[str] = []  #: of this process
        # Tuples become lists, as in the file.
        self.contents: dict[str, Any] = json.loads(
            json.dumps({"schema": SCHEMA, **head, "measures": {}, "controls": {}, "notes": []})
        )
        if out is not None and say is not None and files.is_gone(out):
            say(f"{out} was written there and is gone, with all its figures: what is asked for is measured anew")
        self._take_over()

    def has(self, path: tuple[str, ...], **same: Any) -> bool:
        """Whether there is a figure at `path` whose entries agree with those of `same`."""
        tree: Any = self.contents
        for key in path:
            if not isinstance(tree, dict) or key not in tree:
                return False
            tree = tree[key]
        return isinstance(tree, dict) and all(tree.get(key) == value for key, value in same.items())

    def put(self, path: tuple[str, ...], value: dict[str, Any], *, beside: bool = False) -> None:
        """Add a figure and write the file, atomically; `beside`: keep other entries at `path`."""
        with self._locked():
            self._take_over()
            tree = self.contents
            for key in path[:-1]:
                tree = tree.setdefault(key, {})
            tree[path[-1]] = (tree.get(path[-1], {}) if beside else {}) | _plain(value)
            self._write()

    def note(self, text: str) -> None:
        self._notes.append(text)
        if text not in self.contents["notes"]:
            self.contents["notes"].append(text)

    def write(self) -> None:
        with self._locked():
            self._take_over()
            self._write()

    def _take_over(self) -> None:
        """Read the figures of this evaluation that are on the disk, also those of other processes."""
        earlier = self._earlier()
        if earlier is None:
            return
        self.contents = self.contents | self._read(earlier)
        for text in self._notes:
            if text not in self.contents["notes"]:
                self.contents["notes"].append(text)

    def _earlier(self) -> Path | None:
        """The file that has figures of this evaluation: at `out`, or set aside for what is there now."""
        if self.out is None or not self.out.exists():
            return None
        if _same_evaluation(self._read(self.out), self.contents):
            return self.out
        same = [path for path in _set_aside(self.out).values() if _same_evaluation(self._read(path), self.contents)]
        return max(same, key=lambda path: path.stat().st_mtime, default=None)

    def _read(self, path: Path) -> dict[str, Any]:
        assert self.out is not None
        return _read(path, self.out.name)

    def _write(self) -> None:
        if self.out is None:
            return
        earlier = self._earlier()
        if not self.out.exists() or earlier == self.out:
            self._replace()
            return
        was = "damaged or changed by hand" if not self._read(self.out) else "of other data, encoder, scale or seed"
        taken = _set_aside(self.out)
        aside = self.out.with_name(
            f"{self.out.stem}.{next(n for n in itertools.count(1) if n not in taken)}{self.out.suffix}"
        )
        self.out.replace(aside)
        self._replace()
        says = f"{self.out} was {was}: kept as {aside.name}"
        if earlier is not None:
            earlier.unlink()
            says += f"; {earlier.name} was of this one: brought back"
        if self._say is not None:
            self._say(says)

    def _replace(self) -> None:
        assert self.out is not None
        known = (self.out.parent / files.JOURNAL).is_file()  # which has a digest of the whole file
        contents = self.contents if known else self.contents | {SUM: _sum(self.contents)}
        files.write_text(self.out, json.dumps(contents, indent=1, allow_nan=False))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Within the block no other process writes to `out`."""
        if self.out is None:
            yield
            return
        # One lock for all evaluations of a user, since writing takes milliseconds. It is not beside the file, because a
        # lock file stays there, and nothing else of ours should lie beside a user's embeddings.
        with FileLock(Path(tempfile.gettempdir()) / f"deepinfomax-{getpass.getuser()}.lock"):
            yield


def _read(path: Path, name: str) -> dict[str, Any]:
    """The contents of a file that was written under `name`; nothing for a damaged one."""
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return {}
    if not files.as_written(path, name):
        return {}
    if isinstance(tree, dict) and SUM in tree and tree.pop(SUM) != _sum(tree):
        return {}
    kinds = {"measures": dict, "controls": dict, "notes": list}
    sound = isinstance(tree, dict) and all(isinstance(tree.get(key), kind) for key, kind in kinds.items())
    return tree if sound else {}


def _sum(contents: dict[str, Any]) -> str:
    """A digest of the contents, in an order of their keys that no reader can change."""
    return hashlib.blake2b(json.dumps(contents, sort_keys=True).encode(), digest_size=16).hexdigest()


def _same_evaluation(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(one.get(key) == other[key] for key in KEY)


def _set_aside(out: Path) -> dict[int, Path]:
    """The files set aside for `out`, by number."""
    numbered = (
        (path.name.removeprefix(f"{out.stem}.").removesuffix(out.suffix), path) for path in out.parent.iterdir()
    )
    return {
        int(name): path for name, path in numbered if path.name == f"{out.stem}.{name}{out.suffix}" and name.isdigit()
    }


def _plain(value: Any) -> Any:
    """As JSON gives it back: tuples become lists; what is not finite, which JSON cannot say, becomes null."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def describe(images: ImageSet) -> dict[str, Any]:
    """Count, shape, classes and a fingerprint of a set, see `data.fingerprint`.

    Classes and the share of the commonest are those of the labelled images, which alone are measured; where some have
    no label (-1), `labelled` counts the others.
    """
    description: dict[str, Any] = {"name": images.name, "count": len(images), "shape": list(images.images.shape[1:])}
    if images.labels is not None:
        if np.ndim(images.labels) == 1:
            labels = np.asarray(images.labels)
            labelled = labels[labels != -1]
            if 0 < len(labelled) < len(labels):
                description["labelled"] = len(labelled)
            if len(labelled):
                counts = np.unique(labelled, return_counts=True)[1]
                description |= {"classes": len(counts), "majority": float(counts.max() / counts.sum())}
        else:
            description |= {"attributes": int(images.labels.shape[1])}
    return description | {"fingerprint": fingerprint(images)}
