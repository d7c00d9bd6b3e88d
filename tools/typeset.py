"""Formulas of the documentation, typeset when the site is built: LaTeX -> MathML, so a reader needs no network and no
script. A forge shows the same sources: a block fenced as `math`, and $`...`$ in a line.
"""

import re
from typing import Any

from latex2mathml.converter import convert

#: a block of LaTeX, a block of anything else, which stays as it is, or LaTeX in a line
_FORMULA = re.compile(
    r"^```math\n(?P<block>.*?)\n```$|^```.*?^```$|\$`(?P<inline>[^`\n]+)`\$", re.MULTILINE | re.DOTALL
)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """MkDocs calls this hook with the source of each page."""
    return _FORMULA.sub(_typeset, markdown)


def _typeset(found: re.Match[str]) -> str:
    if found["block"] is not None:
        return f'<div class="formula">{convert(found["block"], display="block")}</div>'
    if found["inline"] is not None:  # in a span, since Markdown takes an unknown tag at the start of a line for a block
        return f"<span>{convert(found['inline'])}</span>"
    return found[0]
