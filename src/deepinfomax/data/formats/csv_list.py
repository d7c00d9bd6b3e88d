"""A CSV list of image files, as people and their spreadsheets write it."""

import csv
import io
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from deepinfomax.data.formats import tiff
from deepinfomax.data.formats.record import (
    PATH_COLUMNS,
    Columns,
    Format,
    commands_for_numbers,
    no_classes,
    unused_columns,
)
from deepinfomax.data.labels import are_quantities, integers_of, number_labels
from deepinfomax.data.parts import PART_OF
from deepinfomax.data.stored import Parts, printable
from deepinfomax.errors import UserError, count_of, listed

SEPARATORS = ",;\t|"
FEWEST_STEPS = 8  #: numbers in a row, from which on it may be a series: the encoder of series takes no shorter ones


@dataclass(frozen=True)
class Table:
    """The rows of a list, without those that are empty."""

    names: list[str]  #: of the columns
    rows: list[dict[str, str]]
    point: str = "."  #: what numbers may have before a fraction: "," unless that separates the cells

    def column(self, name: str) -> list[str]:
        return [row[name] for row in self.rows]


def read(file: Path, columns: Columns) -> Parts:
    """A list with the columns path (or image, file, file_name), optionally label and split.

    Columns are separated by commas, semicolons, tabs or bars. Paths are relative to the list.

    Raises:
        UserError: no such column, or a file that does not exist (the first is named and all are counted).
    """
    table = read_table(file)
    image, label = columns.in_small_letters().choose(table.names, str(file), PATH_COLUMNS)
    if not image:
        have = f"{file} has the columns {listed(table.names)}"
        numbers = sum(_is_number(table.rows[0][name]) for name in table.names) if table.rows else 0
        must = "one must be called path, image or file, or be named by data.image"
        ways = commands_for_numbers(str(file)) if numbers > 1 else ""
        if numbers >= FEWEST_STEPS:
            ways += "; rows that are series or spectra train as an array: numpy.save them as (rows, steps)"
        raise UserError(f"{have}; {must}{ways}")
    if not table.rows:
        raise UserError(f"{file} lists no images")
    paths = [listed_path(file.parent, text) for text in table.column(image)]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise UserError(f"{file} lists {len(missing):,} of {len(paths):,} files that do not exist, first: {missing[0]}")
    splits = table.column("split") if "split" in table.names else [""] * len(paths)
    part_names = [(split or "train").lower() for split in splits]
    unknown = sorted(set(part_names) - set(PART_OF))
    if unknown:
        raise UserError(f"{file}: split is {unknown[0]!r} in some rows; it must be one of {', '.join(PART_OF)}")
    rows_of = {name: [i for i, part in enumerate(part_names) if part == name] for name in dict.fromkeys(part_names)}
    texts = table.column(label) if label else []
    raw = integers_of(texts) if label else None
    notes = unused_columns(table.names, {image, label, "split"})
    if label:
        notes += _of_two_labels(list(zip(paths, texts, strict=True)))
    if raw is not None and are_quantities(raw, table.point):
        raw, notes = None, (*notes, no_classes(f"column {label}"))
    (labels,), classes = number_labels([raw], where=str(file))
    return {
        name: partial(
            tiff.of_images,
            file.parent,
            [paths[i] for i in rows],
            None if labels is None else labels[rows],
            classes,
            notes,
        )
        for name, rows in rows_of.items()
    }


def _of_two_labels(pairs: Sequence[tuple[Path, str]]) -> tuple[str, ...]:
    """The note on images that a list has more than once, with different labels: each row is an image of its own."""
    last = dict(pairs)
    odd = {path: label for path, label in reversed(pairs) if label != last[path]}
    if not odd:
        return ()
    path, label = list(odd.items())[-1]
    have = count_of(len(odd), "image is", "images are")
    return (f"{have} listed with several labels, first: {printable(path.name)} with {label!r} and {last[path]!r}",)


def read_table(file: Path) -> Table:
    """The rows of a CSV file; names of columns in lower case, cells without spaces around them, empty rows left out.

    Raises:
        UserError: the file is no text, no CSV, or has two columns of one name or a row of more cells than columns.
    """
    content = file.read_bytes()
    try:
        text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
        header = next((line for line in text.splitlines() if line.strip()), "")
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator_of(header), skipinitialspace=True)
        cells = [row for line in lines if any(row := [cell.strip() for cell in line])]
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"{file} is no CSV file in UTF-8: {error}") from None
    if not cells:
        return Table([], [])
    names = [name.lower() for name in cells[0]]
    # A first line of numbers is no line of names: the table holds numbers alone, and `read` says what takes those.
    twice = next((name for name in names if name and names.count(name) > 1 and not _is_number(name)), None)
    if twice is not None:
        raise UserError(f"{file} has two columns called {twice!r}: give each a name of its own")
    wide = next((row for row in cells[1:] if any(row[len(names) :])), None)
    if wide is not None:
        have = f"{file} names {len(names)} columns, and the row that begins with {wide[0]!r} has {len(wide)} cells"
        raise UserError(f"{have}: put a cell that contains {lines.dialect.delimiter!r} between double quotes")
    rows = [dict(zip(names, row + [""] * len(names), strict=False)) for row in cells[1:]]
    return Table(names, rows, "." if lines.dialect.delimiter == "," else ",")


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


def separator_of(header: str) -> str:
    """What stands between the cells of a table, by its first line."""
    return max(SEPARATORS, key=header.count)


def listed_path(folder: Path, text: str) -> Path:
    """The file that a list names; with Windows' separators, or accents spelt otherwise, where these lead to one."""
    path = folder / text
    if (text.isascii() and "\\" not in text) or path.is_file():
        return path
    usual = text.replace("\\", "/")
    spellings = (folder / unicodedata.normalize(form, usual) for form in ("NFC", "NFD"))
    return next((spelling for spelling in spellings if spelling.is_file()), folder / usual)


FORMAT = Format(
    "csv",
    "a column of paths (`path`, `image` or `file`), and `label` where there is one",
    read,
    (".csv", ".tsv"),
    columns=True,
)
