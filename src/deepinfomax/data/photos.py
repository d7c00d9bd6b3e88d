"""`photos`: grey patches of the photographs that the scikit-image and scikit-learn wheels carry; needs no network.

The task that its labels set is to tell the photographs apart from a patch of one. Training patches lie in the left 60 %
of each photograph and test patches in the right 40 %, so no test pixel is ever a training pixel and a patch cannot be
recognised by an overlap. A patch is a crop of 64x64 pixels, halved with antialiasing to 32x32.

Only patches with some contrast are kept: the standard deviation of the 64x64 crop must be at least `CONTRAST` grey
levels. Empty sky, studio background or the dark between galaxies would ask which grey it is, not what it shows.

Origin and licence, as the wheels state them (docstrings of `skimage.data`, `sklearn/datasets/images/README.txt`):

    astronaut   NASA, public domain                    hubble      NASA, public domain
    brick       CC0Textures, CC0                       moon        not stated
    camera      Lav Varshney, CC0                      motorcycle  Middlebury 2014 stereo benchmark, not stated
    chelsea     Stefan van der Walt, CC0               page        not stated
    china       danielbuechele, CC BY 2.0              retina      Mikael Häggström, CC0
    clock       Stefan van der Walt, public domain     rocket      SpaceX, public domain
    coffee      Rachel Michetti, CC0                   text        Wikipedia, public domain
    coins       Brooklyn Museum, no known restriction  tissue      CMMI, no known restriction
    flower      vultilion, CC BY 2.0
    grass       linolafett, CC0
    gravel      CC0Textures, CC0

Left out of the wheels' pictures: drawings and test charts, the second view of the stereo pair, and the hologram of one
cell, whose left part is empty.
"""

import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from deepinfomax.data.images import ImageSet
from deepinfomax.errors import UserError

#: what the labels ask, in words for the report
TASK = (
    "The task: from which of 19 photographs is this patch? Training patches are from the left 60 % of each photograph, "
    "test patches from the right 40 %, so no pixel is in both."
)
CROP = 64  #: pixels of the photograph
PATCH = 32  #: pixels of the patch
PER_PHOTOGRAPH = {"train": 400, "test": 100}
CONTRAST = 5.0  #: least standard deviation of a crop, in grey levels of 255
BOUNDARY = 0.6  #: fraction of the width where training ends and testing begins

DRAWN = 16  #: positions drawn for each that is wanted; the emptiest photograph keeps one in nine

#: class -> package and file inside it
FILES = {
    "astronaut": ("skimage", "data/astronaut.png"),
    "brick": ("skimage", "data/brick.png"),
    "camera": ("skimage", "data/camera.png"),
    "chelsea": ("skimage", "data/chelsea.png"),
    "china": ("sklearn", "datasets/images/china.jpg"),
    "clock": ("skimage", "data/clock_motion.png"),
    "coffee": ("skimage", "data/coffee.png"),
    "coins": ("skimage", "data/coins.png"),
    "flower": ("sklearn", "datasets/images/flower.jpg"),
    "grass": ("skimage", "data/grass.png"),
    "gravel": ("skimage", "data/gravel.png"),
    "hubble": ("skimage", "data/hubble_deep_field.jpg"),
    "moon": ("skimage", "data/moon.png"),
    "motorcycle": ("skimage", "data/motorcycle_left.png"),
    "page": ("skimage", "data/page.png"),
    "retina": ("skimage", "data/retina.jpg"),
    "rocket": ("skimage", "data/rocket.jpg"),
    "text": ("skimage", "data/text.png"),
    "tissue": ("skimage", "data/ihc.png"),
}


def photos(split: str) -> ImageSet:
    """Patches of one side of every photograph, grouped by photograph: (19 * 400 or 19 * 100, 1, 32, 32) uint8.

    Always the same ones: the positions come from a generator seeded by the photograph's number and the side.
    """
    if split not in PER_PHOTOGRAPH:
        raise UserError(f"photos has train and test, no {split} part")
    count = PER_PHOTOGRAPH[split]
    images = np.concatenate([_patches(name, split, count)[0] for name in FILES])[:, None]
    labels = np.repeat(np.arange(len(FILES)), count)
    return ImageSet(images, labels, tuple(FILES), name="photos")


@cache
def photograph(name: str) -> np.ndarray:
    """(H, W) uint8 grey."""
    with Image.open(wheel_file("photos", *FILES[name])) as image:
        return np.asarray(image.convert("L"))


def wheel_file(name: str, package: str, inside: str) -> Path:
    """A file that an installed package carries, of the data called `name`.

    It is found without importing the package, which takes longer than to read the file. Raises UserError without it.
    """
    spec = importlib.util.find_spec(package)
    file = Path(spec.submodule_search_locations[0]) / inside if spec and spec.submodule_search_locations else None
    if file is None or not file.is_file():
        raise UserError(f"{name} needs the file {inside} of the installed {package} package: reinstall {package}")
    return file


def apart(split: str) -> np.ndarray:
    """Positions of patches no two of which share a pixel: neighbours among them are alike, and no shifted copies."""
    chosen: list[np.ndarray] = []
    for number, name in enumerate(FILES):
        kept: list[int] = []
        all_corners = corners(name, split, PER_PHOTOGRAPH[split])
        for i, corner in enumerate(all_corners):
            if all(np.abs(corner - all_corners[j]).max() >= CROP for j in kept):
                kept.append(i)
        chosen.append(number * PER_PHOTOGRAPH[split] + np.array(kept))
    return np.concatenate(chosen)


def corners(name: str, split: str, count: int) -> np.ndarray:
    """(count, 2) int64: row and column of the upper left corner of each crop."""
    return _patches(name, split, count)[1]


@cache
def _patches(name: str, split: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """`count` patches (count, 32, 32) and the corners of their crops: positions drawn until enough have contrast."""
    picture = photograph(name)
    height, width = picture.shape
    boundary = round(BOUNDARY * width)
    left, right = (0, boundary) if split == "train" else (boundary, width)
    generator = np.random.default_rng([list(FILES).index(name), split == "test"])
    corners = np.empty((0, 2), np.int64)
    while len(corners) < count:
        rows = generator.integers(height - CROP + 1, size=DRAWN * count)
        columns = generator.integers(left, right - CROP + 1, size=DRAWN * count)
        keep = contrast(picture[:, left:right], rows, columns - left) >= CONTRAST
        corners = np.concatenate([corners, np.stack([rows, columns], 1)[keep]])[:count]
    crops = np.stack([picture[row : row + CROP, column : column + CROP] for row, column in corners])
    squares = crops.reshape(count, PATCH, 2, PATCH, 2).sum((2, 4), dtype=np.uint16)
    return ((squares + 2) // 4).astype(np.uint8), corners


def contrast(picture: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Standard deviation of each crop, from two summed-area tables instead of pixel by pixel."""

    def total(values: np.ndarray) -> np.ndarray:
        table = np.pad(values.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
        bottom, right = rows + CROP, columns + CROP
        return table[bottom, right] - table[rows, right] - table[bottom, columns] + table[rows, columns]

    values = picture.astype(np.int64)
    mean = total(values) / CROP**2
    return np.sqrt(total(values**2) / CROP**2 - mean**2)
