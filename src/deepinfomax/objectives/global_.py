"""GlobalInfoMax: mutual information of the whole input and the representation (paper eq. 3), weight α.

The input enters as the features that the encoder shares with the critic: the last convolutional map (§3.1,
T = D(g(C, E))).
"""

from typing import Literal

import torch
from torch import nn

from deepinfomax.errors import UserError
from deepinfomax.features import Features, places
from deepinfomax.information.critics import GlobalCritic
from deepinfomax.information.pairs import NegativesFrom, Pairing
from deepinfomax.objectives.pair_bound import TAU, PairBound
from deepinfomax.objectives.protocol import Batch, Facts, Terms
from deepinfomax.scales import Scale, Section
from deepinfomax.settings import Count, Positive, checked


@checked
class GlobalInfoMax(nn.Module):
    """I(conv map; y) by any bound, in nats, with the paper's global critic on all N² pairs of the batch.

    Args:
        facts: the shapes of the encoder's features.
        bound: a name in `bounds.BOUNDS`.
        units: hidden units of the critic (paper 512).
        negatives: "all", or how many per anchor.
        pairing: whether y ("global") or the map ("local") is the anchor.
        negatives_from: under several processes, "all" of them or this one's "own".
        tau: the clip of `smile`.

    Raises:
        UserError: an encoder without a conv map.
    """

    def __init__(
        self,
        facts: Facts,
        *,
        bound: str = "jsd",
        units: Count = 512,
        negatives: Count | Literal["all"] = "all",
        pairing: Pairing = "global",
        negatives_from: NegativesFrom = "all",
        tau: Positive = TAU,
    ) -> None:
        super().__init__()
        if facts.shapes.conv is None:
            raise UserError("global needs an encoder with a conv map, and this one has none: use local")
        self.compares_processes = negatives_from == "all"
        self.information = PairBound(bound, negatives, pairing, negatives_from, tau)
        self.critic = GlobalCritic(torch.Size(facts.shapes.conv).numel(), facts.shapes.globals[0], units)

    def forward(self, features: Features, batch: Batch) -> Terms:
        assert features.conv is not None
        whole, glob = self.critic(features.conv.flatten(1).unsqueeze(1), places(features.y))
        estimate = self.information(self.critic, whole, glob)
        return Terms({"loss": -estimate.maximised}, estimate.measured)

    @staticmethod
    def at_scale(scale: Scale, section: Section) -> Section:
        """A narrower critic."""
        return section | {"units": 32 if scale == "smoke" else 256}
