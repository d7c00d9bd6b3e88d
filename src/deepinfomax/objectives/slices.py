"""How far vectors are from a known distribution, measured in random directions: a prior without a second player.

A distribution in D dimensions is determined by its projections on all directions (Cramér and Wold). So N vectors are
projected on S random unit directions. Each such projection, a *slice*, is compared with the projection of the target
distribution. Vectors and targets are first shifted and scaled so that each slice of the target has mean 0 and variance
1. N vectors, D units, S slices.
"""

import math
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from deepinfomax.devices import in_whole_precision
from deepinfomax.information.pairs import at_least_float32

Target = Literal["gaussian", "uniform", "sphere", "ball"]

POINTS, LARGEST = 17, 3.0  #: where characteristic functions are compared: 17 points on [0, 3] (LeJEPA, section 4)


def random_slices(
    units: int, slices: int, *, like: Tensor, generator: torch.Generator | None = None
) -> Float[Tensor, "{units} {slices}"]:
    """Random unit directions, uniform on the sphere, on the device of `like`; float32, or float64 if `like` is."""
    kind = torch.promote_types(like.dtype, torch.float32)
    directions = torch.randn(units, slices, dtype=kind, device=like.device, generator=generator)
    return normalize(directions, dim=0)


def standardise(vectors: Float[Tensor, "N D"], target: Target) -> Float[Tensor, "N D"]:
    """Shift and scale vectors by constants with which the target distribution has mean 0 and variance 1 in every slice.

    The uniform target is on [0, 1]^D; sphere and ball have radius 1.
    """
    vectors = at_least_float32(vectors)
    units = vectors.shape[1]
    if target == "uniform":
        return (vectors - 0.5) * math.sqrt(12)
    if target == "sphere":
        return vectors * math.sqrt(units)
    if target == "ball":
        return vectors * math.sqrt(units + 2)
    return vectors


def characteristic_function(
    target: Target, t: Float[Tensor, "T"], directions: Float[Tensor, "D S"]
) -> Float[Tensor, "T S"]:
    """E[exp(i t x)] for each slice x of the standardised target; it is real, since targets are symmetric.

    Gaussian: exp(-t²/2). Uniform: the product over units of sin(u)/u with u = √3 t a, where a is the direction's
    component. Sphere and ball of radius r in D dimensions: Bessel functions, Γ(ν + 1) (2 / rt)^ν J_ν(rt), with
    ν = D/2 - 1 for the sphere and D/2 for the ball.
    """
    units = directions.shape[0]
    if target == "gaussian":
        return torch.exp(-t.square() / 2).unsqueeze(1).expand(-1, directions.shape[1])
    if target == "uniform":
        angle = math.sqrt(3) * t[:, None, None] * directions
        return torch.sinc(angle / math.pi).prod(1)
    from scipy import special  # a slow import, and only some targets need it

    order, radius = (units / 2 - 1, math.sqrt(units)) if target == "sphere" else (units / 2, math.sqrt(units + 2))
    # hyp0f1(ν + 1, -x²/4) = Γ(ν + 1) (2 / x)^ν J_ν(x), without the division by 0 at x = 0
    values = special.hyp0f1(order + 1, -((radius * t.double().cpu().numpy()) ** 2) / 4)
    return torch.as_tensor(np.asarray(values)).to(t).unsqueeze(1).expand(-1, directions.shape[1])


@in_whole_precision
def sigreg(
    vectors: Float[Tensor, "N D"], directions: Float[Tensor, "D S"], target: Target = "gaussian"
) -> Float[Tensor, ""]:
    """SIGReg: the mean over slices of N ∫ |φ_N(t) - φ(t)|² exp(-t²/2) dt, the test statistic of Epps and Pulley.

    φ_N is the empirical characteristic function of a slice, φ that of the target. The integral over [-3, 3] is twice
    the trapezoidal sum over 17 points of [0, 3]. Source: LeJEPA (arXiv 2511.08544), for the Gaussian only; here the
    other targets have their own φ. Gradients are bounded. The cost is N·S·17.

    Args:
        vectors: not standardised: on the scale of the target, see `standardise`.
        directions: unit columns, drawn anew in each step.

    Returns:
        Scalar, 0 or more. For samples of the target its expectation does not depend on N.
    """
    projections = standardise(vectors, target) @ directions
    t = torch.linspace(0, LARGEST, POINTS, dtype=projections.dtype, device=projections.device)
    spacing = LARGEST / (POINTS - 1)
    weight = 2 * spacing * torch.exp(-t.square() / 2)
    weight[0] /= 2
    weight[-1] /= 2
    angle = t[:, None, None] * projections
    real = angle.cos().mean(1) - characteristic_function(target, t, directions)
    imaginary = angle.sin().mean(1)
    return len(vectors) * (weight @ (real.square() + imaginary.square())).mean()


@in_whole_precision
def visreg(
    vectors: Float[Tensor, "N D"], directions: Float[Tensor, "D S"], target: Target = "gaussian"
) -> Float[Tensor, ""]:
    """VISReg, sliced: mean² + (1 - sd)² + W₂² of each slice, averaged over slices (arXiv 2606.02572).

    W₂² compares the shape of the standardised slice with the target: it is the mean squared difference of the sorted
    values and the target's quantiles. The gradient does not pass through the sd by which the slice is divided.

    Args:
        vectors: N ≥ 2, not standardised: on the scale of the target, see `standardise`.
        directions: unit columns.

    Returns:
        Scalar, 0 or more.
    """
    projections = standardise(vectors, target) @ directions
    mean, deviation = projections.mean(0), projections.std(0, correction=0)
    ordered = ((projections - mean) / deviation.detach().clamp_min(1e-6)).sort(0).values
    shape = (ordered - quantiles(target, len(vectors), directions)).square().mean(0)
    return (mean.square() + (1 - deviation).square() + shape).mean()


def quantiles(target: Target, count: int, directions: Float[Tensor, "D S"]) -> Float[Tensor, "{count} 1"]:
    """Quantiles (i + ½) / `count` of a slice of the standardised target, for i = 0, ..., `count` - 1."""
    from scipy import special  # a slow import, and only needed here

    units = directions.shape[0]
    level = (np.arange(count) + 0.5) / count
    if target == "gaussian":
        values = special.ndtri(level)
    elif target == "uniform":
        # A slice of a cube is a weighted sum of uniform variables: nearly Gaussian from a few units on, and exactly
        # uniform along an axis. No closed form: the Gaussian's quantiles stand for them.
        values = special.ndtri(level)
    elif target == "sphere" and units == 1:
        values = np.sign(2 * level - 1)  # a sphere of one dimension is two points: Beta(0, 0), which has no quantiles
    else:
        # A coordinate x of the unit sphere has (x + 1) / 2 ~ Beta((D - 1) / 2, (D - 1) / 2); of the ball (D + 1) / 2.
        shape = (units - 1) / 2 if target == "sphere" else (units + 1) / 2
        radius = math.sqrt(units) if target == "sphere" else math.sqrt(units + 2)
        values = radius * (2 * special.betaincinv(shape, shape, level) - 1)
    return torch.as_tensor(values).to(directions).unsqueeze(1)
