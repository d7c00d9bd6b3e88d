"""Reading templates and writing pages, for all pages."""

import base64
import hashlib
from pathlib import Path

import jinja2

from deepinfomax import files
from deepinfomax.errors import count_of


def templates(*packages: str, autoescape: bool = True) -> jinja2.Environment:
    """The templates of `deepinfomax.report`, and before them those of other packages; a name that is not given stops.

    Args:
        autoescape: of HTML; False for what is no HTML.
    """
    loaders = [jinja2.PackageLoader(package) for package in (*packages, "deepinfomax.report")]
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(loaders),
        autoescape=autoescape,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=not autoescape,
    )
    environment.filters["counted"] = count_of
    return environment


def script(environment: jinja2.Environment, name: str) -> dict[str, str]:
    """A script as a page takes it: its text, and the hash by which the page's policy lets it run and nothing else."""
    assert environment.loader is not None
    text = environment.loader.get_source(environment, name)[0]
    digest = hashlib.sha256(text.encode()).digest()
    return {"script": text, "script_hash": base64.b64encode(digest).decode("ascii")}


def write_page(path: Path, text: str) -> Path:
    """Write a page; of a name that is not UTF-8 the bytes are spelled out."""
    files.write_text(path, text.encode("utf-8", "backslashreplace").decode("utf-8"))
    return path
