"""VICReg: variance, invariance and covariance of two views (Bardes et al. 2022)."""

from jaxtyping import Float
from torch import Tensor

from deepinfomax.objectives.joint_embedding import vicreg
from deepinfomax.objectives.projector import JointEmbedding, Level
from deepinfomax.objectives.protocol import Facts, Terms
from deepinfomax.scales import Scale, Section
from deepinfomax.settings import Count, NotNegative, checked


@checked
class VICReg(JointEmbedding):
    """λ · squared difference of views + μ · max(0, 1 - sd) + ν · squared covariances; arXiv 2105.04906, eq. (6).

    Args:
        facts: the shapes of the encoder's features.
        invariance, variance, covariance: λ, μ and ν; 25, 25 and 1 in the paper. The paper adds the covariance terms of
            its two views; here the mean over any number of views is taken, so ν = 2 equals the paper's 1. The variance
            term is the mean over views, as in the authors' code; the paper's formula adds.
        level: what the projector reads, see `JointEmbedding`.
        hidden, outputs, layers: of the projector; the paper's, for ImageNet, are 8192, 8192 and 3.
    """

    def __init__(
        self,
        facts: Facts,
        *,
        invariance: NotNegative = 25.0,
        variance: NotNegative = 25.0,
        covariance: NotNegative = 2.0,
        level: Level = "y",
        hidden: Count = 2048,
        outputs: Count = 2048,
        layers: Count = 3,
    ) -> None:
        super().__init__(facts, level, hidden, outputs, layers)
        self.weights = (invariance, variance, covariance)

    def loss(self, z: Float[Tensor, "V N D"]) -> Terms:
        terms = vicreg(z)
        measured = dict(zip(("invariance", "variance", "covariance"), terms, strict=True))
        weighted = [weight * term for weight, term in zip(self.weights, terms, strict=True)]
        return Terms({"loss": weighted[0] + weighted[1] + weighted[2]}, measured)

    @staticmethod
    def at_scale(scale: Scale, section: Section) -> Section:
        """A narrower projector that reads y, so that all levels are trained."""
        hidden, outputs = (32, 16) if scale == "smoke" else (512, 512)
        return section | {"hidden": hidden, "outputs": outputs, "level": "y"}
