"""evaluation.json: figures are written as soon as they are known, and never computed twice."""

import hashlib
import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from deepinfomax.data.images import ImageSet

SCHEMA = 1
#: What must agree before figures may stand in one file.
KEY = ("schema", "data", "encoder", "scale", "seed")


class Record:
    """The growing contents of evaluation.json, at `out` (nowhere, for None).

    A file there with the same data, encoder, scale and seed is continued. Another is set aside as evaluation.1.json and
    so on when the first figure is written, and not before, so that a call which fails leaves everything where it was:
    nothing that was computed is lost; `say` is told when it happens. One set aside earlier comes back, and is
    continued, when its turn comes.
    """

    def __init__(self, head: dict[str, Any], out: Path | None, say: Callable[[str], object] | None = None) -> None:
        self.out, self._say = out, say
        self.set_aside: Path | None = None  #: where figures of another evaluation went
        self.brought_back: Path | None = None  #: where figures of this one were
        self._in_the_way = False  #: whether the file at `out` has still to go
        self.contents: dict[str, Any] = {"schema": SCHEMA, **head, "measures": {}, "controls": {}, "notes": []}
        if out is None or not out.exists():
            return
        here = json.loads(json.dumps(self.contents))  # tuples become lists, as in the file
        earlier = _read(out)
        if not _alike(earlier, here):
            aside = _aside(out)
            same = [path for path in aside.values() if _alike(_read(path), here)]
            free = next(n for n in itertools.count(1) if n not in aside)
            self.set_aside = out.with_name(f"{out.stem}.{free}{out.suffix}")
            self._in_the_way = True
            earlier = {}
            if same:
                self.brought_back = max(same, key=lambda path: path.stat().st_mtime)
                earlier = _read(self.brought_back)
        self.contents = here | earlier

    @property
    def swapped(self) -> str | None:
        """What became of other files, in words; None where nothing did, or nothing yet."""
        if self.out is None or self.set_aside is None or self._in_the_way:
            return None
        back = "" if self.brought_back is None else f"; {self.brought_back.name} was of this one: brought back"
        return f"{self.out} was of other data, encoder, scale or seed: kept as {self.set_aside.name}{back}"

    def has(self, path: tuple[str, ...]) -> bool:
        tree: Any = self.contents
        for key in path:
            if not isinstance(tree, dict) or key not in tree:
                return False
            tree = tree[key]
        return True

    def put(self, path: tuple[str, ...], value: Any) -> None:
        """Place a figure and write the file, atomically."""
        tree = self.contents
        for key in path[:-1]:
            tree = tree.setdefault(key, {})
        tree[path[-1]] = _plain(value)
        self.write()

    def note(self, text: str) -> None:
        if text not in self.contents["notes"]:
            self.contents["notes"].append(text)

    def write(self) -> None:
        if self.out is None:
            return
        self.out.parent.mkdir(parents=True, exist_ok=True)
        if self._in_the_way and self.set_aside is not None:
            self.out.replace(self.set_aside)
            if self.brought_back is not None:
                self.brought_back.unlink()
            self._in_the_way = False
            if self._say is not None and self.swapped is not None:
                self._say(self.swapped)
        partial = self.out.with_name(f".{self.out.name}.partial")
        partial.write_text(json.dumps(self.contents, indent=1, allow_nan=False), encoding="utf-8")
        partial.replace(self.out)


def _read(path: Path) -> dict[str, Any]:
    """The contents of a file; nothing for a damaged one."""
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return tree if isinstance(tree, dict) else {}


def _alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(one.get(key) == other[key] for key in KEY)


def _aside(out: Path) -> dict[int, Path]:
    """The files set aside for `out`, by number."""
    found = ((path.name.removeprefix(f"{out.stem}.").removesuffix(out.suffix), path) for path in out.parent.iterdir())
    return {int(name): path for name, path in found if path.name == f"{out.stem}.{name}{out.suffix}" and name.isdigit()}


def _plain(value: Any) -> Any:
    """As JSON gives it back: tuples become lists; what is not finite, which JSON cannot say, becomes null."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def describe(images: ImageSet) -> dict[str, Any]:
    """Count, shape, classes and a fingerprint of a set.

    The fingerprint is of all labels and at most 1,000 evenly spaced images, so that a memory map of gigabytes is not
    read for it.
    """
    digest = hashlib.sha256(str(images.images.shape).encode())
    step = max(1, len(images) // 1000)
    for start in range(0, len(images), step):
        digest.update(np.ascontiguousarray(images.images[start]).tobytes())
    found: dict[str, Any] = {"name": images.name, "count": len(images), "shape": list(images.images.shape[1:])}
    if images.labels is not None:
        digest.update(np.ascontiguousarray(images.labels).tobytes())
        if np.ndim(images.labels) == 1:
            counts = np.unique(images.labels, return_counts=True)[1]
            found |= {"classes": len(counts), "majority": float(counts.max() / counts.sum())}
        else:
            found |= {"attributes": int(images.labels.shape[1])}
    return found | {"fingerprint": digest.hexdigest()[:16]}
