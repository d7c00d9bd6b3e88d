"""The measure `svm`, choice of C and five fits, against fits of scikit-learn's LinearSVC with the C it chose, and
against its own matrix products.

    python benchmarks/svm.py [--images 5000] [--units 4096] [--classes 10] [--fits 5] [--json FILE]

Features are Gaussian around class centres, correlated as activations are. `--fits`: of LinearSVC; one of 50,000 images
of 4096 units takes many minutes. Its products: each look at the loss is one for the scores and one for the gradient.
"""

import argparse
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC

from deepinfomax.evaluation import convex
from deepinfomax.evaluation.standardising import standardised
from deepinfomax.evaluation.svm import FITS, svm
from measuring import clock, write


def planted(images: int, units: int, classes: int, seed: int) -> tuple[torch.Tensor, np.ndarray]:
    """(images, units) features of rank 200 and noise beside it, and labels; class centres are those of seed 0."""
    shared = torch.Generator().manual_seed(0)
    mixing = torch.randn(200, units, generator=shared) / 200**0.5
    centres = 0.12 * torch.randn(classes, 200, generator=shared)
    own = torch.Generator().manual_seed(seed + 1)
    labels = torch.randint(classes, (images,), generator=own)
    codes = centres[labels] + torch.randn(images, 200, generator=own)
    return (codes @ mixing + 0.3 * torch.randn(images, units, generator=own)).relu_(), labels.numpy()


def by_scikit_learn(
    x: torch.Tensor, y: np.ndarray, x_test: torch.Tensor, y_test: np.ndarray, c: float, fits: int
) -> float:
    """Mean accuracy of so many fits, each of nine tenths drawn anew."""
    train, test, _ = standardised(x, x_test)
    scores = []
    for seed in range(fits):
        rows = np.random.default_rng(seed).permutation(len(train))[len(train) // 10 :]
        with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
            fitted = LinearSVC(C=c, dual="auto", random_state=seed).fit(train.numpy()[rows], y[rows])
        scores.append(fitted.score(test.numpy(), y_test))
    return float(np.mean(scores))


@contextmanager
def looks_noted(rows: list[int]) -> Iterator[None]:
    """Within the block each look at the loss leaves its number of rows."""
    original = convex.squared_hinge

    def noted(scores: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        rows.append(len(scores))
        return original(scores, labels)

    convex.squared_hinge = noted
    try:
        yield
    finally:
        convex.squared_hinge = original


def products(x: torch.Tensor, classes: int, rows: list[int]) -> float:
    """Seconds of the matrix products of all looks."""
    weights, errors = torch.randn(x.shape[1], classes), torch.randn(len(x), classes)
    began = clock()
    for count in rows:
        x[:count] @ weights
        errors[:count].T @ x[:count]
    return clock() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--units", type=int, default=4096)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--scale", choices=("smoke", "cpu", "paper"), default="cpu")
    parser.add_argument("--fits", type=int, default=FITS, help="of scikit-learn's LinearSVC; 0: none")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    sets = (arguments.images, 0), (max(1000, arguments.images // 5), 1)
    (x, y), (x_test, y_test) = (planted(n, arguments.units, arguments.classes, seed) for n, seed in sets)
    rows: list[int] = []
    began = clock()
    with looks_noted(rows):
        found = svm(x, y, x_test, y_test, scale=arguments.scale)
    seconds = clock() - began
    result: dict[str, object] = {name: value for name, value in vars(arguments).items() if name != "json"}
    result |= {"seconds": round(seconds, 2), "accuracy": round(found.accuracy, 4), "C": found.C}
    result |= {"looks at the loss": len(rows)}
    result["ours_over_its_matrix_products"] = round(seconds / products(x, arguments.classes, rows), 2)
    if arguments.fits:
        began = clock()
        accuracy = by_scikit_learn(x, y, x_test, y_test, found.C, arguments.fits)
        result["scikit_learn_accuracy"] = round(accuracy, 4)
        result["scikit_learn_over_ours"] = round((clock() - began) / seconds, 2)
    print(json.dumps(result, indent=1))
    write(arguments.json, "svm", result)


if __name__ == "__main__":
    main()
