"""`describe`: what the data were understood to be, problems included, in a few lines."""

from pathlib import Path
from typing import Any

import numpy as np

from deepinfomax.data.decoding import survey
from deepinfomax.data.formats import Columns
from deepinfomax.data.images import ImageSet
from deepinfomax.data.loading import choose, decode
from deepinfomax.data.names import find
from deepinfomax.data.parts import PARTS
from deepinfomax.data.stored import Source, StoredImages, printable
from deepinfomax.errors import UserError


def describe(
    data: str | Path,
    *,
    root: str | Path | None = None,
    size: int | None = None,
    channels: int | None = None,
    skip_bad: bool = False,
    limit: int | None = None,
    holdout: float | None = None,
    image: str | None = None,
    label: str | None = None,
    max_pixels: int | None = None,
    cache_dir: str | Path | None = None,
) -> dict[str, Any]:
    """What `load` makes of the same arguments, for every part; JSON-able. Problems are listed, not raised.

    Returns:
        `{"data", "labels": bool, "classes": names, "parts": {part: {"images": count, "shape": [C, H, W], "bytes":
        decoded, "labelled": count, "per_class": {name: count}, "notes"}}, "problems": lines}`. A part whose images
        cannot all be read is described without them, as one of 0 images where none can; one of several sizes has no
        shape.
    """
    description: dict[str, Any] = {"data": printable(data), "labels": False, "classes": [], "parts": {}, "problems": []}
    problems: list[str] = description["problems"]
    try:
        parts = find(data, root, Columns(image, label))
    except UserError as error:
        problems.append(str(error))
        return description
    for name in PARTS:
        try:
            source = choose(parts, name, printable(data), limit, holdout)
        except UserError as error:
            if not set(PARTS[name]) & parts.keys() and name != "train":
                if name == "test":  # training needs none, so this is no problem
                    description["parts"][name] = {"images": 0, "notes": [str(error)]}
            else:
                problems.append(str(error))
            continue
        if source.classes:
            description["classes"] = list(source.classes)
        description["parts"][name] = _described(source, size, channels, skip_bad, max_pixels, cache_dir, problems)
    description["labels"] = any(part.get("labelled") for part in description["parts"].values())
    return description


def describe_readable(data: str | Path, **settings: Any) -> dict[str, Any]:
    """`describe` of the same arguments, for a person who must have something to look at.

    Raises:
        UserError: not one image can be read; the line is the first problem.
    """
    description = describe(data, **settings)
    if description["problems"] and not any(part["images"] for part in description["parts"].values()):
        raise UserError(description["problems"][0])
    return description


def render_description(description: dict[str, Any]) -> str:
    """A description as lines of text."""
    lines = [description["data"]]
    for name, part in description["parts"].items():
        shape = part.get("shape")
        facts = [f"{part['images']:,} images"]
        if shape:
            channels, height, width = shape
            facts.append(f"{width}x{height} {'grey' if channels == 1 else 'RGB'} (shape {channels}x{height}x{width})")
            facts.append(f"{part['bytes'] / 1e6:,.1f} MB decoded")
        if part.get("labelled"):
            facts.append(_labels_in_words(part, len(description["classes"])))
        elif part["images"]:
            facts.append("no labels")
        lines.append(f"  {name:10} {', '.join(facts)}")
        lines += [f"  {'':10} note: {note}" for note in part["notes"]]
    if description["classes"]:
        names = description["classes"]
        more = f", ... {len(names) - 10} more" if len(names) > 10 else ""
        lines.append(f"  {'classes':10} {', '.join(names[:10])}{more}")
    elif description["parts"]:
        lines.append(f"  {'labels':10} none: training needs none, probes are off")
    lines += [f"  {'problem':10} {problem}" for problem in description["problems"]]
    return "\n".join(lines)


def _described(
    source: Source,
    size: int | None,
    channels: int | None,
    skip_bad: bool,
    max_pixels: int | None,
    cache_dir: str | Path | None,
    problems: list[str],
) -> dict[str, Any]:
    images: ImageSet | None = None
    attempts = (skip_bad, True) if isinstance(source, StoredImages) and not skip_bad else (skip_bad,)
    for skipping in attempts:
        try:
            images = decode(source, size, channels, skipping, max_pixels, cache_dir)
            break
        except UserError as error:
            if str(error) not in problems:
                problems.append(str(error))
    if images is None:
        if isinstance(source, StoredImages) and survey(source).readable == 0:
            source = source.take(np.arange(0))
        return {"images": len(source), "notes": list(source.notes), **_label_counts(source)}
    described = {"images": len(images), "shape": list(images.images.shape[1:]), "bytes": images.images.nbytes}
    return described | {"notes": list(images.notes), **_label_counts(images)}


def _label_counts(source: Source) -> dict[str, Any]:
    labels, classes = source.labels, source.classes
    if labels is None:
        return {"labelled": 0}
    if labels.ndim > 1:  # attributes: how many images have each
        return {"labelled": len(labels), "per_class": dict(zip(classes, labels.sum(0).tolist(), strict=True))}
    counts = np.bincount(labels[labels >= 0], minlength=len(classes)).tolist()
    return {"labelled": int((labels >= 0).sum()), "per_class": dict(zip(classes, counts, strict=True))}


def _labels_in_words(part: dict[str, Any], classes: int) -> str:
    counts = part["per_class"].values()
    least, most = min(counts), max(counts)
    each = f"{most:,} images each" if least == most else f"{least:,} to {most:,} images each"
    unlabelled = part["images"] - part["labelled"]
    return f"{classes} classes, {each}" + (f", {unlabelled:,} images without label" if unlabelled else "")
