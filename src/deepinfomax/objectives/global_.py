"""GlobalInfoMax: mutual information of the whole input and the representation (paper eq. 3), weight α.

The input enters as the features the encoder shares with the critic: the last convolutional map (§3.1, T = D(g(C, E))).
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from deepinfomax.features import Features, places
from deepinfomax.information import bounds
from deepinfomax.information.critics import GlobalCritic
from deepinfomax.information.pairs import NegativesFrom, Pairing, count_negatives, scored_infomax
from deepinfomax.objectives.protocol import Batch, Shapes


class GlobalInfoMax(nn.Module):
    """I(conv map; y), by any bound, with the paper's global critic over all N² pairs of the batch.

    Args:
        shapes: of the encoder's features.
        bound: a name in `bounds.BOUNDS`.
        units: hidden units of the critic (paper 512).
        negatives: "all", or how many per anchor.
        pairing: whether y ("global") or the map ("local") is the anchor.
        negatives_from: under several processes, "all" of them or this one's "own".
        tau: the clip of `smile`.
    """

    def __init__(
        self,
        shapes: Shapes,
        *,
        bound: str = "jsd",
        units: int = 512,
        negatives: int | Literal["all"] = "all",
        pairing: Pairing = "global",
        negatives_from: NegativesFrom = "all",
        tau: float = 5.0,
    ) -> None:
        super().__init__()
        self.bound = bounds.smile_with(tau) if bound == "smile" else bounds.get(bound)
        self.pairs: dict[str, Any] = {"negatives": negatives, "pairing": pairing, "negatives_from": negatives_from}
        self.critic = GlobalCritic(torch.Size(shapes.conv).numel(), shapes.globals[0], units)
        self.measured: dict[str, Tensor] = {}

    def forward(self, features: Features, batch: Batch) -> dict[str, Tensor]:
        whole, glob = self.critic(features.conv.flatten(1).unsqueeze(1), places(features.y))
        value = self.estimate(whole, glob, self.bound)
        count = count_negatives(whole, glob, **self.pairs)
        self.measured = {"bound": value.detach(), "cap": torch.tensor(self.bound.cap(count))}
        if self.bound.trained_as is not None:
            return {"global": -self.estimate(whole, glob, bounds.get(self.bound.trained_as))}
        return {"global": -value}

    def estimate(self, whole: Tensor, glob: Tensor, bound: bounds.Bound) -> Tensor:
        """The critic's halves (N, 1, U), (N, M, U) -> the bound in nats."""
        return scored_infomax(self.critic.pair, whole, glob, bound, **self.pairs)
