"""PairBound: a bound and its choice of negatives, used by the local, the global and the CPC objective."""

from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from deepinfomax.errors import UserError
from deepinfomax.information import bounds
from deepinfomax.information.critics import ConcatAndConvolve, EncodeAndDot
from deepinfomax.information.pairs import (
    BoundAndSquares,
    NegativesFrom,
    Normaliser,
    Pairing,
    check_normaliser,
    count_negatives,
    local_infomax,
    local_infomax_with_squares,
    scored_infomax,
)

TAU = 5.0  #: the default clip of `smile`


class Estimate(NamedTuple):
    """A bound on mutual information, from the scores of one batch."""

    value: Float[Tensor, ""]  #: in nats
    maximised: Float[Tensor, ""]  #: what training maximises: `value`, except for `smile`
    mean_square: Float[Tensor, ""] | None  #: mean squared score before the clip; None if it was not requested
    cap: Float[Tensor, ""]  #: the largest value that this bound can take with so many negatives, in nats

    @property
    def measured(self) -> dict[str, Tensor]:
        return {"bound": self.value, "cap": self.cap}


class PairBound:
    """The bound on mutual information of embedded local and global features, over all pairs of a batch.

    Args:
        bound: a name in `bounds.BOUNDS`.
        negatives: "all", or how many per anchor.
        pairing: whether a global or a local is the anchor, see `pairs`.
        negatives_from: under several processes, "all" of them or this one's "own".
        tau: the clip of `smile`.
        clip: of every score of encode-and-dot, see `pairs.local_infomax`.
        squares: whether to compute the mean squared score of encode-and-dot too.
        normaliser: one for all places or one for each, see `pairs.local_infomax`.

    Raises:
        UserError: a `tau` for another bound than `smile`; "per-place" where `pairs.check_normaliser` refuses it.
    """

    def __init__(
        self,
        bound: str,
        negatives: int | Literal["all"],
        pairing: Pairing,
        negatives_from: NegativesFrom,
        tau: float,
        *,
        clip: float | None = None,
        squares: bool = False,
        normaliser: Normaliser = "shared",
    ) -> None:
        self.clip, self.squares, self.normaliser = clip, squares, normaliser
        self.bound = bounds.get(bound)
        if self.bound is bounds.smile:
            self.bound = bounds.smile_with(tau)
        elif tau != TAU:
            raise UserError(f"tau is the clip of the bound smile, and {bound} has none: leave tau at {TAU:g}")
        if normaliser == "per-place":
            check_normaliser(self.bound, negatives, pairing)
        self.negatives, self.pairing, self.negatives_from = negatives, pairing, negatives_from

    def __call__(
        self,
        critic: EncodeAndDot | ConcatAndConvolve,
        local: Float[Tensor, "N L D"],
        glob: Float[Tensor, "N M D"],
        positives: Literal["all", "same"] = "all",
    ) -> Estimate:
        """The estimate for one batch.

        Args:
            critic: the critic that embedded `local` and `glob`, and scores them.
            positives: "all" pairs of places of an image, or only the "same" place l = m, see `pairs`.

        Raises:
            UserError: more negatives than there are, or a batch of one image.
        """
        value, mean_square = self._estimate(critic, local, glob, self.bound, positives)
        trained_as = self.bound.trained_as
        maximised = value
        if trained_as is not None:
            maximised, _ = self._estimate(critic, local, glob, bounds.get(trained_as), positives)
        count = count_negatives(local, glob, self.negatives, self.pairing, self.negatives_from)
        return Estimate(value, maximised, mean_square, torch.tensor(self.bound.cap(count)))

    def _estimate(
        self,
        critic: EncodeAndDot | ConcatAndConvolve,
        local: Float[Tensor, "N L D"],
        glob: Float[Tensor, "N M D"],
        bound: bounds.Bound,
        positives: Literal["all", "same"],
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""] | None]:
        """The bound, and the mean squared score if it was requested."""
        if isinstance(critic, EncodeAndDot):
            estimate = local_infomax_with_squares if self.squares else local_infomax
            value = estimate(
                local,
                glob,
                bound,
                negatives=self.negatives,
                pairing=self.pairing,
                negatives_from=self.negatives_from,
                positives=positives,
                clip=self.clip,
                normaliser=self.normaliser,
            )
            return (value.bound, value.mean_square) if isinstance(value, BoundAndSquares) else (value, None)
        value = scored_infomax(
            critic.pair,
            local,
            glob,
            bound,
            negatives=self.negatives,
            pairing=self.pairing,
            negatives_from=self.negatives_from,
            normaliser=self.normaliser,
        )
        return value, None
