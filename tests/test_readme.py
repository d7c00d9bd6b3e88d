"""The README's promises that a test can hold it to."""

from pathlib import Path

import yaml

import deepinfomax

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


def test_the_files_beside_the_readme_are_of_this_version() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["version"] == deepinfomax.__version__
    assert cited["license"] == "MIT"
    assert f"## {deepinfomax.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_dockerfile_copies_what_is_there_and_what_is_sent() -> None:
    sent = (ROOT / ".dockerignore").read_text().split()
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "://" not in dockerfile  # where packages come from is for the one who builds to say
    for line in dockerfile.splitlines():
        if line.startswith("COPY"):
            for name in line.split()[1:-1]:
                assert (ROOT / name).exists()
                assert f"!{name}" in sent
