"""Slow, obvious loops that every fast path is compared with."""

import math

import torch
from torch import Tensor


def pairs_of(local: Tensor, glob: Tensor, pairing: str) -> list[tuple[list[Tensor], list[Tensor]]]:
    """Scores of each anchor's positives and of its negatives, one dot product at a time."""
    n, places, _ = local.shape
    globals_each = glob.shape[1]
    anchors = []
    for i in range(n):
        others = [j for j in range(n) if j != i]
        if pairing == "global":
            for m in range(globals_each):
                positive = [glob[i, m].dot(local[i, k]) for k in range(places)]
                negative = [glob[i, m].dot(local[j, k]) for j in others for k in range(places)]
                anchors.append((positive, negative))
        else:
            for k in range(places):
                positive = [glob[i, m].dot(local[i, k]) for m in range(globals_each)]
                negative = [glob[j, m].dot(local[i, k]) for j in others for m in range(globals_each)]
                anchors.append((positive, negative))
    return anchors


def softplus(u: Tensor) -> Tensor:
    """log(1 + e^u), exact for any u."""
    return torch.clamp(u, min=0) + torch.log1p(torch.exp(-u.abs()))


F_DIVERGENCES = {
    "jsd": (lambda u: math.log(2) - softplus(-u), lambda u: softplus(u) - math.log(2)),
    "gan": (lambda u: -softplus(-u), lambda u: softplus(u)),
    "kl": (lambda u: u, lambda u: torch.exp(u - 1)),
    "nwj": (lambda u: u, lambda u: torch.exp(u - 1)),
    "reverse_kl": (lambda u: -torch.exp(-u), lambda u: u - 1),
    "squared_hellinger": (lambda u: 1 - torch.exp(-u), lambda u: torch.exp(u) - 1),
    "chi2": (lambda u: u, lambda u: u**2 / 4 + u),
}


def log_sum_exp(values: list[Tensor]) -> Tensor:
    top = max(float(v.detach()) for v in values)
    return sum(torch.exp(v - top) for v in values).log() + top


def bound(name: str, anchors: list[tuple[list[Tensor], list[Tensor]]], tau: float = 5.0) -> Tensor:
    """The bound by its formula, term by term."""
    positives = [u for positive, _ in anchors for u in positive]
    negatives = [u for _, negative in anchors for u in negative]
    if name == "infonce":
        terms = [
            u - log_sum_exp([u, *negative]) + math.log(1 + len(negative))
            for positive, negative in anchors
            for u in positive
        ]
        return sum(terms) / len(terms)
    if name in ("dv", "smile"):
        clipped = [u.clamp(-tau, tau) for u in negatives] if name == "smile" else negatives
        return sum(positives) / len(positives) - (log_sum_exp(clipped) - math.log(len(negatives)))
    plus, minus = F_DIVERGENCES[name]
    return sum(plus(u) for u in positives) / len(positives) - sum(minus(u) for u in negatives) / len(negatives)


def clipped(anchors: list[tuple[list[Tensor], list[Tensor]]], clip: float) -> list[tuple[list[Tensor], list[Tensor]]]:
    """Every score s as c·tanh(s / c)."""
    return [tuple([clip * torch.tanh(s / clip) for s in scores] for scores in pair) for pair in anchors]


def mean_square(local: Tensor, glob: Tensor) -> Tensor:
    """Of the scores of every place of every image with every global of every image."""
    scores = [a.dot(b) for row in local for a in row for others in glob for b in others]
    return sum(s * s for s in scores) / len(scores)


def between_views(
    name: str, local: list[Tensor], glob: list[Tensor], pairing: str = "global", clip: float | None = None
) -> Tensor:
    """The mean over ordered pairs of different views of the bound of one's places and the other's globals."""
    values = []
    for v in range(len(local)):
        for w in range(len(glob)):
            if v != w:
                pairs = pairs_of(local[v], glob[w], pairing)
                values.append(bound(name, pairs if clip is None else clipped(pairs, clip)))
    return sum(values) / len(values)
