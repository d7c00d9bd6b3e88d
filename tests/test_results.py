"""The list of results names every file, and its tables have the figures of their files."""

import json
import re
import statistics
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "results"
PAGE = (RESULTS / "README.md").read_text(encoding="utf-8")

#: mean, standard deviation over the seeds, and in parentheses the paper's figure, all in per cent
CELL = re.compile(r"([\d.]+)(?: ± ([\d.]+))?(?: \(([\d.]+)\))?")
HALF = 0.0501  #: of the last digit, and what accuracies themselves are rounded by


def test_every_file_is_listed_and_every_listed_file_is_there() -> None:
    listed = set(re.findall(r"\]\(([\w.-]+\.(?:json|png))\)", PAGE))
    assert listed == {file.name for file in RESULTS.iterdir() if file.suffix in (".json", ".png")}


def cells(heading: str, first: int) -> dict[str, list[str]]:
    """Name of a row -> its cells at conv, fc and y, from column `first` on, of all tables below a heading."""
    part = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    assert part
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if line.startswith("|")]
    return {row[0]: row[first : first + 3] for row in reversed(rows)}


def check(cell: str, accuracies: list[float], published: float | None) -> None:
    """That a cell has the mean and the spread of these accuracies, and the paper's figure if it shows one."""
    found = CELL.fullmatch(cell)
    assert found, cell
    mean, spread, paper = found.groups()
    percent = [100 * accuracy for accuracy in accuracies]
    assert float(mean) == pytest.approx(statistics.mean(percent), abs=HALF)
    assert (spread is None) == (len(percent) == 1)
    if spread:
        assert float(spread) == pytest.approx(statistics.stdev(percent), abs=HALF)
    if paper:
        assert published is not None
        assert float(paper) == pytest.approx(100 * published, abs=HALF)


def rows(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((RESULTS / f"{name}-cpu.json").read_text(encoding="utf-8"))["rows"]
    return found


@pytest.mark.parametrize(
    ("name", "heading", "first"),
    [
        ("table1", "Table 1 and the variants of DIM, CIFAR-10, scale `cpu`", 1),
        ("dim", "Table 1 and the variants of DIM, CIFAR-10, scale `cpu`", 1),
        ("table1-10", "Table 1 after ten minutes", 1),
        ("table5-10", "Table 1 after ten minutes", 1),
        ("table1-cifar100", "CIFAR-100 and Tiny ImageNet, scale `cpu`", 1),
        ("table2", "CIFAR-100 and Tiny ImageNet, scale `cpu`", 4),
        ("table4", "Table 4, CIFAR-10, scale `cpu`", 1),
    ],
)
def test_tables_have_the_figures_of_their_files(name: str, heading: str, first: int) -> None:
    shown = cells(heading, first)
    measure = "svm" if name == "table4" else "mlp"
    for row in rows(name):
        for level, cell in zip(("conv", "fc", "y"), shown[row["name"]], strict=True):
            accuracies = [run["measures"][measure][level]["accuracy"] for run in row["runs"].values()]
            check(cell, accuracies, (row["published"] or {}).get(f"{measure}.{level}"))


def test_the_table_of_negatives_has_the_figures_of_its_file() -> None:
    part = PAGE.partition("## Negatives per anchor")[2]
    head, _, *lines = [line.strip("| ").split(" | ") for line in part.splitlines() if line.startswith("|")]
    shown = {f"{bound}, {count}": cell for bound, *own in lines for count, cell in zip(head, own, strict=True)}
    for row in rows("negatives"):
        for level, cell in zip(("conv", "y"), shown.pop(row["name"]).split(" / "), strict=True):
            check(cell, [run["measures"]["mlp"][level]["accuracy"] for run in row["runs"].values()], None)
    assert not shown


#: table of the league -> the heading it stands below in docs/league.md
OTHER_LEAGUES = {"league-cifar100-1": "On CIFAR-100", "league-resnet18-1": "On a small ResNet-18"}


def league_rows(part: str) -> dict[str, list[str]]:
    """Name of a row -> its cells, of the first table of a text."""
    table = re.search(r"(?:^\|.*\n)+", part, flags=re.MULTILINE)
    assert table
    _, _, *rows = [[cell.strip() for cell in line[1:-1].split("|")] for line in table[0].splitlines()]
    return {name: own for name, *own in rows}


@pytest.mark.parametrize("name", OTHER_LEAGUES)
def test_leagues_after_a_minute_have_the_figures_of_their_files(name: str) -> None:
    page = (ROOT / "docs" / "league.md").read_text(encoding="utf-8")
    shown = league_rows(page.partition(f"## {OTHER_LEAGUES[name]}\n")[2])
    controls = json.loads((RESULTS / f"{name}-cpu.json").read_text(encoding="utf-8"))["controls"]
    measured = {row["name"]: row["measured"] for row in rows(name)}
    measured |= {"random encoder": controls["random_encoder"], "raw pixels": controls["pixels"]}
    assert shown.keys() == measured.keys()
    for method, of in measured.items():
        for at, cell in zip(("knn.conv", "linear.conv", "mlp.conv", "mlp.fc", "mlp.y"), shown[method], strict=True):
            figure = of.get(at) or (of.get(at.removesuffix(".conv")))
            assert cell == ("" if figure is None else percent(figure))


def test_the_league_has_the_figures_of_its_file() -> None:
    page = (ROOT / "docs" / "league.md").read_text(encoding="utf-8")
    shown = league_rows(page.partition("<!-- table -->")[2])
    measures = json.loads((RESULTS / "league-cpu.json").read_text(encoding="utf-8"))["figures"]
    assert all(shown.keys() == methods.keys() for methods in measures.values())
    for method, own in shown.items():
        figures = [figure for methods in measures.values() for figure in methods[method].values()]
        assert own == [" ".join(filter(None, (percent(figure), figure["level"]))) for figure in figures]


def percent(figure: dict[str, Any]) -> str:
    spread = "" if figure["sd"] is None else f" ± {100 * figure['sd']:.1f}"
    return f"{100 * figure['mean']:.1f}{spread}"
