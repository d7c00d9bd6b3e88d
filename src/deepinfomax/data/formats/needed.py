"""Packages that a format needs and that come only with the extra `formats`."""

import importlib
from pathlib import Path
from types import ModuleType

from deepinfomax.errors import UserError


def needed(package: str, path: Path) -> ModuleType:
    """The package that reads a file or folder, imported.

    Raises:
        UserError: it is not installed; the line says how to install it.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        name = package.split(".")[0]
        if isinstance(error, ModuleNotFoundError) and error.name == name:
            raise UserError(f"{path} needs the package {name}: pip install 'deepinfomax[formats]'") from None
        raise UserError(f"{path} needs the package {name}, which cannot be imported here: {error}") from None
