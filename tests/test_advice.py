"""Every command that the program suggests works, for exactly the data at hand: a flat folder without labels, a folder
with classes, a CSV, a table of embeddings, two columns of numbers."""

import csv
import html
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import command
from deepinfomax import cli

#: what is added to a suggested command so that it is over in seconds; the command itself is run as it was printed
SHORT = {
    "train": ["--scale", "smoke", "encoder.width", "4", "encoder.fc", "16", "encoder.y", "8", "--device", "cpu"],
    "evaluate": ["--scale", "smoke", "--device", "cpu"],
    "neighbours": ["--device", "cpu"],
    "estimate-mi": ["--steps", "50", "--device", "cpu"],
}
COMMAND = re.compile(
    r"deepinfomax (?:train|evaluate|neighbours|embed|report|export|data|estimate-mi|recipes)\b[^`<\n]*"
)
#: words that a person puts something else for
PLACES = {"DATA", "RUN", "NAME", "IMAGE", "IMAGES", "FILE", "X", "Y", "--help"}


def run(capsys: pytest.CaptureFixture, *words: str) -> tuple[int, str]:
    """Exit code, and all that was said."""
    code, out, err = command.run(capsys, *words)
    return code, out + err


def commands(said: str) -> list[list[str]]:
    """The commands in a text that can be run as they are."""
    found = [shlex.split(command.strip().rstrip(".;")) for command in COMMAND.findall(said)]
    return [words for words in found if not PLACES & set(words)]


def follow(capsys: pytest.CaptureFixture, said: str, tried: set[tuple[str, ...]]) -> str:
    """Run every command of a text that was not run yet; all must succeed. Returns what they said."""
    answers = []
    for words in commands(said):
        if tuple(words) in tried:
            continue
        tried.add(tuple(words))
        code, answer = run(capsys, *words[1:], *SHORT.get(words[1], []))
        assert code == 0, (words, answer)
        answers.append(answer)
    return "\n".join(answers)


def page_of(folder: Path) -> str:
    return html.unescape((folder / "report.html").read_text(encoding="utf-8"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def draw(path: Path, seed: int, level: int = 120) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).normal(level, 40, (20, 24, 3)).clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(path)


def flat() -> str:
    for i in range(180):
        draw(Path(f"my images/{i}.jpg"), i)
    return "my images"


def few() -> str:
    for i in range(9):
        draw(Path(f"few/{i}.png"), i)
    return "few"


def sizes() -> str:
    for i in range(24):
        draw(Path(f"sizes/{i}.png"), i)
        if i % 2:
            Image.open(f"sizes/{i}.png").resize((30 + i, 40)).save(f"sizes/{i}.png")
    Path("sizes/broken.png").write_bytes(b"no image")
    return "sizes"


def classes() -> str:
    for i in range(120):
        draw(Path(f"classes/{'dark' if i % 2 else 'light'}/{i}.png"), i, 60 if i % 2 else 190)
    return "classes"


def one_class() -> str:
    for i in range(40):
        draw(Path(f"one/only/{i}.png"), i)
    return "one"


def parts() -> str:
    for i in range(90):
        name = "dark" if i % 2 else "light"
        draw(Path(f"parts/{'test' if i > 60 else 'train'}/{name}/{i}.png"), i, 60 if i % 2 else 190)
    return "parts"


def table() -> str:
    with Path("list.csv").open("w") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label"])
        for i in range(60):
            draw(Path(f"pictures/{i}.png"), i, 60 if i % 2 else 190)
            writer.writerow([f"pictures/{i}.png", "dark" if i % 2 else "light"])
    return "list.csv"


def array() -> str:
    np.save("array.npy", np.random.default_rng(0).integers(0, 256, (300, 12, 12), dtype=np.uint8))
    return "array.npy"


@pytest.mark.parametrize("make", [flat, few, sizes, classes, one_class, parts, table, array])
def test_from_data_to_report(capsys: pytest.CaptureFixture, here: Path, make) -> None:
    """`data` names the command that trains; that one names those that search and measure; the page names the rest."""
    tried: set[tuple[str, ...]] = set()
    code, described = run(capsys, "data", make())
    assert code == 0
    assert [words[1] for words in commands(described)] == ["train"]
    trained = follow(capsys, described, tried)
    assert [words[1] for words in commands(trained)] == ["neighbours", "evaluate"]
    (folder,) = (path.parent for path in here.glob("runs/*/config.toml"))
    assert str(folder.relative_to(here) / "report.html") in trained
    if make in (flat, classes):
        follow(capsys, page_of(folder), tried)  # of a run that was trained, and nothing else
    follow(capsys, trained, tried)
    if make in (flat, classes, few):
        follow(capsys, page_of(folder), tried)  # and of one that has been measured


@pytest.mark.parametrize("make", [flat, classes, one_class])
def test_a_run_that_held_nothing_out_is_measured_by_the_command_that_the_mistake_names(
    capsys: pytest.CaptureFixture, here: Path, make
) -> None:
    assert run(capsys, "train", make(), "--out", "my runs/a", *SHORT["train"])[0] == 0
    code, said = run(capsys, "evaluate", "my runs/a")
    assert code == 2
    assert len(commands(said)) == 1
    follow(capsys, said, set())
    page = page_of(here / "my runs/a")
    assert "trained on the test images too" in page
    tried: set[tuple[str, ...]] = set()
    follow(capsys, page, tried)
    measuring = [words for words in tried if words[1] == "evaluate"]
    assert measuring or make is not classes  # without labels the first command has measured all there is
    assert all(words[-2:] == ("data.holdout", "0.2") for words in measuring)


@pytest.mark.parametrize("make", [flat, classes])
def test_a_table_of_embeddings(capsys: pytest.CaptureFixture, here: Path, make) -> None:
    data = make()
    assert run(capsys, "train", data, "--out", "run", *SHORT["train"])[0] == 0
    for name in ("y.parquet", "y.npz", "y.npy"):
        code, said = run(capsys, "embed", "run", data, "--out", name)
        assert code == 0
        assert [words[1:] for words in commands(said)] == [["evaluate", name]]
        follow(capsys, said, set())


def test_two_columns_of_numbers(capsys: pytest.CaptureFixture, here: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=1000)
    np.save("x.npy", x)
    np.save("y.npy", x + rng.normal(size=1000))
    code, said = run(capsys, "estimate-mi", "x.npy", "y.npy", *SHORT["estimate-mi"])
    assert code == 0
    follow(capsys, said, set())


def test_the_short_help_names_commands_that_exist(capsys: pytest.CaptureFixture) -> None:
    code, said = run(capsys)
    assert code == 0
    known = {command.name or command.callback.__name__ for command in cli.app.registered_commands}
    named = set(re.findall(r"deepinfomax ([a-z][a-z-]*)", said))
    assert {"quickstart", "train", "evaluate", "neighbours"} <= named <= known
