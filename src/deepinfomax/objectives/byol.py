"""BYOL: predict, from one view, the output of a slowly updated copy of the network for another (Grill et al. 2020)."""

from collections.abc import Sequence

import torch
from torch import nn

from deepinfomax.errors import UserError
from deepinfomax.features import Features
from deepinfomax.objectives.joint_embedding import cosine_to_target
from deepinfomax.objectives.projector import Level, Projector, projected, width_of
from deepinfomax.objectives.protocol import Batch, Facts, Terms
from deepinfomax.objectives.target import Target
from deepinfomax.scales import Scale, Section
from deepinfomax.settings import Count, Fraction, checked


@checked
class BYOL(nn.Module):
    """2 - 2 cos(q(g(f(x))), g'(f'(x'))) for two views x and x', in both directions; arXiv 2006.07733, eq. (2).

    f is the encoder, g the projector, q the predictor. f' and g' are moving averages of f and g and get no gradient. In
    training mode `forward` updates these averages before it uses them, so once per step of the encoder, as in the
    paper; this is why `forward` changes state here. The paper raises τ to 1 by a cosine over the training; here τ is
    constant.

    Args:
        facts: the shapes of the encoder's features.
        momentum: τ; the paper starts with 0.996.
        level: what the projector reads, see `JointEmbedding`.
        hidden, outputs: of the projector and the predictor, of two layers each; 4096 and 256 in the paper.
    """

    least_views = 2

    def __init__(
        self,
        facts: Facts,
        *,
        momentum: Fraction = 0.996,
        level: Level = "y",
        hidden: Count = 4096,
        outputs: Count = 256,
    ) -> None:
        super().__init__()
        self.momentum, self.level = momentum, level
        self.projector = Projector(width_of(facts, level), hidden, outputs, 2)
        self.predictor = Projector(outputs, hidden, outputs, 2)
        self.target: Target | None = None

    def meet(self, encoder: nn.Module) -> None:
        """Copy the encoder whose features this objective will get. `Game` calls this once, when it is constructed."""
        self.target = Target((encoder, self.projector), self.momentum)

    def across(self, views: Sequence[Features], batch: Batch) -> Terms:
        if self.target is None:
            raise UserError("byol needs the encoder that it follows: give it to a Game, or call meet(encoder)")
        if self.training:
            self.target.follow()
        encoder, projector = self.target.copies
        with torch.no_grad():
            seen = encoder(batch.images).split(batch.views)
            if batch.small is not None:
                seen += encoder(batch.small).split(len(views) - batch.views)
            aim = projected(projector, seen, self.level)
        prediction = self.predictor(projected(self.projector, views, self.level).flatten(0, 1)).view_as(aim)
        with torch.autocast(aim.device.type, enabled=False):
            return Terms({"loss": cosine_to_target(prediction, aim)})

    def forward(self, features: Features, batch: Batch) -> Terms:
        raise UserError("this objective compares views of an image: give it to a Game, or call across(views, batch)")

    @staticmethod
    def at_scale(scale: Scale, section: Section) -> Section:
        """Narrower projector and predictor, and a smaller momentum: the copy follows within hundreds of steps."""
        hidden, outputs = (32, 16) if scale == "smoke" else (512, 128)
        return section | {"hidden": hidden, "outputs": outputs, "level": "y", "momentum": 0.99}
