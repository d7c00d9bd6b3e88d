import os
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from deepinfomax.data import describe, load, titles
from deepinfomax.data.names import find, found_once
from deepinfomax.data.section import Data, changed
from deepinfomax.errors import UserError
from deepinfomax.files import CONFIG, METRICS


def test_flat_folder_has_no_labels(tmp_path: Path, draw):
    pixels = [draw(tmp_path / f"{name}.png", seed) for seed, name in enumerate("abc")]
    images = load(tmp_path)
    assert images.images.shape == (3, 3, 8, 8)
    assert images.images.dtype == np.uint8
    assert (images.labels, images.classes) == (None, ())
    np.testing.assert_array_equal(images.images, np.stack(pixels).transpose(0, 3, 1, 2))


def test_extensions_in_any_case_and_hidden_and_other_files_ignored(tmp_path: Path, draw):
    draw(tmp_path / "a.PNG", format="PNG")
    draw(tmp_path / "b.JPeG", format="JPEG")
    draw(tmp_path / "c.webp")
    draw(tmp_path / ".hidden.png")
    draw(tmp_path / ".thumbnails" / "a.png")
    (tmp_path / "notes.txt").write_text("not an image and not called one")
    assert len(load(tmp_path)) == 3


def test_pictures_of_a_run_inside_the_folder_of_the_images_are_no_images(tmp_path: Path, draw):
    """Whoever trains in the folder of the images has `runs/NAME` there, with sheets of neighbours in it."""
    for seed, name in enumerate(["ant", "ant", "bear"]):
        draw(tmp_path / name / f"{seed}.png", seed)
    run = tmp_path / "runs/mine"
    draw(run / "neighbours.png")
    assert load(tmp_path).classes == ("ant", "bear", "runs")
    for name in (CONFIG, METRICS):
        (run / name).write_text("")
    images = load(tmp_path)
    assert (len(images), images.classes) == (3, ("ant", "bear"))
    with pytest.raises(UserError, match="holds no images"):
        load(run)


def test_class_folders_give_labels_in_sorted_order(tmp_path: Path, draw):
    for seed, name in enumerate(["zebra", "ant", "ant", "bear"]):
        draw(tmp_path / name / f"{seed}.png", seed)
    images = load(tmp_path)
    assert images.classes == ("ant", "bear", "zebra")
    np.testing.assert_array_equal(images.labels, [0, 0, 1, 2])


def test_an_empty_folder_shifts_no_label(tmp_path: Path, draw):
    first = draw(tmp_path / "cat" / "x.png", 1)
    draw(tmp_path / "dog" / "y.png", 2)
    (tmp_path / "bird").mkdir()
    (tmp_path / "cow").mkdir()
    (tmp_path / "cow" / "readme.txt").write_text("no image here")
    images = load(tmp_path)
    assert images.classes == ("cat", "dog")
    np.testing.assert_array_equal(images.labels, [0, 1])
    np.testing.assert_array_equal(images.images[0], first.transpose(2, 0, 1))


@pytest.mark.parametrize("test_name", ["test", "val", "valid", "Validation"])
def test_parts_inside_share_their_classes(tmp_path: Path, draw, test_name: str):
    for seed, name in enumerate(["a", "b", "c"]):
        draw(tmp_path / "train" / name / f"{seed}.png", seed)
    expected = draw(tmp_path / test_name / "c" / "x.png", 9)
    train, test = load(tmp_path), load(tmp_path, "test")
    assert train.classes == test.classes == ("a", "b", "c")
    np.testing.assert_array_equal(test.labels, [2])  # not 0: the absent classes keep their numbers
    np.testing.assert_array_equal(test.images[0], expected.transpose(2, 0, 1))


def test_a_class_only_in_the_test_part_is_a_class(tmp_path: Path, draw):
    draw(tmp_path / "train" / "b" / "0.png")
    draw(tmp_path / "train" / "c" / "0.png")
    draw(tmp_path / "test" / "a" / "0.png")
    assert load(tmp_path).classes == ("a", "b", "c")
    np.testing.assert_array_equal(load(tmp_path).labels, [1, 2])


def test_a_class_called_train_among_others_is_a_class(tmp_path: Path, draw):
    for seed, name in enumerate(["plane", "train", "car"]):
        draw(tmp_path / name / "0.png", seed)
    assert load(tmp_path).classes == ("car", "plane", "train")


def test_other_folders_beside_train_and_test_are_not_read(tmp_path: Path, draw):
    for seed, name in enumerate(["train", "test", "extra"]):
        draw(tmp_path / name / "0.png", seed)
    assert (len(load(tmp_path)), len(load(tmp_path, "test"))) == (1, 1)


def test_flat_parts_inside(tmp_path: Path, draw):
    draw(tmp_path / "train" / "0.png")
    draw(tmp_path / "train" / "1.png")
    draw(tmp_path / "test" / "0.png")
    assert (len(load(tmp_path)), len(load(tmp_path, "test"))) == (2, 1)
    assert load(tmp_path).labels is None


def test_a_single_sub_folder_is_no_label(tmp_path: Path, draw):
    draw(tmp_path / "images" / "a.png")
    draw(tmp_path / "images" / "b.png")
    assert load(tmp_path).labels is None


def test_images_beside_and_inside_folders_are_read_without_labels_and_with_a_note(tmp_path: Path, draw):
    draw(tmp_path / "a.png")
    draw(tmp_path / "b" / "b.png")
    images = load(tmp_path)
    assert (len(images), images.labels) == (2, None)
    assert images.notes == ("images lie both beside and inside sub-folders: read without labels",)


def test_holdout_of_a_class_folder(tmp_path: Path, draw):
    for seed in range(60):
        draw(tmp_path / "ab"[seed % 2] / f"{seed}.png", seed)
    train, test = load(tmp_path, holdout=0.3), load(tmp_path, "test", holdout=0.3)
    assert len(train) + len(test) == 60
    everything = {image.tobytes() for image in load(tmp_path).images}
    assert {i.tobytes() for i in train.images} | {i.tobytes() for i in test.images} == everything
    assert train.classes == test.classes == ("a", "b")
    with pytest.raises(UserError, match="has no test part"):
        load(tmp_path, "test")


def test_an_empty_folder_is_an_error(tmp_path: Path):
    with pytest.raises(UserError, match="holds no images"):
        load(tmp_path)


def test_a_name_that_is_no_utf8(tmp_path: Path, draw):
    draw(tmp_path / "a.png")
    for name in (b"cat\xff", b"dog"):
        folder = tmp_path / "x" / os.fsdecode(name)
        draw(folder / os.fsdecode(b"\xe9.png"))
    images = load(tmp_path / "x")
    assert images.classes == (r"cat\xff", "dog")
    assert titles(tmp_path / "x", images) == [r"cat\xff/\xe9.png", r"dog/\xe9.png"]
    load(tmp_path / "x", holdout=0.05, limit=1)
    (folder / os.fsdecode(b"\xff.png")).touch()
    with pytest.raises(UserError, match=r"dog/\\xff\.png \(empty file\)"):
        load(tmp_path / "x")


def test_parts_that_differ_in_case_only(tmp_path: Path, draw):
    draw(tmp_path / "Train" / "a.png")
    draw(tmp_path / "train" / "b.png")
    draw(tmp_path / "test" / "b.png")
    with pytest.raises(UserError, match="holds both Train and train: put their images into one of them"):
        load(tmp_path)


def test_parts_of_two_spellings_are_joined(tmp_path: Path, draw):
    for seed, name in enumerate(["train", "training", "test"]):
        draw(tmp_path / name / "a.png", seed)
        draw(tmp_path / "a.png")
    (tmp_path / "list.csv").write_text("path,label,split\na.png,x,training\na.png,y,train\na.png,y,test\n")
    assert len(load(tmp_path)) == 2
    np.testing.assert_array_equal(load(tmp_path / "list.csv").labels, [1, 0])
    for seed in range(3):
        draw(tmp_path / f"{seed}.png", seed)
    (tmp_path / "list.csv").write_text("path,split\n0.png,test\n1.png,training\n2.png,train\n")
    images = load(tmp_path / "list.csv")
    assert titles(tmp_path / "list.csv", images) == ["2.png", "1.png"]


def test_links_back_up_are_not_followed(tmp_path: Path, draw):
    for seed in range(4):
        draw(tmp_path / "ab"[seed % 2] / f"{seed}.png", seed)
    (tmp_path / "self").symlink_to(".")
    (tmp_path / "a" / "up").symlink_to("..")
    (tmp_path / "c").symlink_to("a")  # no way back: a class of its own
    images = load(tmp_path)
    assert (len(images), images.classes) == (6, ("a", "b", "c"))


def test_a_link_to_nothing_is_a_broken_image(tmp_path: Path, draw):
    draw(tmp_path / "a.png")
    (tmp_path / "x.png").symlink_to("gone.png")
    with pytest.raises(UserError, match=r"1 of 2 images cannot be read, first: x\.png \(no such file\)"):
        load(tmp_path)
    assert len(load(tmp_path, skip_bad=True)) == 1
    assert "no such file" in describe(tmp_path).problems[0]


def test_csv_of_paths(tmp_path: Path, draw):
    first = draw(tmp_path / "deep" / "a.png", 1)
    draw(tmp_path / "b.png", 2)
    (tmp_path / "list.csv").write_text("label,path\n10,b.png\n9,deep/a.png\n")
    images = load(tmp_path / "list.csv")
    assert images.classes == ("9", "10")  # as numbers, not as words
    np.testing.assert_array_equal(images.labels, [1, 0])
    np.testing.assert_array_equal(images.images[1], first.transpose(2, 0, 1))


@pytest.mark.parametrize("labels", [["1_0", "10", "010"], ["99999999999999999999", "1", "2"]])
def test_words_that_only_look_like_numbers_stay_apart(tmp_path: Path, draw, labels: list[str]):
    draw(tmp_path / "a.png")
    (tmp_path / "list.csv").write_text("path,label\n" + "".join(f"a.png,{label}\n" for label in labels))
    images = load(tmp_path / "list.csv")
    assert images.classes == tuple(sorted(labels))
    assert [images.classes[number] for number in images.labels] == labels


@pytest.mark.parametrize("column", ["image", "File", "path"])
def test_csv_columns_without_labels(tmp_path: Path, draw, column: str):
    draw(tmp_path / "a.png")
    (tmp_path / "list.csv").write_text(f"{column}\na.png\n")
    assert load(tmp_path / "list.csv").labels is None


def test_csv_with_a_split_column_numbers_labels_over_all_rows(tmp_path: Path, draw):
    draw(tmp_path / "a.png")
    (tmp_path / "list.csv").write_text("path,label,split\na.png,cat,train\na.png,dog,train\na.png,dog,test\n")
    assert len(load(tmp_path / "list.csv")) == 2
    np.testing.assert_array_equal(load(tmp_path / "list.csv", "test").labels, [1])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path\na.png\nb.png\nc.png\n", r"lists 2 of 3 files that do not exist, first: .*b\.png"),
        ("name,label\na.png,1\n", "has the columns name, label; one must be called path, image or file"),
        ("path\n", "lists no images"),
        ("path,split\na.png,half\n", "split is 'half' in some rows"),
    ],
)
def test_bad_csv(tmp_path: Path, draw, content: str, message: str):
    draw(tmp_path / "a.png")
    (tmp_path / "list.csv").write_text(content)
    with pytest.raises(UserError, match=message) as error:
        load(tmp_path / "list.csv")
    assert "\n" not in str(error.value)


def test_csv_that_is_not_text(tmp_path: Path):
    (tmp_path / "list.csv").write_bytes(bytes(range(256)))
    with pytest.raises(UserError, match="no CSV file in UTF-8"):
        load(tmp_path / "list.csv")


def test_csv_with_two_columns_of_one_name(tmp_path: Path):
    (tmp_path / "list.csv").write_text("path,label,Label\na.png,x,y\n")
    with pytest.raises(UserError, match="two columns called 'label': give each a name of its own"):
        load(tmp_path / "list.csv")


@pytest.fixture
def tiny_imagenet(tmp_path: Path, draw) -> Path:
    """Two classes as the authors of Tiny ImageNet pack theirs."""
    root = tmp_path / "tiny-imagenet-200"
    for seed, wnid in enumerate(["n02", "n01"]):
        draw(root / "train" / wnid / "images" / f"{wnid}_0.JPEG", seed)
    for seed in range(3):
        draw(root / "val" / "images" / f"val_{seed}.JPEG", 10 + seed)
    draw(root / "test" / "images" / "test_0.JPEG", 20)
    rows = [("val_0.JPEG", "n02"), ("val_1.JPEG", "n01"), ("val_2.JPEG", "n02")]
    (root / "val" / "val_annotations.txt").write_text("".join(f"{name}\t{wnid}\t0\t0\t8\t8\n" for name, wnid in rows))
    (root / "wnids.txt").write_text("n02\nn01\n")
    (root / "words.txt").write_text("n01\tgoldfish, Carassius auratus\nn02\tbullfrog\nn03\tnot used\n")
    return root


def test_tiny_imagenet_as_published_takes_the_validation_set_for_testing(tiny_imagenet: Path):
    train, test = load(tiny_imagenet), load(tiny_imagenet, "test")
    assert train.classes == test.classes == ("goldfish", "bullfrog")
    np.testing.assert_array_equal(train.labels, [0, 1])
    np.testing.assert_array_equal(test.labels, [1, 0, 1])
    assert test.notes == ("the official validation set is the test part",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"val_0.JPEG\tn02\nval_1.JPEG\tn09\n",
            "1 of 2 images a class that wnids.txt does not list, first: val_1.JPEG",
        ),
        (b"val_0.JPEG n02\n", "1 of 1 image a class that wnids.txt does not list, first: val_0.JPEG n02"),
        (b"\xff\xfe", "is no text in UTF-8"),
    ],
)
def test_tiny_imagenet_with_other_annotations(tiny_imagenet: Path, content: bytes, message: str):
    (tiny_imagenet / "val" / "val_annotations.txt").write_bytes(content)
    with pytest.raises(UserError, match=message):
        load(tiny_imagenet)


def test_a_name_finds_the_published_folder_and_says_when_classes_are_missing(tiny_imagenet: Path):
    images = load("tiny-imagenet", root=tiny_imagenet.parent)
    assert images.notes == ("2 of 200 classes: not comparable with figures for all of them",)


def test_the_order_does_not_depend_on_the_file_system(tmp_path: Path, draw):
    for seed in (3, 1, 2):
        draw(tmp_path / "one" / f"{seed}.png", seed)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    np.testing.assert_array_equal(load(tmp_path / "one").images, load(tmp_path / "two").images)


def test_files_of_other_endings_are_counted_and_empty_classes_named(tmp_path: Path, draw):
    draw(tmp_path / "cat" / "a.png")
    draw(tmp_path / "dog" / "a.png")
    (tmp_path / "eel").mkdir()
    for name in ("cat/x.heic", "eel/a.heic", "eel/b.heic", "cat/README"):
        (tmp_path / name).write_bytes(b"\0\0\0\x18ftypheic")
    images = load(tmp_path)
    assert images.classes == ("cat", "dog")
    assert images.notes == (
        "files that are no images, not read: 3 .heic, 1 without an ending; to read HEIC and AVIF, pip install "
        "pillow-heif",
        "folders without an image that can be read here: eel",
    )


def test_files_above_the_folder_of_the_images_are_told(tmp_path: Path, draw):
    (tmp_path / "labels.csv").write_text("file,label")
    draw(tmp_path / "images" / "a.png")
    assert load(tmp_path).notes == ("files that are no images, not read: 1 .csv",)
    assert load(tmp_path / "images").notes == ()
    for part in ("train", "test"):
        draw(tmp_path / "images" / part / "b.png")
    (tmp_path / "images" / "a.png").unlink()
    assert load(tmp_path, "test").notes == ("files that are no images, not read: 1 .csv",)


def test_an_image_with_two_labels_in_a_list_is_refused(tmp_path: Path, draw):
    draw(tmp_path / "a.png")
    rows = ["file_name,label", "a.png,cat", "a.png,cat"]
    (tmp_path / "metadata.csv").write_text("\n".join(rows))
    assert load(tmp_path).classes == ("cat",)
    (tmp_path / "metadata.csv").write_text("\n".join([*rows, "a.png,dog"]))
    with pytest.raises(UserError, match=r"metadata\.csv gives a\.png two labels, 'cat' and 'dog': leave one"):
        load(tmp_path)


def test_an_image_with_two_labels_in_a_table_is_told(tmp_path: Path, draw):
    draw(tmp_path / "a.png")
    (tmp_path / "x.csv").write_text("path,label\na.png,cat\n./a.png,cat\n")
    assert load(tmp_path / "x.csv").notes == ()
    (tmp_path / "x.csv").write_text("path,label\na.png,cat\n./a.png,dog\n")
    images = load(tmp_path / "x.csv")
    assert (images.labels.tolist(), images.classes) == ([0, 1], ("cat", "dog"))
    assert images.notes == ("1 image is listed with several labels, first: a.png with 'cat' and 'dog'",)


@pytest.mark.parametrize(
    "text", ["file_name,age\na.png,0.5\nb.png,2\nc.png,\n", "file_name;age\na.png;0,5\nb.png;2\nc.png;\n"]
)
@pytest.mark.parametrize("list_name", ["x.csv", "metadata.csv"])
def test_quantities_in_a_list_are_no_classes(tmp_path: Path, draw, list_name: str, text: str):
    for name in "abc":
        draw(tmp_path / f"{name}.png")
    (tmp_path / list_name).write_text(text)
    images = load(tmp_path if list_name == "metadata.csv" else tmp_path / list_name, label="age")
    assert (images.labels, images.classes) == (None, ())
    assert any("holds numbers with fractions, no classes: read without labels" in note for note in images.notes)


def test_names_of_a_list_in_a_folder_that_are_of_no_image_are_told(tmp_path: Path, draw):
    for part in ("train", "test"):
        draw(tmp_path / part / f"{part}.png")
    (tmp_path / "metadata.csv").write_text("file_name,label\ntrain/train.png,a\ntest/test.png,b\ntest/tset.png,b\n")
    for part in ("train", "test"):
        assert load(tmp_path, part).notes == ("1 of 3 names in metadata.csv are of no image here, first: tset.png",)


def test_what_lies_beside_the_parts_is_told(tmp_path: Path, draw):
    for name in ("train/a.png", "test/a.png", "extra/a.png", "b.png"):
        draw(tmp_path / name)
    assert load(tmp_path).notes == ("beside the folders of the parts, not read: extra/, 1 image",)


def test_parts_one_level_down(tmp_path: Path, draw):
    for i in range(3):
        draw(tmp_path / "images" / "train" / f"{i}.png", i)
        draw(tmp_path / "images" / "val" / f"{i}.png", 10 + i)
    (tmp_path / "labels" / "train").mkdir(parents=True)
    (tmp_path / "labels" / "train" / "0.txt").touch()
    assert (len(load(tmp_path)), len(load(tmp_path, "test"))) == (3, 3)
    assert titles(tmp_path, load(tmp_path)) == ["images/train/0.png", "images/train/1.png", "images/train/2.png"]


def test_classes_two_levels_down(tmp_path: Path, draw):
    for name in ("cat", "dog"):
        draw(tmp_path / "all" / "all" / name / "a.png")
    assert load(tmp_path).classes == ("cat", "dog")


def test_links_that_fan_out_end(tmp_path: Path, draw):
    draw(tmp_path / "20" / "a.png")
    for i in range(20):
        (tmp_path / str(i)).mkdir()
        for name in "ab":
            (tmp_path / str(i) / name).symlink_to(f"../{i + 1}")
    images = load(tmp_path / "0", limit=10)
    assert len(images) == 10
    assert "links to folders that were read 100 times are left" in images.notes[0]


@pytest.mark.parametrize("place", ["", "train"])
def test_metadata_csv_gives_the_labels(tmp_path: Path, draw, place: str):
    for part in ("train", "test"):
        for i in range(3):
            draw(tmp_path / part / f"{i}.png", i)
    folder = tmp_path / place
    prefix = "" if place else "train/"
    rows = "".join(f"{prefix}{i}.png,{label},x\n" for i, label in enumerate(["dog", "NA"]))
    (folder / "metadata.csv").write_text(f"file_name,label,extra\n{rows}")
    images = load(tmp_path)
    np.testing.assert_array_equal(images.labels, [0, -1, -1])
    assert images.classes == ("dog",)
    assert images.notes == (
        "columns not used: extra; data.label NAME makes one of them the label",
        "1 of 3 images is not in metadata.csv: read without a label",
    )
    assert load(tmp_path, label="extra").classes == ("x",)
    with pytest.raises(UserError, match=r"metadata\.csv has no column weight \(data\.label\)"):
        load(tmp_path, label="weight")


def test_columns_of_a_folder_without_a_table(tmp_path: Path, draw):
    draw(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"has no metadata\.csv; data\.image and data\.label name the columns"):
        load(tmp_path, label="class")


def test_names_of_folders_are_classes_whatever_they_say(tmp_path: Path, draw):
    for name in ("None", "NA", "cafe\u0301"):
        draw(tmp_path / name / "a.png")
    assert load(tmp_path).classes == ("NA", "None", "caf\u00e9")


@pytest.mark.parametrize(
    "text",
    [
        "label, path\n0, 0.png\n1, 1.png\n",
        "path,label\n0.png,0\n1.png,1\n,\n\n",
        "path;label\n0.png;0\n1.png;1\n",
        "file_name\tlabel\n0.png\t0\n1.png\t1\n",
        "\ufeffPath,Label\r\n0.png,0\r\n1.png,1\r\n",
        'path , label\n"0.png", 0\n"1.png", 1\n',
        "path,label\n.\\0.png,0\n.\\1.png,1\n",
        "path,label\n0.png,0.0\n1.png,1.0\n",
    ],
    ids=["spaces", "empty rows", "semicolons", "tabs", "Excel", "quotes", "Windows", "floats"],
)
def test_csv_as_people_write_them(tmp_path: Path, draw, text: str):
    for i in range(2):
        draw(tmp_path / f"{i}.png", i)
    for encoding in ("utf-8", "utf-16"):
        (tmp_path / "list.csv").write_bytes(text.lstrip("\ufeff" if encoding == "utf-16" else "").encode(encoding))
        images = load(tmp_path / "list.csv")
        np.testing.assert_array_equal(images.labels, [0, 1])
        assert images.notes == ()


def test_a_row_of_more_cells_than_columns_is_refused(tmp_path: Path, draw):
    draw(tmp_path / "0.png")
    (tmp_path / "list.csv").write_text("path,label\n0.png,low, then high\n")
    with pytest.raises(
        UserError, match=r"names 2 columns, and the row that begins with '0\.png' has 3 cells: put a cell"
    ):
        load(tmp_path / "list.csv")
    (tmp_path / "list.csv").write_text('path,label\n0.png,"low, then high",\n')
    assert load(tmp_path / "list.csv").classes == ("low, then high",)


def test_columns_of_a_csv_are_named_as_they_are_written(tmp_path: Path, draw):
    draw(tmp_path / "0.png")
    (tmp_path / "list.csv").write_text("Path,Class,3\n0.png,cat,tabby\n")
    assert load(tmp_path / "list.csv", image="Path", label="Class").classes == ("cat",)
    (tmp_path / "list.csv").rename(tmp_path / "metadata.csv")
    assert load(tmp_path, label="Class").classes == ("cat",)
    named = changed(Data(source=str(tmp_path)), {"data.label": "3"})
    assert load(tmp_path, label=named.label).classes == ("tabby",)


@pytest.mark.parametrize(("written", "there"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_list_names_a_file_in_either_spelling_of_unicode(tmp_path: Path, draw, written: str, there: str):
    draw(tmp_path / unicodedata.normalize(there, "é.png"))
    for name in ("list.csv", "metadata.csv"):
        text = unicodedata.normalize(written, "path,label\né.png,cat\n")
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert load(tmp_path / "list.csv").classes == load(tmp_path).classes == ("cat",)


def test_csv_with_columns_of_other_names(tmp_path: Path, draw):
    draw(tmp_path / "0.png")
    (tmp_path / "list.csv").write_text("path,category\n0.png,cat\n")
    assert load(tmp_path / "list.csv").notes == (
        "columns not used: category; data.label NAME makes one of them the label",
    )
    assert load(tmp_path / "list.csv", label="category").classes == ("cat",)
    (tmp_path / "list.csv").write_text("scan,label\n0.png,cat\n")
    with pytest.raises(UserError, match=r"has the columns scan, label; one must be called path.*named by data\.image"):
        load(tmp_path / "list.csv")
    assert load(tmp_path / "list.csv", image="scan").classes == ("cat",)


def test_names_are_shown_without_control_characters(tmp_path: Path, draw):
    for name in ("a\x1b[31m", "b\n"):
        draw(tmp_path / name / "x\r.png")
    images = load(tmp_path)
    assert images.classes == ("a\\x1b[31m", "b\\x0a")
    assert titles(tmp_path, images) == ["a\\x1b[31m/x\\x0d.png", "b\\x0a/x\\x0d.png"]


STARTED = """
import os, sys
data, run = sys.argv[1:]
listed = []
def hook(event, arguments):
    if event in ("os.scandir", "os.listdir") and str(arguments[0]).startswith(data):
        listed.append(os.path.relpath(arguments[0], data))
sys.addaudithook(hook)
from deepinfomax.cli import main
from deepinfomax.training import train_run
def begun(*arguments, **settings):
    print(*sorted(listed))
    os._exit(0)
train_run.train = begun
sys.argv = ["deepinfomax", "train", data, "--out", run, "--scale", "smoke"]
main()
"""


@pytest.mark.parametrize("test_part", [False, True])
def test_a_training_lists_each_folder_once_before_its_first_step(tmp_path: Path, draw, test_part: bool):
    base = tmp_path / "data" / "train" if test_part else tmp_path / "data"
    for seed in range(8):
        draw(base / "ab"[seed % 2] / f"{seed}.png", seed)
    if test_part:
        draw(tmp_path / "data" / "test" / "a" / "1.png")
    words = [sys.executable, "-c", STARTED, str(tmp_path / "data"), str(tmp_path / "run")]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    parts = ["test", "test/a", "train", "train/a", "train/b"]
    assert done.stdout.split() == [".", *(parts if test_part else ["a", "b"])]


def test_within_a_command_the_same_data_are_found_once(tmp_path: Path, draw):
    for seed in range(5):
        draw(tmp_path / "data" / f"{seed}.png", seed)
    with found_once():
        images = load(tmp_path / "data")
        draw(tmp_path / "data" / "9.png")
        assert titles(tmp_path / "data", images) == [f"{seed}.png" for seed in range(5)]
        parts = find(tmp_path / "data")
        parts.clear()
        with found_once():
            assert len(load(tmp_path / "data")) == 5
        assert list(find(str(tmp_path / "data"))) == ["train"]
    assert len(load(tmp_path / "data")) == 6
