"""Make of a run an encoder that comes with the package, at half its bytes.

    python tools/bundle.py RUN natural-32

Matrices and kernels are rounded to float16. Settings, figures and a card lie beside, as on the hub: evaluate RUN first.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

import deepinfomax
from deepinfomax.encoders import bundled, hub, storage
from deepinfomax.export import write_repository

ROUNDED = "\nThe weights here are rounded to float16; figures are of the weights before.\n"


def bundle(run: Path, name: str, folder: Path) -> None:
    """Write `folder`/`name` anew."""
    description = storage.describe(run)
    place = folder / name
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    write_repository(run, name, place)
    with (place / "README.md").open("a", encoding="utf-8") as card:
        card.write(ROUNDED)
    with tempfile.TemporaryDirectory() as halved:
        storage.save(
            deepinfomax.load(run),
            halved,
            name=description.architecture,
            image_shape=description.image_shape,
            half=True,
            **description.arguments,
        )
        for file, on_hub in hub.NAMES.items():
            shutil.copyfile(Path(halved) / file, place / on_hub)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("name", metavar="NAME")
    given = parser.parse_args()
    bundle(given.run, given.name, bundled.FOLDER)
