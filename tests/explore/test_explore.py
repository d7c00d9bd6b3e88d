"""`deepinfomax explore` from a folder or a file to a page and its tables."""

import csv
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_pictures import pictures
from torch import nn

from deepinfomax import config as configuration
from deepinfomax import encoders
from deepinfomax.data import configured
from deepinfomax.data.images import ImageSet
from deepinfomax.encoders import storage
from deepinfomax.errors import UserError
from deepinfomax.evaluation.controls import random_encoder
from deepinfomax.evaluation.embeddings import write_embeddings
from deepinfomax.explore import command, reading
from deepinfomax.explore.command import explore_command
from deepinfomax.recipes import recipe
from deepinfomax.training.building import begin
from deepinfomax.training.loop import train
from deepinfomax.training.run_folder import read_config

SMALL = {"encoder.width": "4", "encoder.fc": "16", "encoder.y": "8", "training.steps": "3", "training.batch_size": "16"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train and test, two classes of patterns; test/red/0.png is a copy of train/red/0.png."""
    root = tmp_path_factory.mktemp("explore") / "folder <b>"
    patterns = pictures(60)
    for n, pattern in enumerate(patterns):
        split, name = "train" if n < 44 else "test", ("red", "blue")[n % 2]
        pattern[0 if name == "red" else 2] = 250
        (root / split / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pattern.transpose(1, 2, 0)).save(root / split / name / f"{n}.png")
    Image.open(root / "train/red/0.png").save(root / "test/red/0.png")
    (root / "train/red/broken.png").write_bytes(b"no image")
    return root


@pytest.fixture(scope="module")
def explored(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("here"))
        result = asked(str(folder), settings=SMALL)
        result["page"] = str(Path(result["page"]).resolve())
        result["run"] = str(Path(result["run"]).resolve())
    return result


def asked(data: str, **options: object) -> dict:
    given = {"run": None, "images": None, "out": None, "control": "pixels", "settings": {}, "data_root": None}
    return explore_command(data, **(given | {"seed": 0, "device": "cpu"} | options))  # type: ignore[arg-type]


def rows(page: str, table: str) -> list[dict[str, str]]:
    path = Path(page)
    with path.with_name(f"{path.stem}-{table}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_folder_becomes_a_page_with_tables(explored: dict) -> None:
    assert json.loads(json.dumps(explored))["images"] == 61
    assert explored["near_copies_across_parts"] >= 1
    images = rows(explored["page"], "images")
    assert len(images) == 61
    assert {row["part"] for row in images} == {"train", "test"}
    assert {row["class"] for row in images} == {"red", "blue"}
    assert {"x_by_encoder", "y_by_pixels"} <= images[0].keys()
    first = rows(explored["page"], "duplicates")[0]
    assert (first["first_part"], first["second_part"], first["identical"]) == ("train", "test", "yes")
    assert [Path(first[side]).name for side in ("first", "second")] == ["0.png", "0.png"]
    scores = [float(row["score"]) for row in rows(explored["page"], "outliers")]
    assert scores == sorted(scores, reverse=True)
    assert len(rows(explored["page"], "clusters")) == len([row for row in images if row["group"]])
    assert len(rows(explored["page"], "labels")) == explored["labels_in_doubt"]


def test_the_page_is_one_file_and_escapes_what_it_is_given(explored: dict) -> None:
    text = Path(explored["page"]).read_text(encoding="utf-8")
    assert "What is in folder &lt;b&gt;" in text
    assert "folder <b>" not in text
    assert not re.search(r'(?:src|href)="(?!data:|#|[\w.%-]+\.csv")', text)
    assert not re.search("https?://", text)
    assert "1 of 62 images cannot be read, first: train/red/broken.png" in text
    points = re.search(r'<a href="#added"><b>([+−]\d+) points</b> own class, beside pixels</a>', text)
    assert points is not None
    own = re.search(r"([\d.]+)% have its class by the encoder, [a-z ]+ by pixels \(([\d.]+)%\)", text)
    assert own is not None
    assert int(points[1].replace("−", "-")) == pytest.approx(float(own[1]) - float(own[2]), abs=0.7)  # all are rounded
    for section in ("map", "clusters", "duplicates", "outliers", "labels", "added", "made"):
        assert f'<section id="{section}">' in text


def test_the_random_encoder_begins_as_the_run_did(
    explored: dict, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def keep(make: Callable[[], nn.Module], images: ImageSet, **options: Any) -> nn.Module:
        made.append((random_encoder(make, images, **options), images))
        return made[0][0]

    monkeypatch.setattr(command, "random_encoder", keep)
    run = Path(explored["run"])
    asked(str(folder), run=run, out=tmp_path / "page.html", control="random_encoder")
    (fresh, images), config, description = made[0], read_config(run), storage.describe(run)
    assert config.training.first_layer == "whitening"
    whitened = encoders.build(description.architecture, description.image_shape, **description.arguments)
    before = next(whitened.parameters()).clone()
    begin(whitened, config, images)
    assert not torch.allclose(next(whitened.parameters()), before)
    torch.testing.assert_close(next(fresh.parameters()), next(whitened.parameters()))


def test_the_run_that_was_trained_is_a_run_and_can_be_taken_again(explored: dict, folder: Path, tmp_path: Path) -> None:
    run = Path(explored["run"])
    assert (run / "config.toml").is_file()
    assert (run / "encoder.safetensors").is_file()
    out = tmp_path / "again.html"
    again = asked(str(folder), run=run, out=out, control="random_encoder", settings={"data.max_pixels": "4000"})
    assert again["images"] == 61
    words = shlex.split(again["text"].splitlines()[-1].removeprefix("  again"))
    given = ["--run", str(run), "--out", str(out), "--control", "random_encoder", "data.max_pixels", "4000"]
    assert words == ["deepinfomax", "explore", str(folder), *given]
    plain = explored["text"].splitlines()[-1]
    assert shlex.split(plain)[1:4] == ["deepinfomax", "explore", str(folder)]
    assert "training" not in plain  # what it was trained by does not change what it sees
    assert "data.max_pixels 4000" in out.read_text(encoding="utf-8")
    assert "random encoder" in out.read_text(encoding="utf-8")
    assert again["near_copies_across_parts"] >= 1
    limited = asked(str(folder), run=run, out=out, control="none", settings={"data.limit": "30"})
    assert limited["images"] == 29  # the broken one was drawn
    parts = {Path(row["name"]).name: row["part"] for row in rows(str(out), "images")}
    assert all(part == ("train" if int(name[:-4]) < 44 else "test") for name, part in parts.items() if name != "0.png")
    assert "no control" in limited["text"]


def test_embeddings_of_anyone_with_their_images_and_without(folder: Path, tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).standard_normal((61, 6)).astype(np.float32)
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.png") if path.name != "broken.png")
    labels = np.array([Path(name).parts[1] for name in names])
    write_embeddings(tmp_path / "mine.parquet", vectors, labels, names)
    alone = asked(str(tmp_path / "mine.parquet"))
    assert Path(alone["page"]) == tmp_path / "mine.parquet.explore.html"
    assert rows(alone["page"], "images")[3]["name"] == names[3]
    assert alone["labels_in_doubt"] is not None
    assert alone["text"].startswith("61 rows of vectors: ")
    assert "plain pixels. To compare, give the images they were made of: --images IMAGES." in alone["text"]
    assert "mine.parquet" in Path(alone["page"]).read_text(encoding="utf-8")
    write_embeddings(tmp_path / "plain.npy", vectors)
    shown = asked(str(tmp_path / "plain.npy"), images=str(folder), out=tmp_path / "shown.html")
    assert shown["text"].startswith("61 images: ")
    assert shown["near_copies_across_parts"] == 1  # the pixels propose what these vectors do not
    assert set(shown["beside"]["own class"]) == {"embeddings", "pixels"}


def test_images_that_share_only_what_is_looked_at_are_no_copies(tmp_path: Path) -> None:
    for n, pattern in enumerate(pictures(14, side=32).transpose(0, 2, 3, 1)):
        Image.fromarray(pattern).resize((30 + n, 20)).save(tmp_path / f"{n:02d}.png")
    wide = np.random.default_rng(0).integers(0, 256, (20, 40, 3)).astype(np.uint8)
    Image.fromarray(wide).save(tmp_path / "20.png")
    Image.fromarray(wide).save(tmp_path / "21.bmp")
    wide[:, :5] = 0
    Image.fromarray(wide).save(tmp_path / "22.png")
    config = configured.with_source(recipe(), str(tmp_path), None)
    config, images = reading.of_one_size(config)
    collection = reading.collection_of(config, images)
    assert config.data.size == reading.SIDE
    assert collection.stored is not None
    a, b, other = collection.stored(np.array([14, 15, 16]))
    assert a == b != other
    limited = configuration.override(config, {"data.limit": 10})
    some = configured.load_images(limited)
    again = reading.stored_pixels(limited, some)
    names = configured.names_of(limited, some)
    assert again is not None
    for i, name in enumerate(names):
        of_all = collection.names.index(name)
        assert again(np.array([i])) == collection.stored(np.array([of_all]))
    np.save(tmp_path / "large.npy", images.images.repeat(2, 2).repeat(2, 3).transpose(0, 2, 3, 1))
    arrays, loaded = reading.of_one_size(configured.with_source(recipe(), str(tmp_path / "large.npy"), None))
    of_arrays = reading.stored_pixels(arrays, loaded)
    assert of_arrays is not None
    assert len(set(of_arrays(np.arange(17)))) == 15  # the three share their middle


def test_images_all_the_same_are_refused_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "same").mkdir()
    for n in range(12):
        Image.new("RGB", (16, 16), (9, 9, 9)).save(tmp_path / "same" / f"{n}.png")
    with pytest.raises(UserError, match="same has 12 images, all of them the same"):
        asked("same", settings=SMALL)
    assert not (tmp_path / "runs").exists()


def test_classes_keep_their_names_and_images_without_an_embedding_are_told(folder: Path, tmp_path: Path) -> None:
    config = configured.with_source(configuration.override(recipe(), {"data.skip_bad": True}), str(folder), None)
    images = configured.load_images(config)
    assert images.labels is not None
    names = configured.names_of(config, images)
    vectors = np.random.default_rng(0).standard_normal((len(names), 6)).astype(np.float32)
    write_embeddings(tmp_path / "train.parquet", vectors, images.labels, names)
    every = reading.all_parts(config)
    both = (every, configured.load_images(every))
    collection, _ = reading.collection_of_embeddings(tmp_path / "train.parquet", both)
    assert {collection.class_of(i) for i in range(len(collection))} == {"red", "blue"}
    assert "17 of the 61 images have no embedding" in " ".join(collection.notes)
    write_embeddings(tmp_path / "other.parquet", vectors, 1 - images.labels, names)
    other, _ = reading.collection_of_embeddings(tmp_path / "other.parquet", both)
    assert {other.class_of(i) for i in range(len(other))} == {"0", "1"}  # numbers of another kind keep their own


def test_rows_find_their_images_by_name(folder: Path, tmp_path: Path) -> None:
    from deepinfomax.data.configured import load_images, names_of, with_source

    config = with_source(configuration.override(recipe("cpu"), {"data.skip_bad": True}), str(folder), None)
    config = reading.all_parts(config)
    images = load_images(config)
    names = names_of(config, images)
    order = np.random.default_rng(0).permutation(len(names))[:20]
    write_embeddings(tmp_path / "some.parquet", np.ones((20, 3)), None, [names[i] for i in order])
    collection, _ = reading.collection_of_embeddings(tmp_path / "some.parquet", (config, images))
    assert collection.pictures is not None
    assert np.array_equal(collection.pictures, images.images[order])
    assert [collection.class_of(i) for i in range(20)] == [images.classes[images.labels[i]] for i in order]


def test_names_that_are_no_images_are_told_and_some_of_them_are_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    config = with_all_parts(folder)
    names = configured.names_of(*config)
    vectors = np.random.default_rng(0).standard_normal((len(names), 6))
    write_embeddings(tmp_path / "one.parquet", vectors, None, [*reversed(names[1:]), "gone.png"])
    with pytest.raises(UserError, match=r"no image 'gone\.png'"):  # by their order all the others would be wrong
        asked(str(tmp_path / "one.parquet"), images=str(folder))
    write_embeddings(tmp_path / "none.parquet", vectors, None, [f"elsewhere/{i}.png" for i in range(len(names))])
    asked(str(tmp_path / "none.parquet"), images=str(folder))
    told = "row i is taken for image i, which is right only if both have the same images in the same order"
    assert told in capsys.readouterr().err
    assert told in (tmp_path / "none.parquet.explore.html").read_text()


def test_an_image_that_a_list_has_twice_keeps_both_labels(folder: Path, tmp_path: Path) -> None:
    paths = [f"{folder}/train/{('red', 'blue')[n % 2]}/{n}.png" for n in range(1, 13)]
    with (tmp_path / "list.csv").open("w", newline="") as file:
        rows = [(path, label) for label in ("first", "second") for path in paths]
        csv.writer(file).writerows([("path", "label"), *rows])
    config = with_all_parts(tmp_path / "list.csv")
    write_embeddings(tmp_path / "e.parquet", np.ones((24, 3)), None, configured.names_of(*config))
    collection, _ = reading.collection_of_embeddings(tmp_path / "e.parquet", config)
    assert [collection.class_of(i) for i in range(24)] == ["first"] * 12 + ["second"] * 12
    assert not any("have no embedding" in note for note in collection.notes)


def test_attributes_that_are_not_looked_at_are_told(
    explored: dict, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    several = np.arange(40).reshape(20, 2) % 2
    np.savez(tmp_path / "images.npz", images=pictures(20).transpose(0, 2, 3, 1), labels=several)
    asked(str(tmp_path / "images.npz"), run=Path(explored["run"]), out=tmp_path / "page.html")
    assert f"note: {reading.ATTRIBUTES}\n" in capsys.readouterr().err
    write_embeddings(tmp_path / "e.npz", np.random.default_rng(0).standard_normal((20, 4)), several)
    for images in (None, str(tmp_path / "images.npz")):
        asked(str(tmp_path / "e.npz"), images=images)
        assert capsys.readouterr().err.count(f"note: {reading.ATTRIBUTES}\n") == 1


def with_all_parts(source: Path) -> tuple[configuration.Config, ImageSet]:
    config = configured.with_source(configuration.override(recipe(), {"data.skip_bad": True}), str(source), None)
    config = reading.all_parts(config)
    return config, configured.load_images(config)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"control": "magic"}, "choose pixels, random_encoder, none"),
        ({"out": Path("page.txt")}, "ends in .html"),
        ({"settings": {"data.limit": "5"}}, "from 10 on"),
        ({"out": Path("a_file/page.html"), "settings": SMALL}, "a_file is a file and no folder"),
        ({"settings": {"data.size": "4"}}, "4x4 are too small"),
    ],
)
def test_mistakes(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a_file").touch()
    with pytest.raises(UserError, match=message):
        asked(str(folder), **options)
    assert list(tmp_path.rglob("*")) == [tmp_path / "a_file"]


def test_mistakes_of_embeddings(tmp_path: Path, folder: Path) -> None:
    file = tmp_path / "e.npy"
    np.save(file, np.random.default_rng(0).standard_normal((20, 3)))
    with pytest.raises(UserError, match="20 rows and --images 61 images"):
        asked(str(file), images=str(folder))
    np.save(tmp_path / "narrow.npy", np.random.default_rng(0).standard_normal((20, 1)))
    with pytest.raises(UserError, match="has one number a row"):
        asked(str(tmp_path / "narrow.npy"))
    with pytest.raises(UserError, match="leave one of them out"):
        asked(str(file), run=tmp_path)
    with pytest.raises(UserError, match=r"leave training\.steps out"):
        asked(str(file), settings={"training.steps": "3"})
    with pytest.raises(UserError, match="choose --control pixels"):
        asked(str(file), control="random_encoder")


def test_files_of_images_are_not_taken_for_embeddings(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", np.zeros((20, 8, 8, 3), np.uint8))
    np.save(tmp_path / "vectors.npy", np.zeros((20, 8), np.float32))
    np.savez(tmp_path / "images.npz", images=np.zeros((20, 8, 8, 3), np.uint8))
    np.savez(tmp_path / "vectors.npz", embedding=np.zeros((20, 8), np.float32))
    (tmp_path / "damaged.npz").write_bytes(b"nothing")
    found = {path.name for path in tmp_path.iterdir() if reading.holds_embeddings(path)}
    assert found == {"vectors.npy", "vectors.npz"}
    assert not reading.holds_embeddings(tmp_path)


def test_arrays_are_read_as_training_reads_them_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    read = []
    monkeypatch.setattr(reading, "load_images", lambda config: read.append(config) or configured.load_images(config))
    images = pictures(40).transpose(0, 2, 3, 1)
    np.save(tmp_path / "rows.npy", images)
    np.save(tmp_path / "fractions.npy", images / np.float32(255))
    np.save(tmp_path / "large.npy", images.repeat(8, 1).repeat(8, 2))
    for name, side in (("rows", 16), ("fractions", 16), ("large", 64)):
        result = asked(f"{name}.npy", out=tmp_path / f"{name}.html", settings=SMALL)
        assert result["images"] == 40
        assert f"3,\n  {side},\n  {side}" in (Path(result["run"]) / "encoder.json").read_text()
    assert len(read) == 3
    for name, shape in (("series", (40, 2, 50)), ("bands", (40, 16, 16, 6))):
        np.save(tmp_path / f"{name}.npy", np.random.default_rng(0).normal(50, 9, shape).astype(np.float32))
        with pytest.raises(UserError, match="make embeddings"):
            asked(f"{name}.npy", out=tmp_path / "none.html", settings=SMALL)
    np.save(tmp_path / "tiny.npy", images[:, :4, :4])
    with pytest.raises(UserError, match=r"set data\.size 16"):
        asked("tiny.npy", out=tmp_path / "none.html", settings=SMALL)


def test_an_encoder_of_other_numbers_is_not_taken_for_pictures(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0).normal(50, 9, (40, 3, 16, 16)).astype(np.float32)
    settings = {name: int(value) for name, value in SMALL.items()} | {"training.trackers": []}
    config = configuration.override(recipe("cpu"), settings)
    train(config, ImageSet(numbers), tmp_path / "run", device="cpu", quiet=True)
    np.save(tmp_path / "pictures.npy", pictures(40))
    with pytest.raises(UserError, match="trained on numbers of another scale"):
        asked(str(tmp_path / "pictures.npy"), run=tmp_path / "run")
