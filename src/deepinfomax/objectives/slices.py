"""How far vectors are from a known distribution, seen through random directions: a prior without a second player.

A distribution in D dimensions is known by its projections on all directions (Cramér and Wold). So N vectors are
projected on S random unit directions, *slices*, and each slice is compared with what the target distribution gives
there. Targets are moved and scaled so that each slice has mean 0 and variance 1. N vectors, D units, S slices.
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
    """Unit directions, uniform on the sphere, on the device of `like`, in float32 or its own wider type."""
    kind = torch.promote_types(like.dtype, torch.float32)
    directions = torch.randn(units, slices, dtype=kind, device=like.device, generator=generator)
    return normalize(directions, dim=0)


def standardise(vectors: Float[Tensor, "N D"], target: Target) -> Float[Tensor, "N D"]:
    """Move and scale them so that vectors of the target distribution have mean 0 and variance 1 in every slice.

    Uniform is on [0, 1]^D, sphere and ball have radius 1.
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
    """E[exp(i t x)] of each slice x of the standardised target, real by symmetry.

    Gaussian: exp(-t²/2). Uniform: the product over units of sin(u)/u with u = √3 t a. Sphere and ball of radius r in D
    dimensions: Bessel functions, Γ(ν + 1) (2 / rt)^ν J_ν(rt) with ν = D/2 - 1 and D/2.
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
    """SIGReg: the mean over slices of N ∫ |φ_N(t) - φ(t)|² exp(-t²/2) dt, a test of Epps and Pulley's kind.

    φ_N is the empirical characteristic function of a slice, φ that of the target. The integral over [-3, 3] is twice
    the trapezoidal sum over 17 points of [0, 3]. Source: LeJEPA (arXiv 2511.08544), there for the Gaussian only; the
    other targets put their own φ in its place. Gradients are bounded, and one pass costs N·S·17.

    Args:
        vectors: as the target has them: see `standardise`.
        directions: unit columns, drawn anew in each step.

    Returns:
        scalar, 0 or more; for samples of the target its expectation does not depend on N.
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
    """VISReg's sliced form: squared mean, squared error of the standard deviation, and the shape, averaged over slices.

    mean² + (1 - sd)² + W₂² of the slice and the target, both standardised; the gradient does not pass the sd by which
    the slice is divided (arXiv 2606.02572). W₂² is the mean squared difference of sorted values and quantiles.

    Args:
        vectors: at least 2, as the target has them: see `standardise`.
        directions: unit columns.

    Returns:
        scalar, 0 or more.
    """
    projections = standardise(vectors, target) @ directions
    mean, deviation = projections.mean(0), projections.std(0, correction=0)
    ordered = ((projections - mean) / deviation.detach().clamp_min(1e-6)).sort(0).values
    shape = (ordered - quantiles(target, len(vectors), directions)).square().mean(0)
    return (mean.square() + (1 - deviation).square() + shape).mean()


def quantiles(target: Target, count: int, directions: Float[Tensor, "D S"]) -> Float[Tensor, "{count} 1"]:
    """The values that cut a slice of the standardised target into `count` equal parts, at their middles."""
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
        values = np.sign(2 * level - 1)  # two points, of which Beta(0, 0) has no quantiles
    else:
        # A coordinate x of the unit sphere has (x + 1) / 2 ~ Beta((D - 1) / 2, (D - 1) / 2); of the ball (D + 1) / 2.
        shape = (units - 1) / 2 if target == "sphere" else (units + 1) / 2
        radius = math.sqrt(units) if target == "sphere" else math.sqrt(units + 2)
        values = radius * (2 * special.betaincinv(shape, shape, level) - 1)
    return torch.as_tensor(values).to(directions).unsqueeze(1)
