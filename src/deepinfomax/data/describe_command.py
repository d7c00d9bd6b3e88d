"""`deepinfomax data`: words -> settings of the section `data` -> a description of what was read."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deepinfomax.data.configured import with_data_settings, with_source
from deepinfomax.data.description import describe_readable, render_description
from deepinfomax.recipes import recipe


def data_command(
    data: str, *, root: Path | None, size: int | None, skip_bad: bool | None, settings: Mapping[str, Any]
) -> tuple[dict[str, Any], str]:
    """What DATA is under these settings of a configuration's section `data`: as a tree, and as lines of text."""
    given = {"data.size": size, "data.skip_bad": skip_bad}
    changes = {name: value for name, value in given.items() if value is not None} | dict(settings)
    fields = dataclasses.asdict(with_data_settings(with_source(recipe(), data, root), changes).data)
    for of_training in ("source", "split"):
        fields.pop(of_training)
    description = describe_readable(data, **fields)
    return description, render_description(description)
