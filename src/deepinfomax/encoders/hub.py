"""Encoders on the Hugging Face hub: `model.safetensors` and `config.json`, as its own libraries name them."""

import re
from pathlib import Path

from deepinfomax.errors import UserError
from deepinfomax.files import DESCRIPTION, WEIGHTS

#: name of a file in a run folder -> its name on the hub (the hub counts downloads of config.json)
NAMES = {WEIGHTS: "model.safetensors", DESCRIPTION: "config.json"}
REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


def is_repository(name: str | Path) -> bool:
    """Whether `name` means a repository on the hub: it has the form OWNER/NAME, and no folder here has this name.

    A `pathlib.Path` always means a folder.
    """
    return isinstance(name, str) and REPOSITORY.fullmatch(name) is not None and not Path(name).exists()


def fetch(repository: str, revision: str | None = None) -> Path:
    """Download an encoder from the hub; returns its folder in the hub's cache. Cached files are not loaded again.

    Args:
        repository: OWNER/NAME.
        revision: a branch, a tag or a commit; None: the newest.

    Raises:
        UserError: there is no such repository, no access, no encoder in it, or no connection and no cached copy.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    names = [*NAMES.values(), *NAMES]
    try:
        folder = Path(
            snapshot_download(repository, revision=revision, allow_patterns=names, library_name="deepinfomax")
        )
    except GatedRepoError:
        raise UserError(f"{repository} asks for consent: give it on the hub, then log in with hf auth login") from None
    except RevisionNotFoundError:
        raise UserError(f"{repository} has no revision {revision!r} on the Hugging Face hub") from None
    except RepositoryNotFoundError:
        raise UserError(
            f"{repository} is no folder here, and the Hugging Face hub has no model of that name; if it is private, "
            "log in with hf auth login"
        ) from None
    except Exception as error:  # offline, no route, a proxy's page, a full disk: each of its own kind
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{repository} is no folder here, and cannot be had from the Hugging Face hub: {reason}"
        ) from None
    if not any((folder / name).is_file() for name in (DESCRIPTION, NAMES[DESCRIPTION])):
        raise UserError(f"{repository} on the Hugging Face hub holds no encoder: it has no {NAMES[DESCRIPTION]}")
    return folder


def inside(folder: Path, name: str) -> Path:
    """The path of one of an encoder's files, which has one name in a run folder and another one on the hub."""
    on_hub = folder / NAMES[name]
    return on_hub if on_hub.is_file() and not (folder / name).exists() else folder / name
