"""Objectives: `Features` of a batch -> losses by name. Each objective owns its critic."""

import inspect
from typing import Any

from torch import nn

from deepinfomax.objectives.autoencoders import Autoencoder, VariationalAutoencoder
from deepinfomax.objectives.barlow import BarlowTwins
from deepinfomax.objectives.bigan import BiGAN
from deepinfomax.objectives.byol import BYOL
from deepinfomax.objectives.coordinates import Coordinates
from deepinfomax.objectives.cpc import ContrastivePredictiveCoding
from deepinfomax.objectives.emp_ssl import EMPSSL
from deepinfomax.objectives.game import Game, Turn, play, play_all
from deepinfomax.objectives.global_ import GlobalInfoMax
from deepinfomax.objectives.lejepa import LeJEPA
from deepinfomax.objectives.local import LocalInfoMax
from deepinfomax.objectives.nat import NoiseAsTargets
from deepinfomax.objectives.occlusion import Occlusion
from deepinfomax.objectives.prior import PriorMatching
from deepinfomax.objectives.protocol import AcrossViews, Batch, Facts, Objective, Shapes, Terms, TwoPlayer
from deepinfomax.objectives.simclr import SimCLR
from deepinfomax.objectives.supervised import Supervised
from deepinfomax.objectives.vicreg import VICReg
from deepinfomax.plugins import Registry, no_module, registry

__all__ = [
    "BYOL",
    "EMPSSL",
    "OBJECTIVES",
    "AcrossViews",
    "Autoencoder",
    "BarlowTwins",
    "Batch",
    "BiGAN",
    "ContrastivePredictiveCoding",
    "Coordinates",
    "Facts",
    "Game",
    "GlobalInfoMax",
    "LeJEPA",
    "LocalInfoMax",
    "NoiseAsTargets",
    "Objective",
    "Occlusion",
    "PriorMatching",
    "Shapes",
    "SimCLR",
    "Supervised",
    "Terms",
    "Turn",
    "TwoPlayer",
    "VICReg",
    "VariationalAutoencoder",
    "play",
    "play_all",
]


def _fault(name: str, thing: Any) -> str:
    """What is wrong with an objective of another package; "" if nothing is."""
    if fault := no_module("facts", thing):
        return fault
    taken = sorted({"weight", "type"} & inspect.signature(thing).parameters.keys())
    return f"has a setting {taken[0]!r}, which every section of an objective has already: rename it" if taken else ""


#: the type of a section under [objective] -> class; other packages add theirs as `deepinfomax.objectives`
OBJECTIVES: Registry[type[nn.Module]] = registry(
    "objectives",
    {
        "local": LocalInfoMax,
        "global": GlobalInfoMax,
        "prior": PriorMatching,
        "coordinates": Coordinates,
        "supervised": Supervised,
        "autoencoder": Autoencoder,
        "vae": VariationalAutoencoder,
        "bigan": BiGAN,
        "nat": NoiseAsTargets,
        "cpc": ContrastivePredictiveCoding,
        "simclr": SimCLR,
        "vicreg": VICReg,
        "barlow": BarlowTwins,
        "byol": BYOL,
        "lejepa": LeJEPA,
        "emp_ssl": EMPSSL,
    },
    fault=_fault,
)
