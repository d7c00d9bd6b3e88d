"""Does the Jensen-Shannon divergence order pairs of variables as mutual information does? (paper A.1)

With its JSD bound, DIM does not maximise I(X; Y) = KL(joint || product of marginals) but JSD(joint || product). For
discrete variables both are exact sums, so no training is needed: many joint distributions are drawn, both are computed,
and rank correlations show how closely one is an increasing function of the other.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.special import rel_entr
from scipy.stats import kendalltau, spearmanr

from deepinfomax.recipes import Scale

#: number of values of X and of Y
SIZES = ((4, 4), (8, 8), (16, 16), (8, 32))
DRAWS: dict[Scale, int] = {"smoke": 50, "cpu": 1000, "paper": 5000}


def run(scale: Scale, seed: int, out: str | Path) -> dict[str, Any]:
    """Draw distributions, compute both quantities and correlate them; write `jsd-and-mi.json` and a `.png` into `out`.

    Returns:
        {"sizes": {"8x8": {"spearman": ..., "kendall": ..., "draws": ...}, ...}, "all": the same over all sizes}. The
        probability that both order two of the draws in the same way is (1 + kendall) / 2.
    """
    rng = np.random.default_rng(seed)
    values = {}
    for rows, columns in SIZES:
        joints = [random_joint(rows, columns, rng) for _ in range(DRAWS[scale])]
        values[f"{rows}x{columns}"] = np.array([(mutual_information(p), jensen_shannon(p)) for p in joints])
    result = {
        "scale": scale,
        "seed": seed,
        "sizes": {name: agreement(v) for name, v in values.items()},
        "all": agreement(np.concatenate(list(values.values()))),
    }
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "jsd-and-mi.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    figure(values).savefig(out / "jsd-and-mi.png", dpi=150)
    return result


def random_joint(rows: int, columns: int, rng: np.random.Generator) -> np.ndarray:
    """A sparse joint distribution, (rows, columns), sums to 1.

    The paper says only that it is random and sparse. Here the number of cells that are not zero is drawn uniformly
    from 2 to all, and their places at random. Their probabilities are drawn from a symmetric Dirichlet distribution;
    its concentration is drawn log-uniformly from 0.1 (a few cells have nearly all the mass) to 10 (all are alike).
    """
    cells = rows * columns
    joint = np.zeros(cells)
    support = rng.choice(cells, size=rng.integers(2, cells, endpoint=True), replace=False)
    joint[support] = rng.dirichlet(np.full(len(support), 10 ** rng.uniform(-1, 1)))
    return joint.reshape(rows, columns)


def product_of_marginals(joint: np.ndarray) -> np.ndarray:
    """p(x) p(y) for p(x, y), both (rows, columns)."""
    return joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)


def mutual_information(joint: np.ndarray) -> float:
    """I(X; Y) = KL(joint || product of marginals), in nats."""
    return float(rel_entr(joint, product_of_marginals(joint)).sum())


def jensen_shannon(joint: np.ndarray) -> float:
    """JSD(joint || product of marginals), in nats, from 0 to log 2. `bounds.jsd` is a bound on twice this."""
    product = product_of_marginals(joint)
    middle = (joint + product) / 2
    return float(rel_entr(joint, middle).sum() + rel_entr(product, middle).sum()) / 2


def agreement(values: np.ndarray) -> dict[str, float]:
    """(draws, 2) of MI and JSD -> rank correlations: how similarly the two order the draws."""
    mi, jsd = values.T
    return {
        "spearman": float(spearmanr(mi, jsd).statistic),
        "kendall": float(kendalltau(mi, jsd).statistic),
        "draws": len(values),
    }


def figure(values: dict[str, np.ndarray]) -> Figure:
    """JSD against MI: one point for each draw, one colour for each size."""
    drawing = Figure(figsize=(5, 4), layout="constrained")
    axes = drawing.subplots()
    for name, points in values.items():
        axes.scatter(points[:, 0], points[:, 1], s=4, alpha=0.5, linewidths=0, label=name.replace("x", "×"))
    axes.axhline(np.log(2), color="grey", linewidth=0.8, linestyle=":")
    axes.annotate("log 2", (0, np.log(2)), xytext=(2, -10), textcoords="offset points", color="grey", fontsize=8)
    axes.set_xlabel("mutual information (nats)")
    axes.set_ylabel("Jensen-Shannon divergence\nof joint and product (nats)")
    axes.legend(title="values of X × Y", markerscale=3, frameon=False)
    return drawing
