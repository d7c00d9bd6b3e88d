import os
from pathlib import Path

import pytest

from deepinfomax.data import load, names
from deepinfomax.data.formats import hub
from deepinfomax.errors import UserError


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_reachable", lambda identifier: False)
    monkeypatch.delenv("DEEPINFOMAX_DATA", raising=False)


def test_a_local_copy_comes_before_the_hub(tmp_path: Path, draw, monkeypatch: pytest.MonkeyPatch):
    for seed in range(2):
        draw(tmp_path / "cifar10" / "train" / "ab"[seed] / "x.png", seed)
    assert load("cifar10", root=tmp_path).classes == ("a", "b")
    monkeypatch.setenv("DEEPINFOMAX_DATA", str(tmp_path))
    assert load("cifar10").classes == ("a", "b")
    (tmp_path / "other").mkdir()
    with pytest.raises(UserError, match="uoft-cs/cifar10 is not on this machine"):
        load("cifar10", root=tmp_path / "other")  # the argument wins over the environment


def test_folds_lie_in_the_folder_of_the_data(tmp_path: Path, draw):
    draw(tmp_path / "stl10" / "train" / "a" / "x.png", 0)
    assert names.read_folds("stl10", tmp_path) == []
    file = tmp_path / "stl10" / "fold_indices.txt"
    file.write_text("0 5 7 \n1 2 3 \n")
    assert [fold.tolist() for fold in names.read_folds("stl10", tmp_path)] == [[0, 5, 7], [1, 2, 3]]
    assert [fold.tolist() for fold in names.read_folds(tmp_path / "stl10")] == [[0, 5, 7], [1, 2, 3]]
    assert names.read_folds("photos") == []
    assert names.read_folds("owner/name") == []
    file.write_text("0 5\n1 -2\n")
    with pytest.raises(UserError, match=r"fold_indices.txt, line 2"):
        names.read_folds("stl10", tmp_path)


def test_every_published_name_points_to_a_hub_id(offline: None):
    for name, published in names.PUBLISHED.items():
        message = f"^{published.hub} is not on this machine .*--data.root"
        with pytest.raises(UserError, match=message if published.hub else f"^there is no {name} here: .*--data-root"):
            load(name)


@pytest.mark.parametrize(
    ("data", "suggestion"), [("cifar-10", "cifar10"), ("photo", "photos"), ("fashion_mnist", "fashion-mnist")]
)
def test_a_mistyped_name(offline: None, data: str, suggestion: str):
    with pytest.raises(UserError, match=rf"did you mean .*{suggestion}"):
        load(data)


def test_a_mistyped_path(offline: None, tmp_path: Path, draw):
    draw(tmp_path / "holiday" / "a.png")
    with pytest.raises(UserError, match=r"there is no .*holidays.*; did you mean .*/holiday\?"):
        load(tmp_path / "holidays")
    with pytest.raises(UserError, match="nor a known name; names are cifar10, "):
        load(tmp_path / "something" / "else")


def test_a_relative_path_is_not_taken_for_a_hub_id(
    offline: None, tmp_path: Path, draw, monkeypatch: pytest.MonkeyPatch
):
    draw(tmp_path / "pictures" / "cats" / "a.png")
    monkeypatch.chdir(tmp_path)
    assert len(load("pictures/cats")) == 1
    with pytest.raises(UserError, match=r"did you mean pictures/cats\?"):
        load("pictures/cat")


def test_a_file_of_another_kind(tmp_path: Path, draw):
    draw(tmp_path / "a.png")
    with pytest.raises(
        UserError,
        match=r"files must be \.parquet, \.npy, .*, \.tsv, .*, \.zip, \.tar, \.tgz, \.gz; for images pass the folder",
    ):
        load(tmp_path / "a.png")


def test_a_name_wins_over_a_folder_called_like_it(tmp_path: Path, draw, monkeypatch: pytest.MonkeyPatch):
    draw(tmp_path / "photos" / "a.png")
    monkeypatch.chdir(tmp_path)
    assert len(load("photos")) == 7600
    assert len(load("./photos")) == len(load(Path("photos"))) == 1


def test_no_data_at_all():
    with pytest.raises(UserError, match="no data given"):
        load("")


def test_a_root_that_is_no_folder(tmp_path: Path):
    with pytest.raises(UserError, match="which is no folder"):
        load("cifar10", root=tmp_path / "nowhere")


def test_the_home_of_nobody(offline: None, tmp_path: Path, draw, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(UserError, match=r"there is no ~nosuch-user/x"):
        load("~nosuch-user/x")
    assert names.read_folds("~nosuch-user/x") == []
    with pytest.raises(UserError, match="which is no folder"):
        load("cifar10", root="~nosuch-user")
    draw(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"cannot be kept in ~nosuch-user .*: set DEEPINFOMAX_CACHE"):
        load(tmp_path, cache_dir="~nosuch-user")


def test_home_is_understood(tmp_path: Path, draw, monkeypatch: pytest.MonkeyPatch):
    draw(tmp_path / "pictures" / "a.png")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(load("~/pictures")) == 1


@pytest.mark.parametrize("ending", [".csv", ".npz", ".parquet", ""])
def test_a_pipe_is_not_waited_for(tmp_path: Path, ending: str):
    pipe = tmp_path / f"pipe{ending}"
    os.mkfifo(pipe)
    for read in (load, lambda path: names.check_there(str(path))):
        with pytest.raises(UserError, match="but a pipe or a device: save what it gives as a file"):
            read(pipe)
