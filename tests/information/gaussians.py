"""Gaussians of known mutual information, and readouts by loops."""

import math

import numpy as np
import torch

FAST = {"steps": 300, "batch_size": 64, "hidden": (64, 64), "lr": 2e-3}


def gaussians(nats: float, units: int, n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """n pairs in R^units with so much mutual information."""
    rng = np.random.default_rng(seed)
    rho = math.sqrt(1 - math.exp(-2 * nats / units))
    x = rng.standard_normal((n, units))
    return x, rho * x + math.sqrt(1 - rho**2) * rng.standard_normal((n, units))


def log_ratio(x: np.ndarray, y: np.ndarray, nats: float) -> torch.Tensor:
    """log p(x, y) / p(x) p(y) of all combinations of 1-d Gaussian pairs: the best critic there is."""
    rho2 = 1 - math.exp(-2 * nats)
    a, b = torch.from_numpy(x), torch.from_numpy(y).T
    return nats - (rho2 * (a**2 + b**2) - 2 * math.sqrt(rho2) * a * b) / (2 * (1 - rho2))


def softplus(u: float) -> float:
    return max(u, 0.0) + math.log1p(math.exp(-abs(u)))


def by_loops(name: str, u: list[list[float]], tau: float = 2.0) -> float:
    n = len(u)
    pairs = [u[i][i] for i in range(n)]
    others = [u[i][j] for i in range(n) for j in range(n) if i != j]

    def mean(values):
        return sum(values) / len(values)

    if name == "infonce":
        rows = [sum(math.exp(u[i][j]) for j in range(n)) for i in range(n)]
        return mean([math.log(n * math.exp(u[i][i]) / rows[i]) for i in range(n)])
    if name == "dv":
        return mean(pairs) - math.log(mean([math.exp(v) for v in others]))
    if name == "nwj":
        return mean(pairs) - mean([math.exp(v - 1) for v in others])
    if name == "jsd_nwj":
        return mean([v + 1 for v in pairs]) - mean([math.exp(v) for v in others])
    if name == "smile":
        return mean(pairs) - math.log(mean([min(max(math.exp(v), math.exp(-tau)), math.exp(tau)) for v in others]))
    assert name == "cross_entropy"
    return 0.5 * mean([softplus(-v) for v in pairs]) + 0.5 * mean([softplus(v) for v in others])
