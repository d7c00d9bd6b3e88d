"""PriorMatching: give y the distribution of a prior, weight γ, adversarially or without an opponent.

In the paper (§3.3, eq. 7) a critic D learns to distinguish samples of the prior from encodings, and the encoder learns
to fool it. γ is the weight of the encoder's loss only; the critic's loss always has weight 1. The other ways need no
critic: they minimise a distance between encodings and prior in random directions, or add noise to y.
"""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize, softplus

from deepinfomax.errors import UserError
from deepinfomax.features import Features, places
from deepinfomax.information.across import from_first_process, gather_with_gradient
from deepinfomax.information.critics import Mlp
from deepinfomax.information.pairs import at_least_float32
from deepinfomax.objectives.players import normalise_spectrally, read, squared_slope
from deepinfomax.objectives.protocol import Batch, Facts, Terms
from deepinfomax.objectives.slices import random_slices, sigreg, visreg
from deepinfomax.settings import Count, NotNegative, Positive, checked

Prior = Literal["uniform", "gaussian", "ball", "sphere"]
By = Literal["adversary", "sigreg", "visreg", "noise"]
PENALTY, SLICES, NOISE = 1.0, 256, 0.1  #: defaults of settings that belong to one way of `By` only


@checked
class PriorMatching(nn.Module):
    """min over E, max over D of  E_V[log D(v)] + E_P[log(1 - D(E(x)))] (eq. 7), or one of three ways without D.

    Args:
        facts: the shapes of the encoder's features.
        prior: the distribution V. "uniform" on [0, 1]^D, the paper's choice: y passes a sigmoid before the critic, and
            nowhere else. "gaussian" N(0, I), the unit "ball" or the unit "sphere": the critic gets y itself.
        penalty: weight of the gradient penalty on D, ½ (E_V |∂D|² + E_P |∂D|²); 0: none. The authors' code has 1.0
            but applies it to the last sample of a batch only; here it is the mean over all.
        spectral_norm: divide D's weights by their largest singular value; the paper does not.
        by: how y is matched to V.
            "adversary": the game above.
            "sigreg" (LeJEPA, arXiv 2511.08544) and "visreg" (arXiv 2606.02572): minimise a distance between y and V in
            random directions, see the module `slices`; there is no critic.
            "noise" (arXiv 2410.06993): all objectives get a normalised y with added noise, and there is no loss here.
            I(x; y + noise) has a finite maximum, which is reached only if y has the distribution V. So it needs an
            objective that raises this mutual information, such as `local` or `global`.
        slices: random directions drawn in each step, for sigreg and visreg.
        noise: size of the noise, for "noise". With "gaussian" and "sphere" y is scaled to variance 1 in each unit, and
            this is the standard deviation σ of Gaussian noise. With "uniform" y is in [0, 1], and the noise is uniform
            in [-noise, noise].

    Raises:
        UserError: a prior that cannot be matched in this way ("uniform" by "visreg", "ball" by "noise"), or a setting
            that belongs to another way.
    """

    def __init__(
        self,
        facts: Facts,
        *,
        prior: Prior = "uniform",
        penalty: NotNegative = PENALTY,
        spectral_norm: bool = False,
        by: By = "adversary",
        slices: Count = SLICES,
        noise: Positive = NOISE,
    ) -> None:
        super().__init__()
        self.prior: Prior = prior
        self.by: By = by
        self.penalty, self.slices, self.noise = penalty, slices, noise
        self.changes_y = by == "noise"
        self.compares_processes = by != "adversary"  #: the other ways use the images of all processes together
        # The quantiles for visreg and the Bessel functions of spheres and balls are SciPy's.
        self.compiles = by != "visreg" and (by != "sigreg" or prior in ("uniform", "gaussian"))
        self.units, self.shape = facts.shapes.globals[0], facts.shapes.y
        for name, differs, ways in (
            ("penalty", penalty != PENALTY, ("adversary",)),
            ("spectral_norm", spectral_norm, ("adversary",)),
            ("slices", slices != SLICES, ("sigreg", "visreg")),
            ("noise", noise != NOISE, ("noise",)),
        ):
            if differs and by not in ways:
                raise UserError(f"prior.{name} is for prior.by {' and '.join(ways)}, not for {by}: leave it out")
        if by == "visreg" and prior == "uniform":
            raise UserError(
                "prior.by visreg needs the quantiles of the prior in every direction, which a uniform one does not "
                "have in closed form: set prior.prior to gaussian, sphere or ball, or prior.by to sigreg"
            )
        if by == "noise" and prior == "ball":
            raise UserError("prior.by noise is for the priors gaussian, uniform and sphere: set prior.prior to one")
        if by != "adversary":
            return
        self.critic = Mlp(facts.shapes.globals[0])
        if spectral_norm:
            normalise_spectrally(self.critic)

    def squash(self, y: Float[Tensor, "N D *M"]) -> Float[Tensor, "rows D"]:
        """y (N, D) or (N, D, M) -> rows (N·M, D) that are compared with samples of the prior."""
        rows = at_least_float32(places(y).flatten(0, 1))
        return torch.sigmoid(rows) if self.prior == "uniform" else rows

    def forward(self, features: Features, batch: Batch) -> Terms:
        """The encoder's loss. For "adversary" -log D(E(x)), as in the authors' code; eq. (7) has log(1 - D(E(x)))."""
        if self.by == "noise":
            return Terms({}, {"cap": torch.tensor(self.information_cap())})
        if self.by != "adversary":
            # From the batch of all processes: the distance of a small batch is larger than that of the whole.
            rows = gather_with_gradient(self.squash(features.y))
            directions = from_first_process(random_slices(self.units, self.slices, like=rows))
            distance = sigreg if self.by == "sigreg" else visreg
            with torch.autocast(rows.device.type, enabled=False):
                return Terms({"loss": distance(rows, directions, self.prior)})
        score = at_least_float32(read(self.critic, self.squash(features.y)))
        taken_for_prior = (score.detach() > 0).float().mean()
        return Terms({"loss": softplus(-score).mean()}, {"taken_for_prior": taken_for_prior})

    def y_shown(self, y: Float[Tensor, "N D *M"]) -> Float[Tensor, "N D *M"]:
        """The y that all objectives get, (N, D) or (N, D, M): for "noise" normalised y plus noise, else y itself.

        How y is normalised: "gaussian": each unit to mean 0 and variance 1 over the batch of all processes; "sphere":
        each row to length √D; "uniform": sigmoid(y). In eval mode no noise is added, and each process normalises by its
        own batch.
        """
        if self.by != "noise":
            return y
        y = at_least_float32(y)
        if self.prior == "uniform":
            normalised = torch.sigmoid(y)
            if not self.training:
                return normalised
            uniform = torch.rand(normalised.shape, dtype=y.dtype, device=y.device)
            return normalised + self.noise * (2 * uniform - 1)
        if self.prior == "sphere":
            normalised = math.sqrt(self.units) * normalize(y, dim=1)
        else:
            rows = (gather_with_gradient(places(y)) if self.training else places(y)).flatten(0, 1)
            mean, variance = rows.mean(0), rows.var(0, correction=0)
            axes = (-1, *[1] * (y.ndim - 2))
            normalised = (y - mean.view(axes)) / (variance + 1e-5).sqrt().view(axes)
        return normalised + self.noise * torch.randn_like(normalised) if self.training else normalised

    def information_cap(self) -> float:
        """The largest possible I(x; y + noise) in nats (arXiv 2410.06993), for all M globals together.

        It is h(y + noise) - h(noise) for the y with the largest entropy. "gaussian": D/2 · log(1 + 1/σ²). "uniform":
        D · log(1 + 1/(2ε)). "sphere": the value of "gaussian", an upper bound that no y on the sphere reaches.
        """
        units = math.prod(self.shape)
        if self.prior == "uniform":
            return units * math.log1p(1 / (2 * self.noise))
        return units / 2 * math.log1p(1 / self.noise**2)

    def draw_y(self, count: int, seed: int) -> Float[Tensor, "{count} D *M"] | None:
        """Samples of the prior on the scale of y; None if y itself does not follow the prior, but sigmoid(y) does.

        With M globals, each is drawn independently.
        """
        if self.prior == "uniform" and not self.changes_y:
            return None
        with torch.random.fork_rng(devices=[]):  # on the CPU: the same on any device
            torch.manual_seed(seed)
            rows = sample_prior(self.prior, (count * math.prod(self.shape[1:]), self.units), torch.empty(0))
        drawn = rows.view(count, -1, self.units).transpose(1, 2).reshape(count, *self.shape)
        if self.changes_y and self.prior == "sphere":
            drawn *= math.sqrt(self.units)  # the length that `y_shown` gives to y
        return drawn.to(next(self.critic.parameters())) if self.by == "adversary" else drawn

    def players(self) -> list[nn.Module]:
        return [self.critic] if self.by == "adversary" else []

    def adversary(self, features: Features, batch: Batch) -> Terms:
        """The critic's loss: -E_V log D(v) - E_P log(1 - D(E(x))) + penalty."""
        fake = self.squash(features.y.detach()).requires_grad_(self.penalty > 0)
        real = sample_prior(self.prior, fake.shape, fake).requires_grad_(self.penalty > 0)
        score_real, score_fake = (at_least_float32(self.critic(rows)) for rows in (real, fake))
        losses = {"critic": softplus(-score_real).mean() + softplus(score_fake).mean()}
        if self.penalty > 0:
            slopes = (squared_slope(score_real, real), squared_slope(score_fake, fake))
            losses["penalty"] = self.penalty * 0.5 * (slopes[0].mean() + slopes[1].mean())
        return Terms(losses)


def sample_prior(prior: Prior, shape: torch.Size | tuple[int, int], like: Tensor) -> Float[Tensor, "N D"]:
    """Samples of a prior.

    Args:
        shape: (N, D).
        like: a tensor with the device and the type of the samples.
    """
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
