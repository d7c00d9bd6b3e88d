"""Make of a run an encoder that comes with the package, at half its bytes.

    python tools/bundle.py RUN natural-32

Matrices and kernels are rounded to float16. Settings, figures and a card lie beside, as on the hub: evaluate RUN first.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

import deepinfomax
from deepinfomax import files
from deepinfomax.encoders import bundled, storage
from deepinfomax.export import write_repository


def bundle(run: Path, name: str, folder: Path) -> None:
    """Write `folder`/`name` anew."""
    description = storage.describe(run)
    with tempfile.TemporaryDirectory() as temporary:
        halved = Path(temporary)
        storage.save(
            deepinfomax.load(run),
            halved,
            name=description.architecture,
            image_shape=description.image_shape,
            half=True,
            **description.arguments,
        )
        for kept in (files.CONFIG, files.METRICS, files.EVALUATION):
            if (run / kept).is_file():
                shutil.copyfile(run / kept, halved / kept)
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(parents=True)
        write_repository(halved, name, folder / name)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("name", metavar="NAME")
    given = parser.parse_args()
    bundle(given.run, given.name, bundled.FOLDER)
