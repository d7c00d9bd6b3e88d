"""`digits`: scikit-learn's 8x8 digits, from its wheel; needs no network."""

from functools import partial

import numpy as np

from deepinfomax.data.images import ImageSet
from deepinfomax.data.photos import wheel_file
from deepinfomax.data.stored import Parts

TRAINING = 1500  #: of 1797, in their order


def digits_parts() -> Parts:
    """Grey values 0 .. 16 stretched to 0 .. 255; the last 297 are the test part."""
    table = np.loadtxt(wheel_file("digits", "sklearn", "datasets/data/digits.csv.gz"), delimiter=",")
    images = np.rint(table[:, :-1].reshape(-1, 1, 8, 8) * (255 / 16)).astype(np.uint8)
    whole = ImageSet(images, table[:, -1].astype(np.int64), tuple("0123456789"), name="digits")
    return {"train": partial(whole.take, slice(None, TRAINING)), "test": partial(whole.take, slice(TRAINING, None))}
