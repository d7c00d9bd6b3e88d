"""Deep InfoMax: image representations learned by maximising mutual information, and measured honestly."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepinfomax import bounds, encoders, objectives, pairs
    from deepinfomax.encoders.storage import load
    from deepinfomax.errors import UserError
    from deepinfomax.estimation import MIEstimate, estimate_mi
    from deepinfomax.features import Features
    from deepinfomax.pairs import local_infomax

__all__ = [
    "Features",
    "MIEstimate",
    "UserError",
    "bounds",
    "encoders",
    "estimate_mi",
    "load",
    "local_infomax",
    "objectives",
    "pairs",
]
__version__ = version("deepinfomax")

_HOMES = {
    "Features": "features",
    "MIEstimate": "estimation",
    "UserError": "errors",
    "estimate_mi": "estimation",
    "load": "encoders.storage",
    "local_infomax": "pairs",
}


def __getattr__(name: str) -> Any:
    """Public names are imported when they are first used: `deepinfomax --help` need not wait for torch."""
    if name in _HOMES:
        return getattr(import_module(f"deepinfomax.{_HOMES[name]}"), name)
    if name in __all__:
        return import_module(f"deepinfomax.{name}")
    raise AttributeError(f"module 'deepinfomax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
