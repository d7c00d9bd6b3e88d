"""Where the real data sets lie that some tests read."""

import os
from collections.abc import Mapping
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent


def find(name: str, environment: Mapping[str, str] = os.environ, checkout: Path = CHECKOUT) -> Path | None:
    """The folder that holds the data set `name` as a folder: $DEEPINFOMAX_DATA, else shared/data beside the checkout.

    None: the one that counts has no such folder.
    """
    told = environment.get("DEEPINFOMAX_DATA")
    root = Path(told) if told else checkout.parent / "shared" / "data"
    return root if (root / name).is_dir() else None
