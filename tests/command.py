"""The command line as a person types it, in the process of the test."""

import sys

import pytest

from deepinfomax import cli


def exit_code(*words: str) -> int:
    """Run `deepinfomax WORDS`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["deepinfomax", *words])
        try:
            cli.main()
        except SystemExit as stop:
            return int(stop.code or 0)
    return 0


def run(capsys: pytest.CaptureFixture, *words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `deepinfomax WORDS`."""
    code = exit_code(*words)
    out, err = capsys.readouterr()
    return code, out, err


def mistake(capsys: pytest.CaptureFixture, *words: str) -> str:
    """The one line that a user's mistake is answered with; all else that must hold of it is asserted."""
    code, out, err = run(capsys, *words)
    assert code == 2, (out, err)
    assert out == ""
    assert "Traceback" not in err
    last = err.strip().splitlines()[-1]
    assert last.startswith("deepinfomax: ")
    return last
