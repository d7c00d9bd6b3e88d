"""Objectives: `Features` of a batch -> losses by name. Each reads like its equation and owns its critic."""

from collections.abc import Mapping

from torch import nn

from deepinfomax.objectives.autoencoders import Autoencoder, VariationalAutoencoder
from deepinfomax.objectives.bigan import BiGAN
from deepinfomax.objectives.coordinates import Coordinates
from deepinfomax.objectives.cpc import ContrastivePredictiveCoding
from deepinfomax.objectives.game import Game, Turn, play, play_all
from deepinfomax.objectives.global_ import GlobalInfoMax
from deepinfomax.objectives.local import LocalInfoMax
from deepinfomax.objectives.nat import NoiseAsTargets
from deepinfomax.objectives.occlusion import Occlusion
from deepinfomax.objectives.prior import PriorMatching
from deepinfomax.objectives.protocol import AcrossViews, Batch, Facts, Objective, Shapes, Terms, TwoPlayer
from deepinfomax.objectives.supervised import Supervised
from deepinfomax.plugins import registry

__all__ = [
    "OBJECTIVES",
    "AcrossViews",
    "Autoencoder",
    "Batch",
    "BiGAN",
    "ContrastivePredictiveCoding",
    "Coordinates",
    "Facts",
    "Game",
    "GlobalInfoMax",
    "LocalInfoMax",
    "NoiseAsTargets",
    "Objective",
    "Occlusion",
    "PriorMatching",
    "Shapes",
    "Supervised",
    "Terms",
    "Turn",
    "TwoPlayer",
    "VariationalAutoencoder",
    "play",
    "play_all",
]

#: the type of a section under [objective] -> class; other packages add theirs as `deepinfomax.objectives`
OBJECTIVES: Mapping[str, type[nn.Module]] = registry(
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
    },
)
