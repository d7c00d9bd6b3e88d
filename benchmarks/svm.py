"""The measure `svm`, choice of C and five fits, against five fits of scikit-learn's LinearSVC with the C it chose.

    python benchmarks/svm.py [--images 5000] [--units 4096] [--classes 10] [--alone] [--json FILE]

Features are Gaussian around class centres, correlated as activations are. `--alone` leaves LinearSVC out: at 50,000
images of 4096 units it takes far longer than one wants to wait.
"""

import argparse
import json
import time
import warnings

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC

from deepinfomax.evaluation.standardising import standardised
from deepinfomax.evaluation.svm import FITS, svm
from measuring import hardware


def planted(images: int, units: int, classes: int, seed: int) -> tuple[torch.Tensor, np.ndarray]:
    """(images, units) features of rank 200 and noise beside it, and labels; class centres are those of seed 0."""
    shared = torch.Generator().manual_seed(0)
    mixing = torch.randn(200, units, generator=shared) / 200**0.5
    centres = 0.12 * torch.randn(classes, 200, generator=shared)
    own = torch.Generator().manual_seed(seed + 1)
    labels = torch.randint(classes, (images,), generator=own)
    codes = centres[labels] + torch.randn(images, 200, generator=own)
    return (codes @ mixing + 0.3 * torch.randn(images, units, generator=own)).relu_(), labels.numpy()


def by_scikit_learn(x: torch.Tensor, y: np.ndarray, x_test: torch.Tensor, y_test: np.ndarray, c: float) -> float:
    """Mean accuracy of five fits, each of nine tenths drawn anew."""
    train, test, _ = standardised(x, x_test)
    scores = []
    for seed in range(FITS):
        rows = np.random.default_rng(seed).permutation(len(train))[len(train) // 10 :]
        with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
            fitted = LinearSVC(C=c, dual="auto", random_state=seed).fit(train.numpy()[rows], y[rows])
        scores.append(fitted.score(test.numpy(), y_test))
    return float(np.mean(scores))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--units", type=int, default=4096)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--scale", choices=("smoke", "cpu", "paper"), default="cpu")
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    sets = (arguments.images, 0), (max(1000, arguments.images // 5), 1)
    (x, y), (x_test, y_test) = (planted(n, arguments.units, arguments.classes, seed) for n, seed in sets)
    found = svm(x, y, x_test, y_test, scale=arguments.scale)
    result = vars(arguments) | {"seconds": found["seconds"], "accuracy": found["accuracy"], "C": found["C"]}
    if not arguments.alone:
        began = time.perf_counter()
        result["scikit_learn_accuracy"] = by_scikit_learn(x, y, x_test, y_test, found["C"])
        result["scikit_learn_over_ours"] = (time.perf_counter() - began) / found["seconds"]
    result |= hardware()
    print(json.dumps(result, indent=1))
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(result, file, indent=1)


if __name__ == "__main__":
    main()
