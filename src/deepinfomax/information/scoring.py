"""Scores of pairs by dot product, a chunk of anchors at a time, and the terms of a bound for negatives' scores."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from deepinfomax.information import bounds

SCORES_KEPT = 2**24  #: scores kept for the backward pass (64 MiB in float32); beyond, chunks and recomputation


def chunk_scores(
    anchors: Float[Tensor, "n A D"], candidates: Float[Tensor, "N B D"], rows: slice
) -> Float[Tensor, "_ N*B"]:
    """The scores of the anchors of some images, (chunk·A, N·B)."""
    return anchors[rows].flatten(0, 1) @ candidates.flatten(0, 1).T


def clipped(scores: Float[Tensor, "*shape"], clip: float | None) -> Float[Tensor, "*shape"]:
    """clip · tanh(scores / clip), in place."""
    return scores if clip is None else scores.div_(clip).tanh_().mul_(clip)


def own_pairs(
    scores: Float[Tensor, "rows columns"], first: int, anchors_each: int, candidates_each: int
) -> Float[Tensor, "{anchors_each} {candidates_each} _"]:
    """A view (A, B, chunk) of the scores between an image's anchors and its own candidates, `first` the first image."""
    blocks = scores.view(-1, anchors_each, scores.shape[1] // candidates_each, candidates_each)
    return blocks[:, :, first : first + len(blocks)].diagonal(dim1=0, dim2=2)


def terms_and_slope(
    scores: Tensor, own: Callable[[Tensor], Tensor] | None, bound: bounds.Bound, with_slope: bool
) -> tuple[Tensor, Tensor | None]:
    """The bound's function of each negative score, and its derivative (None: the function is the score itself).

    `own` views the entries that are no negatives; `scores` is overwritten.
    """
    if bound.negative is None:
        return scores, None
    if own is not None:
        own(scores).zero_()  # a huge positive must not overflow in a term that is thrown away later
    slope = None
    with torch.set_grad_enabled(with_slope):
        leaf = scores.detach().requires_grad_(with_slope)
        terms = bound.negative(leaf)
        if with_slope:
            (slope,) = torch.autograd.grad(terms.sum(), leaf)
            slope = slope.contiguous()  # a constant slope comes expanded, one element written everywhere
    return terms.detach(), slope


def through_clip(d_scores: Tensor, score: Callable[[], Tensor], clip: float | None, d_squares: Tensor | None) -> Tensor:
    """Gradients by clipped scores -> gradients by the scores before the clip, plus those of Σ s²; in place.

    `score` computes the scores again; that is needed only for a clip or a penalty on Σ s².
    """
    if clip is not None:
        d_scores.mul_(1 - clipped(score(), clip).div_(clip).square_())
    if d_squares is not None:
        d_scores.addcmul_(score(), d_squares, value=2)
    return d_scores
