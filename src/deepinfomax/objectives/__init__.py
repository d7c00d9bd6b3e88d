"""Objectives: `Features` of a batch -> losses by name. Each reads like its equation and owns its critic."""

from deepinfomax.objectives.autoencoders import Autoencoder, VariationalAutoencoder
from deepinfomax.objectives.bigan import BiGAN
from deepinfomax.objectives.coordinates import Coordinates
from deepinfomax.objectives.cpc import ContrastivePredictiveCoding
from deepinfomax.objectives.global_ import GlobalInfoMax
from deepinfomax.objectives.local import LocalInfoMax
from deepinfomax.objectives.nat import NoiseAsTargets
from deepinfomax.objectives.occlusion import Occlusion
from deepinfomax.objectives.prior import PriorMatching
from deepinfomax.objectives.protocol import Batch, Objective, Shapes, TwoPlayer
from deepinfomax.objectives.supervised import Supervised

__all__ = [
    "OBJECTIVES",
    "Autoencoder",
    "Batch",
    "BiGAN",
    "ContrastivePredictiveCoding",
    "Coordinates",
    "GlobalInfoMax",
    "LocalInfoMax",
    "NoiseAsTargets",
    "Objective",
    "Occlusion",
    "PriorMatching",
    "Shapes",
    "Supervised",
    "TwoPlayer",
    "VariationalAutoencoder",
]

#: name of a section under [objective] -> class
OBJECTIVES: dict[str, type] = {
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
}
