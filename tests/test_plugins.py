"""A package that is really installed, into a folder of its own, and used through the command line."""

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from deepinfomax import encoders, plugins
from deepinfomax.data import formats
from deepinfomax.errors import UserError
from deepinfomax.evaluation.measure import Figure, Measure
from deepinfomax.evaluation.measures import MEASURES, all_measures, measure_called
from deepinfomax.information.bounds import BOUNDS
from deepinfomax.objectives import OBJECTIVES

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
    unread = deepinfomax(installed, "data", installed / "owndim" / "__init__.py")
    assert unread.returncode == 2
    assert "the format 'function' of the package owndim, owndim:read_pgms, is a function" in unread.stderr
    assert unread.stderr.strip().endswith("(and 1 more formats)")
    assert deepinfomax(installed, "recipes").returncode == 0
    assert deepinfomax(installed, "--help").returncode == 0


def function() -> None: ...


class WithoutArguments(nn.Module): ...


class OnlySettings(nn.Module):
    def __init__(self, *, width: int = 1) -> None:
        super().__init__()


class WithAWeight(nn.Module):
    def __init__(self, facts: object, *, weight: float = 3.0) -> None:
        super().__init__()


class ByAnyArguments(nn.Module):
    def __init__(self, *arguments: object, **settings: object) -> None:
        super().__init__()


class Inherits(ByAnyArguments): ...


class InFrontOfItsSettings(nn.Module):
    def __init__(self, facts: object, alpha: float, *, beta: float = 2.0) -> None:
        super().__init__()


SPREAD = Measure(
    "spread", "Spread", "features", None, (Figure("spread", "spread", "", None, "how far apart"),), function
)


@pytest.mark.parametrize(
    ("kind", "registry", "value", "fault"),
    [
        ("measures", MEASURES, "function", "is a function, but the entry point must name a Measure"),
        ("measures", MEASURES, "Measure", "is the class Measure, but the entry point must name a Measure"),
        ("measures", MEASURES, "SPREAD", "is called 'spread' in its Measure and 'own' in its entry point"),
        ("data", formats._REGISTRY, "function", "is a function, but the entry point must name a Format"),
        ("bounds", BOUNDS, "function", "is a function, but the entry point must name a Bound"),
        ("objectives", OBJECTIVES, "function", "is a function, but the entry point must name a subclass of nn.Module"),
        ("objectives", OBJECTIVES, "Path", "is the class Path, but the entry point must name a subclass of nn.Module"),
        ("objectives", OBJECTIVES, "WithoutArguments", "made with facts: __init__(self, facts, *, ...)"),
        ("objectives", OBJECTIVES, "OnlySettings", "made with facts: __init__(self, facts, *, ...)"),
        ("objectives", OBJECTIVES, "WithAWeight", "has a setting 'weight', which every section of an objective has"),
        ("objectives", OBJECTIVES, "InFrontOfItsSettings", "write __init__(self, facts, *, alpha, ...)"),
        ("encoders", encoders.ARCHITECTURES, "OnlySettings", "made with image_shape"),
    ],
)
def test_the_wrong_thing_is_told_where_its_name_is_used_and_breaks_nothing_else(
    kind: str, registry: Mapping[str, object], value: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = EntryPoint("own", f"{__name__}:{value}", f"deepinfomax.{kind}")
    monkeypatch.setattr(plugins, "_plugins", lambda asked: {"own": point} if asked == kind else {})
    assert isinstance(registry, plugins.Registry)
    with pytest.raises(UserError) as raised:
        registry["own"]
    assert str(raised.value).startswith(f"'own' of the package {__name__}:{value}, {__name__}:{value}, ")
    assert fault in str(raised.value)
    assert "\n" not in str(raised.value)
    assert registry.broken() == [str(raised.value)]
    assert [*registry.working()] == [*registry.builtin.values()]
    assert {record.name for record in all_measures()} == set(MEASURES.builtin)
    assert formats.all_formats()[-1].name == "folder"


def test_the_right_thing_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    points = {name: EntryPoint(name, f"{__name__}:{name}", "") for name in ("ByAnyArguments", "Inherits")}
    monkeypatch.setattr(plugins, "_plugins", lambda kind: points)
    assert OBJECTIVES["ByAnyArguments"] is ByAnyArguments
    assert encoders.ARCHITECTURES["Inherits"] is Inherits
    monkeypatch.setattr(plugins, "_plugins", lambda kind: {"spread": EntryPoint("spread", f"{__name__}:SPREAD", "")})
    assert measure_called("spread") == (SPREAD, None)
    assert [record.name for record in all_measures()][-1] == "spread"
