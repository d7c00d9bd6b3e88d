"""Harm runs, files, inputs and options of deepinfomax at random, and see that nothing is lost, hidden or thrown about.

    python tools/harm.py --out results/harm.json        # about half an hour on one core
    python tools/harm.py --kind damages --count 20 --seed 3

Four kinds of harm, each case followed by what a person would do next:

kills      SIGKILL at a random moment of training, evaluation, caching, embedding and export; then the next command. Its
           figures must be those of an undisturbed run.
damages    a flipped bit, a cut, zeroed, appended, deleted, emptied or swapped file of a run folder, of the cache or of
           embeddings; then resume, evaluate, report, ... The same figures, a line that says what is wrong, or refused.
inputs     broken images, tables, arrays, archives, folders and names, as data.
options    wrong values of every option and setting of every command.

A case is *fine* (exit code 0 and the same figures), *told* (exit code 0, other figures, and a line that names the
file), *refused* (exit code 2 and one line) or a *failure*: a traceback, words of a library, a hang, more than a few
lines, other figures without a word. Torch is imported once; each command runs in a forked process.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

KINDS = {"kills": 100, "damages": 200, "inputs": 300, "options": 400}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--kind", action="append", choices=KINDS, help="these only; may be repeated")
    parser.add_argument(
        "--count", type=int, help="cases of each kind; " + ", ".join(f"{n} {k}" for k, n in KINDS.items())
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a JSON file")
    chosen = parser.parse_args()
    kinds = {kind: chosen.count or KINDS[kind] for kind in chosen.kind or KINDS}
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="harm-") as folder:
        results = {kind: harm(kind, count, chosen.seed, Path(folder)) for kind, count in kinds.items()}
    failures = sum(len(of_kind["failures"]) for result in results.values() for of_kind in result.values())
    cases = sum(of_kind["cases"] for result in results.values() for of_kind in result.values())
    print(f"{failures} failures in {cases} cases, {(time.perf_counter() - began) / 60:.1f} minutes")
    if chosen.out is not None:
        options = "".join(f" --kind {kind}" for kind in chosen.kind or ()) + (
            f" --count {chosen.count}" if chosen.count else ""
        )
        summary = {
            "schema": 1,
            "title": "Random harm to runs, files, inputs and options, and what became of it",
            "command": f"python tools/harm.py --seed {chosen.seed}{options}",
            "seeds": [chosen.seed],
            "hardware": hardware(),
            "minutes": round((time.perf_counter() - began) / 60, 1),
            "software": software(),
            "cases": cases,
            "failures": failures,
            "kinds": results,
        }
        chosen.out.write_text(json.dumps(summary, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    sys.exit(bool(failures))


def harm(kind: str, count: int, seed: int, folder: Path) -> dict[str, dict]:
    """`count` cases of one kind in a folder: for each sort of victim how many were fine, told, refused, or failed."""
    from harming import damages, inputs, kills, options
    from harming.running import Place

    harmers = {"kills": kills.harm, "damages": damages.harm, "inputs": inputs.harm, "options": options.harm}
    began = time.perf_counter()
    counts = harmers[kind](Place(folder, random.Random(f"{seed} {kind}")), count)
    for name, c in counts.items():
        print(f"  {name:28s}{c.fine:4d} fine {c.told:4d} told {c.refused:4d} refused {len(c.failures):4d} failures")
    print(f"{kind}: {sum(c.cases for c in counts.values())} cases, {time.perf_counter() - began:.0f} s", flush=True)
    return {name: {"cases": c.cases, **asdict(c)} for name, c in counts.items()}


def warm() -> None:
    """Import what commands use, once, and nothing of it is run: forked processes share it."""
    import sklearn.decomposition
    import sklearn.neighbors
    import torch.utils.tensorboard
    import torchmetrics.image  # noqa: F401

    from deepinfomax import cli, export, sklearn  # noqa: F401
    from deepinfomax.evaluation import embed_command, evaluate_command, neighbours_command  # noqa: F401
    from deepinfomax.experiments import quickstart  # noqa: F401
    from deepinfomax.report import page  # noqa: F401
    from deepinfomax.training import train_run  # noqa: F401

    torch.set_num_threads(1)


def hardware() -> str:
    import torch

    from deepinfomax.devices import hardware as of

    return of(torch.device("cpu"))


def software() -> dict[str, str]:
    from deepinfomax.experiments.provenance import software as versions

    return versions()


os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
if __name__ == "__main__":
    warm()
    main()
