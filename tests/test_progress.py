import io

import pytest
from rich.console import Console

from deepinfomax import progress
from deepinfomax.progress import after, counted, shown, silent


def test_counted_counts_and_says_a_hundred_things_at_most() -> None:
    said: list[str] = []
    assert list(counted(1000, "step", said.append)) == list(range(1, 1001))
    assert said[:3] == ["step 1 of 1000", "step 10 of 1000", "step 20 of 1000"]
    assert len(said) == 101
    assert list(counted(0, "step", silent)) == []


def test_after_puts_words_in_front() -> None:
    said: list[str] = []
    after("fit 2 of 5", said.append)("iteration 7")
    assert said == ["fit 2 of 5, iteration 7"]


def test_without_a_terminal_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    out = io.StringIO()
    with shown("svm y", Console(file=out, force_terminal=False)) as say:
        for second in range(0, 100, 5):
            now[0] = float(second)
            say(f"at [{second}]")  # no markup: brackets stay
    assert out.getvalue().splitlines() == ["svm y: at [30]", "svm y: at [60]", "svm y: at [90]"]
