"""What some tests need that pip does not install. A test without it is skipped, and says what it needs."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

#: for tests in a real browser, started as `CHROMIUM`
chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="needs chromium, chromium-browser or google-chrome on PATH: apt-get install chromium"
)


def data(name: str, environment: Mapping[str, str] = os.environ, checkout: Path = CHECKOUT) -> Path:
    """Where the folder `name` of real data lies: in $DEEPINFOMAX_DATA, or else in shared/data beside the checkout."""
    told = environment.get("DEEPINFOMAX_DATA")
    root = Path(told) if told else checkout.parent / "shared" / "data"
    if not (root / name).is_dir():
        pytest.skip(f"needs the folder {name} in $DEEPINFOMAX_DATA, or else in shared/data beside the checkout")
    return root
