import io
import json
import os
import socket
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import needs
from deepinfomax.data import load
from deepinfomax.data.formats import hub as hub_format
from deepinfomax.data.formats.celeba import ATTRIBUTES
from deepinfomax.data.names import find
from deepinfomax.errors import UserError


def picture(seed: int, ending: str = "png") -> tuple[bytes, np.ndarray]:
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format=ending)
    return file.getvalue(), pixels.transpose(2, 0, 1)


def rows(seeds: range) -> list[dict[str, Any]]:
    return [{"bytes": picture(seed)[0], "path": f"{seed}.png"} for seed in seeds]


def expected(seeds: Any) -> np.ndarray:
    return np.stack([picture(seed)[1] for seed in seeds])


def write(file: Path, table: dict[str, Any], **options: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(table), file, **options)


def test_one_file_is_the_train_part(tmp_path: Path):
    write(tmp_path / "x.parquet", {"image": rows(range(5)), "label": [0, 1, 2, 1, 0]}, row_group_size=2)
    images = load(tmp_path / "x.parquet")
    np.testing.assert_array_equal(images.images, expected(range(5)))
    np.testing.assert_array_equal(images.labels, [0, 1, 2, 1, 0])
    assert images.classes == ("0", "1", "2")
    with pytest.raises(UserError, match="has no test part"):
        load(tmp_path / "x.parquet", "test")


def test_a_column_says_the_part_of_each_row(tmp_path: Path):
    split = ["train", "test", "train", None, "test", "train"]
    table = {"image": rows(range(6)), "label": ["a", "b", "a", "b", "c", "a"], "split": split}
    write(tmp_path / "x.parquet", table)
    train, test = load(tmp_path / "x.parquet"), load(tmp_path / "x.parquet", "test")
    np.testing.assert_array_equal(train.images, expected([0, 2, 3, 5]))
    np.testing.assert_array_equal(test.images, expected([1, 4]))
    assert train.classes == test.classes == ("a", "b", "c")
    assert [test.classes[i] for i in test.labels] == ["b", "c"]
    both = load(tmp_path / "x.parquet", "train+test")
    np.testing.assert_array_equal(both.images, expected([0, 2, 3, 5, 1, 4]))
    write(tmp_path / "x.parquet", table | {"split": ["train", "test", "dev", "train", "test", "train"]})
    with pytest.raises(UserError, match=r"x\.parquet: split is 'dev' in some rows; it must be one of train"):
        load(tmp_path / "x.parquet")
    write(tmp_path / "x.parquet", table | {"split": ["spring", "autumn"] * 3})  # a column of something else
    assert len(load(tmp_path / "x.parquet")) == 6
    write(tmp_path / "many" / "train.parquet", {"image": rows(range(2)), "split": ["train", "test"]})
    write(tmp_path / "many" / "test.parquet", {"image": rows(range(2, 4)), "split": ["train", "test"]})
    np.testing.assert_array_equal(load(tmp_path / "many", "test").images, expected([2, 3]))  # files say it themselves


def test_channels_of_all_files_are_in_the_order_of_the_first(tmp_path: Path):
    x, y = (pa.array([[float(k)] * 40] * 4) for k in (1, 2))
    write(tmp_path / "train-0.parquet", {"acc_x": x, "acc_y": y})
    write(tmp_path / "train-1.parquet", {"acc_y": y, "acc_x": x})
    write(tmp_path / "test-0.parquet", {"acc_y": y, "acc_x": x})
    for part, count in (("train", 8), ("test", 4)):
        assert load(tmp_path, part).images[:, :, 0].tolist() == [[1, 2]] * count
    write(tmp_path / "train-2.parquet", {"gyro": x, "temp": y})
    with pytest.raises(UserError, match=r"has the columns of series gyro, temp, and .* has acc_x, acc_y: give all"):
        load(tmp_path)


def test_a_folder_of_files_in_the_order_of_their_names(tmp_path: Path):
    write(tmp_path / "data" / "train-00001-of-00002.parquet", {"image": rows(range(3, 5)), "label": ["b", "c"]})
    write(tmp_path / "data" / "train-00000-of-00002.parquet", {"image": rows(range(3)), "label": ["a", "b", "d"]})
    write(tmp_path / "data" / "validation-00000.parquet", {"image": rows(range(7, 9)), "label": ["d", "a"]})
    train, test = load(tmp_path), load(tmp_path, "test")
    np.testing.assert_array_equal(train.images, expected(range(5)))
    np.testing.assert_array_equal(test.images, expected(range(7, 9)))
    assert train.classes == test.classes == ("a", "b", "c", "d")
    np.testing.assert_array_equal(test.labels, [3, 0])


def test_a_limit_reads_the_rows_it_names_across_files_and_row_groups(tmp_path: Path):
    for file in range(3):
        write(
            tmp_path / f"train-{file}.parquet",
            {"image": rows(range(10 * file, 10 * file + 10)), "label": list(range(10 * file, 10 * file + 10))},
            row_group_size=3,
        )
    images = load(tmp_path, limit=11)
    assert len(images) == 11
    np.testing.assert_array_equal(images.images, expected(images.labels))


def test_without_labels(tmp_path: Path):
    write(tmp_path / "x.parquet", {"image": rows(range(2))})
    assert (load(tmp_path).labels, load(tmp_path).classes) == (None, ())


def test_plain_bytes_and_paths_are_images_too(tmp_path: Path):
    write(tmp_path / "bytes" / "x.parquet", {"image": [picture(1)[0]]})
    np.testing.assert_array_equal(load(tmp_path / "bytes").images, expected([1]))
    write(tmp_path / "paths" / "x.parquet", {"image": ["one.png", "none.png"]})
    (tmp_path / "paths" / "one.png").write_bytes(picture(1)[0])
    images = load(tmp_path / "paths", skip_bad=True)
    np.testing.assert_array_equal(images.images, expected([1]))
    assert images.notes == ("1 of 2 images cannot be read, first: x.parquet row 1 (no such file): left out",)


@pytest.mark.parametrize("cell", ["one.png", {"bytes": None, "path": "one.png"}], ids=["path", "bytes and path"])
def test_files_that_a_table_names_are_read_again_when_they_change(tmp_path: Path, cell: Any):
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()}) if isinstance(cell, dict) else pa.string()
    write(tmp_path / "x.parquet", {"image": pa.array([cell], kind)})
    for seed in (1, 2):
        (tmp_path / "one.png").write_bytes(picture(seed)[0])
        np.testing.assert_array_equal(load(tmp_path / "x.parquet").images, expected([seed]))


def test_a_table_written_again_with_its_old_length_and_time(tmp_path: Path):
    file = tmp_path / "x.parquet"
    write(file, {"image": rows(range(2))}, compression="none", use_dictionary=False)
    before = file.stat()
    load(file)
    write(file, {"image": rows(range(1, -1, -1))}, compression="none", use_dictionary=False)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    np.testing.assert_array_equal(load(file).images, expected([1, 0]))


def test_class_names_beside_the_files_or_in_their_metadata(tmp_path: Path):
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})
    table = datasets.Dataset.from_dict({"image": rows(range(3)), "label": [1, 0, 1]}, features=features)
    table.to_parquet(tmp_path / "train.parquet")
    assert load(tmp_path).classes == ("cat", "dog")
    (tmp_path / "classes.json").write_text(json.dumps(["Katze", "Hund"]))
    assert load(tmp_path).classes == ("Katze", "Hund")
    (tmp_path / "classes.json").write_text(json.dumps({"wnids": ["n1", "n2"], "words": ["cat, puss", "dog"]}))
    assert load(tmp_path).classes == ("cat", "dog")
    (tmp_path / "classes.json").write_text("[cat")
    with pytest.raises(UserError, match="is no JSON"):
        load(tmp_path)


def test_numbers_that_mean_other_classes_in_another_file_are_read_by_their_names(tmp_path: Path):
    for part, names in (("train", ["cat", "dog"]), ("test", ["dog", "cat", "owl"])):
        about = json.dumps({"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}})
        table = pa.table({"image": rows(range(4)), "label": [0, 1, 1, -1]}).replace_schema_metadata(
            {"huggingface": about}
        )
        pq.write_table(table, tmp_path / f"{part}.parquet")
    train, test = load(tmp_path), load(tmp_path, "test")
    assert train.classes == test.classes == ("cat", "dog")
    assert (train.labels.tolist(), test.labels.tolist()) == ([0, 1, 1, -1], [1, 0, 0, -1])


def test_a_column_split_is_not_left_without_a_word(tmp_path: Path):
    words, table = ["train", "test", "train", "test"], {"image": rows(range(4))}
    write(tmp_path / "a.parquet", table | {"split": pa.array(words).dictionary_encode()})
    assert set(find(tmp_path)) == {"train", "test"}
    write(tmp_path / "b.parquet", table)
    note = "column split is not used, all rows are read as one part: b.parquet has none"
    assert load(tmp_path).notes == (note,)
    write(tmp_path / "b.parquet", table | {"split": ["spring", "autumn"] * 2})
    (tmp_path / "a.parquet").unlink()
    assert "no word in it is one of train, training" in load(tmp_path).notes[0]


def test_labels_of_a_kind_that_is_no_class_are_left_alone(tmp_path: Path):
    write(tmp_path / "x.parquet", {"image": rows(range(2)), "label": [[1, 2], [3]]})
    images = load(tmp_path)
    assert images.labels is None
    assert images.notes == ("column label of x.parquet holds list<element: int64>, no classes: read without labels",)


@pytest.mark.parametrize(
    ("column", "numbers", "classes"),
    [
        (pa.array([1.0, None, 0.0, float("nan")]), [1, -1, 0, -1], ("0", "1")),
        (pa.array(["b", None, "a", "b"]).dictionary_encode(), [1, -1, 0, 1], ("a", "b")),
        (pa.array([1, 0, None, 1]).dictionary_encode(), [1, 0, -1, 1], ("0", "1")),
    ],
    ids=["floats", "words of a dictionary", "numbers of a dictionary"],
)
def test_labels_as_pandas_writes_them(tmp_path: Path, column: pa.Array, numbers: list[int], classes: tuple[str, ...]):
    write(tmp_path / "x.parquet", {"image": rows(range(4)), "label": column})
    images = load(tmp_path)
    np.testing.assert_array_equal(images.labels, numbers)
    assert (images.classes, images.notes) == (classes, ())


@pytest.mark.parametrize("column", [pa.array([0.5, 1.0]), pa.array([2**63, 1], pa.uint64())])
def test_labels_that_are_no_classes_are_told(tmp_path: Path, column: pa.Array):
    write(tmp_path / "x.parquet", {"image": rows(range(2)), "label": column})
    images = load(tmp_path)
    assert images.labels is None
    assert images.notes == (f"column label of x.parquet holds {column.type}, no classes: read without labels",)


def test_missing_labels_are_minus_one(tmp_path: Path):
    write(tmp_path / "x.parquet", {"image": rows(range(3)), "label": [1, None, 0]})
    np.testing.assert_array_equal(load(tmp_path).labels, [1, -1, 0])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"picture": ["a"], "label": [1]}, "has the columns picture, label; one must be called image"),
        ({"image": [[1, 2]]}, "column image holds list<.*>, not encoded images"),
    ],
)
def test_no_image_column(tmp_path: Path, table: dict[str, Any], message: str):
    write(tmp_path / "x.parquet", table)
    with pytest.raises(UserError, match=message):
        load(tmp_path)


def test_a_table_of_embeddings_or_of_numbers_names_the_commands_that_take_it(tmp_path: Path):
    write(tmp_path / "a.parquet", {"id": ["a"], "embedding": [[0.5, 1.0]], "label": ["cat"]})
    write(tmp_path / "b.parquet", {"height": [1.5], "weight": [2.5]})
    np.savez(tmp_path / "c.npz", embedding=np.zeros((4, 3)), label=np.arange(4))
    for name in ("a.parquet", "b.parquet", "c.npz"):
        with pytest.raises(UserError, match=rf"; numbers are for .*, embeddings for `deepinfomax evaluate .*{name}`$"):
            load(tmp_path / name)


def test_embeddings_beside_images_are_not_taken_for_them(tmp_path: Path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.png").write_bytes(picture(1)[0])
    write(tmp_path / "tables" / "a.parquet", {"image": rows(range(1, 2))})
    for data in (tmp_path / "folder", tmp_path / "tables"):
        write(data / "e.parquet", {"embedding": [[0.5, 1.0]], "label": [0], "name": ["a"]})
        np.testing.assert_array_equal(load(data).images, expected([1]))
    assert load(tmp_path / "folder").notes == ("files that are no images, not read: 1 .parquet",)
    assert load(tmp_path / "tables").notes == ("e.parquet has no image column: left out",)


def test_a_hidden_table_beside_images(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(picture(1)[0])
    (tmp_path / ".x.parquet").touch()
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "y.parquet").touch()
    np.testing.assert_array_equal(load(tmp_path).images, expected([1]))


def test_a_table_of_no_rows(tmp_path: Path):
    write(tmp_path / "x.parquet", {"image": pa.array([], pa.binary()), "label": pa.array([], pa.int64())})
    with pytest.raises(UserError, match="holds no images"):
        load(tmp_path)


def test_the_second_file_has_other_columns(tmp_path: Path):
    write(tmp_path / "a.parquet", {"image": rows(range(2)), "label": [0, 1]})
    write(tmp_path / "b.parquet", {"img": [picture(2)[0]]})
    write(tmp_path / "c.parquet", {"image": rows(range(3, 4)), "label": [1.0]})
    images = load(tmp_path)
    np.testing.assert_array_equal(images.images, expected(range(4)))
    np.testing.assert_array_equal(images.labels, [0, 1, -1, 1])
    assert images.notes == ("b.parquet has no column label: its images are read without labels",)
    write(tmp_path / "c.parquet", {"image": rows(range(3, 4)), "label": ["one"]})
    with pytest.raises(UserError, match=r"column label holds numbers in a\.parquet but words in c\.parquet"):
        load(tmp_path)


def test_the_second_file_is_damaged(tmp_path: Path):
    write(tmp_path / "a.parquet", {"image": rows(range(2)), "label": [0, 1]})
    (tmp_path / "b.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"b\.parquet cannot be read as parquet"):
        load(tmp_path)
    write(tmp_path / "b.parquet", {"label": [1] * 50, "image": rows(range(50))})
    content = bytearray((tmp_path / "b.parquet").read_bytes())
    content[4:40] = bytes(36)  # the header of the first page of labels
    (tmp_path / "b.parquet").write_bytes(content)
    with pytest.raises(UserError, match=r"b\.parquet is damaged") as error:
        load(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"3", b'"cat"', b'{"names": 3}', b'{"words": 3}', b"\xff\xfe\x00"])
def test_class_names_that_are_no_list(tmp_path: Path, content: bytes):
    write(tmp_path / "x.parquet", {"image": rows(range(2)), "label": [0, 1]})
    (tmp_path / "classes.json").write_bytes(content)
    with pytest.raises(UserError, match=r"classes\.json (must be a list of class names|is no JSON)"):
        load(tmp_path)


def test_a_file_that_is_no_parquet(tmp_path: Path):
    (tmp_path / "x.parquet").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"x\.parquet cannot be read as parquet") as error:
        load(tmp_path / "x.parquet")
    assert "\n" not in str(error.value)


def test_a_damaged_file(tmp_path: Path):
    write(tmp_path / "x.parquet", {"image": rows(range(20))})
    content = bytearray((tmp_path / "x.parquet").read_bytes())
    content[4:60] = bytes(56)  # the header of the first page
    (tmp_path / "x.parquet").write_bytes(content)
    with pytest.raises(UserError, match=r"x\.parquet is damaged") as error:
        load(tmp_path)
    assert "\n" not in str(error.value)


def test_a_broken_row_is_named(tmp_path: Path):
    write(tmp_path / "x.parquet", {"image": [*rows(range(3)), {"bytes": b"no picture", "path": None}, *rows(range(2))]})
    with pytest.raises(UserError, match=r"1 of 6 images cannot be read, first: x\.parquet row 3 \(not an image\)"):
        load(tmp_path)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A hub that answers `load_dataset` from this dictionary."""
    published: dict[str, Any] = {}
    monkeypatch.setattr(hub_format, "_reachable", lambda identifier: True)
    monkeypatch.setattr(datasets, "load_dataset", lambda identifier: published[identifier])
    return published


def hub_split(columns: dict[str, Any], split: str, **features: Any) -> datasets.Dataset:
    return datasets.Dataset.from_dict(columns, features=datasets.Features(features), split=split)


def test_cifar100_from_the_hub_by_its_own_column_names(hub: dict[str, Any], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("DEEPINFOMAX_DATA", raising=False)
    features = {
        "img": datasets.Image(),
        "fine_label": datasets.ClassLabel(names=["apple", "bear", "crab"]),
        "coarse_label": datasets.ClassLabel(names=["fruit", "animal"]),
    }
    columns = {"img": rows(range(4)), "fine_label": [2, 0, 1, 1], "coarse_label": [1, 0, 1, 1]}
    hub["uoft-cs/cifar100"] = datasets.DatasetDict(
        train=hub_split(columns, "train", **features),
        test=hub_split({name: values[:2] for name, values in columns.items()}, "test", **features),
    )
    train, test = load("cifar100"), load("cifar100", "test")
    np.testing.assert_array_equal(train.images, expected(range(4)))
    np.testing.assert_array_equal(train.labels, [2, 0, 1, 1])
    np.testing.assert_array_equal(test.labels, [2, 0])
    assert train.classes == ("apple", "bear", "crab")
    np.testing.assert_array_equal(load("cifar100", limit=2).images, train.images[[*_drawn(4, 2)]])


def _drawn(count: int, limit: int) -> np.ndarray:
    return np.sort(np.random.default_rng(0).permutation(count)[:limit])


def test_celeba_has_its_attributes_as_labels(hub: dict[str, Any], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("DEEPINFOMAX_DATA", raising=False)
    names = list(ATTRIBUTES)
    assert len(names) == 40
    values = np.random.default_rng(0).random((3, 40)) < 0.5
    columns = {"image": rows(range(3)), "celeb_id": [7, 7, 8], **dict(zip(names, values.T.tolist(), strict=True))}
    features = {"image": datasets.Image(), "celeb_id": datasets.Value("int64")}
    features |= {name: datasets.Value("bool") for name in names}
    hub["flwrlabs/celeba"] = datasets.DatasetDict(train=hub_split(columns, "train", **features))
    images = load("celeba")
    np.testing.assert_array_equal(images.labels, values.astype(np.int64))
    assert images.classes == tuple(names)


def test_stl10_trains_on_labelled_and_unlabelled_images_together(hub: dict[str, Any], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("DEEPINFOMAX_DATA", raising=False)
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["airplane", "bird"])}
    fold = hub_split({"image": rows(range(1)), "label": [0]}, "train_0", **features)
    hub["jxie/stl10"] = datasets.DatasetDict(
        train=hub_split({"image": rows(range(2)), "label": [1, 0]}, "train", **features),
        unlabeled=hub_split({"image": rows(range(5, 8)), "label": [-1, -1, -1]}, "unlabeled", **features),
        train_0=fold,
    )
    assert load("stl10", "unlabeled").labels is None
    both = load("stl10", "train+unlabeled")
    np.testing.assert_array_equal(both.images, expected([0, 1, 5, 6, 7]))
    np.testing.assert_array_equal(both.labels, [1, 0, -1, -1, -1])


def test_any_hub_id_with_words_as_labels(hub: dict[str, Any]):
    features = {"photo": datasets.Image(), "label": datasets.Value("string")}
    hub["me/birds"] = datasets.DatasetDict(
        train=hub_split({"photo": rows(range(2)), "label": ["wren", "owl"]}, "train", **features),
        validation=hub_split({"photo": rows(range(1)), "label": ["wren"]}, "validation", **features),
    )
    assert load("me/birds").classes == ("owl", "wren")
    np.testing.assert_array_equal(load("me/birds", "test").labels, [1])


def test_labels_of_the_hub_that_are_no_classes_are_told(hub: dict[str, Any]):
    features = {"image": datasets.Image(), "label": datasets.Value("float64")}
    columns = {"image": rows(range(3)), "label": [0.5, 1.5, 2.0]}
    hub["me/ages"] = datasets.DatasetDict(train=hub_split(columns, "train", **features))
    images = load("me/ages")
    assert (images.labels, images.classes) == (None, ())
    assert "column label holds double, no classes: read without labels" in images.notes


def test_a_hub_set_of_one_split_of_another_name_is_the_train_part(hub: dict[str, Any]):
    only = hub_split({"image": rows(range(2))}, "full", image=datasets.Image())
    hub["me/one"] = datasets.DatasetDict(full=only)
    assert len(load("me/one")) == 2
    hub["me/two"] = datasets.DatasetDict(full=only, other=only)
    with pytest.raises(UserError, match="has the splits full, other; one must be called train"):
        load("me/two")


def test_offline_is_one_line_without_a_try(monkeypatch: pytest.MonkeyPatch):
    """`datasets` would try many times, and each try takes as long as a connection needs to fail."""
    tries: list[object] = []

    def no_network(*address: object, **_: object) -> None:
        tries.append(address)
        raise OSError("no network")

    monkeypatch.setattr(hub_format, "_reachable", lambda identifier: False)
    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    with pytest.raises(UserError, match="not on this machine and the Hugging Face hub cannot be reached") as error:
        load("nobody/nothing-of-this-name")
    assert "\n" not in str(error.value)
    assert tries == []


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("GatedRepoError", "me/x asks for consent: give it on .*/datasets/me/x, then log in"),
        ("RepositoryNotFoundError", "has no data set me/x; if it is private, log in"),
        ("HfHubHTTPError", "is not on this machine and the Hugging Face hub cannot be reached"),
    ],
)
def test_what_the_hub_answers(monkeypatch: pytest.MonkeyPatch, answer: str, message: str):
    def dataset_info(self: Any, identifier: str, timeout: float) -> None:
        assert timeout <= 5
        error = getattr(huggingface_hub.errors, answer)
        raise error.__new__(error)  # their constructors want a response of the HTTP client

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", dataset_info)
    with pytest.raises(UserError, match=message):
        load("me/x")


def test_the_hub_s_own_words_where_it_refuses(monkeypatch: pytest.MonkeyPatch):
    def refuse(identifier: str) -> None:
        raise PermissionError("gated: ask for access\nand more lines")

    monkeypatch.setattr(hub_format, "_reachable", lambda identifier: True)
    monkeypatch.setattr(datasets, "load_dataset", refuse)
    with pytest.raises(UserError, match=r"cannot be read from the Hugging Face hub: gated: ask for access$"):
        load("me/gated")


@pytest.mark.parametrize(("name", "count", "classes"), [("cifar10", 10_000, 10), ("cifar100", 10_000, 100)])
def test_real_cifar(name: str, count: int, classes: int):
    images = load(name, "test", root=needs.data(name))
    assert images.images.shape == (count, 3, 32, 32)
    assert len(images.classes) == classes
    assert (np.bincount(images.labels) == count // classes).all()
    assert images.notes == ()
    # the mean colour that every CIFAR recipe quotes: 0.49, 0.48, 0.45 and 0.51, 0.49, 0.44
    reference = {"cifar10": [0.494, 0.485, 0.450], "cifar100": [0.508, 0.487, 0.442]}[name]
    np.testing.assert_allclose(images.images.mean((0, 2, 3)) / 255, reference, atol=0.003)


def test_real_tiny_imagenet_subset():
    images = load("tiny-imagenet", "test", root=needs.data("tiny-imagenet-subset"))
    assert images.shape == (3, 64, 64)
    assert images.notes == (
        "30 of 200 classes: not comparable with figures for all of them",
        "34 of 1,500 images are grey: converted to RGB",
    )


@pytest.mark.parametrize(
    "metadata",
    [b"{", b"[]", b"null", b'{"info": null}', b'{"info": {"features": {"label": {"names": null}}}}', b"\xff"],
)
def test_hugging_face_metadata_of_another_form(tmp_path: Path, metadata: bytes):
    table = pa.table({"image": rows(range(2)), "label": [0, 1]}).replace_schema_metadata({b"huggingface": metadata})
    pq.write_table(table, tmp_path / "x.parquet")
    assert load(tmp_path).classes == ("0", "1")


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        (pa.array(["a\0b.png"]), "no such file"),
        (pa.array([{"bytes": None, "path": 5}], pa.struct([("bytes", pa.binary()), ("path", pa.int64())])), "empty"),
    ],
)
def test_paths_that_are_none(tmp_path: Path, cells: pa.Array, reason: str):
    write(tmp_path / "x.parquet", {"image": cells})
    with pytest.raises(UserError, match=rf"1 of 1 image cannot be read, first: x\.parquet row 0 \({reason}"):
        load(tmp_path)


def test_columns_of_other_names(tmp_path: Path):
    write(tmp_path / "x.parquet", {"image": rows(range(2)), "scan": rows(range(5, 7)), "class": [b"cat", b"dog"]})
    images = load(tmp_path)
    assert images.notes == ("columns not used: scan, class; data.label NAME makes one of them the label",)
    images = load(tmp_path, image="scan", label="class")
    np.testing.assert_array_equal(images.images, expected([5, 6]))
    assert images.classes == ("cat", "dog")
    with pytest.raises(UserError, match=r"has no column kind \(data\.label\); it has: image, scan, class"):
        load(tmp_path, label="kind")
