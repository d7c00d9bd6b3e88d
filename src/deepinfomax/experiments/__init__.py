"""Experiments: the tables, figures and simulations of the paper, and what goes beyond its images."""

from pathlib import Path
from typing import Any

from deepinfomax.errors import UserError
from deepinfomax.recipes import SCALES


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
    """Rerun a table or simulation of the paper; returns its figures beside the published ones.

    Raises:
        UserError: an unknown name (the line lists them) or scale, or data that are not at hand.
    """
    from deepinfomax.experiments import jsd_and_mi, sequences
    from deepinfomax.experiments.published import TABLES
    from deepinfomax.experiments.tables import run_table

    if scale not in SCALES:
        raise UserError(f"unknown scale {scale!r}; choose one of {', '.join(SCALES)}")
    if seeds < 1:
        raise UserError(f"--seeds must be at least 1, not {seeds}")
    known = [*TABLES, "jsd-and-mi", "sequences"]
    out = out or Path("reproduced")
    if what == "list":
        return {"known": known, "text": "\n".join(known)}
    if what == "jsd-and-mi":
        return jsd_and_mi.run(scale, seed, out)
    if what == "sequences":
        return sequences.run(scale, seed, out)
    if what not in TABLES:
        raise UserError(f"nothing to reproduce under {what!r}; choose one of {', '.join(known)}")
    return run_table(what, scale=scale, out=out, seeds=range(seed, seed + seeds), root=data_root, device=device)
