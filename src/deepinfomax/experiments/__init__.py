"""Experiments: the tables, figures and simulations of the paper, and experiments on other data."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from deepinfomax.devices import choose_device, hardware
from deepinfomax.errors import UserError
from deepinfomax.recipes import SCALES

ON_CPU = ("jsd-and-mi", "sequences")  #: small enough that a GPU would not help


def reproduce(
    what: str,
    *,
    scale: Any = "cpu",
    out: Path | None = None,
    seeds: int = 3,
    seed: int = 0,
    data_root: Path | None = None,
    device: str | None = None,
) -> dict[str, Any]:
    """Rerun a table, figure or simulation of the paper; returns its figures, with the published ones if there are any.

    The result is written to out/NAME-SCALE.json, with pictures in the same folder. Seeds that are in the file are not
    run again; delete the file to start over.

    Raises:
        UserError: an unknown name (the message lists all) or scale, fewer than one seed, or data that are not found.
    """
    from deepinfomax.experiments import generator, jsd_and_mi, league_curves, league_trials, nearest_in_y, sequences
    from deepinfomax.experiments.paper_tables import ALL_TABLES, run_table
    from deepinfomax.experiments.provenance import command, held, read, software, write

    if scale not in SCALES:
        raise UserError(f"unknown scale {scale!r}; choose one of {', '.join(SCALES)}")
    if seeds < 1:
        raise UserError(f"--seeds must be at least 1, not {seeds}")
    choose_device(device)  # a mistyped one is told before there is a folder
    single = {
        "jsd-and-mi": lambda number, folder: jsd_and_mi.run(scale, number, folder),
        "generator": lambda number, folder: generator.run(scale, number, folder, root=data_root, device=device),
        "sequences": lambda number, folder: sequences.run(scale, number, folder),
        "league-trials": lambda number, folder: league_trials.run(scale, number, folder, root=data_root, device=device),
        "league-resnet18-trials": lambda number, folder: league_trials.run_local_maps(
            scale, number, folder, root=data_root, device=device
        ),
        "neighbours": lambda number, folder: nearest_in_y.run(scale, number, folder, root=data_root, device=device),
    }
    known = [*ALL_TABLES, "league", *single]
    out, numbers = out or Path("reproduced"), range(seed, seed + seeds)
    if what == "list":
        return {"known": known, "text": "\n".join(known)}

    def table(name: str, of: Sequence[int] = numbers) -> dict[str, Any]:
        return run_table(name, scale=scale, out=out, seeds=of, root=data_root, device=device)

    if what in ALL_TABLES:
        return table(what)
    if what == "league":
        return league_curves.run(scale, out, numbers, table)
    if what not in single:
        raise UserError(f"nothing to reproduce under {what!r}; choose one of {', '.join(known)}")
    path = out / f"{what}-{scale}.json"
    for number in numbers:
        began, own = time.perf_counter(), {}
        if str(number) not in read(path).get("runs", {}):
            on = torch.device("cpu") if what in ON_CPU else choose_device(device)
            figures = single[what](number, out / f"{what}-{scale}-seed{number}")
            own = {str(number): {**figures, "hardware": hardware(on)}}
        with held(path):  # another process may have written other seeds in the meantime
            earlier = read(path)
            runs = earlier.get("runs", {}) | own
            minutes = earlier.get("minutes", 0.0) + ((time.perf_counter() - began) / 60 if own else 0.0)
            result = {
                "schema": 1,
                "experiment": what,
                "scale": scale,
                "command": command(what, scale, sorted(map(int, runs))),
                "seeds": sorted(map(int, runs)),
                "hardware": sorted({run.get("hardware", "not recorded") for run in runs.values()}),
                "software": software(),
                "minutes": round(minutes, 1),
                "runs": runs,
            }
            write(path, result)
    return result
