"""Estimators of mutual information against a known truth: the staircase of Poole et al. 2019 and Song & Ermon 2020.

    python benchmarks/mi_truth_table.py                                   # everything: many hours on one core
    python benchmarks/mi_truth_table.py --critics separable               # 24 runs, about 50 minutes on one core
    python benchmarks/mi_truth_table.py --critics joint --seeds 0 --bfloat16

x and y in R^20 with correlation rho per coordinate, "cubic" with y -> y^3 (which leaves the mutual information as it
is); 2, 4, 6, 8, 10 nats for 4000 steps each, the same critic going on from level to level; batches of 64 fresh pairs,
Adam 5e-4. Critics: ReLU networks of 256 units, embedding 32 for the separable one. Song & Ermon's `layers=2` makes
*three* hidden layers (`mlp` in their utils.py), and so has their figure; two lie up to 0.7 nats above it.

A critic is trained by one of four bounds. All SMILE and JSD readouts come from one critic trained by JSD, since
SMILE's own training gradient *is* that of JSD. Two kinds of numbers are written:

* `curve`: mean of the value on the training batches (fresh, scored before the step) over the second half of a level:
  what the published figure plots.
* `held_out`: the critic as it is at the end of a level, 500 fresh batches: mean, standard deviation of one batch, and
  `pooled`, the readout with the 500 batches' negatives under one mean, with its standard error. A readout that is
  called a lower bound must have pooled <= truth + 2 standard errors.

Each finished run is appended to results/mi_truth_table.runs.jsonl; runs found there are not run again; the summary
results/mi_truth_table.json is rewritten after each run and names the runs that are still missing.
`--bfloat16` computes the hidden products of the joint critic in bfloat16 (scores, sums and weights stay fp32): three
times faster where the processor has such units. The runs say so.
"""

import argparse
import itertools
import json
import math
import os
import shlex
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from deepinfomax import devices
from deepinfomax.information import bounds, readouts
from deepinfomax.information.readouts import Scores
from deepinfomax.information.vector_critics import JointCritic, SeparableCritic

UNITS, BATCH, LR, STEPS, HIDDEN = 20, 64, 5e-4, 4000, (256, 256, 256)
LEVELS = (2, 4, 6, 8, 10)
HELD_OUT_BATCHES = 500
RESULTS = Path(__file__).parent.parent / "results"

#: what is read of a critic trained by each bound
READ: dict[str, dict[str, Callable[[Scores], Tensor]]] = {
    "infonce": {"infonce": readouts.infonce},
    "nwj": {"nwj": readouts.nwj},
    "dv": {"dv": readouts.dv},
    "jsd": {
        "smile-1": lambda s: readouts.smile(s, 1.0),
        "smile-5": lambda s: readouts.smile(s, 5.0),
        "smile-inf": readouts.dv,
        "jsd-nwj": readouts.jsd_nwj,
        "jsd-lb": readouts.jsd_lb,
    },
}
LOWER_BOUNDS = ("infonce", "nwj", "dv", "smile-inf", "jsd-nwj", "jsd-lb")

#: read off the figure in demo.ipynb of github.com/ermongroup/smile-mi-estimator to ±0.2, plain Gaussians, by level
PUBLISHED = {
    ("separable", "infonce"): (1.65, 2.9, 3.6, 3.9, 4.05),
    ("joint", "infonce"): (1.75, 3.0, 3.7, 4.0, 4.1),
    ("separable", "nwj"): (1.4, 2.4, 3.2, 3.7, 4.2),
    ("joint", "nwj"): (1.85, 3.7, 5.2, 6.5, None),  # "6 to 9, crashes" at 10
    ("separable", "smile-1"): (1.95, 4.0, 6.0, 7.9, 9.8),
    ("joint", "smile-1"): (2.15, 4.3, 6.2, 8.3, 10.0),
    ("separable", "smile-5"): (1.75, 3.7, 5.8, 8.2, 10.4),
    ("joint", "smile-5"): (1.9, 3.85, 6.1, 8.5, 10.9),
    ("separable", "smile-inf"): (1.65, 3.3, 5.0, 6.9, 8.8),
    ("joint", "smile-inf"): (1.85, 3.8, 5.8, 8.0, 10.1),
}


def draw(mi: float, cubic: bool, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A fresh batch of pairs, x and y (BATCH, UNITS)."""
    rho = math.sqrt(1 - math.exp(-2 * mi / UNITS))
    x, noise = torch.randn(2, BATCH, UNITS, generator=generator)
    y = rho * x + math.sqrt(1 - rho**2) * noise
    return x, y**3 if cubic else y


def score(critic: nn.Module, x: Tensor, y: Tensor, bfloat16: bool) -> Tensor:
    if not bfloat16:
        return critic(x, y)
    assert isinstance(critic, JointCritic)
    relu, network = critic.score
    hidden = relu(critic.x(x).unsqueeze(1) + critic.y(y))
    *layers, last = network
    with torch.autocast("cpu", torch.bfloat16):
        for layer in layers:
            hidden = layer(hidden)
    return last(hidden.float()).squeeze(-1)


def off_diagonal(scores: Tensor) -> Tensor:
    """(n, n) -> (n, n - 1), each row without its diagonal element"""
    n = len(scores)
    return scores.flatten()[:-1].view(n - 1, n + 1)[:, 1:].reshape(n, n - 1)


def staircase(objective: str, critic_name: str, cubic: bool, seed: int, bfloat16: bool) -> list[dict]:
    """One critic up all levels -> one row per level and readout."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    critic = {"separable": SeparableCritic, "joint": JointCritic}[critic_name](UNITS, UNITS, HIDDEN)
    optimizer = torch.optim.Adam(critic.parameters(), LR, fused=True)
    bound, read = bounds.get(objective), READ[objective]
    rows = []
    for mi in LEVELS:
        curve: dict[str, list[float]] = {name: [] for name in read}
        for step in range(STEPS):
            all_pairs = score(critic, *draw(mi, cubic, generator), bfloat16)
            loss = -bound(all_pairs.diagonal().unsqueeze(1), off_diagonal(all_pairs))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if step >= STEPS // 2 and step % 10 == 0:
                for name, readout in read.items():
                    curve[name].append(float(readout(Scores(all_pairs.detach()))))
        with torch.no_grad():
            batches = [Scores(score(critic, *draw(mi, cubic, generator), bfloat16)) for _ in range(HELD_OUT_BATCHES)]
            for name, readout in read.items():
                values = torch.stack([readout(batch) for batch in batches]).double()
                pooled, error = pool(name, batches)
                rows.append(
                    {
                        "estimator": name,
                        "truth": mi,
                        "curve": statistics.fmean(curve[name]),
                        "held_out": {"mean": float(values.mean()), "sd_of_a_batch": float(values.std())},
                        "pooled": pooled,
                        "pooled_standard_error": error,
                    }
                )
    return rows


def pool(name: str, batches: list[Scores]) -> tuple[float, float]:
    """The readout over all batches, its nonlinear function applied once, and its standard error over batches."""
    joint = torch.stack([batch.joint(batch.pairs) for batch in batches]).double()
    if name in ("dv", "smile-inf", "smile-1", "smile-5"):
        tau = {"smile-1": 1.0, "smile-5": 5.0}.get(name, math.inf)
        log_z = torch.stack([b.log_mean_exp(b.all_pairs.clamp(-tau, tau)) for b in batches]).double()
        pooled_log_z = log_z.logsumexp(0) - math.log(len(log_z))
        value = joint.mean() - pooled_log_z
        influence = joint - torch.exp(log_z - pooled_log_z)
    elif name == "jsd-lb":
        entropy = torch.stack([readouts.cross_entropy(batch) for batch in batches]).double()
        mean = float(entropy.mean())
        value = torch.tensor(readouts.least_kl(mean))
        influence = readouts.least_kl_slope(mean) * entropy
    else:  # a mean over batches already
        influence = torch.stack([READ[{"jsd-nwj": "jsd"}.get(name, name)][name](b) for b in batches]).double()
        value = influence.mean()
    return float(value), float(influence.std()) / math.sqrt(len(batches))


def summary(runs: list[dict], wanted: list[dict]) -> dict:
    """All rows of one estimator, critic, transform and level together."""
    table = []
    groups: dict[tuple, list[dict]] = {}
    for run in runs:
        for row in run["rows"]:
            key = (run["transform"], run["critic"], row["estimator"], row["truth"])
            groups.setdefault(key, []).append(row | {"seed": run["seed"]})
    for (transform, critic, estimator, truth), rows in groups.items():
        curve = statistics.fmean(row["curve"] for row in rows)
        published = PUBLISHED.get((critic, estimator)) if transform == "plain" else None
        figure = published[LEVELS.index(truth)] if published else None
        is_bound = estimator in LOWER_BOUNDS
        table.append(
            {
                "transform": transform,
                "critic": critic,
                "estimator": estimator,
                "truth": truth,
                "curve": round(curve, 3),
                "curve_sd_over_seeds": round(statistics.stdev(r["curve"] for r in rows), 3) if len(rows) > 1 else None,
                "held_out": round(statistics.fmean(row["held_out"]["mean"] for row in rows), 3),
                "held_out_sd_of_a_batch": round(statistics.fmean(r["held_out"]["sd_of_a_batch"] for r in rows), 3),
                "pooled": [round(row["pooled"], 3) for row in rows],
                "pooled_standard_error": [round(row["pooled_standard_error"], 3) for row in rows],
                "seeds": [row["seed"] for row in rows],
                "published": figure,
                "difference": None if figure is None else round(curve - figure, 3),
                "within_0.3": None if figure is None else abs(curve - figure) <= 0.3,
                "called_lower_bound": is_bound,
                "below_truth_plus_2_se": all(r["pooled"] <= truth + 2 * r["pooled_standard_error"] for r in rows)
                if is_bound
                else None,
            }
        )
    done = [_key(run) for run in runs]
    return {
        "what": "Mutual information of 20-d Gaussians in nats, by estimator, beside the truth and the published figure",
        "protocol": {
            "units": UNITS,
            "levels": LEVELS,
            "steps_per_level": STEPS,
            "batch": BATCH,
            "lr": LR,
            "hidden": HIDDEN,
            "embedding": 32,
            "held_out_batches": HELD_OUT_BATCHES,
        },
        "published": "figure in demo.ipynb of github.com/ermongroup/smile-mi-estimator, read off to ±0.2",
        "commands": sorted({run["command"] for run in runs}),
        "hardware": sorted({run["hardware"] for run in runs}),
        "minutes": round(sum(run["minutes"] for run in runs), 1),
        "runs": len(runs),
        "bfloat16_hidden_layers": [_key(run) for run in runs if run["bfloat16"]],
        "not_run": [_key(run) for run in wanted if _key(run) not in done],
        "table": table,
    }


def _key(run: dict) -> str:
    return f"{run['objective']} {run['critic']} {run['transform']} seed {run['seed']}"


def processor() -> str:
    return f"{devices.processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} thread, torch {torch.__version__}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--critics", nargs="+", choices=("separable", "joint"), default=["separable", "joint"])
    parser.add_argument("--transforms", nargs="+", choices=("plain", "cubic"), default=["plain", "cubic"])
    parser.add_argument("--objectives", nargs="+", choices=tuple(READ), default=["jsd", "infonce", "nwj", "dv"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--bfloat16", action="store_true", help="hidden products of the joint critic in bfloat16")
    parser.add_argument("--minutes", type=float, default=math.inf, help="start no further run after this long")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the two result files")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # batches of 64: a second thread only waits
    log = arguments.out / "mi_truth_table.runs.jsonl"
    everything = [
        {"seed": seed, "transform": transform, "objective": objective, "critic": critic}
        for critic, seed, transform, objective in itertools.product(
            ("separable", "joint"), (0, 1, 2), ("plain", "cubic"), tuple(READ)
        )
    ]
    started = time.monotonic()
    chosen = itertools.product(arguments.critics, arguments.seeds, arguments.transforms, arguments.objectives)
    for critic, seed, transform, objective in chosen:
        run = {"seed": seed, "transform": transform, "objective": objective, "critic": critic}
        if _key(run) in map(_key, read_runs(log)) or time.monotonic() - started > 60 * arguments.minutes:
            continue
        bfloat16 = arguments.bfloat16 and critic == "joint"
        begin = time.monotonic()
        rows = staircase(objective, critic, transform == "cubic", seed, bfloat16)
        run |= {
            "bfloat16": bfloat16,
            "minutes": (time.monotonic() - begin) / 60,
            "hardware": processor(),
            "command": shlex.join(["python", "benchmarks/mi_truth_table.py", *sys.argv[1:]]),
            "rows": rows,
        }
        with log.open("a") as file:
            file.write(json.dumps(run) + "\n")
        print(_key(run), f"{run['minutes']:.1f} min", file=sys.stderr, flush=True)
        target = arguments.out / "mi_truth_table.json"
        part = target.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps(summary(read_runs(log), everything), indent=1) + "\n")
        part.replace(target)


def read_runs(log: Path) -> list[dict]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


if __name__ == "__main__":
    main()
