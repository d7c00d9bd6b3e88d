"""evaluation.json: figures are written as soon as they are known, and never computed twice."""

import hashlib
import json
import math
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
    so on: nothing that was computed is lost.
    """

    def __init__(self, head: dict[str, Any], out: Path | None) -> None:
        self.out = out
        self.set_aside: Path | None = None  #: where figures of another evaluation went
        self.contents: dict[str, Any] = {"schema": SCHEMA, **head, "measures": {}, "controls": {}, "notes": []}
        if out is None or not out.exists():
            return
        try:
            earlier = json.loads(out.read_text(encoding="utf-8"))
        except ValueError:
            earlier = None
        here = json.loads(json.dumps(self.contents))  # tuples become lists, as in the file
        if isinstance(earlier, dict) and all(earlier.get(k) == here[k] for k in KEY):
            self.contents = here | earlier
        else:
            number = 1
            while (aside := out.with_name(f"{out.stem}.{number}{out.suffix}")).exists():
                number += 1
            out.replace(aside)
            self.set_aside = aside

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
        partial = self.out.with_name(f".{self.out.name}.partial")
        partial.write_text(json.dumps(self.contents, indent=1, allow_nan=False), encoding="utf-8")
        partial.replace(self.out)


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
