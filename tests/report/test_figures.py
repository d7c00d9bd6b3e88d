"""Figures as SVG of the page."""

import re

from deepinfomax.report.figures import axes, drawing, svg


def test_numbers_for_the_reader_stay_whole_and_coordinates_are_short() -> None:
    with drawing(100) as figure:
        place = axes(figure)
        place.plot([0, 1 / 3, 1], [0, 0.0012, 0.0025])
        place.set_yticks([0, 0.0025])
        text = str(svg(figure, "A curve that ends at 0.0025."))
    assert 'aria-label="A curve that ends at 0.0025."' in text
    assert ">0.0025<" in text
    assert not re.search(r' d="[^"]*\.\d{3}', text)
