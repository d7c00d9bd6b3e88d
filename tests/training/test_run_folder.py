import json
from collections.abc import Callable
from pathlib import Path

import pytest

from deepinfomax import files, line_sums, recipes
from deepinfomax.errors import UserError
from deepinfomax.report.reading import read_metrics
from deepinfomax.training import run_folder
from deepinfomax.training.run_folder import Metrics

GOOD = [json.dumps({"event": "start"}), *(json.dumps({"event": "step", "step": step}) for step in range(1, 6))]


@pytest.mark.parametrize("odd", ["5", "[" * 100_000, '{"event": "step", "step": null}', '{"event": "step", "st', "\0"])
def test_a_resumed_run_keeps_the_good_lines_before_its_checkpoint(tmp_path: Path, odd: str) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text("\n".join([GOOD[0], odd, *GOOD[1:], json.dumps({"event": "end", "step": 3})]) + '\n{"event": "ste')
    with Metrics(tmp_path, resume_from=3) as metrics:
        assert path.read_text().splitlines() == GOOD[:4]
        assert (metrics.damaged, metrics.missing) == (1, 0)
        metrics.write("step", {"step": 4})
    assert path.read_text().splitlines() == GOOD[:5]
    sums = (tmp_path / files.LINE_SUMS).read_bytes()
    assert sums == b"".join(line_sums.digest(line.encode()) for line in GOOD[:5])


@pytest.mark.parametrize(
    ("change", "damaged", "missing"),
    [
        (lambda lines: lines, 0, 0),
        (lambda lines: [*lines[:2], lines[2].replace(b"2", b"3"), *lines[3:]], 1, 0),  # a figure is a figure still
        (lambda lines: lines[:3], 0, 3),
        (lambda lines: [*lines, lines[1]], 0, 0),
    ],
)
def test_a_changed_figure_and_lines_that_are_gone_are_noticed(
    tmp_path: Path, change: Callable[[list[bytes]], list[bytes]], damaged: int, missing: int
) -> None:
    path = tmp_path / "metrics.jsonl"
    with Metrics(tmp_path) as metrics:
        for step in range(1, 7):
            metrics.write("step", {"step": step, "loss": 0.25})
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))
    known = read_metrics(path)
    assert (known.damaged, known.missing) == (damaged, missing)
    assert len(known.steps) == 6 - damaged - missing
    with Metrics(tmp_path, resume_from=6) as metrics:
        assert (metrics.damaged, metrics.missing) == (damaged, missing)
    with Metrics(tmp_path, resume_from=6) as metrics:  # what is gone is told once, what is damaged stays so
        assert (metrics.damaged, metrics.missing) == (damaged, 0)


def test_a_folder_that_a_killed_start_left_is_free_and_one_with_anything_else_is_not(tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    for name in (files.LOCK, files.JOURNAL, ".config.12ab34cd.partial.toml"):
        (out / name).touch()
    run_folder.create(out, recipes.recipe("cpu", "smoke")).release()
    with pytest.raises(UserError, match="continue it with --resume"):
        run_folder.create(out, recipes.recipe("cpu", "smoke"))
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").touch()
    with pytest.raises(UserError, match="choose another --out"):
        run_folder.create(tmp_path / "photos", recipes.recipe("cpu", "smoke"))


def test_two_runs_cannot_begin_in_one_folder(tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    with run_folder.hold(out), pytest.raises(UserError, match="another process is training"):
        run_folder.create(out, recipes.recipe("cpu", "smoke"))
    assert not (out / "config.toml").exists()


def test_a_configuration_that_was_changed_is_told(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "run"
    run_folder.create(out, recipes.recipe("cpu", "smoke")).release()
    run_folder.tell_changed(out)
    assert capsys.readouterr().err == ""
    (out / "config.toml").write_text((out / "config.toml").read_text().replace("seed = 0", "seed = 1"))
    run_folder.tell_changed(out)
    assert "not what was written there" in capsys.readouterr().err
