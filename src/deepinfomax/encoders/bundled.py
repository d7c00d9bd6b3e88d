"""Encoders that come with the package, each a folder of `bundled/` as it would lie on the hub.

`tools/bundle.py` makes one of a run.
"""

from pathlib import Path

FOLDER = Path(__file__).parent / "bundled"


def names() -> list[str]:
    """The names that `deepinfomax.load` takes besides folders and repositories."""
    return sorted(path.name for path in FOLDER.iterdir() if path.is_dir()) if FOLDER.is_dir() else []


def is_bundled(name: str | Path) -> bool:
    """Whether this is the name of a bundled encoder, and no folder that is there; a pathlib.Path is a folder always."""
    return isinstance(name, str) and name in names() and not Path(name).exists()
