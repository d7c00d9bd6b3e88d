"""Nearest neighbours in DIM(G) and in DIM(L), side by side (A.4).

The paper shows images of Tiny ImageNet, each with its four nearest images by L1 distance in y, and says that those of
DIM(L) are easier to interpret. Here the pictures are shown with a number: the share of neighbours that have the class
of their query, at every level and by both distances. An untrained encoder and raw pixels are the controls.
"""

import json
from pathlib import Path
from typing import Any

from deepinfomax import encoders
from deepinfomax.devices import choose_device
from deepinfomax.evaluation import controls
from deepinfomax.evaluation.embeddings import embed
from deepinfomax.evaluation.side_by_side import draw_bank, side_by_side
from deepinfomax.experiments.paper_tables import ALL_TABLES, labelled_images, row_config, run_folder, trained
from deepinfomax.features import LEVELS
from deepinfomax.recipes import Scale
from deepinfomax.report.neighbour_sheet import draw

METHODS = ("DIM(G)", "DIM(L) infoNCE")
NEIGHBOURS, SHOWN = 4, 10  #: of each query, as in the paper; queries on the sheet
BANK: dict[Scale, int] = {"smoke": 200, "cpu": 600, "paper": 2000}  #: test images searched; L1 has no fast product


def run(
    scale: Scale,
    seed: int,
    out: str | Path,
    *,
    root: Path | None = None,
    device: str | None = None,
    table: str = "table2",
) -> dict[str, Any]:
    """Train both encoders, or take those that a table has trained beside `out`, and compare; they are rows of `table`.

    Writes into `out`: neighbours.json, and a picture of each level, neighbours_y.png and so on.

    Returns:
        {"shared": {name: {level: {metric: share of neighbours of the same class}}}, "chance": ..., "bank": images
        searched, "neighbours": of each, "data": ...}; names are `METHODS` and the controls, pixels under level "".

    Raises:
        UserError: data that are not at hand.
    """
    out, on = Path(out), choose_device(device)
    rows = {row.name: row for row in ALL_TABLES[table].rows if row.name in METHODS}
    configs = {name: row_config(ALL_TABLES[table], row, scale, seed, root) for name, row in rows.items()}
    some = configs[METHODS[0]]
    training, test = labelled_images(some, scale)
    bank = draw_bank(test, BANK[scale], seed)
    architecture, arguments = some.encoder["name"], {k: v for k, v in some.encoder.items() if k != "name"}
    models = {}
    for name in METHODS:
        with run_folder(out.parent, rows[name], scale, configs[name]) as folder:
            models[name] = trained(configs[name], folder, device)
    models["random encoder"] = controls.random_encoder(
        lambda: encoders.build(architecture, training.shape, **arguments), training, seed=seed, device=on
    )
    embedded = {name: embed(model, bank, device=on) for name, model in models.items()}
    shared: dict[str, dict[str, Any]] = {name: {} for name in (*models, "pixels")}
    out.mkdir(parents=True, exist_ok=True)
    for level in LEVELS:
        vectors = {name: of_levels[level] for name, of_levels in embedded.items()}
        compared = side_by_side(bank, vectors, queries=SHOWN, count=NEIGHBOURS, seed=seed)
        assert compared.shared is not None
        for name, shares in compared.shared.items():
            shared[name][level] = shares
        sheet = draw(
            bank.images, compared.query, {name: compared.nearest[name] for name in METHODS}, bank.labels, bank.classes
        )
        sheet.savefig(out / f"neighbours_{level}.png", dpi=150)
    of_pixels = side_by_side(bank, {"pixels": controls.pixels(bank)}, count=NEIGHBOURS, seed=seed)
    assert of_pixels.shared is not None
    shared["pixels"][""] = of_pixels.shared["pixels"]
    result = {
        "data": test.name,
        "bank": len(bank),
        "neighbours": NEIGHBOURS,
        "chance": of_pixels.chance,
        "steps": {name: config.training.steps for name, config in configs.items()},
        "shared": shared,
    }
    (out / "neighbours.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return result
