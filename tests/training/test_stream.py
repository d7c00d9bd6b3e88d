"""Training on shards that are read while it goes: tar files and parquet files, through workers of a DataLoader."""

import dataclasses
import io
import json
import re
import tarfile
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from command import mistake, run
from deepinfomax.config import from_tree
from deepinfomax.data import stream_batches
from deepinfomax.data.section import Data
from deepinfomax.data.stream_batches import Place, ShardReader, StreamBatches
from deepinfomax.data.streaming import has_part, shards_of, shuffled, stream_of
from deepinfomax.errors import UserError
from deepinfomax.training.loop import train

pytest.importorskip("datasets", reason="needs the extra hub: pip install 'deepinfomax[hub]'")

TINY = ["--device", "cpu", "encoder.width", "8", "training.batch_size", "4", "training.trackers", "[]"]


def picture(number: int, size: int = 32) -> np.ndarray:
    """An image that says its number: all its pixels are it."""
    return np.full((size, size, 3), number, np.uint8)


def encoded(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def write_tar(file: Path, numbers: range, files: dict[str, bytes] | None = None, size: int = 32) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w") as shard:
        for number in numbers:
            for ending, content in {"png": encoded(picture(number, size)), "cls": str(number % 2).encode()}.items():
                member = tarfile.TarInfo(f"{number:06}.{ending}")
                member.size = len(content)
                shard.addfile(member, io.BytesIO(content))
        for name, content in (files or {}).items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            shard.addfile(member, io.BytesIO(content))


@pytest.fixture
def tars(tmp_path: Path) -> Path:
    """Images 0 to 39 in four shards to train on, 40 to 59 in two to test."""
    for shard in range(6):
        part = "train" if shard < 4 else "test"
        write_tar(tmp_path / "tars" / f"{part}-{shard}.tar", range(shard * 10, shard * 10 + 10))
    return tmp_path / "tars"


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """The same as parquet files."""
    for shard in range(4):
        cells = [{"bytes": encoded(picture(shard * 10 + i)), "path": None} for i in range(10)]
        (tmp_path / "tables").mkdir(exist_ok=True)
        table = pa.table({"image": cells, "label": [i % 2 for i in range(10)], "note": ["x"] * 10})
        pq.write_table(table, tmp_path / "tables" / f"train-{shard}.parquet")
    return tmp_path / "tables"


def data(source: Path, **settings) -> Data:
    return Data(source=str(source), stream=True, **{"shuffle_buffer": 8, **settings})


def reader(source: Path, readers: int = 1, begun: dict[int, Place] | None = None, **settings) -> ShardReader:
    stream = stream_of(data(source, **settings))
    return ShardReader(stream, 2, seed=0, buffer=4, readers=range(readers), total=readers, begun=begun or {})


def seen(batches: list[tuple[torch.Tensor, int, Place]]) -> list[int]:
    """The numbers of the images in batches, in their order."""
    return [int(image[0, 0, 0]) for pixels, _, _ in batches for image in pixels]


def first_pass(of: ShardReader, number: int = 0) -> list[tuple[torch.Tensor, int, Place]]:
    """The batches of a reader's first pass."""
    made, begun = [], of.begun.get(number, Place())
    for batch in of._batches(number):
        if batch[2].turn > begun.turn:
            return made
        made.append(batch)
    raise AssertionError("it ends")


@pytest.mark.parametrize("kind", ["tars", "tables"])
def test_a_pass_sees_every_image_once_in_another_order_each_time(kind: str, request: pytest.FixtureRequest):
    folder = request.getfixturevalue(kind)
    batches = first_pass(reader(folder))
    assert sorted(seen(batches)) == list(range(40))
    again = first_pass(reader(folder))
    assert seen(again) == seen(batches)
    later = first_pass(reader(folder, begun={0: Place(turn=1)}))
    assert sorted(seen(later)) == list(range(40))
    assert seen(later) != seen(batches)
    assert seen(batches) != list(range(40))


def test_within_a_shard_the_order_is_the_seeds_and_the_readers(tmp_path: Path):
    """One shard, so that the order of shards decides nothing."""
    write_tar(tmp_path / "one.tar", range(40))

    def order(seed: int, number: int, turn: int) -> list[int]:
        stream = stream_of(data(tmp_path))
        begun = {number: Place(turn=turn)}
        of = ShardReader(stream, 2, seed=seed, buffer=20, readers=range(2), total=1, begun=begun)
        of.shards = lambda number, turn: [0]  # type: ignore[method-assign]
        return seen(first_pass(of, number))

    orders = [order(seed, number, turn) for seed in range(2) for number in range(2) for turn in range(2)]
    assert all(sorted(each) == list(range(40)) for each in orders)
    assert len({tuple(each) for each in orders}) == len(orders)


def test_readers_share_the_shards_of_each_pass(tars: Path):
    both = reader(tars, readers=2)
    first, second = (seen(first_pass(both, number)) for number in range(2))
    assert len(first) == len(second) == 20
    assert sorted(first + second) == list(range(40))


def test_a_reader_goes_on_at_the_shards_it_had_read(tars: Path):
    whole = reader(tars)
    order = whole.shards(0, 0)
    places = [place for _, _, place in first_pass(whole)]
    assert [place.shards for place in places] == sorted(place.shards for place in places)
    rest = first_pass(reader(tars, begun={0: Place(shards=3)}))
    assert {number // 10 for number in seen(rest)} == {order[3]}
    assert rest[-1][2] == Place(0, 4, 0)


def test_a_run_that_goes_on_counts_the_shards_of_readers_that_are_a_pass_ahead(tars: Path):
    stream = stream_of(data(tars))
    batches = StreamBatches(stream, 5, seed=0, device=torch.device("cpu"), buffer=4, workers=2)
    ahead = {0: (2, 0, 0), 1: (1, 1, 0)}  # the first has read both of its shards of pass 2, the other one of two
    assert "3 of 4 shards of pass 2 were read" in batches.begun_with({"workers": 2, "places": ahead})
    even = {0: (1, 1, 0), 1: (1, 0, 0)}
    assert "1 of 4 shards of pass 2 were read" in batches.begun_with({"workers": 2, "places": even})


def test_the_buffer_shuffles_by_its_size():
    rng = np.random.default_rng(0)
    assert list(shuffled(iter(range(9)), 1, rng)) == list(range(9))
    out = [list(shuffled(iter(range(20)), 5, np.random.default_rng(seed))) for seed in range(200)]
    assert all(sorted(order) == list(range(20)) for order in out)
    assert all(order.index(i) >= i - 4 for order in out for i in range(20))
    firsts = Counter(order[0] for order in out)
    assert set(firsts) == set(range(5))
    assert min(firsts.values()) > 20


def test_a_sample_has_labels_and_says_what_it_is(tars: Path):
    stream = stream_of(data(tars), "train", count=12)
    assert stream.shape == (3, 32, 32)
    assert len(stream.sample) == 12
    numbers = stream.sample.images[:, 0, 0, 0]
    assert len(set(numbers.tolist())) == 12
    np.testing.assert_array_equal(stream.sample.labels, numbers % 2)
    assert stream.sample.notes == (f"{tars} is streamed: a sample of 12 images of its part train is kept for this",)
    test = stream_of(data(tars), "test").sample
    assert sorted(test.images[:, 0, 0, 0].tolist()) == list(range(40, 60))


def test_how_many_images_there_are(tars: Path, tables: Path):
    shards = shards_of(data(tars), "train")
    assert (len(shards), shards.count, shards.exact) == (4, 40, False)
    assert shards_of(data(tables), "train").count == 40
    assert shards_of(data(tables), "train").exact
    assert has_part(data(tars), "test")
    assert not has_part(data(tables), "test")


def test_images_of_other_sizes_are_brought_to_data_size_or_stop(tmp_path: Path):
    write_tar(tmp_path / "a.tar", range(6))
    write_tar(tmp_path / "b.tar", range(6, 12), size=48)
    with pytest.raises(UserError, match=r"images of 2 sizes .*; set data.size 32"):
        stream_of(data(tmp_path))
    assert stream_of(data(tmp_path, size=16)).sample.shape == (3, 16, 16)
    stream = stream_of(data(tmp_path / "a.tar"))
    with pytest.raises(ValueError, match="48x48 pixels, and 32x32 before"):
        stream.decode(encoded(picture(1, 48)))


def test_bad_images_stop_or_are_left_out_and_counted(tmp_path: Path):
    bad = encoded(picture(7))[:40]
    write_tar(tmp_path / "a.tar", range(8), {"x.png": bad, "x.cls": b"0"})
    with pytest.raises(UserError, match=r"1 of the first 9 images cannot be read .*; set data.skip_bad true"):
        stream_of(data(tmp_path / "a.tar"))
    batches = first_pass(reader(tmp_path / "a.tar", skip_bad=True))
    assert sorted(seen(batches)) == list(range(8))
    assert batches[-1][2].bad <= 1


def trained(capsys, *words: str) -> str:
    code, _, err = run(capsys, "train", *words, *TINY)
    assert code == 0, err
    return err


def test_a_run_on_tar_shards_from_the_command_line(tars: Path, tmp_path: Path, capsys):
    """Train with two workers, go on, measure and find neighbours."""
    out = tmp_path / "run"
    words = [str(tars), "--out", str(out), "data.stream", "true", "data.shuffle_buffer", "8", "data.workers", "2"]
    code, said, err = run(capsys, "train", *words, *TINY, "training.steps", "4")
    assert code == 0, err
    assert f"trained {out} on a stream of 4 shards in " in said
    said = "a stream of 4 shards with about 40 images, read by 2 workers a process through a shuffle buffer of 8"
    assert said in " ".join(err.split())
    code, _, err = run(capsys, "train", *words, *TINY, "--resume", "training.steps", "7")
    assert code == 0, err
    assert re.search(
        r"the stream goes on at shards, not at images: \d of 4 shards of pass 1 were", " ".join(err.split())
    )
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    told = lines[0]["data"]
    assert told["test_part"] is True
    assert {name: told[name] for name in ("count", "shards", "counted", "sample")} == {
        "count": 40,
        "shards": 4,
        "counted": False,
        "sample": 40,
    }
    assert lines[-1]["step"] == 7
    code, _, err = run(capsys, "evaluate", str(out), "--measures", "knn", "--device", "cpu")
    assert code == 0, err
    assert "a sample of 20 images of its part test is kept for this" in " ".join(err.split())
    assert (out / "report.html").is_file()


def test_what_a_stream_cannot_do_names_the_command_that_can(tmp_path: Path, capsys):
    (tmp_path / "shards").mkdir()
    for shard in range(2):
        with tarfile.open(tmp_path / f"shards/{shard}.tar", "w") as packed:
            for number in range(20 * shard, 20 * shard + 20):
                cells = {"png": encoded(picture(number)), "cls": b"%d" % (number % 2), "json": b'{"donor": 1}'}
                for ending, content in cells.items():
                    member = tarfile.TarInfo(f"{number:06}.{ending}")
                    member.size = len(content)
                    packed.addfile(member, io.BytesIO(content))
    data, out = str(tmp_path / "shards"), str(tmp_path / "run")
    words = ["train", data, *TINY, "--out", out, "data.stream", "true", "data.workers", "1", "training.steps", "2"]
    assert "fields of a .json are read by data.stream false" in mistake(capsys, *words, "data.label", "donor")
    assert run(capsys, *words)[0] == 0
    told = mistake(capsys, "evaluate", out, "--measures", "knn", "--controls", "none", "--scale", "smoke")
    assert "has no test part: stream shards of which some have test in their names" in told
    command = told[told.index("deepinfomax evaluate") :].split()[1:]
    code, _, err = run(capsys, *command, "--measures", "knn", "--controls", "none", "--scale", "smoke")
    assert code == 0, err
    words = ["embed", out, data, "--out", str(tmp_path / "y.npy"), "--split", "train+test"]
    assert "data.stream false reads parts together" in mistake(capsys, *words)


def test_a_shard_that_breaks_in_the_middle_loses_no_step(tars: Path, tmp_path: Path, capsys, monkeypatch):
    """What was trained is saved, the shard is mended, and the run goes on."""
    last = reader(tars).shards(0, 0)[-1]
    out, broken = tmp_path / "run", tars / f"train-{last}.tar"
    whole = broken.read_bytes()
    monkeypatch.setattr("deepinfomax.training.train_run.SAMPLE_OF_TRAINING", 4)
    words = ["train", str(tars), "--out", str(out), "data.stream", "true", "data.shuffle_buffer", "1"]
    words += ["data.workers", "1", "training.steps", "30", *TINY]
    monkeypatch.setattr("deepinfomax.data.streaming._all_cells", lambda shards, skip: shards.cells(0 if last else 1))
    content = bytearray(whole)
    content[1536:2048] = b"x" * 512  # no header of a file
    broken.write_bytes(content)
    line = mistake(capsys, *words)
    assert re.search(
        rf"shard {last + 1} of 4 is damaged \(.*\); .*run is saved at step \d+: mend the data and --resume", line
    )
    broken.write_bytes(whole)
    code, _, err = run(capsys, *words, "--resume")
    assert code == 0, err


def test_a_run_that_met_a_bad_image_goes_on_without_it(tars: Path, tmp_path: Path, capsys, monkeypatch):
    """What the line says helps: the run is saved, and data.skip_bad true continues it."""
    last = reader(tars).shards(0, 0)[-1]
    write_tar(tars / f"train-{last}.tar", range(50, 60), {"x.png": encoded(picture(7))[:40], "x.cls": b"0"})
    monkeypatch.setattr("deepinfomax.training.train_run.SAMPLE_OF_TRAINING", 4)
    monkeypatch.setattr("deepinfomax.data.streaming._all_cells", lambda shards, skip: shards.cells(0 if last else 1))
    words = ["train", str(tars), "--out", str(tmp_path / "run"), "data.stream", "true", "data.shuffle_buffer", "1"]
    words += ["data.workers", "1", *TINY]
    line = mistake(capsys, *words, "training.steps", "12")
    assert "set data.skip_bad true to leave such images out; " in line
    assert re.search(r"is saved at step \d+: mend the data and --resume$", line)
    code, _, err = run(capsys, *words, "--resume", "data.skip_bad", "true", "training.steps", "16")
    assert code == 0, err
    # It is met at the end of this pass, and once more in the next.
    assert "an image of the stream was left out 2 times, all passes counted: it cannot be read" in " ".join(err.split())


def test_other_shards_do_not_continue_a_run(tars: Path, tmp_path: Path, capsys):
    out = tmp_path / "run"
    words = [str(tars), "--out", str(out), "data.stream", "true", "data.workers", "1"]
    trained(capsys, *words, "training.steps", "2")
    write_tar(tars / "train-9.tar", range(90, 99))
    line = mistake(capsys, "train", *words, *TINY, "training.steps", "3", "--resume")
    assert "it was trained on other shards" in line


def cut(file: Path) -> None:
    write_tar(file, range(30))  # more files than are looked at from the beginning
    file.write_bytes(file.read_bytes()[:58_000])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda file: file.write_bytes(b""), r"is empty; mend it or move it away"),
        (lambda file: tarfile.open(file, "w").close(), r"holds no samples: the archive is empty; move it away"),
        (cut, r"train-1\.tar is damaged: it is cut off; mend it or move it away"),
        (
            lambda file: write_tar(file, range(0), {"a.txt": b"no", "b.json": b"{}"}),
            r"is a shard without images \(its ",
        ),
        (lambda file: file.write_bytes(b"no archive at all" * 99), r"train-1\.tar is damaged: .*; mend it or move it"),
    ],
)
def test_a_bad_shard_is_one_line_before_anything_is_trained(tars: Path, tmp_path: Path, capsys, make, says: str):
    make(tars / "train-1.tar")
    line = mistake(capsys, "train", str(tars), "--out", str(tmp_path / "run"), "data.stream", "true")
    assert re.search(says, line)
    assert not (tmp_path / "run").exists()


def test_bad_tables_are_one_line(tables: Path, tmp_path: Path, capsys):
    words = ["train", str(tables), "--out", str(tmp_path / "run"), "data.stream", "true"]
    (tables / "train-2.parquet").write_bytes(b"PAR1")
    assert "train-2.parquet is damaged: " in mistake(capsys, *words)
    pq.write_table(pa.table({"image": pa.array([], pa.binary())}), tables / "train-2.parquet")
    assert "train-2.parquet holds no images: move it away" in mistake(capsys, *words)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["--recipe", "nat"], "nat needs each image's place in the data, and a stream is read without"),
        (["--recipe", "supervised"], "supervised needs labels, and a stream is read without"),
        (["data.limit", "5"], "data.limit needs all images at hand"),
        (["data.holdout", "0.1"], "data.holdout needs all images at hand"),
        (["data.workers", "9"], "has 4 shards, too few for 9 workers of 1 processes, which read one each"),
        (["data.split", "extra"], "has no part extra to stream; it has: test, train"),
        (["data.image", "jpg"], "has no column jpg (data.image); it has: "),
        (["training.batch_size", "64", "data.workers", "1"], "hold fewer images than a batch of 64: set a smaller "),
    ],
)
def test_what_cannot_be_streamed_is_one_line(tars: Path, tmp_path: Path, capsys, settings: list[str], says: str):
    words = ["train", str(tars), "--out", str(tmp_path / "run"), "data.stream", "true", *TINY, *settings]
    assert says in mistake(capsys, *words)


@pytest.mark.parametrize(
    ("source", "says"), [("digits", "digits has no files to stream"), (".", "no shards to stream")]
)
def test_what_has_no_shards(source: str, says: str, tmp_path: Path):
    with pytest.raises(UserError, match=says):
        stream_of(Data(source=str(tmp_path) if source == "." else source, stream=True))


def test_a_data_set_of_the_hub_is_streamed(monkeypatch: pytest.MonkeyPatch):
    """Its own column names, its classes, and no length where the hub does not say it."""
    import datasets

    cells = [{"bytes": encoded(picture(number)), "path": None} for number in range(12)]
    features = datasets.Features({"img": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    whole = datasets.Dataset.from_dict({"img": cells, "label": [0, 1] * 6}, features=features)
    asked = []

    def load_dataset(identifier: str, *, streaming: bool):
        asked.append((identifier, streaming))
        return {"train": whole.to_iterable_dataset(num_shards=3)}

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr("deepinfomax.data.formats.hub._reachable", lambda identifier: True)
    stream = stream_of(Data(source="me/pictures", stream=True))
    assert asked == [("me/pictures", True)]
    assert len(stream.shards) == 3
    assert sorted(stream.sample.images[:, 0, 0, 0].tolist()) == list(range(12))
    np.testing.assert_array_equal(stream.sample.labels, stream.sample.images[:, 0, 0, 0] % 2)
    assert stream.sample.classes == ("a", "b")
    assert not has_part(Data(source="me/pictures", stream=True), "test")


def test_a_stream_is_not_described(tars: Path, capsys):
    line = mistake(capsys, "data", str(tars), "data.stream", "true")
    assert "this command decodes all images: leave data.stream out" in line


def test_a_reader_whose_shard_is_smaller_than_a_batch_goes_on_with_the_next_pass(tars: Path):
    write_tar(tars / "train-3.tar", range(30, 32))  # the last shard, with what was left
    stream = stream_of(data(tars))
    reader = ShardReader(stream, 5, seed=0, buffer=4, readers=range(4), total=4, begun={})
    made = [place.turn for _, _, place in islice(reader, 40)]
    small = [turn for turn in range(max(made)) if reader.shards(0, turn) == [3]]
    assert small
    assert made == [turn for turn in range(max(made) + 1) if turn not in small for _ in range(2)]
    too_large = ShardReader(stream, 16, seed=0, buffer=4, readers=range(4), total=4, begun={})
    (failed,) = too_large
    assert (
        "the shards that a worker reads (1) hold fewer images than a batch of 16: set data.workers 1" in failed.reason
    )


def test_two_processes_have_readers_of_their_own(tars: Path, monkeypatch: pytest.MonkeyPatch):
    stream = stream_of(data(tars))
    states = []
    monkeypatch.setattr(stream_batches, "gather_object", lambda places: states.append(places) or [*states[0], *places])
    together: list[int] = []
    for rank in range(2):
        own = StreamBatches(stream, 5, seed=0, device=torch.device("cpu"), rank=rank, world_size=2, buffer=4, workers=1)
        assert len(own) == 4
        for _, (images, labels, index) in own.after(0, 4):
            assert labels is index is None
            together += ((images[:, 0, 0, 0] + 1) * 127.5).round().int().tolist()
        state = own.state()
    assert sorted(together) == list(range(40))
    assert sorted(state["places"]) == [0, 1]
    resumed = StreamBatches(stream, 5, seed=0, device=torch.device("cpu"), rank=1, world_size=2, buffer=4, workers=1)
    resumed.begun_with(state)
    assert resumed.places[1] == Place(*state["places"][1])


def test_from_python(tables: Path, tmp_path: Path):
    config = from_tree(
        {
            "data": {"source": str(tables), "stream": True, "workers": 1, "shuffle_buffer": 8},
            "objective": {"local": {}},
            "encoder": {"name": "dcgan", "width": 8},
            "training": {"batch_size": 4, "steps": 2, "trackers": []},
        }
    )
    encoder = train(config, stream_of(config.data), tmp_path / "run", device="cpu", quiet=True)
    assert encoder(torch.zeros(1, 3, 32, 32)).y.isfinite().all()


def lying(pixels: np.ndarray) -> bytes:
    """Encoded on its side, with the EXIF entry that says so."""
    image, stream = Image.fromarray(np.rot90(pixels)), io.BytesIO()
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(stream, "PNG", exif=exif)
    return stream.getvalue()


def test_pictures_on_their_side_have_the_size_that_they_are_shown_at(tars: Path):
    stream = stream_of(Data(source=str(tars), stream=True), count=4)
    wide = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    of_wide = dataclasses.replace(stream, shape=(3, 30, 40))
    np.testing.assert_array_equal(of_wide.decode(lying(wide)), wide.transpose(2, 0, 1))
    with pytest.raises(ValueError, match="40x30 pixels, and 30x40 before"):
        dataclasses.replace(stream, shape=(3, 40, 30)).decode(lying(wide))


def test_shards_in_capitals_are_read_and_hidden_ones_not(tmp_path: Path):
    write_tar(tmp_path / "train-0.tar", range(4))
    write_tar(tmp_path / "train-1.TAR", range(4, 10))
    write_tar(tmp_path / ".old" / "train-2.tar", range(10, 20))
    stream = stream_of(Data(source=str(tmp_path), stream=True), count=100)
    assert sorted(stream.sample.images[:, 0, 0, 0].tolist()) == list(range(10))


def table(file: Path, **columns: list) -> Path:
    file.parent.mkdir(exist_ok=True)
    images = [{"bytes": encoded(picture(number)), "path": None} for number in range(4)]
    pq.write_table(pa.table({"image": images, **columns}), file)
    return file.parent


def test_a_stream_does_not_mix_parts_that_a_column_tells(tmp_path: Path):
    folder = table(tmp_path / "shards" / "0.parquet", split=["train", "test", "train", "test"])
    with pytest.raises(UserError, match="part of each row in the column split"):
        stream_of(Data(source=str(folder), stream=True), count=4)
    stream_of(Data(source=str(table(folder / "0.parquet", split=["train"] * 4)), stream=True), count=4)


def test_labels_of_a_stream_as_pandas_writes_them_and_words(tmp_path: Path):
    folder = table(tmp_path / "shards" / "0.parquet", label=[0.0, 1.0, None, 1.0])
    sample = stream_of(Data(source=str(folder), stream=True), count=4).sample
    assert sample.labels is not None
    label_of = dict(zip(sample.images[:, 0, 0, 0].tolist(), sample.labels.tolist(), strict=True))
    assert label_of == {0: 0, 1: 1, 2: -1, 3: 1}
    table(folder / "0.parquet", label=["cat", "dog", "cat", "dog"])
    sample = stream_of(Data(source=str(folder), stream=True), count=4).sample
    assert sample.labels is None
    assert sample.notes[1] == "its labels (label) are no whole numbers: a stream is read without them"


def test_shards_that_only_name_their_images_are_not_streamed(tmp_path: Path):
    pq.write_table(pa.table({"image": ["0.png"]}), tmp_path / "0.parquet")
    with pytest.raises(UserError, match="the column image names files"):
        stream_of(Data(source=str(tmp_path), stream=True), count=4)


def test_what_becomes_of_the_images_is_a_note(tmp_path: Path):
    deep = io.BytesIO()
    Image.fromarray(np.full((32, 32), 40_000, np.uint16)).save(deep, "PNG")
    clear = io.BytesIO()
    Image.fromarray(np.full((32, 32, 4), 100, np.uint8)).save(clear, "PNG")
    cells = [*(encoded(picture(number)) for number in range(20, 24)), deep.getvalue(), clear.getvalue(), b"no image"]
    pq.write_table(pa.table({"image": cells}), tmp_path / "0.parquet")
    assert stream_of(data(tmp_path, skip_bad=True)).sample.notes[1:] == (
        "1 of 7 images that were looked at cannot be read: left out",
        "of those looked at first, 1 of 6 images is grey: converted to RGB",
        "of those looked at first, 1 of 6 images has more than 8 bits a channel: reduced to 8 bits",
        "of those looked at first, 1 of 6 images is transparent: composited on white",
    )
