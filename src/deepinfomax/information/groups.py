"""Rows that are not independent: groups of rows (subjects, files, blocks of time), and a test for dependent rows.

Rows of one group stay on the same side of every split. A critic is read on one row of each group at a time. If groups
are independent, these rows are too, so everything that holds for independent pairs holds for them. Several choices of
rows are read and averaged, so that no row is wasted. Every group has the same weight, whatever its number of rows.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepinfomax.errors import UserError

FEWEST_GROUPS = 30
CHOICES = 64  #: largest number of choices of one row of each group
#: Probability that independent rows are mistaken for a series, on each side.
FALSE_ALARM = 1e-4
WEAKEST = 0.1  #: correlation of successive rows below which a standard error is wrong by 1 % at most
COLUMNS = 64  #: largest number of columns of a side that are checked


def group_codes(groups: Any, block: int | None, n: int) -> np.ndarray | None:
    """The group of each row as (n,) int64 from 0, numbered in order of appearance; None if all rows are independent.

    Args:
        groups: (n,) names or numbers, the same for rows of one group; None: not given.
        block: this many successive rows form a group; None: not given.
        n: number of rows.

    Raises:
        UserError: both are given; a wrong length; missing values; or too few groups.
    """
    if groups is None and block is None:
        return None
    if groups is not None and block is not None:
        raise UserError("give groups or block, not both: a block of successive rows is a group")
    if groups is None:
        if not isinstance(block, int | np.integer) or isinstance(block, bool) or block < 1:
            raise UserError(f"block must be a whole number of rows, at least 1, not {block!r}")
        codes = np.arange(n) // block
    else:
        names = np.asarray(groups.detach().cpu() if isinstance(groups, Tensor) else groups)
        if names.shape != (n,):
            raise UserError(f"groups has shape {names.shape}: give one name or number for each of the {n} rows")
        if names.dtype.kind in "US" and isinstance(groups, list | tuple):
            names = np.array(groups, dtype=object)  # otherwise a missing value would be the word "nan"
        if np.ma.getmaskarray(groups).any() if np.ma.isMaskedArray(groups) else _missing(names).any():
            raise UserError("groups has missing values: give every row a group")
        names = names.astype(str) if names.dtype == object else names  # which may not compare with each other
        _, first, inverse = np.unique(names, return_index=True, return_inverse=True)
        codes = np.argsort(np.argsort(first))[inverse]
    count = int(codes.max()) + 1
    if count < FEWEST_GROUPS:
        what = "groups" if block is None else f"blocks of {block} rows"
        raise UserError(
            f"{count} {what} are too few: independent groups count, not rows; give at least {FEWEST_GROUPS}"
        )
    return codes.astype(np.int64)


def _missing(names: np.ndarray) -> np.ndarray:
    """(n,) whether a row has no name: None, NaN, or pandas' NA and NaT."""
    if names.dtype.kind == "f":
        return ~np.isfinite(names)
    if names.dtype.kind in "mM":
        return np.isnat(names)
    if names.dtype != object:
        return np.zeros(len(names), dtype=bool)
    # NaN and NaT differ from themselves, and NA == NA is neither true nor false.
    equal = [name is not None and name == name for name in names]
    return np.array([not isinstance(one, bool | np.bool_) or not one for one in equal], dtype=bool)


def one_of_each(codes: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Choices of one row of each group, as positions (groups,).

    Their number is such that every row is chosen about twice, but at most `CHOICES`.

    Args:
        codes: (m,) the groups of the rows to choose from.
    """
    names, counts = np.unique(codes, return_counts=True)
    order = np.argsort(codes, kind="stable")
    start = np.concatenate([[0], np.cumsum(counts)[:-1]])
    choices = 1 if len(names) == len(codes) else min(CHOICES, int(np.ceil(2 * len(codes) / len(names))))
    return [order[start + rng.integers(0, counts)] for _ in range(choices)]


def batches_of_groups(codes: np.ndarray, batch_size: int, generator: torch.Generator) -> Any:
    """Endless batches of positions (batch_size,), all from different groups, so that no negative is a near copy."""
    rng = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
    names = np.unique(codes)
    size = min(batch_size, len(names))
    while True:
        chosen = torch.from_numpy(one_of_each(codes, rng)[0])[torch.from_numpy(rng.permutation(len(names)))]
        for start in range(0, len(names) - size + 1, size):
            yield chosen[start : start + size]


def rows_of(codes: np.ndarray, groups: Tensor) -> Tensor:
    """Positions of all rows of these groups."""
    return torch.from_numpy(np.flatnonzero(np.isin(codes, groups.numpy())))


def successive(side: np.ndarray) -> tuple[float, float]:
    """How similar successive rows are: the strongest correlation of any column, and the smallest significant one.

    For numbers it is Spearman's correlation of each column with itself one row later, for labels Cohen's kappa of
    successive labels. For independent rows it is about normal with variance 1 / n. A constant column has 0.
    """
    from scipy import stats  # takes a second, and is used here only

    n = len(side)
    if side.ndim == 1:
        agree, chance = (side[1:] == side[:-1]).mean(), ((np.bincount(side) / n) ** 2).sum()
        return float((agree - chance) / (1 - chance)) if chance < 1 else 0.0, _least(n, 1)
    step = max(1, side.shape[1] // COLUMNS)
    ranks = stats.rankdata(side[:, ::step], axis=0)
    ranks = ranks - ranks.mean(0)
    lengths = (ranks**2).sum(0)
    varies = lengths > 0  # the first rows of groups may have one value in a column that has two
    alike = (ranks[1:] * ranks[:-1]).sum(0)[varies] / lengths[varies]
    return float(np.abs(alike).max(initial=0.0)), _least(n, ranks.shape[1])


def _least(n: int, columns: int) -> float:
    from scipy import stats  # takes a second, and is used here only

    return max(WEAKEST, float(stats.norm.isf(FALSE_ALARM / (2 * columns))) / np.sqrt(n))


def neighbouring_rows_alike(sides: tuple[np.ndarray, ...], codes: np.ndarray | None) -> str:
    """A caution if rows are similar to the rows before them, on both sides; otherwise "".

    Args:
        codes: groups of the rows; then only the first row of each group is compared, with that of the next group.
    """
    if codes is not None:
        first = np.unique(codes, return_index=True)[1]
        sides = tuple(side[first] for side in sides)
    alike = [successive(side) for side in sides]
    if not all(correlation > least for correlation, least in alike):
        return ""
    x, y = (correlation for correlation, _ in alike)
    if codes is not None:
        return (
            f"each group or block resembles the one before it (correlations {x:.2f} and {y:.2f}), so they are not "
            "independent and the value may be far too high: use longer blocks or larger groups"
        )
    return (
        f"each row resembles the row before it, in x and in y (correlations {x:.2f} and {y:.2f}), so the rows are not "
        "independent and the value may be far too high, even where x and y have nothing to do with each other: if the "
        "rows are only sorted, shuffle them; if they are a series, give block= (rows that belong together); if they "
        "come from subjects or files, give groups="
    )
