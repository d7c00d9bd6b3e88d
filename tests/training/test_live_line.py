"""The line that a person sees: in plain text, cut to a terminal's width, and moving from the first step on."""

import os
import pty
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deepinfomax import config as configuration
from deepinfomax.recipes import recipe
from deepinfomax.training.live_line import LiveLine, duration
from deepinfomax.training.loop import train
from deepinfomax.training.step_metrics import StepMetrics

LOGGED = StepMetrics(
    step=400,
    epoch=3.1,
    seconds=40.0,
    losses={"local": -3.21, "prior": 0.69},
    measured={"local/bound": 3.21, "local/cap": 8.3},
    rank=41.04,
    units=64,
    images_per_second=612.4,
    peak_memory_mb=913.5,
    learning_rate=1e-4,
)


def test_a_line_of_metrics_keeps_names_and_order_and_has_null_for_what_is_not_finite() -> None:
    names = "step epoch seconds local prior local/bound local/cap rank units images_per_second peak_memory_mb"
    assert list(LOGGED.as_line()) == [*names.split(), "learning_rate"]
    assert replace(LOGGED, rank=None, learning_rate=float("inf")).as_line()["learning_rate"] is None
    assert replace(LOGGED, epoch=1 / 3).as_line()["epoch"] == 0.333333


def test_everything_where_there_is_room() -> None:
    said = LiveLine(2000).line(400, LOGGED)
    assert re.fullmatch(
        r"step 400/2000 \(3\.1 epochs\) · 612 images/s · \S+ s left · local 3\.21 of 8\.30 nats · prior 0\.690 · "
        r"rank of y 41\.0 of 64 · 914 MB",
        said,
    )


@pytest.mark.parametrize("width", [200, 100, 80, 60, 40, 30])
def test_the_line_fits_and_keeps_what_matters_most(width: int) -> None:
    said = LiveLine(2000).line(400, LOGGED, width)
    assert len(said) <= width
    assert said.startswith("step 400/2000")
    kept = [word in said for word in ("left", "nats", "prior", "rank", "images/s", "MB")]
    assert kept == sorted(kept, reverse=True)  # what is left out is what comes last in importance


def test_without_a_terminal_a_step_that_is_not_logged_is_told_now_and_then(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("deepinfomax.training.live_line.time.perf_counter", lambda: now[0])
    with LiveLine(100) as line:
        for step in range(1, 8):
            now[0] = 4.0 * step
            line.at(step)
        line.show(replace(LOGGED, step=8))  # too soon after the last line
        now[0] = 60.0
        line.show(replace(LOGGED, step=15))
    said = capsys.readouterr().err.splitlines()
    assert said[:2] == ["step 3/100 · 6 min left", "step 6/100 · 6 min left"]
    assert len(said) == 3
    assert said[2].startswith("step 15/100 (3.1 epochs) · 612 images/s · 6 min left")


def test_durations_in_words() -> None:
    assert [duration(s) for s in (42.4, 300, 11_520)] == ["42 s", "5 min", "3.2 h"]


def test_a_run_of_hours_is_told_of_at_its_beginning(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (64, 1, 16, 16), dtype=np.uint8)
    settings = configuration.override(recipe("cpu", "smoke"), {"training.trackers": [], "training.log_every": 100})
    for longest, times in ((3600.0, 0), (-1.0, 1)):
        monkeypatch.setattr("deepinfomax.training.watching.PACE_AFTER", 0.0)
        monkeypatch.setattr("deepinfomax.training.watching.LONG", longest)
        train(settings, images, tmp_path / str(times), device="cpu")
        assert capsys.readouterr().err.count("at this pace the rest takes") == times


def test_in_a_terminal_something_moves_from_the_start_and_no_line_is_wider_than_it(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", np.random.default_rng(0).integers(0, 256, (64, 16, 16), dtype=np.uint8))
    words = ["train", "images.npy", "--scale", "smoke", "--out", "run", "--device", "cpu", "training.trackers", "[]"]
    columns = 50
    main, terminal = pty.openpty()
    environment = os.environ | {"COLUMNS": str(columns), "LINES": "24", "TERM": "xterm"}
    with subprocess.Popen(
        [sys.executable, "-m", "deepinfomax.cli", *words],
        cwd=tmp_path,
        env=environment,
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=terminal,
    ) as training:
        os.close(terminal)
        shown = b""
        try:
            while part := os.read(main, 4096):
                shown += part
        except OSError:  # the other end is closed: the program is over
            pass
        assert training.stdout is not None
        said = training.stdout.read().decode()
    os.close(main)
    assert training.returncode == 0, shown.decode()
    assert "run/report.html" in said
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    moments = ["starting", "reading", "building the networks", "first step", "step 4/4", "writing the report"]
    places = [plain.find(words) for words in moments]
    assert -1 not in places, dict(zip(moments, places, strict=True))
    assert places == sorted(places)
    assert max(len(line) for line in re.split(r"[\r\n]+", plain)) <= columns
