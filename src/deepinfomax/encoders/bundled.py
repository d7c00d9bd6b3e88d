"""Encoders that come with the package. Each is a folder in `bundled/`, with the same files as on the Hugging Face hub.

`tools/bundle.py` makes such a folder from a run.
"""

from pathlib import Path

FOLDER = Path(__file__).parent / "bundled"


def names() -> list[str]:
    """The names of the bundled encoders, which `deepinfomax.load` takes."""
    return sorted(path.name for path in FOLDER.iterdir() if path.is_dir()) if FOLDER.is_dir() else []


def is_bundled(name: str | Path) -> bool:
    """Whether `name` means a bundled encoder.

    It does not if a folder of that name exists here, or if it is a `pathlib.Path`, which always means a folder.
    """
    return isinstance(name, str) and name in names() and not Path(name).exists()
