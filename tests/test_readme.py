"""The README's promises that a test can hold it to."""

from pathlib import Path

ROOT = Path(__file__).parent.parent
TEST_COMMAND = " && ".join(
    (
        "python3 -m venv .venv",
        ".venv/bin/pip install -q -c constraints.txt -e '.[test]'",
        ".venv/bin/python -m pytest -n auto",
    )
)


def test_ci_calls_exactly_the_readmes_test_command() -> None:
    assert TEST_COMMAND in (ROOT / "README.md").read_text()
    assert TEST_COMMAND in (ROOT / ".ci/run").read_text()
