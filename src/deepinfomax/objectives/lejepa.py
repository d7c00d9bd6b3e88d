"""LeJEPA: draws the views of an image together, and keeps vectors Gaussian by SIGReg (Balestriero and LeCun 2025)."""

import torch
from jaxtyping import Float
from torch import Tensor

from deepinfomax.information.across import from_first_process
from deepinfomax.objectives.joint_embedding import spread_around_mean
from deepinfomax.objectives.projector import JointEmbedding, Level
from deepinfomax.objectives.protocol import Facts, Terms
from deepinfomax.objectives.slices import random_slices, sigreg
from deepinfomax.scales import Scale, Section
from deepinfomax.settings import Count, Fraction, checked


@checked
class LeJEPA(JointEmbedding):
    """(1 - λ) · mean squared distance to the mean of the image's views + λ · SIGReg of each view; arXiv 2511.08544.

    Args:
        facts: the shapes of the encoder's features.
        sigreg_weight: λ, 0.02 in the authors' minimal example.
        slices: random directions drawn in each step; 256 in that example, 1024 in the authors' library.
        level: what the projector reads, see `JointEmbedding`.
        hidden, outputs, layers: of the projector; 2048, 16 and 3 in that example.
    """

    def __init__(
        self,
        facts: Facts,
        *,
        sigreg_weight: Fraction = 0.02,
        slices: Count = 256,
        level: Level = "y",
        hidden: Count = 2048,
        outputs: Count = 16,
        layers: Count = 3,
    ) -> None:
        super().__init__(facts, level, hidden, outputs, layers)
        self.sigreg_weight, self.slices = sigreg_weight, slices

    def loss(self, z: Float[Tensor, "V N D"]) -> Terms:
        directions = from_first_process(random_slices(z.shape[2], self.slices, like=z))
        prediction = spread_around_mean(z)
        gaussian = torch.stack([sigreg(view, directions) for view in z]).mean()
        loss = (1 - self.sigreg_weight) * prediction + self.sigreg_weight * gaussian
        return Terms({"loss": loss}, {"prediction": prediction, "sigreg": gaussian})

    @staticmethod
    def at_scale(scale: Scale, section: Section) -> Section:
        """A narrower projector that reads y, so that all levels are trained."""
        hidden, outputs = (32, 16) if scale == "smoke" else (512, 16)
        return section | {"hidden": hidden, "outputs": outputs, "level": "y"}
