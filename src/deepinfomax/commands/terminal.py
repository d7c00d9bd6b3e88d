"""What a command shows: that something is going on, and its result."""

import json
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from deepinfomax import files
from deepinfomax.started_together import speaks


def starting() -> AbstractContextManager[None]:
    """Something moves in a terminal while torch is imported."""
    if not sys.stderr.isatty():
        return nullcontext()
    from deepinfomax import progress

    return progress.shown("starting")


def show(result: dict[str, Any], as_json: bool, text: str | None = None) -> None:
    """Print a result as one JSON object, as `text` (its own by default), or name by name: one process for all."""
    if not speaks():
        return
    text = result.pop("text", None) if text is None else text
    if as_json:
        print(json.dumps(result, allow_nan=False))
    elif text is not None:
        print(files.plain(text))
    else:
        for name, value in result.items():
            print(files.plain(f"{name}: {json.dumps(value) if isinstance(value, dict | list) else value}"))
