"""Critics of vectors: x and y of any dimension -> the scores of all pairs, for estimating mutual information.

N and M samples, D units of x, E units of y. Both critics are those of Poole et al. 2019 (arXiv 1905.06922), which
every benchmark of estimators uses. When N = M, a pair drawn together scores on the diagonal.
"""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from deepinfomax.information.critics import Mlp


class SeparableCritic(nn.Module):
    """f(x) · g(y): cheap, since N + M rows pass through a network; its rank, `embedding`, limits what it can tell."""

    def __init__(self, x_units: int, y_units: int, hidden: tuple[int, ...] = (256, 256), embedding: int = 32) -> None:
        super().__init__()
        self.f = Mlp(x_units, hidden, embedding)
        self.g = Mlp(y_units, hidden, embedding)

    def forward(self, x: Float[Tensor, "N D"], y: Float[Tensor, "M E"]) -> Float[Tensor, "N M"]:
        return self.f(x) @ self.g(y).T


class ColumnEmbedding(nn.Module):
    """A network of its own for each column, and one of all columns together; their outputs are added.

    Where a few columns of many matter, or each matters a little, the columns' own networks find it in far fewer pairs
    than a network of all columns (an additive model, Hastie & Tibshirani 1990); the other finds what columns tell only
    together.
    """

    def __init__(self, units: int, hidden: tuple[int, ...], embedding: int, width: int = 16) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(units, width))
        self.bias = nn.Parameter(torch.randn(units, width))
        # Scores begin near 0. Those of larger weights are noise of several nats, which the critic first has to unlearn,
        # and learns training pairs by heart meanwhile.
        self.out = nn.Parameter(0.1 * torch.randn(units, width, embedding) / (units * width) ** 0.5)
        self.together = Mlp(units, hidden, embedding)

    def forward(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N embedding"]:
        alone = torch.relu(x.unsqueeze(-1) * self.weight + self.bias).flatten(1)
        return alone @ self.out.flatten(0, 1) + self.together(x)


class FeaturewiseCritic(nn.Module):
    """f(x) · g(y) with a `ColumnEmbedding` on both sides."""

    def __init__(self, x_units: int, y_units: int, hidden: tuple[int, ...] = (256, 256), embedding: int = 32) -> None:
        super().__init__()
        self.f = ColumnEmbedding(x_units, hidden, embedding)
        self.g = ColumnEmbedding(y_units, hidden, embedding)

    def forward(self, x: Float[Tensor, "N D"], y: Float[Tensor, "M E"]) -> Float[Tensor, "N M"]:
        return self.f(x) @ self.g(y).T


class JointCritic(nn.Module):
    """An MLP of x beside y: N·M rows pass through it, so it is slow, and it can tell any dependence.

    The first layer of a concatenation is a sum of two layers, so each side passes through its half once.
    """

    def __init__(self, x_units: int, y_units: int, hidden: tuple[int, ...] = (256, 256)) -> None:
        super().__init__()
        first, *rest = hidden
        self.x = nn.Linear(x_units, first)
        self.y = nn.Linear(y_units, first, bias=False)
        self.score = nn.Sequential(nn.ReLU(), Mlp(first, tuple(rest), 1))

    def forward(self, x: Float[Tensor, "N D"], y: Float[Tensor, "M E"]) -> Float[Tensor, "N M"]:
        return self.score(self.x(x).unsqueeze(1) + self.y(y)).squeeze(-1)


@torch.no_grad()
def score_all_pairs(
    critic: nn.Module, x: Shaped[Tensor, "N ..."], y: Float[Tensor, "M E"], pairs: int = 2**16
) -> Float[Tensor, "N M"]:
    """The scores of all combinations, about `pairs` at a time where a critic holds a network's row for each."""
    if isinstance(critic, SeparableCritic | FeaturewiseCritic):
        return critic(x, y)
    return torch.cat([critic(rows, y) for rows in x.split(max(1, pairs // len(y)))])
