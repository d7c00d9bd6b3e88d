"""Encoders on the Hugging Face hub: `model.safetensors` and `config.json`, as its own libraries name them."""

import re
from pathlib import Path

from deepinfomax.errors import UserError
from deepinfomax.files import DESCRIPTION, WEIGHTS

#: name in a run folder -> name on the hub, which counts downloads of config.json
NAMES = {WEIGHTS: "model.safetensors", DESCRIPTION: "config.json"}
REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


def is_repository(name: str | Path) -> bool:
    """Whether a name is OWNER/NAME, and no folder that is there; a pathlib.Path is a folder always."""
    return isinstance(name, str) and REPOSITORY.fullmatch(name) is not None and not Path(name).exists()


def fetch(repository: str, revision: str | None = None) -> Path:
    """The folder of an encoder of the hub, in the hub's own cache; what is there already is not loaded again.

    Raises:
        UserError: no such repository, no access, no connection and no copy, or no encoder in it.
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
    """The path of one of an encoder's files: under its name in a run folder, else under that of the hub."""
    on_hub = folder / NAMES[name]
    return on_hub if on_hub.is_file() and not (folder / name).exists() else folder / name
