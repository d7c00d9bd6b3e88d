"""The measure `mlp` against scikit-learn's MLPClassifier, and against its own matrix products, an epoch each.

    python benchmarks/mlp.py [--images 50000] [--units 4096] [--rounds 3] [--json FILE]

The same 200 hidden units, batches of 256, Adam and float32; ours has dropout and BatchNorm besides. An epoch of ours is
half of what three take longer than one, so that standardising does not count. Features as in `svm.py`.
"""

import argparse
from dataclasses import replace

import torch
from sklearn.neural_network import MLPClassifier

from deepinfomax.evaluation import mlp as probe
from measuring import in_turn, write
from svm import planted

BATCH = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--units", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    x, y = planted(arguments.images, arguments.units, 10, seed=0)
    x_test, y_test = planted(1000, arguments.units, 10, seed=1)
    theirs = MLPClassifier((probe.HIDDEN,), batch_size=BATCH, random_state=0)
    weights, gradient = torch.randn(arguments.units, probe.HIDDEN), torch.randn(BATCH, probe.HIDDEN)
    rows, labels = x.numpy(), y

    def ours(epochs: int) -> None:
        told = {"epochs": epochs, "averaged": 1, "decay_at": (), "least_steps": 0, "batch_size": BATCH}
        probe.SETTINGS["cpu"] = replace(probe.SETTINGS["cpu"], **told)
        probe.mlp(x, y, x_test, y_test, scale="cpu")

    def products() -> None:
        for part in x.split(BATCH):
            part @ weights
            part.T @ gradient[: len(part)]

    seconds = in_turn(
        {
            "one epoch": lambda: ours(1),
            "three epochs": lambda: ours(3),
            "scikit-learn": lambda: theirs.partial_fit(rows, labels, classes=range(10)),
            "matrix products": products,
        },
        arguments.rounds,
    )
    epoch = (seconds["three epochs"] - seconds["one epoch"]) / 2
    result = {
        "images": arguments.images,
        "units": arguments.units,
        "scikit_learn_over_ours": round(seconds["scikit-learn"] / epoch, 2),
        "ours_over_its_matrix_products": round(epoch / seconds["matrix products"], 2),
    }
    print(result)
    write(arguments.json, "mlp", result)


if __name__ == "__main__":
    main()
