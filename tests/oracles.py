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


def bound_per_place(name: str, local: Tensor, glob: Tensor) -> Tensor:
    """The mean over places of the bound of each place by itself: eq. (6) as it is printed."""
    values = [bound(name, pairs_of(local[:, k : k + 1], glob, "global")) for k in range(local.shape[1])]
    return sum(values) / len(values)


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


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return a.dot(b) / (a.dot(a).sqrt() * b.dot(b).sqrt())


def simclr(z: Tensor, temperature: float) -> Tensor:
    """Of projected vectors (V, N, D): each view of each image against all others of the batch."""
    rows = [(v, n) for v in range(z.shape[0]) for n in range(z.shape[1])]
    losses = []
    for v, n in rows:
        among = {(w, m): torch.exp(cosine(z[v, n], z[w, m]) / temperature) for w, m in rows if (w, m) != (v, n)}
        losses += [-(among[w, n] / sum(among.values())).log() for w in range(z.shape[0]) if w != v]
    return sum(losses) / len(losses)


def vicreg(z: Tensor, weights: tuple[float, float, float]) -> Tensor:
    views, _, units = z.shape
    pairs = [(i, j) for i in range(views) for j in range(i)]
    invariance = sum((z[i] - z[j]).square().mean() for i, j in pairs) / len(pairs)
    variance, covariance = torch.zeros(()), torch.zeros(())
    for v in range(views):
        c = torch.cov(z[v].T)
        for d in range(units):
            variance = variance + torch.relu(1 - torch.sqrt(c[d, d] + 1e-4)) / units / views
            covariance = covariance + sum(c[d, e] ** 2 for e in range(units) if e != d) / units / views
    return weights[0] * invariance + weights[1] * variance + weights[2] * covariance


def barlow_twins(z: Tensor, off_diagonal: float) -> Tensor:
    pairs = [(i, j) for j in range(z.shape[0]) for i in range(j)]
    total = torch.zeros(())
    for i, j in pairs:
        for d in range(z.shape[2]):
            for e in range(z.shape[2]):
                c = torch.corrcoef(torch.stack([z[i, :, d], z[j, :, e]]))[0, 1]
                total = total + ((1 - c) ** 2 if d == e else off_diagonal * c**2) / len(pairs)
    return total


def byol(prediction: Tensor, target: Tensor) -> Tensor:
    views, images, _ = prediction.shape
    terms = [
        2 - 2 * cosine(prediction[i, n], target[j, n])
        for i in range(views)
        for j in range(views)
        if i != j
        for n in range(images)
    ]
    return sum(terms) / len(terms)


def sigreg(x: Tensor, directions: Tensor) -> Tensor:
    """17 points of [0, 3], trapezoid, both halves; each slice and point by itself."""
    points, total = torch.linspace(0, 3, 17, dtype=x.dtype), torch.zeros(())
    for s in range(directions.shape[1]):
        projection = [row.dot(directions[:, s]) for row in x]
        for k, t in enumerate(points):
            real = sum(torch.cos(t * p) for p in projection) / len(x) - torch.exp(-(t**2) / 2)
            imaginary = sum(torch.sin(t * p) for p in projection) / len(x)
            weight = 3 / 16 * (0.5 if k in (0, 16) else 1) * 2 * torch.exp(-(t**2) / 2)
            total = total + len(x) * weight * (real**2 + imaginary**2) / directions.shape[1]
    return total


def lejepa(z: Tensor, directions: Tensor, weight: float) -> Tensor:
    views = z.shape[0]
    mean = sum(z[v] for v in range(views)) / views
    prediction = sum((z[v] - mean).square().mean() for v in range(views)) / views
    return (1 - weight) * prediction + weight * sum(sigreg(z[v], directions) for v in range(views)) / views


def emp_ssl(z: Tensor, invariance: float, epsilon: float) -> Tensor:
    views, images, units = z.shape
    rows = [[z[v, n] / z[v, n].dot(z[v, n]).sqrt() for n in range(images)] for v in range(views)]
    rate = torch.zeros(())
    for v in range(views):
        gram = sum(torch.outer(row, row) for row in rows[v])
        rate = rate + torch.linalg.det(torch.eye(units) + units / (images * epsilon**2) * gram).log() / 2 / views
    means = [sum(rows[v][n] for v in range(views)) / views for n in range(images)]
    likeness = sum(cosine(rows[v][n], means[n]) for v in range(views) for n in range(images)) / (views * images)
    return -rate - invariance * likeness
