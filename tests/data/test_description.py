import json
from pathlib import Path

import numpy as np
import pytest

from deepinfomax.data import describe, describe_readable, render_description
from deepinfomax.data.describe_command import data_command
from deepinfomax.errors import UserError


def test_labelled_parts(tmp_path: Path, draw):
    for seed in range(6):
        draw(tmp_path / "train" / "ab"[seed % 2] / f"{seed}.png", seed)
    draw(tmp_path / "test" / "a" / "x.png", 9)
    found = describe(tmp_path)
    assert found.labels is True
    assert found.classes == ["a", "b"]
    assert found.problems == []
    train = found.parts["train"]
    assert train.images == train.labelled == 6
    assert train.shape == (3, 8, 8)
    assert train.bytes == 6 * 3 * 8 * 8
    assert train.per_class == {"a": 3, "b": 3}
    assert found.parts["test"].per_class == {"a": 1, "b": 0}
    text = render_description(found)
    assert "6 images, 8x8 RGB (shape 3x8x8), 0.0 MB decoded, 2 classes, 3 images each" in text
    assert "2 classes, 0 to 1 images each" in text
    assert "classes    a, b" in text


@pytest.mark.parametrize(
    ("shape", "note"),
    [
        ((24, 24), "of another shape than the training part (1x24x24, not 1x16x16): set data.size"),
        ((16, 16, 3), "of another shape than the training part (3x16x16, not 1x16x16): set data.channels"),
        ((30,), "of another shape than the training part (1x30, not 1x16x16): give them the same shape"),
        ((5, 16, 16), "of another shape than the training part (5x16x16, not 1x16x16): give them the same shape"),
        ((16, 16), None),
    ],
)
def test_a_part_of_another_shape_than_the_training_part_is_told(
    tmp_path: Path, shape: tuple[int, ...], note: str | None
):
    train, test = (np.full(sides, 200, np.uint8) for sides in ((4, 16, 16), (2, *shape)))
    np.savez(tmp_path / "x.npz", x_train=train, x_test=test)
    notes = describe(tmp_path / "x.npz").parts["test"].notes
    assert [said for said in notes if "training part" in said] == ([note] if note else [])
    if "data.size" in str(note):
        assert not describe(tmp_path / "x.npz", size=16).parts["test"].notes


def test_the_json_of_a_description(tmp_path: Path, draw):
    """Programs read it: names and their order stay as they are."""
    draw(tmp_path / "train" / "a" / "0.png")
    draw(tmp_path / "train" / "b" / "1.png", size=(9, 8))
    draw(tmp_path / "valid" / "a" / "2.png")
    train = {"images": 2, "notes": [], "labelled": 2, "per_class": {"a": 1, "b": 1}}
    test = {"images": 1, "shape": [3, 8, 8], "type": "uint8", "bytes": 192, "notes": [], "labelled": 1}
    unread = describe(tmp_path).as_tree()
    problem = unread["problems"][0]
    test |= {"per_class": {"a": 1, "b": 0}}
    expected = {"data": str(tmp_path), "published": None, "labels": True, "classes": ["a", "b"], "attributes": False}
    expected |= {"parts": {"train": train, "test": test}, "channels": None, "folds": [], "problems": [problem]}
    assert json.dumps(unread) == json.dumps(expected)
    channels = describe("digits").as_tree() | {"next": ["x"]}
    assert list(channels) == [*expected, "next"]


def test_classes_that_only_the_test_part_has_are_told(tmp_path: Path, draw):
    for name in ("train/a/0", "train/b/0", "test/b/0", "test/c/0", "test/c/1"):
        draw(tmp_path / f"{name}.png")
    notes = describe(tmp_path).parts["test"].notes
    assert notes == ["2 images are of classes that no training image has: c"]


def test_a_flat_folder_has_no_labels_and_no_test_part_and_that_is_no_problem(tmp_path: Path, draw):
    draw(tmp_path / "a.png", mode="L")
    found = describe(tmp_path)
    assert (found.labels, found.problems) == (False, [])
    assert found.parts["test"].images == 0
    text = render_description(found)
    assert "1 image, 8x8 grey" in text
    assert "no labels" in text
    assert "probes are off" in text
    assert "set data.holdout 0.1" in text
    for seed in range(9):
        draw(tmp_path / f"{seed}.png", seed, mode="L")
    parts = describe(tmp_path, holdout=0.5).parts
    assert parts["train"].images + parts["test"].images == 10


def test_the_command_has_the_size_that_the_problem_suggests(tmp_path: Path, draw):
    for seed, size in enumerate([(40, 40), (40, 40), (40, 48)] * 4):
        draw(tmp_path / f"{seed}.png", seed, size)
    tree, _ = data_command(str(tmp_path), root=None, size=None, skip_bad=None, settings={})
    assert "set data.size 32" in tree["problems"][0]
    assert "data.size 32" in tree["next"][0]


def test_the_note_advises_the_share_that_the_command_keeps(tmp_path: Path, draw):
    for seed in range(10):
        draw(tmp_path / f"{seed}.png", seed, (40, 40))
    tree, text = data_command(str(tmp_path), root=None, size=None, skip_bad=None, settings={})
    share = tree["next"][0].split("data.holdout ")[1].split()[0]
    assert f"set data.holdout {share} to keep" in text


def test_problems_are_listed_and_the_rest_described(tmp_path: Path, draw):
    for seed, size in enumerate([(40, 40), (40, 40), (30, 40)]):
        draw(tmp_path / "train" / f"{seed}.png", seed, size)
    (tmp_path / "train" / "bad.png").write_text("no")
    draw(tmp_path / "test" / "x.png", size=(40, 40))
    found = describe(tmp_path)
    assert len(found.problems) == 2
    assert "1 of 4 images cannot be read, first: train/bad.png" in found.problems[0]
    assert "images of 2 sizes" in found.problems[1]
    assert found.parts["train"].images == 4
    assert found.parts["train"].shape is None
    assert found.parts["test"].shape == (3, 40, 40)
    assert render_description(found).count("  problem ") == 2
    mended = describe(tmp_path, size=32, skip_bad=True)
    assert mended.problems == []
    assert mended.parts["train"].images == 3
    assert "left out" in mended.parts["train"].notes[0]


def test_unreadable_images_are_left_out_of_the_count(tmp_path: Path, draw):
    draw(tmp_path / "a.png")
    (tmp_path / "bad.png").write_text("no")
    found = describe(tmp_path)
    assert found.parts["train"].images == 1
    assert len(found.problems) == 1


def test_nothing_there(tmp_path: Path):
    found = describe(tmp_path / "nowhere")
    assert found.parts == {}
    assert "there is no" in found.problems[0]
    assert "problem    there is no" in render_description(found)


def test_who_must_see_something_is_told_when_there_is_nothing(tmp_path: Path, draw):
    with pytest.raises(UserError, match="there is no"):
        describe_readable(tmp_path / "nowhere")
    (tmp_path / "bad.png").write_text("no")
    with pytest.raises(UserError, match=r"1 of 1 image cannot be read"):
        describe_readable(tmp_path)
    draw(tmp_path / "a.png")
    assert describe_readable(tmp_path) == describe(tmp_path)
    draw(tmp_path / "b.png", size=(9, 9))
    assert describe_readable(tmp_path).parts["train"].images == 3  # of two sizes, which --size mends


def test_arrays_and_attributes(tmp_path: Path):
    pixels = np.zeros((4, 6, 6), np.uint8)
    np.savez(tmp_path / "x.npz", images=pixels, labels=[0, 1, -1, 1])
    train = describe(tmp_path / "x.npz").parts["train"]
    assert (train.labelled, train.per_class) == (3, {"0": 1, "1": 2})
    assert "1 image without label" in render_description(describe(tmp_path / "x.npz"))


def test_the_embedded_sets():
    assert "19 classes, 400 images each" in render_description(describe("photos"))
    assert describe("digits").parts["test"].images == 297
