"""What a table of mixed columns costs by `mi_matrix`, beside each of its pairs alone by `estimate_mi`: a ratio.

The table has numbers, labels and vectors; each pair alone is estimated the way `mi_matrix` does it: nearest neighbours
of ranks, counting, or infoNCE by a critic with the same widths, steps and batches. Also every number against one target
by `mi_with`, beside scikit-learn's `mutual_info_regression`, without p-values. Processor seconds of one thread, so that
other work on the machine counts for nothing.

    python benchmarks/mi_matrix_speed.py               # writes results/mi_matrix_speed.json
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import torch

RESULTS = Path(__file__).parent.parent / "results"
ROWS, SEED = 1000, 0
NUMBERS, LABELS, VECTORS, UNITS = 8, 2, 3, 16
CRITIC = {"steps": 300, "batch_size": 128, "lr": 1e-3, "hidden": (64, 64)}


def table() -> dict[str, np.ndarray]:
    """Columns that share one hidden number, some more and some less."""
    rng = np.random.default_rng(SEED)
    hidden = rng.standard_normal(ROWS)
    columns = {f"number {i}": hidden * i / NUMBERS + rng.standard_normal(ROWS) for i in range(NUMBERS)}
    for i in range(LABELS):
        columns[f"label {i}"] = np.digitize(hidden + rng.standard_normal(ROWS), [-1, 0, 1])
    for i in range(VECTORS):
        columns[f"vector {i}"] = hidden[:, None] + 2 * rng.standard_normal((ROWS, UNITS))
    return columns


def alone(columns: dict[str, np.ndarray], pairs: list[tuple[str, str]]) -> dict[tuple[str, str], float]:
    from deepinfomax.information.estimation import estimate_mi

    values = {}
    for a, b in pairs:
        vector = columns[a].ndim == 2 or columns[b].ndim == 2
        how = CRITIC | {"estimator": "infonce"} if vector else {"estimator": "ksg", "transform": "rank"}
        values[a, b] = estimate_mi(columns[a], columns[b], seed=SEED, **how).nats
    return values


def timed(call: Callable[[], object]) -> tuple[float, object]:
    started = time.process_time()
    result = call()
    return time.process_time() - started, result


def main() -> None:
    from sklearn.feature_selection import mutual_info_regression

    from deepinfomax.devices import hardware
    from deepinfomax.information import mi_matrix, mi_with
    from deepinfomax.information.estimation import estimate_mi

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS / "mi_matrix_speed.json")
    arguments = parser.parse_args()
    columns = table()
    few = {name: column for name, column in columns.items() if column.ndim == 1}
    numbers = {name: column for name, column in columns.items() if name.startswith("number")}
    estimate_mi(columns["number 0"], columns["vector 0"], **(CRITIC | {"steps": 10}))  # imports and first calls
    mi_with(numbers, "number 0", shuffles=0)
    parts = {}
    for name, chosen in (("numbers and labels", few), ("numbers, labels and vectors", columns)):
        pairs = list(combinations(chosen, 2))
        seconds: dict[str, list[float]] = {"together": [], "alone": []}
        for _ in range(arguments.rounds):
            settings = CRITIC if chosen is columns else {}
            spent, matrix = timed(lambda chosen=chosen, settings=settings: mi_matrix(chosen, seed=SEED, **settings))
            seconds["together"].append(spent)
            spent, values = timed(lambda chosen=chosen, pairs=pairs: alone(chosen, pairs))
            seconds["alone"].append(spent)
        together, each = min(seconds["together"]), min(seconds["alone"])
        differences = [matrix.estimates[pair].nats - values[pair] for pair in pairs]
        parts[name] = {
            "columns": len(chosen),
            "pairs": len(pairs),
            "seconds_together": round(together, 2),
            "seconds_each_alone": round(each, 2),
            "times_faster": round(each / together, 2),
            "nats_more_than_alone": [round(value, 3) for value in (min(differences), max(differences))],
        }
        print(name, parts[name], flush=True)
    target, others = "number 7", [name for name in numbers if name != "number 7"]
    features = np.column_stack([numbers[name] for name in others])
    one, theirs = [], []
    for _ in range(arguments.rounds):
        one.append(timed(lambda: mi_with(numbers, target, shuffles=0))[0])
        theirs.append(timed(lambda: mutual_info_regression(features, numbers[target], n_neighbors=3))[0])
    result = {
        "what": "processor seconds of a table by mi_matrix, beside each pair alone; the least of the rounds",
        "command": " ".join(["python benchmarks/mi_matrix_speed.py", *sys.argv[1:]]),
        "rows": ROWS,
        "seed": SEED,
        "rounds": arguments.rounds,
        "critic": CRITIC,
        "tables": parts,
        "seven_numbers_against_one": {
            "mi_with, with intervals": round(min(one), 3),
            "mutual_info_regression, without": round(min(theirs), 3),
        },
        "hardware": f"{hardware(torch.device('cpu'))}, torch {torch.__version__}",
    }
    print(result["seven_numbers_against_one"])
    part = arguments.out.with_suffix(".part")
    part.write_text(json.dumps(result, indent=1) + "\n")
    part.replace(arguments.out)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
