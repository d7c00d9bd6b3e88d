"""An autoregressive density: each unit given the units before it is a mixture of Gaussians, from a masked network.

If q is such a density, and the rows z come from p with each unit standard normal by itself, then
E_p[log q(z) - Σ log N(z_i; 0, 1)] is at most the total correlation of z: the difference is KL(p || q). There is no
normaliser to estimate, so the value has neither a cap of log N nor the variance of a critic's e^u.
"""

import math
import warnings

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor, nn

from deepinfomax.seeds import random_state

SHRINKAGE = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)  #: how far correlations are shrunk towards 0
FEWEST_OF_A_GROUP, MOST_GROUPS = 20, 64  #: training rows for each component of a mixture, on average; components


def normal_scores(rows: Float[Tensor, "N D"], generator: torch.Generator) -> Float[Tensor, "N D"]:
    """Each unit's ranks as quantiles of N(0, 1).

    This does not change the total correlation, which depends on ranks only. Equal values are ordered at random, which
    does not change it either, since that order is independent of everything.
    """
    chance = torch.rand(rows.shape, generator=generator).argsort(0)
    order = rows.cpu().gather(0, chance).argsort(dim=0, stable=True)  # equal values stay in the order of chance
    levels = (torch.arange(len(rows), dtype=torch.float64) + 0.5) / len(rows)
    scores = torch.special.ndtri(levels).float().unsqueeze(1).expand(rows.shape)
    return torch.empty(rows.shape).scatter_(0, chance.gather(0, order), scores)


def correlations(rows: Float[Tensor, "N D"], held_out: Float[Tensor, "M D"]) -> Float64[Tensor, "D D"]:
    """Correlations of rows, shrunk towards 0 by the amount that gives held-out rows the highest likelihood.

    Without shrinking, correlations of few rows overfit: their Gaussian loses about D² / 4N nats on other rows.
    """
    sample, units = torch.corrcoef(rows.double().T), rows.shape[1]
    moments = held_out.double().T @ held_out.double() / len(held_out)
    best, value = torch.eye(units, dtype=torch.float64), -math.inf
    for share in SHRINKAGE:
        shrunk = (1 - share) * sample + share * torch.eye(units, dtype=torch.float64)
        root, failed = torch.linalg.cholesky_ex(shrunk)
        if failed:  # a unit that others determine
            continue
        log_q = -root.diagonal().log().sum() - 0.5 * torch.cholesky_solve(moments, root).trace()
        if log_q > value:
            best, value = shrunk, float(log_q)
    return best


def mixture_log_ratio(
    rows: Float[Tensor, "N D"], stop: Float[Tensor, "S D"], held_out: Float[Tensor, "T D"], seed: int
) -> Float64[Tensor, "T"]:
    """log q(z) - Σ log N(z_i; 0, 1) of held-out rows, q a mixture of Gaussians without correlations, fitted by EM.

    The number of components is doubled while that makes the stopping rows more likely. One component means no
    dependence, and gives 0. Such a mixture finds groups of rows easily, which a network has to learn unit by unit.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    train, deciding, others = (part.cpu().double().numpy() for part in (rows, stop, held_out))
    normal = [-0.5 * (part**2 + math.log(2 * math.pi)).sum(1) for part in (deciding, others)]
    best, value, components = torch.zeros(len(others), dtype=torch.float64), 0.0, 2
    while components <= min(MOST_GROUPS, len(train) // FEWEST_OF_A_GROUP):
        mixture = GaussianMixture(components, covariance_type="diag", reg_covar=1e-3, random_state=random_state(seed))
        with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):  # any mixture gives a lower bound
            mixture.fit(train)
        reached = float((mixture.score_samples(deciding) - normal[0]).mean())
        if reached <= value:
            break
        best, value = torch.from_numpy(mixture.score_samples(others) - normal[1]), reached
        components *= 2
    return best


class AutoregressiveDensity(nn.Module):
    """q(z) = Π q(z_i | z_1 ... z_{i-1}); it begins as the Gaussian with the given correlations.

    The residual of z_i after its linear prediction is a mixture of Gaussians. A masked network computes their means,
    scales and weights from z_1 ... z_{i-1} (MADE, Germain et al. 2015, arXiv 1502.03509).

    Args:
        correlation: positive definite.
        hidden: units of each of the two hidden layers.
        mixture: number of Gaussians for each unit.
        dropout: of both hidden layers while training.
    """

    def __init__(
        self, correlation: Float[Tensor, "D D"], *, hidden: int = 512, mixture: int = 4, dropout: float = 0.5
    ) -> None:
        super().__init__()
        units = len(correlation)
        if units < 2:
            raise ValueError("one unit depends on no other")
        self.units, self.mixture = units, mixture
        inverse = torch.linalg.inv(torch.linalg.cholesky(correlation.double()))
        deviation = 1 / inverse.diagonal()  # of each unit given those before it
        linear = torch.eye(units, dtype=torch.float64) - deviation.unsqueeze(1) * inverse
        self.linear = nn.Parameter(linear.tril(-1).float())
        self.log_deviation = nn.Parameter(deviation.log().float())
        sees = torch.arange(hidden) % (units - 1)  # the last unit that a hidden one sees
        unit = torch.arange(units)
        self.first = MaskedLinear(sees.unsqueeze(1) >= unit)
        self.second = MaskedLinear(sees.unsqueeze(1) >= sees)
        self.last = MaskedLinear(unit.repeat_interleave(3 * mixture).unsqueeze(1) > sees)
        self.dropout = nn.Dropout(dropout)
        # At first the mixture has the residual's mean and variance whatever came before, by parts that differ.
        means = torch.linspace(-0.5, 0.5, mixture) if mixture > 1 else torch.zeros(1)
        scale = 0.5 * math.log(1 - float(means.var(correction=0)))
        nn.init.zeros_(self.last.weight)
        with torch.no_grad():
            self.last.bias.copy_(
                torch.stack([means, torch.full_like(means, scale), 0 * means], 1).repeat(units, 1, 1).flatten()
            )

    def forward(self, z: Float[Tensor, "N D"]) -> Float[Tensor, "N"]:
        """log q(z) - Σ log N(z_i; 0, 1), in nats."""
        hidden = self.dropout(self.first(z).relu())
        hidden = self.dropout(hidden + self.second(hidden).relu())
        means, log_scales, logits = self.last(hidden).view(len(z), self.units, self.mixture, 3).unbind(-1)
        log_scales = log_scales.clamp(-5, 5)
        residual = (z - z @ self.linear.tril(-1).T) * torch.exp(-self.log_deviation)
        squares = ((residual.unsqueeze(-1) - means) * torch.exp(-log_scales)).square()
        parts = logits.log_softmax(-1) - log_scales - 0.5 * squares
        return (parts.logsumexp(-1) - self.log_deviation + 0.5 * z.square()).sum(1)


class MaskedLinear(nn.Linear):
    """A linear layer in which some weights are fixed at 0."""

    exists: Tensor

    def __init__(self, exists: Bool[Tensor, "outputs inputs"]) -> None:
        super().__init__(exists.shape[1], exists.shape[0])
        self.register_buffer("exists", exists.float())

    def forward(self, x: Float[Tensor, "N inputs"]) -> Float[Tensor, "N outputs"]:
        return nn.functional.linear(x, self.weight * self.exists, self.bias)
