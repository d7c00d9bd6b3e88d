"""Bounds: the scores of true pairs and of false pairs -> one number in nats, to be maximised.

A critic scores pairs. *Positives* are pairs drawn together, from the joint distribution J; *negatives* are pairs
drawn apart, from the product of the marginals M (paper §3.1). Every bound here is a pure function

    bound(positive, negative)     positive (..., P), negative (..., K)  ->  scalar

The leading axes are *anchors*: the P positives of an anchor share its K negatives. `pairs.py` decides which pairs are
positives, negatives or neither; this module knows tensors only.

A bound needs only one *statistic* of each anchor's negatives, a log-sum-exp or a sum (`Bound.statistic`,
`Bound.from_statistic`), so the scores of millions of negatives need not be kept.

| name | E+ of a positive u | E- of the negatives | range | estimates |
| --- | --- | --- | --- | --- |
| infonce | u - log(e^u + sum e^u-) + log(1 + K) | in the same softmax | (-inf, log(1 + K)] | lower bound of MI |
| dv | u | log mean e^u | (-inf, inf) | lower bound of MI, in the limit of many negatives |
| nwj (= kl) | u | mean e^(u - 1) | (-inf, inf) | lower bound of MI, unbiased |
| smile | u | log mean clip(e^u, e^-tau, e^tau) | (-inf, inf) | MI, neither lower nor upper bound |
| jsd | log 2 - sp(-u) | mean sp(u) - log 2 | (-inf, 2 log 2] | twice the Jensen-Shannon divergence |
| gan | -sp(-u) | mean sp(u) | (-inf, 0] | jsd - 2 log 2, the paper's eq. (4) |
| reverse_kl | -e^-u | mean u - 1 | (-inf, inf) | KL(M || J) |
| squared_hellinger | 1 - e^-u | mean e^u - 1 | (-inf, 2) | squared Hellinger distance |
| chi2 | u | mean u^2/4 + u | (-inf, inf) | Pearson's chi^2(J || M) |

sp(u) = log(1 + e^u). For any critic the value is a lower bound of the divergence in the last column, so an untrained
critic can give a negative number. That is not an error.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from deepinfomax.errors import UserError
from deepinfomax.plugins import no_record, registry


@dataclass(frozen=True)
class Bound:
    """One variational bound, as the pieces of its formula.

    Raises:
        UserError: an unknown `pool`, or `per_anchor` without "logsumexp".
    """

    name: str
    positive: Callable[[Tensor], Tensor]  #: E+: applied to each positive's score
    negative: Callable[[Tensor], Tensor] | None  #: applied to each negative's score before pooling; None: the identity
    pool: Literal["logsumexp", "sum"]  #: how the negatives of one anchor become one statistic
    per_anchor: bool = False  #: infoNCE: one softmax over each positive and its anchor's negatives
    lower_bound_of_mi: bool = False  #: whether its expectation never exceeds the mutual information
    trained_as: str | None = None  #: the bound that trains a critic for this one; None: this bound itself
    largest: Callable[[int], float] = lambda count: math.inf  #: the largest value with so many negatives, in nats

    def __post_init__(self) -> None:
        if self.pool not in ("logsumexp", "sum"):
            raise UserError(f'{self.name}: pool must be "logsumexp" or "sum", not {self.pool!r}')
        if self.per_anchor and self.pool != "logsumexp":
            raise UserError(f'{self.name}: with per_anchor negatives stand in a softmax: set pool to "logsumexp"')

    def __call__(
        self, positive: Float[Tensor, "*anchors P"], negative: Float[Tensor, "*anchors K"]
    ) -> Float[Tensor, ""]:
        """positive (..., P), negative (..., K) with the same leading axes -> scalar in nats.

        Raises UserError if the shapes do not fit, if there is no negative at all, and for arrays that are no tensors.
        """
        for scores in (positive, negative):
            if not isinstance(scores, Tensor):
                other = type(scores).__name__
                raise UserError(
                    f"{self.name}: scores must be tensors, not {other}: torch.as_tensor makes one of an array"
                )
        if positive.shape[:-1] != negative.shape[:-1]:
            raise UserError(
                f"{self.name}: positives {tuple(positive.shape)} and negatives {tuple(negative.shape)} need the same "
                "leading axes, one row of each per anchor"
            )
        if negative.numel() == 0:
            raise UserError(f"{self.name}: no negatives; a batch needs at least two samples")
        if positive.numel() == 0:
            raise UserError(f"{self.name}: no positives; give each anchor one at least")
        return self.from_statistic(positive, self.statistic(negative), negative.shape[-1])

    def statistic(self, negative: Float[Tensor, "*anchors K"]) -> Float[Tensor, "*anchors"]:
        """The log-sum-exp or sum over each anchor's negatives: (..., K) -> (...)."""
        terms = negative if self.negative is None else self.negative(negative)
        return terms.logsumexp(-1) if self.pool == "logsumexp" else terms.sum(-1)

    def from_statistic(
        self,
        positive: Float[Tensor, "*anchors P"],
        statistic: Float[Tensor, "*anchors"],
        count: int,
        *,
        apart: bool = False,
    ) -> Float[Tensor, ""]:
        """positive (..., P), statistic (...) of `count` negatives an anchor -> scalar in nats.

        Args:
            apart: anchors are (N, A), N samples of A kinds, and the value is the mean of A bounds, each with the
                expectation over the negatives of its own kind. It changes only bounds that take a log of a mean.
        """
        if self.per_anchor:  # eq. (5), plus log(1 + K), which makes it a bound in nats
            positive = self.positive(positive)
            log_softmax = positive - torch.logaddexp(positive, statistic.unsqueeze(-1))
            return log_softmax.mean() + math.log1p(count)
        total = count * statistic.numel()
        if self.pool == "logsumexp" and apart:
            log_mean = statistic.logsumexp(0) - math.log(count * len(statistic))
            return self.positive(positive).mean() - log_mean.mean()
        if self.pool == "logsumexp":  # eq. (2): the expectation over M is over the negatives of all anchors
            return self.positive(positive).mean() - (statistic.flatten().logsumexp(0) - math.log(total))
        return self.positive(positive).mean() - statistic.sum() / total

    def cap(self, count: int) -> float:
        """The largest value the bound can take with `count` negatives per anchor, in nats; inf: there is none."""
        return self.largest(count)


def _identity(u: Tensor) -> Tensor:
    return u


# logsigmoid, not softplus: torch's softplus turns linear above 20, an error of 2e-9 that float64 checks see.
infonce = Bound(
    "infonce", _identity, None, "logsumexp", per_anchor=True, lower_bound_of_mi=True, largest=lambda k: math.log1p(k)
)
dv = Bound("dv", _identity, None, "logsumexp", lower_bound_of_mi=True)
nwj = Bound("nwj", _identity, lambda u: torch.exp(u - 1), "sum", lower_bound_of_mi=True)
jsd = Bound(
    "jsd",
    lambda u: math.log(2) + logsigmoid(u),
    lambda u: -logsigmoid(-u) - math.log(2),
    "sum",
    largest=lambda k: 2 * math.log(2),
)
gan = Bound("gan", logsigmoid, lambda u: -logsigmoid(-u), "sum", largest=lambda k: 0.0)
kl = Bound("kl", nwj.positive, nwj.negative, "sum", lower_bound_of_mi=True)
reverse_kl = Bound("reverse_kl", lambda u: -torch.exp(-u), lambda u: u - 1, "sum")
squared_hellinger = Bound("squared_hellinger", lambda u: -torch.expm1(-u), torch.expm1, "sum", largest=lambda k: 2.0)
# E+ = u, E- = u²/4 + u (Nowozin et al. 2016, Table 6). The authors' code has u² and -(|u|+1)²/2: unbounded.
chi2 = Bound("chi2", _identity, lambda u: u.square() / 4 + u, "sum")


def smile_with(tau: float) -> Bound:
    """SMILE (Song & Ermon 2020, eq. 10) with its clip at e^-tau and e^tau; tau = inf is `dv`.

    Once the negatives are clipped, its own gradient would raise positives without limit. So, as in its authors' code, a
    critic is trained by `jsd`, and this formula is only used to read it (`Bound.trained_as`).

    Raises UserError if tau is not above 0: the clip would leave nothing of a score.
    """
    if not tau > 0:  # written so that nan is refused too
        raise UserError(f"smile's tau must be above 0, not {tau}: 1 and 5 are usual, inf clips nothing")
    return Bound("smile", _identity, lambda u: u.clamp(-tau, tau), "logsumexp", trained_as="jsd")


smile = smile_with(5.0)

#: name -> bound; other packages add theirs as `deepinfomax.bounds`
BOUNDS: Mapping[str, Bound] = registry(
    "bounds",
    {bound.name: bound for bound in (infonce, jsd, dv, nwj, smile, kl, reverse_kl, squared_hellinger, chi2, gan)},
    fault=lambda name, thing: no_record(Bound, thing),
)
_ALIASES = {
    "nce": "infonce",
    "rkl": "reverse_kl",
    "h2": "squared_hellinger",
    "hellinger": "squared_hellinger",
    "x2": "chi2",
}


def get(bound: "str | Bound") -> Bound:
    """The bound of that name. Raises UserError, with a list of the names, if there is none."""
    if isinstance(bound, Bound):
        return bound
    name = str(bound)
    if name not in BOUNDS:  # that of a package may have capitals and dashes itself
        name = name.lower().replace("-", "_")
    name = _ALIASES.get(name, name)
    if name not in BOUNDS:
        raise UserError(f"unknown bound {bound!r}; choose one of {', '.join(BOUNDS)}")
    return BOUNDS[name]
