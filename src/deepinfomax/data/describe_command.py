"""`deepinfomax data`: describes data under given settings, and suggests the command that trains on them."""

import dataclasses
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deepinfomax.data.arrays import title_of
from deepinfomax.data.description import describe_readable, render_description
from deepinfomax.data.description_records import DataDescription
from deepinfomax.data.loading import suggested_holdout
from deepinfomax.data.names import found_once
from deepinfomax.data.section import STREAMING, Data, changed, check_recordable, from_source
from deepinfomax.errors import UserError
from deepinfomax.progress import shown
from deepinfomax.recipes import BATCH_IN_MINUTES

SIDE = 64  #: suggested side, in pixels, of larger images, for training in minutes
LARGE = 96  #: shorter side, in pixels, from which on this is suggested
LEAST_SIDE = 8  #: pixels; the default encoder halves an image three times
LEAST_SIDES = {4: 16}  #: by the axes of an item; that of volumes needs more


def data_command(
    data: str, *, root: Path | None, size: int | None, skip_bad: bool | None, settings: Mapping[str, Any]
) -> tuple[dict[str, Any], str]:
    """Describe DATA under these settings of the section `data`, as a dictionary and as lines of text."""
    given = {"data.size": size, "data.skip_bad": skip_bad}
    changes = {name: value for name, value in given.items() if value is not None} | dict(settings)
    fields = dataclasses.asdict(changed(from_source(Data(), data, root), changes))
    if fields["stream"]:
        raise UserError("this command decodes all images: leave data.stream out; train says what a stream is")
    if fields["size"] is not None and fields["size"] < 1:
        raise UserError(f"data.size must be at least 1 pixel, not {fields['size']}")
    source = fields.pop("source")
    for name in ("split", *STREAMING):
        fields.pop(name)
    with shown(f"reading {data}"), found_once():
        description = describe_readable(data, **fields)
        description.problems += too_small_to_train(description)
        command = next_command(data, description, root, changes)
    try:
        check_recordable(source)
    except UserError as error:
        description.problems.append(str(error))
        command = None
    text = render_description(description)
    if command is not None:
        description.next = command
        text += f"\n  {'next':10} {command}"
    return description.as_tree(), text


def too_small_to_train(description: DataDescription) -> list[str]:
    """Problems that no setting of the data solves: only one item, or items too small for the default encoder."""
    train = description.parts.get("train")
    if train is None or not train.images or train.shape is None:
        return []
    if train.images < 2:
        return [f"{description.data} has 1 item to train on: training compares each with others, so give two or more"]
    least = LEAST_SIDES.get(len(train.shape), LEAST_SIDE)
    if min(train.shape[1:]) >= least:
        return []
    mend = "set data.size 16 to enlarge them" if len(train.shape) == 3 else "give larger ones"
    takes = f"the default encoder, which takes {least} or more a side"
    return [f"{title_of(train.shape)} are too small for {takes}: {mend}"]


def next_command(data: str, description: DataDescription, root: Path | None, settings: Mapping[str, Any]) -> str | None:
    """The command that trains on exactly these images.

    None if files or further settings must be changed first; the problems say how.
    """
    train, changes = description.parts.get("train"), dict(settings)
    if train is None or not train.images:
        return None
    shape, problems = train.shape, description.problems
    if shape is None and description.size is None:
        return None
    if problems and description.channels is None and train.type not in (None, "uint8"):
        return None  # a channel that cannot be standardised
    if problems and (shape is not None or len(problems) > 1):  # they were read by leaving out what cannot be
        changes["data.skip_bad"] = True
    if shape is None:
        changes.setdefault("data.size", description.size)
    elif len(shape) == 3 and min(shape[1:]) > LARGE:
        changes.setdefault("data.size", SIDE)
    elif min(shape[1:]) < LEAST_SIDES.get(len(shape), LEAST_SIDE):
        return None  # another encoder than the default is needed
    count = train.images
    if "test" not in description.parts or not description.parts["test"].images:
        fields = changed(from_source(Data(), data, root), settings)
        columns: dict[str, Any] = {"image": fields.image, "label": fields.label, "window": fields.window}
        fraction = suggested_holdout(data, root=root, **columns)
        if fraction is not None:
            changes["data.holdout"] = fraction
            count = int(count * (1 - fraction) * 0.9)  # the share held out varies around the fraction
    if count < BATCH_IN_MINUTES:
        changes["training.batch_size"] = 2 ** max(1, count.bit_length() - 1)
    words = ["deepinfomax", "train", data, *(["--data-root", str(root)] if root is not None else [])]
    for name, value in changes.items():
        words += [name, str(value).lower() if isinstance(value, bool) else str(value)]
    return shlex.join(words) if count >= 2 else None
