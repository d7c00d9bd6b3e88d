"""`deepinfomax estimate-mi`: from files and names of columns to an estimate, a ranking or a matrix, and a report."""

import dataclasses
import inspect
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
import torch

from deepinfomax.errors import UserError, listed
from deepinfomax.information import checks, inputs
from deepinfomax.information.convergence import mi_convergence
from deepinfomax.information.estimate import MIEstimate
from deepinfomax.information.estimation import HELD_OUT, SHUFFLES_OF_NEIGHBOURS, estimate_mi
from deepinfomax.information.estimators import estimator_name
from deepinfomax.information.several import conditional_mi
from deepinfomax.information.table_files import read_file
from deepinfomax.information.tables import mi_matrix, mi_with
from deepinfomax.progress import shown, within

#: settings of `estimate_mi` that nearest neighbours of more than two variables use too
OF_NEIGHBOURS = ("neighbours", "seed")


def estimate_mi_command(
    first: Path,
    second: Path | None,
    *,
    x: Sequence[str],
    y: Sequence[str],
    given: Sequence[str],
    groups: str | None,
    numbers: Sequence[str],
    drop_missing: bool,
    matrix: bool,
    test: bool,
    convergence: bool,
    report: Path | None,
    device: str | None,
    **settings: Any,
) -> dict[str, Any]:
    """The result that the command prints; also writes the report if there is to be one.

    Args:
        first, second: two files, x and y; or one table.
        x, y, given: names of columns of the table. Without x, all other columns are ranked by their information about
            y. Without x and y, the table must have two columns.
        groups: the column with the group of each row.
        numbers: columns of whole numbers that are quantities.
        drop_missing: leave out rows with a missing value in a column that is used.
        matrix: estimate every pair of columns, of all or of those named by x.
        test: also compute p-values.
        convergence: also repeat the estimate with fewer pairs and with other widths of the critic.
        report: the file of the page; None: no page.
        settings: those of `estimate_mi`.

    Raises:
        UserError: wrong files or names; also in the cases of the estimates.
    """
    settings["device"] = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if report is not None and report.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--report {report}: the page is a file of HTML, such as {report.with_suffix('.html')}")
    if report is not None:
        _check_place(report)
    estimator_name(settings["estimator"])
    checks.check_transform(settings["transform"])
    checks.check_shuffles(settings["shuffles"])
    if convergence:
        block, many = settings.get("block") is not None, matrix or bool(y and not x)
        given_too = {"--groups": groups, "--block": block, "--given": given, "--matrix": many}
        if odd := next((name for name, there in given_too.items() if there), None):
            way = "it chooses rows itself" if odd in ("--groups", "--block") else "it is of one pair of --x and --y"
            raise UserError(f"--convergence takes no {odd}: {way}")
    if second is not None:
        if x or y or given or groups or matrix:
            raise UserError("--x, --y, --given, --groups and --matrix name columns of one table: give one file")
        if numbers or drop_missing:
            raise UserError(
                "--numbers and --drop-missing are of one table: give one file, or change the arrays yourself"
            )
        sides = (_whole(first), _whole(second))
        names, notes = (first.name, second.name), tuple[str, ...]()
        inputs.check_lengths(len(sides[0]), len(sides[1]), names)
        with shown("estimate-mi"):
            result = estimate_mi(*sides, test=test or HELD_OUT, **settings)
            still = _convergence(*sides, convergence, settings)
        return _answer(result, names, notes, still, report)
    table = read_file(first)
    if len(table) == 1:
        raise UserError(
            f"{first.name} has one column, {next(iter(table))}, and mutual information is of two: give a table of two, "
            "or a second file"
        )
    if len(table) == 2 and not (x or y or given or groups or matrix):
        x, y = ([name] for name in table)
    named, ranked = [*x, *y, *given, *([groups] if groups else [])], not x and (matrix or bool(y))
    table, notes = _usable(table, named, first, numbers, drop_missing, ranked)
    with shown("estimate-mi"):
        if matrix or (y and not x):
            return _many(table, x, y, given, groups, matrix, test, report, notes, settings)
        if not (x and y):
            first_of, last_of = map(quote, _two_to_compare(table))
            raise UserError(
                f"say which columns to compare, such as --x {first_of} --y {last_of}, or --matrix for every two; "
                f"{first.name} has {listed(table)}"
            )
        _check_sides(table, {"--x": x, "--y": y, "--given": given}, first)
        sides = (joined(table, x), joined(table, y))
        names = (", ".join(x), ", ".join(y))
        if groups:
            settings["groups"] = table[groups].astype(str)
        if given:
            known = joined(table, given)
            result, unused = _conditional(sides, known, test, settings)
            of = (*names, ", ".join(given))
            told = tuple(n.replace("labels of z", f"labels of {of[2]}") for n in result.notes)
            told = _by_their_names(told, (*sides, known), of) + unused
            result = dataclasses.replace(result, quantity=f"I({of[0]}; {of[1]} | {of[2]})", notes=told)
            return _answer(result, None, notes, None, report)
        result = estimate_mi(*sides, test=test or HELD_OUT, **settings)
        result = dataclasses.replace(result, notes=_by_their_names(result.notes, sides, names))
        return _answer(result, names, notes, _convergence(*sides, convergence, settings), report)


def _by_their_names(notes: tuple[str, ...], sides: Sequence[np.ndarray], names: Sequence[str]) -> tuple[str, ...]:
    """Rewrite notes about x, y and z with the names of the columns, and with options of the command."""
    for side, called, name in zip(sides, "xyz"[: len(names)], names, strict=True):
        read = inputs.read_side(side, called)
        said = inputs.remarks(side, read, name, f"--numbers {quote(name)} takes them as quantities")
        known = inputs.remarks(side, read, called)
        notes = tuple(said[0] if note in known else note for note in notes)
    return notes


def _taken(column: np.ndarray, name: str) -> bool:
    """Whether a column can be compared; a column of names that differ in every row cannot."""
    return not _refusal(column, name)


def _refusal(column: np.ndarray, name: str) -> str:
    """Why a column cannot be compared; "" if it can."""
    try:
        inputs.check_labels(inputs.read_side(column, name), name)
    except UserError as error:
        return str(error)
    return ""


def _two_to_compare(table: dict[str, np.ndarray]) -> tuple[str, str]:
    """The first and the last of the columns that can be compared."""
    names = [name for name, column in table.items() if _taken(column, name)]
    names = names if len(names) > 1 else list(table)
    return names[0], names[-1]


def _check_sides(table: dict[str, np.ndarray], sides: Mapping[str, Sequence[str]], path: Path) -> None:
    """Check the chosen columns.

    Raises:
        UserError: a column is on two sides, is constant, or has too many labels.
    """
    seen: dict[str, str] = {}
    for option, names in sides.items():
        for name in dict.fromkeys(names):
            if name in seen:
                raise UserError(f"column {name!r} stands in {seen[name]} and in {option}: name it once")
            seen[name] = option
            side = inputs.read_side(table[name], name)
            if len(names) > 1:
                continue  # words among several columns are numbers of their own, see `joined`
            try:
                inputs.check_labels(side, name)
            except UserError:
                _check_numbers(table[name], name, path, most=True)
                raise


def _check_numbers(column: np.ndarray, name: str, path: Path, most: bool = False) -> None:
    """Raises UserError if a column holds words, with the first of them.

    Args:
        most: raise only if more than half of the words are numbers, so that the others are probably mistakes.
    """
    if column.dtype != object and column.dtype.kind not in "SU":
        return
    words = [(row, str(word)) for row, word in enumerate(column, start=1) if word is not None]
    wrong = [(row, word) for row, word in words if not _is_number(word)]
    if wrong and (not most or len(wrong) < len(words) / 2):
        row, word = wrong[0]
        others = f", as {len(wrong) - 1:,} other rows do," if len(wrong) > 1 else ""
        raise UserError(
            f"column {name} of {path.name} has {word!r} in row {row:,}{others} which is no number: write a number, or "
            "leave the cell empty and add --drop-missing"
        )


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _numbers(column: np.ndarray, name: str, path: Path) -> np.ndarray:
    """The column as quantities, NaN where a cell is empty."""
    _check_numbers(column, name, path)
    quantities = column.astype(np.float64)
    return quantities.filled(np.nan) if isinstance(quantities, np.ma.MaskedArray) else quantities


def joined(table: dict[str, np.ndarray], names: Sequence[str]) -> np.ndarray:
    """One column unchanged; several columns as one array of numbers, with words as one-hot columns."""
    if len(names) == 1:
        return table[names[0]]
    parts = []
    for name in names:
        side = inputs.read_side(table[name], name)
        if inputs.is_labels(side) and table[name].dtype.kind in "iub":
            side = table[name].astype(np.float64)[:, None]
        elif inputs.is_labels(side):
            inputs.check_labels(side, name)
            side = np.eye(int(side.max()) + 1)[side]
        parts.append(side)
    return np.hstack(parts)


def _whole(path: Path) -> np.ndarray:
    """A file as one array: that of a .npy or .npz, or all columns of a table."""
    if path.suffix.lower() in (".csv", ".tsv", ".parquet"):
        table = read_file(path)
        return joined(table, list(table))
    return inputs.read_array(path)


def _usable(
    table: dict[str, np.ndarray],
    used: list[str],
    path: Path,
    numbers: Sequence[str],
    drop_missing: bool,
    ranked: bool,
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """The table with the columns that are used, quantities as floats, and without missing values; and notes.

    Args:
        used: the named columns; empty: all.
        ranked: whether all other columns that can be compared are used too.

    Raises:
        UserError: a column that does not exist, or missing values without `drop_missing`.
    """
    for name in [*used, *numbers]:
        if name not in table:
            raise UserError(f"{path.name} has no column {name!r}; it has {listed(table)}")
    lengths = {name: len(column) for name, column in table.items()}
    if len(set(lengths.values())) > 1:
        raise UserError(f"the arrays of {path.name} differ in length: {lengths}")
    table = {name: _numbers(column, name, path) if name in numbers else column for name, column in table.items()}
    missing = {name: _missing(column) for name, column in table.items()}
    if ranked and drop_missing:
        kept = {name: _taken(_plain(table[name][~rows]), name) for name, rows in missing.items()}
        missing = {name: rows for name, rows in missing.items() if name in used or kept[name]} or missing
    else:
        missing = {name: rows for name, rows in missing.items() if name in used or not used}
    gone = np.logical_or.reduce(list(missing.values()))
    if not gone.any():
        return table, ()
    if not drop_missing:
        worst = max(missing, key=lambda name: int(missing[name].sum()))
        raise UserError(
            f"{gone.sum():,} of {len(gone):,} rows of {path.name} have a missing value ({worst}: "
            f"{missing[worst].sum():,}): fill them in, or leave those rows out with --drop-missing"
        )
    note = f"{gone.sum():,} of {len(gone):,} rows have a missing value and were left out"
    whole = {name: _plain(column[~gone]) for name, column in table.items()}
    with_gaps = [name for name, rows in missing.items() if rows.any() and name not in numbers]
    return whole, (note, *_perhaps_labels({name: whole[name] for name in with_gaps}))


def _perhaps_labels(columns: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """The note on columns with gaps that hold few different numbers like 1.0, as pandas writes labels with gaps."""
    names = []
    for name, column in columns.items():
        whole = column.dtype.kind == "f" and column.ndim == 1 and bool((column == np.rint(column)).all())
        if whole and len(np.unique(column)) * inputs.ROWS_PER_LABEL <= len(column):
            names.append(name)
    if not names:
        return ()
    return (
        f"numbers like 1.0, beside missing values, are taken as quantities: {listed(names)}; write 1, or words, if "
        "they are labels",
    )


def _missing(column: np.ndarray) -> np.ndarray:
    """(n,) whether a row has a missing value."""
    if isinstance(column, np.ma.MaskedArray):
        return np.ma.getmaskarray(column)
    if column.dtype.kind == "f":
        return ~np.isfinite(column).reshape(len(column), -1).all(1)
    if column.dtype == object:
        return np.array([value is None or value != value for value in column])
    return np.zeros(len(column), dtype=bool)


def _plain(column: np.ndarray) -> np.ndarray:
    """A column of objects or whole numbers without missing values as booleans, words or an array without a mask."""
    if isinstance(column, np.ma.MaskedArray) and not np.ma.is_masked(column):
        return np.ma.getdata(column)
    if column.dtype == object and all(isinstance(value, bool) for value in column):
        return column.astype(bool)
    return column


def _conditional(
    sides: tuple[np.ndarray, np.ndarray], z: np.ndarray, test: bool, settings: dict[str, Any]
) -> tuple[MIEstimate, tuple[str, ...]]:
    """The estimate, and a note about given settings that only critics use."""
    shuffles = settings.pop("shuffles", 0) or (SHUFFLES_OF_NEIGHBOURS if test else 0)
    estimator = settings.pop("estimator")
    # Critics give the difference of two bounds, which is worse than neighbours if columns are few.
    if estimator in ("auto", "infonce", "ksg"):
        few = sum(1 if side.ndim == 1 else side.shape[1] for side in (*sides, z)) <= 8
        estimator = "ksg" if few or estimator == "ksg" else "infonce"
    if estimator == "ksg":
        kept = {name: settings[name] for name in (*OF_NEIGHBOURS, "block")} | {"groups": settings.get("groups")}
        if settings["transform"] != "standard":  # the default of a pair; neighbours' own is "rank"
            kept["transform"] = settings["transform"]
        unused = _without_effect(settings, kept, "nearest neighbours answer, which have no critic")
        return conditional_mi(*sides, z, shuffles=shuffles, **kept), unused
    settings.pop("neighbours")
    return conditional_mi(*sides, z, estimator, shuffles=shuffles, **settings), ()


def _without_effect(settings: Mapping[str, Any], kept: Mapping[str, Any], why: str) -> tuple[str, ...]:
    """A note about given settings that have no effect."""
    usual = {name: parameter.default for name, parameter in inspect.signature(estimate_mi).parameters.items()}
    given = [name for name, value in settings.items() if name not in (*kept, "device") and value != usual[name]]
    if not given:
        return ()
    names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
    return (f"{names} {'have' if len(given) > 1 else 'has'} no effect here: {why}",)


def _check_place(report: Path) -> None:
    """Raises UserError if no page could be written, before anything is computed."""
    folder = next(parent for parent in report.absolute().parents if parent.exists())
    if report.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UserError(f"--report {report}: no page can be written there, choose another place")


def _convergence(x: np.ndarray, y: np.ndarray, wanted: bool, settings: dict[str, Any]) -> Any:
    if not wanted:
        return None
    with within("convergence"):
        left_out = ("groups", "block", "shuffles")
        return mi_convergence(x, y, **{k: v for k, v in settings.items() if k not in left_out})


def _without_unusable(
    table: dict[str, np.ndarray], named: Sequence[str]
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """The table without the unnamed columns that cannot be used, such as row numbers; and a note about them.

    Raises:
        UserError: fewer than two columns are left.
    """
    kept, reasons = {}, []
    for name, column in table.items():
        reason = _refusal(column, name)
        if reason and name not in named:
            # What also holds of the rows with a value is told first: to leave out the others would not help.
            reasons.append(_refusal(_plain(column[~_missing(column)]), name) or reason)
        else:
            kept[name] = column
    if reasons and len(kept) < 2:
        raise UserError(f"fewer than two columns can be compared: {reasons[0]}")
    return kept, tuple(f"left out: {reason}" for reason in reasons)


def _many(
    table: dict[str, np.ndarray],
    x: Sequence[str],
    y: Sequence[str],
    given: Sequence[str],
    groups: str | None,
    matrix: bool,
    test: bool,
    report: Path | None,
    notes: tuple[str, ...],
    settings: dict[str, Any],
) -> dict[str, Any]:
    """The matrix of all pairs of columns, or the ranking of all columns against one."""
    if given:
        raise UserError("a table of pairs takes no --given: name one pair by --x and --y")
    shuffles = settings["shuffles"] or (SHUFFLES_OF_NEIGHBOURS if test else 0)
    arguments = {"shuffles": shuffles, **{name: settings[name] for name in (*OF_NEIGHBOURS, "block")}}
    chosen = ("estimator",) if estimator_name(settings["estimator"]) in ("auto", "infonce", "ksg") else ()
    why = "a table goes by nearest neighbours of ranks, and by critics of its own where columns are vectors"
    notes += _without_effect(settings, arguments | dict.fromkeys(chosen), why)
    if groups:
        arguments["groups"] = table[groups].astype(str)
        table = {name: column for name, column in table.items() if name != groups}
        x = [name for name in x if name != groups]
    if not x:
        table, unusable = _without_unusable(table, y)
        notes += unusable
    if matrix:
        if y:
            raise UserError("--matrix compares every two columns: name them by --x, and leave --y out")
        result: Any = mi_matrix({name: table[name] for name in (x or table)}, **arguments)
    else:
        if len(y) > 1:
            raise UserError("name one column by --y, or those to compare it with by --x")
        result = mi_with(table, y[0], **arguments)
    answer = result.to_dict()
    answer["notes"] = [*notes, *answer["notes"]]
    if report is not None:
        from deepinfomax.report.mi_page import write_table

        answer["report"] = str(write_table(result, report, notes))
    answer["text"] = "\n".join([answer["text"], *(f"Note: {note}." for note in notes)])
    if report is not None:
        answer["text"] += f"\nReport: {report}"
    return answer


def _answer(
    result: MIEstimate, names: tuple[str, str] | None, notes: tuple[str, ...], still: Any, report: Path | None
) -> dict[str, Any]:
    """The estimate as a dictionary, with the sentence as its text."""
    if names is not None:
        quantity = f"I({names[0]}; {names[1]})"
        beside = None if result.beside is None else dataclasses.replace(result.beside, quantity=quantity)
        result = dataclasses.replace(result, quantity=quantity, beside=beside)
    result = dataclasses.replace(result, notes=notes + result.notes)
    answer = result.to_dict()
    text = result.text()
    if still is not None:
        answer["convergence"] = still.to_dict()
        text += f"\n{still.sentence()}"
    if report is not None:
        from deepinfomax.report.mi_page import write_estimate

        answer["report"] = str(write_estimate(result, report, still))
        text += f"\nReport: {report}"
    return answer | {"text": text}
