"""`describe`: how the data were understood, with problems, in a few lines."""

from pathlib import Path
from typing import Any

import numpy as np

from deepinfomax.data.arrays import Kind, Layout, Missing, Reading, Values, title_of
from deepinfomax.data.channels import Channels
from deepinfomax.data.decoding import survey
from deepinfomax.data.description_records import DataDescription, PartDescription
from deepinfomax.data.formats import Columns
from deepinfomax.data.images import ImageSet
from deepinfomax.data.loading import as_read, choose, decode, holdout_of
from deepinfomax.data.names import FOLDS, find, published_copy, read_folds
from deepinfomax.data.parts import PART_OF, PARTS, VALIDATION, no_test_part
from deepinfomax.data.stored import Parts, Source, StoredArrays, StoredImages, printable
from deepinfomax.errors import SeveralSizes, UserError, count_of, listed

CHANNELS_SAID = 6  #: largest number of channels whose mean and deviation are shown


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
    window: float | None = None,
    max_pixels: int | None = None,
    values: Values = "auto",
    kind: Kind = "auto",
    layout: Layout = "auto",
    missing: Missing = "refuse",
    standardise: bool = True,
    cache_dir: str | Path | None = None,
) -> DataDescription:
    """Describe what `load` reads with the same arguments, for every part. Problems are listed, not raised.

    If some images of a part cannot be read, it is described without them (with 0 images if none can be read). A part
    with images of several sizes has no shape.
    """
    description = DataDescription(printable(data))
    reading, problems = Reading(values, kind, layout, missing), description.problems
    try:
        parts = find(data, root, Columns(image, label, window))
        copy = published_copy(data, root)
        description.published = None if copy is None else copy.layout.title
    except UserError as error:
        problems.append(str(error))
        return description
    for name in (*PARTS, *further_parts(parts)):
        try:
            source = as_read(choose(parts, name, printable(data), limit, holdout), reading)
        except UserError as error:
            if not set(PARTS.get(name, (name,))) & parts.keys() and name != "train":
                if name == "test":  # training needs none, so this is no problem
                    share = None if holdout is not None else holdout_of(parts, printable(data))
                    said = str(error) if share is None else no_test_part(printable(data), share)
                    description.parts[name] = PartDescription(0, notes=[said])
            else:
                problems.append(str(error))
            continue
        if source.classes:
            description.classes = list(source.classes)
            description.attributes = source.labels is not None and source.labels.ndim > 1
        described, images, suggested = _described(
            source, size, channels, skip_bad, max_pixels, cache_dir, reading, problems
        )
        description.parts[name] = described
        if name == "train":
            description.size = suggested
        if name == "train" and images is not None and not images.pictures and standardise:
            try:
                description.channels = Channels.of(images)
            except UserError as error:
                problems.append(str(error))
    _compare_shapes(description.parts)
    if not description.attributes:
        _compare_classes(description.parts)
    try:
        description.folds = [len(fold) for fold in read_folds(data, root)]
    except UserError as error:
        problems.append(str(error))
    return description


def describe_readable(data: str | Path, **settings: Any) -> DataDescription:
    """`describe`, but with an error if there is nothing to describe.

    Raises:
        UserError: no image can be read; the message is the first problem.
    """
    description = describe(data, **settings)
    if description.problems and not any(part.images for part in description.parts.values()):
        raise UserError(description.problems[0])
    return description


def render_description(description: DataDescription) -> str:
    """A description as lines of text."""
    lines = [description.data]
    if description.published:
        lines.append(f"  {'as':10} {description.published}, in its published files")
    names = description.classes
    for name, part in description.parts.items():
        facts = [count_of(part.images, "image")] if part.shape is None else _shape_in_words(part)
        if part.labelled:
            facts.append(_labels_in_words(part, len(names), description.attributes))
        elif part.images:
            facts.append("no labels")
        lines.append(f"  {name:10} {', '.join(facts)}")
        lines += [f"  {'':10} note: {note}" for note in part.notes]
    if names:
        more = f", ... {len(names) - 10} more" if len(names) > 10 else ""
        lines.append(f"  {'attributes' if description.attributes else 'classes':10} {', '.join(names[:10])}{more}")
    elif description.parts:
        lines.append(f"  {'labels':10} none: training needs none, probes are off")
    if channels := description.channels:
        lines.append(f"  {'values':10} kept as they are; training brings each channel to mean 0, deviation 1, from")
        pairs = list(zip(channels.mean, channels.sd, strict=True))
        said = [f"{i}: {mean:.4g} ± {sd:.4g}" for i, (mean, sd) in enumerate(pairs[:CHANNELS_SAID])]
        lines.append(
            f"  {'':10} {', '.join(said)}{f', ... {len(pairs) - len(said)} more' if pairs[len(said) :] else ''}"
        )
    if folds := description.folds:
        each = f"{folds[0]:,}" if len(set(folds)) == 1 else f"{min(folds):,} to {max(folds):,}"
        lines.append(f"  {'folds':10} {len(folds)} of {each} training images each ({FOLDS}): measure linear_folds")
    lines += [f"  {'problem':10} {problem}" for problem in description.problems]
    return "\n".join(lines)


def _shape_in_words(part: PartDescription) -> list[str]:
    """Number, shape, type and size of the images in words."""
    assert part.shape is not None
    assert part.bytes is not None
    assert part.type is not None
    channels, *sides = part.shape
    shaped, size = "x".join(map(str, part.shape)), f"{part.bytes / 1e6:,.1f} MB"
    if len(sides) != 2:
        return [f"{part.images:,} {title_of(part.shape, part.images)} (shape {shaped})", part.type, size]
    kind = {1: "grey", 3: "RGB"}.get(channels, f"of {channels} channels")
    wide = "x".join(map(str, reversed(sides)))  # as a person says it: width x height
    decoded = [f"{size} decoded"] if part.type == "uint8" else [part.type, size]
    return [count_of(part.images, "image"), f"{wide} {kind} (shape {shaped})", *decoded]


def further_parts(parts: Parts) -> list[str]:
    """Names of parts besides train, test and unlabeled: for example extra, or val if there is a test part."""
    further = [name for name in parts if name not in PART_OF]
    has_test = any(name in parts for name in PARTS["test"] if name not in VALIDATION)
    return [*(name for name in VALIDATION if name in parts and has_test), *further]


def _described(
    source: Source,
    size: int | None,
    channels: int | None,
    skip_bad: bool,
    max_pixels: int | None,
    cache_dir: str | Path | None,
    reading: Reading,
    problems: list[str],
) -> tuple[PartDescription, ImageSet | None, int | None]:
    """The description of a part; its images if they can be read; and a suggested `data.size` if one is needed."""
    images: ImageSet | None = None
    suggested: int | None = None
    attempts = (skip_bad, True) if isinstance(source, StoredImages) and not skip_bad else (skip_bad,)
    for skipping in attempts:
        try:
            images = decode(source, size, channels, skipping, max_pixels, cache_dir, reading)
            break
        except UserError as error:
            suggested = error.size if isinstance(error, SeveralSizes) else None
            if str(error) not in problems:
                problems.append(str(error))
    if images is None:
        if isinstance(source, StoredImages) and not _readable(source):
            source = source.take(np.arange(0))
        return PartDescription.of_stored(source), None, suggested
    return PartDescription.of_images(images), images, None


def _readable(source: StoredImages) -> bool:
    """Whether any of the images can be read; for arrays this is not tried."""
    return isinstance(source, StoredArrays) or survey(source).readable > 0


def _compare_shapes(parts: dict[str, PartDescription]) -> None:
    """Add notes about parts of another shape than the training part, on which its encoder cannot be measured."""
    train = parts.get("train", PartDescription(0)).shape
    for part in parts.values():
        if train is None or part.shape is None or part.shape == train:
            continue
        differ = part.shape[0] != train[0], part.shape[1:] != train[1:]
        of_pictures = {part.shape[0], train[0]} <= {1, 3}  # data.channels is for these
        if len(part.shape) != 3 or len(train) != 3 or (differ[0] and not of_pictures):
            mend = "give them the same shape"
        else:
            names = ("data.channels", "data.size")
            mend = f"set {' and '.join(name for name, other in zip(names, differ, strict=True) if other)}"
        has, wanted = ("x".join(map(str, shape)) for shape in (part.shape, train))
        part.notes.append(f"of another shape than the training part ({has}, not {wanted}): {mend}")


def _compare_classes(parts: dict[str, PartDescription]) -> None:
    """Add notes about test images of a class that no training image has."""
    empty = PartDescription(0)
    counts = [parts.get(name, empty).per_class or {} for name in ("train", "test")]
    train, test = ({name: count for name, count in part.items() if count} for part in counts)
    unknown = [name for name in test if name not in train]
    if train and unknown:
        names = listed(unknown, 5)
        count = sum(test[name] for name in unknown)
        are = count_of(count, "image is", "images are")
        parts["test"].notes.append(f"{are} of classes that no training image has: {names}")


def _labels_in_words(part: PartDescription, classes: int, attributes: bool) -> str:
    assert part.labelled is not None
    assert part.per_class is not None
    counts = part.per_class.values()
    least, most = min(counts), max(counts)
    each = f"{count_of(most, 'image')} each" if least == most else f"{least:,} to {most:,} images each"
    unlabelled = part.images - part.labelled
    nouns = ("attribute",) if attributes else ("class", "classes")
    return f"{count_of(classes, *nouns)}, {each}" + (
        f", {count_of(unlabelled, 'image')} without label" if unlabelled else ""
    )
