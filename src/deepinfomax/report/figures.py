"""Matplotlib figures as SVG that belongs to the page: its colours, its fonts, no address of anything outside."""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH = 340  #: CSS pixels: one unit of the drawing is one pixel on a narrow phone, so labels stay legible there

#: Stand-ins drawn by matplotlib, replaced by the page's variables: the same figure serves light, dark and print.
INK, MUTED, RULE, ACCENT, SECOND, CONTROL, FAINT = (f"#0{i}0{i}0{i}" for i in range(1, 8))
_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    RULE: "--rule",
    ACCENT: "--accent",
    SECOND: "--second",
    CONTROL: "--control",
    FAINT: "--faint",
}

_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "deepinfomax",  # the same figure gives the same text on every run
    "font.family": "sans-serif",
    "font.size": 11,
    "text.color": INK,
    "text.parse_math": False,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": RULE,
    "axes.linewidth": 1,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.labelsize": 11,
    "axes.unicode_minus": True,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "lines.linewidth": 1.75,
    "lines.solid_capstyle": "round",
}


@contextmanager
def drawing(height: int, width: int = WIDTH) -> Iterator[Figure]:
    """A figure of so many CSS pixels; everything drawn inside has the page's style."""
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # Letters that matplotlib's own font lacks are drawn by the reader's browser, with the reader's fonts.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield Figure(figsize=(width / 72, height / 72))


def axes(figure: Figure, *, left: float = 44, right: float = 8, top: float = 8, bottom: float = 34) -> Axes:
    """Axes with margins in CSS pixels."""
    width, height = figure.get_size_inches() * 72
    return figure.add_axes(
        (left / width, bottom / height, (width - left - right) / width, (height - top - bottom) / height)
    )


def svg(figure: Figure, alt: str) -> Markup:
    """The figure as an inline <svg> with `alt` for those who cannot see it. Call it inside `drawing`."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", transparent=True)
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)
    body = text[text.index(">") + 1 :]
    used = set(re.findall(r'(?:url\(|href=")#([\w.-]+)', body))
    # Ids of drawing elements repeat from figure to figure; only those referred to are kept, and they are hashes.
    body = re.sub(r' id="([\w.-]+)"', lambda m: m[0] if m[1] in used else "", body)
    body = body.replace("xlink:href=", "href=")
    body = re.sub(r"font(-family)?: [^;\"]*'DejaVu Sans'[^;\"]*;?", _without_family, body)
    body = re.sub("|".join(_VARIABLES), lambda m: f"var({_VARIABLES[m[0]]})", body)
    # Shorter coordinates; what stands between the tags is for the reader and stays.
    body = re.sub(r"<[^>]*>", lambda m: re.sub(r"(\d+\.\d\d)\d+", r"\1", m[0]), body)
    body = re.sub(r"\s*\n\s*", " ", body)
    width, height = (round(side * 72) for side in figure.get_size_inches())
    opening = f'<svg role="img" viewBox="0 0 {width} {height}" style="max-width: {width * 1.5:.0f}px" aria-label="'
    return Markup(opening) + escape(alt) + Markup('">' + body)


def _without_family(match: re.Match[str]) -> str:
    size = re.search(r"[\d.]+px", match[0]) if match[0].startswith("font:") else None
    return f"font-size: {size[0]};" if size else ""
