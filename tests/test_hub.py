"""Encoders on a hub that runs on this machine: pushed with their card, loaded back, and every mistake one line."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml

from deepinfomax import encoders, load
from deepinfomax.encoders import hub as encoders_on_hub
from deepinfomax.encoders import storage
from deepinfomax.errors import UserError
from deepinfomax.export import export, write_repository
from fake_hub import Hub, fake_hub

EVALUATION = {
    "schema": 1,
    "data": {"name": "/home/somebody/cats | dogs", "test": {"count": 200}},
    "scale": "cpu",
    "measures": {"knn": {"y": {"accuracy": 0.61, "n_test": 200, "protocol": "kNN, k = 20"}}},
    "controls": {
        "pixels": {"knn": {"accuracy": 0.41, "n_test": 200}},
        "random_encoder": {"knn": {"y": {"accuracy": 0.45, "n_test": 200}}},
    },
    "notes": [],
}
CONFIG = """
recipe = "cpu"
[data]
source = "/home/somebody/cats | dogs"
root = "/home/somebody"
[encoder]
name = "dcgan"
[objective.local]
weight = 1.0
"""
#: pushes a run, loads it back in another process of the hub's client, and prints what went wrong where it should
SESSION = """
import json, sys, torch, deepinfomax
from deepinfomax.export import export
run, images = sys.argv[1], torch.load(sys.argv[2], weights_only=True)
told = [export(run, "hub", repo="me/encoder", private=True)]
told.append(deepinfomax.load("me/encoder")(images).y.tolist())
def mistake(call):
    try:
        call()
    except deepinfomax.UserError as error:
        return str(error)
told.append(mistake(lambda: deepinfomax.load("me/nothing")))
told.append(mistake(lambda: deepinfomax.load("me/encoder", revision="v9")))
told.append(mistake(lambda: deepinfomax.load("me/empty")))
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    arguments = {"width": 4, "fc": 16, "y": 8}
    torch.manual_seed(0)
    encoder = encoders.build("dcgan", (3, 16, 16), **arguments)
    storage.save(encoder, folder, name="dcgan", image_shape=(3, 16, 16), **arguments)
    (folder / "config.toml").write_text(CONFIG)
    (folder / "evaluation.json").write_text(json.dumps(EVALUATION))
    return folder


@pytest.fixture
def hub() -> Iterator[Hub]:
    with fake_hub() as running:
        yield running


def environment(hub: Hub, folder: Path) -> dict[str, str]:
    own = {"HF_ENDPOINT": hub.address, "HF_TOKEN": "hf_test", "HF_HUB_OFFLINE": "0", "HF_HOME": str(folder / "home")}
    return os.environ | own | {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}


def test_there_and_back(hub: Hub, run: Path, tmp_path: Path) -> None:
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    torch.save(images, tmp_path / "images.pt")
    hub.repositories["me/empty"] = {"README.md": b"nothing"}
    command = [sys.executable, "-c", SESSION, str(run), str(tmp_path / "images.pt")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(hub, tmp_path), check=False)
    assert done.returncode == 0, done.stderr
    pushed, y, nothing, revision, empty = json.loads(done.stdout)
    assert pushed["hub"].startswith(f"{hub.address}/me/encoder/commit/")
    assert pushed["load"] == "deepinfomax.load('me/encoder')"
    torch.testing.assert_close(torch.tensor(y), load(run)(images).y.detach())
    assert "has no model of that name" in nothing
    assert "me/encoder has no revision 'v9'" in revision
    assert "holds no encoder" in empty
    assert hub.private["me/encoder"]
    files = hub.repositories["me/encoder"]
    assert set(files) == {"README.md", "config.json", "config.toml", "evaluation.json", "model.safetensors"}
    assert [name for name, contents in files.items() if b"somebody" in contents] == []


def test_without_a_token_the_hub_is_asked_and_says_no(hub: Hub, run: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "deepinfomax.cli", "export", str(run), "--format", "hub", "--repo", "me/encoder"]
    own = environment(hub, tmp_path) | {"HF_TOKEN": "wrong"}
    done = subprocess.run(words, capture_output=True, text=True, env=own, check=False)
    assert done.returncode == 2
    assert "deepinfomax: the hub did not take me/encoder: " in done.stderr
    assert "Traceback" not in done.stderr
    assert hub.repositories == {}


def test_the_card_has_every_figure_beside_its_controls(run: Path, tmp_path: Path) -> None:
    write_repository(run, "me/encoder", tmp_path)
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    _, head, body = card.split("---\n", 2)
    assert yaml.safe_load(head)["library_name"] == "deepinfomax"
    assert 'deepinfomax.load("me/encoder")' in body
    assert "cats \\| dogs" in body
    rows = [line for line in body.splitlines() if line.startswith("| ")]
    assert "| kNN | y | " in rows
    cells = {line.split(" | ")[0].strip("| "): line.split(" | ")[1] for line in rows}
    assert (cells["DIM"], cells["random encoder"], cells["raw pixels"]) == ("0.610", "0.450", "0.410")
    assert "61 in 100" in body
    assert "PCA" not in body  # was not run
    assert "| --- | --- |" in body
    assert "/home" not in card
    folder = tmp_path / "unmeasured"
    folder.mkdir()
    for name in ("encoder.json", "encoder.safetensors", "config.toml"):
        (folder / name).write_bytes((run / name).read_bytes())
    (tmp_path / "out").mkdir()
    write_repository(folder, "me/encoder", tmp_path / "out")
    assert "Nothing has been measured" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


def test_a_repository_is_a_folder_that_loads(run: Path, tmp_path: Path) -> None:
    write_repository(run, "me/encoder", tmp_path)
    images = torch.zeros(1, 3, 16, 16)
    assert torch.equal(load(tmp_path)(images).y, load(run)(images).y)


def test_a_repository_can_be_exported_again(run: Path, tmp_path: Path) -> None:
    write_repository(run, "me/mine", tmp_path)
    out = tmp_path / "again"
    assert export(tmp_path, format="safetensors", out=out)["folder"] == str(out)
    assert (out / "encoder.safetensors").read_bytes() == (run / "encoder.safetensors").read_bytes()
    (tmp_path / "third").mkdir()
    write_repository(tmp_path, "me/mine", tmp_path / "third")
    assert (tmp_path / "third/model.safetensors").is_file()


def test_a_folder_comes_before_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert encoders_on_hub.is_repository("runs/mine")
    (tmp_path / "runs/mine").mkdir(parents=True)
    assert not encoders_on_hub.is_repository("runs/mine")
    assert not encoders_on_hub.is_repository(Path("owner/name"))
    assert not encoders_on_hub.is_repository("a/b/c")


def test_offline_without_a_copy_is_one_line() -> None:
    with pytest.raises(UserError, match="me/encoder is no folder here, and cannot be had") as told:
        load("me/encoder")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("repo", [None, "name", "a/b/c", "a /b"])
def test_a_repository_needs_an_owner(run: Path, repo: str | None) -> None:
    with pytest.raises(UserError, match="OWNER/NAME"):
        export(run, "hub", repo=repo)
