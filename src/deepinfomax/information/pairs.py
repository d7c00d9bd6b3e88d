"""Bounds over all pairs of a batch of local and global features, without keeping all (N·L)² scores.

N images, L places, M globals, D units of the critic. The global of image i with each local of image i is a positive;
with the locals of every other image a negative.

There are two pairings (§3.1). With ``pairing="global"`` an anchor is a global and its negatives are the locals of other
images; with ``pairing="local"`` an anchor is a local and its negatives are the globals of other images. For bounds that
only average over negatives both give the same number; for infoNCE they do not.

A bound needs one statistic of each anchor's negatives, which all its positives share (`bounds.Bound.statistic`). So a
step is three matrix products: the scores, and the two gradients. There are N·M·N·L scores. If these are more than
`SCORES_KEPT`, they are computed in chunks of anchors, and again in the backward pass, so that memory is bounded.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import torch
import torch.distributed as dist
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from deepinfomax.devices import full_float32, whole_precision
from deepinfomax.errors import UserError
from deepinfomax.information import bounds
from deepinfomax.information.across import gather_with_gradient, processes, scores_across
from deepinfomax.information.scoring import SCORES_KEPT, chunk_scores, clipped, own_pairs, terms_and_slope, through_clip

Pairing = Literal["global", "local"]
NegativesFrom = Literal["all", "own"]
Normaliser = Literal["shared", "per-place"]


def local_infomax(
    local: Float[Tensor, "N L D"],
    glob: Float[Tensor, "N M D"],
    bound: str | bounds.Bound = "infonce",
    *,
    negatives: int | Literal["all"] = "all",
    pairing: Pairing = "global",
    chunk_size: int | None = None,
    negatives_from: NegativesFrom = "all",
    positives: Literal["all", "same"] = "all",
    clip: float | None = None,
    normaliser: Normaliser = "shared",
    generator: torch.Generator | None = None,
) -> Float[Tensor, ""]:
    """Mean bound on the mutual information of local and global features (paper eq. 6), in nats, to be maximised.

    Args:
        local: (N, L, D) local features, already embedded by the critic.
        glob: (N, M, D) global features, already embedded by the critic; a score is their dot product.
        bound: a name in `bounds.BOUNDS`.
        negatives: "all" pairs of other images, or the number of negatives per anchor, drawn without replacement (shared
            by the anchor's positives). A number changes the estimate and its cap, not the cost.
        pairing: what the anchor is, see above.
        chunk_size: number of images whose anchors are scored at once; None: chosen by `SCORES_KEPT`.
        negatives_from: under torch.distributed, images of "all" processes or this process's "own". With "all" the value
            is that of the whole batch on every process, and gradients averaged over processes (as
            DistributedDataParallel does) equal those of one process with the whole batch.
        positives: "all" N·L·M pairs of one image, or only the N·L pairs of a place and the global of the "same" number
            (needs M = L); the other pairs of the image are then neither positive nor negative.
        clip: every score s becomes clip·tanh(s / clip), which no score exceeds (AMDIM, arXiv 1906.00910, has
            20); None: scores stay as they are.
        normaliser: over which negatives `dv` takes its log of a mean. "shared": those of all places together, as in the
            authors' code; this bounds the information of y and a feature whose place is unknown. "per-place": the value
            is the mean over places l of L bounds, each with negatives at place l only, as in eq. (6). It is never below
            the shared one, since a log of a mean is at least a mean of logs. For bounds that average over negatives
            both are the same; infoNCE has a normaliser for each anchor.
        generator: draws the negatives if `negatives` is a number; None: torch's global random state.

    Returns:
        Scalar, at least float32 even under autocast: the mean over the positives. First derivatives only.

    Raises:
        UserError: shapes that do not fit, fewer than two images, more negatives than there are, a `chunk_size`
            below 1, normalisers per place if there are none (`check_normaliser`), or a setting that is none.
    """
    options = (negatives, pairing, chunk_size, negatives_from, positives, clip, normaliser, generator)
    return _bound_and_squares(local, glob, bound, *options, squared=False).bound


def local_infomax_with_squares(
    local: Float[Tensor, "N L D"],
    glob: Float[Tensor, "N M D"],
    bound: str | bounds.Bound = "infonce",
    *,
    negatives: int | Literal["all"] = "all",
    pairing: Pairing = "global",
    chunk_size: int | None = None,
    negatives_from: NegativesFrom = "all",
    positives: Literal["all", "same"] = "all",
    clip: float | None = None,
    normaliser: Normaliser = "shared",
    generator: torch.Generator | None = None,
) -> "BoundAndSquares":
    """`local_infomax`, and the mean squared score of all pairs: AMDIM's code adds 5e-2 times that to the loss."""
    options = (negatives, pairing, chunk_size, negatives_from, positives, clip, normaliser, generator)
    return _bound_and_squares(local, glob, bound, *options, squared=True)


class BoundAndSquares(NamedTuple):
    """A bound and the mean squared score of its pairs."""

    bound: Float[Tensor, ""]  #: in nats
    mean_square: Float[Tensor, ""]  #: of all scores of the batch, positives and negatives, before any clip


def _bound_and_squares(
    local: Tensor,
    glob: Tensor,
    bound: str | bounds.Bound,
    negatives: int | Literal["all"],
    pairing: Pairing,
    chunk_size: int | None,
    negatives_from: NegativesFrom,
    positives: Literal["all", "same"],
    clip: float | None,
    normaliser: Normaliser,
    generator: torch.Generator | None,
    squared: bool,
) -> BoundAndSquares:
    _check(local, glob, chunk_size)
    _check_options(pairing, negatives_from, normaliser, positives, clip)
    if positives == "same" and local.shape[1] != glob.shape[1]:
        raise UserError(f"{local.shape[1]} places cannot be paired one to one with {glob.shape[1]} globals")
    chosen = bounds.get(bound)
    apart = normaliser == "per-place"
    if apart:
        check_normaliser(chosen, negatives, pairing)
        pairing = "local"  # both pairings have the same negatives; with this one those of a place are together
    gather = negatives_from == "all" and processes() > 1
    with whole_precision(local.device):
        # Scores of D = 2048 products reach the hundreds: half precision would round them to whole nats.
        local, glob = at_least_float32(local), at_least_float32(glob)
        anchors, candidates = (glob, local) if pairing == "global" else (local, glob)
        images, merge = len(local) * (processes() if gather else 1), False
        if gather and negatives == "all" and anchors.shape[1] < candidates.shape[1]:
            # Send the smaller side, the globals. If negatives are only averaged, both pairings are the same number, so
            # anchors and candidates can be exchanged; otherwise (infoNCE, per place) statistics are merged. A number
            # of negatives is drawn from candidates that must all be on this process.
            merge = chosen.per_anchor or apart
            anchors, candidates = (anchors, candidates) if merge else (candidates, anchors)
        count = _negatives_per_anchor(negatives, images, candidates.shape[1])
        if merge:
            positive, statistic, squares = scores_across(
                anchors, candidates, chosen, chunk_size=chunk_size, clip=clip, squared=squared
            )
        else:
            offset = 0
            if gather:
                offset = dist.get_rank() * len(anchors)
                candidates = gather_with_gradient(candidates)
            drawn = None
            if negatives != "all":
                shapes = anchors.shape[:2], candidates.shape[:2]
                drawn = draw_negatives(*shapes, offset, count, generator, anchors.device)
            positive, statistic, squares = _Scores.apply(
                anchors, candidates, chosen, offset, drawn, chunk_size, clip, squared
            )
        pairs_per_anchor = images * candidates.shape[1]
        if positives == "same":
            positive = positive.diagonal(dim1=1, dim2=2).unsqueeze(-1)
        if gather:  # a log of a mean over all negatives is no mean over processes: pool the statistics themselves
            positive, statistic = gather_with_gradient(positive), gather_with_gradient(statistic)
            squares = gather_with_gradient(squares) if squared else squares
        value = chosen.from_statistic(positive, statistic, count, apart=apart)
        return BoundAndSquares(value, squares.mean() / pairs_per_anchor)


def check_normaliser(bound: bounds.Bound, negatives: int | Literal["all"], pairing: Pairing) -> None:
    """Raises UserError if "per-place" is not possible.

    infoNCE has a normaliser for each anchor; a number of negatives needs the pairing "local".
    """
    if bound.per_anchor:
        raise UserError(
            f'{bound.name} has a normaliser for each anchor: for one of each place take pairing "local", and leave '
            'normaliser at "shared"'
        )
    if negatives != "all" and pairing == "global":
        raise UserError(
            'normaliser "per-place" with a count of negatives needs pairing "local": a global draws them of all places'
        )


def count_negatives(
    local: Float[Tensor, "N L D"],
    glob: Float[Tensor, "N M D"],
    negatives: int | Literal["all"] = "all",
    pairing: Pairing = "global",
    negatives_from: NegativesFrom = "all",
) -> int:
    """The number of negatives of each anchor, from which a bound's cap follows (`bounds.Bound.cap`)."""
    images = len(local) * (processes() if negatives_from == "all" else 1)
    return _negatives_per_anchor(negatives, images, (local if pairing == "global" else glob).shape[1])


class _Scores(torch.autograd.Function):
    """anchors (n, A, D), candidates (N, B, D) -> positives (n, A, B), the statistic of the negatives (n, A), and
    Σ s² of all scores before the clip (n, A), where it is asked for.

    Anchor image i is candidate image offset + i. The forward pass also computes W = d statistic / d scores. With it the
    backward pass is two matrix products with the same (n·A, N·B) matrix, the gradient of the scores. The scores are
    computed again only for a clip or a penalty on Σ s².
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        anchors: Tensor,
        candidates: Tensor,
        bound: bounds.Bound,
        offset: int,
        drawn: Tensor | None,
        chunk_size: int | None,
        clip: float | None,
        squared: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        n, anchors_each = anchors.shape[:2]
        total, candidates_each = candidates.shape[:2]
        scores_per_image = anchors_each * total * candidates_each
        if chunk_size is None:
            chunk_size = n if n * scores_per_image <= SCORES_KEPT else max(1, SCORES_KEPT // scores_per_image)
        positive = anchors.new_empty(n, anchors_each, candidates_each)
        statistic, squares = anchors.new_empty(n, anchors_each), anchors.new_zeros(n, anchors_each)
        weights: Tensor | None = None
        needs_gradient = any(ctx.needs_input_grad)
        for start in range(0, n, chunk_size):
            rows = slice(start, min(start + chunk_size, n))
            scores = chunk_scores(anchors, candidates, rows)
            own = partial(own_pairs, first=offset + start, anchors_each=anchors_each, candidates_each=candidates_each)
            if squared:
                squares[rows] = torch.linalg.vector_norm(scores, dim=1).square().view(-1, anchors_each)
            scores = clipped(scores, clip)
            positive[rows] = own(scores).permute(2, 0, 1)
            pooled, weights = _pool(scores, own, bound, None if drawn is None else drawn[rows], needs_gradient)
            statistic[rows] = pooled.view(-1, anchors_each)
        ctx.save_for_backward(anchors, candidates, drawn, weights if chunk_size >= n else None)
        ctx.bound, ctx.offset, ctx.chunk_size, ctx.clip, ctx.squared = bound, offset, chunk_size, clip, squared
        return positive, statistic, squares

    @staticmethod
    @once_differentiable
    def backward(  # type: ignore[override]
        ctx: Any, d_positive: Tensor, d_statistic: Tensor, d_squares: Tensor
    ) -> tuple:
        anchors, candidates, drawn, kept = ctx.saved_tensors
        n, anchors_each = anchors.shape[:2]
        candidates_each = candidates.shape[1]
        d_anchors = torch.empty_like(anchors)
        d_candidates = torch.empty_like(candidates) if ctx.chunk_size >= n else torch.zeros_like(candidates)
        columns = candidates.flatten(0, 1)
        with full_float32(anchors.device):
            for start in range(0, n, ctx.chunk_size):
                rows = slice(start, min(start + ctx.chunk_size, n))
                own = partial(
                    own_pairs,
                    first=ctx.offset + start,
                    anchors_each=anchors_each,
                    candidates_each=candidates_each,
                )
                weights = kept
                if weights is None:
                    scores = clipped(chunk_scores(anchors, candidates, rows), ctx.clip)
                    _, weights = _pool(scores, own, ctx.bound, None if drawn is None else drawn[rows], True)
                d_scores = weights * d_statistic[rows].reshape(-1, 1)
                own(d_scores).copy_(d_positive[rows].permute(1, 2, 0))
                score = partial(chunk_scores, anchors, candidates, rows)
                through_clip(d_scores, score, ctx.clip, d_squares[rows].reshape(-1, 1) if ctx.squared else None)
                d_anchors[rows] = (d_scores @ columns).view_as(anchors[rows])
                if ctx.chunk_size >= n:
                    torch.mm(d_scores.T, anchors.flatten(0, 1), out=d_candidates.view_as(columns))
                else:
                    d_candidates.view_as(columns).addmm_(d_scores.T, anchors[rows].flatten(0, 1))
        return d_anchors, d_candidates, None, None, None, None, None, None


def _pool(
    scores: Tensor,
    own: Callable[[Tensor], Tensor],
    bound: bounds.Bound,
    drawn: Tensor | None,
    with_weights: bool,
) -> tuple[Tensor, Tensor]:
    """Statistic of each row's negatives, and its derivative by each score (0 for scores that are not negatives).

    `own` gives a view of the entries that are not negatives; `scores` is overwritten.
    """
    if drawn is None:
        return _pool_all(scores, own, bound, with_weights)
    columns = drawn.flatten(0, 1)
    statistic, derivative = _pool_all(scores.gather(1, columns), None, bound, with_weights)
    weights = torch.zeros_like(scores).scatter_(1, columns, derivative) if with_weights else scores
    return statistic, weights


def _pool_all(
    scores: Tensor, own: Callable[[Tensor], Tensor] | None, bound: bounds.Bound, with_weights: bool
) -> tuple[Tensor, Tensor]:
    scores, slope = terms_and_slope(scores, own, bound, with_weights)
    if bound.pool == "sum":
        if own is not None:
            own(scores).zero_()
        statistic, weights = scores.sum(1), slope
        if weights is None:  # the scores themselves are summed
            weights = scores.fill_(1)
        if own is not None:
            own(weights).zero_()
        return statistic, weights
    if own is not None:
        own(scores).fill_(-math.inf)  # excluded exactly: no score of any size lets a positive back in
    top = scores.amax(1, keepdim=True)
    scores = scores.sub_(top).exp_()
    partition = scores.sum(1, keepdim=True)
    if with_weights:
        scores = scores.div_(partition)
        if slope is not None:
            scores = scores.mul_(slope)
    return (partition.log() + top).squeeze(1), scores


def scored_infomax(
    score: Callable[[Float[Tensor, "R D_l"], Float[Tensor, "R D_g"]], Float[Tensor, "R"]],
    local: Float[Tensor, "N L D_l"],
    glob: Float[Tensor, "N M D_g"],
    bound: str | bounds.Bound = "infonce",
    *,
    negatives: int | Literal["all"] = "all",
    pairing: Pairing = "global",
    chunk_size: int | None = None,
    negatives_from: NegativesFrom = "all",
    normaliser: Normaliser = "shared",
    generator: torch.Generator | None = None,
) -> Float[Tensor, ""]:
    """`local_infomax` for a critic whose score is not a dot product (concat-and-convolve, the global critic).

    All pairs are N²·L·M rows through the critic. They are scored in chunks and computed again in the backward pass, so
    that memory is bounded. With a number of negatives there are only N·M·(L + number) rows.

    Args:
        score: rows of locals (R, D_l) and of globals (R, D_g) -> scores (R,).
        local: (N, L, D_l).
        glob: (N, M, D_g).
        chunk_size: number of images whose anchors are scored at once; None: so that a chunk has at most 2^16 rows.
        bound, negatives, pairing, negatives_from, normaliser, generator: as in `local_infomax`.

    Returns:
        Scalar in nats: the mean over the positives.

    Raises:
        UserError: in the cases of `local_infomax`.
    """
    _check(local, glob, chunk_size, same_units=False)
    _check_options(pairing, negatives_from, normaliser)
    chosen_bound = bounds.get(bound)
    apart = normaliser == "per-place"
    if apart:
        check_normaliser(chosen_bound, negatives, pairing)
        pairing = "local"
    gather = negatives_from == "all" and processes() > 1
    anchors, candidates = (glob, local) if pairing == "global" else (local, glob)
    n, offset = len(anchors), 0
    if gather:
        offset = dist.get_rank() * n
        candidates = gather_with_gradient(candidates)
    total, each = candidates.shape[:2]
    count = _negatives_per_anchor(negatives, total, each)

    def score_pairs(
        anchor_rows: Float[Tensor, "n A D_a"], candidate_rows: Float[Tensor, "n A K D_c"]
    ) -> Float[Tensor, "n A K"]:
        shape = candidate_rows.shape[:3]
        anchor_rows = anchor_rows.unsqueeze(2).expand(*shape, -1).flatten(0, 2)
        pair = (candidate_rows.flatten(0, 2), anchor_rows)
        return at_least_float32(score(*(pair if pairing == "global" else pair[::-1]))).view(shape)

    def statistics(
        anchor_rows: Float[Tensor, "n A D_a"], index: Int[Tensor, "n A K"], all_candidates: Float[Tensor, "N B D_c"]
    ) -> Float[Tensor, "n A"]:
        """The statistic of the negatives `index` of these anchors."""
        rows = all_candidates.flatten(0, 1)[index.flatten()].view(*index.shape, -1)
        return chosen_bound.statistic(score_pairs(anchor_rows, rows))

    own = candidates[offset : offset + n].unsqueeze(1).expand(-1, anchors.shape[1], -1, -1)
    positive = score_pairs(anchors, own)
    step = max(1, 2**16 // (anchors.shape[1] * count)) if chunk_size is None else chunk_size
    pooled = []
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        here = (rows.stop - rows.start, anchors.shape[1])
        if negatives == "all":
            index = _other_images(here, (total, each), offset + start, anchors.device)
        else:
            index = draw_negatives(here, (total, each), offset + start, count, generator, anchors.device)
        pooled.append(checkpoint(statistics, anchors[rows], index, candidates, use_reentrant=False))
    statistic = torch.cat(pooled)
    if gather:
        positive, statistic = gather_with_gradient(positive), gather_with_gradient(statistic)
    return chosen_bound.from_statistic(positive, statistic, count, apart=apart)


def _other_images(
    anchors: tuple[int, int], candidates: tuple[int, int], first: int, device: torch.device
) -> Int[Tensor, "n A negatives"]:
    """Positions (n, A, (N - 1)·B) of all candidates of other images than the anchor's."""
    (n, anchors_each), (total, each) = anchors, candidates
    image = torch.arange(total - 1, device=device).expand(n, -1)
    image = image + (image >= first + torch.arange(n, device=device).unsqueeze(1))  # step over the own image
    position = image.unsqueeze(2) * each + torch.arange(each, device=device)
    return position.flatten(1).unsqueeze(1).expand(-1, anchors_each, -1)


def draw_negatives(
    anchors: tuple[int, ...],
    candidates: tuple[int, ...],
    first: int,
    count: int,
    generator: torch.Generator | None,
    device: torch.device,
) -> Int[Tensor, "n A {count}"]:
    """Random positions (n, A, count) among N·B candidates, without replacement, none of the anchor's own image."""
    (n, anchors_each), (total, each) = anchors, candidates
    others = (total - 1) * each
    images = max(1, SCORES_KEPT // (anchors_each * others))  # keys for all at once would be as large as all scores
    drawn = torch.empty(n, anchors_each, count, dtype=torch.long, device=device)
    for start in range(0, n, images):
        here = torch.arange(start, min(start + images, n), device=device)
        on = device if generator is None else generator.device
        keys = torch.rand(len(here), anchors_each, others, generator=generator, device=on).to(device)
        position = keys.topk(count, dim=2).indices
        own = (first + here).view(-1, 1, 1) * each
        drawn[start : start + len(here)] = position + each * (position >= own)  # step over the own image
    return drawn


def at_least_float32(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """x in float32, if it is shorter (float16 or bfloat16); else x itself."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _check(local: Tensor, glob: Tensor, chunk_size: int | None, same_units: bool = True) -> None:
    if chunk_size is not None and (not isinstance(chunk_size, int) or chunk_size < 1):
        raise UserError(f"chunk_size must be at least 1 image, or None to let memory decide, not {chunk_size}")
    for name, features in (("local", local), ("glob", glob)):
        if not isinstance(features, Tensor) or not features.is_floating_point():
            kind = features.dtype if isinstance(features, Tensor) else type(features).__name__
            raise UserError(f"{name} must be a tensor of floats, not {kind}")
    if local.ndim != 3 or glob.ndim != 3:
        raise UserError(
            f"local {tuple(local.shape)} and glob {tuple(glob.shape)} must be (N, L, D) and (N, M, D); "
            "flatten a map with features.places, and give a single global an axis with unsqueeze(1)"
        )
    if len(local) != len(glob):
        raise UserError(f"{len(local)} images have local features but {len(glob)} have globals: use the same batch")
    if same_units and local.shape[2] != glob.shape[2]:
        raise UserError(
            f"local features have {local.shape[2]} units, globals {glob.shape[2]}: a critic must embed both alike"
        )
    if same_units and at_least_float32(local).dtype != at_least_float32(glob).dtype:
        raise UserError(f"local is {local.dtype} and glob {glob.dtype}: bring both to one type")
    if 0 in (*local.shape[1:], *glob.shape[1:]):
        raise UserError(f"local {tuple(local.shape)} and glob {tuple(glob.shape)}: there is nothing to score")


def _check_options(
    pairing: str, negatives_from: str, normaliser: str, positives: str = "all", clip: float | None = None
) -> None:
    """Raises UserError for an unknown name, which would otherwise be treated as one of the known ones."""
    for option, value, names in (
        ("pairing", pairing, get_args(Pairing)),
        ("negatives_from", negatives_from, get_args(NegativesFrom)),
        ("normaliser", normaliser, get_args(Normaliser)),
        ("positives", positives, ("all", "same")),
    ):
        if value not in names:
            raise UserError(f'{option} must be "{names[0]}" or "{names[1]}", not {value!r}')
    if clip is not None and not clip > 0:  # written so that nan is refused too
        raise UserError(f"clip must be above 0, or None for none, not {clip}: 20 is usual")


def _negatives_per_anchor(negatives: int | str, images: int, each: int) -> int:
    if images < 2:
        raise UserError("a batch of one image has no negatives; use a batch size of at least 2")
    available = (images - 1) * each
    if negatives == "all":
        return available
    if not isinstance(negatives, int) or isinstance(negatives, bool) or not 1 <= negatives <= available:
        raise UserError(
            f'negatives must be "all" or a count from 1 to {available} in this batch, not {negatives!r}; '
            "a larger batch has more"
        )
    return negatives
