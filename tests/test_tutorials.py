"""The tutorials are done as a reader does them, line by line; only the trainings are cut short."""

import contextlib
import csv
import io
import re
import shlex
import sys
from pathlib import Path

import pytest
import torch

from deepinfomax import cli

TUTORIALS = Path(__file__).parent.parent / "docs" / "tutorials"
#: blocks in the order of the page: Python with the text right below it, or lines of a shell
BLOCK = re.compile(r"```(python|sh)\n(.*?)```(?:\n\n```text\n(.*?)```)?", re.DOTALL)
SMALL = ["encoder.width", "4", "encoder.fc", "16", "--device", "cpu"]
#: added to a command; the last value of a setting counts
SHORT = {
    "train": [*SMALL, "training.steps", "3"],
    "explore": [*SMALL, "training.steps", "3"],
    "evaluate": ["--scale", "smoke"],
    "estimate-mi": ["--steps", "50"],
}


def follow(page: Path) -> str:
    """Do everything that a page says, in the working folder; returns what its commands printed."""
    said = io.StringIO()
    names: dict[str, object] = {}  # one page is one session
    for language, code, expected in BLOCK.findall(page.read_text(encoding="utf-8")):
        if language == "sh":
            for line in code.strip().splitlines():
                command(shlex.split(line, comments=True), said)
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, page.name, "exec"), names)
        if expected:
            assert printed.getvalue() == expected
    return said.getvalue()


def command(words: list[str], said: io.StringIO) -> None:
    assert words[0] == "deepinfomax"
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said):
        patch.setattr(sys, "argv", [*words, *SHORT.get(words[1], [])])
        cli.main()  # a mistake would be SystemExit


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)


def test_i_have_images() -> None:
    said = follow(TUTORIALS / "images.md")
    assert "302 images" in said
    with Path("explore-duplicates.csv").open(newline="") as file:
        first = next(iter(csv.DictReader(file)))
    assert {Path(first[side]).name for side in ("first", "second")} == {"3.png", "copy.png"}
    assert first["identical"] == "yes"
    for made in ("explore.html", "runs/mine/report.html", "embeddings.parquet"):
        assert Path(made).stat().st_size > 1000


def test_i_do_research() -> None:
    said = follow(TUTORIALS / "research.md")
    assert "LiDAR" in said
    assert Path("compare.html").is_file()


def test_i_have_two_columns_of_numbers() -> None:
    said = follow(TUTORIALS / "numbers.md")
    assert "nats" in said
    assert Path("dose.html").is_file()
    assert said.index("effect") < said.rindex("noise")  # ranked by what they tell of the outcome
