"""SimCLR: find the other view of an image among all views of the batch (Chen et al. 2020)."""

from jaxtyping import Float
from torch import Tensor

from deepinfomax.objectives.joint_embedding import nt_xent
from deepinfomax.objectives.projector import JointEmbedding, Level
from deepinfomax.objectives.protocol import Facts, Terms
from deepinfomax.scales import Scale, Section
from deepinfomax.settings import Count, Positive, checked


@checked
class SimCLR(JointEmbedding):
    """Cross-entropy of finding the other view of the same image among all other views of the batch, in nats.

    Scores are the cosine of projected vectors, divided by a temperature; arXiv 2002.05709, eq. (1). Negatives come from
    all processes.

    Args:
        facts: the shapes of the encoder's features.
        temperature: 0.5, the paper's best on CIFAR-10 (B.9).
        level: what the projector reads, see `JointEmbedding`.
        hidden, outputs, layers: of the projector; 2048, 128 and 2 in the paper, for ResNet-50. The authors' code has a
            BatchNorm after the last layer; here there is none.
    """

    def __init__(
        self,
        facts: Facts,
        *,
        temperature: Positive = 0.5,
        level: Level = "y",
        hidden: Count = 2048,
        outputs: Count = 128,
        layers: Count = 2,
    ) -> None:
        super().__init__(facts, level, hidden, outputs, layers)
        self.temperature = temperature

    def loss(self, z: Float[Tensor, "V N D"]) -> Terms:
        return Terms({"loss": nt_xent(z, self.temperature)})

    @staticmethod
    def at_scale(scale: Scale, section: Section) -> Section:
        """A narrower projector that reads y, so that all levels are trained."""
        hidden, outputs = (32, 16) if scale == "smoke" else (512, 128)
        return section | {"hidden": hidden, "outputs": outputs, "level": "y"}
