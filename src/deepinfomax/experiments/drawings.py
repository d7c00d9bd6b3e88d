"""The paper's figures, drawn from the result of a table: negatives (A.3), weights (A.5), NDM and β (A.6)."""

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deepinfomax.experiments.table_results import TableResult

MOST_NEGATIVES = {"smoke": 15 * 8, "cpu": 127 * 16, "paper": 63 * 64}  #: (images - 1) · places, at each scale


def of(name: str, result: TableResult) -> Figure | None:
    """The drawing of the table called `name`; None if this table has none."""
    draw = DRAWINGS.get(name)
    return None if draw is None else draw(result)


def negatives(result: TableResult) -> Figure:
    """Accuracy against log2 of the number of negatives: one panel for each level, one line for each bound."""
    names = list(result.rows[0].measured)
    most = MOST_NEGATIVES[result.scale]
    figure = Figure(figsize=(4 * len(names), 3.2), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(names), sharey=False))
    for axes, column in zip(panels, names, strict=True):
        lines: dict[str, list[tuple[float, float, float]]] = {}
        for row in result.rows:
            measured = row.measured[column]
            if measured.mean is None:  # no seed of it has a finite figure
                continue
            count = row.changes["local.negatives"]
            point = (np.log2(most if count == "all" else count), measured.mean, measured.sd or 0.0)
            lines.setdefault(row.name.split(",")[0], []).append(point)
        for bound, points in lines.items():
            x, y, sd = zip(*points, strict=True)
            axes.errorbar(x, y, sd, marker="o", markersize=3, capsize=2, label=bound)
        axes.set_xlabel("log2 of negatives per anchor")
        axes.set_ylabel(f"accuracy, {column.split('.')[1]}")
    panels[0].legend(frameon=False)
    return figure


def weights(result: TableResult) -> Figure:
    """Heat maps over α and β: a row of panels for each γ, a column for each measure."""
    columns = [c for c in result.rows[0].measured if c.split(".")[1] in ("y", "ms_ssim", "nats")]
    of_weights = {
        tuple(row.changes[f"{name}.weight"] for name in ("prior", "global", "local")): row for row in result.rows
    }
    gammas, alphas, betas = (sorted({w[i] for w in of_weights}) for i in range(3))
    figure = Figure(figsize=(2.7 * len(columns), 2.4 * len(gammas)), layout="constrained")
    panels = figure.subplots(len(gammas), len(columns), squeeze=False)
    for j, column in enumerate(columns):
        values = np.full((len(gammas), len(alphas), len(betas)), np.nan)
        for (gamma, alpha, beta), row in of_weights.items():
            mean = row.measured[column].mean
            values[gammas.index(gamma), alphas.index(alpha), betas.index(beta)] = np.nan if mean is None else mean
        for i, gamma in enumerate(gammas):
            _heat_map(panels[i][j], values[i], alphas, betas, *_range(values))
            if i == 0:
                panels[i][j].set_title(column.replace(".", ", "), fontsize=9)
            panels[i][j].set_ylabel(f"γ {gamma:g}\nα" if j == 0 else "α")
    return figure


def _range(values: np.ndarray) -> tuple[float, float]:
    """The smallest and the largest finite value; both 0 if there is none."""
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)


def _heat_map(axes: Axes, values: np.ndarray, alphas: list[float], betas: list[float], low: float, high: float) -> None:
    """Values (alphas, betas) as colours with their numbers; a combination that was not run stays white."""
    axes.imshow(values, vmin=low, vmax=high, origin="lower", cmap="viridis", aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        if np.isfinite(value):
            dark = high > low and (value - low) / (high - low) < 0.6
            axes.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=8, color="white" if dark else "black")
    axes.set_xticks(range(len(betas)), [f"{b:g}" for b in betas])
    axes.set_yticks(range(len(alphas)), [f"{a:g}" for a in alphas])
    axes.set_xlabel("β")


def ndm_and_beta(result: TableResult) -> Figure:
    """NDM of y against the β of a β-VAE, with the spread over seeds, and the Gaussian control beside it."""
    figure = Figure(figsize=(4.5, 3.2), layout="constrained")
    axes = figure.subplots()
    for column, label in (("ndm.nats", "NDM"), ("ndm.gaussian_nats", "of a Gaussian so correlated")):
        measured = [(row.changes["vae.beta"], row.measured.get(column)) for row in result.rows]
        points = [(beta, f.mean, f.sd or 0.0) for beta, f in measured if f is not None and f.mean is not None]
        beta, mean, sd = zip(*points, strict=True) if points else ((), (), ())
        axes.errorbar(beta, mean, sd, marker="o", capsize=3, label=label)
    axes.set_xlabel("β")
    axes.set_ylabel("dependence of the units of y (nats)")
    axes.legend(fontsize=8, frameon=False)
    return figure


DRAWINGS: dict[str, Callable[[TableResult], Figure]] = {
    "negatives": negatives,
    "weights": weights,
    "celeba": weights,
    "ndm-and-beta": ndm_and_beta,
}
