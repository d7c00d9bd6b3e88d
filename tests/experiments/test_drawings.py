"""Where the drawings put their numbers: the paper's axes, read back from the figure."""

import itertools
import math
from types import SimpleNamespace as Record

import numpy as np
import pytest
from matplotlib.axes import Axes

from deepinfomax import encoders, recipes
from deepinfomax.experiments import drawings, paper_tables
from deepinfomax.experiments.published import BETAS, NEGATIVES, TABLES


def row(name: str, changes: dict[str, object], **means: float | None) -> Record:
    measured = {c.replace("_at_", "."): Record(mean=mean, sd=0.01, seeds=[]) for c, mean in means.items()}
    return Record(name=name, changes=changes, measured=measured)


@pytest.mark.parametrize(
    ("scale", "most"),
    [
        ("smoke", 15 * 8),  # 16 images of 8 places: those of every other image
        ("cpu", 2032),  # 128 images of 16 places
        ("paper", 63 * 64),  # 64 images of 8×8 places
    ],
)
def test_negatives_stand_at_the_log_of_their_number(scale: str, most: int) -> None:
    counts = [1, 8, 64, "all"]
    rows = [
        row(f"{bound}, {count}", {"local.negatives": count}, mlp_at_y=base + i / 100)
        for bound, base in (("infoNCE", 0.5), ("JSD", 0.3))
        for i, count in enumerate(counts)
    ]
    (axes,) = drawings.negatives(Record(rows=rows, scale=scale)).axes
    drawn = {c.get_label(): c.lines[0] for c in axes.containers}
    assert set(drawn) == {"infoNCE", "JSD"}
    for bound, base in (("infoNCE", 0.5), ("JSD", 0.3)):
        assert list(drawn[bound].get_xdata()) == pytest.approx([0, 3, 6, math.log2(most)])
        assert list(drawn[bound].get_ydata()) == pytest.approx([base + i / 100 for i in range(4)])
    assert "log2" in axes.get_xlabel()


@pytest.mark.parametrize("scale", recipes.SCALES)
def test_all_negatives_are_the_places_of_the_other_images(scale: recipes.Scale) -> None:
    """The drawing's own number, which nothing computes, against what the rows of the table are trained with."""
    table, shape = TABLES["negatives"], (3, 32, 32)
    for config in (paper_tables.row_config(table, r, scale, 0) for r in table.rows):
        arguments = {k: v for k, v in config.encoder.items() if k != "name"}
        local = encoders.shapes_of(encoders.build(config.encoder["name"], shape, **arguments), shape).local
        places = config.objective["local"]["places"] or math.prod(local[1:])
        assert drawings.MOST_NEGATIVES[scale] == (config.training.batch_size - 1) * places


def test_the_papers_abscissae() -> None:
    assert NEGATIVES == (1, 8, 64, "all")
    assert [r.changes["local.negatives"] for r in TABLES["negatives"].rows] == [*NEGATIVES] * 3
    assert [r.changes["vae.beta"] for r in TABLES["ndm-and-beta"].rows] == [0.1, 0.5, 1, 1.5, 2, 4] == [*BETAS]


def at(axes: Axes, alpha: str, beta: str) -> list[str]:
    """The numbers written in the cell whose labels are these."""
    rows = {label.get_text(): y for y, label in zip(axes.get_yticks(), axes.get_yticklabels(), strict=True)}
    columns = {label.get_text(): x for x, label in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)}
    return [text.get_text() for text in axes.texts if text.get_position() == (columns[beta], rows[alpha])]


def test_a_cell_of_the_heat_map_is_its_own_weights() -> None:
    # Two α and three β, no two cells alike: an exchange of the axes, or of their labels, moves every number.
    alphas, betas, gammas = (0.0, 1.0), (0.0, 0.1, 2.0), (0.1, 1.0)
    value = {cell: i / 100 for i, cell in enumerate(itertools.product(alphas, betas, gammas))}
    rows = [
        row("", {"prior.weight": g, "global.weight": a, "local.weight": b}, mlp_at_y=v, ndm_at_nats=v + 5)
        for (a, b, g), v in reversed(value.items())  # the order of the rows is not that of the axes
        if (a, b, g) != (1.0, 0.1, 1.0)  # not run
    ]
    figure = drawings.weights(Record(rows=rows, scale="cpu"))
    panels = np.reshape(np.array(figure.axes, dtype=object), (len(gammas), 2))
    for k, g in enumerate(gammas):
        for column, more in enumerate((0, 5)):
            axes = panels[k, column]
            for (a, b, gamma), v in value.items():
                if gamma != g:
                    continue
                expected = [] if (a, b, g) == (1.0, 0.1, 1.0) else [f"{v + more:.2f}"]
                assert at(axes, f"{a:g}", f"{b:g}") == expected
            # The colour below a number is of the same cell, and row 0 of the image is the lowest, as its labels are.
            colours = axes.images[0].get_array().filled(np.nan)
            assert colours[1, 0] == pytest.approx(value[1.0, 0.0, g] + more)
            assert axes.get_ylim()[0] < axes.get_ylim()[1]
            assert axes.get_xlabel() == "β"
            assert axes.get_ylabel().endswith("α")
            # One scale of colours for all γ of a measure: panels below each other compare.
            shown = [r.measured[list(r.measured)[column]].mean for r in rows]
            assert axes.images[0].get_clim() == (min(shown), max(shown))
        assert f"γ {g:g}" in panels[k, 0].get_ylabel()
    assert [axes.get_title() for axes in panels[0]] == ["mlp, y", "ndm, nats"]


def test_a_measure_that_has_no_figure_leaves_its_panel_white() -> None:
    weights = ({"prior.weight": 1.0, "global.weight": a, "local.weight": 0.1} for a in (0.0, 1.0))
    figure = drawings.weights(Record(rows=[row("", w, mlp_at_y=None) for w in weights], scale="cpu"))
    (axes,) = figure.axes
    assert not [text.get_text() for text in axes.texts]


def test_ndm_against_beta() -> None:
    betas, nats = [0.1, 0.5, 4.0], [3.0, 2.0, 0.5]
    rows = [
        row("", {"vae.beta": b}, ndm_at_nats=n, ndm_at_gaussian_nats=n + 1) for b, n in zip(betas, nats, strict=True)
    ]
    (axes,) = drawings.ndm_and_beta(Record(rows=rows, scale="cpu")).axes
    for container, more in zip(axes.containers, (0.0, 1.0), strict=True):
        line = container.lines[0]
        assert (list(line.get_xdata()), list(line.get_ydata())) == (betas, [n + more for n in nats])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["NDM", "of a Gaussian so correlated"]
    assert axes.get_xlabel() == "β"


def test_a_row_without_a_finite_figure_is_left_out_of_the_drawing() -> None:
    nothing = Record(mean=None, sd=None, seeds=[])
    something = Record(mean=0.5, sd=None, seeds=[0.5])
    rows = [
        Record(name=f"DV, {count}", changes={"local.negatives": count}, measured={"mlp.y": found})
        for count, found in ((1, nothing), (8, something))
    ]
    (axes,) = drawings.negatives(Record(scale="cpu", rows=rows)).axes
    assert axes.lines[0].get_xdata().tolist() == [3.0]
    rows = [
        Record(changes={"vae.beta": beta}, measured={"ndm.nats": found})
        for beta, found in ((0.5, nothing), (2.0, something))
    ]
    (axes,) = drawings.ndm_and_beta(Record(rows=rows)).axes
    assert list(axes.lines[0].get_xdata()) == [2.0]
