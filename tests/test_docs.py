"""The Python of these pages runs, and prints what the page says it prints."""

import ast
import contextlib
import importlib
import importlib.util
import io
import json
import math
import re
from pathlib import Path

import pytest
import torch

from deepinfomax import encoders

DOCS = Path(__file__).parent.parent / "docs"
PAGES = sorted(
    str(page.relative_to(DOCS))
    for page in DOCS.rglob("*.md")
    if "```python" in page.read_text("utf-8") and page.parent.name != "tutorials"  # test_tutorials does those
)

#: a block of Python, and the block of text right below it, if there is one
SNIPPET = re.compile(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_page(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    snippets = SNIPPET.findall((DOCS / page).read_text(encoding="utf-8"))
    assert snippets
    names: dict[str, object] = {}  # one page is one session
    for code, expected in snippets:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, page, "exec"), names)
        if expected:
            assert printed.getvalue() == expected


def test_formulas_are_typeset_and_code_is_left_alone() -> None:
    spec = importlib.util.spec_from_file_location("typeset", DOCS.parent / "tools/typeset.py")
    assert spec is not None
    assert spec.loader is not None
    typeset = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(typeset)
    formulas = 0
    for page in DOCS.rglob("*.md"):
        source = page.read_text(encoding="utf-8")
        made = typeset.on_page_markdown(source)
        formulas += made.count("<math")
        assert "```math" not in made
        assert "$`" not in made
        assert made.count("<math") == source.count("```math") + source.count("$`")
        code = re.findall(r"^```(?:python|sh|toml|text)\n.*?^```$", source, re.MULTILINE | re.DOTALL)
        assert all(block in made for block in code)
    assert formulas > 25
    block = "```text\n$`x`$\n```"
    assert typeset.on_page_markdown(f"{block}\n\n```math\nx^2\n```\n").startswith(f"{block}\n\n<div class=")


def test_every_name_of_the_reference_is_there_and_says_what_it_is() -> None:
    names = [
        line.removeprefix("::: ")
        for page in (DOCS / "api").glob("*.md")
        for line in page.read_text(encoding="utf-8").splitlines()
        if line.startswith("::: ")
    ]
    assert len(names) == len(set(names)) > 30
    for name in names:
        package, _, own = name.rpartition(".")
        module = importlib.import_module(package)
        thing = getattr(module, own) if hasattr(module, own) else importlib.import_module(name)
        assert thing.__doc__, name


def test_every_page_is_in_the_menu() -> None:
    menu = (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8")
    pages = [str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")]
    assert [page for page in pages if f": {page}" not in menu] == []


def test_the_site_fetches_nothing() -> None:
    settings = (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8")
    style = (DOCS / "site.css").read_text(encoding="utf-8")
    assert "http" not in settings
    assert "url(" not in style
    assert "font: false" in settings


ESTIMATORS = {
    "infoNCE": "infonce",
    "NWJ": "nwj",
    "DV": "dv",
    "SMILE τ = 1": "smile-1",
    "SMILE τ = 5": "smile-5",
    "SMILE τ = ∞ (= `jsd-dv`)": "smile-inf",
    "`jsd-nwj`": "jsd-nwj",
    "`jsd-lb`": "jsd-lb",
}


def test_the_page_has_the_figures_of_the_truth_table() -> None:
    page = (DOCS / "estimate-mi.md").read_text(encoding="utf-8")
    results = json.loads((DOCS.parent / "results/mi_truth_table.json").read_text())
    assert results["not_run"] == []
    cells = {(r["transform"], r["critic"], r["estimator"], r["truth"]): r for r in results["table"]}
    part = page.partition("<!-- results/mi_truth_table.json -->")[2].partition("<!-- end -->")[0]
    plain, cubic = part.split("| estimator, critic, y³ |")
    for transform, table in (("plain", plain), ("cubic", cubic)):
        for line in re.findall(r"^\| (.*, (?:separable|joint)) \| (.*) \|$", table, re.MULTILINE):
            name, _, critic = line[0].rpartition(", ")
            for truth, shown in zip((2, 4, 6, 8, 10), line[1].split(" | "), strict=True):
                cell = cells.pop((transform, critic, ESTIMATORS[name], truth))
                value, _, published = shown.rstrip(")").partition(" (")
                assert abs(float(value) - cell["curve"]) <= (0.5 if abs(cell["curve"]) > 1000 else 0.0051)
                assert (float(published) if published else None) == cell["published"]
    assert cells == {}
    said = re.search(r"Of its (\d+) cells with a published value, (\w+)\s+are more than 0\.3 nats away", page)
    compared = [r["within_0.3"] for r in results["table"] if r["published"] is not None]
    assert said is not None
    assert said.groups() == (str(len(compared)), ("none", "one", "two", "three", "four")[compared.count(False)])
    bounds = [r["below_truth_plus_2_se"] for r in results["table"] if r["called_lower_bound"]]
    assert all(bounds)
    assert f"None of the {len(bounds)} cells of a lower bound" in page


def test_the_page_has_the_figures_of_coverage_and_of_the_test() -> None:
    page = (DOCS / "estimate-mi.md").read_text(encoding="utf-8")
    coverage = json.loads((DOCS.parent / "results/mi_coverage.json").read_text())["tasks"]
    part = page.partition("<!-- results/mi_coverage.json -->")[2].partition("<!-- end -->")[0]
    shown = {}
    for line in re.findall(r"^\| (\w.*?) \| ([\d–].*) \|$", part, re.MULTILINE):
        for name, cell in zip(("ksg", "infonce", "dv"), line[1].split(" | "), strict=True):
            shown[name, line[0]] = cell
    assert {(row["estimator"], row["task"]) for row in coverage} == {key for key, cell in shown.items() if cell != "–"}
    for row in coverage:
        assert shown[row["estimator"], row["task"]] == f"{row['truth_within']:.2f}"
        assert row["truth_within"] >= 0.9
    sets = {
        name: {row["data_sets"] for row in coverage if row["estimator"] == name} for name in ("ksg", "infonce", "dv")
    }
    assert sets["ksg"] == sets["infonce"] == sets["dv"] == {100}
    assert "of 100 data sets each;" in page
    level = json.loads((DOCS.parent / "results/mi_test_level.json").read_text())["tests"]
    part = page.partition("<!-- results/mi_test_level.json -->")[2].partition("<!-- end -->")[0]
    for row in level:
        line = f"| {row['task']} | {row['estimator']} | {row['tests']:,} | {100 * row['found_at_5_percent']:.1f} % |"
        assert line in part
        if row["independent"]:
            assert 0.035 <= row["found_at_5_percent"] <= 0.065
    fresh = json.loads((DOCS.parent / "results/mi_coverage_fresh.json").read_text())["tasks"]
    part = page.partition("<!-- results/mi_coverage_fresh.json -->")[2].partition("<!-- end -->")[0]
    assert part.count("\n| ") == len(fresh) + 2  # the names of the columns, and a line
    for row in fresh:
        assert f"| {row['task']} | {row['truth']:.2f} | {row['truth_within']:.2f} |" in part


def test_the_page_has_the_figures_of_the_public_tasks() -> None:
    page = (DOCS / "estimate-mi.md").read_text(encoding="utf-8")
    results = json.loads((DOCS.parent / "results/bmi_tasks_30.json").read_text())
    part = page.partition("<!-- results/bmi_tasks_30.json -->")[2].partition("<!-- end -->")[0]
    rows = re.findall(
        r"^\| (\S.*) \| (\d+) \| ([\d.]+) \| (\d+) \| (\d+) \| (\d+|–) \| ([\d.]+) \|$", part, re.MULTILINE
    )
    assert len(rows) == len(results["summary"])
    for summary in results["summary"].values():
        unwarned = summary.get("above_0.3_nats_without_warning")
        assert (
            str(summary["tasks"]),
            f"{summary['median_absolute_error']:.2f}",
            str(summary["within_0.1_nats"]),
            str(len(summary["above_0.3_nats"])),
            "–" if unwarned is None else str(len(unwarned)),
            f"{summary['median_processor_seconds']:.1f}",
        ) in [row[1:] for row in rows]
        assert unwarned is None or len(unwarned) <= 1  # what the page promises of warnings
    assert results["lower_bounds_above_truth_plus_2_se"] == []
    assert f"None of {results['lower_bounds']} values that are called lower bounds" in page


def test_the_table_of_encoders_has_the_shapes_that_they_have() -> None:
    page = (DOCS / "encoders.md").read_text(encoding="utf-8").split("## Which there are")[1].split("\n## ")[0]
    named = [line for line in page.splitlines() if line.startswith("| `")]
    assert len(named) > 15
    for line in named:
        made, image, *levels = (cell.strip() for cell in line.strip("|").split("|"))
        name, *settings = re.findall("`([^`]*)`", made)
        arguments = {key: ast.literal_eval(value) for key, value in (each.split("=") for each in settings)}
        shape = tuple(map(int, image.split("×")))
        with torch.device("meta"):  # shapes alone, of networks of a hundred million parameters too
            shapes = encoders.shapes_of(encoders.build(name, shape, **arguments), shape)
        for level, said in zip(("local", "conv", "fc", "y"), levels[:4], strict=True):
            assert math.prod(getattr(shapes, level)) == math.prod(map(int, re.split("[×·]", said))), (made, level)
            if level != "fc":
                assert "×".join(map(str, getattr(shapes, level))) == said, (made, level)
