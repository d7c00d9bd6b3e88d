"""The report: a run folder -> one self-contained HTML file. It reads files, never models.

`reading` parses the folder. `comparisons`, `verdict`, `quantities`, `missing`, `curves`, `distribution` and `sheet`
turn what was read into words, tables and figures. `page` puts them into the template.
"""

from deepinfomax.report.page import write

__all__ = ["write"]
