"""Losses of today's methods on the embeddings of several views: pure functions, each from its paper.

V views, N images, D units: in every view of `z`, row n belongs to image n.
"""

from itertools import combinations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from deepinfomax.devices import in_whole_precision
from deepinfomax.information.pairs import at_least_float32


@in_whole_precision
def nt_xent(z: Float[Tensor, "V N D"], temperature: float = 0.5) -> Float[Tensor, ""]:
    """SimCLR's loss (Chen et al. 2020, eq. 1): find the other view of an image among all views of all images.

    -log( exp(s(i, j) / τ) / sum over k ≠ i of exp(s(i, k) / τ) ), where s is the cosine, averaged over all ordered
    pairs (i, j) of views of one image. With two views this is SimCLR's loss. With more, the remaining views of the same
    image are in the denominator too.

    Returns:
        scalar in nats, at least 0.
    """
    views, images, _ = z.shape
    rows = normalize(at_least_float32(z), dim=2).flatten(0, 1)
    scores = rows @ rows.T / temperature
    scores = scores.masked_fill(torch.eye(len(rows), dtype=torch.bool, device=z.device), -torch.inf)
    log_softmax = (scores - scores.logsumexp(1, keepdim=True)).view(views, images, views, images)
    same_image = log_softmax.diagonal(dim1=1, dim2=3)  # (V, V, N)
    same_view = torch.eye(views, dtype=torch.bool, device=z.device).unsqueeze(2)
    return -same_image.masked_fill(same_view, 0).sum() / (views * (views - 1) * images)


@in_whole_precision
def vicreg(
    z: Float[Tensor, "V N D"], epsilon: float = 1e-4
) -> tuple[Float[Tensor, ""], Float[Tensor, ""], Float[Tensor, ""]]:
    """VICReg's three terms (Bardes et al. 2022, eqs. 1 to 5): invariance, variance and covariance, not weighted.

    Invariance: mean squared difference of two views, averaged over pairs of views. Variance: mean over units of
    max(0, 1 - sd). Covariance: sum of squared covariances of different units, divided by D. The last two are averaged
    over views. Deviation: the authors' code takes the mean of the two views' variance terms but the sum of their
    covariance terms. Here both are means, so a covariance weight of 2 equals their weight of 1.
    """
    z = at_least_float32(z)
    views, images, units = z.shape
    pairs = list(combinations(range(views), 2))
    invariance = torch.stack([(z[i] - z[j]).square().mean() for i, j in pairs]).mean()
    centred = z - z.mean(1, keepdim=True)
    deviation = (centred.square().sum(1) / (images - 1) + epsilon).sqrt()
    variance = torch.relu(1 - deviation).mean()
    covariance = centred.transpose(1, 2) @ centred / (images - 1)
    off_diagonal = covariance.square().sum((1, 2)) - covariance.diagonal(dim1=1, dim2=2).square().sum(1)
    return invariance, variance, (off_diagonal / units).mean()


@in_whole_precision
def barlow_twins(z: Float[Tensor, "V N D"], off_diagonal_weight: float = 5e-3) -> Float[Tensor, ""]:
    """Barlow Twins (Zbontar et al. 2021, eq. 1): draws the cross-correlation of two views to the identity.

    Σ (1 - C_ii)² + λ Σ_{i≠j} C_ij², averaged over pairs of views. C_ij is the correlation over the batch of unit i in
    one view with unit j in the other.
    """
    z = at_least_float32(z)
    views, images, _ = z.shape
    centred = z - z.mean(1, keepdim=True)
    # Clamped before the root, whose gradient at 0 is infinite: a unit may be the same for all images.
    unit_variance = centred / centred.square().mean(1, keepdim=True).clamp_min(1e-10).sqrt()
    total = []
    for i, j in combinations(range(views), 2):
        correlation = unit_variance[i].T @ unit_variance[j] / images
        diagonal = correlation.diagonal()
        off_diagonal = correlation.square().sum() - diagonal.square().sum()
        total.append((1 - diagonal).square().sum() + off_diagonal_weight * off_diagonal)
    return torch.stack(total).mean()


def cosine_to_target(prediction: Float[Tensor, "V N D"], target: Float[Tensor, "V N D"]) -> Float[Tensor, ""]:
    """BYOL's loss (Grill et al. 2020, eq. 2): 2 - 2 cos(prediction of one view, target of another), mean over pairs.

    Args:
        prediction: output of the trained network.
        target: output of its moving average; it gets no gradient.
    """
    p = normalize(at_least_float32(prediction), dim=2)
    t = normalize(at_least_float32(target.detach()), dim=2)
    views = len(p)
    pairs = [(i, j) for i in range(views) for j in range(views) if i != j]
    return torch.stack([2 - 2 * (p[i] * t[j]).sum(1).mean() for i, j in pairs]).mean()


@in_whole_precision
def coding_rate(z: Float[Tensor, "V N D"], epsilon: float = 0.2) -> Float[Tensor, "V"]:
    """½ log det(I + D / (N ε²) ZᵀZ) of each view, in nats, with the rows of Z normalised to length 1.

    The coding rate of EMP-SSL (Tong et al. 2023, arXiv 2304.03977). Deviation: the authors' code has ε where the paper
    has ε². Here it is ε², so their setting 0.2 is √0.2 here.
    """
    z = normalize(at_least_float32(z), dim=2)
    _, images, units = z.shape
    scale = units / (images * epsilon**2)
    # det(I + s ZᵀZ) = det(I + s ZZᵀ): the smaller of the two is decomposed.
    gram = z.transpose(1, 2) @ z if units <= images else z @ z.transpose(1, 2)
    identity = torch.eye(gram.shape[1], dtype=z.dtype, device=z.device)
    return torch.linalg.slogdet(identity + scale * gram).logabsdet / 2


def spread_around_mean(z: Float[Tensor, "V N D"]) -> Float[Tensor, ""]:
    """Mean squared distance of each view's embedding to the mean of the image's views: LeJEPA's prediction loss.

    Averaged over views, images and units (arXiv 2511.08544, the equation of the invariance term).
    """
    z = at_least_float32(z)
    return (z - z.mean(0, keepdim=True)).square().mean()


def cosine_to_mean(z: Float[Tensor, "V N D"]) -> Float[Tensor, ""]:
    """Mean cosine of each view's embedding with the mean of the image's views: EMP-SSL's invariance, in [-1, 1]."""
    z = at_least_float32(z)
    return torch.cosine_similarity(z, z.mean(0, keepdim=True), dim=2).mean()
