"""LocalInfoMax: mutual information of the representation and every place of the map (paper §3.2, eq. 6), weight β."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from deepinfomax.errors import UserError
from deepinfomax.features import Features, places
from deepinfomax.information import bounds
from deepinfomax.information.critics import ConcatAndConvolve, EncodeAndDot
from deepinfomax.information.pairs import NegativesFrom, Pairing, count_negatives, local_infomax, scored_infomax
from deepinfomax.objectives.protocol import Batch, Shapes


class LocalInfoMax(nn.Module):
    """1/L · sum over places of I(local place; y), by any bound.

    Args:
        shapes: of the encoder's features.
        bound: a name in `bounds.BOUNDS`.
        critic: "dot" (encode-and-dot) or "concat" (concat-and-convolve).
        units: of the critic: D of encode-and-dot (paper 2048), hidden units of concat-and-convolve (paper 512).
        scale: of encode-and-dot's scores; None: 1 as in the paper.
        places: use so many of the L places of each image, drawn anew each step, before the critic; None, or more
            than there are: all. A deviation from the paper that saves most of the step's time on a CPU.
        negatives: "all", or how many per anchor.
        pairing: whether a global or a local is the anchor, see `pairs`.
        negatives_from: under several processes, "all" of them or this one's "own".
        tau: the clip of `smile`.
    """

    def __init__(
        self,
        shapes: Shapes,
        *,
        bound: str = "infonce",
        critic: Literal["dot", "concat"] = "dot",
        units: int = 2048,
        scale: float | None = None,
        places: int | None = None,
        negatives: int | Literal["all"] = "all",
        pairing: Pairing = "global",
        negatives_from: NegativesFrom = "all",
        tau: float = 5.0,
    ) -> None:
        super().__init__()
        self.bound = bounds.smile_with(tau) if bound == "smile" else bounds.get(bound)
        if places is not None and places < 1:
            raise UserError(f"local.places must be at least 1, or none for all, not {places}")
        self.places = places
        self.pairs: dict[str, Any] = {"negatives": negatives, "pairing": pairing, "negatives_from": negatives_from}
        channels, (global_units, _) = shapes.local[0], shapes.globals
        self.critic: EncodeAndDot | ConcatAndConvolve
        if critic == "dot":
            self.critic = EncodeAndDot(channels, global_units, units, 1.0 if scale is None else scale)
        else:
            self.critic = ConcatAndConvolve(channels, global_units, units)
        self.measured: dict[str, Tensor] = {}

    def forward(self, features: Features, batch: Batch) -> dict[str, Tensor]:
        local = places(features.local)
        if self.places is not None and self.places < local.shape[1]:
            local = sample_places(local, self.places)
        local, glob = self.critic(local, places(features.y))
        value = self.estimate(local, glob, self.bound)
        count = count_negatives(local, glob, **self.pairs)
        self.measured = {"bound": value.detach(), "cap": torch.tensor(self.bound.cap(count))}
        if self.bound.trained_as is not None:
            return {"local": -self.estimate(local, glob, bounds.get(self.bound.trained_as))}
        return {"local": -value}

    def estimate(self, local: Tensor, glob: Tensor, bound: bounds.Bound) -> Tensor:
        """Embedded local (N, L, D) and global (N, M, D) features -> the bound in nats."""
        if isinstance(self.critic, EncodeAndDot):
            return local_infomax(local, glob, bound, **self.pairs)
        return scored_infomax(self.critic.pair, local, glob, bound, **self.pairs)


def sample_places(local: Tensor, count: int) -> Tensor:
    """`count` places of each image, without replacement: (N, L, C) -> (N, count, C)."""
    keys = torch.rand(local.shape[:2], device=local.device)
    index = keys.topk(count, dim=1).indices.unsqueeze(2).expand(-1, -1, local.shape[2])
    return local.gather(1, index)
