import io
import re

import pytest
from rich.console import Console

from deepinfomax import progress


def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    words: list[str] = []
    monkeypatch.setattr(progress, "_tell", lambda text, done, total: words.append(text))
    return words


def test_counted_counts_and_tells_a_hundred_things_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    words = told(monkeypatch)
    assert list(progress.counted(1000, "step")) == list(range(1, 1001))
    assert words[:3] == ["step 1 of 1000", "step 10 of 1000", "step 20 of 1000"]
    assert len(words) == 101
    assert list(progress.counted(0, "step")) == []


def test_nobody_need_watch() -> None:
    progress.say("iteration 7")
    with progress.within("fit 2 of 5"):
        assert list(progress.counted(2, "step")) == [1, 2]


def test_without_a_terminal_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    out = io.StringIO()
    with progress.shown("svm y", Console(file=out, force_terminal=False)), progress.within("fit 1 of 2"):
        for second in range(0, 100, 5):
            now[0] = float(second)
            progress.say(f"at [{second}]")  # no markup: brackets stay
    lines = out.getvalue().splitlines()
    assert lines == [f"svm y: fit 1 of 2, at [{second}]" for second in (30, 60, 90)]


def test_in_a_terminal_a_bar_that_goes_away() -> None:
    out = io.StringIO()
    with progress.shown("svm y", Console(file=out, force_terminal=True, width=80)):
        for _ in progress.counted(3, "fit"):
            pass
    assert "svm y" in out.getvalue()


def test_inside_another_it_is_part_of_what_that_one_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two displays at once would write over each other."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    out = io.StringIO()
    with progress.shown("reading", Console(file=out, force_terminal=False)):
        now[0] = 31.0
        with progress.shown("decoding flat"):
            now[0] = 62.0
            progress.say("image 3 of 10")
        now[0] = 93.0
        progress.say("names")
    said = ["reading: decoding flat", "reading: decoding flat, image 3 of 10", "reading: names"]
    assert out.getvalue().splitlines() == said


@pytest.mark.parametrize("width", [30, 60, 100])
def test_a_bar_is_as_wide_as_the_terminal_and_no_wider(width: int) -> None:
    out = io.StringIO()
    with progress.shown("decoding a folder of a long name " * 3, Console(file=out, force_terminal=True, width=width)):
        for _ in progress.counted(3, "image"):
            pass
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    assert 0 < max(len(line) for line in re.split(r"[\r\n]+", plain)) <= width
