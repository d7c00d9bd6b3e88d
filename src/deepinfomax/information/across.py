"""Communication between processes that share a batch: tensors with their gradients, and parts of log-sum-exps.

Negatives of all processes can be used in two ways, which give the same numbers:

* *gathered*: every process is sent the candidates of all, and scores its own anchors against them;
* *merged* (`scores_across`): every process is sent the anchors of all, and scores them against its own candidates; the
  log-sum-exps or sums of an anchor's negatives are then put together from all processes.

A place has as many numbers as a global, but there are many places per global. So globals are sent, whether they are the
anchors or the candidates.
"""

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Shaped
from torch import Tensor
from torch.autograd.function import once_differentiable

from deepinfomax.devices import full_float32
from deepinfomax.information import bounds
from deepinfomax.information.scoring import SCORES_KEPT, chunk_scores, clipped, own_pairs, terms_and_slope, through_clip

# torch 2.13 has new names for these functions, and warns about the old ones.
_all_gather = getattr(dist, "all_gather_single", None) or getattr(dist, "all_gather_into_tensor", None)
_reduce_scatter = getattr(dist, "reduce_scatter_single", None) or getattr(dist, "reduce_scatter_tensor", None)


def processes() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


class _Gather(torch.autograd.Function):
    """Concatenate over processes; the gradient of a slice is the sum of the gradients for it in all processes.

    Without that sum gradients would be wrong by a factor, which a loss curve does not show.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # type: ignore[override]
        return gathered(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_all: Tensor) -> Tensor:  # type: ignore[override]
        return own_part_of_sum(d_all)


def gather_with_gradient(x: Shaped[Tensor, "n *rest"]) -> Shaped[Tensor, "all *rest"]:
    """(n, ...) on each process -> (processes·n, ...) on all, in rank order, differentiable; x itself if alone."""
    return _Gather.apply(x) if processes() > 1 else x


def from_first_process(x: Shaped[Tensor, "*shape"]) -> Shaped[Tensor, "*shape"]:
    """Send x of the first process to all, so that all use the same random draws. Without a gradient."""
    if processes() > 1:
        x = x.contiguous()
        dist.broadcast(x, 0)
    return x


def gathered(x: Shaped[Tensor, "n *rest"]) -> Shaped[Tensor, "all *rest"]:
    """(n, ...) on each process -> (processes·n, ...) on all, in rank order, without a gradient."""
    whole = x.new_empty(processes() * len(x), *x.shape[1:])
    assert _all_gather is not None
    _all_gather(whole, x.contiguous())
    return whole


def own_part_of_sum(x: Shaped[Tensor, "all *rest"]) -> Shaped[Tensor, "n *rest"]:
    """(processes·n, ...) on each process -> (n, ...): this process's slice of the sum over processes."""
    own = x.new_empty(len(x) // processes(), *x.shape[1:])
    assert _reduce_scatter is not None
    _reduce_scatter(own, x.contiguous())
    return own


def scores_across(
    anchors: Tensor,
    candidates: Tensor,
    bound: bounds.Bound,
    *,
    chunk_size: int | None = None,
    clip: float | None = None,
    squared: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Scores of this process's anchors with the candidates of all processes; the anchors are sent.

    Args:
        anchors: (n, A, D), of this process.
        candidates: (n, B, D), of this process.
        squared: whether to compute Σ s² too.

    Returns:
        The positives' scores (n, A, B); the bound's statistic of the (processes·n - 1)·B negatives of each anchor
        (n, A); and, if `squared`, Σ s² of all scores of each anchor before the clip (n, A).
    """
    return _ScoresAcross.apply(anchors, candidates, bound, chunk_size, clip, squared)


class _ScoresAcross(torch.autograd.Function):
    """Like `pairs._Scores` with gathered candidates, but the anchors are sent: n·A·D numbers each way."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        anchors: Tensor,
        candidates: Tensor,
        bound: bounds.Bound,
        chunk_size: int | None,
        clip: float | None,
        squared: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        (n, anchors_each), candidates_each = anchors.shape[:2], candidates.shape[1]
        every = gathered(anchors)
        if chunk_size is None:
            chunk_size = max(1, SCORES_KEPT // (anchors_each * n * candidates_each))
        positive = anchors.new_empty(n, anchors_each, candidates_each)
        statistic, squares = every.new_empty(every.shape[:2]), every.new_zeros(every.shape[:2])
        with full_float32(anchors.device):
            for rows, own in _chunks(every, candidates, chunk_size):
                scores = chunk_scores(every, candidates, rows)
                if squared:
                    squares[rows] = torch.linalg.vector_norm(scores, dim=1).square().view(-1, anchors_each)
                scores = clipped(scores, clip)
                if own is not None:
                    here = slice(rows.start - dist.get_rank() * n, rows.stop - dist.get_rank() * n)
                    positive[here] = own(scores).permute(2, 0, 1)
                statistic[rows] = _part(scores, own, bound).view(-1, anchors_each)
        statistic = _merged(statistic, bound)
        ctx.save_for_backward(every, candidates, statistic)
        ctx.bound, ctx.chunk_size, ctx.clip, ctx.squared = bound, chunk_size, clip, squared
        mine = slice(dist.get_rank() * n, (dist.get_rank() + 1) * n)
        return positive, statistic[mine].clone(), own_part_of_sum(squares) if squared else squares[mine].clone()

    @staticmethod
    @once_differentiable
    def backward(  # type: ignore[override]
        ctx: Any, d_positive: Tensor, d_statistic: Tensor, d_squares: Tensor
    ) -> tuple:
        every, candidates, statistic = ctx.saved_tensors
        n = len(candidates)
        d_statistic = gathered(d_statistic)
        d_squares = gathered(d_squares) if ctx.squared else d_squares
        d_every, d_candidates = torch.empty_like(every), torch.zeros_like(candidates)
        columns = candidates.flatten(0, 1)
        with full_float32(every.device):
            for rows, own in _chunks(every, candidates, ctx.chunk_size):
                score = partial(chunk_scores, every, candidates, rows)
                d_scores = _weights(clipped(score(), ctx.clip), own, ctx.bound, statistic[rows].reshape(-1, 1))
                d_scores.mul_(d_statistic[rows].reshape(-1, 1))
                if own is not None:
                    here = slice(rows.start - dist.get_rank() * n, rows.stop - dist.get_rank() * n)
                    own(d_scores).copy_(d_positive[here].permute(1, 2, 0))
                through_clip(d_scores, score, ctx.clip, d_squares[rows].reshape(-1, 1) if ctx.squared else None)
                d_every[rows] = (d_scores @ columns).view_as(every[rows])
                d_candidates.view_as(columns).addmm_(d_scores.T, every[rows].flatten(0, 1))
        return own_part_of_sum(d_every), d_candidates, None, None, None, None


def _chunks(every: Tensor, candidates: Tensor, size: int) -> Iterator[tuple[slice, "partial[Tensor] | None"]]:
    """Slices of at most `size` images; each with a view of the positive pairs, or None if it is another process's.

    No slice has both images of this process and of others.
    """
    n, first = len(candidates), dist.get_rank() * len(candidates)
    for start, stop in ((0, first), (first, first + n), (first + n, len(every))):
        for begin in range(start, stop, size):
            rows = slice(begin, min(begin + size, stop))
            own = None
            if start == first and stop == first + n:
                own = partial(
                    own_pairs,
                    first=begin - first,
                    anchors_each=every.shape[1],
                    candidates_each=candidates.shape[1],
                )
            yield rows, own


def _part(scores: Tensor, own: "partial[Tensor] | None", bound: bounds.Bound) -> Tensor:
    """The statistic of each row over the negatives of this process: (R, C) -> (R,); `scores` is overwritten."""
    terms, _ = terms_and_slope(scores, own, bound, False)
    if bound.pool == "sum":
        if own is not None:
            own(terms).zero_()
        return terms.sum(1)
    if own is not None:
        own(terms).fill_(-math.inf)
    return terms.logsumexp(1)


def _merged(parts: Tensor, bound: bounds.Bound) -> Tensor:
    """Combine statistics over the negatives of each process to statistics over the negatives of all."""
    together = gathered(parts.unsqueeze(0))
    return together.sum(0) if bound.pool == "sum" else together.logsumexp(0)


def _weights(scores: Tensor, own: "partial[Tensor] | None", bound: bounds.Bound, statistic: Tensor) -> Tensor:
    """d statistic / d scores, 0 for scores that are not negatives; `scores` is overwritten."""
    terms, slope = terms_and_slope(scores, own, bound, True)
    if bound.pool == "sum":
        weights = terms.fill_(1) if slope is None else slope
    else:
        weights = terms.sub_(statistic).exp_()
        if slope is not None:
            weights.mul_(slope)
    if own is not None:
        own(weights).zero_()
    return weights
