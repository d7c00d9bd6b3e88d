import json
from pathlib import Path

import pytest

from deepinfomax import files, recipes
from deepinfomax.errors import UserError
from deepinfomax.training import run_folder
from deepinfomax.training.run_folder import Metrics

GOOD = [json.dumps({"event": "start"}), *(json.dumps({"event": "step", "step": step}) for step in range(1, 6))]


@pytest.mark.parametrize("odd", ["5", "[" * 100_000, '{"event": "step", "step": null}', '{"event": "step", "st', "\0"])
def test_a_resumed_run_keeps_the_good_lines_before_its_checkpoint(tmp_path: Path, odd: str) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text("\n".join([GOOD[0], odd, *GOOD[1:], json.dumps({"event": "end", "step": 3})]) + '\n{"event": "ste')
    with Metrics(tmp_path, resume_from=3) as metrics:
        assert path.read_text().splitlines() == GOOD[:4]
        assert metrics.dropped == 1
        metrics.write("step", {"step": 4})
    assert path.read_text().splitlines() == GOOD[:5]
    sums = (tmp_path / files.LINE_SUMS).read_bytes()
    assert sums == b"".join(files.sum_of_line(line.encode()) for line in GOOD[:5])


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
