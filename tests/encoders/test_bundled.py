"""Encoders that come with the package, and the tool that makes them of runs."""

import importlib.util
import json
from pathlib import Path

import pytest
import torch

import deepinfomax
from deepinfomax import recipes
from deepinfomax.data import load
from deepinfomax.encoders import bundled
from deepinfomax.errors import UserError
from deepinfomax.training.loop import train

TOOL = Path(__file__).parents[2] / "tools" / "bundle.py"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundled") / "run"
    train(recipes.recipe("dim-fast", "smoke"), load("photos", "train").take(slice(0, 300)), folder, quiet=True)
    return folder


@pytest.fixture
def place(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a bundled encoder named `mine` lies."""
    spec = importlib.util.spec_from_file_location("bundle", TOOL)
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    monkeypatch.setattr(bundled, "FOLDER", tmp_path / "bundled")
    assert bundled.names() == []
    tool.bundle(run, "mine", bundled.FOLDER)
    monkeypatch.chdir(tmp_path)
    return bundled.FOLDER / "mine"


def test_a_bundled_encoder_is_loaded_by_its_name(run: Path, place: Path) -> None:
    assert bundled.names() == ["mine"]
    images = torch.rand(4, 1, 32, 32) * 2 - 1
    small, whole = deepinfomax.load("mine"), deepinfomax.load(run)
    assert all(parameter.dtype == torch.float32 for parameter in small.parameters())
    with torch.no_grad():
        for a, b in zip(small(images), whole(images), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-2, atol=2e-3)
    assert (place / "model.safetensors").stat().st_size < 0.52 * (run / "encoder.safetensors").stat().st_size
    assert "deepinfomax.load('mine')" in (place / "README.md").read_text().replace('"', "'")


def test_a_folder_of_that_name_comes_first(run: Path, place: Path) -> None:
    Path("mine").symlink_to(run)
    whole = deepinfomax.load(run)
    assert all(map(torch.equal, deepinfomax.load("mine").parameters(), whole.parameters()))


def test_a_name_that_nothing_has_is_told_which_there_are(place: Path) -> None:
    with pytest.raises(UserError, match=r"natural-33 does not exist: load takes a run folder, .* or mine"):
        deepinfomax.load("natural-33")


def test_what_comes_along_is_whole_small_and_measured() -> None:
    assert bundled.names() == ["natural-32"]
    folder = bundled.FOLDER / "natural-32"
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 10_000_000
    features = deepinfomax.load("natural-32")(torch.zeros(2, 3, 32, 32))
    assert (features.y.shape, features.fc.shape, features.conv.shape[1:]) == ((2, 64), (2, 1024), (256, 4, 4))
    published = json.loads((TOOL.parents[1] / "results" / "natural-32.json").read_text(encoding="utf-8"))
    measured = published["evaluation"]["measures"]["mlp"]
    row = " | ".join(
        f"{measured[level]['accuracy']:.3f} ± {measured[level]['std']:.3f}" for level in ("conv", "fc", "y")
    )
    assert f"| DIM | {row} |" in (folder / "README.md").read_text(encoding="utf-8")
