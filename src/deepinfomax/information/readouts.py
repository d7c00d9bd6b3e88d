"""Readouts: the scores of held-out pairs -> nats.

A critic trained by any bound estimates the log of the density ratio p(x, y) / p(x) p(y) (for some bounds up to a
constant). A readout turns its scores on n held-out pairs into a number. The n pairs are a sample of the joint
distribution J, the n(n - 1) other combinations of the product of the marginals M. All computations are in log space.

Each pair has a weight (1 by default). The derivative of a readout by the weights is its influence function, and its
norm is the infinitesimal jackknife (Jaeckel 1972), the limit of a bootstrap over pairs. So one gradient gives the
standard error, and it includes the influence of a pair through the negatives that it is part of.

Two readouts, `dv` and `jsd_lb`, are convex functions of a mean, so their value at a sample mean is too high on average.
Given `at`, that mean on *other* pairs (the validation part), they use the tangent at this point instead. That is lower,
and in expectation a lower bound of mutual information, for any sample size.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid


@dataclass(frozen=True)
class Scores:
    """The scores (n, n) of all combinations of n pairs; the diagonal holds the pairs. fp32 or better."""

    all_pairs: Float[Tensor, "n n"]
    log_weight: Float[Tensor, "n"] | None = None  #: the log of each pair's weight; None: all equal

    @property
    def pairs(self) -> Float[Tensor, "n"]:
        """Scores of the pairs drawn together"""
        return self.all_pairs.diagonal()

    @property
    def log_weights(self) -> Float[Tensor, "n"]:
        return self.all_pairs.new_zeros(len(self.all_pairs)) if self.log_weight is None else self.log_weight

    def joint(self, value: Float[Tensor, "n"]) -> Float[Tensor, ""]:
        """E_J of a value of each pair"""
        return value @ self.log_weights.softmax(0)

    def log_mean_exp(self, value: Float[Tensor, "n n"]) -> Float[Tensor, ""]:
        """log E_M e^value; the diagonal is excluded exactly, however large it is."""
        w = self.log_weights
        log_weight = _without_diagonal(w.unsqueeze(1) + w)
        return (value + log_weight).logsumexp((0, 1)) - log_weight.logsumexp((0, 1))

    def product(self, value: Float[Tensor, "n n"]) -> Float[Tensor, ""]:
        """E_M of values"""
        w = self.log_weights
        weight = _without_diagonal(w.unsqueeze(1) + w).flatten().softmax(0)
        return value.flatten() @ weight


def _without_diagonal(values: Float[Tensor, "n n"]) -> Float[Tensor, "n n"]:
    return values.masked_fill(torch.eye(len(values), dtype=torch.bool, device=values.device), -math.inf)


def infonce(scores: Scores) -> Float[Tensor, ""]:
    """E_J [u - log(e^u + sum e^u-)] + log n, each pair against the n - 1 others of its row; at most log n."""
    others = _without_diagonal(scores.log_weights.expand_as(scores.all_pairs))
    negatives = (scores.all_pairs + others).logsumexp(1)
    candidates = others.logsumexp(1).exp()
    return scores.joint(scores.pairs - torch.logaddexp(scores.pairs, negatives) + torch.log1p(candidates))


def nwj(scores: Scores) -> Float[Tensor, ""]:
    """E_J u - E_M e^(u - 1): unbiased, so a lower bound in expectation; its variance grows as e^MI."""
    return scores.joint(scores.pairs) - torch.exp(scores.log_mean_exp(scores.all_pairs) - 1)


def jsd_nwj(scores: Scores) -> Float[Tensor, ""]:
    """`nwj` of u + 1: a critic trained by JSD nears log p/q, where NWJ's optimum is 1 + log p/q (Poole et al. 2019)."""
    return scores.joint(scores.pairs) + 1 - torch.exp(scores.log_mean_exp(scores.all_pairs))


def log_normaliser(scores: Scores) -> Float[Tensor, ""]:
    """log E_M e^u: what `dv` subtracts, and the point of its tangent."""
    return scores.log_mean_exp(scores.all_pairs)


def dv(scores: Scores, at: float | None = None) -> Float[Tensor, ""]:
    """E_J u - log E_M e^u (eq. 2); with `at`, a log-normaliser from other pairs, by the tangent of -log there."""
    log_z = log_normaliser(scores)
    return scores.joint(scores.pairs) - (log_z if at is None else at + torch.expm1(log_z - at))


def smile(scores: Scores, tau: float = 5.0) -> Float[Tensor, ""]:
    """E_J u - log E_M clip(e^u, e^-tau, e^tau) (Song & Ermon 2020): less variance, but not a bound."""
    return scores.joint(scores.pairs) - scores.log_mean_exp(scores.all_pairs.clamp(-tau, tau))


def cross_entropy(scores: Scores) -> Float[Tensor, ""]:
    """½ (E_J sp(-u) + E_M sp(u)): cross-entropy of classifying pairs and other combinations; ≥ log 2 - JSD nats."""
    return (scores.joint(-logsigmoid(scores.pairs)) + scores.product(-logsigmoid(-scores.all_pairs))) / 2


def jsd_lb(scores: Scores, at: float | None = None) -> Float[Tensor, ""]:
    """The least KL divergence that a JSD of log 2 - cross-entropy allows (Dorent et al. 2025, arXiv 2510.20644).

    With `at`, a cross-entropy from other pairs, the tangent at this point is used.
    """
    entropy = cross_entropy(scores)
    if at is None:
        at = float(entropy.detach())  # touching here: the value itself, and its derivative
    return least_kl(at) + least_kl_slope(at) * (entropy - at)


def least_kl(cross_entropy: float) -> float:
    """Xi(log 2 - cross_entropy): the smallest KL(p || q) of any p and q whose JSD is log 2 - cross_entropy.

    By Harremoes & Vajda 2011 (arXiv 1007.0097) two-point distributions reach every attainable pair of (JSD, KL) up to
    convex combination, and the lower edge is p = (1, 0), q = (s, 1 - s), where KL = -log s =: k and

        log 2 - JSD = ½ [(1 + s) log(1 + s) + s k],

    solved here for k by bisection. It is a function of the cross-entropy, not of the JSD, so that no digits are lost
    near JSD = log 2, where k grows without limit. A cross-entropy above log 2 is worse than guessing; there the
    function continues as a straight line.
    """
    if cross_entropy >= math.log(2):
        return least_kl_slope(math.log(2)) * (cross_entropy - math.log(2))
    low, high = 0.0, 700.0
    for _ in range(64):
        middle = (low + high) / 2
        s = math.exp(-middle)
        low, high = (middle, high) if ((1 + s) * math.log1p(s) + s * middle) / 2 > cross_entropy else (low, middle)
    return (low + high) / 2


def least_kl_slope(cross_entropy: float) -> float:
    """The derivative of `least_kl`: -2 / (s [log(1 + s) + k]), negative; it falls to -2 / log 2 at log 2."""
    k = least_kl(cross_entropy) if cross_entropy < math.log(2) else 0.0
    s = math.exp(-k)
    return -2 / (s * (math.log1p(s) + k))


def effective_negatives(scores: Scores) -> float:
    """(sum e^u)² / sum e^2u over the n(n - 1) combinations: their effective number in the normaliser."""
    u = _without_diagonal(scores.all_pairs.detach().double())
    return float(torch.exp(2 * u.logsumexp((0, 1)) - (2 * u).logsumexp((0, 1))))
