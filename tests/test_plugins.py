"""A package that is really installed, into a folder of its own, and used through the command line."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

PACKAGE = Path(__file__).parent / "plugin_package"
RUN = "import sys; from deepinfomax.cli import main; main()"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package and its .dist-info, as pip leaves them; pip itself would need a network to build it."""
    folder = tmp_path_factory.mktemp("site")
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    (folder / "owndim").symlink_to(PACKAGE / "owndim")
    info = folder / f"owndim-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: owndim\nVersion: {project['version']}\n")
    groups = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in names.items())
        for group, names in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(groups))
    return folder


@pytest.fixture(scope="module")
def images(installed: Path) -> Path:
    rng = np.random.default_rng(0)
    series = ["P2\n16 16\n255\n" + " ".join(map(str, rng.integers(0, 256, 256).tolist())) + "\n" for _ in range(48)]
    file = installed / "images.pgms"
    file.write_text("".join(series))
    return file


def deepinfomax(installed: Path, *words: object) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(installed), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", RUN, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_one_thing_of_each_kind_through_the_command_line(installed: Path, images: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    settings = ["encoder.name", "pooled", "encoder.width", "6", "local.bound", "clipped_nwj"]
    settings += ["objective.decorrelation.weight", "0.5", "decorrelation.tolerance", "0.1", "training.trackers", "[]"]
    words = ["--scale", "smoke", "--recipe", "dim-local", "--device", "cpu", "--out", run, "data.holdout", "0.3"]
    done = deepinfomax(installed, "train", images, *words, *settings)
    assert done.returncode == 0, done.stderr
    last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-2])
    assert {"decorrelation", "decorrelation/largest", "local/bound"} <= last.keys()
    assert json.loads((run / "encoder.json").read_text())["architecture"] == "pooled"
    config = tomllib.loads((run / "config.toml").read_text())
    assert config["objective"]["decorrelation"] == {"weight": 0.5, "tolerance": 0.1, "start": 0}

    done = deepinfomax(installed, "evaluate", run, "--measures", "spread,rank", "--device", "cpu", "--scale", "smoke")
    assert done.returncode == 0, done.stderr
    evaluation = json.loads((run / "evaluation.json").read_text())
    assert evaluation["measures"]["spread"].keys() == {"conv", "y"}  # the encoder has no fc
    assert evaluation["controls"]["pixels"]["spread"]["spread"] > 0
    assert "spread" in done.stdout
    assert "Spread of the features" in (run / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["train", "IMAGES", "decorrelation.tolerance", "2"],
            "objective.decorrelation.tolerance must be below 1, not 2",
        ),
        (["train", "IMAGES", "decorrelation.tolerence", "0"], "did you mean 'tolerance'?"),
        (["train", "IMAGES", "objective.broken.weight", "1"], "'broken' of the package owndim cannot be loaded"),
    ],
)
def test_mistakes_with_it_are_one_line(installed: Path, images: Path, words: list[str], message: str) -> None:
    done = deepinfomax(installed, *[images if word == "IMAGES" else word for word in words])
    assert done.returncode == 2, done.stderr
    assert message in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_broken_plug_in_breaks_nothing_else(installed: Path, images: Path) -> None:
    done = deepinfomax(installed, "data", images)
    assert done.returncode == 0, done.stderr
    assert "48" in done.stdout
    assert deepinfomax(installed, "recipes").returncode == 0
    assert deepinfomax(installed, "--help").returncode == 0
