"""A sheet of pictures: each query once, beside it its neighbours by one encoder, then by the next."""

import textwrap
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deepinfomax import files

SAME = "#1b7f3b"  #: frame of a neighbour that has the query's label
INCHES = 0.62  #: side of a picture
CAPTION = 0.2  #: inches that a name under a picture takes


def draw(
    images: np.ndarray,
    query: np.ndarray,
    nearest: Mapping[str, np.ndarray],
    labels: np.ndarray | None = None,
    classes: tuple[str, ...] = (),
    names: Sequence[str] | None = None,
) -> Figure:
    """A row a query: the image, then a block of neighbours for each name, nearest first; the same class is framed.

    Args:
        images: (N, C, H, W) uint8.
        query: (Q,) positions in `images`.
        nearest: name -> (Q, k) positions.
        labels: (N,), or None: nothing is framed. -1: none.
        classes: names, in label order.
        names: N words, one under each picture.
    """
    count = next(iter(nearest.values())).shape[1]
    columns = 1 + len(nearest) * (count + 1)  # an empty column in front of each block
    each = INCHES if names is None else INCHES + CAPTION
    width, height = (columns + 1.2) * each, len(query) * each + 0.4
    figure = Figure(figsize=(width, height))
    places = figure.subplots(len(query), columns, squeeze=False)
    between = 0.06 if names is None else CAPTION / INCHES
    figure.subplots_adjust(1.2 / (columns + 1.2), 0.02, 0.99, 1 - 0.4 / height, between, between)
    for axes in places.flat:
        axes.set_axis_off()
    for i, (row, position) in enumerate(zip(places, query.tolist(), strict=True)):
        _show(row[0], images[position], name=None if names is None else names[position])
        label = -1 if labels is None else int(labels[position])
        if label >= 0:
            name = classes[label] if label < len(classes) else f"class {label}"
            row[0].text(
                -0.12,
                0.5,
                textwrap.fill(name, 13),
                ha="right",
                va="center",
                fontsize=8,
                transform=row[0].transAxes,
                parse_math=False,
            )
        for block, rows in enumerate(nearest.values()):
            first = 2 + block * (count + 1)
            for axes, neighbour in zip(row[first : first + count], rows[i], strict=True):
                same = labels is not None and label >= 0 and labels[neighbour] == label
                _show(axes, images[neighbour], framed=same, name=None if names is None else names[neighbour])
    for block, name in enumerate(nearest):
        places[0][2 + block * (count + 1)].set_title(name, fontsize=9, loc="left", parse_math=False)
    places[0][0].set_title("query", fontsize=9, loc="left")
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a sheet. A letter that matplotlib's own font lacks, as of Chinese names, is a box, and no warning."""
    with warnings.catch_warnings(), files.replacing(path) as partial:
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(partial, dpi=150)


def _show(axes: Axes, image: np.ndarray, *, framed: bool = False, name: str | None = None) -> None:
    axes.imshow(image.transpose(1, 2, 0) if len(image) == 3 else image[0], cmap="gray", vmin=0, vmax=255)
    if name:
        axes.text(0.5, -0.04, name, ha="center", va="top", fontsize=4.5, transform=axes.transAxes, parse_math=False)
    if framed:
        axes.set_axis_on()
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set(color=SAME, linewidth=2.5)
