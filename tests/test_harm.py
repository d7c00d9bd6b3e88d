"""What the tool that harms runs, files and options takes for a failure."""

import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[1] / "tools"
sys.path.insert(0, str(TOOLS))

from harming.running import Count, Ended  # noqa: E402

LINE = "deepinfomax: there is no x\n"


@pytest.mark.parametrize(
    ("ended", "fault"),
    [
        (Ended(2, "", LINE, 1.0), ""),
        (Ended(0, "all well\n", "note: a thing\n", 1.0), ""),
        (Ended(130, "", "deepinfomax: interrupted\n", 1.0), ""),
        (Ended(1, "", "Traceback (most recent call last):\nKeyError: 1\n", 1.0), "traceback"),
        (Ended(0, "", "x.py:3: RuntimeWarning: overflow\n", 1.0), "foreign words: RuntimeWarning:"),
        (Ended(2, "", "no line of ours\n", 1.0), "no line of its own"),
        (Ended(1, "", LINE, 1.0), "exit code 1"),
        (Ended(0, "", "\x1b[31mred\n", 1.0), "control characters"),
        (Ended(None, "", "", 1.0, killed_by=11), "killed by signal 11"),
        (Ended(None, "", "", 120.0, killed_by=9, late=True), "hang"),
    ],
)
def test_faults(ended: Ended, fault: str) -> None:
    assert ended.fault == fault


def test_what_becomes_of_a_case(capsys: pytest.CaptureFixture) -> None:
    count = Count()
    fine = Ended(0, "", "", 1.0)
    count.settle(Ended(2, "", LINE, 1.0), "", [])
    count.settle(fine, "", [])
    count.settle(fine, "", [], same=False, told=True)
    count.settle(fine, "", [], same=False)
    count.settle(Ended(2, "", "note\n" * 9 + LINE, 1.0), "", [])
    count.settle(Ended(2, "", LINE * 2, 1.0), "", [])
    assert (count.fine, count.told, count.refused, count.cases) == (1, 1, 1, 6)
    assert [entry["what"] for entry in count.failures] == [
        "other figures without a word",
        "more than a few lines",
        "more than a few lines",
    ]
    assert capsys.readouterr().err.count("FAILURE") == 3
