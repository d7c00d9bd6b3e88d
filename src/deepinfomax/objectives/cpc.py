"""CPC: contrastive predictive coding over the rows of the local map (Oord et al. 2018; Table 3).

The paper describes CPC as ordered autoregression: a summary of the rows so far predicts the local features of later
rows, with any bound. With an encoder of strided crops (`strided`) each local feature depends on its own crop only, so
this is a real prediction. With an ordinary encoder receptive fields overlap widely, and the prediction is too easy.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from deepinfomax.errors import UserError
from deepinfomax.features import Features, places
from deepinfomax.information.critics import EncodeAndDot
from deepinfomax.information.pairs import NegativesFrom, Pairing
from deepinfomax.objectives.local import LocalInfoMax, sample_places
from deepinfomax.objectives.pair_bound import TAU, PairBound
from deepinfomax.objectives.protocol import Batch, Facts, Terms
from deepinfomax.scales import Scale, Section
from deepinfomax.settings import Count, Positive, checked


@checked
class ContrastivePredictiveCoding(nn.Module):
    """Mean over offsets k and places (i, j) of I(summary of rows up to i at column j; local feature at (i + k, j)).

    The summaries are the states of a `RowGRU`. Each offset k has its own encode-and-dot critic. The negatives of a pair
    are the local features of every other image, at all places that offset k predicts.

    CPC itself does not train the layers after the local map (conv if it is another map, fc, y). The paper does not say
    which level its Table 3 probed. With `summary` one more term, I(last summaries; y), trains these layers. Its
    gradient stops at the local map and at the summaries, so the rest of the encoder and the RowGRU are trained by CPC
    alone. Without `summary` these layers keep their random weights, and probes of them measure random features.

    `summary` needs an encoder whose y is computed from the very tensor that it returns as `local`. So it cannot be
    combined with occlusion, where y comes from a second pass through the encoder, nor with several views of an image,
    since this objective gets the map of one view at a time.

    Args:
        facts: the shapes of the encoder's features; local is (C, rows, columns), or (C, steps) of a sequence.
        bound: a name in `bounds.BOUNDS`.
        offsets: how many rows ahead to predict: 1, 2, ..., `offsets` (paper: three).
        units: D of encode-and-dot (1024 in the authors' comparison with CPC).
        scale: of encode-and-dot's scores; None: 1 as in the paper.
        places: how many places of each image to use for each offset, drawn anew in each step before the critic; None:
            all. A deviation from the paper that saves most of the step's time on a CPU.
        summary: also train the layers after the local map, see above.
        negatives: "all", or how many per anchor.
        pairing: whether a summary ("global") or a local feature ("local") is the anchor.
        negatives_from: under several processes, "all" of them or this one's "own".
        tau: the clip of `smile`.
    """

    def __init__(
        self,
        facts: Facts,
        *,
        bound: str = "infonce",
        offsets: Count = 3,
        units: Count = 1024,
        scale: Positive | None = None,
        places: Count | None = None,
        summary: bool = True,
        negatives: Count | Literal["all"] = "all",
        pairing: Pairing = "global",
        negatives_from: NegativesFrom = "all",
        tau: Positive = TAU,
    ) -> None:
        super().__init__()
        shapes = facts.shapes
        channels, *sides = shapes.local
        if len(sides) not in (1, 2):
            raise UserError(
                f"cpc needs a local map of rows and columns, or a sequence, not one of shape {shapes.local}"
            )
        if offsets >= sides[0]:
            raise UserError(f"cpc.offsets must be from 1 to {sides[0] - 1}: the local map has {sides[0]} rows")
        self.places = places
        self.compares_processes = negatives_from == "all"
        self.information = PairBound(bound, negatives, pairing, negatives_from, tau)
        scale = 1.0 if scale is None else scale
        self.autoregression = RowGRU(channels)
        self.critics = nn.ModuleList(EncodeAndDot(channels, channels, units, scale) for _ in range(offsets))
        self.summary = EncodeAndDot(channels, shapes.globals[0], units, scale) if summary else None
        self.one_pass = (
            "cpc.summary trains the head from the map of the whole image: set cpc.summary to false" if summary else None
        )

    def forward(self, features: Features, batch: Batch) -> Terms:
        local = features.local if features.local.ndim == 4 else features.local.unsqueeze(3)
        summaries = self.autoregression(local)
        estimates = []
        critic: EncodeAndDot
        for k, critic in enumerate(self.critics, start=1):  # type: ignore[assignment]
            pairs = torch.cat([places(local[:, :, k:]), places(summaries[:, :, :-k])], dim=2)
            if self.places is not None:
                pairs = sample_places(pairs, min(self.places, pairs.shape[1]))
            future, past = critic(*pairs.chunk(2, dim=2))
            estimates.append(self.information(critic, future, past, positives="same"))
        measured = {
            "bound": torch.stack([e.value for e in estimates]).mean(),
            "cap": torch.stack([e.cap for e in estimates]).mean(),
            **{f"bound_{k}": e.value for k, e in enumerate(estimates, start=1)},
        }
        losses = {"loss": -torch.stack([e.maximised for e in estimates]).mean()}
        if self.summary is not None:
            last, glob = self.summary(places(summaries[:, :, -1]).detach(), places(features.y))
            estimate = self.information(self.summary, last, glob)
            measured["bound_summary"] = estimate.value
            losses["summary"] = without_gradient_at(features.local, -estimate.maximised, y=features.y)
        return Terms(losses, measured)

    @staticmethod
    def at_scale(scale: Scale, section: Section) -> Section:
        """The changes of `LocalInfoMax.at_scale`."""
        return LocalInfoMax.at_scale(scale, section)


class RowGRU(nn.Module):
    """A GRU from row to row that is convolutional along each row, with kernel 3 (a Row LSTM with GRU units).

    It has as many units as the map has channels. The state at (i, j) depends on row i up to one column from j, on row
    i - 1 up to two columns, and so on upwards; it does not depend on any row below. The equations are those of
    `torch.nn.GRU`.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.from_row = nn.Conv1d(channels, 3 * channels, 3, padding=1)
        self.from_state = nn.Conv1d(channels, 3 * channels, 3, padding=1)

    def forward(self, local: Float[Tensor, "N C H W"]) -> Float[Tensor, "N C H W"]:
        """Local map -> the state at every place."""
        rows = local.transpose(1, 2)
        inputs = self.from_row(rows.flatten(0, 1)).unflatten(0, rows.shape[:2])  # all rows at once
        state = torch.zeros_like(local[:, :, 0])
        states = []
        for row in inputs.unbind(1):
            reset_in, update_in, new_in = row.chunk(3, dim=1)
            reset_state, update_state, new_state = self.from_state(state).chunk(3, dim=1)
            update = torch.sigmoid(update_in + update_state)
            new = torch.tanh(new_in + torch.sigmoid(reset_in + reset_state) * new_state)
            state = (1 - update) * new + update * state
            states.append(state)
        return torch.stack(states, dim=2)


def without_gradient_at(x: Tensor, loss: Float[Tensor, ""], y: Tensor) -> Float[Tensor, ""]:
    """The same loss, with a gradient that stops at `x`.

    Layers between x and the loss are trained, layers before x are not: the gradient g of the loss at x is computed, and
    g·x is subtracted from the loss. Paths that lead around x are not stopped.

    Args:
        x: the local map.
        loss: a scalar computed from y.
        y: the representation, computed from x.

    Raises:
        UserError: y was not computed from x.
    """
    if not (torch.is_grad_enabled() and x.requires_grad):
        return loss
    (g,) = torch.autograd.grad(loss, x, retain_graph=True, allow_unused=True)
    if g is None:
        if y.grad_fn is not None:
            raise UserError(
                "cpc.summary stops its gradient at the local map, and this encoder computes y from something else: "
                "return as local the very tensor that y is computed from, or set cpc.summary to false"
            )
        return loss
    passed = (g.detach() * x).sum()
    return loss - (passed - passed.detach())
