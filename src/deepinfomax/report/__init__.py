"""The report of a run folder: one self-contained HTML file. It is made from files only, without loading a model.

`reading` reads the folder. `comparisons`, `verdict`, `quantities`, `missing`, `curves`, `distribution` and `sheet` make
words, tables and figures of the contents. `page` puts them into the template.
"""

from deepinfomax.report.page import write

__all__ = ["write"]
