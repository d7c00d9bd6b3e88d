"""PriorMatching: the distribution of y made that of a prior, by two players (paper §3.3, eq. 7), weight γ.

The critic D tells prior samples from encodings; the encoder fools it. Both losses are written below in full. γ weighs
the encoder's loss only: the critic always plays at full strength.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from deepinfomax.features import Features, places
from deepinfomax.information.critics import Mlp
from deepinfomax.objectives.players import normalise_spectrally, read, squared_slope
from deepinfomax.objectives.protocol import Batch, Facts, Terms
from deepinfomax.settings import NotNegative, checked

Prior = Literal["uniform", "gaussian", "ball", "sphere"]


@checked
class PriorMatching(nn.Module):
    """min over E, max over D of  E_V[log D(v)] + E_P[log(1 - D(E(x)))].

    Args:
        facts: the shapes of the encoder's features.
        prior: V: "uniform" on [0, 1]^D (the paper's choice; y passes a sigmoid in front of the critic, and nowhere
            else), "gaussian" N(0, I), the unit "ball" or the unit "sphere" (y as it is).
        penalty: weight of the gradient penalty on D, ½ (E_V |∂D|² + E_P |∂D|²); 0: none. The authors' code has 1.0
            but applies it to the last sample of a batch only; here it is the mean over all.
        spectral_norm: divide D's weights by their largest singular value; the paper does not.
    """

    def __init__(
        self, facts: Facts, *, prior: Prior = "uniform", penalty: NotNegative = 1.0, spectral_norm: bool = False
    ) -> None:
        super().__init__()
        self.prior: Prior = prior
        self.penalty = penalty
        self.critic = Mlp(facts.shapes.globals[0])
        if spectral_norm:
            normalise_spectrally(self.critic)

    def squash(self, y: Tensor) -> Tensor:
        """y (N, D) or (N, D, M) -> rows (N·M, D) in the space of the prior."""
        rows = places(y).flatten(0, 1)
        return torch.sigmoid(rows) if self.prior == "uniform" else rows

    def forward(self, features: Features, batch: Batch) -> Terms:
        """The encoder's loss: non-saturating, -log D(E(x)), as in the authors' code; eq. (7) has log(1 - D(E(x)))."""
        score = read(self.critic, self.squash(features.y))
        taken_for_prior = (score.detach() > 0).float().mean()
        return Terms({"loss": softplus(-score).mean()}, {"taken_for_prior": taken_for_prior})

    def draw_y(self, count: int, seed: int) -> Tensor | None:
        """(count, D) of the prior; None for the uniform one, which only sigmoid(y) is matched to."""
        if self.prior == "uniform":
            return None
        weight = next(self.critic.parameters())
        with torch.random.fork_rng(devices=[]):  # on the CPU: the same on any device
            torch.manual_seed(seed)
            return sample_prior(self.prior, (count, weight.shape[1]), torch.empty(0)).to(weight)

    def players(self) -> list[nn.Module]:
        return [self.critic]

    def adversary(self, features: Features, batch: Batch) -> Terms:
        """The critic's loss: -E_V log D(v) - E_P log(1 - D(E(x))) + penalty."""
        fake = self.squash(features.y.detach()).requires_grad_(self.penalty > 0)
        real = sample_prior(self.prior, fake.shape, fake).requires_grad_(self.penalty > 0)
        score_real, score_fake = self.critic(real), self.critic(fake)
        losses = {"critic": softplus(-score_real).mean() + softplus(score_fake).mean()}
        if self.penalty > 0:
            slopes = (squared_slope(score_real, real), squared_slope(score_fake, fake))
            losses["penalty"] = self.penalty * 0.5 * (slopes[0].mean() + slopes[1].mean())
        return Terms(losses)


def sample_prior(prior: Prior, shape: torch.Size | tuple[int, int], like: Tensor) -> Tensor:
    """(N, D) samples on the device and in the type of `like`."""
    if prior == "uniform":
        return torch.rand(shape, dtype=like.dtype, device=like.device)
    normal = torch.randn(shape, dtype=like.dtype, device=like.device)
    if prior == "gaussian":
        return normal
    on_sphere = normal / normal.norm(dim=1, keepdim=True)
    if prior == "sphere":
        return on_sphere
    # The volume of a ball of radius r grows as r^D, so the radius is the D-th root of a uniform number.
    radius = torch.rand(shape[0], 1, dtype=like.dtype, device=like.device) ** (1 / shape[1])
    return on_sphere * radius
