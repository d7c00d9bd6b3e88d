"""Barlow Twins: the correlation matrix of two views is drawn to the identity (Zbontar et al. 2021)."""

from jaxtyping import Float
from torch import Tensor

from deepinfomax.objectives.joint_embedding import barlow_twins
from deepinfomax.objectives.projector import JointEmbedding, Level
from deepinfomax.objectives.protocol import Facts, Terms
from deepinfomax.scales import Scale, Section
from deepinfomax.settings import Count, NotNegative, checked


@checked
class BarlowTwins(JointEmbedding):
    """Σ (1 - C_ii)² + λ Σ_{i≠j} C_ij²; arXiv 2103.03230, eq. (1).

    C_ij is the correlation, over the images of the batch, of unit i of one view with unit j of another.

    Args:
        facts: the shapes of the encoder's features.
        off_diagonal: λ, 5e-3 in the paper.
        level: what the projector reads, see `JointEmbedding`.
        hidden, outputs, layers: of the projector; the paper's, for ImageNet, are 8192, 8192 and 3.
    """

    def __init__(
        self,
        facts: Facts,
        *,
        off_diagonal: NotNegative = 5e-3,
        level: Level = "y",
        hidden: Count = 2048,
        outputs: Count = 2048,
        layers: Count = 3,
    ) -> None:
        super().__init__(facts, level, hidden, outputs, layers)
        self.off_diagonal = off_diagonal

    def loss(self, z: Float[Tensor, "V N D"]) -> Terms:
        return Terms({"loss": barlow_twins(z, self.off_diagonal)})

    @staticmethod
    def at_scale(scale: Scale, section: Section) -> Section:
        """A narrower projector that reads y, so that all levels are trained."""
        hidden, outputs = (32, 16) if scale == "smoke" else (512, 512)
        return section | {"hidden": hidden, "outputs": outputs, "level": "y"}
