"""EMP-SSL: vectors of many patches of an image are drawn to their mean, and kept spread out (Tong et al. 2023)."""

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from deepinfomax.objectives.joint_embedding import coding_rate, cosine_to_mean
from deepinfomax.objectives.projector import JointEmbedding, Level
from deepinfomax.objectives.protocol import Facts, Terms
from deepinfomax.scales import Scale, Section
from deepinfomax.settings import Count, NotNegative, Positive, checked


@checked
class EMPSSL(JointEmbedding):
    """- mean over views of ½ log det(I + D/(N ε²) ZᵀZ) - λ · mean cosine to the mean of the image's views.

    Extreme-multi-patch learning, arXiv 2304.03977. The first term, in nats, is the coding rate of each view's vectors
    (normalised to length 1); training raises it.

    Args:
        facts: the shapes of the encoder's features.
        invariance: λ, 200 in the authors' code.
        epsilon: ε. The authors' code has D/(N · 0.2) where the paper has D/(N ε²), so their ε is √0.2.
        level: what the projector reads, see `JointEmbedding`.
        hidden, outputs, layers: of the projector; the authors' has 4096, 1024 and 3, on ResNet-18.
    """

    def __init__(
        self,
        facts: Facts,
        *,
        invariance: NotNegative = 200.0,
        epsilon: Positive = 0.2**0.5,
        level: Level = "y",
        hidden: Count = 4096,
        outputs: Count = 1024,
        layers: Count = 3,
    ) -> None:
        super().__init__(facts, level, hidden, outputs, layers)
        self.invariance, self.epsilon = invariance, epsilon

    def loss(self, z: Float[Tensor, "V N D"]) -> Terms:
        z = normalize(z, dim=2)
        rate, cosine = coding_rate(z, self.epsilon).mean(), cosine_to_mean(z)
        return Terms({"loss": -rate - self.invariance * cosine}, {"rate": rate, "cosine": cosine})

    @staticmethod
    def at_scale(scale: Scale, section: Section) -> Section:
        """A narrower projector that reads y, so that all levels are trained."""
        hidden, outputs = (32, 16) if scale == "smoke" else (512, 256)
        return section | {"hidden": hidden, "outputs": outputs, "level": "y"}
