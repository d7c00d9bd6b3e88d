import json
from pathlib import Path

import pytest

from deepinfomax.training.run_folder import _lines_until


@pytest.mark.parametrize("odd", ["5", "[" * 100_000, '{"event": "step", "step": null}', '{"event": "step", "st', "\0"])
def test_a_resumed_run_keeps_the_good_lines_before_its_checkpoint(tmp_path: Path, odd: str) -> None:
    good = [json.dumps({"event": "start"}), *(json.dumps({"event": "step", "step": step}) for step in range(1, 6))]
    path = tmp_path / "metrics.jsonl"
    path.write_text("\n".join([good[0], odd, *good[1:], json.dumps({"event": "end", "step": 3})]) + "\n")
    assert [line.rstrip() for line in _lines_until(path, 3)] == good[:4]
